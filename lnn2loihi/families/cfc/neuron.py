"""The neuron program of a CfC unit in the modes default and no_gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lnn2loihi.neurons.activations import ACTIVATION_END, ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import ELAPSED, LARGEST_GROWN, Rescaling, preactivation
from lnn2loihi.neurons.tracer import Tracer, Word

#: Accumulators of a unit: two heads and the folded time gate.
GATES = ("ff1", "ff2", "time")
#: The same with irregular time, which is an accumulator of its own: ELAPSED.
TIMED_GATES = ("ff1", "ff2", "time_a", "time_b")


@dataclass(frozen=True)
class Growth:
    """How time_a times the elapsed time comes into the units of the time gate.

    Attributes:
        right: right shift of the product.
        left: left shift after it; with one, the product is held within what fits the word.
        coarser: left shift that brings the sum of both parts, held within the activation's ends,
            into its units: large ones count in coarser units.
    """

    right: int
    left: int = 0
    coarser: int = 0


def cfc_program(
    shifts: Sequence[Rescaling | int],
    message_bits: int,
    activation: str,
    mode: str = "default",
    growth: Growth | None = None,
) -> NeuronProgram:
    """A CfC unit: h' = f1 (1 - g) + g f2, or f1 + g f2 without gate, with g = sigma(time).

    With f1, f2 and tau = tanh(time / 2) = 2 g - 1 in Q14, twice the new state in Q14 is
    f1 + f2 + tau (f2 - f1), or 2 f1 + f2 + tau f2: one multiply, and nothing to halve. It is a
    Q15 word of h', which is rounded half up to the message.

    Args:
        shifts: right shifts of the pre-activations, GATES or TIMED_GATES.
        message_bits: width of the state and message: Q0.(bits - 1), without gate Q1.(bits - 2).
        activation: key of ACTIVATIONS.
        mode: "default" or "no_gate".
        growth: of time_a times the elapsed time, where time is irregular; None where it is
            constant.
    """
    t = Tracer("cfc" if mode == "default" else f"cfc {mode}")
    state = t.state("h", message_bits)
    tanh = ACTIVATIONS[activation].tanh
    values: list[Word] = []
    for gate, shift in zip(GATES[:2], shifts, strict=False):
        with t.scope(gate):
            values.append(tanh(t, preactivation(t, gate, shift)))
    f1, f2 = values
    with t.scope("time"):
        tau = tanh(t, time_gate(t, shifts[2:], growth))
    if mode == "no_gate":
        gated = t.add(f2, t.multiply(tau, f2, FRACTION_BITS, "gated"), "doubled_gate")
        doubled = t.add(t.add(f1, f1), gated, "new_state")
        unused_bits = FRACTION_BITS + 1 - (message_bits - 2)
    else:
        blend = t.multiply(tau, t.subtract(f2, f1, "difference"), FRACTION_BITS, "blend")
        doubled = t.add(t.add(f1, f2), blend, "new_state")
        # Plain intervals say twice this; the three factors are independent and enter linearly.
        t.convex(doubled, (f1, f2, tau), -(1 << 15), (1 << 15) - 1)
        unused_bits = FRACTION_BITS + 1 - (message_bits - 1)
    rounded = t.round_half_up(doubled, unused_bits)
    t.spike(t.minimum(rounded, (1 << (message_bits - 1)) - 1, "message"), state)
    return t.program()


def time_gate(t: Tracer, shifts: Sequence[Rescaling | int], growth: Growth | None) -> Word:
    """The time gate's pre-activation: one sum, or time_a times the elapsed time plus time_b."""
    if growth is None:
        return preactivation(t, "time", shifts[0])
    rate = preactivation(t, "time_a", shifts[0])
    base = preactivation(t, "time_b", shifts[1])
    grown = t.multiply(rate, t.accumulator(ELAPSED), growth.right, "grown")
    if growth.left:
        limit = LARGEST_GROWN >> growth.left
        grown = t.maximum(t.minimum(grown, limit, "grown"), -limit, "grown")
        grown = t.shift_left(grown, growth.left, "grown")
    gate = t.add(grown, base, "gate")
    if not growth.coarser:
        return gate
    end = max(ACTIVATION_END >> growth.coarser, 1)
    held = t.maximum(t.minimum(gate, end, "gate"), -end, "gate")
    return t.shift_left(held, growth.coarser, "gate")
