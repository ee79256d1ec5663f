"""What a chip part hears of the values around it, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from lnn2loihi.converted.layout import (
    Join,
    elapsed_of,
    join_arrays,
    samples_of,
    sequence_sizes,
    states_of,
    value_of,
    value_of_states,
)
from lnn2loihi.converted.pieces import BATCH, ChipPart
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.network import FloatArray
from lnn2loihi.quantization.state_words import decoded_states, encoded_states
from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.result import SimulationResult


@dataclass(frozen=True, eq=False)
class Heard:
    """What a chip part is given.

    Attributes:
        x: samples (batch, time, inputs).
        timespans: elapsed times (batch, time), or None where time is constant.
        states: states that sequences begin with, by name, (batch, units); zeros for all others.
    """

    x: Any
    timespans: Any
    states: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ChipRun:
    """A run of a chip part in integers.

    Attributes:
        heard: what it was given.
        result: what the program answered.
        saturated_states: for each initial state how many of its values no word holds.
        values: what the part answers, by name.
    """

    heard: Heard
    result: SimulationResult
    saturated_states: Mapping[str, int]
    values: Mapping[str, FloatArray]


def heard_by(
    part: ChipPart, values: Mapping[str, Any], sizes: Mapping[str, int], join: Join = join_arrays
) -> Heard:
    """What a part hears, of arrays or of tensors.

    Args:
        part: the part.
        values: by name.
        sizes: BATCH and TIME of the inputs of the module.
        join: puts arrays together.

    Raises:
        InputError: lists values that do not fit, or hold NaN or infinite numbers.
    """
    subject = f"part {part.name!r}"
    timed = () if part.elapsed is None else (part.elapsed,)
    shapes = {port.value: tuple(values[port.value].shape) for port in (*part.inputs, *timed)}
    batch, time = sequence_sizes((*part.inputs, *timed), shapes, sizes, subject)
    if not any(BATCH in _names(port.axes) for port in part.inputs):  # the state alone says it
        own = [(values[port.value].shape, port.batch_axis) for port in part.initial]
        batch = max(batch, 1, *(shape[axis] for shape, axis in own if axis is not None))
    x = samples_of(part.inputs, values, (batch, time), subject, join)
    spans = None
    if part.elapsed is not None:
        spans = elapsed_of(part.elapsed, values[part.elapsed.value], (batch, time))
    states: dict[str, Any] = {}
    for port in part.initial:
        found = states_of(port, values[port.value], batch, part.state_sizes, join)
        states |= {n: states[n] + found[n] if n in states else found[n] for n in found}
    return Heard(x, spans, states)


def _names(axes: Any) -> set[str]:
    found: set[str] = set()
    for axis in axes:
        found |= set(axis) if isinstance(axis, tuple) else {axis}
    return found


def check_finite(part: ChipPart, values: Mapping[str, Any]) -> None:
    """Refuses NaN and infinite numbers that would enter the chip, by the value that holds them.

    Raises:
        InputError: lists the values.
    """
    problems = Problems(InputError, f"part {part.name!r}")
    timed = () if part.elapsed is None else (part.elapsed,)
    for name in dict.fromkeys(port.value for port in (*part.inputs, *timed, *part.initial)):
        array = np.asarray(values[name])
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            problems.add(
                f"{name} holds {bad} NaN or infinite of {array.size} values, which no message "
                "stands for; remove or fill them"
            )
    problems.raise_if_any()


def said_by(
    part: ChipPart,
    outputs: Any,
    final: Callable[[str], Any],
    join: Join = join_arrays,
) -> dict[str, Any]:
    """The values that a part answers with.

    Args:
        part: the part.
        outputs: of the network, (batch, time, outputs).
        final: gives a state after the last sample by its name, (batch, units).
        join: puts arrays together.
    """
    subject = f"part {part.name!r}"
    found = {port.value: value_of(port, outputs, subject) for port in part.outputs}
    for port in part.final:
        states = {name: final(name) for name in dict.fromkeys(n for n, _ in port.units)}
        found[port.value] = value_of_states(port, states, join)
    return found


def run_float(
    part: ChipPart, values: Mapping[str, Any], sizes: Mapping[str, int]
) -> tuple[Heard, dict[str, FloatArray]]:
    """The float network in place of the program: what it heard, and its values.

    Raises:
        InputError: there is no float network, or values do not fit.
    """
    network = part.float_network()
    check_finite(part, values)
    heard = heard_by(part, values, sizes)
    with of_part(part):
        result = network.evaluate(heard.x, heard.states, timespans=heard.timespans)

    def final(name: str) -> FloatArray:
        found = result.final_state.get(name)
        return result.states[name][:, -1] if found is None else found

    return heard, said_by(part, result.outputs, final)


def run_integers(
    part: ChipPart,
    values: Mapping[str, Any],
    sizes: Mapping[str, int],
    executor: str = "auto",
    return_states: bool = False,
) -> ChipRun:
    """The program, in integers.

    Args:
        part: the part, which is quantized.
        values: by name.
        sizes: BATCH and TIME of the inputs of the module.
        executor: name of the executor.
        return_states: whether the result holds every state of every step.

    Raises:
        InputError: values do not fit, or there is no such executor.
        BackendMissingError: the executor cannot run the program here.
    """
    program = part.quantized()
    check_finite(part, values)
    heard = heard_by(part, values, sizes)
    start, saturated = encoded_states(part.words, program, heard.states)
    kept = {word.state for word in part.words}
    sent = [n for port in part.final for n, _ in port.units if n not in kept]
    with of_part(part):
        result = simulate(
            program, heard.x, executor, timespans=heard.timespans, initial_state=start,
            return_states=return_states or bool(sent),
        )  # fmt: skip
    states = decoded_states(part.words, result.final_state) if part.final else {}

    def final(name: str) -> FloatArray:
        if name in states:
            return states[name]
        population = program.population(name)  # which keeps nothing, and has sent it last of all
        assert result.states is not None
        return population.decode(result.states[name]["message"][:, -1])

    return ChipRun(heard, result, saturated, said_by(part, result.outputs, final))


@contextmanager
def of_part(part: ChipPart) -> Iterator[None]:
    """Says in errors about inputs which part they are of."""
    try:
        yield
    except InputError as error:
        if type(error) is not InputError:
            raise
        raise InputError(f"part {part.name!r}: {error.subject}", error.problems) from error
