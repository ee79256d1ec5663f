"""What a placed program does in a chip step, counted from the messages of a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost.workload import Workload
from lnn2loihi.placement.activity import Activity, activity_of
from lnn2loihi.placement.blocks import copied_activity
from lnn2loihi.placement.copies import CopiesPlacement
from lnn2loihi.placement.counting import core_counts
from lnn2loihi.placement.line import FloatArray
from lnn2loihi.placement.links import beside, mesh_counts
from lnn2loihi.placement.mesh import Mesh, Positions
from lnn2loihi.placement.placement import Placement
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import Counters


@checks_kinds()
def workload(placement: Placement | CopiesPlacement, counters: Counters) -> Workload:
    """Counts per chip step of each core and phase, from exact counters.

    All that a message causes (synaptic operations, its arrival, its hops, its way over links)
    counts in the phase in which it arrives; spikes and messages that leave a core count in the one
    in which they are sent. Samples that are sent several times (`substeps`) make a period longer.

    Args:
        placement: where the neurons are. Of copies, counts are of all of them together, and each
            does what the one does that was counted.
        counters: non-zero messages of each source neuron, `simulate(program, x).counters`, of one
            copy.

    Raises:
        InputError: the counters do not belong to the program.
    """
    activity = activity_of(placement.program, counters)
    if isinstance(placement, CopiesPlacement):
        return _of_copies(placement, activity)
    counts = core_counts(placement, activity)
    period = placement.program.schedule.period
    hops, links = mesh_counts(positions_of(placement), counts.flows, period)
    names = tuple(core.name for core in placement.cores)
    found = _Counted(counts.by_phase, counts.waiting, hops, links)
    return _workload(placement.program, found, activity, placement.chips, names, activity.text)


@dataclass(frozen=True)
class _Counted:
    """Counts of a period, of all cores: by core and phase, by core, and of the mesh by phase."""

    by_phase: Mapping[str, FloatArray]
    waiting: Mapping[str, FloatArray]
    hops: FloatArray
    links: FloatArray


def _workload(
    program: LoihiProgram,
    found: _Counted,
    activity: Activity,
    chips: int,
    names: tuple[str, ...],
    source: str,
    copies: int = 1,
) -> Workload:
    schedule, times = program.schedule, program.substeps
    return Workload(
        name=program.name,
        chips=chips,
        period=schedule.period * times,
        latency_steps=program.latency_steps,
        interleave=schedule.interleave,
        **{name: np.tile(counts, (times, 1)) for name, counts in found.by_phase.items()},
        messages=np.tile(found.by_phase["messages_in"].sum(axis=1), times),
        hops=np.tile(found.hops, times),
        link_messages=np.tile(found.links, times),
        io_messages=_in_and_out(program, activity),
        core_names=names,
        source=source,
        **found.waiting,
        copies=copies,
    )


def _in_and_out(program: LoihiProgram, activity: Activity) -> float:
    """Messages that enter the chip with a sample, and leave it: channels of the input that are not
    zero, each time that the sample is sent, and all outputs once.
    """
    entering = activity.messages[program.input.name].sum() / activity.updates
    return float(entering) * program.substeps + program.output_population.size


def _of_copies(placement: CopiesPlacement, activity: Activity) -> Workload:
    """Counts of all copies: those of each block as often as it is there, and messages on the mesh
    where blocks lie.
    """
    program, device = placement.program, placement.device
    counts = [
        core_counts(block.placement, copied_activity(activity, block.copies))
        for block in placement.blocks
    ]
    period = program.schedule.period
    hops, links = np.zeros(period), np.zeros(period)
    for filling in placement.fillings:
        flows = beside([(one.flows, one.cores) for one in counts], filling.blocks)
        found, heaviest = mesh_counts(filling.positions(device), flows, period)
        hops += filling.times * found
        links = np.maximum(links, heaviest)
    by_phase = {
        name: _all_cores([one.by_phase[name] for one in counts], placement)
        for name in counts[0].by_phase
    }
    waiting = {
        name: _all_cores([one.waiting[name] for one in counts], placement)
        for name in counts[0].waiting
    }
    found = _Counted(by_phase, waiting, hops, links)
    names, source = placement.core_names, f"{activity.text}, of one of {placement.copies:,} copies"
    return _workload(program, found, activity, placement.chips, names, source, placement.copies)


def _all_cores(counts: Sequence[FloatArray], placement: CopiesPlacement) -> FloatArray:
    """Counts of all cores, (..., cores), of those of each block."""
    parts = []
    for filling in placement.fillings:
        chips = [np.tile(block, n) for block, n in zip(counts, filling.blocks, strict=True)]
        parts.append(np.tile(np.concatenate(chips, axis=-1), filling.times))
    return np.concatenate(parts, axis=-1)


def positions_of(placement: Placement) -> Positions:
    """Where the cores of a placement lie."""
    chip = np.array([core.chip for core in placement.cores])
    slot = np.array([core.index for core in placement.cores])
    return Positions(chip, slot, Mesh.of(placement.device, placement.chips))
