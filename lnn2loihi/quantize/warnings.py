"""Names losses of precision that the user did not ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lnn2loihi.layers.cfc import PureStage
from lnn2loihi.layers.dense import DenseStage
from lnn2loihi.layers.stage import Stage
from lnn2loihi.network import FloatArray, LiquidNetwork
from lnn2loihi.neurons.dense import BOUNDED
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantize.calibration import Calibration, entering
from lnn2loihi.quantize.measurements import is_silent, weighted
from lnn2loihi.quantize.moments import SMALL_PART
from lnn2loihi.simulate.result import SimulationResult

#: An input channel that spans fewer steps of its own format than this is called coarse.
COARSE_STEPS = 32
#: A stage whose signal is not this much stronger than its error is named, in decibels.
POOR_DB = 15.0
#: Weight bits that the accumulator's bound may take before it is said.
TAKEN_BITS = 1.0
LISTED = 8
#: A unit is called clipped, and a gate saturated, from these shares of the samples on.
CLIPPED_SHARE, SATURATED_SHARE = 0.01, 0.99
#: A float unit that moves less than this share of a step of its message loses nothing.
NEGLIGIBLE = 0.05
#: Where the logistic function is a thousandth from its ends.
SATURATED_SUM = 6.9


def precision_warnings(
    program: LoihiProgram, calibration: Calibration, rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """A sentence for each loss, with what to do.

    Args:
        program: the quantized program.
        calibration: what it was calibrated with.
        rows: its summary table.
    """
    found = _input_warnings(program, calibration)
    for row in rows[1:]:
        asked = max(c.mantissa_bits for c in weighted(program, row["stage"]))
        if asked - row["weight_bits_used"] > TAKEN_BITS:
            found.append(
                f"{row['stage']}: the 24-bit accumulator leaves {row['weight_bits_used']:.1f} of "
                f"{asked} weight bits; narrower messages or inputs leave more (w8a12, w8a10)"
            )
        quality = row["signal_to_noise_db"]
        if quality is not None and quality < POOR_DB:
            found.append(
                f"{row['stage']}: the error is within {quality:.1f} dB of the signal on the "
                "calibration data; use a wider recipe, or train with the chip's arithmetic"
            )
    return found


def unit_warnings(
    network: LiquidNetwork, program: LoihiProgram, calibration: Calibration, run: SimulationResult
) -> list[str]:
    """A sentence for each stage with units that integers cut short, with what to do.

    Silent: the float units of a stage say nothing that a message could hold. Dead: the integers
    never change where the float unit does. Clipped: a calibrated message stands at an end of its
    format. Saturated: a gate is at an end of its logistic function, in the float network too.

    Args:
        network: the float network.
        program: the quantized program.
        calibration: data that it was calibrated with, and the float network's answers.
        run: the program on them, with states.
    """
    assert run.states is not None
    found: list[str] = []
    answers = calibration.result.every(network.substeps).states
    for stage in network.stages:
        population = program.population(stage.name)
        states = run.states[stage.name]
        integers = calibration.live(states[population.program.message_state or "message"])
        floats = calibration.live(answers[stage.name])
        if is_silent(floats, population.message):
            reached = np.abs(population.message.decode(integers)).max()
            found.append(
                f"{stage.name}: the float units stay within {np.abs(floats).max():.2g} of 0 on the "
                f"calibration data, less than half a step ({population.message.step:.2g}) of their "
                f"messages, and the integers within {reached:.2g}: there is no signal that an "
                "error could be compared with; look for gates that let nothing through and for "
                "weights near 0"
            )
        constant = np.ptp(integers, axis=0) == 0
        moving = np.ptp(floats, axis=0) > NEGLIGIBLE * population.message.step
        dead = np.flatnonzero(constant & moving)
        if dead.size:
            found.append(
                f"{stage.name}: units {_names(dead)} never change although the float units do; "
                "their messages are too narrow for what they say: give the layer more bits"
            )
        ends = integers >= population.message_high
        if population.message_low < 0:  # else it is an end of the function, not of the format
            ends |= integers <= population.message_low
        clipped = np.flatnonzero(ends.mean(axis=0) > CLIPPED_SHARE)
        if clipped.size and _has_calibrated_format(stage):
            found.append(
                f"{stage.name}: units {_names(clipped)} stand at an end of their format in more "
                f"than {100 * CLIPPED_SHARE:g} % of the samples; calibrate with ranges='range', or "
                "give the layer more bits"
            )
        found += _gate_warnings(stage, calibration, network.substeps)
    return found


def _has_calibrated_format(stage: Stage) -> bool:
    if isinstance(stage, DenseStage):
        return stage.activation not in (*BOUNDED, "relu")
    return isinstance(stage, PureStage) or bool(stage.calibrated)


def _gate_warnings(stage: Stage, calibration: Calibration, substeps: int) -> list[str]:
    """A sentence for each gate that is saturated in some units, however many these are."""
    found: list[str] = []
    for gate, (shut, opened) in _saturated_shares(stage, calibration, substeps).items():
        saturated = shut + opened > SATURATED_SHARE
        ends = {"0": shut > SATURATED_SHARE, "1": opened > SATURATED_SHARE}
        ends["either end"] = saturated & ~ends["0"] & ~ends["1"]
        where = [
            f"at {end} in {np.count_nonzero(units)} of {stage.units} units "
            f"({_names(np.flatnonzero(units))})"
            for end, units in ends.items()
            if units.any()
        ]
        if where:
            # Rounded down: "at least" must stay true.
            share = np.floor(1000 * (shut + opened)[saturated].min()) / 10
            found.append(
                f"{stage.name}: {gate} is saturated in at least {share:g} % of the samples, in the "
                f"float network too: {', '.join(where)}; there it is a constant or a switch. If "
                "that is not meant, standardise the inputs, or train on with weight decay"
            )
    return found


def _saturated_shares(
    stage: Stage, calibration: Calibration, substeps: int
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """For each gate with a logistic function the shares of the steps in which it is at 0 and at
    1, (units,) each.
    """
    if not stage.logistic:
        return {}
    batch, steps = calibration.inputs.shape[:2]
    at_ends = {gate: np.zeros((2, stage.units), np.int64) for gate in stage.logistic}
    seen, inside = 0, calibration.inside
    at_once = max(SMALL_PART // (max(stage.columns, stage.units) * steps), 1)
    for begin in range(0, batch, at_once):
        part = slice(begin, begin + at_once)
        z = entering(stage, calibration.inputs[part], calibration.result.sequences(part), substeps)
        elapsed = None
        if stage.timed:
            assert calibration.timespans is not None
            elapsed = np.repeat(calibration.timespans[part], substeps, axis=1)[..., None]
        live = np.ones(z.shape[:2], bool)
        if inside is not None:
            live = inside[part, :: substeps if stage.once else 1]
        seen += int(np.count_nonzero(live))
        for gate, argument in stage.logistic_arguments(stage.asked_sums(z), elapsed).items():
            at_ends[gate][0] += np.count_nonzero(argument[live] < -SATURATED_SUM, axis=0)
            at_ends[gate][1] += np.count_nonzero(argument[live] > SATURATED_SUM, axis=0)
    return {gate: (counts[0] / seen, counts[1] / seen) for gate, counts in at_ends.items()}


def _input_warnings(program: LoihiProgram, calibration: Calibration) -> list[str]:
    spans = calibration.input_high - calibration.input_low
    steps = (program.input.high - program.input.low)[: program.channels]
    constant = np.flatnonzero(spans == 0)
    coarse = np.flatnonzero((spans > 0) & (steps < COARSE_STEPS))
    found: list[str] = []
    if constant.size:
        found.append(
            f"input channels {_names(constant)} are constant in the calibration data: any other "
            "value will saturate; calibrate with data that vary"
        )
    if coarse.size:
        found.append(
            f"input channels {_names(coarse)} span fewer than {COARSE_STEPS} steps of their "
            "formats, since they vary little around a large value: subtract it (standardise the "
            "channels in front of the network) or give inputs more bits"
        )
    return found


def _names(channels: np.ndarray) -> str:
    listed = ", ".join(str(channel) for channel in channels[:LISTED])
    return listed if channels.size <= LISTED else f"{listed} and {channels.size - LISTED} more"
