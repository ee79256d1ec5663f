"""The equations: counts of a workload times parameters of a device give time and energy.

They are those of docs/cost.md, for many sets of parameters at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lnn2loihi.cost.interval import FloatArray
from lnn2loihi.cost.workload import FALL_THROUGH, PIPELINED, Workload

#: What a core spends the time of a step on.
RESOURCES = ("synapses", "neurons", "messages")
#: Terms of the dynamic energy.
DYNAMIC_TERMS = ("steps", "synapses", "neurons", "messages", "hops", "active_cores")


@dataclass(frozen=True)
class Operation:
    """How the chip is run.

    Attributes:
        mode: `pipelined`: a new sample every period; `fall-through`: a sample passes all layers
            before the next comes.
        rate: samples per second; None for full speed.
        host_io: whether samples and answers pass a host.
        step_time: a measured step time in s that takes the place of the model's wherever a time
            goes into an energy; None to use the model's.
    """

    mode: str = PIPELINED
    rate: float | None = None
    host_io: bool = False
    step_time: float | None = None


#: Parameters by name, one value for each set: float64 (sets,).
Parameters = Mapping[str, FloatArray]


def core_seconds(workload: Workload, phase: int, p: Parameters) -> FloatArray:
    """Seconds that each core spends on each resource in a step, at the first set of parameters.

    Returns:
        float64 (resources, cores), in the order of `RESOURCES`.
    """
    return np.stack(
        [
            workload.synaptic_operations[phase] * p["time_per_synaptic_operation"][0],
            workload.neuron_updates[phase] * p["time_per_neuron_update"][0]
            + workload.instructions[phase] * p["time_per_instruction"][0],
            workload.messages_in[phase] * p["time_per_message"][0],
        ]
    )


def step_times(workload: Workload, p: Parameters) -> tuple[FloatArray, FloatArray]:
    """Time of a step of each phase: additive (conservative), and its lower bound.

    Additive, a core works off its synaptic operations, neuron updates and messages one after the
    other; for the lower bound they overlap, and the largest of them counts, over all cores. The
    links of the mesh have no published bandwidth; only the messages that enter a core count.

    Args:
        workload: the counts.
        p: parameters, float64 (sets,) each.

    Returns:
        Two arrays of seconds, float64 (sets, period).
    """
    times = ("time_per_synaptic_operation", "time_per_neuron_update", "time_per_instruction",
             "time_per_message")  # fmt: skip
    costs = np.stack([p[name] for name in times], axis=1)
    additive = np.empty((len(costs), workload.period))
    lower = np.empty_like(additive)
    for phase in range(workload.period):
        loads = np.stack(
            [
                workload.synaptic_operations[phase],
                workload.neuron_updates[phase],
                workload.instructions[phase],
                workload.messages_in[phase],
            ]
        )
        loads = _heaviest(loads, costs[0])
        additive[:, phase] = (costs @ loads).max(axis=1)
        neurons = (costs[:, 1:3] @ loads[1:3]).max(axis=1)
        lower[:, phase] = np.maximum(neurons, (costs * loads.max(axis=1))[:, (0, 3)].max(axis=1))
    shortest = p["time_per_step"][:, None]
    return shortest + additive, shortest + lower


def _heaviest(loads: FloatArray, costs: FloatArray) -> FloatArray:
    """The cores that can be the slowest for some costs: those that no other core exceeds in every
    load. On a thousand alike cores it leaves one, which makes the sampling cheap.

    Args:
        loads: (loads, cores).
        costs: (loads,), any positive ones; good ones find the heavy cores early.
    """
    left, kept = loads[:, np.argsort(-(costs @ loads), kind="stable")], []
    while left.shape[1]:
        champion = left[:, :1]
        kept.append(champion)
        left = left[:, (left > champion).any(axis=0)]
    return np.concatenate(kept, axis=1)


def evaluate(
    workload: Workload, p: Parameters, cores_per_chip: int, operation: Operation
) -> dict[str, FloatArray]:
    """Times in s and energies in J per sample.

    Args:
        workload: the counts.
        p: parameters, float64 (sets,) each.
        cores_per_chip: cores that share the static power of a chip, for the pro-rata figure.
        operation: how the chip is run.

    Returns:
        For each quantity float64 (sets,): `step_time` and `step_time_lower_bound` (mean over the
        phases), `worst_step_time`, `sample_time`, `latency`, `interval` (from one sample to the
        next), and the energies by the names of `CostEstimate.energy`.
    """
    additive, lower = step_times(workload, p)
    found = {
        "step_time": additive.mean(axis=1),
        "step_time_lower_bound": lower.mean(axis=1),
        "worst_step_time": additive.max(axis=1),
    }
    step = found["step_time"]
    if operation.step_time is not None:
        step = np.full_like(step, operation.step_time)
    steps = workload.steps_per_sample(operation.mode)
    io = p["host_io_time"] if operation.host_io else np.zeros_like(step)
    found["sample_time"] = steps * step + io
    found["interval"] = found["sample_time"]
    if operation.rate is not None:
        found["interval"] = np.maximum(found["sample_time"], 1.0 / operation.rate)
    found["latency"] = _latency(workload, operation, steps, step) + io
    found |= _energies(workload, p, steps, steps * step, operation.mode)
    static = p["static_power_per_chip"] * found["interval"]
    found["static_full_chip"] = workload.chips * static
    found["static_pro_rata"] = static * (workload.cores / cores_per_chip)
    found["host_io"] = p["host_power"] * io if operation.host_io else io
    found["dynamic"] = np.sum([found[term] for term in DYNAMIC_TERMS], axis=0)
    for share in ("full_chip", "pro_rata"):
        found[f"total_{share}"] = found["dynamic"] + found[f"static_{share}"] + found["host_io"]
    return found


def _latency(
    workload: Workload, operation: Operation, steps: float, step: FloatArray
) -> FloatArray:
    """From a sample to its answer. At a rate below full speed a pipeline stands still between
    samples, and a sample waits for those behind it to push it on.
    """
    if operation.mode == FALL_THROUGH or operation.rate is None:
        return workload.latency_steps * step
    pushes = (workload.latency_steps - 1) // steps
    interval = np.maximum(steps * step, 1.0 / operation.rate)
    return pushes * interval + (workload.latency_steps - pushes * steps) * step


def _energies(
    workload: Workload, p: Parameters, steps: float, stepping: FloatArray, mode: str
) -> dict[str, FloatArray]:
    """The terms of the dynamic energy.

    Args:
        workload: the counts.
        p: parameters.
        steps: chip steps that a sample takes.
        stepping: seconds in which the mesh steps for it.
        mode: a sample that falls through has the chip to itself: what it causes is the same, but
            in the further steps all neurons run their waiting branch.
    """
    counts = workload.per_sample()
    updates, instructions = counts["neuron_updates"], counts["instructions"]
    if mode == FALL_THROUGH:
        assert workload.waiting_updates is not None and workload.waiting_instructions is not None
        further = steps - workload.steps_per_sample(PIPELINED)
        updates += further * float(workload.waiting_updates.sum())
        instructions += further * float(workload.waiting_instructions.sum())
    return {
        "steps": workload.chips * steps * p["energy_per_step"],
        "synapses": counts["synaptic_operations"] * p["energy_per_synaptic_operation"],
        "neurons": updates * p["energy_per_neuron_update"]
        + instructions * p["energy_per_instruction"],
        "messages": counts["messages"] * p["energy_per_message"],
        "hops": counts["hops"] * p["energy_per_hop"],
        "active_cores": workload.cores * p["active_core_power"] * stepping,
    }
