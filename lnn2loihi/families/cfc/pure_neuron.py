"""The neuron program of a CfC unit in mode pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lnn2loihi.families.dense.neuron import GUARD_BITS
from lnn2loihi.neurons.activations import EXP_FRACTION_BITS, FRACTION_BITS, exp_negative
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import ELAPSED, Rescaling, clamped, preactivation, saturated
from lnn2loihi.neurons.tracer import Tracer

#: Width of the operands of products.
OPERAND_BITS = 16
#: What decays is held within this where it could leave its word: any message saturates before.
LARGEST_LOST = 1 << 22


@dataclass(frozen=True)
class PureFormats:
    """Formats of a pure unit, all chosen by calibration.

    Attributes:
        message_bits, message_fraction_bits: format of the state and message.
        sum_fraction_bits: of f, at most what lets its largest value fit 16 bits.
        rate_fraction_bits: of |w_tau| + |f|, with constant time this is
            EXP_FRACTION_BITS and the time is in numerator and shift.
        amplitude_fraction_bits: of A as an operand.
        time_numerator, time_shift: constant elapsed time, as a factor of |f|; 0 where it is timed.
        elapsed_fraction_bits: fraction bits of the elapsed time, or None where it is constant.
        lift: left shift that brings a rate times the elapsed time into the units of the exponent,
            within what decays to 0: large ones count in coarser units.
        lost_lift: the same of what decays, within what is far beyond the message's range.
    """

    message_bits: int
    message_fraction_bits: int
    sum_fraction_bits: int
    rate_fraction_bits: int
    amplitude_fraction_bits: int
    time_numerator: int
    time_shift: int
    elapsed_fraction_bits: int | None
    lift: int = 0
    lost_lift: int = 0


def pure_program(shifts: Sequence[Rescaling | int], formats: PureFormats) -> NeuronProgram:
    """A pure unit: h' = A - A exp(-elapsed (|w_tau| + |f|)) f.

    Parameters beside bias and multiplier: `rate` is |w_tau| with rate_fraction_bits (times the
    elapsed time where that is constant), `amplitude` is A as an operand, `rest` is A in the units
    of the new state.

    Args:
        shifts: right shift of the one pre-activation, f.
        formats: see PureFormats.
    """
    t = Tracer("cfc pure")
    state = t.state("h", formats.message_bits)
    f = preactivation(t, "ff1", shifts[0])
    rate = t.parameter("rate", 24)
    amplitude = t.parameter("amplitude", OPERAND_BITS)
    rest = t.parameter("rest", 24)
    magnitude = t.negative(t.negative_magnitude(f), "magnitude")
    if formats.elapsed_fraction_bits is None:
        own = t.multiply(magnitude, formats.time_numerator, formats.time_shift, "scaled")
        exponent = t.add(own, rate, "exponent")
    else:
        drop = formats.sum_fraction_bits - formats.rate_fraction_bits
        own = t.shift_right(magnitude, drop) if drop > 0 else magnitude
        if drop < 0:
            inside = t.minimum(magnitude, ((1 << (OPERAND_BITS - 1)) - 1) >> -drop)
            t.saturates(magnitude, inside, "rate")
            own = t.shift_left(inside, -drop)
        free = t.add(own, rate)
        total = t.minimum(free, (1 << (OPERAND_BITS - 1)) - 1, "decay_rate")
        t.saturates(free, total, "decay_rate")
        shift = formats.rate_fraction_bits + formats.elapsed_fraction_bits - EXP_FRACTION_BITS
        exponent = t.multiply(total, t.accumulator(ELAPSED), shift + formats.lift, "exponent")
        if formats.lift:
            end = ((1 << (OPERAND_BITS - 1)) >> formats.lift) + 1
            exponent = t.minimum(exponent, end, "exponent")
            exponent = t.shift_left(exponent, formats.lift, "exponent")
    decay = exp_negative(t, exponent)
    product = t.multiply(decay, f, FRACTION_BITS, "decayed")
    unit = formats.message_fraction_bits + GUARD_BITS
    shift = formats.amplitude_fraction_bits + formats.sum_fraction_bits - unit
    lost = t.multiply(amplitude, product, shift + formats.lost_lift, "lost")
    if formats.lost_lift:
        end = max(LARGEST_LOST >> formats.lost_lift, 1)
        lost = t.shift_left(clamped(t, lost, -end, end, "lost"), formats.lost_lift, "lost")
    new = t.subtract(rest, lost, "new_state")
    t.spike(saturated(t, t.round_half_up(new, GUARD_BITS), formats.message_bits, "h"), state)
    return t.program()
