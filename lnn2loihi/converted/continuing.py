"""Whether calls in a row, each with the states that the one before ended with, are one long call.

They are where everything on the host is computed for each step alone. That is tried: whatever
passes between parts is compared, for a sequence and for its two pieces. A module that keeps states
itself is compared with its own calls in a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.converted.comparing import live_answers
from lnn2loihi.converted.pieces import TIME, AnyArray, HostPart
from lnn2loihi.converted.running import Passage, given_example, given_to, pass_through
from lnn2loihi.converted.structure import Given, places, with_tensors
from lnn2loihi.errors import InputError, Problems

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

#: Samples of the first piece: the example's, between these. What reaches back over more steps than
#: that is not seen.
LEAST_SAMPLES, MOST_SAMPLES = 24, 200
#: How far values may be off, of their size: in floats for the float32 that they are computed in, in
#: integers of loaded modules for the units that float32 of another order of sums moves them by.
FLOATS_AGREE, INTEGERS_AGREE = 1e-4, 2e-2


@dataclass(frozen=True)
class Continuation:
    """How calls of a module go on.

    Attributes:
        parts: names of the chip parts whose states are carried.
        notes: what the user has to know, a sentence each.
    """

    parts: tuple[str, ...]
    notes: tuple[str, ...] = ()


def continuation(converted: ConvertedModule) -> Continuation:
    """How calls of a module go on.

    Raises:
        InputError: lists the parts with which calls in a row are not one long call, or not what the
            module's own are; or the example was too large to be saved.
    """
    problems = Problems(InputError, f"module {converted.name!r}: a stream")
    first, other = (_passed(converted, call) for call in (_example(converted), _drawn(converted)))
    told = dict(_told(converted, first, other))
    carried = tuple(part.name for part in converted.chip_parts if part.name not in told)
    if converted.kept:
        problems.extend(told.values() if not carried else ())
        problems.raise_if_any()
        return Continuation(carried, tuple(_kept_notes(converted, carried, told)))
    problems.extend(told.values())
    problems.raise_if_any()
    if any(TIME in one.axes for one in converted.inputs):
        problem = _mixing(converted)
    else:
        problem = _several_steps(converted, first)
    problems.extend([problem] if problem else ())
    problems.raise_if_any()
    return Continuation(carried)


def _told(converted: ConvertedModule, first: Passage, other: Passage) -> Iterator[tuple[str, str]]:
    """Chip parts that begin each call with states that the call tells, and a sentence on each."""
    inputs = {one.name for one in converted.inputs}
    made_by = {name: part.name for part in converted.parts for name in part.answers}
    for part in converted.chip_parts:
        for name in dict.fromkeys(port.value for port in part.initial):
            if name in inputs:
                yield (
                    part.name,
                    (
                        f"part {part.name!r} begins with the states that the argument {name} "
                        "gives: hand what predict answers to its next call, as to the module's"
                    ),
                )
            elif not _equal(first.values[name], other.values[name], 0.0):
                yield (
                    part.name,
                    (
                        f"part {part.name!r} begins each call with {name}, which part "
                        f"{made_by[name]!r} makes of the samples of that call"
                    ),
                )


def _several_steps(converted: ConvertedModule, first: Passage) -> str | None:
    """A module that takes no longer and no shorter sequences; one step is one."""
    for part in converted.chip_parts:
        if (steps := int(np.shape(first.heard[part.name].x)[1])) > 1:
            return (
                f"each call is a sequence of its own: part {part.name!r} hears {steps} steps in "
                "each, no more and no fewer; convert the module with an example whose length may "
                "vary"
            )
    return None


def _mixing(converted: ConvertedModule) -> str | None:
    """Which part of a module makes of two pieces something else than of both at once."""
    lengths = (_samples(converted), _samples(converted) + 1)
    whole = _drawn(converted, sum(lengths))
    pieces = [_cut(converted, whole, 0, lengths[0]), _cut(converted, whole, *lengths)]
    try:
        long = _passed(converted, whole)
        one = _passed(converted, pieces[0])
        two = _passed(converted, pieces[1], one.states)
    except InputError as error:
        return (
            f"it does not run on {lengths[0]} samples, {lengths[1]}, and on both at once: {error}"
        )
    agree = FLOATS_AGREE if converted.has_floats else INTEGERS_AGREE
    for part in converted.parts:
        for name in part.answers:
            values = (long.values[name], one.values[name], two.values[name])
            if not _goes_on(values, lengths, agree):
                where = "host part" if isinstance(part, HostPart) else "part"
                return (
                    f"{where} {part.name!r} mixes the steps of a sequence: {name} of two pieces is "
                    "not that of the whole. Give predict whole sequences"
                )
    return None


def _goes_on(
    values: tuple[AnyArray, AnyArray, AnyArray], lengths: tuple[int, int], agree: float
) -> bool:
    """Whether a value of the whole is that of its last piece, or of both one behind the other.

    Along an axis in which time is merged with others, it may stand at any place among them.
    """
    whole, one, two = values
    if _equal(whole, two, agree):
        return True
    if not (whole.ndim == one.ndim == two.ndim):
        return False
    total = sum(lengths)
    for axis, size in enumerate(whole.shape):
        others = size // total
        wanted = [others * length for length in lengths]
        if size % total or wanted != [one.shape[axis], two.shape[axis]]:
            continue
        for before in (n for n in range(1, others + 1) if others % n == 0):
            apart = [_with_time(own, axis, before, t) for own, t in ((one, lengths[0]),
                                                                    (two, lengths[1]))]  # fmt: skip
            together = np.concatenate(apart, axis + 1)
            if _equal(_with_time(whole, axis, before, total), together, agree):
                return True
    return False


def _with_time(array: AnyArray, axis: int, before: int, time: int) -> AnyArray:
    """An axis taken apart: what stands before time, time, what stands behind it."""
    shape = array.shape
    return array.reshape((*shape[:axis], before, time, -1, *shape[axis + 1 :]))


def _equal(one: AnyArray, other: AnyArray, agree: float) -> bool:
    if one.shape != other.shape:
        return False
    own, found = np.asarray(one, np.float64), np.asarray(other, np.float64)
    size = float(np.nanmax(np.abs(own), initial=0.0))
    return bool(np.allclose(own, found, rtol=0.0, atol=agree * size, equal_nan=True))


def _kept_notes(
    converted: ConvertedModule, carried: tuple[str, ...], told: Mapping[str, str]
) -> Iterator[str]:
    """What is to be said of a module that keeps states itself, after a look at its own calls.

    Raises:
        InputError: its second or third call answers otherwise.
    """
    yield from told.values()
    names = ", ".join(converted.kept)
    if converted.module is None or not converted.has_floats:
        yield (
            f"the states of {', '.join(carried)} stand for {names}, which the module keeps; the "
            "module is not there to be compared with"
        )
        return
    calls = [_example(converted), _drawn(converted), _example(converted)]
    live = live_answers(converted, calls, converted.module)
    states: dict[str, Mapping[str, Any]] = {}
    for number, (call, answered) in enumerate(zip(calls, live, strict=True)):
        passage = pass_through(converted, call, executor=None, carried=states)
        states = {name: passage.states[name] for name in carried}
        same = all(
            _equal(answered[place], passage.values[name], FLOATS_AGREE)
            for place, name in places(converted.answer, "answer")
        )
        if not same and number == 0:
            yield (
                f"the module has been called since it was converted, and keeps {names} of that "
                "call; its further calls could not be compared with those of this stream"
            )
            return
        if not same:
            raise InputError(
                f"module {converted.name!r}: a stream",
                f"call {number + 1} of the module answers otherwise than its parts do with the "
                f"states that call {number} ended with: {names} is something else than these "
                "states, or only some of them. Take it as an argument of forward, and hand it back",
            )


def _example(converted: ConvertedModule) -> Given:
    return given_example(converted)


def _passed(
    converted: ConvertedModule, given: Given, carried: Mapping[str, Any] | None = None
) -> Passage:
    """A passage in floats where they are there, else in integers."""
    executor = None if converted.has_floats else "auto"
    return pass_through(converted, given, executor, carried=carried)


def _samples(converted: ConvertedModule) -> int:
    axes = [zip(one.axes, one.shape, strict=True) for one in converted.inputs]
    longest = max((size for own in axes for axis, size in own if axis == TIME), default=1)
    return min(max(longest, LEAST_SAMPLES), MOST_SAMPLES)


def _drawn(converted: ConvertedModule, time: int | None = None) -> Given:
    """Arguments like the example's: numbers drawn from it, so that they are as large, and of as
    many words, as there; a single number is varied where it is a float.
    """
    given_example(converted)
    rng = np.random.default_rng(0)

    def array(name: str) -> AnyArray:
        (one,) = (one for one in converted.inputs if one.name == name)
        known = np.asarray(converted.example[name])
        shape = tuple(
            time if axis == TIME and time is not None else size
            for axis, size in zip(one.axes, one.shape, strict=True)
        )
        if not known.size:
            return np.zeros(shape, known.dtype)
        drawn = rng.choice(known.reshape(-1), size=shape)
        if known.dtype.kind == "f" and np.ptp(known) == 0.0:
            drawn = drawn + rng.random(shape) * max(abs(float(known.flat[0])), 1.0)
        return np.asarray(drawn, known.dtype)

    args, keywords = with_tensors(converted.arguments, array)
    return given_to(converted, args, keywords)


def _cut(converted: ConvertedModule, whole: Given, begin: int, length: int) -> Given:
    """Some samples of arguments."""

    def array(name: str) -> AnyArray:
        (one,) = (one for one in converted.inputs if one.name == name)
        index = tuple(
            slice(begin, begin + length) if axis == TIME else slice(None) for axis in one.axes
        )
        return whole.values[name][index]

    args, keywords = with_tensors(converted.arguments, array)
    return given_to(converted, args, keywords)
