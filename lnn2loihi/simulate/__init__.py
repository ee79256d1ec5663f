"""Simulates a LoihiProgram: exactly the integers that the chip would answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError, Problems
from lnn2loihi.formats import IntegerArray, signed_range
from lnn2loihi.network import as_array, checked_input
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulate.blas import run_blas
from lnn2loihi.simulate.choice import chosen_engine, native_engine
from lnn2loihi.simulate.reference import run_reference
from lnn2loihi.simulate.result import EngineRun, OnStep, SimulationResult
from lnn2loihi.simulate.traces import from_trace
from lnn2loihi.version import VERSION

State = Mapping[str, Mapping[str, npt.ArrayLike]]


def simulate(
    program: LoihiProgram,
    x: npt.ArrayLike,
    engine: str = "auto",
    *,
    lengths: npt.ArrayLike | None = None,
    initial_state: State | None = None,
    return_states: bool = False,
    threads: int | None = None,
    progress: OnStep | None = None,
) -> SimulationResult:
    """Runs a program on sequences, from its initial state.

    Args:
        program: what to run.
        x: (batch, time, inputs). Floats are encoded (rounded half up, saturated to the
            calibrated range and counted); integers are taken as encoded messages.
        engine: "c", "blas", "reference", or "auto" for the fastest there is. All give the same
            integers.
        lengths: samples of each sequence, (batch,); all of them by default. What stands beyond is
            ignored, and answered with zeros.
        initial_state: for each population and state word (batch, neurons) or (neurons,); the
            program's own where absent.
        return_states: whether to return every state of every step.
        threads: threads of the C engine; all cores by default. The result does not depend on it.
        progress: called with the steps done and the steps in all, for progress bars.

    Raises:
        InputError: x, a length or a state does not fit the program, or the engine cannot run it.
        BackendMissingError: the C engine was asked for, and there is no compiler.
    """
    if threads is not None and not (isinstance(threads, int) and threads >= 1):
        raise InputError("threads", f"{threads!r} threads cannot run anything; give 1 or more")
    subject = f"program {program.name!r}"
    try:
        array = as_array(x)
    except (TypeError, ValueError) as error:
        raise InputError(subject, f"x is not an array of numbers ({error})") from error
    array, counts = _without_padding(program, array, lengths)
    values = checked_input(array, program.input.size, subject)
    start = full_initial_state(program, len(values), initial_state)
    chosen = chosen_engine(program, engine)  # the last check: it may compile
    if chosen == "c":
        encoded = np.issubdtype(array.dtype, np.integer)
        ends = np.iinfo(np.int32)  # what leaves them saturates in the engine, and must not wrap
        samples = np.clip(values, ends.min, ends.max).astype(np.int32) if encoded else values
        native = native_engine(program)
        run, saturated = native.run(
            np.ascontiguousarray(samples), counts, start, return_states, threads, progress
        )
    else:
        inputs, saturated = encode(program, array)
        if chosen == "blas":
            run = run_blas(program, inputs, start, counts, return_states, progress)
        else:
            trace = run_reference(program, inputs, start, progress)
            run = from_trace(program, trace, inputs, start, counts, return_states)
    return result_of(program, run, saturated)


def _without_padding(
    program: LoihiProgram, array: npt.NDArray[Any], lengths: npt.ArrayLike | None
) -> tuple[npt.NDArray[Any], IntegerArray]:
    """The samples with a value in range beyond the end of each sequence, and the lengths.

    Raises:
        InputError: lists what is wrong with the lengths.
    """
    if array.ndim != 3:
        return array, np.zeros(0, np.int64)  # checked_input will say so
    batch, time, channels = array.shape
    if lengths is None:
        return array, np.full(batch, time, np.int64)
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
    counts = counts.astype(np.int64)
    if channels != program.input.size or array.dtype.kind not in "biuf":
        return array, counts  # the same
    beyond = (np.arange(time) >= counts[:, None])[..., None]
    inside = program.input.low
    if np.issubdtype(array.dtype, np.integer):
        # In a type that holds the filling; what is cut off here saturates all the same.
        if array.dtype == np.uint64:
            array = np.minimum(array, np.uint64(np.iinfo(np.int64).max))
        return np.where(beyond, inside, array.astype(np.int64)), counts
    return np.where(beyond, program.input.format.decode(inside), array), counts


def encode(program: LoihiProgram, x: npt.ArrayLike) -> tuple[IntegerArray, IntegerArray]:
    """Encoded samples int64 (batch, time, channels), and saturated values per channel.

    Raises:
        InputError: the shape is wrong, or x holds NaN or infinite values.
    """
    values = checked_input(x, program.input.size, f"program {program.name!r}")
    if np.issubdtype(as_array(x).dtype, np.integer):
        return program.input.saturate(values)
    return program.input.encode(values)


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


def result_of(program: LoihiProgram, run: EngineRun, saturated: IntegerArray) -> SimulationResult:
    """Decodes a run."""
    return SimulationResult(
        outputs=program.output_population.message.decode(run.integers),
        integers=run.integers,
        states=run.states,
        final_state=run.final_state,
        saturated=saturated,
        counters=run.counters,
        executor=f"{run.executor} (lnn2loihi {VERSION})",
    )
