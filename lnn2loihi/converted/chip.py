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
from lnn2loihi.formats import IntegerArray
from lnn2loihi.network import FloatArray
from lnn2loihi.quantization.state_words import decoded_states, encoded_states
from lnn2loihi.simulation import State, simulate
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


@dataclass(frozen=True, eq=False)
class FloatRun:
    """A run of the float network in place of a part's program.

    Attributes:
        heard: what it was given.
        states: after the last sample, by name, (batch, units).
        values: what the part answers, by name.
    """

    heard: Heard
    states: Mapping[str, FloatArray]
    values: Mapping[str, FloatArray]


def run_float(
    part: ChipPart,
    values: Mapping[str, Any],
    sizes: Mapping[str, int],
    carried: Mapping[str, FloatArray] | None = None,
) -> FloatRun:
    """The float network in place of the program.

    Args:
        part: the part.
        values: by name.
        sizes: BATCH and TIME of the inputs of the module.
        carried: states that the call before ended with; in place of those that a call begins with.

    Raises:
        InputError: there is no float network, or values do not fit.
    """
    network = part.float_network()
    check_finite(part, values)
    heard = heard_by(part, values, sizes)
    if carried is not None:
        _check_batch(part, heard, next(iter(carried.values()), None))
        heard = Heard(heard.x, heard.timespans, carried)
    with of_part(part):
        result = network.evaluate(heard.x, heard.states, timespans=heard.timespans)

    def final(name: str) -> FloatArray:
        found = result.final_state.get(name)
        return result.states[name][:, -1] if found is None else found

    states = {name: final(name) for name in network.state_sizes}
    return FloatRun(heard, states, said_by(part, result.outputs, final))


def _check_batch(part: ChipPart, heard: Heard, state: Any) -> None:
    """Refuses other numbers of sequences than the states that are carried have."""
    batch = int(np.shape(heard.x)[0])
    if state is not None and len(state) != batch:
        raise InputError(
            f"part {part.name!r}",
            f"is given {batch} sequences, and the calls before had {len(state)}; give as many, or "
            "reset the stream",
        )


def run_integers(
    part: ChipPart,
    values: Mapping[str, Any],
    sizes: Mapping[str, int],
    executor: str = "auto",
    return_states: bool = False,
    carried: Mapping[str, Mapping[str, IntegerArray]] | None = None,
) -> ChipRun:
    """The program, in integers.

    Args:
        part: the part, which is quantized.
        values: by name.
        sizes: BATCH and TIME of the inputs of the module.
        executor: name of the executor.
        return_states: whether the result holds every state of every step.
        carried: all words as the call before left them; in place of those that a call begins with.

    Raises:
        InputError: values do not fit, or there is no such executor.
        BackendMissingError: the executor cannot run the program here.
    """
    program = part.quantized()
    check_finite(part, values)
    heard = heard_by(part, values, sizes)
    start: State
    if carried is None:
        start, saturated = encoded_states(part.words, program, heard.states)
    else:
        words = (values for held in carried.values() for values in held.values())
        _check_batch(part, heard, next(words, None))
        heard = Heard(heard.x, heard.timespans, decoded_states(part.words, carried))
        start, saturated = carried, {}
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
