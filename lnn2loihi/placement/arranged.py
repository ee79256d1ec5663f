"""Of a program cut into cores, the placement that says where each of them lies."""

from __future__ import annotations

import numpy as np

from lnn2loihi.placement.draft import Draft
from lnn2loihi.placement.links import flows_of, mesh_counts
from lnn2loihi.placement.mesh import Positions, arrange, axon_messages
from lnn2loihi.placement.placement import Core, Placement, Slice, Traffic
from lnn2loihi.placement.rules import unchecked
from lnn2loihi.placement.search import Request
from lnn2loihi.targets.beside import not_proved


def arranged(draft: Draft, asked: Request, objective: str) -> Placement:
    """The placement of a draft, its cores where messages take few hops.

    Args:
        draft: the cores.
        asked: what was asked for.
        objective: what the cut was chosen for.
    """
    positions, axons, updates = arrange(draft), draft.axons, draft.activity.updates
    sent = axon_messages(draft) * draft.program.substeps / updates
    flows = flows_of(draft.program, axons, draft.activity, draft.cores)
    _, heaviest = mesh_counts(positions, flows, draft.line.period)
    times = draft.cut.cutter.times
    longest = np.maximum(draft.cut.longest, times.link * heaviest)
    ends = axons.origin.astype(np.int64), axons.target.astype(np.int64)
    hops, crossings = positions.hops(*ends)
    return Placement(
        program=draft.program,
        device=draft.device,
        objective=objective,
        cores=_cores(draft, positions),
        axons=axons,
        traffic=Traffic(float(sent.sum()), float(sent @ hops), float(sent @ crossings)),
        activity=draft.activity.text,
        step_seconds=times.step + float(longest.mean()),
        unchecked=unchecked(draft, asked.rules),
        target=asked.target.name,
        unproved=not_proved(asked.target, draft.program),
    )


def _cores(draft: Draft, positions: Positions) -> tuple[Core, ...]:
    columns, rows = positions.routers
    busiest = draft.cut.seconds.max(axis=1)
    sums = ("memory", "neuron_groups")
    counts = {name: values for name, values in draft.usage.items() if name not in sums}
    return tuple(
        Core(
            chip=int(positions.chip[place]),
            index=int(positions.slot[place]),
            x=int(columns[place]),
            y=int(rows[place]),
            slices=_slices(draft, place),
            seconds=float(busiest[place]),
            **{name: int(values[place]) for name, values in counts.items()},
        )
        for place in range(draft.cores)
    )


def _slices(draft: Draft, place: int) -> tuple[Slice, ...]:
    share, found = draft.cut.shares[place], []
    for number in np.flatnonzero(share.neurons):
        group = draft.line.groups[number]
        first, stop = np.searchsorted(group.positions, (share.first, share.stop))
        found.append(Slice(group.name, int(first), int(stop)))
    return tuple(found)
