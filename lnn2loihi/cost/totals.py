"""Makes a Workload of totals, where no placement gives the counts of each core."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lnn2loihi.cost.workload import FloatArray, Workload
from lnn2loihi.errors import InputError, Problems

#: Whole numbers, and what holds where they are missing.
SHAPE: Mapping[str, int] = {"chips": 1, "cores": 1, "latency_steps": 1}
#: Counts per chip step, and what holds where they are missing. `busiest_` counts are those of the
#: core that has most of them; by default all cores have alike.
TOTALS: Mapping[str, float | None] = {
    "synaptic_operations": 0.0,
    "busiest_synaptic_operations": None,
    "neuron_updates": 0.0,
    "busiest_neuron_updates": None,
    "instructions_per_update": 0.0,
    "messages": 0.0,
    "busiest_messages_in": None,
    "busiest_messages_out": None,
    "spikes": None,
    "link_messages": 0.0,
    "hops": 0.0,
    "io_messages": 0.0,
}
#: Most chips, cores or steps, so that a hostile file costs little.
LARGEST_SHAPE = 1_000_000


def workload_of_totals(name: str, totals: Mapping[str, Any], source: str) -> Workload:
    """A workload whose cores are alike but for the busiest one.

    Args:
        name: name of the network.
        totals: `chips`, `cores` and the counts of `TOTALS`, per chip step of the whole network.
            Messages are counted once per destination core, spikes once where they are sent; by
            default every message has one destination.
        source: where the counts come from.

    Raises:
        InputError: lists unknown names, values that are no counts, and busiest cores that have
            less than the mean or more than all.
    """
    problems = Problems(InputError, f"counts of {name!r:.80}")
    known = {*SHAPE, *TOTALS}
    for key in [key for key in totals if key not in known][:10]:
        problems.add(f"{key!r:.60} is unknown; there are {', '.join(sorted(known))}")
    shape = {key: totals.get(key, default) for key, default in SHAPE.items()}
    for key, value in shape.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_SHAPE:
            problems.add(f"{key} is {value!r:.40}, expected a whole number, 1 to {LARGEST_SHAPE:,}")
    counts = {key: totals.get(key, default) for key, default in TOTALS.items()}
    for key, value in counts.items():
        if value is not None and not _is_count(value):
            problems.add(f"{key} is {value!r:.40}, expected a finite number, 0 or more")
    problems.raise_if_any()
    cores = shape["cores"]
    spread = {
        total: _spread(cores, counts[total], counts[busiest], busiest, problems)
        for total, busiest in (
            ("synaptic_operations", "busiest_synaptic_operations"),
            ("neuron_updates", "busiest_neuron_updates"),
            ("messages", "busiest_messages_in"),
        )
    }
    leaving = _spread(
        cores, counts["messages"], counts["busiest_messages_out"], "busiest_messages_out", problems
    )
    spikes = counts["messages"] if counts["spikes"] is None else counts["spikes"]
    if spikes > counts["messages"]:
        problems.add(f"spikes is {spikes:g}, but only {counts['messages']:g} messages are sent")
    problems.raise_if_any()
    updates = spread["neuron_updates"]
    return Workload(
        name=name,
        chips=shape["chips"],
        period=1,
        latency_steps=shape["latency_steps"],
        interleave=1,
        synaptic_operations=spread["synaptic_operations"],
        neuron_updates=updates,
        instructions=updates * counts["instructions_per_update"],
        messages_in=spread["messages"],
        messages=np.array([counts["messages"]]),
        hops=np.array([counts["hops"]]),
        core_names=("busiest core", *(f"core {number}" for number in range(1, cores))),
        source=source,
        waiting_updates=updates[0],
        waiting_instructions=updates[0] * counts["instructions_per_update"],
        spikes=np.full((1, cores), spikes / cores),
        messages_out=leaving,
        link_messages=np.array([counts["link_messages"]]),
        io_messages=counts["io_messages"],
    )


def _is_count(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0.0 <= value < math.inf


def _spread(
    cores: int, total: float, busiest: float | None, name: str, problems: Problems
) -> FloatArray:
    """A total over cores, (1, cores), the busiest first."""
    mean = total / cores
    if busiest is None:
        return np.full((1, cores), mean)
    tolerance = 1e-9 * total
    if not mean - tolerance <= busiest <= total + tolerance:
        problems.add(
            f"{name} is {busiest:g}, but {cores:,} cores have {total:g} in all: it must be "
            f"{mean:g} to {total:g}"
        )
        return np.full((1, cores), mean)
    rest = (total - busiest) / (cores - 1) if cores > 1 else 0.0
    return np.array([[max(busiest, 0.0), *[max(rest, 0.0)] * (cores - 1)]])
