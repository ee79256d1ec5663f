"""Measures a fresh LoihiProgram on its calibration data: the rows of the summary table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lnn2loihi.formats import FixedPoint, IntegerArray
from lnn2loihi.layers.stage import FIRST, RESTART
from lnn2loihi.network import FloatArray
from lnn2loihi.neurons.operations import ELAPSED
from lnn2loihi.precision import Precision, precision_of
from lnn2loihi.program import AnyConnection, InputPort, LoihiProgram, Population
from lnn2loihi.quantization.calibration import CalibrationRun
from lnn2loihi.quantization.state_words import StateWord, encoded_states
from lnn2loihi.simulation import encode, simulate
from lnn2loihi.simulation.result import SimulationResult


def is_silent(floats: FloatArray, population: Population) -> bool:
    """Whether a stage says nothing that its messages could hold: all of it is rounded to 0."""
    return bool((np.abs(floats) < population.scale / 2).all())


def measured_run(
    program: LoihiProgram, calibration: CalibrationRun, words: Sequence[StateWord] = ()
) -> SimulationResult:
    """The program on its calibration data, with all states.

    Args:
        program: the program.
        calibration: the data.
        words: those that hold states, where sequences do not begin with zeros.
    """
    start = encoded_states(words, program, calibration.initial)[0]
    # No compiler runs for a table.
    return simulate(
        program, calibration.x, "blas", lengths=calibration.lengths,
        timespans=calibration.timespans, return_states=True, initial_state=start,
    )  # fmt: skip


def measured_rows(
    program: LoihiProgram, calibration: CalibrationRun, run: SimulationResult
) -> list[dict[str, Any]]:
    """One row for the input and one for each population.

    Keys: stage, family, neurons, synapses, message (format), weights (width asked for and mean
    width that rows use under the accumulator's bound), weight_bits_used (the latter),
    accumulator (bits of the proved bound), range_used (share of the message range that the data
    use), saturated (share of the values at an end of the range, or if that is more the share of the
    updates in which the word that saturates most does), signal_to_noise_db (around the mean of each
    unit, against the float network, whose answer includes no quantization at all; None where that
    answer is silent or constant, or nothing differs), worst_db and worst_unit (the same of the unit
    with the least), compared (number of values behind it), instructions.
    """
    live = calibration.live
    assert run.states is not None
    port = program.input
    encoded, saturated = encode(
        program, calibration.x, calibration.timespans, lengths=calibration.lengths
    )
    x, encoded = live(calibration.x), live(encoded)
    decoded = port.decode(encoded)[..., : program.channels]
    rows = [
        {
            "stage": port.name,
            "family": "input",
            "neurons": port.size,
            "synapses": 0,
            "message": _describe_port(port),
            "weights": None,
            "weight_bits_used": None,
            "accumulator": None,
            "range_used": _share(np.abs(encoded).max(), port.format),
            "saturated": float(saturated.sum()) / encoded.size,
            **_quality(precision_of(x, decoded)),
            "compared": int(encoded.size),
            "instructions": None,
        }
    ]
    for population in program.populations:
        words = run.states[population.name]
        integers = live(words[population.program.message_state or "message"])
        truth = live(calibration.result.every(program.substeps).states[population.name])
        answered = population.decode(integers)
        ends = (integers <= population.message_low) | (integers >= population.message_high)
        intervals = program.accumulator_intervals(population.name).values()
        rows.append(
            {
                "stage": population.name,
                "family": population.program.name,
                "neurons": population.size,
                "synapses": sum(c.synapses for c in program.incoming(population.name)),
                "message": _describe_messages(population),
                "weights": _weights(weighted(program, population.name)),
                "weight_bits_used": _bits_used(weighted(program, population.name)),
                "accumulator": f"{max(interval.bits for interval in intervals)} bit",
                "range_used": _share(np.abs(integers).max(), population.message),
                "saturated": max(
                    float(ends.mean()), _saturated_share(program, run, population.name)
                ),
                **_quality(None if is_silent(truth, population) else precision_of(truth, answered)),
                "compared": int(integers.size),
                "instructions": population.program.instruction_count,
            }
        )
    return rows


def _saturated_share(program: LoihiProgram, run: SimulationResult, population: str) -> float:
    """Share of updates in which the word of a population that saturates most does."""
    assert run.saturated_words is not None
    updates = max(run.counters.samples * program.substeps, 1)
    words = run.saturated_words[population].values()
    return max((float(counts.mean()) / updates for counts in words), default=0.0)


def _quality(precision: Precision | None) -> dict[str, Any]:
    """The cells that say how well a stage is followed; None for one that is silent."""
    return {
        "signal_to_noise_db": None if precision is None else precision.overall_db,
        "worst_db": None if precision is None else precision.worst_db,
        "worst_unit": None if precision is None else precision.worst_unit,
    }


def weighted(program: LoihiProgram, population: str) -> list[AnyConnection]:
    """Connections into a population that carry trained weights: not the elapsed time's, and not
    those of the first step of a sample.
    """
    fixed = ((ELAPSED,), (FIRST,), (RESTART,))
    return [c for c in program.incoming(population) if c.accumulators not in fixed]


def _weights(connections: Sequence[AnyConnection]) -> str:
    """Width of the mantissas, and what rows use of it on average."""
    exponents = ",".join(str(c.exponent) for c in connections)
    used = _bits_used(connections)
    return f"{connections[0].mantissa_bits} bit, uses {used:.1f}, shl {exponents}"


def _bits_used(connections: Sequence[AnyConnection]) -> float:
    """Mean width of the largest mantissa of each row."""
    largest = np.maximum.reduce([_largest_mantissas(c) for c in connections])
    return float(np.log2(np.maximum(largest, 1) + 1).mean() + 1)


def live_bits_used(connections: Sequence[AnyConnection]) -> float | None:
    """The same of rows that hold more than zeros, which need no bits; None where none does."""
    largest = np.maximum.reduce([_largest_mantissas(c) for c in connections])
    live = largest[largest > 0]
    return float(np.log2(live + 1).mean() + 1) if live.size else None


def _largest_mantissas(whole: AnyConnection) -> IntegerArray:
    connection = whole.unrolled()
    rows = np.repeat(np.arange(connection.rows), np.diff(connection.row_starts))
    largest = np.zeros(connection.rows, np.int64)
    np.maximum.at(largest, rows, np.abs(connection.mantissas.astype(np.int64)))
    return largest


def _describe(format: FixedPoint) -> str:
    return f"{format.bits} bit {format}"


def _describe_messages(population: Population) -> str:
    own = population.has_own_scales
    return f"{population.message.bits} bit, own scales" if own else _describe(population.message)


def _describe_port(port: InputPort) -> str:
    alike = len(set(port.gain.tolist())) == 1 and not port.offset.any()
    return _describe(port.format) if alike else f"{port.format.bits} bit, own scales"


def _share(largest: np.integer[Any], format: FixedPoint) -> float:
    return float(largest) / float(-format.low)
