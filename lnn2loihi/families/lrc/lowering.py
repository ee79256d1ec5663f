"""How the membranes of an LRC become a population.

Messages have a range for each unit: what its potential cannot leave, which follows from the arrays
alone while explicit steps do not overshoot. So nothing is calibrated, and nothing saturates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lnn2loihi.errors import Problems, QuantizationError
from lnn2loihi.families.lrc.neuron import (
    STATE_BITS,
    LRCFormats,
    lrc_program,
)
from lnn2loihi.families.lrc.stage import (
    ELASTANCE,
    FORGET,
    NONE,
    POTENTIAL,
    SYMMETRIC,
    UPDATE,
    LRCStage,
)
from lnn2loihi.formats import FixedPoint, IntegerArray
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.lowering import LARGEST_WORD, Lowering, Measured, StageLowering
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND
from lnn2loihi.neurons.operations import LARGEST_GROWN
from lnn2loihi.neurons.reciprocal import FRACTION_BITS as UNIT_BITS
from lnn2loihi.neurons.reciprocal import LARGEST_BITS, Reciprocal
from lnn2loihi.recipe import Recipe

#: Room beyond the calibrated range of a potential that nothing bounds, as a share of it.
HEADROOM = 0.25
#: No unit has a range that is smaller than the largest by more than this: training for the chip
#: may let it grow.
SMALLEST_RANGE = 2.0**-4
#: Significant bits of a range: with those of the state word they fit a float32, so that a state
#: that is handed out and back is the same one.
RANGE_BITS = 24 - (STATE_BITS - 1)
#: Largest ratio of vleak to the range of its unit, as a power of two.
MOST_DRIVE_BITS = 7
#: Rates are below 2**MOST_LIFT; where they are small, they are computed more finely down to
#: 2**LEAST_LIFT.
LEAST_LIFT, MOST_LIFT = -16, 16
#: Largest shift of a symmetric elastance in steps: with a sum it fits a word.
LARGEST_SHIFT = LARGEST_GROWN - (1 << 10)


@dataclass(frozen=True)
class _Pace:
    """How fast time passes.

    Attributes:
        pace: int64 (units,), a factor of the rate with UNIT_BITS; None where it is a power of two.
        lift: see `LRCFormats`.
        elapsed_fraction_bits: see `LRCFormats`.
        largest: the largest time that passes in a step, times the conductance if that is above 1.
    """

    pace: IntegerArray | None
    lift: int
    elapsed_fraction_bits: int | None
    largest: float


class LRCLowering(StageLowering[LRCStage]):
    """A membrane: a potential that is pulled to a place to rest."""

    def message_format(self, stage: LRCStage, largest_answer: float, recipe: Recipe) -> FixedPoint:
        """See `StageLowering`: shares of the range of each unit."""
        return FixedPoint(recipe.message_bits, recipe.message_bits - 1)

    def may_clip(self, stage: LRCStage) -> bool:
        """See `StageLowering`."""
        return not math.isfinite(stage.bound)

    def unit_ranges(
        self, stage: LRCStage, answers: Callable[[], FloatArray], longest: float
    ) -> FloatArray:
        """See `StageLowering`: what cannot be left, as long as no step overshoots. Where steps can,
        places to rest and what calibration saw, with some room, but not more than can be reached.
        """
        longest = longest if stage.timespan is None else stage.timespan
        proved, resting = stage.bounds(longest), stage.resting
        sound = np.isfinite(proved) & (stage.steps(longest) <= 1.0)
        ranges = proved
        if not sound.all():
            seen = (1.0 + HEADROOM) * answers()
            farthest = np.where(np.isfinite(resting), np.maximum(resting, seen), seen)
            ranges = np.where(sound, proved, np.minimum(proved, farthest))
        largest = float(ranges.max())
        if not largest:
            return np.ones(stage.units)
        return _rounded_up(np.maximum(ranges, SMALLEST_RANGE * largest))

    def cautions(self, stage: LRCStage, largest: FloatArray, longest: float) -> list[str]:
        """See `StageLowering`: explicit steps that may overshoot."""
        longest = longest if stage.timespan is None else stage.timespan
        share, resting = stage.steps(longest), stage.resting
        far = np.flatnonzero(share > 1.0 + 1e-9)
        if not far.size:
            return []
        allowed = longest / float(share.max()) if np.isfinite(share.max()) else 0.0
        known = np.isfinite(resting) & (resting > 0.0)
        times = float((largest[known] / resting[known]).max()) if known.any() else math.inf
        proof = (
            f"up to {allowed:.3g} it is proved to stay where it can rest"
            if allowed
            else ("nothing bounds it")
        )
        return [
            f"{stage.name}: a sample's elapsed time is up to {longest:.3g} (in {stage.unfolds} "
            f"unfolds), with which the explicit solver can overshoot in {far.size} of "
            f"{stage.units} units; {proof}. The calibration data bring potentials to {times:.3g} "
            f"times that; formats have {100 * HEADROOM:g} % more, and what leaves them saturates, "
            "which is counted. Take more unfolds, shorter times or the hybrid solver, in training "
            "too"
        ]

    def lower(self, stage: LRCStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message(stage, measured.largest_answer, recipe)
        ranges = measured.message_steps / message.step
        unit = ACTIVATIONS[recipe.activation].unit
        # What leaks faster than the time passes counts as time that passes faster.
        hurry = np.ones(stage.units) if stage.tau is None else np.maximum(stage.tau, 1.0)
        drive = stage.vleak / (ranges * hurry)
        drive_bits = max(_exponent(float(np.abs(drive).max())), 0)
        pace = _pace(stage, hurry, measured)
        _refuse(stage, drive, unit / 2, pace)
        parameters = {"drive": _fraction(drive, UNIT_BITS - drive_bits)}
        if stage.tau is not None:
            parameters["decay"] = _fraction(stage.tau / hurry, UNIT_BITS)
        if stage.shift is not None:
            parameters["shift"] = np.floor(stage.shift * unit / 2 + 0.5).astype(np.int64)
        if pace.pace is not None:
            parameters["pace"] = pace.pace
        bits = max(math.ceil(math.log2(1.0 + pace.largest)), 1)
        formats = LRCFormats(
            recipe.message_bits, recipe.activation, stage.elastance, stage.tau is None, drive_bits,
            pace.lift, pace.pace is not None, pace.elapsed_fraction_bits,
            Reciprocal.over(1 << (UNIT_BITS - bits)) if stage.hybrid else None, bits,
        )  # fmt: skip
        units = {FORGET: unit / 2, UPDATE: unit, ELASTANCE: unit / 2}
        held = dict.fromkeys(stage.gates, LARGEST_WORD)  # flat beyond
        if stage.elastance == SYMMETRIC:
            held[ELASTANCE] = LARGEST_GROWN
        return Lowering(
            {gate: units[gate] for gate in stage.gates},
            message,
            lambda rescalings: lrc_program(rescalings, formats),
            states=(POTENTIAL, "h"),
            memory_steps={POTENTIAL: ranges * 2.0 ** -(STATE_BITS - 1)},
            parameters=parameters,
            held=held,
            scale=measured.message_steps,
        )


def _pace(stage: LRCStage, hurry: FloatArray, measured: Measured) -> _Pace:
    """The time that passes in a step, for each unit."""
    timed = measured.elapsed is not None
    longest = measured.longest if timed else stage.timespan or 0.0
    factor = hurry / stage.unfolds * (1.0 if timed else longest)
    largest = float(factor.max()) * (longest if timed else 1.0)
    lift = min(max(_exponent(largest), LEAST_LIFT), MOST_LIFT + 1)
    finest = max(_exponent(float(factor.max())), LEAST_LIFT) if timed else lift
    bits = None if measured.elapsed is None else measured.elapsed.fraction_bits - finest
    # Without a word a rate is 1.
    needed = not timed and stage.elastance == NONE and (lift != 0 or stage.hybrid)
    same = bool((factor == 2.0**finest).all()) and not needed
    return _Pace(None if same else _fraction(factor * 2.0**-finest, UNIT_BITS), lift, bits, largest)


def _exponent(value: float) -> int:
    """The smallest power of two that a number is not above; 0 of 0."""
    if not value:
        return 0
    share, exponent = math.frexp(value)
    return exponent - (share == 0.5)


def _rounded_up(values: FloatArray) -> FloatArray:
    """Numbers of RANGE_BITS that are not below these."""
    share, exponent = np.frexp(values)
    return np.ldexp(np.ceil(share * 2.0**RANGE_BITS), exponent - RANGE_BITS)


def _fraction(values: FloatArray, bits: int) -> IntegerArray:
    """Numbers with so many fraction bits, as operands of 16 bits; what is 1.0 is just below it."""
    rounded = np.floor(values * 2.0**bits + 0.5)
    return np.clip(rounded, -LARGEST_OPERAND, LARGEST_OPERAND).astype(np.int64)


def _refuse(stage: LRCStage, drive: FloatArray, unit: float, pace: _Pace) -> None:
    """Refuses arrays and times that have no integer form.

    Raises:
        QuantizationError: lists them, by neuron.
    """
    problems = Problems(QuantizationError, f"layer {stage.name!r}")

    def neurons(found: np.ndarray) -> str:
        named = ", ".join(str(n) for n in np.flatnonzero(found)[:8])
        return f"{np.count_nonzero(found)} neurons ({named})"

    strong = np.abs(drive) > 2.0**MOST_DRIVE_BITS
    if strong.any():
        problems.add(
            f"{neurons(strong)} have a vleak of more than {2**MOST_DRIVE_BITS} times the range of "
            "their potential; calibrate with data that move it, or train with a smaller vleak"
        )
    if stage.shift is not None:
        wide = np.abs(stage.shift) * unit > LARGEST_SHIFT
        if wide.any():
            problems.add(
                f"{neurons(wide)} have a distr_shift of up to {np.abs(stage.shift).max():.3g}; the "
                f"limit of lnn2loihi is {LARGEST_SHIFT / unit:.4g}: from 20 on the elastance is 1 "
                "wherever its sum is smaller, so train with less"
            )
        if stage.hybrid and (stage.shift < 0.0).any():
            problems.add(
                f"{neurons(stage.shift < 0.0)} have a negative distr_shift, with which the hybrid "
                "solver divides by what may be 0; keep it from falling below 0, as the original "
                "does (NonNeg)"
            )
    bits = LARGEST_BITS if stage.hybrid else MOST_LIFT
    if pace.largest > 2.0**bits - 1.0:
        problems.add(
            f"its elapsed time, up to {pace.largest:.4g} in an unfold (times tau where that is "
            f"above 1), is too long: the limit of lnn2loihi is {2**bits - 1}; count time in a "
            "larger unit, or take more unfolds"
        )
    problems.raise_if_any()
