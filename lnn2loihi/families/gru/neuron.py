"""The neuron program of a GRU unit."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.leak import GUARD_BITS, STATE_BITS, moved, sent
from lnn2loihi.neurons.operations import Rescaling, preactivation
from lnn2loihi.neurons.tracer import Tracer

#: Accumulators, in the order of lnn2loihi.families.gru.layer.
GRU_GATES = ("reset_gate", "update_gate", "candidate_input", "candidate_recurrent")
#: State words: what is kept, and what others hear.
KEPT, HEARD = "h", "sent"


def gru_program(
    shifts: Sequence[Rescaling | int], message_bits: int, recurrent_shift: int, activation: str
) -> NeuronProgram:
    """A GRU unit: n = tanh(a + r b), h' = (1 - u) n + u h, with r and u logistic functions.

    a and b are the two parts of the candidate's sum. With rho = tanh of half the reset gate's sum,
    b + b rho is twice r b; b comes in half the units of a, or in coarser ones.

    Args:
        shifts: right shifts of the pre-activations, GRU_GATES.
        message_bits: width of the message, Q0.(bits - 1).
        recurrent_shift: left shift that brings twice b into the units of a.
        activation: key of ACTIVATIONS.
    """
    t = Tracer("gru")
    tanh = ACTIVATIONS[activation].tanh
    kept, heard = t.state(KEPT, STATE_BITS), t.state(HEARD, message_bits)
    with t.scope("reset_gate"):
        rho = tanh(t, preactivation(t, "reset_gate", shifts[0]))
    with t.scope("update_gate"):
        tau = tanh(t, preactivation(t, "update_gate", shifts[1]))
    with t.scope("candidate"):
        given = preactivation(t, "candidate_input", shifts[2])
        own = preactivation(t, "candidate_recurrent", shifts[3])
        gated = t.add(own, t.multiply(own, rho, FRACTION_BITS), "gated")
        gated = t.shift_left(gated, recurrent_shift) if recurrent_shift else gated
        candidate = tanh(t, t.add(given, gated, "total"))
    new = moved(t, kept, candidate, tau, towards=False)
    t.write(kept, new)
    spare_bits = FRACTION_BITS + GUARD_BITS - (message_bits - 1)
    # Not counted: a state within (-1, 1) is rounded, and cut where that gives 1.
    t.spike(sent(t, new, spare_bits, message_bits)[1], heard)
    return t.program()
