"""Neuron programs of lava-dl's neurons, instruction by instruction what Lava's processes compute.

Source: lava-nc 0.10.0, lava/proc/lif/models.py (PyLifModelBitAcc) and lava/proc/sdn/models.py
(fixed_pt). Where theirs wrap round or have no end, words here are held and counted: two's
complement has an end, and no program may depend on what happens beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.formats import WORD_BITS, signed_range
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import clamped
from lnn2loihi.neurons.tracer import Tracer, Word

#: Accumulator of all of them.
ARRIVING = "arriving"
#: Left shift of what arrives at a CUBA neuron, and of its threshold and bias (PyLifModelBitAcc).
CUBA_SHIFT = 6
#: Decays are in units of 2**-12.
DECAY_BITS = 12
WHOLE = 1 << DECAY_BITS
#: Largest magnitude of currents and voltages.
LARGEST = signed_range(WORD_BITS)[1]
#: Scales of sigma-delta networks: a message of 2**12 is 1.0, sigma of 2**18.
MESSAGE_EXPONENT, STATE_EXPONENT = 6, 6
#: Width of sigma, and of activations: words of the chip, 32.0; from there on they saturate. And
#: of what an encoder hears, 8.0.
SIGMA_BITS, ENCODED_BITS = WORD_BITS, 22


def decayed(t: Tracer, word: Word, kept: int) -> Word:
    """Sign(w) ((|w| kept) >> 12), in words of 24 bits: a decay, rounded towards zero.

    The product has up to 36 bits. With |w| = 4096 high + low it is high kept + (low kept >> 12).

    Args:
        t: the tracer.
        word: above -2**23, as states of CUBA neurons are.
        kept: 1 to 4096.
    """
    # The width of the word does not say that the lowest value is not there.
    word = t.maximum(word, -LARGEST, "kept")
    if kept == WHOLE:
        return word
    size = t.negative(t.negative_magnitude(word), "size")
    high = t.shift_right(size, DECAY_BITS, "high")
    low = t.bitwise_and(size, WHOLE - 1, "low")
    left = t.add(t.multiply(high, kept, 0), t.multiply(low, kept, DECAY_BITS), "left")
    return t.select(t.less(word, 0, "below"), t.negative(left), left, "decayed")


def cuba_program(kept: tuple[int, int], threshold: int, biased: bool) -> NeuronProgram:
    """A CUBA neuron: u' = u kept_u + 64 a, v' = v kept_v + u' + bias; where v' > threshold it
    sends a spike, and v' is 0.

    Voltages are held where Lava's are. Its currents wrap round where these are held.

    Args:
        kept: what of 4096 is kept of current and voltage, 0 to 4096.
        threshold: in the units of the voltage.
        biased: whether there is a bias.
    """
    t = Tracer("cuba lif")
    u = t.state("u", WORD_BITS) if kept[0] else None
    v = t.state("v", WORD_BITS)
    current = t.shift_left(t.accumulator(ARRIVING), CUBA_SHIFT, "current")
    if u is not None:
        with t.scope("u_"):
            left = decayed(t, u, kept[0])
        current = saturating_sum(t, [left, current], "u", "u_new", lowest=1)
        t.write(u, current)
    parts = [current]
    if kept[1]:
        with t.scope("v_"):
            parts.append(decayed(t, v, kept[1]))
    if biased:
        parts.append(t.parameter("bias", WORD_BITS))
    voltage = saturating_sum(t, parts, "v", "v_new") if len(parts) > 1 else current
    spike = t.less(threshold, voltage, "spike")
    t.write(v, t.select(spike, 0, t.maximum(voltage, -LARGEST, "held")))
    t.spike(spike)
    return t.program()


def arriving_at(count: int) -> tuple[str, ...]:
    """Names of so many accumulators."""
    return (ARRIVING,) if count == 1 else tuple(f"{ARRIVING}_{n}" for n in range(count))


def saturating_sum(t: Tracer, terms: Sequence[Word], name: str, hint: str, lowest: int = 0) -> Word:
    """The sum of some words of 24 bits, held within 24 bits; what it loses is counted.

    The sum itself has no room in a word. Its high bits and its low bits do, each on its own.

    Args:
        t: the tracer.
        terms: two or more.
        name: of the count in results.
        hint: of the answer's name.
        lowest: how many of the lowest values, of their high bits, are left out.
    """
    places = (len(terms) - 1).bit_length()
    mask = (1 << places) - 1
    with t.scope(f"{hint}_"):
        high = [t.shift_right(term, places, "high") for term in terms]
        low = [t.bitwise_and(term, mask, "low") for term in terms]
        carried = _added(t, low, "low")
        whole = t.add(_added(t, high, "high"), t.shift_right(carried, places, "carry"), "whole")
        low_end, high_end = signed_range(WORD_BITS - places)
        held = clamped(t, whole, low_end + lowest, high_end, "held")
        t.saturates(whole, held, name)
        rest = t.bitwise_and(carried, mask, "rest")
        upper = t.shift_left(held, places, "upper")
    return t.add(upper, rest, hint)


def _added(t: Tracer, terms: Sequence[Word], hint: str) -> Word:
    total = terms[0]
    for term in terms[1:]:
        total = t.add(total, term, hint)
    return total


def delta_program(threshold: int, limit: int) -> NeuronProgram:
    """The encoder: sends what its input changed by, from the threshold on.

    Args:
        threshold: in units of 2**-18.
        limit: largest message; the rest of a larger change is sent later.
    """
    t = Tracer("delta")
    heard = t.state("heard", ENCODED_BITS)
    shift = MESSAGE_EXPONENT + STATE_EXPONENT
    new = t.shift_left(t.accumulator(ARRIVING), shift, "act")
    _send_change(t, heard, heard, new, threshold, limit, signed_range(ENCODED_BITS))
    return t.program()


def sigma_delta_program(threshold: int, limit: int, accumulators: int) -> NeuronProgram:
    """A sigma-delta neuron: sigma' = sigma + a, act' = ReLU(sigma'); sends what act changed by.
    Sigma begins with the bias.

    Args:
        threshold: in units of 2**-18.
        limit: largest message; the rest of a larger change is sent later.
        accumulators: over which what arrives is divided.
    """
    t = Tracer("sigma delta")
    heard = t.state("heard", SIGMA_BITS)
    act = t.maximum(_summed(t, accumulators), 0, "act")
    # As activations it is never negative, which the width of its word does not say.
    before = t.maximum(heard, 0, "before")
    _send_change(t, heard, before, act, threshold, limit, (0, signed_range(SIGMA_BITS)[1]))
    return t.program()


def sigma_program(accumulators: int) -> NeuronProgram:
    """The decoder: sigma' = sigma + a, which is what it sends.

    Args:
        accumulators: over which what arrives is divided.
    """
    t = Tracer("sigma")
    t.spike(_summed(t, accumulators))
    return t.program()


def _summed(t: Tracer, accumulators: int) -> Word:
    """Sigma with what arrives."""
    sigma = t.state("sigma", SIGMA_BITS)
    arriving = [t.accumulator(name) for name in arriving_at(accumulators)]
    total = saturating_sum(t, [sigma, *arriving], "sigma", "total")
    t.write(sigma, total)
    return total


def _send_change(
    t: Tracer,
    heard: Word,
    before: Word,
    new: Word,
    threshold: int,
    limit: int,
    ends: tuple[int, int],
) -> None:
    """Sends delta = new - before where |delta| >= threshold.

    Lava's processes keep an activation and a residue, of which `heard` is the difference: what has
    been sent in all. It is what new was, or on the way there where the limit is in the way.

    Args:
        t: the tracer.
        heard: the state word.
        before: what it holds.
        new: the activation.
        threshold: in units of 2**-18.
        limit: largest message.
        ends: between which `before` and `new` lie.
    """
    most = limit << STATE_EXPONENT
    delta = t.subtract(new, before, "delta")
    goes = t.bitwise_or(t.less(threshold - 1, delta), t.less(delta, 1 - threshold), "goes")
    above, below = t.less(most, delta, "above"), t.less(delta, -most, "below")
    held = clamped(t, delta, -most, most, "held")
    t.saturates(delta, held, "message", goes)
    # Between before and new, and so within both ends: written so that this is seen.
    up = t.add(t.minimum(before, ends[1] - most), most, "up")
    down = t.add(t.maximum(before, ends[0] + most), -most, "down")
    reached = t.select(above, up, t.select(below, down, new), "reached")
    t.write(heard, t.select(goes, reached, before, "heard_new"))
    t.spike(t.shift_right(t.select(goes, held, 0, "sent"), STATE_EXPONENT, "message"))
