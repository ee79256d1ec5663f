"""The neuron program of a feed-forward unit: a sum and an activation."""

from __future__ import annotations

from functools import partial

from lnn2loihi.formats import WORD_BITS
from lnn2loihi.layers.activations import kind_of
from lnn2loihi.layers.linear import SUM
from lnn2loihi.neurons.activations import (
    ACTIVATIONS,
    EXP_FRACTION_BITS,
    FRACTION_BITS,
    FUNCTIONS,
    LARGEST_FUNCTION_END,
    PlainFunction,
    elu,
    elu_error,
    leaky_relu,
    magnitude,
    relu,
)
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, NeuronProgram
from lnn2loihi.neurons.operations import (
    Rescaling,
    clamped,
    preactivation,
    rescaled,
    saturated,
    within,
)
from lnn2loihi.neurons.tracer import Tracer, Word

#: Kinds of activations whose answer stays within (-1, 1), so that its format needs no calibration.
BOUNDED = ("tanh", "sigmoid")
#: Kinds that are exact in any unit but for rounding, and scale with their argument.
EXACT = ("identity", "relu", "leaky_relu", "abs")
#: Fraction bits of a sum that only has to be rounded, beyond those of the message.
GUARD_BITS = 4
#: From this magnitude in steps on an end of a clamp lies beyond all words.
LARGEST_END = 1 << (WORD_BITS - 1)


def plain_function(activation: str) -> PlainFunction | None:
    """The integers of a function that has a unit of its own and does not saturate, such as silu;
    None for other activations.
    """
    kind, numbers = kind_of(activation)
    if kind == "log_sigmoid":
        return FUNCTIONS["softplus"]  # it is -softplus(-x)
    if kind == "elu":
        return PlainFunction(
            activation, EXP_FRACTION_BITS, elu_error(*numbers), partial(elu, alpha=numbers[0])
        )
    return None if kind == "relu" else FUNCTIONS.get(kind)


def sum_fraction_bits(activation: str, message_fraction_bits: int) -> int:
    """Fraction bits of the pre-activation of an activation that is neither BOUNDED nor a square."""
    function = plain_function(activation)
    return message_fraction_bits + GUARD_BITS if function is None else function.fraction_bits


def square_bits(message_bits: int) -> int:
    """Bits by which a square of 16 bits is finer than the message that covers it."""
    return 30 - message_bits


def dense_program(
    shift: Rescaling | int,
    function: str,
    message_bits: int,
    message_fraction_bits: int,
    activation: str,
    coarser: int = 0,
) -> NeuronProgram:
    """A feed-forward unit; it has no state.

    Args:
        shift: right shift of the pre-activation.
        function: the activation of a stage.
        message_bits: width of the message.
        message_fraction_bits: its fraction bits; BOUNDED answers have message_bits - 1.
        activation: key of ACTIVATIONS, the form of tanh.
        coarser: bits by which the pre-activation counts in coarser units than it should, since it
            is large; 0 for BOUNDED activations, clamps and squares.
    """
    t = Tracer(f"dense {function}")
    x = preactivation(t, SUM, shift)
    kind, _ = kind_of(function)
    if kind == "tanh":
        value, finer = ACTIVATIONS[activation].tanh(t, x), FRACTION_BITS - message_fraction_bits
    elif kind == "sigmoid":
        # With tanh of half the sum in Q14, 1 + tanh is twice the answer: a Q15 word of it.
        value = t.add(ACTIVATIONS[activation].tanh(t, x), 1 << FRACTION_BITS, "doubled")
        finer = FRACTION_BITS + 1 - message_fraction_bits
    elif kind == "square":
        # Beyond these ends lie squares that no message holds.
        operand = clamped(t, x, -LARGEST_OPERAND, LARGEST_OPERAND, "operand")
        finer = min(GUARD_BITS, square_bits(message_bits))
        value = t.multiply(operand, operand, square_bits(message_bits) - finer, "square")
    else:
        fraction_bits = sum_fraction_bits(function, message_fraction_bits) - coarser
        value = _value(t, x, function, fraction_bits, coarser, message_bits, message_fraction_bits)
        finer = fraction_bits - message_fraction_bits
    if finer < 0 and kind not in BOUNDED:
        # What this cuts lies beyond the message, where it is counted.
        value = within(t, value, WORD_BITS + finer, "inside")
    rounded = rescaled(t, value, finer)
    if kind in BOUNDED:
        t.spike(within(t, rounded, message_bits))
    else:
        t.spike(saturated(t, rounded, message_bits, "message"))
    return t.program()


def _value(
    t: Tracer,
    x: Word,
    activation: str,
    fraction_bits: int,
    coarser: int,
    message_bits: int,
    message_fraction_bits: int,
) -> Word:
    """The activation of a word, in its unit of 2**-fraction_bits."""
    kind, numbers = kind_of(activation)
    if kind == "identity":
        return x
    if kind == "relu":
        return relu(t, x)
    if kind == "leaky_relu":
        return leaky_relu(t, x, *numbers)
    if kind == "abs":
        return magnitude(t, x)
    if kind == "clamp":
        low, high = limits(numbers, fraction_bits, message_bits, message_fraction_bits)
        x = x if low is None else t.maximum(x, low, "clamped")
        return x if high is None else t.minimum(x, high, "clamped")
    function = plain_function(activation)
    assert function is not None
    if kind == "log_sigmoid":
        return t.negative(_traced(t, t.negative(x), function, coarser), "log_sigmoid")
    return _traced(t, x, function, coarser)


def limits(
    numbers: tuple[float, ...], fraction_bits: int, message_bits: int, message_fraction_bits: int
) -> tuple[int | None, int | None]:
    """The ends of a clamp in steps of 2**-fraction_bits; None for what no word reaches. An end that
    is one step above the largest message is the largest message.
    """
    ends: list[int | None] = []
    for number in numbers:
        steps = number * 2.0**fraction_bits
        largest = 1 << (message_bits - 1)
        if steps == largest << (fraction_bits - message_fraction_bits):
            steps = (largest - 1) << (fraction_bits - message_fraction_bits)
        ends.append(int(steps // 1 + (steps % 1 >= 0.5)) if abs(steps) < LARGEST_END else None)
    return ends[0], ends[1]


def _traced(t: Tracer, x: Word, function: PlainFunction, coarser: int) -> Word:
    """The function of x, in the unit of x; far from 0 it is max(x, 0) but for a constant."""
    if not coarser:
        return function.trace(t, x)
    end = max((LARGEST_FUNCTION_END + 1) >> coarser, 1)
    near = t.shift_left(clamped(t, x, -end, end, "near"), coarser, "near")
    bump = t.subtract(function.trace(t, near), t.maximum(near, 0, "near"), "bump")
    return t.add(t.maximum(x, 0, "rectified"), t.shift_right(bump, coarser, "bump"), "value")
