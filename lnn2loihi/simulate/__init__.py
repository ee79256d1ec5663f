"""Simulates a LoihiProgram: exactly the integers that the chip would answer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError, Problems
from lnn2loihi.formats import IntegerArray
from lnn2loihi.network import as_array, checked_input
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulate.reference import run_reference
from lnn2loihi.simulate.result import IntegerRun, OnStep, SimulationResult, States
from lnn2loihi.version import VERSION

ENGINES = ("auto", "reference")


def simulate(
    program: LoihiProgram,
    x: npt.ArrayLike,
    *,
    engine: str = "auto",
    initial_state: Mapping[str, Mapping[str, npt.ArrayLike]] | None = None,
    return_states: bool = False,
    on_step: OnStep | None = None,
) -> SimulationResult:
    """Runs a program on sequences, from its initial state.

    Args:
        program: what to run.
        x: (batch, time, inputs). Floats are encoded (rounded half up, saturated to the
            calibrated range and counted); integers are taken as encoded messages.
        engine: "reference", or "auto" for the fastest there is.
        initial_state: for each population and state word (batch, neurons) or (neurons,); the
            program's own where absent.
        return_states: whether to return every state of every step.
        on_step: called with the chip steps done and the chip steps in all, for progress bars.

    Raises:
        InputError: x or a state does not fit the program, or the engine does not exist.
    """
    if engine not in ENGINES:
        raise InputError("engine", f"{engine!r} does not exist; use one of {', '.join(ENGINES)}")
    inputs, saturated = encode(program, x)
    start = full_initial_state(program, inputs.shape[0], initial_state)
    run = run_reference(program, inputs, start, on_step)
    return result_of(program, run, saturated, return_states)


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
    program: LoihiProgram,
    batch: int,
    given: Mapping[str, Mapping[str, npt.ArrayLike]] | None,
) -> dict[str, dict[str, IntegerArray]]:
    """Initial state of every population, (batch, neurons) each.

    Raises:
        InputError: lists unknown names, wrong shapes and values that do not fit their words.
    """
    problems = Problems(InputError, "initial_state")
    given = given or {}
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
            low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
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


def result_of(
    program: LoihiProgram, run: IntegerRun, saturated: IntegerArray, return_states: bool
) -> SimulationResult:
    """Decodes a run."""
    integers = run.outputs(program)
    final: States = {
        p.name: {word: run.states[p.name][word][:, -1] for word in p.program.state_names}
        for p in program.populations
    }
    return SimulationResult(
        outputs=program.output_population.message.decode(integers),
        integers=integers,
        states=run.states if return_states else None,
        final_state=final,
        saturated=saturated,
        executor=f"{run.executor} (lnn2loihi {VERSION})",
    )
