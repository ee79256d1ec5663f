"""How feed-forward stages become populations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lnn2loihi.families.dense.layer import DenseStage
from lnn2loihi.families.dense.neuron import (
    BOUNDED,
    EXACT,
    dense_program,
    plain_function,
    square_bits,
    sum_fraction_bits,
)
from lnn2loihi.formats import FixedPoint
from lnn2loihi.layers.activations import kind_of
from lnn2loihi.layers.linear import SUM, FloatArray
from lnn2loihi.lowering import (
    LARGEST_WORD,
    OWN_FACTOR,
    ROUNDING_ROOM,
    Lowering,
    Measured,
    StageLowering,
)
from lnn2loihi.neurons.activations import ACTIVATION_END, ACTIVATIONS, SOFTPLUS_FRACTION_BITS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND
from lnn2loihi.recipe import Recipe

#: Steps by which a softplus of any sum is above it, at the most.
SOFTPLUS_RISE = 1 << SOFTPLUS_FRACTION_BITS


class DenseLowering(StageLowering[DenseStage]):
    """A sum and an activation."""

    def message_format(
        self, stage: DenseStage, largest_answer: float, recipe: Recipe
    ) -> FixedPoint:
        """See `StageLowering`."""
        bits = recipe.message_bits
        if kind_of(stage.activation)[0] in BOUNDED:
            return FixedPoint(bits, bits - 1)
        if largest_answer == stage.bound:
            # The end of a clamp may be one step above the largest message, which stands for it.
            largest_answer *= 1.0 - 2.0 ** (1 - bits)
        chosen = FixedPoint.covering(bits, largest_answer)
        if plain_function(stage.activation) is None:
            return chosen
        # Not finer than the activation computes.
        finest = sum_fraction_bits(stage.activation, chosen.fraction_bits)
        return FixedPoint(bits, min(chosen.fraction_bits, finest))

    def may_clip(self, stage: DenseStage) -> bool:
        """See `StageLowering`; 0 is an end of a rectifier, and those of a clamp are its own, not of
        its format.
        """
        kind, _ = kind_of(stage.activation)
        return kind not in (*BOUNDED, "relu") and stage.bound == math.inf

    def unit_sizes(
        self,
        stage: DenseStage,
        answers: Callable[[], FloatArray],
        sums: Callable[[str], FloatArray],
    ) -> tuple[FloatArray, ...]:
        """See `StageLowering`."""
        if kind_of(stage.activation)[0] not in EXACT:
            return ()
        # Rows share a shift: what answers little of a large sum gets few bits more.
        largest = sums(SUM)
        return answers(), np.where(largest < largest.max(), largest / OWN_FACTOR, largest)

    def lower(self, stage: DenseStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message_format(stage, measured.largest_answer, recipe)
        kind, numbers = kind_of(stage.activation)
        coarser, most = 0, LARGEST_WORD
        if kind in BOUNDED:
            unit = ACTIVATIONS[recipe.activation].unit / (2 if kind == "sigmoid" else 1)
            beyond = ACTIVATION_END
        elif kind == "square":
            unit = 2.0 ** ((message.fraction_bits + square_bits(message.bits)) / 2)
            beyond = LARGEST_OPERAND
        else:
            fraction_bits = sum_fraction_bits(stage.activation, message.fraction_bits)
            slope = abs(numbers[0]) if kind == "leaky_relu" else 1.0
            # In steps of a message, how far the sum goes until both sides have left its range.
            beyond = 2.0**message.bits * max(slope, 1.0 / slope)
            finer = fraction_bits - message.fraction_bits
            leaks = kind == "leaky_relu" and beyond * 2.0**finer > LARGEST_WORD
            if leaks or plain_function(stage.activation) is not None:
                reach = float(measured.reach[SUM].max()) * max(slope, 1.0)
                coarser = _bits_coarser(reach, fraction_bits)
            beyond *= 2.0 ** (finer - coarser)
            # A slope above 1 is that of the unit: the other side shrinks.
            unit = 2.0 ** (fraction_bits - coarser) * max(slope, 1.0)
            unit = unit * (message.step / measured.message_steps)
            # Half a unit of the message is added before the last bits go, and a softplus rises.
            most -= (1 << max(finer - coarser, 0)) >> 1
            most -= SOFTPLUS_RISE if kind in ("softplus", "log_sigmoid") else 0
        return Lowering(
            {SUM: unit},
            message,
            lambda shifts: dense_program(
                shifts[0],
                stage.activation,
                message.bits,
                message.fraction_bits,
                recipe.activation,
                coarser,
            ),  # fmt: skip
            # Beyond the message's range it saturates anyway.
            held={SUM: most} if beyond <= most else {},
            scale=measured.message_steps,
        )


def _bits_coarser(reach: float, fraction_bits: int) -> int:
    """By how many bits a sum has to count in coarser steps, so that it fits its word."""
    reach = max(reach, 2.0**-fraction_bits)
    far = reach * 2.0**fraction_bits * ROUNDING_ROOM / LARGEST_WORD
    return max(0, math.ceil(math.log2(far)))
