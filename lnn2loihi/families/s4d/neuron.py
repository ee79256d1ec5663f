"""The neuron program of a complex mode."""

from __future__ import annotations

from dataclasses import dataclass

from lnn2loihi.families.s4d.layer import DRIVE, IMAGINARY, REAL
from lnn2loihi.formats import signed_range
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import Rescaling, clamped, preactivation, saturated
from lnn2loihi.neurons.tracer import Tracer, Word

#: Width of the words of the state, and bits of them that enter no product. What a state may reach
#: stands for the whole range; with more bits state, longest move and push leave a word.
STATE_BITS, GUARD_BITS = 21, 6
#: Fraction bits of the part of the state that enters products, of what turns it, and of the power
#: of two that scales the move.
COARSE_FRACTION_BITS = STATE_BITS - 1 - GUARD_BITS
TURN_FRACTION_BITS, GAIN_FRACTION_BITS = 15, 13
#: Most bits of a message below its last one, of which its rounding is made.
MESSAGE_GUARD_BITS = 4
#: Fraction bits of what a liquid mode hears, within -1 and 1.
HEARD_FRACTION_BITS = 14
#: Width of the parameters.
PARAMETER_BITS = 16


@dataclass(frozen=True)
class ModesFormats:
    """Formats of a mode.

    Attributes:
        message_bits: width of the message.
        guard_bits: bits below its last one that it is rounded from.
        push_shift: right shift of what is heard times its parameter.
        answer_shift: that of the state times the weights of the message.
        liquid_shift: that of what is heard times the liquid term; None for a mode without one.
    """

    message_bits: int
    guard_bits: int
    push_shift: int
    answer_shift: int
    liquid_shift: int | None = None


def modes_program(rescaling: Rescaling | int, formats: ModesFormats) -> NeuronProgram:
    """A mode: z' = lam z + push, written as a move, so that slow modes keep their pace.

    lam - 1 is `gain` times (turn_re + i turn_im), with gain a power of two: the small number that a
    slow mode moves by keeps all bits of its 15, and nothing but the state is rounded.

    Args:
        rescaling: of the drive.
        formats: see ModesFormats.
    """
    liquid = formats.liquid_shift is not None
    t = Tracer("s4d mode, liquid" if liquid else "s4d mode")
    re, im = t.state(REAL, STATE_BITS), t.state(IMAGINARY, STATE_BITS)
    u = preactivation(t, DRIVE, rescaling)
    turn_re, turn_im = _parameter(t, "turn_re"), _parameter(t, "turn_im")
    if formats.liquid_shift is not None:
        one = 1 << HEARD_FRACTION_BITS
        u = clamped(t, u, -one, one, "heard")
        turn_re, turn_im = (
            t.add(turn, t.multiply(u, _parameter(t, f"liquid_{part}"), formats.liquid_shift))
            for part, turn in ((REAL, turn_re), (IMAGINARY, turn_im))
        )
    coarse_re, coarse_im = (t.shift_right(word, GUARD_BITS, "coarse") for word in (re, im))
    with t.scope("turned"):
        across = t.multiply(coarse_re, turn_re, TURN_FRACTION_BITS)
        if liquid:
            away = t.negative(t.multiply(coarse_im, turn_im, TURN_FRACTION_BITS))
        else:
            away = t.multiply(coarse_im, _parameter(t, "minus_turn_im"), TURN_FRACTION_BITS)
        turned_re = t.add(across, away, REAL)
        up = t.multiply(coarse_re, turn_im, TURN_FRACTION_BITS)
        turned_im = t.add(up, t.multiply(coarse_im, turn_re, TURN_FRACTION_BITS), IMAGINARY)
    gain = _parameter(t, "gain")
    push = t.multiply(u, _parameter(t, "push"), formats.push_shift, "pushed")
    moved_re = t.add(t.add(re, _move(t, turned_re, gain)), push, "moved")
    moved_im = t.add(im, _move(t, turned_im, gain), "moved")
    new_re = saturated(t, moved_re, STATE_BITS, REAL, hint="new_re")
    new_im = saturated(t, moved_im, STATE_BITS, IMAGINARY, hint="new_im")
    t.write(re, new_re)
    t.write(im, new_im)
    answer = t.add(
        t.multiply(t.shift_right(new_re, GUARD_BITS), _parameter(t, "real"), formats.answer_shift),
        t.multiply(
            t.shift_right(new_im, GUARD_BITS), _parameter(t, "minus_imaginary"),
            formats.answer_shift,
        ),
        "answer",
    )  # fmt: skip
    t.spike(
        saturated(t, t.round_half_up(answer, formats.guard_bits), formats.message_bits, "message")
    )
    return t.program()


def _parameter(t: Tracer, name: str) -> Word:
    return t.parameter(name, PARAMETER_BITS)


def _move(t: Tracer, turned: Word, gain: Word) -> Word:
    """A part of (lam - 1) z in steps of the state, rounded half up."""
    finer = COARSE_FRACTION_BITS + GAIN_FRACTION_BITS - (STATE_BITS - 1)
    return t.round_half_up(t.multiply(turned, gain, finer - 1, "move"), 1)


#: Largest magnitude of a word of the state.
LARGEST_STATE = signed_range(STATE_BITS)[1]
