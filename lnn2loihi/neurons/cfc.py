"""The neuron program of a CfC unit in default mode, with a constant timespan."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.tracer import Tracer, Word

#: Accumulators of a unit: two heads and the folded time gate.
GATES = ("ff1", "ff2", "time")
#: Width of the per-neuron multiplier: a 24-bit sum times 8 bits fits the 32-bit product.
MULTIPLIER_BITS = 8


def preactivation(t: Tracer, accumulator: str, shift: int) -> Word:
    """Reads an accumulator, adds the bias and rescales by the per-neuron multiplier."""
    total = t.add(t.accumulator(accumulator), t.parameter(f"{accumulator}.bias", 24), "biased")
    multiplier = t.parameter(f"{accumulator}.multiplier", MULTIPLIER_BITS)
    return t.multiply(total, multiplier, shift, "preactivation")


def cfc_program(shifts: Sequence[int], message_bits: int, activation: str) -> NeuronProgram:
    """A CfC unit: h' = f1 (1 - g) + g f2 with g = sigma(time).

    With f1, f2 and tau = tanh(time / 2) = 2 g - 1 in Q14, twice the new state in Q14 is
    f1 + f2 + tau (f2 - f1): one multiply, and nothing to halve. It is a Q15 word of h', which
    is rounded half up to the message.

    Args:
        shifts: right shifts of the three pre-activations (ff1, ff2, time).
        message_bits: width of the state and message, Q0.(bits - 1).
        activation: key of ACTIVATIONS.
    """
    t = Tracer("cfc")
    state = t.state("h", message_bits)
    tanh = ACTIVATIONS[activation].tanh
    values: list[Word] = []
    for gate, shift in zip(GATES, shifts, strict=True):
        with t.scope(gate):
            values.append(tanh(t, preactivation(t, gate, shift)))
    f1, f2, tau = values
    blend = t.multiply(tau, t.subtract(f2, f1, "difference"), FRACTION_BITS, "blend")
    doubled = t.add(t.add(f1, f2), blend, "new_state")
    # Plain intervals say twice this; the three factors are independent and enter linearly.
    t.convex(doubled, (f1, f2, tau), -(1 << 15), (1 << 15) - 1)
    rounded = t.round_half_up(doubled, FRACTION_BITS + 1 - (message_bits - 1))
    t.spike(t.minimum(rounded, (1 << (message_bits - 1)) - 1, "message"), state)
    return t.program()
