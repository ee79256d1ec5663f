"""Hyperbolic tangent without table look-up, divide or exponential.

All forms take a pre-activation word in units of 1 / `unit` and give a Q14 word of at most
16383 in magnitude, so that the difference of two of them fits the 16-bit operand of MUL_SHR.
The logistic function needs no form of its own: sigma(x) = (1 + tanh(x / 2)) / 2, and a gate
multiplies just as well by tanh(x / 2), with half the error.

The constants are fitted by benchmarks/fit_activations.py, which prints the error of each form
over all representable inputs; tests repeat that exhaustion on the traced programs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lnn2loihi.neurons.tracer import Tracer, Word

#: Fraction bits of every activation's result, and its largest magnitude.
FRACTION_BITS = 14
LARGEST = (1 << FRACTION_BITS) - 1


@dataclass(frozen=True)
class Activation:
    """One way to compute tanh in integers.

    Attributes:
        name: its name in recipes.
        unit: pre-activation steps per 1.0; not a power of two, since the per-neuron
            multiplier absorbs any scale.
        error: largest error against tanh over all representable inputs (rounded up).
        tanh: appends the instructions; takes the tracer and the pre-activation.
    """

    name: str
    unit: float
    error: float
    tanh: Callable[[Tracer, Word], Word]


def _ramp(t: Tracer, x: Word, end: int) -> Word:
    """min(0, |x| - end): a ramp that is 0 from `end` on, negative below."""
    magnitude = t.negative(t.negative_magnitude(x), "abs")
    return t.minimum(t.add(magnitude, -end), 0, "ramp")


def _signed(t: Tracer, x: Word, magnitude: Word, root: Word) -> Word:
    """The magnitude with the sign of x."""
    t.exhaust(magnitude, root)
    return t.select(t.less(x, 0), t.negative(magnitude), magnitude, "tanh")


def _ramp12(t: Tracer, x: Word) -> Word:
    """1 - tanh|x| = a s + b s^2 + c s^3 + d s^4 with s = ramp^3 (powers 3, 6, 9, 12)."""
    ramp = _ramp(t, x, 26305)
    s = t.multiply(ramp, t.multiply(ramp, ramp, 15, "ramp2"), 15, "ramp3")
    product = t.multiply(s, t.add(s, 28647), 14)
    product = t.multiply(s, t.add(product, -1737), 14)
    product = t.multiply(s, t.add(product, 1506), 14)
    return _signed(t, x, t.add(product, 16382, "magnitude"), ramp)


def _ramp16(t: Tracer, x: Word) -> Word:
    """1 - tanh|x| = a u^2 + b u^8 + c u^16 with u the ramp."""
    ramp = _ramp(t, x, 32767)
    u2 = t.multiply(ramp, ramp, 15, "ramp2")
    u4 = t.multiply(u2, u2, 15, "ramp4")
    u8 = t.multiply(u4, u4, 15, "ramp8")
    high = t.multiply(u8, t.add(t.multiply(u8, 5911, 15), -21840), 15)
    low = t.multiply(u2, -443, 15)
    return _signed(t, x, t.add(t.add(high, low), 16383, "magnitude"), ramp)


_LINES16 = (
    (32213, 12), (29913, 274), (27105, 802), (24068, 1572), (20952, 2557), (17861, 3725),
    (14873, 5044), (12051, 6476), (9446, 7983), (7100, 9523), (5048, 11050), (3318, 12514),
    (1933, 13858), (910, 15015), (262, 15899),
)  # fmt: skip


def _lines16(t: Tracer, x: Word) -> Word:
    """Minimum of 16 lines: tanh is concave for x >= 0."""
    magnitude = t.minimum(t.negative(t.negative_magnitude(x), "abs"), 32767, "clamped")
    smallest: Word | int = 16372
    for slope, offset in _LINES16:
        line = t.add(t.multiply(magnitude, slope, 13), offset, "line")
        smallest = t.minimum(line, smallest)
    assert isinstance(smallest, Word)
    return _signed(t, x, smallest, magnitude)


#: The forms that a recipe may name; the first is the default.
ACTIVATIONS: dict[str, Activation] = {
    form.name: form
    for form in (
        Activation("ramp12", 5525.448047213509, 6.6e-4, _ramp12),
        Activation("ramp16", 6419.302350627253, 1.15e-3, _ramp16),
        Activation("lines16", 4096.0, 8.4e-4, _lines16),
    )
}
