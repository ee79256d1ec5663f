"""Streams: copied, pickled, read; results, programs and networks compare and hash."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from engines import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_network, random_samples
from test_simulate import Sizes, random_program

import lnn2loihi as l2l
from lnn2loihi.frozen import content_hash, identical
from lnn2loihi.simulation import encode

ENGINES = ("auto", "blas", "reference")
BUSY = settings(
    max_examples=15, deadline=None,
)  # fmt: skip


def timed_program() -> l2l.LoihiProgram:
    """Irregular time and several updates a sample."""
    x = random_samples(1, 2, 8, 3)
    return l2l.quantize(
        random_ltc(1, timespan=None), x, calibrate_timespans=np.full((2, 8), 0.5) + x[..., 0] ** 2
    )


PLAIN, TIMED = random_program(3, Sizes(inputs=3, layers=(6,), readout=2)), timed_program()


def duplicate(how: str, stream: l2l.Stream) -> l2l.Stream:
    if how == "pickle":
        return pickle.loads(pickle.dumps(stream))
    return copy.copy(stream) if how == "copy" else copy.deepcopy(stream)


class TestCopies:
    @BUSY
    @given(
        how=st.sampled_from(["copy", "deepcopy", "pickle"]), engine=st.sampled_from(ENGINES),
        timed=st.booleans(), encoded=st.booleans(), before=st.integers(0, 4),
        seed=st.integers(0, 99),
    )  # fmt: skip
    def test_a_copy_answers_the_same_and_goes_on_by_itself(
        self, how: str, engine: str, timed: bool, encoded: bool, before: int, seed: int
    ) -> None:
        program = TIMED if timed else PLAIN
        x = 3.0 * random_samples(seed, 1, 8, 3)
        elapsed = np.abs(random_samples(seed, 1, 8, 1))[..., 0] if timed else None
        if encoded:
            messages = encode(program, x, elapsed)[0]
            x = messages[..., :3]
            elapsed = messages[..., 3] if timed else None
        kept: dict[str, Any] = {"timespans": elapsed, "encoded": encoded}
        whole = l2l.simulate(program, x, "blas", **kept)
        stream = l2l.open_stream(program, engine, encoded=encoded)

        def answers(of: l2l.Stream, first: int, last: int) -> list[list[float]]:
            times = None if elapsed is None else elapsed[0]
            return [
                of.step(x[0, t], None if times is None else float(times[t])).tolist()
                for t in range(first, last)
            ]

        expected = whole.outputs[0].tolist()
        assert answers(stream, 0, before) == expected[:before]
        other = duplicate(how, stream)
        assert answers(other, before, 8) == expected[before:]
        assert answers(stream, before, 8) == expected[before:]
        for one in (stream, other):
            assert one.saturated.tolist() == whole.saturated.tolist()
            assert identical(
                one.state,
                {
                    name: {word: values[0].astype(np.int64) for word, values in words.items()}
                    for name, words in whole.final_state.items()
                },
            )
        again = l2l.open_stream(program, engine, initial_state=other.state, encoded=encoded)
        other.reset()
        assert not other.saturated.any()
        assert answers(other, 0, 8) == expected
        assert identical(again.state, stream.state)

    @pytest.mark.parametrize("engine", ENGINES)
    def test_samples_and_messages_in_turn(self, engine: str) -> None:
        x = 500.0 * random_samples(2, 1, 6, 3)
        messages = PLAIN.input.encode(x)[0]
        stream, expected = l2l.open_stream(PLAIN, engine), l2l.simulate(PLAIN, x, "blas")
        for t in range(6):
            sample = messages[0, t] if t % 2 else x[0, t]
            found = stream.step(sample, encoded=bool(t % 2))
            assert found.tolist() == expected.outputs[0, t].tolist()
        # Messages are in range already.
        assert 0 < stream.saturated.sum() < expected.saturated.sum()

    def test_what_a_stream_refuses(self) -> None:
        stream = l2l.open_stream(PLAIN)
        with pytest.raises(l2l.InputError, match="x: is float64, but encoded=True asks for"):
            stream.step(np.zeros(3), encoded=True)
        with pytest.raises(l2l.InputError, match="a sample is 3 finite numbers, this has shape"):
            stream.step([1, 2], encoded=False)
        for bad in ("text", None, [[1.0], [1.0, 2.0]], np.zeros(3, complex), {"a": 1}):
            with pytest.raises(l2l.InputError):
                stream.step(bad)  # type: ignore[arg-type]
        with pytest.raises(l2l.InputError, match="elapsed: is True; give a number"):
            l2l.open_stream(TIMED).step(np.zeros(3), True)
        with pytest.raises(l2l.InputError, match="elapsed: is not an array of numbers"):
            l2l.open_stream(TIMED).step(np.zeros(3), "a")  # type: ignore[arg-type]
        with pytest.raises(l2l.InputError, match=r"irregular: give elapsed \(a number\), the"):
            l2l.open_stream(TIMED).step(np.zeros(3))
        with pytest.raises(l2l.InputError, match="constant and .*; leave elapsed out, or"):
            stream.step(np.zeros(3), 0.5)
        with pytest.raises(l2l.InputError, match="elapsed: is encoded, as x is: give a whole"):
            l2l.open_stream(TIMED, encoded=True).step(np.zeros(3, int), 0.5)

    def test_tensors_of_any_kind(self) -> None:
        torch = pytest.importorskip("torch")
        x = torch.tensor([0.5, 0.25, -1.0], requires_grad=True)
        stream = l2l.open_stream(PLAIN)
        expected = stream.step(x.detach().numpy()).tolist()
        for tensor in (x, x.detach().bfloat16(), x.detach().half(), list(x)):
            stream.reset()
            assert stream.step(tensor).tolist() == expected
        with pytest.raises(l2l.InputError, match="on the device meta, which holds no values"):
            stream.step(torch.zeros(3, device="meta"))


class TestChunks:
    def test_lengths_of_each_chunk(self) -> None:
        x = random_samples(3, 4, 9, 3)
        lengths = np.array([9, 5, 0, 7])
        first, rest = np.minimum(lengths, 4), np.maximum(lengths - 4, 0)
        chunks = l2l.simulate_stream(PLAIN, [x[:, :4], x[:, 4:]], lengths=[first, rest])
        a, b = list(chunks)
        whole = l2l.simulate(PLAIN, x, lengths=lengths)
        assert np.array_equal(np.concatenate([a.integers, b.integers], axis=1), whole.integers)
        assert identical(b.final_state, whole.final_state)

    def test_as_many_as_chunks(self) -> None:
        x = random_samples(3, 2, 4, 3)
        with pytest.raises(l2l.InputError, match="timespans: end before the chunks, which have a"):
            list(l2l.simulate_stream(TIMED, [x, x], timespans=[np.ones((2, 4))]))
        with pytest.raises(l2l.InputError, match="lengths: go on after the last chunk"):
            list(l2l.simulate_stream(PLAIN, [x], lengths=[[1, 2], [3, 4]]))
        with pytest.raises(l2l.InputError, match="chunks is of type int; give an iterable"):
            list(l2l.simulate_stream(PLAIN, 3))  # type: ignore[arg-type]


class TestEquality:
    def test_results_compare_their_arrays(self) -> None:
        x = random_samples(4, 2, 3, 3)
        a, b = (l2l.simulate(PLAIN, x, return_states=True) for _ in range(2))
        assert_same(a, b)
        assert a == b and a.counters == b.counters
        assert a != l2l.simulate(PLAIN, x) and a != l2l.simulate(PLAIN, 2 * x, return_states=True)
        network = random_network(0)
        assert network.evaluate(x) == network.evaluate(x) != network.evaluate(x + 1)
        p = l2l.quantize(network, x)
        assert l2l.compare(network, p, x) == l2l.compare(network, p, x)
        assert (p.bounds == l2l.quantize(network, x).bounds) is True

    def test_equal_programs_and_networks_have_equal_hashes(self) -> None:
        x = random_samples(4, 2, 8, 3)
        a, b, c = (l2l.quantize(random_network(seed), x) for seed in (0, 0, 1))
        assert a == b and hash(a) == hash(b) and {a, b} == {a} and len({a, c}) == 2
        assert hash(pickle.loads(pickle.dumps(a))) == hash(a)
        n, m = random_network(0), random_network(0)
        assert n == m and hash(n) == hash(m) != hash(random_network(1))

    @given(st.data())
    def test_whatever_is_identical_has_one_hash(self, data: st.DataObject) -> None:
        numbers = st.one_of(st.integers(-2, 2), st.sampled_from([0.0, -0.0, 1.0]), st.text())
        arrays = st.lists(st.sampled_from([0.0, -0.0, 1.0]), max_size=3).map(np.array)
        values = st.recursive(
            numbers | arrays,
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.lists(inner, max_size=2).map(tuple)
                | st.dictionaries(st.sampled_from("ab"), inner)
            ),
            max_leaves=4,
        )
        a, b = data.draw(values), data.draw(values)
        if identical(a, b):
            assert content_hash(a) == content_hash(b)
