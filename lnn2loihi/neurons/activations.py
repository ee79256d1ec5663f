"""Activations without table look-up, divide or exponential.

All forms of the hyperbolic tangent take a pre-activation word in units of 1 / `unit` and give a
Q14 word of at most 16383 in magnitude, so that the difference of two of them fits the 16-bit
operand of MUL_SHR. The logistic function needs no form of its own: sigma(x) is
(1 + tanh(x / 2)) / 2, and a gate multiplies just as well by tanh(x / 2), with half the error. One
form, `hard`, is no tanh but a clipped line in its place, for networks that train with it.

What does not saturate (relu, silu, gelu, softplus, ...) takes and gives words of one unit, a power
of two: f(x) = max(x, 0) + b(x), where the second term is constant from some magnitude on, 0 but for
elu. The exponential of a negative argument vanishes likewise.

The constants are fitted by benchmarks/fit_activations.py, which prints the error of each form
over all representable inputs; tests repeat that exhaustion on the traced programs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lnn2loihi.neurons.instructions import LARGEST_OPERAND, LARGEST_SHIFT
from lnn2loihi.neurons.operations import fixed_point_factor
from lnn2loihi.neurons.tracer import Tracer, Word

#: Fraction bits of every activation's result, and its largest magnitude.
FRACTION_BITS = 14
LARGEST = (1 << FRACTION_BITS) - 1
#: From this pre-activation in steps on, every form of tanh is at its end.
ACTIVATION_END = 1 << 15


@dataclass(frozen=True)
class Activation:
    """One way to compute tanh in integers.

    Attributes:
        name: its name in recipes.
        unit: pre-activation steps per 1.0; not a power of two, since the per-neuron
            multiplier absorbs any scale.
        error: largest error against tanh over all representable inputs (rounded up).
        tanh: appends the instructions; takes the tracer and the pre-activation.
        knot: where the form does not follow tanh but is clamp(x / knot, -1, 1), which networks
            are to be trained with; 0 for forms that follow it.
    """

    name: str
    unit: float
    error: float
    tanh: Callable[[Tracer, Word], Word]
    knot: float = 0.0


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


#: Where the clipped line is at its ends: the least squares of the pre-activations of the networks
#: of models/, which it hardly differs between.
HARD_KNOT = 1.2


def _hard(t: Tracer, x: Word) -> Word:
    """The clipped line clamp(x / HARD_KNOT, -1, 1): its unit is that of the result."""
    return t.maximum(t.minimum(x, LARGEST, "below"), -LARGEST, "tanh")


#: The forms that a recipe may name; the first is the default.
ACTIVATIONS: dict[str, Activation] = {
    form.name: form
    for form in (
        Activation("ramp12", 5525.448047213509, 6.6e-4, _ramp12),
        Activation("ramp16", 6419.302350627253, 1.15e-3, _ramp16),
        Activation("lines16", 4096.0, 8.4e-4, _lines16),
        Activation("hard", (1 << FRACTION_BITS) / HARD_KNOT, 0.167, _hard, HARD_KNOT),
    )
}

#: Fraction bits of the argument and result of `silu`, `gelu`, `softplus` and `hard_swish`, and of
#: the argument of `exp_negative`, whose result has FRACTION_BITS, and of `elu`. They are the most
#: with which the ramps fit the 16-bit operands of MUL_SHR.
SILU_FRACTION_BITS = 11
GELU_FRACTION_BITS = 12
SOFTPLUS_FRACTION_BITS = 11
HARD_SWISH_FRACTION_BITS = 13
EXP_FRACTION_BITS = 11
#: From this magnitude in steps on, the functions of FUNCTIONS and `elu` are max(x, 0) but for a
#: constant.
LARGEST_FUNCTION_END = (1 << 15) - 1
#: Largest error of `exp_negative` for any y (rounded up), and its largest result.
EXP_ERROR = 4.91e-4
EXP_LARGEST = 16376
#: Steps per 1.0 of argument and result of `log_sigmoid`, where its ramp ends, and its largest error
#: for any x (rounded up), in units of 1.0.
LOG_SIGMOID_UNIT = 2418.024636669571
LOG_SIGMOID_END = 23412
LOG_SIGMOID_ERROR = 1.29e-3


def relu(t: Tracer, x: Word) -> Word:
    """max(x, 0), exact, in the unit of x."""
    return t.maximum(x, 0, "relu")


def _rectified_and_ramp(t: Tracer, x: Word, end: int) -> tuple[Word, Word, Word]:
    """max(x, 0), -min(|x|, end) and the ramp end - min(|x|, end).

    NEG of the rectified word rather than of x: -2**23 has no positive counterpart.
    """
    rectified = t.maximum(x, 0, "rectified")
    minus_abs = t.minimum(x, t.negative(rectified), "minus_abs")
    clamped = t.maximum(minus_abs, -end, "clamped")
    return rectified, clamped, t.add(clamped, end, "ramp")


def silu(t: Tracer, x: Word) -> Word:
    """X sigma(x), as torch.nn.SiLU; x is any word in units of 2**-SILU_FRACTION_BITS.

    sigma(-m) = (a p (p + b))^2 with p = u^6 + c u^2 and u the ramp. The result has the unit of x.
    """
    rectified, clamped, ramp = _rectified_and_ramp(t, x, 23025)
    u2 = t.multiply(ramp, ramp, 14, "ramp2")
    u4 = t.multiply(u2, u2, 16, "ramp4")
    u6 = t.multiply(u2, t.add(u4, 3479), 16, "ramp6")
    root = t.multiply(u6, t.add(u6, -29367), 13, "root")
    minus_bump = t.multiply(root, t.multiply(clamped, root, 11), 19, "minus_bump")
    t.exhaust(minus_bump, clamped, None, 0)
    return t.add(rectified, minus_bump, "silu")


def gelu(t: Tracer, x: Word) -> Word:
    """X Phi(x), as torch.nn.GELU() (erf, not tanh); x is any word in 2**-GELU_FRACTION_BITS.

    Phi(-m) = a u (u (m (m u + b) + c))^2 with u the ramp. The result has the unit of x.
    """
    rectified, clamped, ramp = _rectified_and_ramp(t, x, 20063)
    hill = t.multiply(ramp, clamped, 13, "hill")
    cubic = t.multiply(clamped, t.add(hill, -6430), 14, "cubic")
    root = t.multiply(ramp, t.add(cubic, -17147), 14, "root")
    minus_bump = t.multiply(root, t.multiply(hill, root, 13), 18, "minus_bump")
    t.exhaust(minus_bump, clamped, None, 0)
    return t.add(rectified, minus_bump, "gelu")


def softplus(t: Tracer, x: Word) -> Word:
    """log(1 + exp(x)), as torch.nn.Softplus(); x is in 2**-SOFTPLUS_FRACTION_BITS, and at least
    2**11 steps below the largest word.

    log(1 + exp(-m)) = a u^6 + b u^12 - d u^24 with u the ramp. The result has the unit of x.
    """
    rectified, clamped, ramp = _rectified_and_ramp(t, x, 26623)
    u2 = t.multiply(ramp, ramp, 15, "ramp2")
    u3 = t.multiply(ramp, u2, 15, "ramp3")
    u6 = t.multiply(u3, u3, 14, "ramp6")
    u12 = t.multiply(u6, u6, 15, "ramp12")
    inner = t.add(t.multiply(u12, -8535, 15), 17769)
    outer = t.add(t.multiply(u6, inner, 15), 1274)
    bump = t.multiply(u6, outer, 17, "bump")
    t.exhaust(bump, clamped, 0, None)
    return t.add(rectified, bump, "softplus")


def hard_swish(t: Tracer, x: Word) -> Word:
    """X min(max(x + 3, 0), 6) / 6, as torch.nn.Hardswish; x is any word in
    2**-HARD_SWISH_FRACTION_BITS.

    It is max(x, 0) - m (3 - m) / 6 with m = min(|x|, 3). The result has the unit of x.
    """
    rectified, clamped, ramp = _rectified_and_ramp(t, x, 3 << HARD_SWISH_FRACTION_BITS)
    hill = t.multiply(clamped, ramp, HARD_SWISH_FRACTION_BITS, "hill")
    minus_bump = t.round_half_up(t.multiply(hill, 10923, 12), 4, "minus_bump")
    t.exhaust(minus_bump, clamped, None, 0)
    return t.add(rectified, minus_bump, "hard_swish")


def elu(t: Tracer, x: Word, alpha: float) -> Word:
    """max(x, 0) + alpha (exp(min(x, 0)) - 1), as torch.nn.ELU; x is any word in
    2**-EXP_FRACTION_BITS, like the result, and alpha at most 1000.
    """
    rectified = t.maximum(x, 0, "rectified")
    clamped = t.maximum(t.minimum(x, 0), -LARGEST_FUNCTION_END, "clamped")
    fallen = t.add(exp_negative(t, t.negative(clamped, "below")), -(1 << FRACTION_BITS), "fallen")
    finer = FRACTION_BITS - EXP_FRACTION_BITS
    numerator, shift = _factor(alpha, LARGEST_SHIFT - finer)
    guard = max(min(4, shift + finer - 7), 0)
    scaled = t.multiply(fallen, numerator, shift + finer - guard, "scaled")
    return t.add(rectified, t.round_half_up(scaled, guard), "elu")


def elu_error(alpha: float) -> float:
    """Largest error of `elu` for any x, in units of 1.0: of the exponential, the numerator of
    alpha, and rounding.
    """
    return alpha * (EXP_ERROR + 2.0**-15) + 2.0 ** -(EXP_FRACTION_BITS + 1)


def _factor(real: float, most: int) -> tuple[int, int]:
    """A numerator of 15 bits and a right shift of at most so many bits for a factor."""
    numerator, shift = fixed_point_factor(real)
    spare = max(shift - most, 0)
    return min(numerator >> spare, LARGEST_OPERAND), shift - spare


def leaky_relu(t: Tracer, x: Word, slope: float) -> Word:
    """max(x, 0) + slope min(x, 0); slope at least -1. The result has the unit of x, or where slope
    is above 1 one that is so many times larger: it is the positive side that shrinks then.

    The factor is a sum of two numerators of 7 bits with their shifts: it is exact to 2**-14 of
    itself or to 2**-31, and rounding takes less than 2 steps away.
    """
    factor = abs(slope) if abs(slope) <= 1.0 else 1.0 / slope
    numerator, shift = _factor(factor, LARGEST_SHIFT + 1)
    high, low = numerator >> 8, (numerator & 255) >> 1
    sign = 1 if slope > 0 else -1
    leaked = t.multiply(x, sign * high, shift - 8, "leaked")
    if low:
        leaked = t.add(leaked, t.multiply(x, sign * low, shift - 1), "leaked")
    sides = (leaked, x) if slope <= 1.0 else (x, leaked)
    return t.select(t.less(x, 0), *sides, "leaky_relu")


def magnitude(t: Tracer, x: Word) -> Word:
    """|x|, exact, in the unit of x; the proof refuses a word that can be -2**23."""
    return t.negative(t.negative_magnitude(x), "abs")


def exp_negative(t: Tracer, y: Word) -> Word:
    """exp(-y) in Q14, falling and at most EXP_LARGEST; y >= 0 in units of 2**-EXP_FRACTION_BITS.

    It is (a u (u^3 + b))^4 with u the ramp of y. The proof refuses a y that can be far below 0.
    """
    ramp = t.minimum(t.add(y, -20196), 0, "ramp")
    u2 = t.multiply(ramp, ramp, 14, "ramp2")
    u3 = t.multiply(ramp, u2, 15, "ramp3")
    root = t.multiply(ramp, t.add(u3, -16268), 15, "root")
    square = t.multiply(root, root, 14, "square")
    result = t.multiply(square, square, 15, "exp")
    t.exhaust(result, ramp, 0, EXP_LARGEST)
    return result


def log_sigmoid(t: Tracer, x: Word) -> Word:
    """log(sigma(x)), that is -softplus(-x); x is any word in 1 / LOG_SIGMOID_UNIT, like the result.

    It is min(x, 0) - (a u^2 + u^8 (b - u^8)) with u the ramp. It stays above -2**23 / 2 or so, so
    that the difference of two fits a word.
    """
    x = t.maximum(x, -(1 << 22), "bounded")
    minus_abs = t.negative_magnitude(x)
    clamped = t.maximum(minus_abs, -LOG_SIGMOID_END, "clamped")
    ramp = t.add(clamped, LOG_SIGMOID_END, "ramp")
    u2 = t.multiply(ramp, ramp, 15, "ramp2")
    u4 = t.multiply(u2, u2, 15, "ramp4")
    u8 = t.multiply(u4, u4, 15, "ramp8")
    high = t.multiply(u8, t.add(u8, -26187), 15)
    minus_bump = t.add(high, t.multiply(u2, -99, 15), "minus_bump")
    t.exhaust(minus_bump, clamped, None, 0)
    return t.add(t.minimum(x, 0), minus_bump, "log_sigmoid")


@dataclass(frozen=True)
class PlainFunction:
    """A function that does not saturate, in integers.

    Attributes:
        name: its name in layers.
        fraction_bits: argument and result are in units of 2**-fraction_bits.
        error: largest error over all 24-bit arguments (rounded up), in units of 1.0.
        trace: appends the instructions; takes the tracer and the argument.
    """

    name: str
    fraction_bits: int
    error: float
    trace: Callable[[Tracer, Word], Word]


#: Functions of one word that do not saturate. relu takes any unit; its own is as fine as tanh's.
FUNCTIONS: dict[str, PlainFunction] = {
    function.name: function
    for function in (
        PlainFunction("relu", FRACTION_BITS, 0.0, relu),
        PlainFunction("silu", SILU_FRACTION_BITS, 7.3e-4, silu),
        PlainFunction("gelu", GELU_FRACTION_BITS, 6.0e-4, gelu),
        # The same program: both definitions are nearer to each other than to it.
        PlainFunction("gelu_tanh", GELU_FRACTION_BITS, 7.1e-4, gelu),
        PlainFunction("softplus", SOFTPLUS_FRACTION_BITS, 5.8e-4, softplus),
        PlainFunction("hard_swish", HARD_SWISH_FRACTION_BITS, 8.2e-5, hard_swish),
    )
}
