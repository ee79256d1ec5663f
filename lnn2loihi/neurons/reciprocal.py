"""The reciprocal, without a divide: range reduction, a line, and Newton's iteration.

With x in [low, 1], y <- y (2 + x y) goes to -1 / x, and its relative error is squared each time.
It begins with the line whose largest relative error over the range is the smallest, the Chebyshev
polynomial T2((low + 1 - 2 x) / (1 - low)) over its value at 0. Where the range is wide, small x
are first shifted up, and what is multiplied by the reciprocal is shifted up as far afterwards.

The error is at most ERROR, relative to 1 / x and with all integer rounding; tests repeat the
exhaustion over all x.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

from lnn2loihi.neurons.tracer import Tracer, Word

#: Fraction bits of x, which is below 1.
FRACTION_BITS = 15
#: Largest relative error (rounded up), and what the iteration itself may leave of it.
ERROR = 1.31e-3
REMAINDER = 1.3e-3
#: Ranges up to 2**DIRECT_BITS are left to Newton's iteration; wider ones are reduced by
#: STEP_BITS at a time, down to 2**STEP_BITS.
DIRECT_BITS, STEP_BITS = 4, 3
#: Widest range, in bits: below, x has too few bits left.
LARGEST_BITS = 10


@dataclass(frozen=True)
class Reciprocal:
    """How -1 / x is computed for x in [low, 2**FRACTION_BITS).

    Attributes:
        reductions: for each range reduction the limit below which x is shifted up by STEP_BITS.
        range_bits: what is left of the range, as a power of two.
        iterations: of Newton's method.
    """

    reductions: tuple[int, ...]
    range_bits: int
    iterations: int

    @classmethod
    def over(cls, low: int) -> Reciprocal:
        """The shortest form for x >= low.

        Raises:
            ValueError: the range is wider than LARGEST_BITS, or reaches 0.
        """
        if low < 1 << (FRACTION_BITS - LARGEST_BITS):
            raise ValueError(f"x >= {low} spreads over more than a factor of {1 << LARGEST_BITS}")
        bits = max(1, ceil(log2((1 << FRACTION_BITS) / low)))
        reductions: list[int] = []
        while bits > (STEP_BITS if reductions else DIRECT_BITS):
            reductions.append(1 << (FRACTION_BITS - STEP_BITS))
            bits = max(bits - STEP_BITS, STEP_BITS)
        remainder, iterations = 1.0 / _seed(bits)[2], 0
        while remainder > REMAINDER:
            remainder, iterations = remainder**2, iterations + 1
        return cls(tuple(reductions), bits, iterations)

    @property
    def fraction_bits(self) -> int:
        """Fraction bits of the result, which is 16 bits wide."""
        return FRACTION_BITS - self.range_bits


def _seed(bits: int) -> tuple[float, float, float]:
    """Slope and offset of the line for x in [2**-bits, 1], and the inverse of its error."""
    low = 2.0**-bits
    inverse = 2.0 * ((1.0 + low) / (1.0 - low)) ** 2 - 1.0
    slope = 8.0 / ((1.0 - low) ** 2 * inverse)
    return slope, slope * (1.0 + low), inverse


def reduced(t: Tracer, x: Word, form: Reciprocal) -> tuple[Word, tuple[Word, ...]]:
    """X within 2**-range_bits and 1, and for each reduction whether it was shifted up."""
    shifted: list[Word] = []
    for limit in form.reductions:
        small = t.less(x, limit, "small")
        x = t.select(small, t.shift_left(x, STEP_BITS), x, "reduced")
        shifted.append(small)
    return x, tuple(shifted)


def minus_reciprocal(t: Tracer, x: Word, form: Reciprocal) -> Word:
    """-1 / x with form.fraction_bits, in 16 bits; x is reduced and has FRACTION_BITS."""
    slope, offset, _ = _seed(form.range_bits)
    unit = 2.0**form.fraction_bits
    shift = FRACTION_BITS
    while slope * unit * 2.0 ** (shift - FRACTION_BITS) >= 1 << 15:
        shift -= 1
    scaled = round(slope * unit * 2.0 ** (shift - FRACTION_BITS))
    y = t.add(t.multiply(x, scaled, shift), -round(offset * unit), "seed")
    # x y has 14 fraction bits, so that 2 + x y, which is above 0 and at most 2, fits an operand.
    for _ in range(form.iterations):
        rest = t.add(t.multiply(x, y, FRACTION_BITS + form.fraction_bits - 14), 2 << 14, "rest")
        y = t.multiply(y, rest, 14, "reciprocal")
    return y


def restored(t: Tracer, product: Word, shifted: tuple[Word, ...], limit: int) -> Word:
    """A product with the reciprocal of a reduced x, as it is of x itself.

    Args:
        t: the tracer.
        product: the product.
        shifted: what `reduced` answered.
        limit: magnitude of a restored product, which nothing leaves that is not cut here.
    """
    for small in shifted:
        cut = t.minimum(t.maximum(product, -(limit >> STEP_BITS)), limit >> STEP_BITS)
        product = t.select(small, t.shift_left(cut, STEP_BITS), product, "restored")
    return product
