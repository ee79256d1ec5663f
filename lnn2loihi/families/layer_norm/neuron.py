"""The neuron programs of LayerNorm: squares, the reciprocal of a root, and products with it.

The reciprocal root needs no divide: range reduction by powers of 4, a line, and Newton's iteration
y <- y (3 - x y^2) / 2, whose relative error is one and a half times the square of the one before.
"""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.families.layer_norm.layer import FACTOR, POWER, VALUE
from lnn2loihi.formats import WORD_BITS, signed_range
from lnn2loihi.neurons.activations import FRACTION_BITS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, NeuronProgram
from lnn2loihi.neurons.operations import Rescaling, preactivation, saturated, within
from lnn2loihi.neurons.tracer import Tracer, Word

#: Width of the map's messages: two of them and their product fit the operands of all that hears
#: them without a clamp.
CENTRE_BITS = 15
#: Widest message of a square, and that of a reciprocal root.
SQUARE_BITS, ROOT_BITS = 16, 16
#: Width of the sum of squares from which the root is taken, without a sign; all of its values are
#: tried when the program is proved.
POWER_BITS = 17
#: What the sum may be reduced by, in powers of 4, with one more within the range of the line; the
#: smallest sum keeps three bits.
LARGEST_REDUCTIONS = 6
#: Line for 1 / sqrt(x) over [1/4, 1], whose largest relative error, 4 %, is the smallest that a
#: line has: slope and offset with FRACTION_BITS.
_SLOPE, _OFFSET = -20428, 36135
#: With this many iterations the rounding is all that is left of it.
_ITERATIONS = 2
#: Right shift that brings any product of two operands of 16 bits into a word.
LEAST_SHIFT = 31 - WORD_BITS
#: Bits of a product below those of its message, of which the rounding is made.
GUARD_BITS = 4
#: Width of the parameters that hold a gain.
GAIN_BITS = 16


def square_program(shifts: Sequence[Rescaling | int], shift: int, bits: int) -> NeuronProgram:
    """The square of a word of CENTRE_BITS, shifted right and rounded half up.

    Args:
        shifts: right shift of the pre-activation.
        shift: right shift of the square.
        bits: width of the message.
    """
    t = Tracer("norm squares")
    value = preactivation(t, VALUE, shifts[0])
    square = t.multiply(value, value, shift - 1, "square")
    rounded = t.round_half_up(square, 1)
    # Intervals do not see that a square is not negative.
    t.exhaust(rounded, value, 0)
    message = t.minimum(rounded, signed_range(bits)[1], "message")
    t.saturates(rounded, message, "message")
    t.spike(message)
    return t.program()


def root_program(shifts: Sequence[Rescaling | int], reductions: int) -> NeuronProgram:
    """1 / sqrt(x), where x is POWER_BITS wide and stands for a number below 1.

    The message, of ROOT_BITS, counts the reciprocal root of the smallest x as 2**(ROOT_BITS - 1).

    Args:
        shifts: right shift of the pre-activation.
        reductions: by how many powers of 4 x may be smaller than a quarter of the largest.
    """
    t = Tracer("norm root")
    free = preactivation(t, POWER, shifts[0])
    least = 1 << (POWER_BITS - 2 - 2 * reductions)
    x = root = t.maximum(t.minimum(free, (1 << POWER_BITS) - 1, "top"), least, "power")
    t.saturates(free, root, "power")
    small = []
    for _ in range(reductions):
        small.append(t.less(x, 1 << (POWER_BITS - 2), "small"))
        x = t.select(small[-1], t.shift_left(x, 2), x, "reduced")
    x = t.shift_right(x, POWER_BITS - 15, "reduced")
    y = _reciprocal_root(t, x)
    for shifted in small:
        y = t.select(shifted, t.shift_left(y, 1), y, "restored")
    # That of the smallest x is one step above the largest message.
    message = t.minimum(t.round_half_up(y, reductions), signed_range(ROOT_BITS)[1], "message")
    # Nor do they see that only small x are shifted up.
    t.exhaust(message, root, 0)
    t.spike(message)
    return t.program()


def _reciprocal_root(t: Tracer, x: Word) -> Word:
    """1 / sqrt(x), with FRACTION_BITS in 16 bits, of x in [1/4, 1) with 15 fraction bits."""
    line = t.add(t.multiply(x, _SLOPE, 15), _OFFSET, "line")
    y = t.minimum(line, LARGEST_OPERAND, "line")
    for _ in range(_ITERATIONS):
        square = t.minimum(t.multiply(y, y, 15), LARGEST_OPERAND, "square")
        rest = t.add(t.multiply(square, x, 15), -3 << (FRACTION_BITS - 1), "rest")
        y = t.negative(t.multiply(y, rest, FRACTION_BITS), "iterated")
        y = t.minimum(y, LARGEST_OPERAND, "iterated")
    return y


def normalised_program(shifts: Sequence[Rescaling | int], shift: int, bits: int) -> NeuronProgram:
    """The product value * (factor * gain) + shift, in a message that saturates.

    Args:
        shifts: right shifts of the pre-activations: value of CENTRE_BITS, factor of ROOT_BITS.
        shift: right shift of the product after that of factor and gain, which is 15; where it is
            less than LEAST_SHIFT, the message is finer than a product that fits a word, which is
            shifted left in the end.
        bits: width of the message.
    """
    t = Tracer("layer norm")
    value, factor = (preactivation(t, *pair) for pair in zip((VALUE, FACTOR), shifts, strict=True))
    scaled = t.multiply(factor, t.parameter("gain", GAIN_BITS), GAIN_BITS - 1, "scaled")
    first = max(shift - GUARD_BITS, LEAST_SHIFT)
    product = t.multiply(value, scaled, first, "product")
    if first > shift:
        inside = within(t, product, WORD_BITS - 1 - (first - shift), "inside")
        product = t.shift_left(inside, first - shift)
    # What the rounding adds is in it.
    total = t.add(product, t.parameter("shift", WORD_BITS - 1), "total")
    total = t.shift_right(total, shift - first) if first < shift else total
    t.spike(saturated(t, total, bits, "message"))
    return t.program()
