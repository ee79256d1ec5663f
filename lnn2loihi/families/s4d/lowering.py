"""How modes become populations."""

from __future__ import annotations

import numpy as np

from lnn2loihi.families.s4d.layer import DRIVE, IMAGINARY, REAL, LiquidModesStage, ModesStage
from lnn2loihi.families.s4d.neuron import (
    COARSE_FRACTION_BITS,
    GAIN_FRACTION_BITS,
    HEARD_FRACTION_BITS,
    MESSAGE_GUARD_BITS,
    STATE_BITS,
    TURN_FRACTION_BITS,
    ModesFormats,
    modes_program,
)
from lnn2loihi.formats import IntegerArray, signed_range
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.lowering import LARGEST_WORD, ROUNDING_ROOM, Lowering, Measured, StageLowering
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, LARGEST_SHIFT
from lnn2loihi.recipe import Recipe

#: Room of a state beyond what calibration saw, and of what drives it: the bounds that hold for all
#: inputs are fifteen to thirty times as large as what occurs.
STATE_HEADROOM, DRIVE_HEADROOM = 1.5, 2.0
#: Share of the largest turn that stays free, for its rounding.
TURN_ROOM = 1.0 - 2.0**-12
#: Multipliers of rows with one weight begin here; see `_even`.
EVEN_MULTIPLIER = 64


class ModesLowering(StageLowering[ModesStage]):
    """A complex mode, liquid or not.

    All modes have one scale: those of a channel are added up with weights of 1, which few bits hold
    exactly then.
    """

    def lower(self, stage: ModesStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`; a state counts in units of its own mode's range."""
        message = self.message(stage, measured.largest_answer, recipe)
        liquid = stage if isinstance(stage, LiquidModesStage) else None
        kept = np.exp(-np.exp(stage.log_decay))
        reach = ROUNDING_ROOM * measured.reach[DRIVE]
        span = _span(measured, reach if liquid is None else 1.0 / (1.0 - liquid.share))
        heard = _heard(stage, measured, recipe, reach, liquid is not None)
        step = span * 2.0 ** -(STATE_BITS - 1)
        push, push_shift = _scaled((1.0 - kept) / (heard * step))
        weighed = 2.0 * span / measured.message_steps
        guard = _guard_bits(weighed * (np.abs(stage.real) + np.abs(stage.imaginary)))
        weighed = weighed * 2.0 ** (guard - COARSE_FRACTION_BITS)
        answer, answer_shift = _scaled(np.stack([weighed * stage.real, -weighed * stage.imaginary]))
        parameters = {"push": push, "real": answer[0], "minus_imaginary": answer[1]}
        moved = np.stack([kept * np.cos(stage.angle) - 1.0, kept * np.sin(stage.angle)])
        tilted = np.zeros_like(moved)
        if liquid is not None:
            turned = np.stack([np.cos(liquid.direction), np.sin(liquid.direction)])
            tilted = liquid.share * (1.0 - kept) * turned
        gain = _gain(np.hypot(*moved) + np.hypot(*tilted))
        turn = _whole(moved / gain, TURN_FRACTION_BITS)
        parameters["gain"] = _whole(gain, GAIN_FRACTION_BITS)
        parameters["turn_re"], parameters["turn_im"] = turn
        liquid_shift = None
        if liquid is None:
            parameters["minus_turn_im"] = -turn[1]
        else:
            finer = 2.0 ** (TURN_FRACTION_BITS - HEARD_FRACTION_BITS)
            tilt, liquid_shift = _scaled(finer * tilted / gain)
            parameters[f"liquid_{REAL}"], parameters[f"liquid_{IMAGINARY}"] = tilt
        formats = ModesFormats(message.bits, guard, push_shift, answer_shift, liquid_shift)
        return Lowering(
            {DRIVE: heard},
            message,
            lambda rescalings: modes_program(rescalings[0], formats),
            states=(REAL, IMAGINARY),
            memory_steps={REAL: step, IMAGINARY: step},
            parameters=parameters,
            operands=() if liquid is not None else (DRIVE,),
            # What a liquid mode hears is held within -1 and 1.
            held={} if liquid is None else {DRIVE: LARGEST_WORD},
            scale=measured.message_steps,
        )


def _span(measured: Measured, bound: FloatArray) -> FloatArray:
    """The magnitude that the whole range of each mode's state stands for, (units,): what was
    calibrated with headroom, or what no input can make it leave where that is less.
    """
    seen = np.maximum(*(measured.largest_memory[word] for word in (REAL, IMAGINARY)))
    span = np.minimum(STATE_HEADROOM * seen, bound)
    # A mode that stood still, or hears nothing.
    span = np.where(span > 0.0, span, bound)
    return np.where(span > 0.0, span, 1.0)


def _heard(
    stage: ModesStage, measured: Measured, recipe: Recipe, reach: FloatArray, liquid: bool
) -> FloatArray:
    """Steps per 1.0 of what each mode hears, (units,): an operand of 16 bits."""
    if liquid:
        return np.full(stage.units, 2.0**HEARD_FRACTION_BITS)
    most = np.minimum(DRIVE_HEADROOM * measured.largest_sums[DRIVE], reach)
    most = np.where(most > 0.0, most, reach)
    return _even(
        LARGEST_OPERAND / np.where(most > 0.0, most, 1.0),
        np.abs(stage.gates[DRIVE].weight * measured.steps).max(axis=1),
        signed_range(recipe.weight_bits)[1],
    )


def _even(units: FloatArray, weight: FloatArray, largest: int) -> FloatArray:
    """Units that are a little coarser, with which rows of one weight have no error.

    A row multiplies its mantissa, of at most `largest`, with a multiplier. Where a mode hears one
    channel alone, its weight is just the product of both in these units.

    Args:
        units: steps per 1.0, (units,).
        weight: real value of a step of the message that weighs most, times its weight, (units,).
        largest: largest mantissa.
    """
    multiplier = units * weight / largest
    if not multiplier.max() > 0.0:
        return units
    least = 2.0 ** np.floor(np.log2(multiplier.max() / EVEN_MULTIPLIER))
    whole = np.floor(multiplier / least)
    # The last digits of the quotient must not make the next multiplier of it.
    share = np.where(whole > 0.0, whole * least / np.where(whole > 0.0, multiplier, 1.0), 1.0)
    return units * share * (1.0 - 1e-9)


def _guard_bits(largest: FloatArray) -> int:
    """Bits of a message below its last one, of which its rounding is made: as many as words have.

    Args:
        largest: what the state can make of each message, in its steps, (units,).
    """
    room = np.floor(np.log2(LARGEST_WORD / (ROUNDING_ROOM * max(float(largest.max()), 1.0))))
    return int(np.clip(room, 0, MESSAGE_GUARD_BITS))


def _gain(largest: FloatArray) -> FloatArray:
    """The power of two that a turn is a share of, (units,)."""
    exponent = np.ceil(np.log2(np.maximum(largest, 2.0**-60) / TURN_ROOM))
    return 2.0 ** np.clip(exponent, -GAIN_FRACTION_BITS, 1.0)


def _scaled(values: FloatArray) -> tuple[IntegerArray, int]:
    """Parameters of 16 bits for real factors, and the right shift of products with them."""
    largest = float(np.abs(values).max())
    shift = LARGEST_SHIFT
    if largest > 0.0:
        shift = min(int(np.floor(np.log2(LARGEST_OPERAND / largest))), LARGEST_SHIFT)
    return _whole(values, shift), shift


def _whole(values: FloatArray, fraction_bits: int) -> IntegerArray:
    """As integers of 16 bits; what is just 1 is one step less."""
    found = np.floor(values * 2.0**fraction_bits + 0.5)
    return np.clip(found, -LARGEST_OPERAND, LARGEST_OPERAND).astype(np.int64)
