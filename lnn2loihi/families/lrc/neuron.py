"""The neuron program of an LRC's membranes.

A potential is a share of the range of its unit, which is that of its resting places, so that it
stays within -1 and 1. A step is a product of a pull and a rate,

    v' = v + pull rate      pull = drive tanh(update) - s v      rate = elastance elapsed

and with the hybrid solver the rate is divided by 1 + s rate. There is nothing else to divide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lnn2loihi.families.lrc.stage import (
    ASYMMETRIC,
    ELASTANCE,
    FORGET,
    NONE,
    POTENTIAL,
    SYMMETRIC,
    UPDATE,
)
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, NeuronProgram
from lnn2loihi.neurons.operations import (
    ELAPSED,
    Rescaling,
    clamped,
    preactivation,
    saturated,
)
from lnn2loihi.neurons.reciprocal import FRACTION_BITS as UNIT_BITS
from lnn2loihi.neurons.reciprocal import Reciprocal, minus_reciprocal, reduced, restored
from lnn2loihi.neurons.tracer import Tracer, Word

#: Width of the potential that is kept: it and twice its range, the longest move, fit 24 bits.
STATE_BITS = 22
#: Bits of it below the 15 that enter products.
GUARD_BITS = STATE_BITS - 1 - FRACTION_BITS
#: Twice the range of a potential; no move that stays within it is longer.
LONGEST = 1 << STATE_BITS
#: Width of operands of products, and fraction bits of those that are below 1.
OPERAND_BITS = 16


@dataclass(frozen=True)
class LRCFormats:
    """Formats of a membrane.

    Attributes:
        message_bits: width of the message, which has the range of the potential.
        activation: key of ACTIVATIONS.
        elastance: one of ELASTANCES.
        forgets: whether there is a forget gate; else the parameter `decay` is the conductance.
        drive_bits: bits of the parameter `drive` before its point.
        lift: rates are below 2**lift. Where it is above 0, a move is computed in units 2**lift of
            those of the state.
        paced: whether the parameter `pace` is a factor of the rate, below 1 with UNIT_BITS.
        elapsed_fraction_bits: of the elapsed time, times the pace where it is paced; None where
            time is constant.
        reciprocal: how the hybrid solver divides; None for the explicit one.
        denominator_bits: power of two that is above what it divides by.
    """

    message_bits: int
    activation: str
    elastance: str
    forgets: bool
    drive_bits: int = 0
    lift: int = 0
    paced: bool = False
    elapsed_fraction_bits: int | None = None
    reciprocal: Reciprocal | None = None
    denominator_bits: int = 0

    @property
    def gates(self) -> tuple[str, ...]:
        """Its accumulators in the order of their rescalings, but for the elapsed time."""
        found = (FORGET,) if self.forgets else ()
        return (*found, UPDATE, *(() if self.elastance == NONE else (ELASTANCE,)))


@dataclass(frozen=True)
class _Rate:
    """A rate; without a word it is 1.

    Attributes:
        word: at most 16 bits.
        fraction_bits: of it.
    """

    word: Word | None
    fraction_bits: int


def lrc_program(rescalings: Sequence[Rescaling | int], formats: LRCFormats) -> NeuronProgram:
    """A membrane; see the module's docstring.

    Its parameters beside biases and multipliers are `drive`, `decay` where it does not forget,
    `shift` of a symmetric elastance in steps of its pre-activation, and `pace`.

    Args:
        rescalings: of the pre-activations, `formats.gates`.
        formats: see LRCFormats.
    """
    t = Tracer(f"lrc {formats.elastance}")
    tanh = ACTIVATIONS[formats.activation].tanh
    sums = dict(zip(formats.gates, rescalings, strict=True))
    kept = t.state(POTENTIAL, STATE_BITS)
    coarse = t.shift_right(kept, GUARD_BITS, "coarse")
    # Twice the conductance with FRACTION_BITS, and what twice the leak takes away with it.
    if formats.forgets:
        with t.scope(FORGET):
            tau = tanh(t, preactivation(t, FORGET, sums[FORGET]))
        held = t.add(coarse, t.multiply(coarse, tau, FRACTION_BITS), "held")
    else:
        tau = None
        held = t.multiply(coarse, t.parameter("decay", OPERAND_BITS), FRACTION_BITS, "held")
    with t.scope(UPDATE):
        update = tanh(t, preactivation(t, UPDATE, sums[UPDATE]))
    drive = t.parameter("drive", OPERAND_BITS)
    driven = t.multiply(drive, update, FRACTION_BITS - formats.drive_bits, "driven")
    if formats.reciprocal is None:
        pull = _halved(t, t.subtract(driven, held, "twice_pull"), formats)
        step = _step(t, pull, _rate(t, sums, formats), formats)
    else:
        # The reciprocal comes with a minus.
        pull = _halved(t, t.subtract(held, driven, "twice_pull"), formats)
        step = _hybrid_step(t, pull, _rate(t, sums, formats), tau, formats)
    new = saturated(t, t.add(kept, step, "new"), STATE_BITS, POTENTIAL, hint="kept")
    message = t.state("h", formats.message_bits)
    rounded = t.round_half_up(new, STATE_BITS - formats.message_bits)
    t.spike(t.minimum(rounded, (1 << (formats.message_bits - 1)) - 1, "message"), message)
    t.write(kept, new)
    return t.program()


def _halved(t: Tracer, twice: Word, formats: LRCFormats) -> Word:
    """Half of a word, with FRACTION_BITS in 16 bits; where the drive is below 1 it fits."""
    half = t.shift_right(twice, 1, "pull")
    return saturated(t, half, OPERAND_BITS, "pull", hint="pull") if formats.drive_bits else half


def _rate(t: Tracer, sums: dict[str, Rescaling | int], formats: LRCFormats) -> _Rate:
    """The elastance times the time that passes."""
    time = _time(t, formats)
    if formats.elastance == NONE:
        return time
    tanh = ACTIVATIONS[formats.activation].tanh
    x = preactivation(t, ELASTANCE, sums[ELASTANCE])
    if formats.elastance == ASYMMETRIC:
        with t.scope(ELASTANCE):
            twice = t.add(tanh(t, x), 1 << FRACTION_BITS, "twice_elastance")
    else:
        assert formats.elastance == SYMMETRIC
        shift = t.parameter("shift", 24)
        with t.scope("upper"):
            upper = tanh(t, t.add(x, shift))
        with t.scope("lower"):
            lower = tanh(t, t.subtract(x, shift))
        twice = t.subtract(upper, lower, "twice_elastance")
    # Twice a number with FRACTION_BITS is the number with one bit more.
    bits = UNIT_BITS - formats.lift
    if time.word is None:
        return _Rate(twice, bits)
    return _Rate(t.multiply(twice, time.word, time.fraction_bits + formats.lift, "rate"), bits)


def _time(t: Tracer, formats: LRCFormats) -> _Rate:
    """The time that passes, as a rate."""
    if formats.elapsed_fraction_bits is None:
        word = t.parameter("pace", OPERAND_BITS) if formats.paced else None
        return _Rate(word, UNIT_BITS - formats.lift)
    elapsed = t.accumulator(ELAPSED)
    if formats.paced:
        elapsed = t.multiply(elapsed, t.parameter("pace", OPERAND_BITS), UNIT_BITS, "paced")
    return _Rate(elapsed, formats.elapsed_fraction_bits)


def _step(t: Tracer, pull: Word, rate: _Rate, formats: LRCFormats) -> Word:
    """How far the potential moves: the product of a pull and a rate."""
    if rate.word is None:
        return t.shift_left(pull, GUARD_BITS, "step")
    shift = FRACTION_BITS + rate.fraction_bits - (STATE_BITS - 1) + max(formats.lift, 0)
    word = rate.word if shift >= 0 else t.shift_left(rate.word, -shift, "rate")
    return _lifted(t, t.multiply(pull, word, max(shift, 0), "step"), formats)


def _lifted(t: Tracer, step: Word, formats: LRCFormats) -> Word:
    """A move in the units of the state. One that is longer than any that stays within the range is
    cut: then the potential is at an end of its format, which is counted.
    """
    if formats.lift <= 0:
        return step
    longest = LONGEST >> formats.lift
    return t.shift_left(clamped(t, step, -longest, longest, "cut"), formats.lift, "lifted")


def _hybrid_step(
    t: Tracer, minus_pull: Word, rate: _Rate, tau: Word | None, formats: LRCFormats
) -> Word:
    """How far the potential moves with the hybrid solver."""
    form = formats.reciprocal
    assert form is not None and tau is not None and rate.word is not None
    conductance = t.add(tau, 1 << FRACTION_BITS, "twice_conductance")
    bits = formats.denominator_bits
    grown = t.multiply(rate.word, conductance, rate.fraction_bits + bits, "grown")
    # Nothing is lost: no rate is below 0 but by the rounding of a symmetric elastance.
    one = 1 << (UNIT_BITS - bits)
    denominator = clamped(t, t.add(grown, one), one, LARGEST_OPERAND, "denominator")
    x, shifted = reduced(t, denominator, form)
    minus = minus_reciprocal(t, x, form)
    t.exhaust(minus, denominator)
    share = t.multiply(rate.word, minus, form.fraction_bits + bits, "share")
    shift = FRACTION_BITS + rate.fraction_bits - (STATE_BITS - 1) + max(formats.lift, 0)
    share = share if shift >= 0 else t.shift_left(share, -shift, "share")
    step = t.multiply(minus_pull, share, max(shift, 0), "step")
    return _lifted(t, restored(t, step, shifted, LONGEST >> max(formats.lift, 0)), formats)
