"""An executor of a stranger works wherever one of ours does; what it hands back is checked."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from engines import assert_same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_samples
from programs import Sizes, random_program
from strangers import register
from test_streams import TIMED

import lnn2loihi as l2l
from lnn2loihi.errors import PluginError
from lnn2loihi.frozen import identical
from lnn2loihi.measure import against_names, runners
from lnn2loihi.simulation.blas import run_blas
from lnn2loihi.simulation.executor import EXECUTORS, Execution, Executor
from lnn2loihi.simulation.reference import run_reference
from lnn2loihi.simulation.result import EngineRun, IntegerRun

BUSY = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PLAIN = random_program(3, Sizes(inputs=3, layers=(6, 4), readout=2))


class Called:
    """Nothing but a call, as executors of before were; not even a share."""

    def __call__(
        self, program: Any, inputs: Any, initial_state: Any, on_step: Any = None
    ) -> IntegerRun:
        return IntegerRun("called 1.0", run_reference(program, inputs, initial_state).states)


class Narrow(Executor):
    """Knows nobody of its options; its words have other types than ours."""

    def run(self, program: Any, inputs: Any, initial_state: Any) -> IntegerRun:
        states = run_reference(program, inputs, initial_state).states
        narrow = {
            n: {w: v.astype(np.int32) for w, v in words.items()} for n, words in states.items()
        }
        return IntegerRun("narrow 1.0", narrow)


class Whole(Executor):
    """Ends by itself and counts messages, but not what saturates; leaves junk beyond the ends."""

    def run(
        self, program: Any, inputs: Any, initial_state: Any, on_step: Any = None, *,
        lengths: Any, record: bool, threads: Any = None,
    ) -> EngineRun:  # fmt: skip
        made = run_blas(program, inputs, initial_state, lengths, True, on_step)
        beyond = np.arange(inputs.shape[1]) >= lengths[:, None]
        integers = made.integers.astype(np.int64)
        integers[beyond] = 77
        return replace(
            made, executor="whole 1.0", integers=integers, saturated_words=None,
            states=made.states if record else None,
        )  # fmt: skip


STRANGERS: dict[str, Any] = {"called": Called(), "narrow": Narrow(), "whole": Whole()}


@pytest.fixture(scope="module", autouse=True)
def strangers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        register(patch, STRANGERS)
        yield


def program_of(timed: bool, seed: int) -> tuple[l2l.LoihiProgram, dict[str, Any]]:
    """A program, and samples that saturate it now and then."""
    x = 3.0 * random_samples(seed, 4, 6, 3)
    if not timed:
        return PLAIN, {"x": x}
    return TIMED, {"x": x, "timespans": np.abs(random_samples(seed, 4, 6, 1))[..., 0]}


class TestEverywhere:
    @BUSY
    @given(
        name=st.sampled_from([*STRANGERS, "onnxruntime", "reference", "c"]), timed=st.booleans(),
        lengths=st.none() | st.lists(st.integers(0, 6), min_size=4, max_size=4),
        record=st.booleans(), totals=st.booleans(), seed=st.integers(0, 99),
    )  # fmt: skip
    def test_simulate_gives_all_that_ours_give(
        self, name: str, timed: bool, lengths: Any, record: bool, totals: bool, seed: int
    ) -> None:
        program, given = program_of(timed, seed)
        asked: dict[str, Any] = {
            **given, "lengths": lengths, "return_states": record, "step_totals": totals,
        }  # fmt: skip
        found = l2l.simulate(program, engine=name, **asked)
        expected = l2l.simulate(program, engine="blas", **asked)
        if name == "whole" and not totals:  # with totals it is asked for states, and they tell
            assert found.saturated_words is None and found.saturations is None
            found = replace(found, saturated_words=expected.saturated_words)
        assert_same(found, expected)
        assert identical(found.counters, expected.counters)

    @pytest.mark.parametrize("name", STRANGERS)
    def test_streams_carry_the_state(self, name: str) -> None:
        for timed in (False, True):
            program, given = program_of(timed, 1)
            x, spans = given["x"][:1], given.get("timespans")
            times = [None] * 6 if spans is None else spans[0].tolist()
            expected = l2l.simulate(program, x, timespans=None if spans is None else spans[:1])
            stream = l2l.open_stream(program, name)
            answers = [stream.step(x[0, t], times[t]).tolist() for t in range(3)]
            stream = pickle.loads(pickle.dumps(copy.deepcopy(stream)))
            answers += [stream.step(x[0, t], times[t]).tolist() for t in range(3, 6)]
            assert answers == expected.outputs[0].tolist()
            assert stream.saturated.tolist() == expected.saturated.tolist()
            if name == "whole":
                assert stream.saturated_words is None
            else:
                assert identical(stream.saturated_words, expected.saturated_words)
            stream.reset()
            assert stream.step(x[0, 0], times[0]).tolist() == answers[0]
            given = {"x": given["x"], "timespans": spans}
            chunks = l2l.simulate_stream(
                program, [given["x"][:, :2], given["x"][:, 2:]], name,
                timespans=None if spans is None else [spans[:, :2], spans[:, 2:]],
            )  # fmt: skip
            whole = l2l.simulate(program, **given).integers
            assert np.array_equal(np.concatenate([c.integers for c in chunks], axis=1), whole)

    def test_its_own_stream_is_used(self) -> None:
        class Streaming(Called):
            def open_stream(self, program: Any, state: Any, encoded: bool) -> Any:
                opened.append(encoded)
                return Execution("called", Called()).open_stream(program, state, encoded)

        opened: list[bool] = []
        with pytest.MonkeyPatch.context() as patch:
            register(patch, {"streaming": Streaming()})
            stream = l2l.open_stream(PLAIN, "streaming")
        x = random_samples(1, 1, 1, 3)
        assert opened == [False]
        assert stream.step(x[0, 0]).tolist() == l2l.simulate(PLAIN, x).outputs[0, 0].tolist()

    def test_verify(self) -> None:
        x = random_samples(1, 3, 4, 3)
        seen: list[Any] = []
        found = l2l.verify(
            PLAIN, x, ["reference", *STRANGERS, "auto"], lengths=[4, 2, 0],
            progress=lambda *s: seen.append(s),
        )  # fmt: skip
        assert found.bit_exact and found.executors[1:4] == ("called 1.0", "narrow 1.0", "whole 1.0")
        assert {cell.compared for cell in found.matrix} == {6 * 6, 6 * 4, 6 * 2}
        assert [s for s in seen if s[0] == "narrow"] == [("narrow", 4, 4)]
        every = l2l.verify(PLAIN, x, "all")
        assert {"called 1.0", "narrow 1.0", "whole 1.0"} <= set(every.executors)
        assert every.executors[0] == "reference"

    def test_profile_and_its_runners(self) -> None:
        x = random_samples(1, 3, 4, 3)
        assert {f"cpu:{name}" for name in (*EXECUTORS.names(), "auto")} <= set(against_names())
        made = runners(PLAIN, against=["cpu:engine", "cpu:called", "cpu:whole"], threads=[1, 2])
        assert [(r.name, r.threads) for r in made] == [
            ("integer engine c, 1 thread", 1), ("integer engine c, 2 threads", 2),
            ("integer engine called", None),
            ("integer engine whole, 1 thread", 1), ("integer engine whole, 2 threads", 2),
        ]  # fmt: skip
        for runner in made:
            assert np.array_equal(runner.outputs(x), l2l.simulate(PLAIN, x).outputs)
        with pytest.raises(l2l.InputError, match="cpu:nobody' is unknown; .* cpu:called, cpu:narr"):
            runners(PLAIN, against=["cpu:nobody"])
        result = l2l.profile(
            PLAIN, x, against="cpu:called", frontier=False, quick=True, budget_seconds=0.2
        )
        rows = [row for row in result.rows if row.backend == "integer engine called"]
        assert rows and all(row.threads is None and row.status != "failed" for row in rows)

    def test_the_command_line(self, run: Run, tmp_path: Path) -> None:
        x, program = random_samples(1, 3, 4, 3), l2l.save(PLAIN, tmp_path / "net.l2l")
        np.save(tmp_path / "x.npy", x)
        given = (program, "-i", tmp_path / "x.npy")
        code, out, err = run("simulate", *given, "--executor", "called", "--json")
        assert (code, err) == (0, "") and json.loads(out)["executor"].startswith("called 1.0")
        code, out, _ = run("simulate", *given, "--executor", "whole")
        assert code == 0 and "saturated words: not counted" in out
        code, out, _ = run("verify", *given, "--executors", "reference,narrow")
        assert code == 0 and "BIT EXACT" in out
        options = ("--against", "cpu:narrow", "--quick", "--budget", 0.2, "--json")
        code, out, err = run("profile", *given, *options)
        assert code == 0 and "integer engine narrow" in out
        for verb in ("simulate", "verify"):
            out = " ".join(run(verb, "--help")[1].replace("│", " ").split())
            assert "reference, called, narrow, whole" in out
        code, _, err = run("simulate", *given, "--executor", "nobody")
        assert (
            code == 1
            and "'nobody': does not exist; there are auto, blas, c, c99, c99:cortex-m@qemu," in err
        )


class Broken(Executor):
    """Hands back what `spoil` makes of a right answer."""

    def __init__(self, spoil: Callable[[Any], Any], whole: bool = False) -> None:
        self.run = self._whole if whole else self._trace  # type: ignore[method-assign]
        self._spoil = spoil

    def run(self, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError  # never called: each one has its own, see __init__

    def _trace(self, program: Any, inputs: Any, initial_state: Any) -> Any:
        return self._spoil(Narrow().run(program, inputs, initial_state))

    def _whole(self, program: Any, inputs: Any, initial_state: Any, lengths: Any) -> Any:
        run = Whole().run(program, inputs, initial_state, lengths=lengths, record=False)
        return self._spoil(run)


def put(population: str, word: str, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A run with one word changed."""

    def spoil(run: Any) -> Any:
        run.states[population][word] = change(run.states[population][word])
        return run

    return spoil


def added(population: str, word: str) -> Callable[[Any], Any]:
    """A run with a word that the program does not have."""

    def spoil(run: Any) -> Any:
        run.states.setdefault(population, {})[word] = run.states["layer_0"]["h"]
        return run

    return spoil


def without(population: str, word: str = "") -> Callable[[Any], Any]:
    """A run without a population, or one of its words."""

    def spoil(run: Any) -> Any:
        run.states[population].pop(word) if word else run.states.pop(population)
        return run

    return spoil


WRONG: list[tuple[Callable[[Any], Any], str]] = [
    (lambda run: None, "returned a NoneType; it must be an IntegerRun"),
    (lambda run: run.states, "returned a dict; it must be an IntegerRun"),
    (lambda run: replace(run, executor=3), "a run of executor 3; its name must be a str"),
    (lambda run: replace(run, states=None), "returned no states; give for each population its"),
    (lambda run: replace(run, states=[1]), "states are a list; give for each population its words"),
    (without("layer_1"), "states: population layer_1 is missing, with h"),
    (without("layer_1", "h"), "states: word h of population layer_1 is missing"),
    (added("layer_0", "zz"), "states: this program has no layer_0.zz; leave them out"),
    (added("zz", "h"), "states: this program has no population zz; leave them out"),
    (put("layer_0", "h", lambda v: v.tolist()), "states layer_0.h is a list; it must be an array"),
    (put("layer_0", "h", lambda v: v * 1.0), "states layer_0.h is float64; it must be integers"),
    (put("layer_0", "h", lambda v: v != 0), "states layer_0.h is bool; it must be integers"),
    (
        put("readout", "message", lambda v: v[:, 1:]),
        r"readout.message has shape \(2, 3, 2\), expected \(2, 4, 2\)",
    ),
    (
        put("layer_0", "h", lambda v: v.swapaxes(0, 1)),
        r"layer_0.h has shape \(4, 2, 6\), expected \(2, 4, 6\)",
    ),
]


def counters(run: Any, **changes: Any) -> Any:
    return replace(run, counters=replace(run.counters, **changes))


WRONG_WHOLES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda run: replace(run, integers=run.integers[:1]), r"integers has shape \(1, 4, 2\), expe"),
    (lambda run: replace(run, integers=run.integers / 2), "integers is float64; it must be integ"),
    (lambda run: replace(run, final_state={}), "final_state: population layer_0 is missing, with"),
    (lambda run: replace(run, counters=None), "counters are a NoneType; they must be Counters"),
    (lambda run: counters(run, changed={}), "counters: changed of input is missing"),
    (
        lambda run: counters(run, non_zero=dict.fromkeys(run.counters.non_zero, np.zeros(1, int))),
        r"non_zero of layer_0 has shape \(1,\), expected \(6,\)",
    ),
    (
        lambda run: replace(run, saturated_words={"layer_0": {}}),
        "saturated_words: ",
    ),
]


class TestWrongAnswers:
    X = random_samples(1, 2, 4, 3)

    @pytest.mark.parametrize(("spoil", "message"), WRONG, ids=range(len(WRONG)))
    def test_they_are_refused_with_the_word(
        self, spoil: Any, message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        register(monkeypatch, {"broken": Broken(spoil)})
        for call in (
            lambda: l2l.simulate(PLAIN, self.X, "broken"),
            lambda: l2l.verify(PLAIN, self.X, "reference,broken"),
        ):
            with pytest.raises(PluginError, match=f"executor 'broken': {'.*'}{message}"):
                call()
        assert "broken" in l2l.verify(PLAIN, self.X, "all").missing

    @pytest.mark.parametrize(("spoil", "message"), WRONG_WHOLES, ids=range(len(WRONG_WHOLES)))
    def test_those_that_end_by_themselves_too(
        self, spoil: Any, message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        register(monkeypatch, {"broken": Broken(spoil, whole=True)})
        with pytest.raises(PluginError) as caught:
            l2l.simulate(PLAIN, self.X, "broken")
        assert caught.value.subject == "executor 'broken'"
        assert re.search(message, str(caught.value))

    def test_words_beyond_32_bits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wide = put("layer_0", "h", lambda v: v.astype(np.int64) + (1 << 40))
        register(monkeypatch, {"broken": Broken(wide)})
        with pytest.raises(PluginError, match="layer_0.h has values in .* fit 32 bits"):
            l2l.simulate(PLAIN, self.X, "broken")
        found = l2l.verify(PLAIN, self.X, "reference,broken")  # which shows each of them
        assert found.mismatch_count == 2 * 4 * 6 and found.mismatches[0].word == "h"

    def test_what_it_raises_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def raising(program: Any, inputs: Any, start: Any) -> Any:
            return {}["gcc"]

        def writing(program: Any, inputs: Any, start: Any) -> Any:
            inputs[0] = 0

        class Here(Called):
            def reason_against(self, program: Any) -> str:
                return "no board is plugged in; plug one in"

        register(monkeypatch, {"raising": raising, "writing": writing, "board": Here()})
        with pytest.raises(PluginError, match="executor 'raising': raised KeyError: 'gcc'"):
            l2l.simulate(PLAIN, self.X, "raising")
        with pytest.raises(PluginError, match="'writing': raised ValueError: .* read-only"):
            l2l.verify(PLAIN, self.X, "reference,writing")
        for name in ("raising", "writing", "board"):
            assert name in l2l.verify(PLAIN, self.X, "all").missing
        with pytest.raises(l2l.BackendMissingError) as caught:
            l2l.open_stream(PLAIN, "board")
        assert str(caught.value) == (
            f"executor board: cannot run program {PLAIN.name!r} here: no board is plugged in; plug "
            "one in"
        )
        with pytest.raises(l2l.BackendMissingError, match="executors that are here: reference,.*c"):
            l2l.verify(PLAIN, self.X, "reference,board")
        with pytest.raises(l2l.BackendMissingError, match="board: .*plug one in"):
            runners(PLAIN, against="cpu:board")

    def test_what_a_callback_raises_is_its_own(self) -> None:
        def stop(*_: Any) -> None:
            raise LookupError("enough")

        for name in ("whole", "narrow", "reference"):
            with pytest.raises(LookupError, match="enough"):
                l2l.simulate(PLAIN, self.X, name, progress=stop)

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (lambda: np.zeros(2), "the answer of a step is float64; it must be integers"),
            (lambda: np.zeros(3, int), r"has shape \(3,\), expected \(2,\)"),
            (lambda: [1, 2], "is a list; it must be an array"),
            (lambda: {}[1], "raised KeyError: 1"),
        ],
    )
    def test_streams_of_their_own(
        self, answer: Any, message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Odd:
            def step(self, sample: Any) -> Any:
                return answer()

        class Streaming(Called):
            def open_stream(self, program: Any, state: Any, encoded: bool) -> Any:
                return Odd()

        register(monkeypatch, {"streaming": Streaming()})
        stream = l2l.open_stream(PLAIN, "streaming")
        with pytest.raises(PluginError, match=f"executor 'streaming': .*{message}"):
            stream.step(self.X[0, 0])

    @pytest.mark.parametrize("share", [None, (1,), "ab", (1.5, "x"), 3])
    def test_a_share_that_is_none(self, share: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        class Sharing(Called):
            def share(self, program: Any, batch: int, updates: int) -> Any:
                return share

        register(monkeypatch, {"sharing": Sharing()})
        missing = l2l.verify(PLAIN, self.X, "all").missing
        assert "its share is no pair of whole numbers" in missing["sharing"]

    @pytest.mark.parametrize(
        ("share", "ran"), [((0, -3), (1, 1)), ((99, 99), (2, 4)), ((2, 7), (2, 1))]
    )
    def test_a_share_is_of_whole_samples(
        self, share: Any, ran: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Sharing(Called):
            def share(self, program: Any, batch: int, updates: int) -> Any:
                return share

        register(monkeypatch, {"sharing": Sharing()}, only=("reference",))
        program = TIMED if share == (2, 7) else PLAIN
        spans = np.ones((2, 4)) if program is TIMED else None
        found = l2l.verify(program, self.X, "all", timespans=spans)
        assert found.bit_exact
        assert found.shares.get("called 1.0", (2, 4)) == ran


def test_a_class_is_no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, {"a_class": Called, "nothing": object()})
    for name, what in (("a_class", "is a class"), ("nothing", "is an object")):
        with pytest.raises(PluginError, match=f"{what}, and no Executor; it lacks run"):
            l2l.simulate(PLAIN, np.zeros((1, 2, 3)), name)


def test_names_that_mean_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, {"auto": Called(), "all": Called()})
    assert not {"auto", "all"} & set(EXECUTORS.names())
    assert l2l.simulate(PLAIN, TestWrongAnswers.X).executor.startswith("c ")
    refused = [one for one in EXECUTORS.reports() if one.state == "refused"]
    assert [one.name for one in refused] == ["all", "auto"]
    assert "'auto' means something else where executors are named" in refused[1].reason


def test_ours_stand_beside_them() -> None:
    ours = {"reference", "blas", "c", "lava", "onnxruntime", "onnx-reference"}
    assert ours <= set(EXECUTORS.names())
    assert all(isinstance(EXECUTORS.get(name), Executor) for name in ours)
