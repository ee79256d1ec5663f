"""The neuron program of a relay: what is heard is sent."""

from __future__ import annotations

from lnn2loihi.layers.linear import SUM
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.tracer import Tracer


def relay_program() -> NeuronProgram:
    """A relay; it has no state."""
    t = Tracer("relay")
    t.spike(t.accumulator(SUM))
    return t.program()
