"""How the stages of a CfC become populations."""

from __future__ import annotations

import numpy as np

from lnn2loihi.families.cfc.layer import CfCStage, PureStage
from lnn2loihi.families.cfc.neuron import Growth, cfc_program
from lnn2loihi.families.cfc.pure_neuron import GUARD_BITS, OPERAND_BITS, PureFormats, pure_program
from lnn2loihi.formats import FixedPoint
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.lowering import LARGEST_WORD, ROUNDING_ROOM, Lowering, Measured, StageLowering
from lnn2loihi.neurons.activations import ACTIVATION_END, ACTIVATIONS, EXP_FRACTION_BITS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND
from lnn2loihi.neurons.operations import LARGEST_GROWN
from lnn2loihi.recipe import Recipe

#: Beyond the words of parameters, and within int32, which holds them.
LARGEST_INTEGER = 2.0**30
#: Fraction bits of elapsed times of a few units, as most networks are trained with.
SMALL_TIME_BITS = 8
#: Beyond this exponent the exponential of the programs is 0.
DECAYED = 10.0
#: Largest fraction bits of a 16-bit operand that is below 1 in magnitude.
OPERAND_FRACTION = OPERAND_BITS - 1


class CfCLowering(StageLowering[CfCStage]):
    """Of the modes default and no_gate; without gate the answer is below 2."""

    bounded = True

    def message_format(self, stage: CfCStage, largest_answer: float, recipe: Recipe) -> FixedPoint:
        """See `StageLowering`."""
        bits = recipe.message_bits
        return FixedPoint(bits, bits - (2 if stage.mode == "no_gate" else 1))

    def lower(self, stage: CfCStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        unit = ACTIVATIONS[recipe.activation].unit
        # The time gate is computed as tanh of half its pre-activation (families/cfc/neuron.py).
        units = {"ff1": unit, "ff2": unit}
        growth, operands = None, ()
        held: dict[str, int] = dict.fromkeys(("ff1", "ff2"), LARGEST_WORD)
        if measured.elapsed is None:
            units["time"] = unit / 2
            held["time"] = LARGEST_WORD
        else:
            # The rate is an operand of a product: it gets as many bits as fit 16 without clipping.
            largest = float(measured.reach["time_a"].max()) * unit / 2
            coarser = int(np.ceil(np.log2(max(largest, 1.0) * 1.01 / (1 << OPERAND_FRACTION))))
            # Where elapsed times are large, rates are small, and get finer units.
            coarser = max(coarser, min(measured.elapsed.fraction_bits - SMALL_TIME_BITS, 0))
            base = float(measured.reach["time_b"].max()) * unit / 2 * ROUNDING_ROOM
            grown = largest * measured.longest * ROUNDING_ROOM
            # Both parts may be far beyond the ends of the activation, and cancel.
            both, alone = 0, grown < LARGEST_GROWN - ACTIVATION_END
            if base > LARGEST_GROWN and not alone:
                both = int(np.ceil(np.log2(max(base, grown) / LARGEST_GROWN)))
            units |= {"time_a": unit / 2 / 2**coarser, "time_b": unit / 2 / 2**both}
            right = measured.elapsed.fraction_bits - coarser + both
            beyond = int(np.ceil(np.log2(max(grown / 2**both, 1.0) / LARGEST_GROWN)))
            left = max(-right, beyond, 0)
            growth, operands = Growth(right + left, left, both), ("time_a",)
            if alone:
                held["time_b"] = LARGEST_GROWN
        return Lowering(
            units,
            self.message_format(stage, 0.0, recipe),
            lambda shifts: cfc_program(
                shifts, recipe.message_bits, recipe.activation, stage.mode, growth
            ),
            states=("h",),
            operands=operands,
            held=held,
        )


class PureLowering(StageLowering[PureStage]):
    """Of the mode pure."""

    def lower(self, stage: PureStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message(stage, measured.largest_answer, recipe)
        reach = float(measured.reach["ff1"].max())
        # With constant time nothing is left of what decays by more.
        gone = DECAYED / stage.timespan if stage.timespan else np.inf
        sum_bits = min(_operand_fraction(min(reach, gone)), OPERAND_FRACTION)
        slowness = np.abs(stage.w_tau)
        numerator, shift = 0, 0
        if measured.elapsed is None:
            assert stage.timespan is not None
            factor = stage.timespan * 2.0 ** (EXP_FRACTION_BITS - sum_bits)
            while factor * 2.0 ** (shift + 1) < 1 << OPERAND_FRACTION and shift < 24:
                shift += 1
            numerator = int(factor * 2.0**shift + 0.5)
            rate_bits = EXP_FRACTION_BITS
            rate = slowness * stage.timespan
        else:
            rate_bits = min(sum_bits, _operand_fraction(reach + float(slowness.max())))
            rate_bits = max(rate_bits, EXP_FRACTION_BITS - measured.elapsed.fraction_bits)
            rate = slowness
        amplitude_bits = _operand_fraction(float(np.abs(stage.amplitude).max()))
        lift = 0
        if measured.elapsed is not None:
            down = rate_bits + measured.elapsed.fraction_bits - EXP_FRACTION_BITS
            longest = measured.longest / measured.elapsed.step
            far = (LARGEST_OPERAND + 1) * max(longest, 1.0) / 2.0**down / LARGEST_WORD
            lift = max(0, -down, int(np.ceil(np.log2(far))))
        down = amplitude_bits + sum_bits - message.fraction_bits - GUARD_BITS
        operand = min(reach * 2.0**sum_bits * ROUNDING_ROOM, LARGEST_OPERAND)
        far = float(np.abs(stage.amplitude).max()) * 2.0**amplitude_bits * operand / 2.0**down
        far = max(far, 1.0) * ROUNDING_ROOM / LARGEST_WORD
        lost_lift = max(0, -down, int(np.ceil(np.log2(far))))
        formats = PureFormats(
            message.bits, message.fraction_bits, sum_bits, rate_bits, amplitude_bits, numerator,
            shift, None if measured.elapsed is None else measured.elapsed.fraction_bits, lift,
            lost_lift,
        )  # fmt: skip

        def integers(values: FloatArray, fraction_bits: int) -> np.ndarray:
            # What does not fit its word by far is refused as what does not fit it.
            scaled = np.clip(values * 2.0**fraction_bits, -LARGEST_INTEGER, LARGEST_INTEGER)
            return np.floor(scaled + 0.5).astype(np.int64)

        parameters = {
            "rate": integers(rate, rate_bits),
            "amplitude": integers(stage.amplitude, amplitude_bits),
            "rest": integers(stage.amplitude, message.fraction_bits + GUARD_BITS),
        }
        return Lowering(
            {"ff1": 2.0**sum_bits},
            message,
            lambda shifts: pure_program(shifts, formats),
            states=("h",),
            parameters=parameters,
            operands=("ff1",),
            held={"ff1": LARGEST_OPERAND} if reach > gone else {},
        )


def _operand_fraction(reach: float, bits: int = OPERAND_BITS) -> int:
    """Most fraction bits with which values up to `reach` fit a word, one unit of rounding more."""
    return FixedPoint.covering(bits, reach * (1.0 + 2.0**-10) + 2.0**-12).fraction_bits
