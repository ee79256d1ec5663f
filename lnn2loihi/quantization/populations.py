"""Populations: what a lowering, integer rows and connections make of a stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lnn2loihi.errors import FamilyError
from lnn2loihi.family import lowering_of, owner
from lnn2loihi.faults import mend
from lnn2loihi.formats import MESSAGE_BITS, FixedPoint, bits_needed
from lnn2loihi.layers.stage import Stage
from lnn2loihi.lowering import LARGEST_WORD, Lowering
from lnn2loihi.neurons.dropping import with_dropout
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, NeuronProgram
from lnn2loihi.neurons.operations import Rescaling
from lnn2loihi.program import Connection, Population
from lnn2loihi.quantization.rounding import Sender
from lnn2loihi.quantization.rows import QuantizedGate


def made_population(
    stage: Stage,
    lowering: Lowering,
    rows: Sequence[QuantizedGate],
    connections: Sequence[Connection],
    sources: Sequence[Sender],
    form: FixedPoint | None,
    share: float | None = None,
) -> Population:
    """The population of a stage.

    Args:
        stage: the stage.
        lowering: how it becomes a population.
        rows: its integer rows, gate by gate.
        connections: what feeds it.
        sources: what it hears, in the order of its columns.
        form: format of its message; None where the rows decide.
        share: of its message that is sent in evaluation; None without dropout.

    Raises:
        FamilyError: its lowering and its neuron program do not fit each other.
    """
    parameters: dict[str, np.ndarray] = dict(lowering.parameters)
    for name, row in zip(stage.gates, rows, strict=True):
        if not stage.selects:
            parameters[f"{name}.bias"] = row.bias
            parameters[f"{name}.multiplier"] = row.multiplier
    rescalings: list[Rescaling] = []
    for name, row in zip(stage.gates, rows, strict=True):
        how, limit = Rescaling(row.shift), lowering.held.get(name)
        if limit is not None and row.reach.max() >= limit:
            how = Rescaling(row.shift, "sum")
            steps = limit << row.shift if row.shift >= 0 else limit >> -row.shift
            largest = steps // row.multiplier
            parameters[f"{name}.limit"] = np.minimum(largest, LARGEST_WORD)
        elif name in lowering.operands and row.reach.max() >= LARGEST_OPERAND:
            how = Rescaling(row.shift, "operand")
        rescalings.append(how)
    message, bound = lowering.message, 0
    repeats = lowering_of(stage).repeats
    if repeats:
        message = form
    elif message is None:
        bound = _message_bound(connections, sources, rows[0])
        bits = min(bits_needed(-bound, bound), MESSAGE_BITS)
        message = FixedPoint(bits, lowering.fraction_bits)
    assert message is not None
    program = lowering.program(rescalings)
    _check_words(stage, program, parameters, lowering.states)
    low = -bound if bound else lowering_of(stage).message_low(stage, message)
    high = bound if bound else message.high
    if repeats:
        (source,) = sources
        low, high = int(source.low.min()), int(source.high.max())
    scale = np.full(stage.units, message.step) if lowering.scale is None else lowering.scale
    if share is not None:
        program, scale = with_dropout(program, share, message.bits), scale / share
        low, high = min(low, 0), max(high, 0)
    return Population(
        name=stage.name,
        program=program,
        parameters=parameters,
        initial_state={word: np.zeros(stage.units, np.int32) for word in program.state_names},
        message=message,
        message_low=low,
        message_high=high,
        size=stage.units,
        scale=scale,
        offset=np.zeros(stage.units) if lowering.offset is None else lowering.offset,
    )


def _check_words(
    stage: Stage,
    program: NeuronProgram,
    parameters: Mapping[str, np.ndarray],
    states: Sequence[str],
) -> None:
    """Refuses words that a lowering has and its neuron program does not, or the other way round.

    Raises:
        FamilyError: lists them.
    """
    found = [
        f"its {what} are {sorted(given)}, its neuron program declares {sorted(declared)}"
        for what, given, declared in (
            ("parameters", parameters, program.parameter_names),
            ("states", states, program.state_names),
        )
        if sorted(given) != sorted(declared)
    ]
    unheard = sorted({*stage.gates}.difference(program.accumulators))
    if unheard:
        found.append(f"its neuron program reads no sum of {', '.join(unheard)}")
    found += [
        f"parameter {name!r} has shape {np.shape(values)}, expected ({stage.units},)"
        for name, values in parameters.items()
        if np.shape(values) != (stage.units,)
    ]
    if found:
        raise no_program(stage, found)


def no_program(stage: Stage, problems: Sequence[str], subject: str = "") -> FamilyError:
    """The error for a lowering of a stage whose neuron program is none, or another's."""
    whose, package = owner(type(stage))
    said = [f"{problem}; {mend(package)}" for problem in problems]
    return FamilyError(f"{whose}, stage {stage.name!r}{subject}", said)


def _message_bound(
    connections: Sequence[Connection], sources: Sequence[Sender], rows: QuantizedGate
) -> int:
    """The largest message of a stage with one gate whose rows decide the format, from what each of
    its sources can send; connections of other accumulators come after those of the sources.
    """
    low, high = rows.bias.copy(), rows.bias.copy()
    for connection, source in zip(connections, sources, strict=False):
        silent = 0, connection.source_size - source.low.size  # the elapsed time, beside inputs
        interval = connection.interval(np.pad(source.low, silent), np.pad(source.high, silent))
        low, high = low + interval.low, high + interval.high
    worst = np.maximum(np.abs(low), np.abs(high))
    return int((worst * rows.multiplier).max() >> rows.shift) + 1
