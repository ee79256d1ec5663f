"""Every word that loses what does not fit it is counted, by all executors alike."""

from __future__ import annotations

import json
import sys
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import ltc_networks as ltcs
import numpy as np
import pytest
import variants
from engines import KERNELS, assert_same, level_parameters, on_level
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi import cli
from lnn2loihi.errors import ProgramError
from lnn2loihi.families.lstm.layer import LSTMLayer
from lnn2loihi.neurons.bounds import IntegerInterval
from lnn2loihi.neurons.instructions import Instruction, NeuronProgram, Saturation
from lnn2loihi.neurons.saturations import derived_saturations
from lnn2loihi.neurons.tracer import Tracer
from lnn2loihi.simulation.native import library
from lnn2loihi.simulation.native.engine import NativeEngine
from lnn2loihi.simulation.native.kernel_code import NARROW
from lnn2loihi.simulation.result import recorded_words

FEW = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
ENGINES = ("reference", "blas", *(["c"] if library.compiler() else []))


def counter() -> l2l.LoihiProgram:
    """A unit of an LSTM that adds its input up, calibrated on sums of at most some 1.3."""

    def linear(name: str, weight: float, bias: float) -> l2l.Linear:
        return l2l.Linear(name, np.array([[weight, 0.0]]), np.array([bias]))

    gates = (linear("cell_input", 0.02, 0.0), linear("input_gate", 0.0, 8.0),
             linear("forget_gate", 0.0, 14.0), linear("output_gate", 0.0, 8.0))  # fmt: skip
    network = l2l.LiquidNetwork("counter", (LSTMLayer("lstm", gates),), None, 1.0)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.5, 1.5, (8, 50, 1)) + rng.choice([-0.5, 0.5], (8, 1, 1))
    return l2l.quantize(network, x)


UP_AND_DOWN = np.concatenate([np.ones((1, 400, 1)), -np.ones((1, 400, 1))], axis=1)


def old(program: l2l.LoihiProgram) -> l2l.LoihiProgram:
    """The same as lnn2loihi 0.1 wrote it, which marked nothing."""
    unmarked = [
        replace(p, program=replace(p.program, saturations=None)) for p in program.populations
    ]
    return replace(program, populations=tuple(unmarked))


class TestAnLSTMsCell:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_is_counted_in_every_step_in_which_it_stands_at_its_end(self, engine: str) -> None:
        program = counter()
        result = l2l.simulate(program, UP_AND_DOWN, engine, return_states=True)
        assert result.states is not None and result.saturated_words is not None
        at_an_end = np.isin(result.states["lstm"]["c"], (-32768, 32767)).sum()
        # At either end one step may be the one in which the cell came there by itself.
        assert 0 <= at_an_end - int(result.saturated_words["lstm"]["c"][0]) <= 2 < at_an_end
        assert result.saturated_inputs == 0
        assert result.saturations == {"lstm.c": int(result.saturated_words["lstm"]["c"][0])}

    def test_of_a_file_and_of_an_old_one(self, tmp_path: Path) -> None:
        program = counter()
        expected = l2l.simulate(program, UP_AND_DOWN, "blas").saturations
        assert expected
        for number, chosen in enumerate((program, old(program))):
            path = tmp_path / f"{number}.l2l"
            loaded = l2l.load(l2l.save(chosen, path))
            assert loaded == chosen
            assert l2l.simulate(loaded, UP_AND_DOWN, "blas").saturations == expected
            assert (b"saturations" in path.read_bytes()) == (chosen is program)

    @pytest.mark.parametrize("engine", ENGINES)
    def test_beyond_the_end_of_a_sequence_it_is_not(self, engine: str) -> None:
        program = counter()
        short = l2l.simulate(program, UP_AND_DOWN[:, :300], engine)
        found = l2l.simulate(program, UP_AND_DOWN, engine, lengths=[300])
        assert found.saturations == short.saturations != {}
        assert l2l.simulate(program, UP_AND_DOWN, engine, lengths=[0]).saturations == {}

    @pytest.mark.parametrize("engine", ENGINES)
    def test_in_streams(self, engine: str) -> None:
        program, x = counter(), 9 * UP_AND_DOWN[:, :60]
        expected = l2l.simulate(
            program, x, "blas", initial_state={"lstm": {"c": np.array([32000])}}
        )
        stream = l2l.open_stream(program, engine, {"lstm": {"c": np.array([32000])}})
        for _ in range(2):
            for sample in x[0]:
                stream.step(sample)
            copied = copy(stream)
            assert str(copied.saturated_words) == str(stream.saturated_words)
            assert np.array_equal(stream.saturated, expected.saturated)
            assert expected.saturated_words is not None and expected.saturations
            for name, words in expected.saturated_words.items():
                for word, counts in words.items():
                    assert stream.saturated_words is not None
                    assert np.array_equal(stream.saturated_words[name][word], counts)
            stream.reset()
            assert stream.saturated_words is not None
            assert not stream.saturated.any() and not stream.saturated_words["lstm"]["c"].any()

    def test_is_told_by_compare(self) -> None:
        variant = variants.Variant(family="lstm")
        x, _ = variants.samples(variant, 4, 9)
        network = variants.network(variant)
        found = l2l.compare(network, l2l.quantize(network, x), 1000 * x)
        assert "; saturated words: " in found.summary()
        assert found.to_dict()["saturated_words"] == found.saturated_words

    def test_chunk_by_chunk(self) -> None:
        program = counter()
        chunks = np.split(UP_AND_DOWN, 4, axis=1)
        found = [r.saturations for r in l2l.simulate_stream(program, chunks, "blas")]
        (whole,) = (l2l.simulate(program, UP_AND_DOWN, "blas").saturations or {}).values()
        assert sum(sum((counts or {}).values()) for counts in found) == whole

    def test_is_told_by_the_command_line(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def told(*more: str) -> str:
            command = ["simulate", str(tmp_path / "net.l2l"), "--input", str(tmp_path / "x.npy")]
            monkeypatch.setattr(sys, "argv", ["l2l", *command, "--executor", "blas", *more])
            with pytest.raises(SystemExit):
                cli.main()
            return " ".join(capsys.readouterr().out.split())

        program = counter()
        l2l.save(program, tmp_path / "net.l2l")
        np.save(tmp_path / "x.npy", UP_AND_DOWN)
        counts = l2l.simulate(program, UP_AND_DOWN, "blas").saturations
        assert counts and f"saturated words: lstm.c {counts['lstm.c']}" in told()
        assert json.loads(told("--json"))["saturated_words"] == counts

    def test_lava_counts_it(self) -> None:
        pytest.importorskip("lava", reason="Lava is not installed")
        program, x = counter(), UP_AND_DOWN[:, :20]
        start = {"lstm": {"c": np.array([32700])}}
        expected = l2l.simulate(program, x, "reference", initial_state=start)
        found = l2l.run_lava(program, x, initial_state=start)
        assert found.saturations == expected.saturations != {}


@pytest.mark.skipif(library.compiler() is None, reason="there is no C compiler")
class TestAllFamilies:
    @FEW
    @given(variants.variants(), st.integers(1, 20), st.integers(1, 6))
    def test_engines_count_alike(self, variant: variants.Variant, batch: int, time: int) -> None:
        x, elapsed = variants.samples(variant, 8, 20)
        program = l2l.quantize(variants.network(variant), x, "w8a12", calibrate_timespans=elapsed)
        x, elapsed = variants.samples(variant, batch, time, seed=1)
        self.alike(program, 30 * x, elapsed)

    @FEW
    @given(ltcs.variants(), st.integers(1, 12), st.integers(1, 4))
    def test_engines_count_alike_of_ltcs(
        self, variant: ltcs.Variant, batch: int, time: int
    ) -> None:
        pytest.importorskip("ncps", reason="ncps is not installed")
        x, elapsed = ltcs.samples(variant, 8, 12)
        network = l2l.import_network(ltcs.module(variant), timespan=variant.timespan)
        program = l2l.quantize(network, x, "w8a12", calibrate_timespans=elapsed)
        x, elapsed = ltcs.samples(variant, batch, time, seed=1)
        self.alike(program, 30 * x, elapsed)

    @pytest.mark.parametrize("level", level_parameters())
    def test_on_every_level(self, level: str) -> None:
        program, x = counter(), np.repeat(UP_AND_DOWN[:, 150:260], 70, axis=0)
        lengths = np.random.default_rng(1).integers(0, 110, 70)
        start = {"lstm": {"c": np.array([32700])}}
        options: dict[str, Any] = {"lengths": lengths, "return_states": True}
        options["initial_state"] = start
        expected = l2l.simulate(program, x, "blas", **options)
        assert expected.saturations
        for lanes in KERNELS:
            assert_same(on_level(program, x, level, lanes, **options), expected)
            assert_same(on_level(program, x, level, lanes, threads=2, **options), expected)

    def test_however_often_running_counts_are_added_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain = library.level_named("plain")
        text, often = library.engine_text(plain, NARROW[-1]), "#define COUNT_STEPS 3"
        assert text.count("#define COUNT_STEPS (1 << 24)") == 1
        text = text.replace("#define COUNT_STEPS (1 << 24)", often)
        monkeypatch.setattr(library, "engine_text", lambda *_: text)
        program, x = counter(), np.repeat(UP_AND_DOWN[:, 150:260], 13, axis=0)
        options: dict[str, Any] = {"lengths": np.random.default_rng(1).integers(0, 110, 13)}
        options["initial_state"] = {"lstm": {"c": np.array([32700])}}
        expected = l2l.simulate(program, x, "blas", **options)
        assert expected.saturations
        native = NativeEngine(program, plain, ("-O0",))
        assert_same(on_level(program, x, None, NARROW[-1], native, **options), expected)

    @staticmethod
    def alike(program: l2l.LoihiProgram, x: Any, elapsed: Any) -> None:
        lengths = np.random.default_rng(len(x)).integers(0, x.shape[1], len(x), endpoint=True)
        start: dict[str, Any] = {}
        for p in program.populations:  # states far from 0, so that much saturates
            start[p.name] = {w: np.full(p.size, (1 << (b - 1)) - 1) for w, b in p.program.states
                             if w not in (p.program.message_state, "phase")}  # fmt: skip
        options: dict[str, Any] = {"timespans": elapsed, "lengths": lengths, "initial_state": start}
        expected = l2l.simulate(program, x, "reference", **options)
        assert expected.saturated_words is not None
        for p in program.populations:
            marks = {mark.name for mark in p.program.saturations or ()}
            assert marks == expected.saturated_words[p.name].keys()
        assert_same(l2l.simulate(program, x, "blas", **options), expected)
        for lanes in KERNELS:
            assert_same(on_level(program, x, None, lanes, **options), expected)


class TestWhatIsMarked:
    def test_states_that_lose_and_messages_of_calibrated_formats(self) -> None:
        expected = {
            variants.Variant(mode="pure"): {"layer_0": {"h"}},
            variants.Variant(before="relu", after="tanh"): {"before": {"message"}, "after": set()},
            variants.Variant(family="lstm"): {"gated_0": {"c"}},
            variants.Variant(family="gru"): {"gated_0": set()},
            variants.Variant(family="mingru linear"): {"gated_0": {"value", "message"}},
            variants.Variant(): {"layer_0": set(), "readout": set()},
        }
        for variant, names in expected.items():
            x, elapsed = variants.samples(variant, 8, 20)
            program = l2l.quantize(variants.network(variant), x, calibrate_timespans=elapsed)
            for name, wanted in names.items():
                found = {mark.name for mark in program.saturations[name]}
                assert {n for n in found if not n.endswith(".preactivation")} == wanted, variant

    def test_of_old_files_the_states_and_messages(self) -> None:
        for family in ("lstm", "gru", "mingru linear", "minlstm"):
            variant = variants.Variant(family=family, before="relu")
            x, _ = variants.samples(variant, 8, 20)
            program = l2l.quantize(variants.network(variant), x)
            for p in old(program).populations:
                kept = {*recorded_words(p.program), "message"}
                marks = program.saturations[p.name]
                wanted = {(m.free, m.held, m.when) for m in marks if m.name in kept}
                found = {(m.free, m.held, m.when) for m in old(program).saturations[p.name]}
                assert found == wanted, family

    def test_elapsed_time_beyond_the_calibrated_range_is_an_input(self) -> None:
        variant = variants.Variant(irregular=True)
        x, elapsed = variants.samples(variant, 8, 20)
        program = l2l.quantize(variants.network(variant), x, calibrate_timespans=elapsed)
        elapsed[:3, 4] = 50 * elapsed.max()
        for engine in ENGINES:
            found = l2l.simulate(program, x, engine, timespans=elapsed)
            assert found.saturated.tolist() == [0, 0, 0, 3]

    def test_shapes_of_clamps(self) -> None:
        def program(make: Any) -> NeuronProgram:
            t = Tracer("made")
            state, x = t.state("s", 8), t.accumulator("a")
            answer = make(t, state, x)
            t.write(state, answer)
            t.spike(answer)
            return replace(t.program(), saturations=None)

        bounds = {"sum": IntegerInterval.of(-200, 300)}
        floor_first = program(lambda t, s, x: t.minimum(t.maximum(x, -128), 127))
        assert derived_saturations(floor_first, bounds) == (Saturation("s", "sum", "min"),)
        ceiling_first = program(lambda t, s, x: t.maximum(t.minimum(x, 127), -128))
        assert derived_saturations(ceiling_first, bounds) == (Saturation("s", "sum", "max"),)
        held = program(
            lambda t, s, x: t.select(t.less(x, 5), t.minimum(t.maximum(x, -128), 127), s)
        )
        assert derived_saturations(held, bounds) == (Saturation("s", "sum", "min", "less2"),) or (
            derived_saturations(held, bounds) == (Saturation("s", "sum", "min", "less"),)
        )
        rounded = {"sum": IntegerInterval.of(-128, 128)}
        assert derived_saturations(floor_first, rounded) == ()

    def test_marks_of_words_that_are_not_there(self) -> None:
        code = (
            Instruction("RDC", "x", ("a",)),
            Instruction("MIN", "y", ("x", 1)),
            Instruction("SPIKE", "", ("y",)),
        )
        marks = (
            Saturation("a b", "x", "y"),
            Saturation("n", "x", "z", "w"),
            Saturation("n", "x", "y"),
        )
        with pytest.raises(ProgramError) as caught:
            NeuronProgram("p", ("a",), (), (), code, saturations=marks)
        assert list(caught.value.problems) == [
            "saturation 'a b' has no name of a word; use letters, digits, _ and dots",
            "saturation 'n' names 'z', which no instruction makes",
            "saturation 'n' names 'w', which no instruction makes",
            "saturation 'n' is declared twice",
            "saturation 'y' is of one word, counted twice",
        ]
