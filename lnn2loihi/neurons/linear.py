"""The neuron program of an affine readout."""

from __future__ import annotations

from lnn2loihi.neurons.cfc import preactivation
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.tracer import Tracer

#: Accumulator of a readout neuron.
SUM = "linear"


def linear_program(shift: int) -> NeuronProgram:
    """A readout neuron: (sum + bias) * multiplier, rounded half up by `shift` bits.

    It has no state; its message is as wide as its proved bound, so it never saturates.
    """
    t = Tracer("linear")
    if shift == 0:
        t.spike(preactivation(t, SUM, 0))
    else:
        # One bit more than needed, so that half a unit can be added before the last bit goes.
        t.spike(t.round_half_up(preactivation(t, SUM, shift - 1), 1))
    return t.program()
