"""The neuron programs of an LTC: one unit for each synapse, and the membranes.

A membrane takes a semi-implicit step as the move that it makes,

    v' = v + (current - conductance v) elapsed / (capacitance unfolds + conductance elapsed),

which is the same number as the quotient of families/ltc/layer.py, with two advantages: an error of
the reciprocal changes the speed at which v goes to its resting place, never the place, and no time
passes where none is elapsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lnn2loihi.families.ltc.layer import CONDUCTANCE, CURRENT, POTENTIAL
from lnn2loihi.families.ltc.synapses import SOURCE
from lnn2loihi.layers.stage import FIRST, RESTART
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import (
    ELAPSED,
    Rescaling,
    preactivation,
    rescaled,
    saturated,
    within,
)
from lnn2loihi.neurons.phase import first_update
from lnn2loihi.neurons.reciprocal import FRACTION_BITS as UNIT_BITS
from lnn2loihi.neurons.reciprocal import Reciprocal, minus_reciprocal, reduced, restored
from lnn2loihi.neurons.tracer import Tracer, Word

#: Width of the potential that a membrane keeps, and of all operands of products.
POTENTIAL_BITS = 16
#: No move is longer than the range of the potential; this is twice as long, with one bit more.
LONGEST = 1 << (POTENTIAL_BITS + 2)
#: Smallest right shift of a product of two 16-bit words into 24 bits.
LEAST_SHIFT = 7
#: Gates of a membrane, in the order of its shifts.
GATES = (CURRENT, CONDUCTANCE)


@dataclass(frozen=True)
class MembraneFormats:
    """Formats of a membrane, chosen by calibration and by what weights allow.

    Conductances are shares of the largest conductance that the neuron can have, or with constant
    time of the largest denominator, with UNIT_BITS; the current is divided by the same.

    Attributes:
        message_bits, message_fraction_bits: format of the message; the potential has
            POTENTIAL_BITS and the same range.
        current_fraction_bits: of the current, and of the difference that moves the potential.
        reciprocal: how 1 / denominator is computed.
        elapsed_fraction_bits: fraction bits of the elapsed time; None where it is constant.
        elapsed_scale: with elapsed time the denominator is divided by 2**elapsed_scale.
        updates: where a mixed memory gives the potential of the first update of a sample, the
            number of updates; else 0.
        memory_fraction_bits: fraction bits of its messages.
    """

    message_bits: int
    message_fraction_bits: int
    current_fraction_bits: int
    reciprocal: Reciprocal
    elapsed_fraction_bits: int | None = None
    elapsed_scale: int = 0
    updates: int = 0
    memory_fraction_bits: int = 0

    @property
    def potential_fraction_bits(self) -> int:
        """Fraction bits of the potential that is kept."""
        return self.message_fraction_bits + POTENTIAL_BITS - self.message_bits

    @property
    def elapsed_shift(self) -> int:
        """Right shift of a product with the elapsed time."""
        return (self.elapsed_fraction_bits or 0) + self.elapsed_scale


def synapse_program(
    shift: int, message_bits: int, activation: str, updates: int = 1
) -> NeuronProgram:
    """A synapse: sigma(slope z + offset), at least 0, with message_bits - 1 fraction bits.

    Its accumulator is fed by one weight of 1, and so is the one that takes its place in the first
    update of a sample, whose messages may have another unit and so another slope.

    Args:
        shift: right shift of slope times z.
        message_bits: width of the message, at most 16.
        activation: key of ACTIVATIONS.
        updates: for each sample, where the first is another; else 1.
    """
    t = Tracer("ltc synapse")
    heard, slope = t.accumulator(SOURCE), t.parameter("slope", POTENTIAL_BITS)
    if updates > 1:
        first = first_update(t, updates)
        heard = t.select(first, t.accumulator(FIRST), heard, "heard")
        slope = t.select(first, t.parameter("first_slope", POTENTIAL_BITS), slope, "slope_now")
    scaled = t.multiply(heard, slope, shift, "scaled")
    x = t.add(scaled, t.parameter("offset", 24), "preactivation")
    # With tanh of half the sum in Q14, 1 + tanh is twice the answer: a Q15 word of it.
    doubled = t.add(ACTIVATIONS[activation].tanh(t, x), 1 << FRACTION_BITS, "doubled")
    top = (1 << (message_bits - 1)) - 1
    rounded = t.round_half_up(doubled, FRACTION_BITS + 2 - message_bits)
    t.spike(t.minimum(rounded, top, "message"))
    return t.program()


def membrane_program(shifts: Sequence[Rescaling | int], formats: MembraneFormats) -> NeuronProgram:
    """A membrane; see the module's docstring.

    Its parameters beside bias and multiplier are `capacitance`, in units of the denominator (times
    the unfolds, and divided by the elapsed time where that is constant), and `room`, the largest
    conductance with which the denominator fits: weights that are rounded up may ask for more.

    Args:
        shifts: right shifts of the pre-activations, GATES.
        formats: see MembraneFormats.
    """
    t = Tracer("ltc")
    form, fraction_bits = formats.reciprocal, formats.potential_fraction_bits
    kept = v = t.state(POTENTIAL, POTENTIAL_BITS)
    if formats.updates:
        v, sent = _given(t, formats)
        first = first_update(t, formats.updates) if formats.updates > 1 else None
        t.saturates(sent, v, "given", first)
        v = v if first is None else t.select(first, v, kept, "start")
    current, total = (
        preactivation(t, gate, shift) for gate, shift in zip(GATES, shifts, strict=True)
    )
    conductance = t.minimum(total, t.parameter("room", POTENTIAL_BITS), "bounded")
    t.saturates(total, conductance, CONDUCTANCE)
    capacitance = t.parameter("capacitance", POTENTIAL_BITS)
    elapsed, grown = None, conductance
    if formats.elapsed_fraction_bits is not None:
        elapsed = t.accumulator(ELAPSED)
        grown = t.multiply(conductance, elapsed, formats.elapsed_shift, "grown")
    denominator = t.add(grown, capacitance, "denominator")
    x, shifted = reduced(t, denominator, form)
    share = minus_reciprocal(t, x, form)
    t.exhaust(share, denominator)
    if elapsed is not None:
        share = t.multiply(share, elapsed, formats.elapsed_shift, "share")
    held = t.multiply(
        conductance, v, UNIT_BITS + fraction_bits - formats.current_fraction_bits, "held"
    )
    pull = t.subtract(held, current)
    minus_pull = saturated(t, pull, POTENTIAL_BITS, "pull", hint="minus_pull")
    # One bit more than the potential has, so that the move is rounded half up.
    shift = formats.current_fraction_bits + form.fraction_bits - fraction_bits - 1
    move = _moved(t, minus_pull, share, shift)
    move = t.round_half_up(restored(t, move, shifted, LONGEST), 1)
    new = saturated(t, t.add(v, move, "new_potential"), POTENTIAL_BITS, POTENTIAL)
    _answer(t, kept, new, formats.message_bits)
    return t.program()


def _given(t: Tracer, formats: MembraneFormats) -> tuple[Word, Word]:
    """The potential that a mixed memory sends, in the unit of one's own, and before it is held
    within its width.
    """
    sent = t.accumulator(RESTART)
    lift = formats.potential_fraction_bits - formats.memory_fraction_bits
    lifted = rescaled(t, sent, -lift)
    return within(t, lifted, POTENTIAL_BITS, "given"), lifted


def _moved(t: Tracer, minus_pull: Word, share: Word, shift: int) -> Word:
    """The product of both, where a right shift by less than 7 could ask for more than 24 bits."""
    lift = max(LEAST_SHIFT - shift, 0)
    move = t.multiply(minus_pull, share, shift + lift, "move")
    if not lift:
        return move
    cut = t.minimum(t.maximum(move, -(LONGEST >> lift)), LONGEST >> lift)
    return t.shift_left(cut, lift, "lifted")


def _answer(t: Tracer, v: Word, new: Word, message_bits: int) -> None:
    """Keeps the potential and sends it, rounded to the width of a message."""
    if message_bits == POTENTIAL_BITS:
        t.spike(new, v)
        return
    message = t.state("h", message_bits)
    rounded = t.round_half_up(new, POTENTIAL_BITS - message_bits)
    t.spike(t.minimum(rounded, (1 << (message_bits - 1)) - 1, "message"), message)
    t.write(v, new)
