"""Values of any axes as samples of a network, and back: on arrays and on tensors alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lnn2loihi.converted.layout import (
    elapsed_of,
    join_arrays,
    samples_of,
    sequence_sizes,
    states_of,
    value_of,
    value_of_states,
)
from lnn2loihi.converted.parts import BATCH, FEATURES, TIME, ChipPort, StatePort
from lnn2loihi.errors import InputError

QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
_ORDER: tuple[str, ...] = (BATCH, TIME, FEATURES)


@st.composite
def ports(draw: st.DrawFn, columns: tuple[int, ...]) -> ChipPort:
    """A port with axes in any order, some of them merged, some of size 1."""
    names = list(draw(st.permutations(_ORDER)))
    cuts = draw(st.lists(st.booleans(), min_size=2, max_size=2))
    groups: list[list[str]] = [[names[0]]]
    for name, cut in zip(names[1:], cuts, strict=True):
        if cut:
            groups.append([name])
        else:
            groups[-1].append(name)
    axes: list[Any] = [group[0] if len(group) == 1 else tuple(group) for group in groups]
    for _ in range(draw(st.integers(0, 2))):
        axes.insert(draw(st.integers(0, len(axes))), None)
    return ChipPort("v", tuple(axes), columns)


def placed(port: ChipPort, samples: np.ndarray) -> np.ndarray:
    """The value that holds samples (batch, time, features): number by number."""
    sizes = dict(zip(_ORDER, samples.shape, strict=True))
    groups = [(a if isinstance(a, tuple) else () if a is None else (a,)) for a in port.axes]
    shape = [int(np.prod([sizes[name] for name in group], dtype=int)) for group in groups]
    value = np.full(shape, np.nan)
    for index in np.ndindex(*samples.shape):
        place = dict(zip(_ORDER, index, strict=True))
        spot = []
        for group in groups:
            at = 0
            for name in group:
                at = at * sizes[name] + place[name]
            spot.append(at)
        value[tuple(spot)] = samples[index]
    return value


@QUICK
@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_axes_in_any_order(data: st.DataObject, batch: int, time: int, width: int) -> None:
    columns = tuple(data.draw(st.permutations(range(width))))
    port = data.draw(ports(columns))
    samples = np.random.default_rng(1).normal(size=(batch, time, width))
    value = placed(port, samples)
    known = {BATCH: batch, TIME: time}
    assert sequence_sizes([port], {"v": value.shape}, known, "it") == (batch, time)
    found = samples_of([port], {"v": value}, (batch, time), "it")
    assert np.array_equal(found[..., list(columns)], samples)
    answers = np.zeros((batch, time, width))
    answers[..., list(columns)] = samples
    assert np.array_equal(value_of(port, answers, "it"), value)


@QUICK
@given(st.data(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_tensors_go_the_same_way(data: st.DataObject, batch: int, time: int, width: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    port = data.draw(ports(tuple(data.draw(st.permutations(range(width))))))
    value = placed(port, np.random.default_rng(2).normal(size=(batch, time, width)))
    tensor = torch.tensor(value, requires_grad=True)

    def join(parts: Any, axis: int) -> Any:
        return torch.cat(list(parts), dim=axis)

    found = samples_of([port], {"v": tensor}, (batch, time), "it", join)
    assert np.array_equal(
        found.detach().numpy(), samples_of([port], {"v": value}, (batch, time), "it")
    )
    back = value_of(port, found, "it")
    assert np.array_equal(back.detach().numpy(), value)
    back.sum().backward()
    assert np.array_equal(tensor.grad.numpy(), np.ones(value.shape))


def test_inputs_lie_side_by_side_and_some_hold_for_all_steps() -> None:
    x, code = np.arange(12.0).reshape(2, 3, 2), np.array([[7.0], [8.0]])
    sides = (
        ChipPort("code", (BATCH, FEATURES), (1,)),
        ChipPort("x", (BATCH, TIME, FEATURES), (2, 0)),
    )
    sizes = sequence_sizes(sides, {"code": (2, 1), "x": (2, 3, 2)}, {}, "it")
    assert sizes == (2, 3)
    found = samples_of(sides, {"x": x, "code": code}, sizes, "it")
    assert np.array_equal(found[..., 2], x[..., 0]) and np.array_equal(found[..., 0], x[..., 1])
    assert np.array_equal(found[..., 1], np.repeat(code, 3, axis=1))


def test_steps_that_come_as_values_of_their_own() -> None:
    steps = [ChipPort(f"s{t}", (BATCH, FEATURES), (0, 1), at=t) for t in (2, 0, 1)]
    values = {f"s{t}": np.full((2, 2), float(t)) for t in range(3)}
    sizes = sequence_sizes(steps, {name: (2, 2) for name in values}, {}, "it")
    assert sizes == (2, 3)
    found = samples_of(steps, values, sizes, "it")
    assert np.array_equal(found[:, :, 0], [[0.0, 1.0, 2.0]] * 2)
    with pytest.raises(InputError, match="say nothing of step 1 of 3"):
        samples_of(steps[:2], values, sizes, "it")


def test_answers_at_a_step() -> None:
    answers = np.arange(12.0).reshape(2, 3, 2)
    port = ChipPort("y", (FEATURES, None, BATCH), (1,), at=-2)
    assert np.array_equal(value_of(port, answers, "it"), answers[:, 1, 1][None, None])
    with pytest.raises(InputError, match=r"y is its answer at step 5; sequences have 3"):
        value_of(ChipPort("y", (BATCH, FEATURES), (1,), at=5), answers, "it")
    with pytest.raises(InputError, match="y has no axis of batch, and there are 2"):
        value_of(ChipPort("y", (TIME, FEATURES), (1,)), answers, "it")
    single = value_of(ChipPort("y", (), (0,), at=-1), answers[:1], "it")
    assert single.shape == () and float(single) == answers[0, 2, 0]


def test_elapsed_times_with_and_without_axes() -> None:
    times = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(elapsed_of(ChipPort("t", (TIME, BATCH), ()), times.T, (2, 3)), times)
    assert np.array_equal(
        elapsed_of(ChipPort("t", (BATCH, TIME, None), ()), times[..., None], (2, 3)), times
    )
    each = elapsed_of(ChipPort("t", (BATCH,), ()), np.array([1.0, 2.0]), (2, 3))
    assert np.array_equal(each, [[1.0] * 3, [2.0] * 3])


class TestSizes:
    def test_what_contradicts_itself_is_listed(self) -> None:
        both = (
            ChipPort("x", (BATCH, TIME, FEATURES), (0,)),
            ChipPort("z", (BATCH, TIME), (1,)),
            ChipPort("w", (BATCH, FEATURES), (2, 3)),
        )
        with pytest.raises(InputError) as error:
            sequence_sizes(both, {"x": (2, 3, 1), "z": (2, 4), "w": (2, 2, 1)}, {}, "part 'a'")
        assert error.value.problems == (
            "z has 4 along time, x has 3",
            "w has shape (2, 2, 1), expected 2 axes",
        )

    def test_merged_axes_take_what_is_known(self) -> None:
        port = ChipPort("x", ((BATCH, TIME), FEATURES), (0,))
        assert sequence_sizes([port], {"x": (6, 1)}, {BATCH: 2}, "it") == (2, 3)
        other = ChipPort("t", (BATCH,), ())
        assert sequence_sizes([port, other], {"x": (6, 1), "t": (3,)}, {}, "it") == (3, 2)
        with pytest.raises(InputError, match="merges batch and time, and nothing says"):
            sequence_sizes([port], {"x": (6, 1)}, {}, "it")
        with pytest.raises(InputError, match="has 6 along batch and time, expected a multiple"):
            sequence_sizes([port], {"x": (6, 1)}, {BATCH: 4}, "it")


@st.composite
def state_ports(draw: st.DrawFn) -> StatePort:
    """Some of the units of two states, in any order and shape."""
    units = [("a", u) for u in range(3)] + [("b", u) for u in range(2)]
    chosen = draw(st.permutations(units))[: draw(st.integers(1, 5))]
    shape = (1, len(chosen)) if draw(st.booleans()) else (len(chosen),)
    axis = draw(st.sampled_from([None, *range(-len(shape) - 1, len(shape) + 1)]))
    return StatePort("h", shape, axis, tuple(chosen))


@QUICK
@given(state_ports(), st.integers(1, 3))
def test_states_in_any_order(port: StatePort, batch: int) -> None:
    rng = np.random.default_rng(3)
    batch = 1 if port.batch_axis is None else batch
    states = {"a": rng.normal(size=(batch, 3)), "b": rng.normal(size=(batch, 2))}
    value = value_of_states(port, states)
    flat = [states[name][:, unit] for name, unit in port.units]
    expected = np.stack(flat, axis=1).reshape(batch, *port.shape)
    expected = expected[0] if port.batch_axis is None else np.moveaxis(expected, 0, port.batch_axis)
    assert np.array_equal(value, expected)
    found = states_of(port, value, batch, {"a": 3, "b": 2}, join_arrays)
    for name in ("a", "b"):
        for unit in range(states[name].shape[1]):
            if (name, unit) in port.units:
                assert np.array_equal(found[name][:, unit], states[name][:, unit])
            elif name in found:
                assert not found[name][:, unit].any()


def test_states_of_another_shape_are_refused() -> None:
    port = StatePort("h", (1, 2), 1, (("a", 0), ("a", 1)))
    with pytest.raises(InputError, match=r"h: has shape \(3, 2\), expected \(1, 2, 2\)"):
        states_of(port, np.zeros((3, 2)), 2, {"a": 2}, join_arrays)
    one = states_of(port, np.ones((1, 1, 2)), 4, {"a": 2}, join_arrays)
    assert np.array_equal(one["a"], np.ones((4, 2)))
    alone = StatePort("h", (2,), None, (("a", 0), ("a", 1)))
    with pytest.raises(InputError, match="is the state of one sequence, and there are 2"):
        value_of_states(alone, {"a": np.zeros((2, 2))})
