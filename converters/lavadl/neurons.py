"""Neuron programs of lava-dl's neurons, instruction by instruction what Lava's processes compute.

Source: lava-nc 0.10.0, lava/proc/lif/models.py (PyLifModelBitAcc) and lava/proc/sdn/models.py
(fixed_pt). Where theirs wrap round or have no end, words here are held and counted: two's
complement has an end, and no program may depend on what happens beyond it.
"""

from __future__ import annotations

from lnn2loihi.formats import signed_range
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import clamped, saturated
from lnn2loihi.neurons.tracer import Tracer, Word

#: Accumulator of all of them.
ARRIVING = "arriving"
#: Left shift of what arrives at a CUBA neuron, and of its threshold and bias (PyLifModelBitAcc).
CUBA_SHIFT = 6
#: Decays are in units of 2**-12.
DECAY_BITS = 12
WHOLE = 1 << DECAY_BITS
#: Scales of sigma-delta networks: a message of 2**12 is 1.0, sigma of 2**18.
MESSAGE_EXPONENT, STATE_EXPONENT = 6, 6
#: Width of sigma, of activations and of residues: 8.0, from there on they saturate.
SIGMA_BITS = 22


def decayed(t: Tracer, word: Word, kept: int) -> Word:
    """Sign(w) ((|w| kept) >> 12), in words of 24 bits: a decay, rounded towards zero.

    The product has up to 36 bits. With |w| = 4096 high + low it is high kept + (low kept >> 12).

    Args:
        t: the tracer.
        word: of up to 23 bits.
        kept: 1 to 4096.
    """
    if kept == WHOLE:
        return word
    size = t.negative(t.negative_magnitude(word), "size")
    high = t.shift_right(size, DECAY_BITS, "high")
    low = t.bitwise_and(size, WHOLE - 1, "low")
    left = t.add(t.multiply(high, kept, 0), t.multiply(low, kept, DECAY_BITS), "left")
    return t.select(t.less(word, 0, "below"), t.negative(left), left, "decayed")


def cuba_program(
    kept: tuple[int, int], bits: tuple[int, int], threshold: int, biased: bool
) -> NeuronProgram:
    """A CUBA neuron: u' = u kept_u + 64 a, v' = v kept_v + u' + bias; where v' > threshold it
    sends a spike, and v' is 0.

    Args:
        kept: what of 4096 is kept of current and voltage, 0 to 4096.
        bits: widths of current and voltage, from which on they saturate.
        threshold: in the units of the voltage.
        biased: whether there is a bias.
    """
    t = Tracer("cuba lif")
    u = t.state("u", bits[0]) if kept[0] else None
    v = t.state("v", bits[1])
    current = t.shift_left(t.accumulator(ARRIVING), CUBA_SHIFT, "current")
    if u is not None:
        with t.scope("u_"):
            total = t.add(decayed(t, u, kept[0]), current, "total")
        current = saturated(t, total, bits[0], "u", hint="u_new")
        t.write(u, current)
    if kept[1]:
        with t.scope("v_"):
            current = t.add(decayed(t, v, kept[1]), current, "total")
    if biased:
        current = t.add(current, t.parameter("bias", 24), "biased")
    # Beyond the threshold it makes no difference by how much: the voltage is 0 afterwards.
    capped = t.minimum(current, threshold + 1, "capped")
    held = t.maximum(capped, signed_range(bits[1])[0], "v_new")
    t.saturates(capped, held, "v")
    spike = t.less(threshold, held, "spike")
    t.write(v, t.select(spike, 0, held))
    t.spike(spike)
    return t.program()


def delta_program(threshold: int, limit: int) -> NeuronProgram:
    """The encoder: sends what its input changed by, from the threshold on.

    Args:
        threshold: in units of 2**-18.
        limit: largest message; what it cannot send stays in the residue.
    """
    t = Tracer("delta")
    before, residue = t.state("act", SIGMA_BITS), t.state("residue", SIGMA_BITS)
    shift = MESSAGE_EXPONENT + STATE_EXPONENT
    new = t.shift_left(t.accumulator(ARRIVING), shift, "act_new")
    _send_delta(t, before, residue, new, threshold, limit)
    return t.program()


def sigma_delta_program(threshold: int, limit: int) -> NeuronProgram:
    """A sigma-delta neuron: sigma' = sigma + a, act' = ReLU(sigma' + bias); sends what act changed
    by.

    Args:
        threshold: in units of 2**-18.
        limit: largest message; what it cannot send stays in the residue.
    """
    t = Tracer("sigma delta")
    sigma, before = t.state("sigma", SIGMA_BITS), t.state("act", SIGMA_BITS)
    residue = t.state("residue", SIGMA_BITS)
    total = t.add(sigma, t.accumulator(ARRIVING), "total")
    total = saturated(t, total, SIGMA_BITS, "sigma", hint="sigma_new")
    t.write(sigma, total)
    free = t.maximum(t.add(total, t.parameter("bias", SIGMA_BITS), "biased"), 0, "rectified")
    act = t.minimum(free, signed_range(SIGMA_BITS)[1], "act_new")
    t.saturates(free, act, "act")
    _send_delta(t, before, residue, act, threshold, limit)
    return t.program()


def sigma_program() -> NeuronProgram:
    """The decoder: sigma' = sigma + a, which is what it sends."""
    t = Tracer("sigma")
    sigma = t.state("sigma", SIGMA_BITS)
    total = t.add(sigma, t.accumulator(ARRIVING), "total")
    total = saturated(t, total, SIGMA_BITS, "sigma", hint="sigma_new")
    t.write(sigma, total)
    t.spike(total)
    return t.program()


def _send_delta(
    t: Tracer, before: Word, residue: Word, new: Word, threshold: int, limit: int
) -> None:
    """Sends delta = new - before + residue where |delta| >= threshold; the rest is the residue."""
    delta = t.add(t.subtract(new, before), residue, "delta")
    goes = t.less(t.negative_magnitude(delta), 1 - threshold, "goes")
    chosen = t.select(goes, delta, 0, "chosen")
    sent = clamped(t, chosen, -limit << STATE_EXPONENT, limit << STATE_EXPONENT, "sent")
    t.saturates(chosen, sent, "message")
    left = t.subtract(delta, sent, "left")
    t.write(residue, saturated(t, left, SIGMA_BITS, "residue", hint="residue_new"))
    t.write(before, new)
    t.spike(t.shift_right(sent, STATE_EXPONENT, "message"))
