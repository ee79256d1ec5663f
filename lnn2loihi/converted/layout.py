"""Between values as a module has them and samples as a network takes them.

A network takes samples (batch, time, features); a value has these axes in any order, some of them
merged, some of them missing. Everything here works on arrays and on PyTorch's tensors, with
gradients, and knows neither by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lnn2loihi.converted.pieces import BATCH, FEATURES, TIME, ChipPort, StatePort
from lnn2loihi.errors import InputError, Problems

#: How arrays are put together along an axis: `np.concatenate`, or the same of tensors.
Join = Callable[[Sequence[Any], int], Any]
_ORDER = (BATCH, TIME, FEATURES)


def join_arrays(parts: Sequence[Any], axis: int) -> Any:
    """Arrays one behind the other."""
    return np.concatenate(parts, axis=axis)


def sequence_sizes(
    ports: Iterable[ChipPort],
    shapes: Mapping[str, tuple[int, ...]],
    known: Mapping[str, int],
    subject: str,
) -> tuple[int, int]:
    """How many sequences there are, and how many samples each has.

    Args:
        ports: what a part takes.
        shapes: of the values.
        known: sizes of BATCH and TIME in the inputs of the module, for what no port says.
        subject: who takes them, for errors.

    Raises:
        InputError: lists ports whose values have other axes, or contradict each other.
    """
    problems = Problems(InputError, subject)
    found: dict[str, tuple[int, str]] = {}
    merged: list[tuple[ChipPort, tuple[str, ...], int]] = []
    latest = 1
    for port in ports:
        shape = shapes[port.value]
        if len(shape) != len(port.axes):
            problems.add(f"{port.value} has shape {shape}, expected {len(port.axes)} axes")
            continue
        for axis, size in zip(port.axes, shape, strict=True):
            if axis is None or axis == FEATURES:
                wanted = 1 if axis is None else _features(port)
                if size != wanted:
                    problems.add(f"{port.value} has shape {shape}, expected {wanted} in place of "
                                 f"{size}")  # fmt: skip
            elif isinstance(axis, tuple):
                merged.append((port, axis, size))
            elif found.setdefault(axis, (size, port.value))[0] != size:
                other = found[axis]
                problems.add(f"{port.value} has {size} along {axis}, {other[1]} has {other[0]}")
        if port.at is not None and TIME not in _flat(port.axes):
            latest = max(latest, port.at + 1)
    sizes = {axis: size for axis, (size, _) in found.items()}
    for port, axes, size in merged:
        _take_apart(port, axes, size, sizes, known, problems)
    problems.raise_if_any()
    return sizes.get(BATCH, 1), sizes.get(TIME, latest)


def _take_apart(
    port: ChipPort,
    axes: tuple[str, ...],
    size: int,
    sizes: dict[str, int],
    known: Mapping[str, int],
    problems: Problems,
) -> None:
    """Puts what a merged axis says into `sizes`."""
    unknown = [axis for axis in axes if axis != FEATURES and axis not in sizes]
    for axis in unknown[:-1] if len(unknown) > 1 else ():
        if axis in known:
            sizes[axis] = known[axis]
    unknown = [axis for axis in unknown if axis not in sizes]
    rest = math.prod(_features(port) if a == FEATURES else sizes.get(a, 1) for a in axes)
    if len(unknown) > 1:
        problems.add(f"{port.value} merges {' and '.join(axes)}, and nothing says their sizes")
    elif unknown and rest and size % rest == 0:
        sizes[unknown[0]] = size // rest
    elif unknown or size != rest:
        problems.add(f"{port.value} has {size} along {' and '.join(axes)}, expected "
                     f"{'a multiple of ' if unknown else ''}{rest}")  # fmt: skip


def samples_of(
    ports: Sequence[ChipPort],
    values: Mapping[str, Any],
    sizes: tuple[int, int],
    subject: str,
    join: Join = join_arrays,
) -> Any:
    """Samples (batch, time, inputs) of values that lie side by side.

    Args:
        ports: where they are; a port without an axis of time stands for one step where it says
            which, else for all of them.
        values: by name.
        sizes: (batch, time).
        subject: who takes them, for errors.
        join: puts arrays together.

    Raises:
        InputError: a step of an input is in no value.
    """
    by_columns: dict[tuple[int, ...], list[ChipPort]] = {}
    for port in ports:
        by_columns.setdefault(port.columns, []).append(port)
    blocks: list[Any] = []
    columns: list[int] = []
    for own, group in by_columns.items():
        blocks.append(_block(group, values, sizes, subject, join))
        columns += own
    together = blocks[0] if len(blocks) == 1 else join(blocks, 2)
    places = [columns.index(column) for column in range(len(columns))]
    return together if places == list(range(len(columns))) else together[:, :, places]


def _block(
    group: Sequence[ChipPort],
    values: Mapping[str, Any],
    sizes: tuple[int, int],
    subject: str,
    join: Join,
) -> Any:
    """The samples of some columns, (batch, time, columns)."""
    batch, time = sizes
    apart = [_apart(port, values[port.value], sizes) for port in group]
    width = len(group[0].columns)
    by_step = {port.at % time: part for port, part in zip(group, apart, strict=True)
               if port.at is not None and TIME not in _flat(port.axes)}  # fmt: skip
    if not by_step or (len(group) == 1 and time == 1):
        return _broadcast(apart[0], (batch, time, width))
    missing = [step for step in range(time) if step not in by_step]
    if missing:
        names = ", ".join(port.value for port in group)
        raise InputError(subject, f"{names} say nothing of step {missing[0]} of {time}")
    return join([_broadcast(by_step[t], (batch, 1, width)) for t in range(time)], 1)


def elapsed_of(port: ChipPort, value: Any, sizes: tuple[int, int]) -> Any:
    """Elapsed times (batch, time) of a value; one time may hold for all."""
    return _broadcast(_apart(port, value, sizes), (*sizes, 1))[:, :, 0]


def value_of(port: ChipPort, answers: Any, subject: str) -> Any:
    """The value of a port, of answers (batch, time, outputs).

    Raises:
        InputError: there is no such step, or there are several sequences where the value has one.
    """
    batch, time, outputs = answers.shape
    columns = list(port.columns)
    picked = answers if columns == list(range(outputs)) else answers[:, :, columns]
    names = _flat(port.axes)
    sizes = {BATCH: batch, TIME: time, FEATURES: len(columns)}
    if TIME not in names:
        at = -1 if port.at is None else port.at
        if not -time <= at < time:
            raise InputError(subject, f"{port.value} is its answer at step {at}; sequences have "
                             f"{time}")  # fmt: skip
        picked = picked[:, [at % time]]
        sizes[TIME] = 1
    for name in (BATCH, FEATURES):
        if name not in names and sizes[name] != 1:
            raise InputError(subject, f"{port.value} has no axis of {name}, and there are "
                             f"{sizes[name]}")  # fmt: skip
    order = [*names, *(name for name in _ORDER if name not in names)]
    picked = _permuted(picked, [_ORDER.index(name) for name in order])
    shape = [math.prod(sizes[a] for a in _names(axis)) for axis in port.axes]
    return picked.reshape(tuple(shape))


def states_of(
    port: StatePort, value: Any, batch: int, state_sizes: Mapping[str, int], join: Join
) -> dict[str, Any]:
    """States (batch, units) by name, of a value that holds some; zeros for other units.

    Raises:
        InputError: the value has another shape.
    """
    expected = port.shape
    if port.batch_axis is not None:
        place = port.batch_axis % (len(port.shape) + 1)
        size = value.shape[place] if place < value.ndim else batch
        expected = (*port.shape[:place], batch if size != 1 else 1, *port.shape[place:])
    if tuple(value.shape) != tuple(expected):
        raise InputError(port.value, f"has shape {tuple(value.shape)}, expected {tuple(expected)}")
    if port.batch_axis is None:
        flat = value.reshape((1, -1))
    else:
        place = port.batch_axis % value.ndim
        order = [place, *(axis for axis in range(value.ndim) if axis != place)]
        flat = _permuted(value, order).reshape((value.shape[place], -1))
    flat = _broadcast(flat, (batch, len(port.units)))
    padded = join([flat, flat[:, :1] * 0], 1)
    nothing = len(port.units)
    found: dict[str, Any] = {}
    for name in dict.fromkeys(state for state, _ in port.units):
        places = [nothing] * state_sizes[name]
        for place, (state, unit) in enumerate(port.units):
            if state == name:
                places[unit] = place
        found[name] = padded[:, places]
    return found


def value_of_states(port: StatePort, states: Mapping[str, Any], join: Join = join_arrays) -> Any:
    """The value that holds states (batch, units), by name.

    Raises:
        InputError: there are several sequences, and it has no axis for them.
    """
    names = list(dict.fromkeys(state for state, _ in port.units))
    begin: dict[str, int] = {}
    count = 0
    for name in names:
        begin[name] = count
        count += states[name].shape[1]
    together = states[names[0]] if len(names) == 1 else join([states[n] for n in names], 1)
    flat = together[:, [begin[state] + unit for state, unit in port.units]]
    batch = flat.shape[0]
    shaped = flat.reshape((batch, *port.shape))
    if port.batch_axis is None:
        if batch != 1:
            raise InputError(port.value, f"is the state of one sequence, and there are {batch}")
        return shaped.reshape(tuple(port.shape))
    place = port.batch_axis % shaped.ndim
    order = [*range(1, place + 1), 0, *range(place + 1, shaped.ndim)]
    return _permuted(shaped, order)


def _apart(port: ChipPort, value: Any, sizes: tuple[int, int]) -> Any:
    """A value with one axis each for batch, time and features, of size 1 where it has none."""
    lengths = {BATCH: sizes[0], TIME: sizes[1], FEATURES: _features(port)}
    names = _flat(port.axes)
    split = value.reshape(tuple(lengths[name] for name in names))
    split = _permuted(split, [names.index(name) for name in _ORDER if name in names])
    return split.reshape(tuple(lengths[name] if name in names else 1 for name in _ORDER))


def _features(port: ChipPort) -> int:
    return len(port.columns) or 1


def _names(axis: Any) -> tuple[str, ...]:
    if axis is None:
        return ()
    return axis if isinstance(axis, tuple) else (axis,)


def _flat(axes: Sequence[Any]) -> list[str]:
    return [name for axis in axes for name in _names(axis)]


def _permuted(array: Any, order: Sequence[int]) -> Any:
    """The same with its axes in this order."""
    if list(order) == list(range(len(order))):
        return array
    return (array.permute if hasattr(array, "permute") else array.transpose)(tuple(order))


def _broadcast(array: Any, shape: tuple[int, ...]) -> Any:
    if tuple(array.shape) == shape:
        return array
    return array.expand(shape) if hasattr(array, "expand") else np.broadcast_to(array, shape)
