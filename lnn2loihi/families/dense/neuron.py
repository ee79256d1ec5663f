"""The neuron program of a feed-forward unit: a sum and an activation."""

from __future__ import annotations

from lnn2loihi.layers.linear import SUM
from lnn2loihi.neurons.activations import (
    ACTIVATIONS,
    FRACTION_BITS,
    FUNCTIONS,
    LARGEST_FUNCTION_END,
    PlainFunction,
)
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import (
    Rescaling,
    clamped,
    preactivation,
    rescaled,
    saturated,
    within,
)
from lnn2loihi.neurons.tracer import Tracer, Word

#: Activations whose answer stays within (-1, 1), so that its format needs no calibration.
BOUNDED = ("tanh", "sigmoid")
#: Activations that are exact in any unit.
EXACT = ("identity", "relu")
#: Fraction bits of a sum that only has to be rounded, beyond those of the message.
GUARD_BITS = 4


def sum_fraction_bits(function: str, message_fraction_bits: int) -> int:
    """Fraction bits of the pre-activation of an activation that is not BOUNDED."""
    if function in EXACT:
        return message_fraction_bits + GUARD_BITS
    return FUNCTIONS[function].fraction_bits


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
        function: key of lnn2loihi.families.dense.layer.FUNCTIONS.
        message_bits: width of the message.
        message_fraction_bits: its fraction bits; BOUNDED answers have message_bits - 1.
        activation: key of ACTIVATIONS, the form of tanh.
        coarser: bits by which the pre-activation of a function that is neither BOUNDED nor EXACT
            counts in coarser units than the function, since it is large.
    """
    t = Tracer(f"dense {function}")
    x = preactivation(t, SUM, shift)
    if function == "tanh":
        value, fraction_bits = ACTIVATIONS[activation].tanh(t, x), FRACTION_BITS
    elif function == "sigmoid":
        # With tanh of half the sum in Q14, 1 + tanh is twice the answer: a Q15 word of it.
        value = t.add(ACTIVATIONS[activation].tanh(t, x), 1 << FRACTION_BITS, "doubled")
        fraction_bits = FRACTION_BITS + 1
    else:
        value = x if function not in FUNCTIONS else _traced(t, x, FUNCTIONS[function], coarser)
        fraction_bits = sum_fraction_bits(function, message_fraction_bits) - coarser
    rounded = rescaled(t, value, fraction_bits - message_fraction_bits)
    if function in BOUNDED:
        t.spike(within(t, rounded, message_bits))
    else:
        t.spike(saturated(t, rounded, message_bits, "message"))
    return t.program()


def _traced(t: Tracer, x: Word, function: PlainFunction, coarser: int) -> Word:
    """The function of x, in the unit of x; far from 0 it is max(x, 0)."""
    if not coarser:
        return function.trace(t, x)
    end = max((LARGEST_FUNCTION_END + 1) >> coarser, 1)
    near = t.shift_left(clamped(t, x, -end, end, "near"), coarser, "near")
    bump = t.subtract(function.trace(t, near), t.maximum(near, 0, "near"), "bump")
    return t.add(t.maximum(x, 0, "rectified"), t.shift_right(bump, coarser, "bump"), "value")
