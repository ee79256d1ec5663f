"""How the stages of a CfC become populations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.families.cfc.layer import CfCStage, PureStage
from lnn2loihi.families.cfc.linear_heads import (
    HEAD_BITS,
    HeadFormats,
    LinearHeadsStage,
    linear_heads_program,
)
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

#: Room for a linear head beyond what calibration saw, as a factor.
HEAD_HEADROOM = 2.0


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
        gate = _gate_of_time(measured, unit)
        return Lowering(
            {"ff1": unit, "ff2": unit, **gate.units},
            self.message_format(stage, 0.0, recipe),
            lambda shifts: cfc_program(
                shifts, recipe.message_bits, recipe.activation, stage.mode, gate.growth
            ),
            states=("h",),
            operands=gate.operands,
            held={"ff1": LARGEST_WORD, "ff2": LARGEST_WORD, **gate.held},
        )


class LinearHeadsLowering(StageLowering[LinearHeadsStage]):
    """Of heads without tanh: they saturate beyond twice what calibration saw."""

    def lower(self, stage: LinearHeadsStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message(stage, measured.largest_answer, recipe)
        # A head is at most what weights and messages allow, or what is usual with some room.
        usual = HEAD_HEADROOM * max(float(s.max()) for s in measured.largest_sums.values())
        largest = min(max(float(measured.reach[head].max()) for head in ("ff1", "ff2")), usual)
        largest = max(largest, measured.largest_answer / 2.0)
        head = FixedPoint.covering(HEAD_BITS, largest)
        gate = _gate_of_time(measured, ACTIVATIONS[recipe.activation].unit)
        formats = HeadFormats(
            message.bits, message.fraction_bits, head.fraction_bits, recipe.activation, stage.mode
        )
        unit = 2.0**head.fraction_bits
        return Lowering(
            {"ff1": unit, "ff2": unit, **gate.units},
            message,
            lambda shifts: linear_heads_program(shifts, formats, gate.growth),
            states=("h",),
            operands=gate.operands,
            held={"ff1": LARGEST_WORD, "ff2": LARGEST_WORD, **gate.held},
        )


@dataclass(frozen=True)
class _TimeGate:
    """Units of the time gate's accumulators, and what is held in them; see `Lowering`."""

    units: dict[str, float]
    held: dict[str, int]
    growth: Growth | None = None
    operands: tuple[str, ...] = ()


def _gate_of_time(measured: Measured, unit: float) -> _TimeGate:
    """The time gate, which is computed as tanh of half its pre-activation (`neuron.py`)."""
    if measured.elapsed is None:
        return _TimeGate({"time": unit / 2}, {"time": LARGEST_WORD})
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
    units = {"time_a": unit / 2 / 2**coarser, "time_b": unit / 2 / 2**both}
    right = measured.elapsed.fraction_bits - coarser + both
    beyond = int(np.ceil(np.log2(max(grown / 2**both, 1.0) / LARGEST_GROWN)))
    left = max(-right, beyond, 0)
    held = {"time_b": LARGEST_GROWN} if alone else {}
    return _TimeGate(units, held, Growth(right + left, left, both), ("time_a",))


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
