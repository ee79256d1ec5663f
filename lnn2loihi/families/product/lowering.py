"""How products become populations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lnn2loihi.errors import QuantizationError
from lnn2loihi.families.product.layer import LEFT, RIGHT, ProductStage
from lnn2loihi.families.product.neuron import LEAST_SHIFT, product_program
from lnn2loihi.formats import WORD_BITS
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.lowering import ROUNDING_ROOM, Lowering, Measured, StageLowering
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, LARGEST_SHIFT
from lnn2loihi.recipe import Recipe

#: Room of a factor beyond its calibrated range, where weights and messages allow more: one of its
#: sixteen bits.
HEADROOM = 2.0


class ProductLowering(StageLowering[ProductStage]):
    """A product: each factor as fine as its own range allows, the message as calibrated."""

    def unit_sizes(
        self,
        stage: ProductStage,
        answers: Callable[[], FloatArray],
        sums: Callable[[str], FloatArray],
    ) -> tuple[FloatArray, ...]:
        """See `StageLowering`. All units share the shift of their products: one that answers little
        of large factors gets no bits more.
        """
        return answers(), sums(LEFT) * sums(RIGHT)

    def lower(self, stage: ProductStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message(stage, measured.largest_answer, recipe)
        finest = {gate: LARGEST_OPERAND / _range(measured, gate) for gate in (LEFT, RIGHT)}
        # In steps of the message a product counts so many times 2**shift at the most.
        room = measured.message_steps * finest[LEFT] * finest[RIGHT]
        shift = min(int(np.floor(np.log2(room.min()))), LARGEST_SHIFT)
        if shift < LEAST_SHIFT - (WORD_BITS - message.bits):
            unit = int(room.argmin())
            raise QuantizationError(
                f"layer {stage.name!r}",
                f"unit {unit} multiplies factors of up to "
                f"{measured.largest_sums[LEFT][unit]:.3g} and "
                f"{measured.largest_sums[RIGHT][unit]:.3g}, but no unit answers more than "
                f"{measured.largest_answer:.3g}, which factors of 16 bits do not resolve; "
                "calibrate with data on which both are large at once, or scale the factors",
            )
        share = np.sqrt(2.0**shift / room)
        return Lowering(
            {gate: finest[gate] * share for gate in (LEFT, RIGHT)},
            message,
            lambda shifts: product_program(shifts, shift, message.bits),
            operands=(LEFT, RIGHT),
            scale=measured.message_steps,
        )


def _range(measured: Measured, gate: str) -> FloatArray:
    """What a factor of each unit can be, (units,): with headroom, or as weights allow it."""
    allowed = ROUNDING_ROOM * measured.reach[gate]
    found = np.minimum(HEADROOM * measured.largest_sums[gate], allowed)
    # A unit whose factor was always 0 takes what weights allow, and one that hears nothing is 0.
    found = np.where(found > 0.0, found, allowed)
    return np.where(found > 0.0, found, 1.0)
