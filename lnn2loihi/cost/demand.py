"""What a sample demands of the chip: the few counts that the equations need.

It is made of a workload, in one mode, and is small whatever the size of the network, so that each
estimate keeps it and can be drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.cost.interval import FloatArray
from lnn2loihi.cost.workload import FALL_THROUGH, MODES, PIPELINED, Workload
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.showing import Brief

#: What cores have to do in a step, by the names of the workload, in the order of `Demand.loads`.
LOADS = ("synaptic_operations", "neuron_updates", "instructions", "messages_in", "spikes",
         "messages_out")  # fmt: skip
#: Counts that energies are computed from.
COUNTED = ("synaptic_operations", "neuron_updates", "instructions", "spikes", "messages", "hops",
           "io_messages")  # fmt: skip


@checks_fields(InputError)
@dataclass(frozen=True)
class Demand(Brief):
    """What a sample of each copy demands, in one mode.

    Attributes:
        mode: `pipelined` or `fall-through`.
        chips, cores: what is allocated.
        board_chips: chips of the board, those that idle included.
        cores_per_chip: cores that share the static power of a chip.
        copies: independent copies of the network, each of which takes a sample meanwhile.
        steps: chip steps that a sample takes.
        latency_steps: chip steps to its answer.
        loads: for each phase the loads (LOADS) of the cores that can be the slowest.
        link_messages: for each phase the messages on the heaviest link.
        counts: what a sample of one copy causes, by the names of COUNTED.

    Raises:
        InputError: lists what is no count, and what does not fit together.
    """

    mode: str
    chips: int
    cores: int
    board_chips: int
    cores_per_chip: int
    copies: int
    steps: float
    latency_steps: int
    loads: tuple[tuple[tuple[float, ...], ...], ...]
    link_messages: tuple[float, ...]
    counts: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", read_only_mapping(self.counts))
        problems = Problems(InputError, "demand of a sample")
        if self.mode not in MODES:
            problems.add(f"mode {self.mode!r:.40} is none of {', '.join(MODES)}")
        for name in ("chips", "cores", "board_chips", "cores_per_chip", "copies", "latency_steps"):
            if getattr(self, name) < 1:
                problems.add(f"{name} is {getattr(self, name)}, expected 1 or more")
        numbers = [self.steps, *self.link_messages, *self.counts.values()]
        numbers += [load for phase in self.loads for core in phase for load in core]
        if not all(0.0 <= number < np.inf for number in numbers) or self.steps <= 0.0:
            problems.add("it holds a count that is negative or not finite, or takes no step")
        if set(self.counts) != set(COUNTED):
            problems.add(f"counts are {', '.join(self.counts)}, expected {', '.join(COUNTED)}")
        if not self.loads or len(self.loads) != len(self.link_messages) or not all(self.loads):
            problems.add("loads and link_messages are not of the same phases, or a phase is empty")
        if any(len(core) != len(LOADS) for phase in self.loads for core in phase):
            problems.add(f"a core has other loads than {', '.join(LOADS)}")
        problems.raise_if_any()


def demand_of(workload: Workload, mode: str, cores_per_chip: int, board_chips: int) -> Demand:
    """What a workload demands in one mode.

    A sample that falls through has the chip to itself: what it causes is the same, but in the
    further steps all neurons run their waiting branch.

    Args:
        workload: the counts.
        mode: `pipelined` or `fall-through`.
        cores_per_chip: cores that share the static power of a chip.
        board_chips: chips of the board.
    """
    steps = workload.steps_per_sample(mode)
    counts = {name: value for name, value in workload.per_sample().items() if name in COUNTED}
    if mode == FALL_THROUGH:
        assert workload.waiting_updates is not None and workload.waiting_instructions is not None
        further = (steps - workload.steps_per_sample(PIPELINED)) / workload.copies
        counts["neuron_updates"] += further * float(workload.waiting_updates.sum())
        counts["instructions"] += further * float(workload.waiting_instructions.sum())
    assert workload.link_messages is not None
    return Demand(
        mode=mode,
        chips=workload.chips,
        cores=workload.cores,
        board_chips=max(board_chips, workload.chips),
        cores_per_chip=cores_per_chip,
        copies=workload.copies,
        steps=steps,
        latency_steps=workload.latency_steps,
        loads=tuple(
            tuple(map(tuple, _heaviest(core_loads(workload, phase)).T.tolist()))
            for phase in range(workload.period)
        ),
        link_messages=tuple(workload.link_messages.tolist()),
        counts=counts,
    )


def core_loads(workload: Workload, phase: int) -> FloatArray:
    """What every core has to do in a phase, float64 (LOADS, cores)."""
    return np.stack([getattr(workload, name)[phase] for name in LOADS])


def _heaviest(loads: FloatArray) -> FloatArray:
    """The cores that can be the slowest, whatever an operation takes: those that no other core
    exceeds in every load. On a thousand alike cores it leaves one, which makes the sampling cheap.

    Args:
        loads: (LOADS, cores).
    """
    scale = loads.max(axis=1, keepdims=True)
    shares = loads / np.where(scale > 0.0, scale, 1.0)
    left, kept = loads[:, np.argsort(-shares.sum(axis=0), kind="stable")], []
    while left.shape[1]:
        champion = left[:, :1]
        kept.append(champion)
        left = left[:, (left > champion).any(axis=0)]
    return np.concatenate(kept, axis=1)
