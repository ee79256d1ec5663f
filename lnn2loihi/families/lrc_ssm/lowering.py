"""How the stages of LrcSSM become populations.

No bound of a state is of use: a gate whose weights are of both signs may nearly close, and what a
unit could then grow to is thousands of times what it does. So states are as large as calibration
says, with some room, and saturate beyond.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lnn2loihi.errors import QuantizationError
from lnn2loihi.families.lrc_ssm.layer import FORGET, UPDATE, LrcSSMStage
from lnn2loihi.families.lrc_ssm.neuron import (
    FACTOR_BITS,
    FACTORS,
    OFFSET_BITS,
    STATE_BITS,
    lrc_ssm_program,
)
from lnn2loihi.formats import IntegerArray, signed_range
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.lowering import Lowering, Measured, StageLowering
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, LARGEST_SHIFT
from lnn2loihi.neurons.operations import LARGEST_GROWN
from lnn2loihi.recipe import Recipe

#: Room of a state beyond what calibration saw.
STATE_HEADROOM = 1.25
#: By how many bits a unit may be driven to more than its largest state: it keeps as many fewer of
#: what moves it.
MOST_BEYOND = 6


class LrcSSMLowering(StageLowering[LrcSSMStage]):
    """A unit: its state as a share of the largest, parameters in units of these."""

    def covered(
        self, stage: LrcSSMStage, largest_answer: float, sums: Callable[[str], FloatArray]
    ) -> float:
        """See `StageLowering`. What is trained does not count here, so that formats stay."""
        return STATE_HEADROOM * largest_answer

    def unit_sizes(
        self,
        stage: LrcSSMStage,
        answers: Callable[[], FloatArray],
        sums: Callable[[str], FloatArray],
    ) -> tuple[FloatArray, ...]:
        """See `StageLowering`."""
        return (answers(),)

    def lower(self, stage: LrcSSMStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        bits, unit = recipe.message_bits, ACTIVATIONS[recipe.activation].unit
        # What a state of 1.0 is.
        scale = measured.message_steps * 2.0 ** (bits - 1)
        # Steps of a pre-activation that one step of the other factor is worth. What opens counts
        # twice, and so do logistic functions, which are tanh of half their sum.
        step = 2.0**-FRACTION_BITS
        worth = {
            "opening_slope": stage.opening_slope * scale * step * unit / 2,
            "elastance_slope": stage.elastance_slope * scale * step * unit / 2,
            "forget_own": stage.forget_own * step / 2 * unit / 2,
            "update_own": stage.update_own * step / 2 * unit,
        }
        factors = {name: _factors(stage, name, worth[name]) for name in FACTORS}
        offsets = {
            name: _offsets(stage, name, getattr(stage, name) * unit / 2)
            for name in ("opening_offset", "elastance_offset")
        }
        share = stage.drive / scale
        largest = max(float(np.abs(share).max()), 2.0**-MOST_BEYOND)
        beyond = max(int(np.ceil(np.log2(largest * 2.0**15 / LARGEST_OPERAND))), 0)
        if beyond > MOST_BEYOND:
            unit = int(np.abs(share).argmax())
            raise QuantizationError(
                f"layer {stage.name!r}",
                f"unit {unit} is driven to {stage.drive[unit]:.3g}, and is never larger than "
                f"{scale[unit] / STATE_HEADROOM:.3g} on the calibration data; calibrate with data "
                "on which it moves, or train with a weight decay on the drives",
            )
        drive = np.floor(share * 2.0 ** (FACTOR_BITS - 1 - beyond) + 0.5)
        shifts = {name: shift for name, (_, shift) in factors.items()}
        return Lowering(
            {FORGET: unit / 2, UPDATE: unit},
            self.message(stage, measured.largest_answer, recipe),
            lambda rescalings: lrc_ssm_program(rescalings, bits, recipe.activation, shifts, beyond),
            states=("h",),
            memory_steps={"h": scale * 2.0 ** -(STATE_BITS - 1)},
            parameters={
                **{name: values for name, (values, _) in factors.items()},
                **offsets,
                "drive": drive.astype(np.int64),
            },
            held={FORGET: LARGEST_GROWN, UPDATE: LARGEST_GROWN},
            scale=measured.message_steps,
        )


def _factors(stage: LrcSSMStage, name: str, worth: FloatArray) -> tuple[IntegerArray, int]:
    """Parameters of FACTOR_BITS and the right shift of their products."""
    largest = float(np.abs(worth).max())
    shift = LARGEST_SHIFT
    if largest > 0.0:
        shift = min(int(np.floor(np.log2(LARGEST_OPERAND / largest))), LARGEST_SHIFT)
    # Two operands of 16 bits are to fit what is added to a sum.
    least = 2 * (FACTOR_BITS - 1) - (LARGEST_GROWN - 1).bit_length()
    if shift < least:
        unit = int(np.abs(worth).argmax())
        raise QuantizationError(
            f"layer {stage.name!r}",
            f"{name} of unit {unit} is {getattr(stage, name)[unit]:.3g}, which is too large for "
            f"the chip's words; train with a weight decay, or divide it by "
            f"{2.0 ** (least - shift):.3g} at least",
        )
    return np.floor(worth * 2.0**shift + 0.5).astype(np.int64), shift


def _offsets(stage: LrcSSMStage, name: str, steps: FloatArray) -> IntegerArray:
    """Parameters that are added."""
    whole = np.floor(steps + 0.5)
    if np.abs(whole).max() > signed_range(OFFSET_BITS)[1]:
        unit = int(np.abs(whole).argmax())
        raise QuantizationError(
            f"layer {stage.name!r}",
            f"{name} of unit {unit} is {getattr(stage, name)[unit]:.3g}, hundreds of times "
            "farther than a logistic function reaches; train anew with a weight decay",
        )
    return whole.astype(np.int64)
