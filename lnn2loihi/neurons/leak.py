"""A state that moves towards a value by a share: what GRU, minGRU and minLSTM have in common.

Such a state may move slowly, by less than one unit of its message in a step. So it is kept with
GUARD_BITS more than the 15 bits that enter a product, and stands still only where those are equal.
"""

from __future__ import annotations

from lnn2loihi.formats import signed_range
from lnn2loihi.neurons.activations import FRACTION_BITS
from lnn2loihi.neurons.operations import clamped, rescaled, within
from lnn2loihi.neurons.tracer import Tracer, Word

#: Width of what enters the product: the difference of two such words fits 16 bits.
VALUE_BITS = 15
#: Bits of the state below those. A product of 16 and 16 bits in units of them fits 24 bits.
GUARD_BITS = 8
#: Width of the state word.
STATE_BITS = VALUE_BITS + GUARD_BITS


def moved(t: Tracer, state: Word, target: Word, tau: Word, towards: bool) -> Word:
    """The new state: state + share (target - state).

    Args:
        t: the tracer.
        state: STATE_BITS wide.
        target: VALUE_BITS wide, in units of 2**GUARD_BITS of the state.
        tau: 2 gate - 1 in Q14.
        towards: whether the share is the gate, else it is 1 - gate.
    """
    coarse = t.shift_right(state, GUARD_BITS, "coarse")
    # Both factors change sign where the share is 1 - gate: twice it is 1 - tau.
    if towards:
        way, share = t.subtract(target, coarse, "way"), t.add(tau, 1 << FRACTION_BITS, "share")
    else:
        way, share = t.subtract(coarse, target, "way"), t.add(tau, -(1 << FRACTION_BITS), "share")
    step = t.multiply(way, share, FRACTION_BITS + 1 - GUARD_BITS, "step")
    new = t.add(state, step, "new_state")
    # Plain intervals say thrice this; state, target and share are independent and enter linearly.
    edge = (1 << (STATE_BITS - 1)) + (2 << GUARD_BITS)
    t.convex(new, (state, target, tau), -edge, edge)
    # Cut is at most the rounding of what is between the state and the target: both fit.
    return within(t, new, STATE_BITS, "kept")


def sent(
    t: Tracer, state: Word, spare_bits: int, message_bits: int, positive: bool = False
) -> tuple[Word, Word]:
    """The message: the state without its last bits, rounded half up; before and after it is held
    within its width.

    Args:
        t: the tracer.
        state: STATE_BITS wide.
        spare_bits: fraction bits of the state beyond those of the message; may be negative.
        message_bits: width of the message.
        positive: whether it is 0 where the state is negative.
    """
    low, high = signed_range(message_bits)
    rounded = rescaled(t, state, spare_bits)
    return rounded, clamped(t, rounded, 0 if positive else low, high, "message")
