"""Neurons that count: which of several updates for a sample this one is."""

from __future__ import annotations

from lnn2loihi.neurons.tracer import Tracer, Word

#: The state word of the count; it is 0 before each sample and stands for no real value.
PHASE = "phase"
#: Its width: programs have at most 1024 updates for a sample.
PHASE_BITS = 12


def first_update(t: Tracer, updates: int) -> Word:
    """1 in the first of so many updates, else 0; counts on."""
    phase = t.state(PHASE, PHASE_BITS)
    first = t.less(phase, 1, "begins")
    counted = t.minimum(t.add(phase, 1), updates, "counted")
    t.write(phase, t.select(t.less(counted, updates), counted, 0, "next_phase"))
    return first
