"""The equations: what a sample demands times parameters of a device give time and energy.

They are those of docs/cost.md, for many sets of parameters at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from lnn2loihi.cost.demand import Demand
from lnn2loihi.cost.interval import FloatArray
from lnn2loihi.cost.workload import FALL_THROUGH
from lnn2loihi.defaults import IO

#: What a core spends the time of a step on.
RESOURCES = ("synapses", "neurons", "messages", "sending")
#: Terms of the dynamic energy.
DYNAMIC_TERMS = ("steps", "synapses", "neurons", "spikes", "messages", "hops", "active_cores")
#: Where samples come from and answers go to, see `IO`.
NO_IO, ON_BOARD, HOST = IO
#: Figures that count only where samples come from somewhere.
IO_FIGURES = ("host_io_time", "host_power", "time_per_board_message", "board_power")
#: Times of the loads, in their order, and the resource that each is of.
_TIMES = ("time_per_synaptic_operation", "time_per_neuron_update", "time_per_instruction",
          "time_per_message", "time_per_spike", "time_per_outgoing_message")  # fmt: skip
_RESOURCE = np.array([0, 1, 1, 2, 3, 3])
#: Parts of the totals.
_TOTALS: Mapping[str, tuple[str, ...]] = {
    "total_full_chip": ("dynamic", "static_full_chip", "io"),
    "total_pro_rata": ("dynamic", "static_pro_rata", "io"),
    "total_board": ("dynamic", "static_full_chip", "static_idle_chips", "io"),
}


@dataclass(frozen=True)
class Operation:
    """How the chip is run.

    Attributes:
        rate: samples per second of each copy; None for full speed.
        io: where samples come from, one of IO.
        step_time: a measured step time in s that takes the place of the model's wherever a time
            goes into an energy; None to use the model's.
    """

    rate: float | None = None
    io: str = NO_IO
    step_time: float | None = None


#: Parameters by name, one value for each set: float64 (sets,).
Parameters = Mapping[str, FloatArray]


def resource_seconds(loads: FloatArray, p: Parameters) -> FloatArray:
    """Seconds that cores spend on each resource in a step, at the first set of parameters.

    Args:
        loads: (LOADS, cores).
        p: parameters.

    Returns:
        float64 (resources, cores), in the order of `RESOURCES`.
    """
    seconds = np.array([p[name][0] for name in _TIMES])[:, None] * loads
    return np.stack([seconds[place == _RESOURCE].sum(axis=0) for place in range(len(RESOURCES))])


def step_times(demand: Demand, p: Parameters) -> tuple[FloatArray, FloatArray]:
    """Time of a step of each phase, and the part of it that the heaviest link takes.

    A core works off its synaptic operations, neuron updates and messages one after the other, which
    is conservative; links carry messages meanwhile.

    Args:
        demand: the counts.
        p: parameters, float64 (sets,) each.

    Returns:
        Two arrays of seconds, float64 (sets, period).
    """
    costs = np.stack([p[name] for name in _TIMES], axis=1)
    slowest = np.stack([(costs @ np.array(cores).T).max(axis=1) for cores in demand.loads], axis=1)
    links = p["time_per_link_message"][:, None] * np.array(demand.link_messages)
    return p["time_per_step"][:, None] + np.maximum(slowest, links), links


def lower_bounds(demand: Demand, p: Parameters, links: FloatArray) -> FloatArray:
    """The least that a step of each phase can take: what a core does overlaps, and the largest of
    it counts, over all cores; links carry messages meanwhile. Seconds, float64 (sets, period).

    Args:
        demand: the counts.
        p: parameters, float64 (sets,) each.
        links: seconds that the heaviest link takes, as `step_times` has them.
    """
    costs = np.stack([p[name] for name in _TIMES], axis=1)
    lower = np.empty_like(links)
    for phase, cores in enumerate(demand.loads):
        loads = np.array(cores).T
        lower[:, phase] = np.max(
            [
                (costs[:, place == _RESOURCE] @ loads[place == _RESOURCE]).max(axis=1)
                for place in range(len(RESOURCES))
            ],
            axis=0,
        )
    return p["time_per_step"][:, None] + np.maximum(lower, links)


def evaluate(
    demand: Demand, p: Parameters, operation: Operation, *, bounds: bool = True
) -> dict[str, FloatArray]:
    """Times in s, energies in J per sample of one copy.

    Args:
        demand: the counts.
        p: parameters, float64 (sets,) each.
        operation: how the chip is run.
        bounds: whether `step_time_lower_bound` is among them, which takes as long as the others:
            a fit, which asks a thousand times, needs none.

    Returns:
        For each quantity float64 (sets,): `step_time` and `step_time_lower_bound` (mean over the
        phases), `worst_step_time`, `link_time` (mean), `io_time`, `sample_time`, `latency`,
        `interval` (from one sample of a copy to its next), `throughput` (samples per second of all
        copies), the energies by the names of `CostEstimate.energy`, and `energy_delay_product`.
    """
    additive, links = step_times(demand, p)
    found = {"step_time": additive.mean(axis=1)}
    if bounds:
        found["step_time_lower_bound"] = lower_bounds(demand, p, links).mean(axis=1)
    found |= {
        "worst_step_time": additive.max(axis=1),
        "link_time": links.mean(axis=1),
    }
    step = found["step_time"]
    if operation.step_time is not None:
        step = np.full_like(step, operation.step_time)
    found["io_time"] = io = _io_time(demand, p, operation.io)
    found["sample_time"] = demand.steps * step + io
    found["interval"] = found["sample_time"]
    if operation.rate is not None:
        found["interval"] = np.maximum(found["sample_time"], 1.0 / operation.rate)
    found["throughput"] = demand.copies / found["interval"]
    found["latency"] = _latency(demand, operation, step, found["interval"]) + io
    found |= _energies(demand, p, step, found["interval"], operation.io)
    found["energy_delay_product"] = found["total_full_chip"] * found["latency"]
    return found


def _io_time(demand: Demand, p: Parameters, io: str) -> FloatArray:
    """A host takes a round trip for a sample of all copies together, a board every message."""
    if io == HOST:
        return p["host_io_time"]
    messages = demand.copies * demand.counts["io_messages"] if io == ON_BOARD else 0.0
    return messages * p["time_per_board_message"]


def _latency(
    demand: Demand, operation: Operation, step: FloatArray, interval: FloatArray
) -> FloatArray:
    """From a sample to its answer. At a rate below full speed a pipeline stands still between
    samples, and a sample waits for those behind it to push it on.
    """
    if demand.mode == FALL_THROUGH or operation.rate is None:
        return demand.latency_steps * step
    pushes = (demand.latency_steps - 1) // demand.steps
    return pushes * interval + (demand.latency_steps - pushes * demand.steps) * step


def _energies(
    demand: Demand, p: Parameters, step: FloatArray, interval: FloatArray, io: str
) -> dict[str, FloatArray]:
    """All energies of a sample of one copy: of what all copies cause together its part."""
    counts, copies = demand.counts, demand.copies
    stepping, static = demand.steps * step, p["static_power_per_chip"] * interval / copies
    power = {HOST: p["host_power"], ON_BOARD: p["board_power"]}.get(io, np.zeros_like(step))
    found = {
        "steps": demand.chips * demand.steps * p["energy_per_step"] / copies,
        "synapses": counts["synaptic_operations"] * p["energy_per_synaptic_operation"],
        "neurons": counts["neuron_updates"] * p["energy_per_neuron_update"]
        + counts["instructions"] * p["energy_per_instruction"],
        "spikes": counts["spikes"] * p["energy_per_spike"],
        "messages": counts["messages"] * p["energy_per_message"],
        "hops": counts["hops"] * p["energy_per_hop"],
        "active_cores": demand.cores * p["active_core_power"] * stepping / copies,
        "static_full_chip": demand.chips * static,
        "static_pro_rata": static * (demand.cores / demand.cores_per_chip),
        "static_idle_chips": (demand.board_chips - demand.chips) * static,
        "io": power * interval / copies,
    }
    found["dynamic"] = reduce(np.add, [found[term] for term in DYNAMIC_TERMS])
    totals = {name: reduce(np.add, [found[part] for part in parts])
              for name, parts in _TOTALS.items()}  # fmt: skip
    return {**found, **totals}
