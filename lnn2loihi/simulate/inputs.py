"""What users hand to a simulation, checked before any work starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError, Problems
from lnn2loihi.formats import IntegerArray, signed_range
from lnn2loihi.network import as_array, checked_samples, checked_timespans
from lnn2loihi.program import LoihiProgram

State = Mapping[str, Mapping[str, npt.ArrayLike]]
#: Types that the engines encode as they are.
_NATIVE = (np.dtype(np.float64), np.dtype(np.float32))


def checked(
    program: LoihiProgram,
    x: npt.ArrayLike,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
) -> tuple[npt.NDArray[Any], IntegerArray]:
    """Samples (batch, time, channels of the port) in their own type and lengths int64 (batch,).

    Elapsed times become the last channel. What stands beyond the end of a sequence is not looked
    at.

    Raises:
        InputError: lists what is wrong with the lengths, or with x.
    """
    subject = f"program {program.name!r}"
    try:
        array = as_array(x)
    except (TypeError, ValueError) as error:
        raise InputError(subject, f"x is not an array of numbers ({error})") from error
    if array.ndim != 3:
        return checked_samples(array, program.channels, subject), np.zeros(0, np.int64)
    counts = _checked_lengths(lengths, *array.shape[:2])
    known = None if lengths is None else counts
    samples = checked_samples(array, program.channels, subject, known)
    inside = np.arange(array.shape[1]) < counts[:, None]
    elapsed = checked_timespans(timespans, array.shape[:2], program.timed, subject, inside)
    if elapsed is None:
        return samples, counts
    if samples.dtype.kind != "f":
        elapsed = np.round(elapsed)
    return np.concatenate([samples, elapsed[..., None].astype(samples.dtype)], axis=-1), counts


def _checked_lengths(lengths: npt.ArrayLike | None, batch: int, time: int) -> IntegerArray:
    if lengths is None:
        return np.full(batch, time, np.int64)
    problems = Problems(InputError, "lengths")
    try:
        counts = as_array(lengths)
    except (TypeError, ValueError) as error:
        raise InputError("lengths", f"is not an array of integers ({error})") from error
    if counts.shape != (batch,):
        problems.add(f"has shape {counts.shape}, expected ({batch},): one for each sequence")
    if not np.issubdtype(counts.dtype, np.integer):
        problems.add(f"is {counts.dtype}, give integers")
    elif counts.size and counts.min() < 0:
        problems.add(f"sequence {int(counts.argmin())} has {counts.min()} samples; give 0 or more")
    elif counts.size and counts.max() > time:
        problems.add(
            f"sequence {int(counts.argmax())} has {counts.max()} samples, x has {time} steps"
        )
    problems.raise_if_any()
    return counts.astype(np.int64)


def for_native(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Samples as the C engine takes them: float64, float32 or int32, contiguous, in machine order.

    Integers beyond 32 bits saturate in the engine all the same.
    """
    if x.dtype.kind == "f":
        return np.ascontiguousarray(x if x.dtype in _NATIVE else x.astype(np.float64))
    ends = np.iinfo(np.int32)
    if x.dtype.itemsize >= 4 and x.dtype != np.int32:
        # One array at a time, and no detour through a type that does not hold the value.
        result = np.empty(x.shape, np.int32)
        np.clip(x, 0 if x.dtype.kind == "u" else ends.min, ends.max, out=result, casting="unsafe")
        return result
    return np.ascontiguousarray(x, np.int32)


def encode_live(
    program: LoihiProgram, x: npt.NDArray[Any], lengths: IntegerArray
) -> tuple[IntegerArray, IntegerArray]:
    """Encoded samples int64 (batch, time, channels), and saturated values per channel.

    Beyond the end of a sequence stand values in range, so that the executors can run them.
    """
    beyond = (np.arange(x.shape[1]) >= lengths[:, None])[..., None]
    inside = program.input.low
    if x.dtype.kind == "f":
        real = x.astype(np.float64)
        if beyond.any():
            real = np.where(beyond, program.input.decode(inside), real)
        return program.input.encode(real)
    if x.dtype == np.uint64:
        x = np.minimum(x, np.uint64(np.iinfo(np.int64).max))
    return program.input.saturate(np.where(beyond, inside, x.astype(np.int64)))


def held(program: LoihiProgram, samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Samples (batch, time, channels) as executors take them: each as often as it is sent."""
    return np.repeat(samples, program.substeps, axis=1) if program.substeps > 1 else samples


def encode(
    program: LoihiProgram, x: npt.ArrayLike, timespans: npt.ArrayLike | None = None
) -> tuple[IntegerArray, IntegerArray]:
    """Encoded samples int64 (batch, time, channels), and saturated values per channel.

    Raises:
        InputError: the shape is wrong, or x holds NaN or infinite values.
    """
    return encode_live(program, *checked(program, x, None, timespans))


def full_initial_state(
    program: LoihiProgram, batch: int, given: State | None
) -> dict[str, dict[str, IntegerArray]]:
    """Initial state of every population, (batch, neurons) each.

    Raises:
        InputError: lists unknown names, wrong shapes and values that do not fit their words.
    """
    problems = Problems(InputError, "initial_state")
    given = {} if given is None else given
    wanted = "give for each population and state word an array, as final_state of a result is"
    if not isinstance(given, Mapping):
        raise InputError("initial_state", f"is a {type(given).__name__}; {wanted}")
    for name in sorted(n for n, words in given.items() if not isinstance(words, Mapping)):
        raise InputError("initial_state", f"{name} holds a {type(given[name]).__name__}; {wanted}")
    full: dict[str, dict[str, IntegerArray]] = {}
    for name in sorted(set(given) - {p.name for p in program.populations}):
        problems.add(f"there is no population {name!r}")
    for population in program.populations:
        own = given.get(population.name, {})
        for word in sorted(set(own) - set(population.program.state_names)):
            problems.add(f"{population.name} has no state word {word!r}")
        full[population.name] = {}
        for word, bits in population.program.states:
            values = np.asarray(own.get(word, population.initial_state[word]))
            shape = (batch, population.size)
            low, high = signed_range(bits)
            if word == population.program.message_state:
                low, high = population.message_low, population.message_high
            if not np.issubdtype(values.dtype, np.integer):
                problems.add(f"{population.name}.{word} is {values.dtype}, give integers")
            elif values.shape not in (shape, shape[1:]):
                problems.add(f"{population.name}.{word} has shape {values.shape}, expected {shape}")
            elif values.size and not (low <= values.min() <= values.max() <= high):
                problems.add(f"{population.name}.{word} leaves [{low}, {high}]")
            else:
                full[population.name][word] = np.broadcast_to(values, shape).astype(np.int64)
    problems.raise_if_any()
    return full
