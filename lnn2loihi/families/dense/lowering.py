"""How feed-forward stages become populations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lnn2loihi.families.dense.layer import DenseStage
from lnn2loihi.families.dense.neuron import BOUNDED, EXACT, dense_program, sum_fraction_bits
from lnn2loihi.formats import FixedPoint
from lnn2loihi.layers.linear import SUM, FloatArray
from lnn2loihi.lowering import (
    LARGEST_WORD,
    OWN_FACTOR,
    ROUNDING_ROOM,
    Lowering,
    Measured,
    StageLowering,
)
from lnn2loihi.neurons.activations import ACTIVATION_END, ACTIVATIONS
from lnn2loihi.recipe import Recipe


class DenseLowering(StageLowering[DenseStage]):
    """A sum and an activation."""

    def message_format(
        self, stage: DenseStage, largest_answer: float, recipe: Recipe
    ) -> FixedPoint:
        """See `StageLowering`."""
        bits = recipe.message_bits
        if stage.activation in BOUNDED:
            return FixedPoint(bits, bits - 1)
        chosen = FixedPoint.covering(bits, largest_answer)
        # Not finer than the activation computes.
        finest = sum_fraction_bits(stage.activation, chosen.fraction_bits)
        return FixedPoint(bits, min(chosen.fraction_bits, finest))

    def may_clip(self, stage: DenseStage) -> bool:
        """See `StageLowering`; 0 is an end of a rectifier, not of its format."""
        return stage.activation not in (*BOUNDED, "relu")

    def unit_sizes(
        self,
        stage: DenseStage,
        answers: Callable[[], FloatArray],
        sums: Callable[[str], FloatArray],
    ) -> tuple[FloatArray, ...]:
        """See `StageLowering`."""
        if stage.activation not in EXACT:
            return ()
        # Rows share a shift: what answers little of a large sum gets few bits more.
        largest = sums(SUM)
        return answers(), np.where(largest < largest.max(), largest / OWN_FACTOR, largest)

    def lower(self, stage: DenseStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message_format(stage, measured.largest_answer, recipe)
        coarser, most = 0, LARGEST_WORD
        if stage.activation in BOUNDED:
            unit = ACTIVATIONS[recipe.activation].unit / (2 if stage.activation == "sigmoid" else 1)
            beyond = ACTIVATION_END
        else:
            fraction_bits = sum_fraction_bits(stage.activation, message.fraction_bits)
            if stage.activation not in EXACT:
                reach = max(float(measured.reach[SUM].max()), 2.0**-fraction_bits)
                far = reach * 2.0**fraction_bits * ROUNDING_ROOM / LARGEST_WORD
                coarser = max(0, int(np.ceil(np.log2(far))))
                fraction_bits -= coarser
            unit = 2.0**fraction_bits * (message.step / measured.message_steps)
            # Half a unit of the message is added before the last bits go.
            most -= (1 << max(fraction_bits - message.fraction_bits, 0)) >> 1
            beyond = 2.0 ** (fraction_bits + message.bits - message.fraction_bits)
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
