"""How many messages each link of the mesh carries.

Links are one way each: from router to router, along rows and columns, over the edge of a chip like
others, and between each core and its router. Where samples enter is a core's place by the first
router of the first chip (assumption), whose link counts too. A message to several cores goes to
each of them on its own, and counts on every link of each way, also on those that ways share; one to
its own core goes to the router and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lnn2loihi.formats import IntegerArray
from lnn2loihi.placement.activity import Activity
from lnn2loihi.placement.draft import Axons
from lnn2loihi.placement.line import FloatArray
from lnn2loihi.placement.mesh import Flow, Positions
from lnn2loihi.placement.phases import arrivals
from lnn2loihi.program import LoihiProgram


class PhaseFlow(NamedTuple):
    """Messages that arrive in the same phases.

    Attributes:
        phases: int64 (period,): the phases, 0 or 1 each.
        flow: messages, in all updates that were counted.
        updates: number of these.
    """

    phases: IntegerArray
    flow: Flow
    updates: int


def flows_of(
    program: LoihiProgram, axons: Axons, activity: Activity, cores: int
) -> list[PhaseFlow]:
    """The messages between cores, those that arrive in the same phases together."""
    alike: dict[bytes, tuple[IntegerArray, list[IntegerArray], list[IntegerArray]]] = {}
    for place, connection in enumerate(program.connections):
        own = np.flatnonzero(axons.connection == place)
        phases = arrivals(program.schedule, connection.source)
        _, places, sent = alike.setdefault(phases.tobytes(), (phases, [], []))
        places.append(own)
        sent.append(activity.messages[connection.source][axons.source[own]])
    origin, target = axons.origin.astype(np.int64), axons.target.astype(np.int64)
    found = []
    for phases, places, sent in alike.values():
        own = np.concatenate(places)
        flow = Flow.between(origin[own], target[own], np.concatenate(sent), cores)
        found.append(PhaseFlow(phases, flow, activity.updates))
    return found


def beside(
    blocks: Sequence[tuple[Sequence[PhaseFlow], int]], times: Sequence[int]
) -> list[PhaseFlow]:
    """The messages of blocks that have nothing to do with each other, each so often.

    Args:
        blocks: of each its messages, of the same phases in the same order, and its cores.
        times: how often each is there; their cores follow each other.
    """
    found = []
    for alike in zip(*(flows for flows, _ in blocks), strict=True):
        parts = [
            (one.flow, cores, n) for one, (_, cores), n in zip(alike, blocks, times, strict=True)
        ]
        found.append(PhaseFlow(alike[0].phases, Flow.beside(parts), alike[0].updates))
    return found


def mesh_counts(
    positions: Positions, flows: Sequence[PhaseFlow], period: int
) -> tuple[FloatArray, FloatArray]:
    """Hops on chips, and messages on the heaviest link, float64 (period,) each."""
    hops, heaviest = np.zeros(period), np.zeros(period)
    loads: list[FloatArray] = []
    for phases, flow, updates in flows:
        steps, _ = positions.hops(flow.origin, flow.target)
        hops += phases * (flow.messages @ steps / updates)
        loads.append(link_loads(positions, flow) / updates)
    for number in range(period):
        here = [load for one, load in zip(flows, loads, strict=True) if one.phases[number]]
        heaviest[number] = np.sum(here, axis=0).max() if here else 0.0
    return hops, heaviest


def link_loads(positions: Positions, flow: Flow) -> FloatArray:
    """Messages on every link.

    Args:
        positions: where cores lie.
        flow: messages between them.

    Returns:
        float64 (links,): rows eastward and westward, columns southward and northward, cores to
        their routers with the input last, and routers to their cores.
    """
    column, row = positions.places
    origin, target, messages = flow.origin, flow.target, flow.messages
    cores = positions.slot.size
    columns, rows = int(column.max()) + 1, int(row.max()) + 1
    start, end = column[origin], column[target]
    along = _segments(row[origin], start, end, messages, rows, columns)
    across = _segments(end, row[origin], row[target], messages, columns, rows)
    sent = np.bincount(np.where(origin < 0, cores, origin), messages, cores + 1)
    received = np.bincount(target, messages, cores)
    return np.concatenate([*along, *across, sent, received]).astype(np.float64)


def _segments(
    line: IntegerArray, start: IntegerArray, end: IntegerArray, messages: IntegerArray, lines: int,
    length: int,
) -> list[FloatArray]:  # fmt: skip
    """Messages on the links of lines, upward and downward: a way covers those from its start to its
    end.
    """
    found = []
    for low, high in ((start, end), (end, start)):
        way = np.flatnonzero(low < high)
        change = np.zeros((lines, length + 1))
        np.add.at(change, (line[way], low[way]), messages[way])
        np.add.at(change, (line[way], high[way]), -messages[way])
        found.append(np.cumsum(change, axis=1).reshape(-1))
    return found
