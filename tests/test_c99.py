"""Programs as C99: the answers of the reference, no warnings, nothing undefined, files whole or not
at all.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_programs import (
    GOALS,
    assert_answers,
    compiled,
    needs_compiler,
    sanitizers,
    tried,
    written,
)
from conftest import Run
from engines import made, operations_program, random_start, zoo_program
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_samples
from programs import Sizes, random_inputs, random_program
from stock_programs import stock_programs
from strangers import register
from test_convolution import convolutions, two_layers
from test_saturations import UP_AND_DOWN, counter
from variants import Variant, network, samples, variants
from wide_programs import looping_program, reaching_program

import lnn2loihi as l2l
from lnn2loihi import plugins
from lnn2loihi.converters.c99.codec import encoder_lines
from lnn2loihi.converters.c99.exporter import C99Exporter, CExport
from lnn2loihi.converters.c99.fixed_range import LARGEST_FRACTION
from lnn2loihi.converters.c99.names import Names
from lnn2loihi.converters.c99.source import CSource, c_source
from lnn2loihi.converters.c99.tables import Tables, side_by_side
from lnn2loihi.converters.c99.text import comment
from lnn2loihi.errors import PluginError
from lnn2loihi.files import write_together
from lnn2loihi.formats import FixedPoint, signed_range
from lnn2loihi.neurons.tracer import Tracer
from lnn2loihi.program import Connection, InputPort, LoihiProgram, Population
from lnn2loihi.simulation.inputs import full_initial_state
from lnn2loihi.simulation.reference import run_reference
from lnn2loihi.targets import target_of

PLAIN = random_program(3, Sizes(inputs=3, layers=(6, 4), readout=2))
MODELS = Path(l2l.__file__).parent.parent / "models"


def few(examples: int) -> settings:
    """Some examples: each is compiled for each goal."""
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


def quantized(variant: Variant, recipe: str = "w8a12") -> LoihiProgram:
    x, elapsed = samples(variant, 8, 20)
    return l2l.quantize(network(variant), x, recipe, calibrate_timespans=elapsed)


@needs_compiler
class TestAnswers:
    """The self-test of each program: outputs and every word, with the ends of inputs among them."""

    @given(
        seed=st.integers(0, 1 << 30),
        sizes=st.builds(
            Sizes,
            layers=st.lists(st.integers(1, 70), min_size=1, max_size=3).map(tuple),
            weight_bits=st.integers(1, 8),
            density=st.sampled_from([0.1, 0.5, 1.0]),
            message_bits=st.sampled_from([6, 8, 12, 16]),
            skip_delay=st.booleans(),
            extreme=st.booleans(),
        ),
    )
    @few(6)
    def test_of_random_programs(self, seed: int, sizes: Sizes) -> None:
        assert_answers(random_program(seed, sizes))

    @given(seed=st.integers(0, 1 << 30), density=st.sampled_from([0.05, 0.5, 1.0]))
    @few(3)
    def test_of_random_code(self, seed: int, density: float) -> None:
        assert_answers(zoo_program(seed, (1, 3, 36), density=density))

    def test_of_each_operation(self) -> None:
        assert_answers(operations_program())

    @given(stock_programs(message_bits=24))
    @few(4)
    def test_of_stock_programs(self, program: LoihiProgram) -> None:
        assert_answers(program)

    @given(convolutions(), st.integers(1, 3))
    @few(5)
    def test_of_kernels(self, kernel: l2l.Convolution, parts: int) -> None:
        assert_answers(two_layers(kernel, parts))

    @pytest.mark.parametrize("make", [reaching_program, lambda: looping_program(24)])
    def test_of_wide_messages(self, make: Callable[[], LoihiProgram]) -> None:
        assert_answers(make())

    @given(variants())
    @few(4)
    def test_of_families(self, variant: Variant) -> None:
        assert_answers(quantized(variant))

    @pytest.mark.parametrize("target", ["split", "split_one", "stock"])
    def test_of_split_programs(self, target: str) -> None:
        variant = Variant(family="cfc" if target == "stock" else "gru", units=3)
        assert_answers(target_of(target).prepare(quantized(variant)))

    @pytest.mark.parametrize("irregular", [False, True])
    def test_of_substeps(self, irregular: bool) -> None:
        net, x = random_ltc(1, timespan=None if irregular else 0.7), random_samples(1, 4, 10, 3)
        elapsed = np.random.default_rng(1).uniform(0, 2, (4, 10)) if irregular else None
        program = l2l.quantize(net, x, "w4a8x12", calibrate_timespans=elapsed)
        assert program.substeps > 1
        assert_answers(program)

    def test_of_interleaved_programs(self) -> None:
        program = quantized(Variant(memory=True, backbone=(6,)))
        several = program.interleaved(program.schedule.period)
        assert program.schedule.period > 1
        for goal in GOALS:
            one, other = c_source(program, goal=goal), c_source(several, goal=goal)
            assert one.source == other.source

    def test_a_self_test_sees_what_differs(self) -> None:
        made = c_source(PLAIN, selftest="hash")
        wrong = re.sub(r"(const int32_t \w*biased = )", r"\g<1>1000 + ", made.source)
        assert tried(replace(made, source=wrong)) == (1, "net: sample 1 differs\n")

    def test_the_goal_may_be_chosen_when_it_is_compiled(self) -> None:
        made = c_source(PLAIN, goal="either", selftest="hash")
        for flags in ((), ("-DNET_SPEED=0",), ("-DNET_SPEED=1",)):
            assert tried(made, *flags) == (0, "net: 64 samples, 0 differ\n")
        speed, size = c_source(PLAIN, goal="speed"), c_source(PLAIN)
        assert speed.members == size.members == made.members

    @pytest.mark.parametrize("kind", ["hash", "vectors"])
    def test_a_self_test_with_vectors_is_the_same(self, kind: Any) -> None:
        made = c_source(PLAIN, "other", selftest=kind)
        assert tried(made, *sanitizers()) == (0, "other: 64 samples, 0 differ\n")


def library_of(made: CSource, folder: Path) -> ctypes.CDLL:
    files = written(made, folder)
    return ctypes.CDLL(str(compiled(files, folder / "net.so", "-shared", "-fPIC", "-O1")))


def struct_of(made: CSource) -> ctypes.Structure:
    """The state as the header has it."""
    kinds = {name: getattr(ctypes, f"c_{name[:-2]}") for name in {m.kind for m in made.members}}
    assert len({m.name for m in made.members}) == len(made.members)
    fields = [(m.name, kinds[m.kind] * m.size) for m in made.members]
    return type("State", (ctypes.Structure,), {"_fields_": fields})()


@needs_compiler
class TestState:
    @pytest.mark.parametrize("goal", GOALS)
    @pytest.mark.parametrize("seed", [0, 1])
    def test_every_word_of_every_update_from_any_state(
        self, goal: Any, seed: int, tmp_path: Path
    ) -> None:
        program = zoo_program(seed, (1, 4, 40))
        made = c_source(program, goal=goal)
        library, state = library_of(made, tmp_path), struct_of(made)
        assert ctypes.sizeof(state) == made.state_bytes
        start = random_start(program, seed, 1)
        x = random_inputs(seed, program, 1, 9)
        expected = run_reference(program, x, full_initial_state(program, 1, start)).states
        assert {*made.words} == {(p, w) for p, words in expected.items() for w in words}
        library.net_reset(ctypes.byref(state))
        for (name, word), member in made.words.items():
            if word in start[name]:
                getattr(state, member.name)[:] = start[name][word][0].tolist()
        for time, sample in enumerate(x[0]):
            given_sample = (ctypes.c_int32 * len(sample))(*sample.tolist())
            library.net_update(ctypes.byref(state), given_sample)
            for (name, word), member in made.words.items():
                found = list(getattr(state, member.name))
                assert found == expected[name][word][0, time].tolist(), (name, word)

    def test_inputs_out_of_range_are_held_at_its_ends(self, tmp_path: Path) -> None:
        library, ends = library_of(c_source(PLAIN), tmp_path), []
        for value in (PLAIN.input.high.tolist(), [(1 << 31) - 1] * 3):
            state, answer = struct_of(c_source(PLAIN)), (ctypes.c_int32 * 2)()
            library.net_reset(ctypes.byref(state))
            library.net_step(ctypes.byref(state), (ctypes.c_int32 * 3)(*value), answer)
            ends.append(list(answer))
        assert ends[0] == ends[1]


@needs_compiler
class TestCounting:
    """What saturates is counted as `simulate` counts it, and answers stay."""

    @staticmethod
    def counted(made: CSource, x: Any, encode: str, folder: Path) -> tuple[Any, Any, Any]:
        """Counts of inputs, counts of words by `population.word`, and answers."""
        library, state, answers = library_of(made, folder), struct_of(made), []
        library.net_reset(ctypes.byref(state))
        for sample in np.ascontiguousarray(x[0]):
            heard = np.array(sample, np.int32) if not encode else np.zeros(sample.size, np.int32)
            if encode:
                getattr(library, encode)(_pointer(sample), _pointer(heard))
            out = (ctypes.c_int32 * 64)()
            library.net_step(ctypes.byref(state), _pointer(heard), out)
            answers.append(list(out))
        words = {".".join(w): state.saturated_words[n] for w, n in
                 made.saturations.items()}  # fmt: skip
        return list(state.saturated_inputs), words, np.array(answers)

    @staticmethod
    def assert_counts(counts: Any, result: l2l.SimulationResult) -> None:
        inputs, words, answers = counts
        assert inputs == result.saturated.tolist()
        assert {word: n for word, n in words.items() if n} == result.saturations
        assert np.array_equal(answers[:, : result.integers.shape[-1]], result.integers[0])

    @pytest.mark.parametrize("goal", GOALS)
    @pytest.mark.parametrize("family", ["cfc", "lstm", "mingru"])
    def test_of_floats_far_out_of_range(self, family: str, goal: Any, tmp_path: Path) -> None:
        variant = Variant(family, units=37 if family == "lstm" else 5, irregular=family == "cfc")
        program = quantized(variant)
        x, elapsed = samples(variant, 1, 60)
        x = (8.0 * x).astype(np.float32)
        result = l2l.simulate(program, x, timespans=elapsed)
        heard = x
        if elapsed is not None:
            heard = np.concatenate([x, elapsed[..., None].astype(np.float32)], axis=-1)
            result = l2l.simulate(program, x, timespans=heard[..., -1])
        assert result.saturated_inputs > 0
        made = c_source(program, goal=goal, codec="float", count_saturation=True)
        self.assert_counts(self.counted(made, heard, "net_encode_float", tmp_path), result)

    @pytest.mark.parametrize("goal", GOALS)
    def test_of_words_inside_of_neurons(self, goal: Any, tmp_path: Path) -> None:
        program = counter()
        result = l2l.simulate(program, UP_AND_DOWN)
        assert result.saturations
        made = c_source(program, goal=goal, codec="float", count_saturation=True)
        assert "#define NET_SATURATED_LSTM_C 0\n" in made.header
        up = UP_AND_DOWN.astype(np.float32)
        self.assert_counts(self.counted(made, up, "net_encode_float", tmp_path), result)

    def test_of_several_updates_a_sample_each_sample_counts_once(self, tmp_path: Path) -> None:
        program = l2l.quantize(random_ltc(0), random_samples(0, 2, 6, 3), "w8a12")
        assert program.substeps > 1
        rng = np.random.default_rng(0)
        x = rng.integers(-5000, 5000, (1, 12, program.input.size))
        made = c_source(program, count_saturation=True)
        self.assert_counts(
            self.counted(made, x, "", tmp_path), l2l.simulate(program, x, encoded=True)
        )

    def test_nothing_is_counted_unless_it_is_asked_for(self) -> None:
        made = c_source(counter())
        assert "saturated" not in made.source + re.sub("What is beyond.*", "", made.header)
        assert not made.saturations

    def test_the_header_has_the_ends_of_each_channel(self) -> None:
        port = replace(PLAIN.input, gain=np.array([512.0, 3.3e3, 0.7]), offset=np.array([0, 1, -2]))
        header = c_source(replace(PLAIN, input=port), "abc").header
        found = dict(re.findall(r"#define ABC_INPUT_(\w+) \{(.*)\}", header))
        lists = {name: [float(one) for one in text.split(", ")] for name, text in found.items()}
        assert lists == {
            "LOW": port.low.tolist(), "HIGH": port.high.tolist(),
            "REAL_LOW": port.decode(port.low).tolist(),
            "REAL_HIGH": port.decode(port.high).tolist(),
        }  # fmt: skip

    def test_macros_of_many_channels_are_lists_that_compile(self, tmp_path: Path) -> None:
        program = random_program(0, Sizes(inputs=90, layers=(2,), readout=1))
        made = c_source(program, count_saturation=True, codec="fixed")
        lines = made.header.split("\n") + (made.codec or ("", ""))[0].split("\n")
        assert max(map(len, lines)) <= 100
        uses = "".join(
            f"static const {kind} {name}[NET_INPUTS] = NET_INPUT_{name};\n"
            for kind, name in (("int32_t", "LOW"), ("int32_t", "HIGH"),
                               ("double", "REAL_LOW"), ("double", "REAL_HIGH"))
        )  # fmt: skip
        body = "return LOW[89] < HIGH[89] && REAL_LOW[89] < REAL_HIGH[89];"
        files = written(made, tmp_path)
        (tmp_path / "use.c").write_text(
            f'#include "net.h"\n{uses}int use(void);\nint use(void)\n{{\n    {body}\n}}\n'
        )
        library = compiled([*files, tmp_path / "use.c"], tmp_path / "l.so", "-shared", "-fPIC")
        assert ctypes.CDLL(str(library)).use() == 1


@needs_compiler
class TestCodec:
    @staticmethod
    def program(gain: Any, offset: Any) -> LoihiProgram:
        port = replace(PLAIN.input, gain=np.array(gain), offset=np.array(offset))
        return replace(PLAIN, input=port)

    def test_floats_are_encoded_as_by_the_library(self, tmp_path: Path) -> None:
        program = self.program([512.0, 3.3e3, 0.7], [0.0, -1.25, 1e3])
        library = library_of(c_source(program, codec="float"), tmp_path)
        rng = np.random.default_rng(0)
        reach = rng.choice([1e-3, 1.0, 1e3, 1e30], (2000, 1))
        x = (rng.normal(size=(2000, 3)) * reach).astype(np.float32)
        halves = (rng.integers(-3000, 3000, (1000, 3)) + 0.5) / program.input.gain
        x = np.concatenate([x, (halves + program.input.offset).astype(np.float32)])
        x[0] = [np.inf, -np.inf, 0.0]
        expected = program.input.encode(x[None].astype(np.float64))[0][0]
        found = np.zeros(x.shape, np.int32)
        for sample, place in zip(np.ascontiguousarray(x), found, strict=True):
            library.net_encode_float(_pointer(sample), _pointer(place))
        assert np.array_equal(found, expected)
        y = rng.integers(-5000, 5000, (200, 2)).astype(np.int32)
        answer = np.zeros(y.shape, np.float32)
        for messages, place in zip(y, answer, strict=True):
            library.net_decode_float(_pointer(messages), _pointer(place))
        assert np.array_equal(answer, program.output_population.decode(y).astype(np.float32))

    @pytest.mark.parametrize("bits", [0, 8, 16, LARGEST_FRACTION])
    def test_fixed_point_is_as_near_as_it_says(self, bits: int, tmp_path: Path) -> None:
        program = self.program([512.0, 3.3e3, 0.7], [0.0, -1.25, 1e3])
        made = c_source(program, codec="fixed", fraction_bits=bits)
        library, rng = library_of(made, tmp_path), np.random.default_rng(bits)
        assert made.codec is not None
        encoded, decoded = map(float, re.findall(r"off\s+by at most ([^ ,]+)", made.codec[0]))
        shift = rng.integers(0, 31, (3000, 1))
        q = (rng.integers(-(1 << 31), 1 << 31, (3000, 3)) >> shift).astype(np.int32)
        exact = (q / 2.0**bits - program.input.offset) * program.input.gain
        found = np.zeros(q.shape, np.int32)
        for sample, place in zip(q, found, strict=True):
            library.net_encode_fixed(_pointer(sample), _pointer(place))
        low, high = program.input.low, program.input.high
        nearest = np.clip(exact, low, high)
        assert (np.abs(found - nearest) <= 0.5 + encoded + 1e-6).all()
        first = program.input.encode(q[None] / 2.0**bits)[0][0]
        assert np.array_equal(found[:, 0], first[:, 0])  # a gain that is a power of two is exact
        y = rng.integers(-5000, 5000, (200, 2)).astype(np.int32)
        answer = np.zeros(y.shape, np.int32)
        for messages, place in zip(y, answer, strict=True):
            library.net_decode_fixed(_pointer(messages), _pointer(place))
        real = program.output_population.decode(y) * 2.0**bits
        held = np.clip(real, -(1 << 31), (1 << 31) - 1)
        assert (np.abs(answer - held) <= 0.5 + decoded + 1e-6).all()

    @given(
        gain=st.floats(1e-9, 1e9), offset=st.floats(-1e6, 1e6), bits=st.integers(0, 30),
        q=st.integers(-(1 << 31), (1 << 31) - 1),
    )  # fmt: skip
    def test_lines_are_as_near_as_they_say(
        self, gain: float, offset: float, bits: int, q: int
    ) -> None:
        program = self.program([gain] * 3, [offset] * 3)
        try:
            lines = encoder_lines(program, bits)
        except l2l.InputError:
            assume(False)
            raise
        total = q * lines.factor[0] + lines.added[0]
        assert -(1 << 63) <= total < 1 << 63 and 0 <= lines.shift[0] < 63
        assert abs(lines.factor[0]) < 1 << 31
        exact = (Fraction(q, 1 << bits) - Fraction(offset)) * Fraction(gain) + Fraction(1, 2)
        assert abs(Fraction(total, 1 << lines.shift[0]) - exact) <= lines.error * 1.000001

    @pytest.mark.parametrize(
        ("gain", "offset", "bits", "said"),
        [
            (1.0, 0.0, 30, "what is beyond -2 to 2 saturates; fraction_bits 0 to"),
            (1.0, 1e6, 16, "what is beyond -32768 to 32768 saturates; fraction_bits 0 to 11"),
            (1e9, 0.0, 0, "its step of 1 leaves 1 value; fraction_bits 30 serves it best"),
            (1e-9, 0.0, 0, "saturates; no fraction bits have room for it: take a codec of floats"),
            (512.0, 0.0, 16, None),
        ],
    )
    def test_channels_that_fixed_point_does_not_serve_are_named(
        self, gain: float, offset: float, bits: int, said: str | None,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        made = c_source(
            self.program([512.0, gain, 512.0], [0.0, offset, 0.0]),
            codec="fixed", fraction_bits=bits,
        )  # fmt: skip
        assert made.codec is not None
        assert all(f"input {channel}: " in made.codec[0] for channel in range(3))
        told = "\n".join(record.getMessage() for record in caplog.records)
        if said is None:
            assert "input 1" not in told
        else:
            assert "input 1: " in told and said in told
            assert said in re.sub(r"\s+", " ", made.codec[0])

    def test_what_has_no_room_is_refused(self) -> None:
        wrong = self.program([1e-30, 1e-30, 1.0], [0.0, 0.0, 0.0])
        with pytest.raises(l2l.InputError, match="of channel 1 leave no room in 64 bits"):
            c_source(wrong, codec="fixed")
        with pytest.raises(l2l.InputError, match=r"31 is outside 0\.\.30"):
            c_source(PLAIN, codec="fixed", fraction_bits=31)


def _pointer(array: Any) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter, also where this source is not what is installed."""
    if "c99" not in plugins.EXPORTERS.names():
        register(monkeypatch, {"c99": C99Exporter()}, "lnn2loihi.exporters")


@pytest.mark.usefixtures("registered")
class TestExport:
    @pytest.mark.parametrize("name", ["net", "net.h", "net.C", "net.cpp", ".c"])
    def test_names_that_end_otherwise_are_refused(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(l2l.InputError, match="files of C end in .c"):
            l2l.export(PLAIN, tmp_path / name, format="c99")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            (["--record"], "--record"), (["--dtype", "int32"], "--dtype"),
            (["--dtype", "int32", "--record"], "--dtype, --record"),
        ],
    )  # fmt: skip
    def test_flags_of_other_formats_are_named_as_they_were_given(
        self, given: list[str], named: str, run: Run, tmp_path: Path
    ) -> None:
        program = MODELS / "damped_sine" / "w4a8x12.l2l"
        code, _, err = run("export", program, "-o", tmp_path / "net.c", *given)
        assert code == 1 and f"{named}: what" in err and "takes no such option" in err
        assert not list(tmp_path.iterdir())

    def test_the_files_are_those_of_the_name(self, tmp_path: Path) -> None:
        options: Any = {"codec": "fixed", "selftest": "hash"}
        assert l2l.export(PLAIN, tmp_path / "my-net.c", **options) == tmp_path / "my-net.c"
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "my-net.c", "my-net.h", "my-net_codec.c", "my-net_codec.h", "my-net_selftest.c",
        ]  # fmt: skip
        assert '#include "my-net.h"' in (tmp_path / "my-net.c").read_text()
        assert "void my_net_step(my_net_state *net," in (tmp_path / "my-net.h").read_text()
        made = l2l.export(PLAIN, "c99")
        assert isinstance(made, CExport) and made.source().header == c_source(PLAIN).header

    def test_writing_is_whole_or_not_at_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = l2l.export(PLAIN, tmp_path / "net.c")
        before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
        calls = []

        def second(*names: Any) -> None:
            calls.append(names)
            if len(calls) == 2:
                raise KeyboardInterrupt
            os.rename(*names)

        monkeypatch.setattr(os, "replace", second)
        with pytest.raises(KeyboardInterrupt):
            l2l.export(random_program(4), path, goal="speed")
        assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before
        calls.clear()
        with pytest.raises(KeyboardInterrupt):
            l2l.export(PLAIN, tmp_path / "other.c")
        assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before
        (tmp_path / "third.h").mkdir()
        with pytest.raises(l2l.InputError, match=r"third\.h: cannot be written: Is a directory"):
            l2l.export(PLAIN, tmp_path / "third.c")
        assert not (tmp_path / "third.c").exists()

    def test_two_names_of_one_file_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("a")
        (tmp_path / "b").symlink_to(tmp_path / "a")
        with pytest.raises(l2l.InputError, match="the same file as another"):
            write_together({tmp_path / "a": b"1", tmp_path / "b": b"2"})
        assert (tmp_path / "a").read_text() == "a"

    @pytest.mark.parametrize(
        ("name", "options", "said"),
        [
            ("int.c", {}, "prefix: 'int' is no name of C"),
            ("i.c", {}, "prefix: 'i' is taken: the code that is written calls an argument"),
            ("main.c", {}, "prefix: 'main' is taken: C calls its entry or a type of its own so"),
            (f"{'a' * 41}.c", {}, "has 41 letters, the limit is 40"),
            ("2.c", {}, "prefix: '2' is no name of C"),
            ("2.c", {"prefix": "a-b"}, "prefix: 'a-b' is no name of C"),
            ("ä.c", {}, "no name that every compiler includes"),
            ("net.c", {"goal": "small"}, "goal"),
            ("net.c", {"fraction_bits": 8}, "are those of codec 'fixed', here it is 'none'"),
            ("net.c", {"color": 1}, "unknown; it takes prefix, goal, codec"),
        ],
    )
    def test_refusals(self, name: str, options: Any, said: str, tmp_path: Path) -> None:
        with pytest.raises(l2l.InputError, match=re.escape(said)):
            l2l.export(PLAIN, tmp_path / name, **options)
        assert not list(tmp_path.iterdir())

    def test_the_command(self, run: Run, tmp_path: Path) -> None:
        l2l.save(PLAIN, tmp_path / "net.l2l")
        code, out, _ = run(
            "export", tmp_path / "net.l2l", "-o", tmp_path / "net.c",
            "--option", "selftest=vectors", "--option", "goal=speed", "--json",
        )  # fmt: skip
        said = json.loads(out)
        names = ["net.c", "net.h", "net_selftest.c"]
        assert code == 0 and said["files"] == [str(tmp_path / name) for name in names]
        assert said["bytes"] == sum((tmp_path / name).stat().st_size for name in names)

    def test_an_exporter_of_several_files_that_breaks_its_promise_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lnn2loihi.registry._is_ours", lambda point: False)  # as of a stranger
        for answer in ({}, {"net.c": "text"}, {"net.c": b"", "../net.h": b""}):
            monkeypatch.setattr(C99Exporter, "to_files_beside", lambda *_, a=answer: a)
            with pytest.raises(PluginError, match=r"to_files_beside\(\)"):
                l2l.export(PLAIN, tmp_path / "net.c")
        assert not list(tmp_path.iterdir())


class TestText:
    @given(st.lists(st.text(max_size=60), max_size=8))
    def test_names_are_identifiers_and_differ(self, wanted: list[str]) -> None:
        outer = Names()
        inner = Names(outer)
        found = [name for text in wanted for name in (outer.give(text), inner.give(text))]
        assert len({*found}) == len(found)
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in found)

    @given(st.text(alphabet='*/\\?"a\u00e4', max_size=12))
    def test_comments_do_not_end(self, text: str) -> None:
        said = comment(text)
        assert said.isascii() and not re.search(r"\*/|/\*|\?\?|\\", said)

    @needs_compiler
    @pytest.mark.parametrize("odd", ["int */ 1", "\u00e9", "field", "update_\u00e9"])
    def test_populations_may_be_called_anything(self, odd: str) -> None:
        code = Tracer("x")
        biased = code.add(code.accumulator("sum"), code.parameter("count", 8))
        code.spike(biased)
        size = {"count": np.arange(4)}
        form = FixedPoint(24, 0)
        low, high = signed_range(20)
        first = Population(odd, code.program(), size, {}, form, low, high, 4)
        weights = np.random.default_rng(0).integers(-8, 8, (4, 3))
        joined = Connection.from_dense("net", odd, ("sum",), weights)
        port = InputPort("net", FixedPoint(8, 0), np.full(3, -128), np.full(3, 127))
        assert_answers(made("a */ \\", port, [first], [joined], odd))

    @given(st.lists(st.integers(-(1 << 23), (1 << 23) - 1), min_size=1, max_size=300))
    def test_packed_tables_hold_their_numbers(self, numbers: list[int]) -> None:
        values = np.array(numbers)
        low = int(values.min())
        width = max(int(values.max() - low).bit_length(), 1)
        content = side_by_side(values - low, width, padding=3)
        for index, value in enumerate(numbers):
            at = index * width
            word = int.from_bytes(bytes(content[at >> 3 : (at >> 3) + 4].tolist()), "little")
            assert ((word >> (at & 7)) & ((1 << width) - 1)) + low == value

    def test_equal_tables_are_one(self) -> None:
        tables = Tables(Names(), packing=False)
        one, other = tables.add("one", [1, 2, 3]), tables.add("other", [1, 2, 3])
        assert one == other and len(tables.texts()) == 1

    def test_packing_pays(self) -> None:
        program = l2l.load(MODELS / "damped_sine" / "w4a8x12.l2l")
        assert "sum_nibbles_int8" in c_source(program).source
        assert "nibbles" not in c_source(program, goal="speed").source
        assert c_source(program).state_bytes + c_source(program).stack_bytes < 512
