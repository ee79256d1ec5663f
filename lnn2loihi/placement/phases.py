"""What happens in which phase of the period: the chip step modulo the initiation interval.

It is the steady state: every sequence has got its samples, and initial states are long sent.
"""

from __future__ import annotations

import numpy as np

from lnn2loihi.formats import IntegerArray
from lnn2loihi.graph.schedule import Schedule
from lnn2loihi.neurons.listing import Listing


def busy(schedule: Schedule, first: int) -> IntegerArray:
    """Sequences that are due in each phase, 0 or 1, int64 (period,).

    Args:
        schedule: the schedule.
        first: first step in which one is due.
    """
    phases = np.zeros(schedule.period, np.int64)
    phases[(first + np.arange(schedule.interleave)) % schedule.period] = 1
    return phases


def first_sent(schedule: Schedule, source: str) -> int:
    """First step in which a population, or else the input, sends."""
    return schedule.first_valid.get(source, schedule.first_input)


def arrivals(schedule: Schedule, source: str) -> IntegerArray:
    """Updates of a source whose messages arrive in each phase, 0 or 1, int64 (period,).

    They arrive in the step after; delays are waited for in the accumulators of the target.
    """
    return busy(schedule, first_sent(schedule, source) + 1)


def instructions(schedule: Schedule, population: str, text: Listing) -> IntegerArray:
    """Instructions that a neuron executes in each phase, int64 (period,)."""
    due = busy(schedule, schedule.first_valid[population])
    return np.where(due, text.update_count, text.waiting_count)
