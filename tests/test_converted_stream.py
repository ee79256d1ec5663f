"""Calls that go on: chunk by chunk as one long call, and modules that keep their state."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from converted_modules import Computed, encoder_decoder, samples, sandwich, sequence_port, timed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi.converted.pieces import BATCH, FEATURES, ChipPort, HostPart, ModuleInput, ValueName
from lnn2loihi.frozen import identical

_SANDWICH = sandwich().quantize()
_TIMED = timed().quantize()


def with_host(
    function: Callable[[np.ndarray], np.ndarray], port: ChipPort | None = None
) -> l2l.ConvertedModule:
    """A host part that is all of a function, before a CfC that answers each step."""
    converted = sandwich()
    before, chip, _ = converted.parts
    assert isinstance(before, HostPart)
    return dataclasses.replace(
        converted,
        parts=(
            dataclasses.replace(before, function=Computed(function)),
            dataclasses.replace(
                chip,
                inputs=(sequence_port("scaled", 0, 1, 2) if port is None else port,),
                outputs=(sequence_port("y", 0, 1),),
            ),
        ),
    ).quantize()


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
    st.sampled_from(["reference", "blas", "auto"]),
    st.integers(1, 3),
)
def test_chunks_answer_what_the_whole_does(chunks: list[int], executor: str, batch: int) -> None:
    x = 2.0 * samples(7, batch, sum(chunks), 3)
    dt = np.abs(samples(8, batch, sum(chunks), 1)) + np.float32(0.1)
    ends = np.cumsum(chunks)
    plain, irregular = _SANDWICH.open_stream(executor), _TIMED.open_stream(executor)
    last: Any = None
    steps: list[Any] = []
    for begin, end in zip((0, *ends), ends, strict=False):
        last = plain.predict(x[:, begin:end])
        steps.append(irregular.predict(x[:, begin:end], dt=dt[:, begin:end]))
    assert np.array_equal(last, _SANDWICH.predict(x))
    assert np.array_equal(np.concatenate(steps, 1), _TIMED.predict(x, dt=dt))
    (part,) = _SANDWICH.run(x).parts.values()
    for population, words in part.final_state.items():
        for word, expected in words.items():
            assert np.array_equal(plain.states["chip"][population][word], expected)
    assert plain.calls == len(chunks)
    assert plain.saturated_inputs == _SANDWICH.run(x).saturated_inputs


class TestTheStream:
    def test_it_begins_anew_after_a_reset_and_leaves_the_module_alone(self) -> None:
        x = samples(1, 2, 4, 3)
        stream = _SANDWICH.open_stream()
        first = stream.predict(x)
        assert np.array_equal(first, _SANDWICH.predict(x))
        assert not np.array_equal(stream.predict(x), first)
        assert np.array_equal(_SANDWICH.predict(x), first)
        stream.reset()
        assert (stream.calls, stream.states, stream.saturated_inputs) == (0, {}, 0)
        assert np.array_equal(stream.predict(x), first)

    def test_it_shows_its_calls_and_what_saturated(self) -> None:
        stream = _SANDWICH.open_stream()
        assert "0 calls" in repr(stream) and "nothing has run" in str(stream)
        stream.predict(samples(1, 2, 4, 3))
        assert "1 calls" in repr(stream) and "saturated words" in stream.summary()
        assert "saturated words" in stream._repr_html_()

    def test_a_copy_goes_on_by_itself(self) -> None:
        x = samples(1, 2, 4, 3)
        stream = _SANDWICH.open_stream()
        stream.predict(x)
        other = copy.copy(stream)
        expected = other.predict(x)
        assert (stream.calls, other.calls) == (1, 2)
        assert np.array_equal(stream.predict(x), expected)

    def test_what_saturates_is_counted_by_part(self) -> None:
        x, dt = 1e6 * samples(1, 2, 4, 3), np.full((2, 4, 1), 1e6, np.float32)
        stream, whole = _TIMED.open_stream(), _TIMED.run(x, dt=dt)
        for part in (slice(0, 1), slice(1, 4)):
            stream.predict(x[:, part], dt=dt[:, part])
        for name, result in whole.parts.items():
            assert stream.saturated[name].tolist() == result.saturated.tolist()
            assert identical(stream.saturated_words[name], result.saturated_words)
        assert stream.clipped_elapsed == 8
        other = copy.deepcopy(stream)
        other.reset()
        assert (other.saturated, other.saturated_words, other.clipped_elapsed) == ({}, {}, 0)
        assert stream.saturated_inputs == whole.saturated_inputs > 8

    def test_states_are_loaded(self) -> None:
        x = samples(1, 2, 4, 3)
        one, other = _SANDWICH.open_stream(), _SANDWICH.open_stream()
        one.predict(x)
        other.load_states(one.states)
        assert np.array_equal(one.predict(x), other.predict(x))
        before = other.states
        for wrong, text in (
            ({}, "there is nothing of chip part 'chip'"),
            ({**before, "else": {}}, "there is no chip part 'else'"),
            ({"chip": {"nobody": {"h": np.zeros((2, 1), int)}}}, "there is no population 'nobody'"),
            ({"chip": {}}, "not .batch, neurons. of one batch"),
        ):
            with pytest.raises(l2l.InputError, match=text):
                other.load_states(wrong)
        assert identical(other.states, before)

    def test_states_are_not_the_streams_own(self) -> None:
        x = samples(1, 2, 4, 3)
        one, other = _SANDWICH.open_stream(), _SANDWICH.open_stream()
        for stream in (one, other):
            stream.predict(x)
        for words in one.states["chip"].values():
            for held in words.values():
                held[...] = 0
        assert np.array_equal(one.predict(x), other.predict(x))

    def test_a_call_that_fails_changes_nothing(self) -> None:
        x = samples(1, 2, 4, 3)
        one, other = _SANDWICH.open_stream(), _SANDWICH.open_stream()
        for stream in (one, other):
            stream.predict(x)
        with pytest.raises(l2l.InputError, match="is given 1 sequences, and the calls before had "
                           "2; give as many, or reset the stream"):  # fmt: skip
            one.predict(x[:1])
        with pytest.raises(l2l.InputError, match="NaN or infinite"):
            one.predict(np.full_like(x, np.nan))
        assert one.calls == 1
        assert np.array_equal(one.predict(x), other.predict(x))

    def test_an_unknown_executor_is_named(self) -> None:
        with pytest.raises(l2l.InputError, match="quantum"):
            _SANDWICH.open_stream("quantum")

    def test_a_module_that_nobody_quantized_says_so(self) -> None:
        stream = sandwich().open_stream()
        assert any("quantized" in note for note in stream.run(samples(1, 1, 2, 3)).notes)

    def test_initial_states_are_those_of_the_first_call(self) -> None:
        """A state that all calls begin with, and no call tells."""
        converted = encoder_decoder()
        _, decode = converted.chip_parts
        start = 0.5 * samples(4, 1, 1, 4)
        alone = dataclasses.replace(
            converted, inputs=converted.inputs[1:], arguments=((ValueName("z"),), {}),
            answer=(ValueName("y"), ValueName("state")),
            parts=(dataclasses.replace(decode, initial=(
                dataclasses.replace(decode.initial[0], batch_axis=None, shape=(1, 1, 4)),)),),
            constants={"h": start}, example={"z": converted.example["z"]},
        )  # fmt: skip
        axes = ((BATCH, "time", None),)
        named = tuple(
            dataclasses.replace(one, axes=own) for one, own in zip(alone.inputs, axes, strict=True)
        )
        ready = dataclasses.replace(alone, inputs=named).quantize()
        z = samples(5, 3, 6, 2)
        stream = ready.open_stream()
        pieces = [stream.predict(z[:, :2]), stream.predict(z[:, 2:])]
        whole, state = ready.predict(z)
        assert np.array_equal(np.concatenate([y for y, _ in pieces], 1), whole)
        assert np.array_equal(pieces[1][1], state)
        zeros = dataclasses.replace(ready, constants={"h": 0 * start})
        assert not np.array_equal(zeros.predict(z)[0], whole)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "function",
        [
            lambda x: x - x.mean(1, keepdims=True),
            lambda x: x[:, ::-1],
            lambda x: np.concatenate([0 * x[:, :1], x[:, :-1]], 1),
            lambda x: np.cumsum(x, 1) / 10,
            lambda x: x / (1.0 + np.abs(x).max(1, keepdims=True)),
            lambda x: np.concatenate([0 * x[:, :20], x[:, :-20]], 1),
        ],
        ids=["mean", "flip", "lag", "sum", "largest", "far lag"],
    )
    def test_host_parts_that_mix_steps(self, function: Any) -> None:
        with pytest.raises(l2l.InputError, match="host part 'before' mixes the steps of a "
                           "sequence: scaled of two pieces"):  # fmt: skip
            with_host(function).open_stream()

    def test_an_example_without_contrast_hides_nothing(self) -> None:
        converted = with_host(lambda x: x - x.mean(1, keepdims=True))
        still = dataclasses.replace(converted, example={"x": np.zeros((2, 5, 3), np.float32)})
        with pytest.raises(l2l.InputError, match="mixes the steps"):
            still.open_stream()

    def test_host_parts_that_merge_batch_and_time_do_not(self) -> None:
        merged = ChipPort("scaled", ((BATCH, "time"), FEATURES), (0, 1, 2))
        ready = with_host(lambda x: np.tanh(x).reshape(-1, 3), merged)
        x = samples(3, 2, 7, 3)
        stream = ready.open_stream()
        pieces = [stream.predict(x[:, :3]), stream.predict(x[:, 3:])]
        assert np.array_equal(np.concatenate(pieces, 1), ready.predict(x))

    def test_parts_that_begin_with_what_each_call_tells(self) -> None:
        with pytest.raises(l2l.InputError, match="part 'decode' begins each call with h, which "
                           "part 'encode' makes of the samples"):  # fmt: skip
            encoder_decoder().open_stream()

    def test_arguments_that_are_states(self) -> None:
        converted = encoder_decoder()
        _, decode = converted.chip_parts
        h = samples(4, 1, 3, 4)
        taking = dataclasses.replace(
            converted, parts=(decode,), answer=(ValueName("y"), ValueName("state")),
            inputs=(converted.inputs[1], ModuleInput("h", (None, BATCH, None), h.shape, "float32")),
            arguments=((ValueName("z"),), {"h": ValueName("h")}),
            example={"z": converted.example["z"], "h": h},
        )  # fmt: skip
        with pytest.raises(l2l.InputError, match="states that the argument h gives: hand what"):
            taking.open_stream()

    def test_sequences_of_one_length(self) -> None:
        converted = sandwich()
        fixed = dataclasses.replace(converted.inputs[0], axes=(BATCH, None, None))
        with pytest.raises(l2l.InputError, match="part 'chip' hears 9 steps in each, no more"):
            dataclasses.replace(converted, inputs=(fixed,)).open_stream()

    def test_host_parts_that_run_on_one_length(self) -> None:
        def nine(x: np.ndarray) -> np.ndarray:
            assert x.shape[1] == 9
            return x

        with pytest.raises(l2l.InputError, match="does not run on 24 samples, 25, and on both"):
            with_host(nine).open_stream()


def test_a_saved_module_streams_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    loaded = l2l.load(_SANDWICH.save(tmp_path / "module.l2m"))
    assert isinstance(loaded, l2l.ConvertedModule) and loaded.kept == ()
    stream = loaded.open_stream()
    x = samples(1, 2, 9, 3)
    stream.predict(x[:, :4])
    assert np.array_equal(stream.predict(x[:, 4:]), loaded.predict(x))
    kept = dataclasses.replace(_SANDWICH, kept=("hidden",))
    loaded = l2l.load(kept.save(tmp_path / "kept.l2m"))
    assert isinstance(loaded, l2l.ConvertedModule) and loaded.kept == ("hidden",)
    assert "which the module keeps; the module is not there" in loaded.open_stream().notes[0]
