"""How the stages of LayerNorm become populations.

All gates but that of the map are identities, or sums of all units: their mantissas are 1, and
exact (`Lowering.sum_steps`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lnn2loihi.errors import QuantizationError
from lnn2loihi.families.dense.layer import DenseStage
from lnn2loihi.families.dense.lowering import DenseLowering
from lnn2loihi.families.layer_norm.layer import (
    FACTOR,
    POWER,
    VALUE,
    NormalisedStage,
    RootStage,
    SquareStage,
)
from lnn2loihi.families.layer_norm.neuron import (
    CENTRE_BITS,
    GAIN_BITS,
    GUARD_BITS,
    LARGEST_REDUCTIONS,
    LEAST_SHIFT,
    POWER_BITS,
    ROOT_BITS,
    SQUARE_BITS,
    normalised_program,
    root_program,
    square_program,
)
from lnn2loihi.formats import WORD_BITS, FixedPoint
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.lowering import LARGEST_WORD, Lowering, Measured, StageLowering
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, LARGEST_SHIFT
from lnn2loihi.recipe import Recipe

#: Room of a square beyond what calibration saw, and of the sum of all, as factors.
SQUARE_HEADROOM, POWER_HEADROOM = 1.25, 1.5
#: Bits of an accumulator that the sum of all squares leaves for what is added to it.
SPARE_BITS = 2
#: Fewest bits of a square: with less, its rounding is worth more than a percent.
LEAST_SQUARE_BITS = 8
#: Largest shift in parts of a step of the message, so that a product may be added.
LARGEST_SHIFTED = LARGEST_WORD // 4
#: Powers of 2 between the largest length of a sample and the smallest that is told from 0.
_MOST = LARGEST_REDUCTIONS + 1


class CentreLowering(DenseLowering):
    """The map: messages of CENTRE_BITS in units that all share, whatever the recipe says."""

    def message_format(
        self, stage: DenseStage, largest_answer: float, recipe: Recipe
    ) -> FixedPoint:
        """See `StageLowering`."""
        return super().message_format(stage, largest_answer, _fine(recipe))

    def unit_sizes(
        self,
        stage: DenseStage,
        answers: Callable[[], FloatArray],
        sums: Callable[[str], FloatArray],
    ) -> tuple[FloatArray, ...]:
        """See `StageLowering`: squares of all units are added up."""
        return ()

    def lower(self, stage: DenseStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        return super().lower(stage, measured, _fine(recipe))


def _fine(recipe: Recipe) -> Recipe:
    return replace(recipe, message_bits=CENTRE_BITS)


class SquareLowering(StageLowering[SquareStage]):
    """A square: as wide as the sum of all of them allows."""

    def message_format(
        self, stage: SquareStage, largest_answer: float, recipe: Recipe
    ) -> FixedPoint:
        """See `StageLowering`."""
        bits = WORD_BITS - SPARE_BITS - math.ceil(math.log2(stage.units))
        if bits < LEAST_SQUARE_BITS:
            raise QuantizationError(
                f"layer {stage.name!r}",
                f"{stage.units} units are normalised together; the sum of their squares fits 24 "
                f"bits for {1 << (WORD_BITS - SPARE_BITS - LEAST_SQUARE_BITS)} at most",
            )
        return FixedPoint.covering(min(bits, SQUARE_BITS), SQUARE_HEADROOM * largest_answer)

    def message_low(self, stage: SquareStage, message: FixedPoint) -> int:
        """See `StageLowering`."""
        return 0

    def lower(self, stage: SquareStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message(stage, measured.largest_answer, recipe)
        step = float(measured.steps[0])
        shift = int(-2 * np.log2(step)) - message.fraction_bits
        return Lowering(
            {VALUE: 1.0 / step},
            message,
            lambda shifts: square_program(shifts, shift, message.bits),
            sum_steps={VALUE: step},
        )


class RootLowering(StageLowering[RootStage]):
    """The reciprocal root: over the range of sums that calibration saw, with some room."""

    def covered(
        self, stage: RootStage, largest_answer: float, sums: Callable[[str], FloatArray]
    ) -> float:
        """See `StageLowering`: a sample that is smaller than the largest by more than the
        reductions reach has next to no bits left, and one of zeros has none.
        """
        level = _level(POWER_HEADROOM * float(sums(POWER)[0]), stage)
        return min(largest_answer, (1.0 - 2.0 ** (2 - ROOT_BITS)) * 2.0 ** (_MOST - level))

    def message_format(self, stage: RootStage, largest_answer: float, recipe: Recipe) -> FixedPoint:
        """See `StageLowering`."""
        return FixedPoint.covering(ROOT_BITS, largest_answer)

    def message_low(self, stage: RootStage, message: FixedPoint) -> int:
        """See `StageLowering`."""
        return 0

    def may_clip(self, stage: RootStage) -> bool:
        """See `StageLowering`: sums that are too small for the message are counted as they are."""
        return False

    def lower(self, stage: RootStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message(stage, measured.largest_answer, recipe)
        usual = POWER_HEADROOM * float(measured.largest_sums[POWER][0])
        level = _level(min(usual, float(measured.reach[POWER][0])), stage)
        # The message is 2**(ROOT_BITS - 1) at the smallest sum that it has.
        reductions = max(ROOT_BITS - 2 + level - message.fraction_bits, 0)
        step = float(measured.steps[0])
        return Lowering(
            {POWER: 2.0**POWER_BITS / 4.0**level},
            message,
            lambda shifts: root_program(shifts, reductions),
            sum_steps={POWER: step},
            held={POWER: LARGEST_WORD},
        )


def _level(largest: float, stage: RootStage) -> int:
    """The power of 4 that is above all sums, whose root is one of 2."""
    return math.ceil(math.log2(max(largest, stage.least)) / 2)


class NormalisedLowering(StageLowering[NormalisedStage]):
    """The products: gains are parameters, and so are shifts."""

    def unit_sizes(
        self,
        stage: NormalisedStage,
        answers: Callable[[], FloatArray],
        sums: Callable[[str], FloatArray],
    ) -> tuple[FloatArray, ...]:
        """See `StageLowering`: what a gain makes small, its parameter makes finer."""
        return (answers(),)

    def lower(self, stage: NormalisedStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message(stage, measured.largest_answer, recipe)
        step, root_step = float(measured.steps[0]), float(measured.steps[-1])
        # Of a product of value and factor, how many steps of the message are one of it.
        gains = stage.gain * math.sqrt(stage.units) * step * root_step / measured.message_steps
        largest = float(np.abs(gains).max())
        most = LARGEST_SHIFT - GAIN_BITS + 1
        shift = most
        if largest > 0.0:
            shift = min(math.floor(math.log2(LARGEST_OPERAND / largest)) - GAIN_BITS + 1, most)
        finer = max(shift - max(shift - GUARD_BITS, LEAST_SHIFT), 0)
        added = stage.shift / measured.message_steps * 2.0**finer
        if shift < 0 or np.abs(added).max() > LARGEST_SHIFTED:
            raise QuantizationError(
                f"layer {stage.name!r}",
                f"its gains of up to {np.abs(stage.gain).max():.3g} and shifts of up to "
                f"{np.abs(stage.shift).max():.3g} are far larger than its answers to the "
                f"calibration data, {measured.largest_answer:.3g} at most; calibrate with data "
                "like those that it will hear",
            )
        whole = gains * 2.0 ** (shift + GAIN_BITS - 1)
        half = (1 << finer) >> 1
        return Lowering(
            {VALUE: 1.0 / step, FACTOR: 1.0 / root_step},
            message,
            lambda shifts: normalised_program(shifts, shift, message.bits),
            parameters={
                "gain": np.floor(whole + 0.5).astype(np.int64),
                "shift": np.floor(added + 0.5).astype(np.int64) + half,
            },
            sum_steps={VALUE: step, FACTOR: root_step},
            scale=measured.message_steps,
        )
