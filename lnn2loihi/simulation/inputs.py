"""What users hand to a simulation, checked before any work starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.formats import IntegerArray, signed_range
from lnn2loihi.program import LoihiProgram
from lnn2loihi.sequences import Sequences, sequences

#: For each population and state word an array of integers.
State = Annotated[
    Mapping[str, Mapping[str, npt.ArrayLike]],
    "for each population and state word an array of integers, as final_state of a result is",
]
#: Types that the engines encode as they are.
_NATIVE = (np.dtype(np.float64), np.dtype(np.float32))
#: An encoded elapsed time beyond every format, which int64 and float64 hold.
_LONGEST = float(1 << 62)


def checked(
    program: LoihiProgram,
    x: npt.ArrayLike,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    encoded: bool = False,
) -> tuple[npt.NDArray[Any], IntegerArray]:
    """Samples (batch, time, channels of the port) and lengths int64 (batch,).

    Samples are floats, or with `encoded` integers. Elapsed times become the last channel. What
    stands beyond the end of a sequence is not looked at.

    Raises:
        InputError: lists what is wrong with the lengths, or with x.
    """
    data = given(program, x, lengths, timespans, encoded)
    if data.timespans is None:
        return data.x, data.lengths
    # Elapsed times keep their precision, and their range, beside narrow samples.
    wide = np.float64 if data.x.dtype.kind == "f" else np.int64
    spans = np.where(data.inside, data.timespans, 0.0)
    if wide is np.int64:
        spans = np.minimum(spans, _LONGEST)  # saturates as whatever is longer
    joined = np.concatenate([data.x.astype(wide), spans[..., None].astype(wide)], axis=-1)
    return joined, data.lengths


def given(
    program: LoihiProgram,
    x: npt.ArrayLike,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    encoded: bool = False,
) -> Sequences:
    """What users give to a program, checked.

    Raises:
        InputError: see `lnn2loihi.sequences.sequences`.
    """
    return sequences(
        x, program.channels, f"program {program.name!r}",
        lengths=lengths, timespans=timespans, irregular=program.timed, encoded=encoded,
    )  # fmt: skip


def decoded(program: LoihiProgram, data: Sequences) -> Sequences:
    """Encoded messages as the samples that they stand for; samples as they are."""
    if data.x.dtype.kind == "f":
        return data
    channels = program.channels
    gain, offset = program.input.gain, program.input.offset
    x = data.x.astype(np.float64) / gain[:channels] + offset[:channels]
    spans = None if data.timespans is None else data.timespans / gain[-1] + offset[-1]
    return Sequences(x, data.lengths, spans)


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
    program: LoihiProgram,
    x: npt.ArrayLike,
    timespans: npt.ArrayLike | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
    encoded: bool = False,
) -> tuple[IntegerArray, IntegerArray]:
    """Encoded samples int64 (batch, time, channels), and saturated values per channel.

    Beyond the end of a sequence stand values in range.

    Args:
        program: whose input port encodes.
        x: (batch, time, inputs), or a list of sequences (time, inputs).
        timespans: elapsed times (batch, time), where time is irregular.
        lengths: samples of each sequence, (batch,); all of them by default.
        encoded: whether x holds encoded messages already, which are checked and saturated.

    Raises:
        InputError: a shape or a length is wrong, x holds NaN or infinite values, or encoded
            messages that are no integers.
    """
    return encode_live(program, *checked(program, x, lengths, timespans, encoded))


def full_initial_state(
    program: LoihiProgram, batch: int, given: State | None
) -> dict[str, dict[str, IntegerArray]]:
    """Initial state of every population, (batch, neurons) each.

    Raises:
        InputError: lists unknown names, wrong shapes and values that do not fit their words.
    """
    problems = Problems(InputError, "initial_state")
    given = {} if given is None else given
    full: dict[str, dict[str, IntegerArray]] = {}
    for name in sorted(set(given) - {p.name for p in program.populations}, key=str):
        problems.add(f"there is no population {name!r}")
    for population in program.populations:
        own = given.get(population.name, {})
        for word in sorted(set(own) - set(population.program.state_names), key=str):
            problems.add(f"{population.name} has no state word {word!r}")
        full[population.name] = {}
        for word, bits in population.program.states:
            shape = (batch, population.size)
            if word not in own:  # it was checked when the program was made
                full[population.name][word] = np.empty(shape, np.int64)
                full[population.name][word][:] = population.initial_state[word]
                continue
            values = as_array(own[word], "initial_state", f"{population.name}.{word}")
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
