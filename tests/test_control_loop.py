"""Streams in control loops: what saturates, elapsed times, samples that do not come, states, files,
streams side by side.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_network, random_samples
from test_streams import PLAIN, TIMED

import lnn2loihi as l2l
from lnn2loihi.frozen import identical
from lnn2loihi.simulation import encode

BUSY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ENGINES = ("auto", "blas")
X = random_samples(1, 1, 8, 3)[0]
#: The longest elapsed time that TIMED was calibrated with.
LONGEST = float(TIMED.input.high[-1] / TIMED.input.gain[-1])


def at_ties() -> list[float]:
    """Values that the encoder of PLAIN rounds up or down by a hair, and where it saturates."""
    port = PLAIN.input
    steps = np.array([port.low[0] - 1, port.low[0], -1, 0, 1, port.high[0], port.high[0] + 1])
    ties = (steps + 0.5) / port.gain[0] + port.offset[0]
    return [
        *ties.tolist(),
        *np.nextafter(ties, -np.inf).tolist(),
        *np.nextafter(ties, 9e9).tolist(),
    ]


DOUBLES = st.one_of(
    st.sampled_from(at_ties()),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 2.2e-308, 1.7e308, -1.7e308, 2.0**31, 2.0**63]),
    st.floats(),
    st.floats(width=32),
)


def test_the_document_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of docs/streams.md, one after the other, without the time that passes."""
    text = (Path(__file__).parent.parent / "docs" / "streams.md").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, names)  # noqa: S102 (our own document)
    assert names["loop"].missed == 1 and names["clocked"].clipped_elapsed == 1
    assert not names["stream"].saturated.any()
    assert len(names["actions"]) == 3 and names["many"].missed.tolist() == [0, 0, 1, 0]


class TestWhatIsEncodedInC:
    @BUSY
    @given(x=st.lists(DOUBLES, min_size=3, max_size=3), narrow=st.booleans())
    def test_all_doubles_as_in_python(self, x: list[float], narrow: bool) -> None:
        with np.errstate(over="ignore"):
            sample = np.array(x, np.float32 if narrow else np.float64)
        quick, plain = l2l.open_stream(PLAIN, "c"), l2l.open_stream(PLAIN, "blas")
        quick.step(X[0])
        plain.step(X[0])
        if not np.isfinite(sample).all():
            bad = ", ".join(map(str, np.flatnonzero(~np.isfinite(sample))))
            for stream in (quick, plain):
                before = stream.state
                with pytest.raises(l2l.InputError, match=f"infinite values, in channel {bad}$"):
                    stream.step(sample)
                assert identical(stream.state, before) and stream.steps == 1
            sample = X[1]
        assert quick.step(sample).tobytes() == plain.step(sample).tobytes()
        assert quick.integers.tolist() == plain.integers.tolist()
        assert identical(quick.state, plain.state)
        assert quick.saturated.tolist() == plain.saturated.tolist()
        assert identical(quick.saturated_words, plain.saturated_words)

    def test_answers_are_the_users_own(self) -> None:
        stream = l2l.open_stream(PLAIN)
        first = stream.step(X[0])
        kept = first.copy()
        stream.step(X[1])
        first_again = stream.integers
        stream.step(X[2])
        assert np.array_equal(first, kept)
        assert first_again.tolist() != stream.integers.tolist()
        decoded = PLAIN.output_population.decode(stream.integers)
        assert np.array_equal(decoded, l2l.simulate(PLAIN, X[None, :3]).outputs[0, 2])

    @pytest.mark.parametrize(
        "order", [">f8", "f4", ">f4", "f2", "i4", "list", "strided", "read only"]
    )
    def test_arrays_of_any_kind(self, order: str) -> None:
        x = np.round(X[0])
        given: Any = x.tolist() if order == "list" else x
        if order == "strided":
            given = np.repeat(x, 2)[::2]
        elif order == "read only":
            given.flags.writeable = False
        elif order != "list":
            given = x.astype(order)
        expected = l2l.simulate(PLAIN, x[None, None]).outputs[0, 0]
        assert l2l.open_stream(PLAIN).step(given).tolist() == expected.tolist()


class TestElapsedTime:
    @pytest.mark.parametrize("batch", [None, 2])
    def test_beyond_the_range_is_counted_and_said_once(
        self, batch: int | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        stream = l2l.open_stream(TIMED, batch=batch)  # type: ignore[call-overload]
        x = X if batch is None else np.repeat(X[:, None], 2, axis=1)
        with caplog.at_level(logging.WARNING, "lnn2loihi"):
            stream.step(x[0], LONGEST)
            assert not caplog.records and np.all(stream.clipped_elapsed == 0)
            for t in (1, 2):
                stream.step(x[t], 10 * LONGEST)
        assert np.all(stream.clipped_elapsed == 2)
        assert len(caplog.records) == 1
        assert f"is told an elapsed time of {LONGEST:g} in place of" in caplog.text
        assert np.all(l2l.open_stream(PLAIN).clipped_elapsed == 0)

    def test_simulate_counts_the_same(self) -> None:
        times = LONGEST * np.array([0.5, 1, 3, 0, 9, 1e30, 1, 1])
        expected = l2l.simulate(TIMED, X[None], timespans=times[None])
        stream = l2l.open_stream(TIMED)
        for x, elapsed in zip(X, times.tolist(), strict=True):
            stream.step(x, elapsed)
        assert stream.clipped_elapsed == expected.saturated[-1] > 2


class TestMissing:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_elapsed_times_add_up(self, engine: str) -> None:
        stream, expected = (l2l.open_stream(TIMED, engine) for _ in range(2))
        first = stream.step(X[0], 1.0)
        for _ in range(2):
            assert stream.step(None, 0.75).tolist() == first.tolist()
        assert (stream.waiting, stream.missed, stream.steps) == (1.5, 2, 1)
        with pytest.raises(l2l.InputError, match="in channel 1"):
            stream.step(np.array([0, np.nan, 0]), 1.0)
        other = copy.copy(stream)
        expected.step(X[0], 1.0)
        answer = expected.step(X[1], 2.5).tolist()
        assert stream.step(X[1], 1.0).tolist() == other.step(X[1], 1.0).tolist() == answer
        assert (stream.waiting, stream.missed, stream.steps) == (0.0, 2, 2)

    def test_messages_wait_too(self) -> None:
        messages = encode(TIMED, X[None, :2], np.full((1, 2), 1.0))[0][0]
        stream, expected = l2l.open_stream(TIMED, encoded=True), l2l.open_stream(TIMED)
        stream.step(messages[0, :3], messages[0, 3])
        stream.step(None, messages[1, 3])
        expected.step(X[0], 1.0)
        answer = expected.step(X[1], 2.0)
        assert np.array_equal(stream.step(messages[1, :3], messages[1, 3]), answer)

    @pytest.mark.parametrize("engine", ENGINES)
    @pytest.mark.parametrize("what", ["hold", "zero", "wait"])
    def test_each_policy_is_what_its_name_says(self, what: Any, engine: str) -> None:
        stream, same = l2l.open_stream(PLAIN, engine, missing=what), l2l.open_stream(PLAIN)
        first = stream.step(X[0])
        same.step(X[0])
        instead = {"hold": X[0], "zero": np.zeros(3)}
        expected = same.step(instead[what]) if what in instead else first
        assert stream.step(None).tolist() == expected.tolist()
        assert identical(stream.state, same.state) and stream.missed == 1
        assert stream.step(X[1]).tolist() == same.step(X[1]).tolist()
        assert stream.steps == same.steps == 2 + (what != "wait")

    def test_nothing_is_guessed(self) -> None:
        with pytest.raises(
            l2l.InputError, match='x: is None: a sample has not come.*missing="hold"'
        ):
            l2l.open_stream(PLAIN).step(None)
        stream = l2l.open_stream(PLAIN, missing="hold")
        with pytest.raises(l2l.InputError, match='missing: "hold" has nothing to hold before'):
            stream.step(None)
        stream.step(X[0])
        stream.reset()
        with pytest.raises(l2l.InputError, match="nothing to hold"):
            stream.step(None)
        assert (stream.missed, stream.steps) == (0, 0)
        with pytest.raises(l2l.InputError, match="missing"):
            l2l.open_stream(PLAIN, missing="guess")  # type: ignore[arg-type]

    def test_before_the_first_sample_the_output_says_what_it_sends_then(self) -> None:
        stream = l2l.open_stream(PLAIN, missing="wait")
        output = PLAIN.output_population
        assert stream.step(None).tolist() == output.decode(output.initial_message).tolist()
        assert stream.integers.tolist() == output.initial_message.tolist()


class TestStates:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_a_state_is_loaded_and_counts_go_on(self, engine: str) -> None:
        stream = l2l.open_stream(PLAIN, engine)
        stream.step(1e6 * X[0])
        state, counted = stream.state, stream.saturated.tolist()
        answer = stream.step(X[1]).tolist()
        stream.load_state(state)
        assert stream.step(X[1]).tolist() == answer
        assert stream.saturated.tolist() == counted and stream.steps == 3
        before = stream.state
        with pytest.raises(l2l.InputError, match="there is no population 'nobody'"):
            stream.load_state({"nobody": {}})
        assert identical(stream.state, before)

    @BUSY
    @given(
        timed=st.booleans(), batch=st.sampled_from([None, 2]), before=st.integers(0, 3),
        encoded=st.booleans(),
    )  # fmt: skip
    def test_files_go_on_as_copies_do(
        self, tmp_path_factory: Any, timed: bool, batch: Any, before: int, encoded: bool
    ) -> None:
        path = tmp_path_factory.mktemp("streams") / "s.json"
        program = TIMED if timed else PLAIN
        opened: Any = [
            l2l.open_stream(program, encoded=encoded, batch=batch, missing="wait")  # type: ignore[call-overload]
            for _ in range(2)
        ]
        x = (3000 * X).astype(int) if encoded else 3.0 * X
        x = x if batch is None else np.repeat(x[:, None], 2, axis=1)
        elapsed = (600 if encoded else 0.5) if timed else None
        stream, other = opened
        for t in range(before):
            stream.step(x[t], elapsed)
        stream.step(None, elapsed)
        stream.save(path)
        other.restore(path)
        pickled = pickle.loads(pickle.dumps(stream))
        for t in range(3, 6):
            answer = stream.step(x[t], elapsed).tolist()
            assert other.step(x[t], elapsed).tolist() == answer
            assert pickled.step(x[t], elapsed).tolist() == answer
        for part in ("state", "saturated", "saturated_words", "integers", "steps", "missed"):
            assert identical(getattr(other, part), getattr(stream, part)), part

    def test_files_that_do_not_fit(self, tmp_path: Path) -> None:
        path, stream = tmp_path / "s.json", l2l.open_stream(PLAIN)
        stream.step(X[0])
        stream.save(path)
        good, before = json.loads(path.read_text()), stream.state
        name = next(iter(good["state"]))
        word = next(iter(good["state"][name]))
        size = len(good["state"][name][word])
        cases: list[tuple[Any, str]] = [
            ([], "is no saved stream"),
            ({**good, "schema": 2}, "has schema 2, this version reads 1"),
            ({**good, "program": "f"}, "of another program"),
            ({**good, "encoded": True}, "is of a stream of encoded messages, this is one of samp"),
            ({**good, "state": {}}, "state has other names"),
            ({**good, "saturated": [-1, 0, 0]}, "saturated holds values that"),
            ({**good, "integers": [1 << 40] * len(good["integers"])}, "integers leaves"),
            ({**good, "steps": 0.5}, "steps is not whole numbers"),
            ({**good, "steps": True}, "steps is not whole numbers"),
            ({**good, "waiting": float("nan")}, "waiting holds values that"),
            ({**good, "last": [[1.0], 2.0]}, "last is not numbers of shape"),
            ({**good, "state": {**good["state"], name: {word: [1 << 30] * size}}}, "names|leaves"),
            ({**good, "state": {**good["state"], name: {word: [10**30] * size}}}, "names|whole"),
        ]
        for document, text in cases:
            path.write_text(json.dumps(document))
            with pytest.raises(l2l.InputError, match=text):
                stream.restore(path)
            assert identical(stream.state, before)
        for content, text in (("[" * 60_000, "JSON"), ("x" * (1 << 20), "limit"), ("{", "JSON")):
            path.write_text(content)
            with pytest.raises(l2l.InputError, match=text):
                stream.restore(path)
        with pytest.raises(l2l.InputError, match="there is no such file"):
            stream.restore(tmp_path / "absent.json")


class TestSideBySide:
    @BUSY
    @given(
        data=st.data(), engine=st.sampled_from(ENGINES), timed=st.booleans(),
        missing=st.sampled_from(["hold", "zero", "wait"]),
    )  # fmt: skip
    def test_each_is_what_it_is_alone(
        self, data: st.DataObject, engine: str, timed: bool, missing: Any
    ) -> None:
        program = TIMED if timed else PLAIN
        x = 3.0 * random_samples(5, 3, 6, 3)
        together = l2l.open_stream(program, engine, batch=3, missing=missing)
        alone = [l2l.open_stream(program, engine, missing=missing) for _ in range(3)]
        masks = st.lists(st.booleans(), min_size=3, max_size=3)
        for t in range(6):
            present = data.draw(masks) if t else [True] * 3
            times = np.abs(x[:, t, 0]) if timed else None
            given = np.where(np.array(present)[:, None], x[:, t], np.nan)
            found = together.step(given, times, present=present)
            for k, stream in enumerate(alone):
                answer = stream.step(
                    x[k, t] if present[k] else None, None if times is None else float(times[k])
                )
                assert found[k].tolist() == answer.tolist()
            if t == 3:
                where = data.draw(masks)
                together.reset(where)
                for k, stream in enumerate(alone):
                    if where[k]:
                        stream.reset()
                        stream.step(x[k, 0], 0.5 if timed else None)
                if any(where):
                    together.step(x[:, 0], 0.5 if timed else None)
                    for k, stream in enumerate(alone):
                        if not where[k]:
                            stream.step(x[k, 0], 0.5 if timed else None)
        for part in ("saturated", "steps", "missed", "waiting", "integers", "clipped_elapsed"):
            single = [np.asarray(getattr(stream, part)).tolist() for stream in alone]
            assert getattr(together, part).tolist() == single, part
        for name, words in together.state.items():
            for word, values in words.items():
                assert values.tolist() == [s.state[name][word].tolist() for s in alone]

    def test_what_it_refuses(self) -> None:
        streams = l2l.open_stream(PLAIN, batch=2)
        x = np.zeros((2, 3))
        x[1, 2] = np.nan
        with pytest.raises(l2l.InputError, match="the first in stream 1, channel 2"):
            streams.step(x)
        with pytest.raises(
            l2l.InputError, match=r"samples are \(2, 3\) finite numbers, these have"
        ):
            streams.step(np.zeros(3))
        with pytest.raises(l2l.InputError, match="present: is int64 of shape"):
            streams.step(x, present=np.ones(2, np.int64))
        with pytest.raises(l2l.InputError, match="nobody has said what to do"):
            streams.step(x, present=[True, False])
        with pytest.raises(l2l.InputError, match="where: is bool of shape"):
            streams.reset([True])
        with pytest.raises(l2l.InputError, match="batch"):
            l2l.open_stream(PLAIN, batch=0)
        assert streams.steps.tolist() == [0, 0]


def test_a_state_is_not_saved_over_a_file_of_another_kind(tmp_path: Path) -> None:
    program = l2l.quantize(random_network(1), random_samples(1, 2, 6, 3))
    stream = l2l.open_stream(program)
    l2l.save(program, tmp_path / "net.l2l")
    before = (tmp_path / "net.l2l").read_bytes()
    with pytest.raises(l2l.InputError, match="would be written over it"):
        stream.save(tmp_path / "net.l2l")
    assert (tmp_path / "net.l2l").read_bytes() == before
    for _ in range(2):
        stream.save(tmp_path / "state.json")
    (tmp_path / "empty.json").touch()
    stream.save(tmp_path / "empty.json")
