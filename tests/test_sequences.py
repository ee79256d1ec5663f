"""What a sequence of samples is: numbers, messages by name, ends, lists and loaders."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_network, random_samples

import lnn2loihi as l2l
from lnn2loihi import batches
from lnn2loihi.evaluation import FloatResult
from lnn2loihi.quantization.calibration import CalibrationRun
from lnn2loihi.quantization.calibration import run_calibration as calibrated
from lnn2loihi.quantization.moments import DenseMoments, Moments
from lnn2loihi.quantization.verb import prepared
from lnn2loihi.simulation import encode

BUSY = settings(
    max_examples=20, deadline=None,
)  # fmt: skip
NETWORK = random_network(2)
#: Counts of a converter: the range is that of integers.
COUNTS = np.random.default_rng(0).integers(-3, 4, (6, 12, 3))
PROGRAM = l2l.quantize(NETWORK, COUNTS)
IRREGULAR = random_ltc(1, timespan=None)
TIMES = np.random.default_rng(1).uniform(0.2, 1.5, (6, 12))
TIMED = l2l.quantize(IRREGULAR, COUNTS, calibrate_timespans=TIMES)
LENGTHS = np.array([3, 12, 0, 7, 12, 1])


def ended(x: Any, lengths: Any, beyond: float) -> Any:
    """The same with something else beyond the ends."""
    inside = np.arange(x.shape[1]) < np.asarray(lengths)[:, None]
    return np.where(inside.reshape(*inside.shape, *(1,) * (x.ndim - 2)), x, beyond)


def matrix(moments: Moments) -> Any:
    """Of a stage of few columns: its second moments are one matrix."""
    assert isinstance(moments, DenseMoments)
    return moments.matrix


def answer(function: str, x: Any, **options: Any) -> Any:
    """What a function says of samples, comparable by ==."""
    if function == "quantize":
        return l2l.quantize(NETWORK, x, **options)
    if function == "evaluate":
        return NETWORK.evaluate(x, **options)
    if function == "simulate":
        return l2l.simulate(PROGRAM, x, return_states=True, **options)
    if function == "stream":
        return list(l2l.simulate_stream(PROGRAM, [x], **_each(options)))
    if function == "compare":
        return l2l.compare(NETWORK, PROGRAM, x, **options)
    if function == "verify":
        return l2l.verify(PROGRAM, x, ("reference", "blas"), **options)
    if function == "profile":
        found = l2l.profile(PROGRAM, x, against=(), frontier=False, network=NETWORK, **options)
        return found.rows, found.metrics, found.subject
    if function == "sensitivity":
        return l2l.sensitivity(NETWORK, x, **options)
    if function == "metrics":
        return l2l.network_metrics(NETWORK, x, **options)
    return encode(PROGRAM, x, **options)[0].tolist()


def _each(options: dict[str, Any]) -> dict[str, Any]:
    return {key: [value] if key == "lengths" else value for key, value in options.items()}


OF_NETWORKS = ("quantize", "evaluate", "sensitivity", "metrics")
OF_PROGRAMS = ("simulate", "stream", "compare", "verify", "profile", "encode")


class TestNumbers:
    @pytest.mark.parametrize("function", [*OF_NETWORKS, *OF_PROGRAMS])
    def test_integers_are_numbers(self, function: str) -> None:
        expected = answer(function, COUNTS.astype(float))
        torch = pytest.importorskip("torch")
        forms = (COUNTS, COUNTS.astype(np.int8), COUNTS.tolist(), torch.tensor(COUNTS),
                 torch.tensor(COUNTS).bfloat16(), COUNTS.astype(object))  # fmt: skip
        for x in forms[:1] if function in ("sensitivity", "profile") else forms:
            assert answer(function, x) == expected

    @pytest.mark.parametrize("function", ["quantize", "evaluate", "simulate", "compare"])
    def test_booleans_and_pixels_are_numbers(self, function: str) -> None:
        spikes = COUNTS > 0
        assert answer(function, spikes) == answer(function, spikes.astype(float))
        pixels = np.abs(COUNTS).astype(np.uint8)
        assert answer(function, pixels) == answer(function, pixels.astype(float))

    @BUSY
    @given(
        dtype=st.sampled_from("?bBhHiIlLefdg"), seed=st.integers(0, 99), timed=st.booleans(),
        engine=st.sampled_from(["c", "blas", "reference"]),
    )  # fmt: skip
    def test_of_every_type(self, dtype: str, seed: int, timed: bool, engine: str) -> None:
        rng = np.random.default_rng(seed)
        low = 0 if dtype in "?BHIL" else -100
        x = rng.integers(low, 100, (3, 4, 3)).astype(dtype)
        program, spans = (TIMED, np.full((3, 4), 0.3)) if timed else (PROGRAM, None)
        found = l2l.simulate(program, x, engine, timespans=spans)
        assert found.integers.tolist() == l2l.simulate(
            program, x.astype(float), "reference", timespans=spans
        ).integers.tolist()  # fmt: skip

    @pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(float).max, reason="no longer type")
    @pytest.mark.filterwarnings("error")
    def test_numbers_beyond_float64_are_infinite(self) -> None:
        beyond = np.full((1, 1, 3), np.finfo(np.longdouble).max)
        with pytest.raises(l2l.InputError, match="x holds 3 NaN or infinite of 3 values"):
            l2l.simulate(PROGRAM, beyond)

    @pytest.mark.parametrize("function", OF_PROGRAMS)
    def test_messages_are_asked_for_by_name(self, function: str) -> None:
        messages = encode(PROGRAM, COUNTS)[0]
        found, expected = answer(function, messages, encoded=True), answer(function, COUNTS)
        if function == "compare":  # the float network hears what the messages stand for
            assert (
                found.stages[0].rms == 0.0 < expected.stages[0].rms or expected.stages[0].rms == 0
            )
        elif function == "profile":
            assert found[0][0].total_energy == expected[0][0].total_energy
        else:
            assert found == expected
        with pytest.raises(l2l.InputError, match="x is float64, but encoded=True asks for encoded"):
            answer(function, COUNTS.astype(float), encoded=True)

    def test_elapsed_times_are_messages_then(self) -> None:
        messages = encode(TIMED, COUNTS, TIMES)[0]
        expected = l2l.simulate(TIMED, COUNTS, timespans=TIMES)
        for dtype in (np.int8, np.int64):
            x, spans = messages[..., :3].astype(dtype), messages[..., 3]
            if not (x == messages[..., :3]).all():
                continue
            assert l2l.simulate(TIMED, x, timespans=spans, encoded=True) == expected
        with pytest.raises(l2l.InputError, match="with encoded=True elapsed times are encoded"):
            l2l.simulate(TIMED, messages[..., :3], timespans=TIMES, encoded=True)

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda x: x + 1j, "x is complex128; the imaginary part would be lost"),
            (lambda x: np.ma.array(x, mask=x > 1), "x is a masked array; NumPy would drop the"),
            (lambda x: [np.ma.array(s, mask=s > 1) for s in x], "is a masked array"),
            (lambda x: x.astype(str), "its values are <U"),
            (lambda x: x.astype("M8[s]"), "its values are datetime64"),
            (lambda x: x.astype(object) * 1j, "holds a value of type complex"),
            (lambda x: np.where(x > 0, x, np.array(None)), "holds a value of type NoneType"),
            (lambda x: {"x": x}, "but of type dict"),
            (lambda x: iter(x), "stack its batches with numpy.concatenate"),
            (lambda x: [[1, 2], [3]], "x is a ragged list, whose entries have 1 axes"),
            (lambda x: "a.npy", "its values are <U5"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("function", ["evaluate", "simulate"])
    def test_what_is_no_number(self, function: str, make: Any, reason: str) -> None:
        with pytest.raises(l2l.InputError) as caught:
            answer(function, make(COUNTS))
        assert reason in str(caught.value)

    def test_tensors(self) -> None:
        torch = pytest.importorskip("torch")
        x = torch.tensor(COUNTS, dtype=torch.float32)
        expected = answer("simulate", x)
        assert answer("simulate", x.clone().requires_grad_()) == expected
        assert answer("simulate", [s.clone().requires_grad_() for s in x]) == expected
        assert answer("simulate", np.ma.array(x.numpy())) == expected
        for tensor, reason in (
            (x.to("meta"), "is a tensor on the device meta, which holds no values"),
            (x.to_sparse(), "is a sparse tensor; give x.to_dense"),
            (torch.nn.utils.rnn.pack_sequence([x[0]]), "is a PackedSequence; torch.nn.utils.rnn"),
            ((x + 1j).conj(), "x is complex64; the imaginary part would be lost"),
        ):
            with pytest.raises(l2l.InputError, match=reason):
                answer("simulate", tensor)
        nested = torch.nested.nested_tensor([x[0, :3], x[1]], layout=torch.jagged)
        assert answer("evaluate", nested) == answer("evaluate", [x[0, :3], x[1]])

    def test_states(self) -> None:
        torch = pytest.importorskip("torch")
        start = torch.zeros(6, requires_grad=True)
        assert NETWORK.evaluate(COUNTS, {"layer_0": start}) == NETWORK.evaluate(COUNTS)  # type: ignore[dict-item]
        for state, reason in (
            ({"layer_0": [[1.0], [1.0, 2.0]]}, "layer_0 is not an array of numbers"),
            ({"layer_0": np.zeros(5)}, r"layer_0 has shape \(5,\), expected \(6, 6\)"),
            ({"nowhere": np.zeros(5)}, "'nowhere' is no state; there are layer_0"),
            ({3: 0.0}, "initial_state's key 3 is of type int; give a str"),
            ([0.0], "initial_state is of type list; give a dict by name"),
        ):
            with pytest.raises(l2l.InputError, match=reason):
                NETWORK.evaluate(COUNTS, state)  # type: ignore[arg-type]
        message = torch.zeros(6, dtype=torch.long)
        assert l2l.simulate(PROGRAM, COUNTS, initial_state={"layer_0": {"h": message}}) == (
            l2l.simulate(PROGRAM, COUNTS)
        )
        with pytest.raises(l2l.InputError, match="initial_state's key 3 is of type int"):
            l2l.simulate(PROGRAM, COUNTS, initial_state={3: {}})  # type: ignore[dict-item]


class TestLengths:
    @pytest.mark.parametrize("function", [*OF_NETWORKS, *OF_PROGRAMS])
    def test_what_stands_beyond_is_never_looked_at(self, function: str) -> None:
        expected = answer(function, COUNTS, lengths=LENGTHS)
        slow = function in ("sensitivity", "profile")
        for beyond in (np.nan,) if slow else (np.nan, 1e30, 0.0):
            assert answer(function, ended(COUNTS, LENGTHS, beyond), lengths=LENGTHS) == expected
        if function != "sensitivity":  # as quantize
            ragged = [s[:n] for s, n in zip(COUNTS, LENGTHS, strict=True)]
            assert answer(function, ragged) == expected

    @pytest.mark.parametrize("function", ["quantize", "sensitivity", "compare", "metrics"])
    def test_more_room_changes_nothing(self, function: str) -> None:
        wide = np.concatenate([COUNTS, np.full((6, 50, 3), np.nan)], axis=1)
        assert answer(function, wide, lengths=LENGTHS) == answer(function, COUNTS, lengths=LENGTHS)

    @BUSY
    @given(
        lengths=st.lists(st.integers(0, 6), min_size=2, max_size=5).filter(any),
        seed=st.integers(0, 99), irregular=st.booleans(),
    )  # fmt: skip
    def test_as_sequence_by_sequence(self, lengths: list[int], seed: int, irregular: bool) -> None:
        network, program = (IRREGULAR, TIMED) if irregular else (NETWORK, PROGRAM)
        x = random_samples(seed, len(lengths), 6, 3)
        spans = np.abs(x[..., 0]) + 0.1 if irregular else None
        given_spans = None if spans is None else ended(spans, lengths, np.nan)
        options: dict[str, Any] = {"lengths": lengths, "timespans": given_spans}
        floats = network.evaluate(ended(x, lengths, np.nan), **options)
        integers = l2l.simulate(program, ended(x, lengths, np.nan), **options)
        saturated = 0
        for place, length in enumerate(lengths):
            assert not floats.outputs[place, length:].any()
            if not length:
                continue
            one = x[place : place + 1, :length]
            own = None if spans is None else spans[place : place + 1, :length]
            alone: FloatResult = network.evaluate(one, timespans=own)
            np.testing.assert_allclose(
                floats.outputs[place, :length], alone.outputs[0], rtol=0, atol=1e-12
            )
            for name, values in alone.final_state.items():
                np.testing.assert_allclose(
                    floats.final_state[name][place], values[0], rtol=0, atol=1e-12
                )
            found = l2l.simulate(program, one, timespans=own)
            assert found.integers[0].tolist() == integers.integers[place, :length].tolist()
            saturated += found.saturated_inputs
        assert saturated == integers.saturated_inputs

    @pytest.mark.parametrize("irregular", [False, True])
    def test_calibration_is_that_of_the_sequences_alone(self, irregular: bool) -> None:
        """Moments, ranges and counts of all sequences, weighed by their samples."""
        network = IRREGULAR if irregular else NETWORK
        x, spans = COUNTS.astype(float), TIMES if irregular else None
        x[2:] *= 0.1  # the range is that of short sequences too
        chosen = [n for n, length in enumerate(LENGTHS) if length]

        def alone(n: int) -> CalibrationRun:
            own = None if spans is None else spans[n : n + 1, : LENGTHS[n]]
            return calibrated(network, x[n : n + 1, : LENGTHS[n]], own)

        ones = [alone(n) for n in chosen]
        filled = prepared(
            network, ended(x, LENGTHS, np.nan), lengths=LENGTHS,
            calibrate_timespans=None if spans is None else ended(spans, LENGTHS, np.nan),
        ).calibration  # fmt: skip
        total = LENGTHS.sum()
        for name, moments in filled.moments.items():
            expected = sum(
                matrix(one.moments[name]) * LENGTHS[n] for one, n in zip(ones, chosen, strict=True)
            )
            np.testing.assert_allclose(matrix(moments), expected / total, rtol=0, atol=1e-10)
        assert np.array_equal(filled.input_low, np.min([one.input_low for one in ones], axis=0))
        assert np.array_equal(filled.input_high, np.max([one.input_high for one in ones], axis=0))
        if irregular:
            ends = np.array([one.elapsed_range for one in ones])
            assert filled.elapsed_range == (ends[:, 0].min(), ends[:, 1].max())
        for name, values in filled.result.states.items():
            joined = np.concatenate([one.live(one.result.states[name]) for one in ones])
            np.testing.assert_allclose(filled.live(values), joined, rtol=0, atol=1e-12)
        program = l2l.quantize(
            network, ended(x, LENGTHS, np.nan), lengths=LENGTHS,
            calibrate_timespans=None if spans is None else ended(spans, LENGTHS, np.nan),
        )  # fmt: skip
        assert program.table[0]["compared"] == total * program.input.size

    def test_one_length_is_no_padding(self) -> None:
        """Where all sequences end together, the array behind them is as if it were not there."""
        cut = l2l.quantize(NETWORK, COUNTS[:, :5])
        assert l2l.quantize(NETWORK, ended(COUNTS, [5] * 6, np.nan), lengths=[5] * 6) == cut

    def test_training(self) -> None:
        torch = pytest.importorskip("torch")
        from lnn2loihi import qat

        x = ended(COUNTS, LENGTHS, np.nan)
        module = qat.prepare(NETWORK, calibrate=x, lengths=LENGTHS)
        again = qat.prepare(
            NETWORK, calibrate=[s[:n] for s, n in zip(COUNTS, LENGTHS, strict=True)]
        )
        assert module.export() == again.export()
        torch.nn.Module.eval(module)
        assert module(torch.tensor(COUNTS)).shape == (6, 12, 2)

    @pytest.mark.parametrize("name", ["c", "blas"])
    def test_verify_counts_what_is_live(self, name: str) -> None:
        found = l2l.verify(PROGRAM, COUNTS, ("reference", name), lengths=LENGTHS)
        assert found.bit_exact and found.samples == LENGTHS.sum() == 35
        whole = l2l.verify(PROGRAM, COUNTS, ("reference", name))
        assert found.compared * COUNTS[..., 0].size == whole.compared * 35
        assert "6 sequences of up to 12 samples" in found.summary()
        assert "6 sequences of 12 samples" in whole.summary()

    def test_targets_beyond_the_end_are_not_judged(self) -> None:
        run = l2l.simulate(PROGRAM, COUNTS, lengths=LENGTHS)
        for targets, metric in (
            (ended(run.outputs + 0.5, LENGTHS, np.nan), 0.25),
            (run.outputs.argmax(axis=-1), 1.0),
            (run.outputs[np.arange(6), LENGTHS - 1].argmax(axis=-1), 1.0),
        ):
            found = l2l.profile(
                PROGRAM, COUNTS, against=(), frontier=False, lengths=LENGTHS, targets=targets
            ).rows[0]  # fmt: skip
            assert found.accuracy is not None
            assert found.accuracy.value == pytest.approx(metric, abs=1e-12)

    def test_refusals(self) -> None:
        for function in ("evaluate", "compare", "verify", "metrics"):
            with pytest.raises(l2l.InputError, match="all sequences have length 0"):
                answer(function, COUNTS, lengths=[0] * 6)
        with pytest.raises(l2l.InputError, match="sequence 1 has 13 samples, x has 12 steps"):
            NETWORK.evaluate(COUNTS, lengths=[1, 13, 1, 1, 1, 1])
        ragged = [COUNTS[0, :3], COUNTS[1]]
        assert NETWORK.evaluate(ragged, lengths=[3, 2]).outputs.shape == (2, 12, 2)
        with pytest.raises(l2l.InputError, match="sequence 0 has 4 samples, x has 3 steps"):
            NETWORK.evaluate(ragged, lengths=[4, 2])
        for odd in (COUNTS[0, :3, :2], COUNTS[0, :, :2]):
            with pytest.raises(l2l.InputError, match="x has pieces with 2 or 3 input channels"):
                NETWORK.evaluate([odd, COUNTS[1]])
        with pytest.raises(l2l.InputError, match=r"timespans: have shapes \(1, 2\), \(1, 12\), ex"):
            IRREGULAR.evaluate(ragged, timespans=[TIMES[0, :2], TIMES[1]])
        assert IRREGULAR.evaluate(ragged, timespans=[TIMES[0, :3], TIMES[1]]) == (
            IRREGULAR.evaluate(COUNTS[:2], lengths=[3, 12], timespans=TIMES[:2])
        )


class TestLoaders:
    @pytest.mark.parametrize(
        "make",
        [
            lambda x: (part for part in np.split(x, 3)),
            lambda x: iter([(part, part[0]) for part in np.split(x, 3)]),
            lambda x: [(part, 0) for part in np.split(x, 3)],
            lambda x: list(np.split(x, 3)),
            lambda x: (s for s in x),
            lambda x: lambda: ([s[None]] for s in x),
            lambda x: map(np.asarray, np.split(x, 2)),
        ],
    )
    def test_batches_are_as_if_they_were_stacked(self, make: Any) -> None:
        x = COUNTS.astype(np.float32)
        expected = l2l.quantize(NETWORK, x)
        assert l2l.quantize(NETWORK, make(x)) == expected

    def test_which_layers_bear_it_on_batches(self) -> None:
        found = l2l.sensitivity(NETWORK, (part for part in np.split(COUNTS, 3)))
        assert found == l2l.sensitivity(NETWORK, COUNTS)

    def test_loaders_of_torch(self) -> None:
        torch = pytest.importorskip("torch")
        from torch.utils.data import DataLoader, TensorDataset

        from lnn2loihi import qat

        x = torch.tensor(COUNTS, dtype=torch.float32)
        data = TensorDataset(x, torch.zeros(6))
        expected = l2l.quantize(NETWORK, x)
        for loader in (DataLoader(data, batch_size=4), DataLoader(x, batch_size=2), data):
            assert l2l.quantize(NETWORK, loader) == expected
        prepared = qat.prepare(NETWORK, calibrate=DataLoader(data, batch_size=4))
        assert prepared.export() == qat.prepare(NETWORK, calibrate=x).export()

    def test_the_same_memory_again_and_again(self) -> None:
        def batches_of() -> Any:
            held = np.empty((2, 12, 3))
            for first in range(0, 6, 2):
                held[:] = COUNTS[first : first + 2]
                yield held

        assert l2l.quantize(NETWORK, batches_of()) == l2l.quantize(NETWORK, COUNTS.astype(float))

    def test_batches_of_unequal_length(self) -> None:
        parts = [COUNTS[:2, :4], COUNTS[2:5], COUNTS[5:, :9]]
        lengths = [4, 4, 12, 12, 12, 9]
        expected = l2l.quantize(NETWORK, COUNTS, lengths=lengths)
        assert l2l.quantize(NETWORK, (part for part in parts)) == expected
        spans = [TIMES[:2, :4], TIMES[2:5], TIMES[5:, :9]]
        assert l2l.quantize(IRREGULAR, iter(parts), calibrate_timespans=spans) == (
            l2l.quantize(IRREGULAR, COUNTS, lengths=lengths, calibrate_timespans=TIMES)
        )

    @pytest.mark.parametrize(
        ("loader", "reason"),
        [
            (iter([]), "x is a loader that holds no batch; an iterator that was used before"),
            (iter([{"x": 1}]), 'is a dict .*give its samples: \\(batch\\["x"\\] for batch'),
            (iter(["a"]), "batch 0 of the loader is not an array of numbers"),
            (iter([COUNTS, None]), "batch 1 of the loader is not an array of numbers but of type"),
            (iter([COUNTS, COUNTS[..., :2]]), "x has pieces with 2 or 3 input channels"),
            (iter([1.0, 2.0]), "batch 0 of the loader has shape \\(\\), expected"),
            (lambda: 3, "x is a function that returns a value of type int; give an array"),
            (lambda x: x, "x is a function that cannot be called without arguments"),
            ({"x": COUNTS}, "x is not an array of numbers but of type dict"),
            (object(), "x is not an array of numbers but of type object"),
            (memoryview(bytes(12)).cast("B", (2, 3, 2)), "x has 2 input channels, expected 3"),
        ],
    )
    def test_what_is_no_loader(self, loader: Any, reason: str) -> None:
        with pytest.raises(l2l.QuantizationError, match=reason):
            l2l.quantize(NETWORK, loader)

    @pytest.mark.parametrize("name", ["MOST_BATCHES", "MOST_NUMBERS"])
    def test_endless_ones_end(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batches, name, 100)
        endless = itertools.repeat(np.zeros((1, 1, 3)))
        with pytest.raises(l2l.QuantizationError, match="more than 100 .*, or an endless one; a"):
            l2l.quantize(NETWORK, endless)
