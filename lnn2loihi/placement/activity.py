"""How often sources send: exact counters of a simulation, or every message where there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lnn2loihi.errors import InputError, Problems
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import Counters


@dataclass(frozen=True)
class Activity:
    """Messages that are not zero, which is what the chip sends.

    Attributes:
        messages: for the input and each population int64 (neurons,): messages in all updates.
        updates: updates that they were counted in.
        text: where the counts come from.
    """

    messages: Mapping[str, IntegerArray]
    updates: int
    text: str


def activity_of(program: LoihiProgram, counters: Counters | None) -> Activity:
    """The activity that counters tell of; without counters every message counts.

    Raises:
        InputError: lists how the counters do not belong to the program.
    """
    sizes = {program.input.name: program.input.size}
    sizes |= {p.name: p.size for p in program.populations}
    if counters is None:
        every = {name: np.ones(size, np.int64) for name, size in sizes.items()}
        return Activity(every, 1, "every message counted as not zero, since no counters were given")
    problems = Problems(InputError, f"counters for {program.name!r}")
    if counters.samples < 1:
        problems.add("they count no sample; simulate at least one")
    updates = counters.samples * program.substeps
    for name, size in sizes.items():
        given = counters.non_zero.get(name)
        found = np.asarray(given)
        if given is None:
            problems.add(f"{name} is missing")
        elif found.shape != (size,):
            problems.add(f"{name}: shape {found.shape}, expected ({size},)")
        elif found.size and not 0 <= found.min() <= found.max() <= max(updates, 0):
            problems.add(f"{name}: a count outside 0..{updates}")
    problems.raise_if_any()
    messages = {name: np.asarray(counters.non_zero[name], np.int64) for name in sizes}
    return Activity(messages, updates, f"exact counters of {counters.samples:,} simulated samples")
