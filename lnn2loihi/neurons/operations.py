"""What neuron programs have in common: reading sums, holding words within their widths, factors.

Begin here to write a program: `Tracer` records it, `preactivation` reads an accumulator,
`ACTIVATIONS` (activations.py) are the functions, `saturated` and `within` bring a word into its
width, leak.py has states that are kept more finely than they are sent, phase.py counts updates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lnn2loihi.formats import signed_range
from lnn2loihi.neurons.instructions import LARGEST_OPERAND
from lnn2loihi.neurons.tracer import Tracer, Word

#: Accumulator of the elapsed time: one synapse of weight 1 from the last input channel.
ELAPSED = "elapsed"
#: Width of the per-neuron multiplier: a 24-bit sum times 8 bits fits the 32-bit product.
MULTIPLIER_BITS = 8
#: What the argument of a logistic function is held within where it could leave the word: far beyond
#: where the function is 0 or 1, and with room for another addend.
LARGEST_GROWN = 1 << 22


@dataclass(frozen=True)
class Rescaling:
    """How a sum comes into the units of its pre-activation, beside its multiplier.

    Attributes:
        shift: to the right; negative where one unit of the sum is worth many steps.
        held: what is held within what, since nothing that lies beyond makes a difference, or since
            it would not fit: "" for nothing; "sum" for the sum, within the parameter
            `<accumulator>.limit` of its neuron, so that the product fits its word; "operand" for
            the pre-activation, within 16 bits, counted as a saturation.
    """

    shift: int
    held: Literal["", "sum", "operand"] = ""


def preactivation(t: Tracer, accumulator: str, rescaling: Rescaling | int) -> Word:
    """Reads an accumulator, adds the bias and rescales by the per-neuron multiplier.

    Args:
        t: the tracer.
        accumulator: its name; `<name>.bias` and `<name>.multiplier` are parameters.
        rescaling: how; a number is the right shift of one that nothing is held in.
    """
    how = rescaling if isinstance(rescaling, Rescaling) else Rescaling(rescaling)
    total = t.add(t.accumulator(accumulator), t.parameter(f"{accumulator}.bias", 24), "biased")
    multiplier = t.parameter(f"{accumulator}.multiplier", MULTIPLIER_BITS)
    if how.held == "sum":
        limit = t.parameter(f"{accumulator}.limit", 24)
        below = t.negative(t.minimum(total, limit, "held"), "held")
        total = t.negative(t.minimum(below, limit, "held"), "held")
    free = t.multiply(total, multiplier, max(how.shift, 0), "preactivation")
    free = t.shift_left(free, -how.shift, "preactivation") if how.shift < 0 else free
    if how.held != "operand":
        return free
    inside = t.minimum(free, LARGEST_OPERAND, "preactivation")
    inside = t.maximum(inside, -LARGEST_OPERAND, "preactivation")
    t.saturates(free, inside, f"{accumulator}.preactivation")
    return inside


def saturated(
    t: Tracer, word: Word, bits: int, name: str, when: Word | None = None, hint: str = "message"
) -> Word:
    """The word within the range of so many bits; what it loses is counted.

    Args:
        t: the tracer.
        word: the word before.
        bits: width of the answer.
        name: of the count in results.
        when: 1 in the updates in which the answer is used; None where that is every update.
        hint: of the answer's name.
    """
    held = within(t, word, bits, hint)
    t.saturates(word, held, name, when)
    return held


def within(t: Tracer, word: Word, bits: int, hint: str = "message") -> Word:
    """The word within the range of so many bits, where nothing is lost: what reads it is flat
    beyond, or only the rounding of the largest value is cut.
    """
    return clamped(t, word, *signed_range(bits), hint)


def clamped(t: Tracer, word: Word, low: int, high: int, hint: str) -> Word:
    """The word within low..high, not counted: see `within`."""
    return t.minimum(t.maximum(word, low), high, hint)


def rescaled(t: Tracer, word: Word, shift: int) -> Word:
    """The word shifted right by so many bits, rounded half up, or left."""
    return t.shift_left(word, -shift) if shift < 0 else t.round_half_up(word, shift)


def fixed_point_factor(real: float) -> tuple[int, int]:
    """A 15-bit numerator and a right shift for a real factor; a relative error below 2**-15."""
    shift = 0
    while real * 2.0 ** (shift + 1) < 1 << 15:
        shift += 1
    return int(real * 2.0**shift + 0.5), shift
