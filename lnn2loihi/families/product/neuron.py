"""The neuron program of a product of two sums."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.formats import WORD_BITS
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import Rescaling, preactivation, saturated, within
from lnn2loihi.neurons.tracer import Tracer

#: Accumulators, in the order of the gates of the stage.
LEFT, RIGHT = "left", "right"
#: Bits of a product below those of its message, of which the rounding is made.
GUARD_BITS = 4
#: Right shift that brings any product of two factors of 16 bits into a word.
LEAST_SHIFT = 31 - WORD_BITS


def product_program(
    shifts: Sequence[Rescaling | int], shift: int, message_bits: int
) -> NeuronProgram:
    """A product of two factors of 16 bits, which saturate; it has no state.

    Args:
        shifts: right shifts of the factors, LEFT and RIGHT.
        shift: right shift of the product; where it is less than LEAST_SHIFT, the message is finer
            than a product that fits a word, which is shifted left in the end.
        message_bits: width of the message.
    """
    t = Tracer("product")
    left, right = (preactivation(t, *pair) for pair in zip((LEFT, RIGHT), shifts, strict=True))
    first = max(shift - GUARD_BITS, LEAST_SHIFT)
    product = t.multiply(left, right, first, "product")
    if first <= shift:
        value = t.round_half_up(product, shift - first)
    else:
        # What this cuts lies beyond the message, where it is counted.
        inside = within(t, product, WORD_BITS - (first - shift), "inside")
        value = t.shift_left(inside, first - shift)
    t.spike(saturated(t, value, message_bits, "message"))
    return t.program()
