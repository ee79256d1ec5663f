"""Where cores lie on the mesh, and the hops of their messages.

Routing is XY: a message goes along its row first and then along its column, so it takes as many
hops as columns and rows lie between. A message to several cores counts once for each of them
(reference, section 1.1).

How chips are arranged on boards is not public. They are taken to lie in a near-square grid, row
by row, their meshes continuing each other; a step over the edge of a chip is counted apart, since
its cost is not public either. Samples enter at the first router of the first chip (assumption).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.devices import Device
from lnn2loihi.formats import IntegerArray
from lnn2loihi.placement.draft import Axons, Draft

#: Swaps that are tried for better positions, over all chips, and at least on one.
MOST_SWAPS, FEWEST_SWAPS = 2048, 16


@dataclass(frozen=True)
class Mesh:
    """Routers of a system of chips.

    Attributes:
        columns, rows: routers of a chip.
        cores_per_router: cores that share one.
        cores: cores of a chip that can be used, taken to be those of the first routers.
        chips: chips.
    """

    columns: int
    rows: int
    cores_per_router: int
    cores: int
    chips: int

    @classmethod
    def of(cls, device: Device, chips: int) -> Mesh:
        """So many chips of a device."""
        return cls(
            device.count("mesh_columns"),
            device.count("mesh_rows"),
            device.count("cores_per_router"),
            device.count("cores_per_chip"),
            chips,
        )

    def coordinates(self, slots: IntegerArray) -> tuple[IntegerArray, IntegerArray]:
        """Column and row of the routers of cores, by their numbers on the chip."""
        routers = slots // self.cores_per_router
        return routers % self.columns, routers // self.columns

    def chip_places(self, chips: IntegerArray) -> tuple[IntegerArray, IntegerArray]:
        """Column and row of chips in the grid."""
        wide = math.isqrt(self.chips - 1) + 1
        return chips % wide, chips // wide

    def places(self, chips: IntegerArray, slots: IntegerArray) -> tuple[IntegerArray, IntegerArray]:
        """Column and row of cores' routers in the whole system."""
        column, row = self.coordinates(slots)
        chip_column, chip_row = self.chip_places(chips)
        return column + self.columns * chip_column, row + self.rows * chip_row

    def snake(self) -> IntegerArray:
        """Numbers of a chip's cores, each next to the one before."""
        slots = np.arange(self.cores)
        column, row = self.coordinates(slots)
        return slots[np.lexsort((slots, np.where(row % 2, -column, column), row))]


@dataclass(frozen=True)
class Positions:
    """Where cores lie.

    Attributes:
        chip: int64 (cores,).
        slot: int64 (cores,): number of the core on its chip.
        mesh: the mesh.
    """

    chip: IntegerArray
    slot: IntegerArray
    mesh: Mesh

    @property
    def routers(self) -> tuple[IntegerArray, IntegerArray]:
        """Column and row of each core's router on its chip."""
        return self.mesh.coordinates(self.slot)

    def hops(self, origin: IntegerArray, target: IntegerArray) -> tuple[IntegerArray, IntegerArray]:
        """Hops between routers of a chip, and steps from chip to chip, of messages.

        Args:
            origin: place of the core that sends, int64 (messages,); -1 for the input.
            target: place of the core that is reached, int64 (messages,).
        """
        steps = _between(*self.places, origin, target)
        edges = _between(*self.mesh.chip_places(np.append(self.chip, 0)), origin, target)
        return steps - edges, edges

    @property
    def places(self) -> tuple[IntegerArray, IntegerArray]:
        """Column and row of each core's router in the whole system, and last those of the input:
        -1 selects it.
        """
        return self.mesh.places(np.append(self.chip, 0), np.append(self.slot, 0))


def _between(
    columns: IntegerArray, rows: IntegerArray, origin: IntegerArray, target: IntegerArray
) -> IntegerArray:
    ends = np.stack([columns, rows])
    return np.abs(ends[:, origin] - ends[:, target]).sum(axis=0, dtype=np.int64)


@dataclass(frozen=True)
class Flow:
    """Messages between cores, each pair once.

    Attributes:
        origin, target: int64 (pairs,): places of cores; -1 for the input.
        messages: int64 (pairs,).
    """

    origin: IntegerArray
    target: IntegerArray
    messages: IntegerArray

    @classmethod
    def of(cls, axons: Axons, messages: IntegerArray, cores: int) -> Flow:
        """The flow over axons, each with so many messages."""
        ends = axons.origin.astype(np.int64), axons.target.astype(np.int64)
        return cls.between(*ends, messages, cores)

    @classmethod
    def between(
        cls, origin: IntegerArray, target: IntegerArray, messages: IntegerArray, cores: int
    ) -> Flow:
        """The flow of messages whose ends are given, of which pairs may be there several times."""
        pair = (origin + 1) * cores + target
        pairs, place = np.unique(pair, return_inverse=True)
        total = np.zeros(pairs.size, np.int64)
        np.add.at(total, place.reshape(-1), messages)
        return cls(pairs // cores - 1, pairs % cores, total)

    @classmethod
    def beside(cls, parts: Sequence[tuple[Flow, int, int]]) -> Flow:
        """The flow of parts that have nothing to do with each other, each so often.

        Args:
            parts: the flow of a part, its cores, and how often it is there; their cores follow each
                other.
        """
        found, before = [np.zeros((3, 0), np.int64)], 0
        for flow, cores, times in parts:
            first = before + cores * np.arange(times)[:, None]
            origin = np.where(flow.origin < 0, -1, flow.origin + first)
            messages = np.broadcast_to(flow.messages, origin.shape)
            found.append(np.stack([origin, flow.target + first, messages]).reshape(3, -1))
            before += cores * times
        return cls(*np.concatenate(found, axis=1))


def arrange(draft: Draft) -> Positions:
    """Positions of the cores of a draft."""
    flow = Flow.of(draft.axons, axon_messages(draft), draft.cores)
    return settled(draft.chip, Mesh.of(draft.device, draft.chips_needed), flow)


def settled(chip: IntegerArray, mesh: Mesh, flow: Flow) -> Positions:
    """Positions for which messages take few hops: neighbours in the line lie side by side, then
    pairs of cores of a chip change places as long as it helps.

    Args:
        chip: chip of each core, int64 (cores,).
        mesh: the mesh.
        flow: messages between them.
    """
    snake, slot = mesh.snake(), np.zeros(chip.size, np.int64)
    for number in range(mesh.chips):
        here = np.flatnonzero(chip == number)
        slot[here] = snake[: here.size]
    swaps = max(MOST_SWAPS // mesh.chips, FEWEST_SWAPS)
    for number in range(mesh.chips):
        positions = Positions(chip, slot, mesh)
        slot = _improved(positions, np.flatnonzero(chip == number), flow, swaps)
    return Positions(chip, slot, mesh)


def axon_messages(draft: Draft) -> IntegerArray:
    """Messages that each axon carries, in all updates that were counted."""
    found = np.zeros(draft.axons.source.size, np.int64)
    for place, connection in enumerate(draft.program.connections):
        own = draft.axons.connection == place
        found[own] = draft.activity.messages[connection.source][draft.axons.source[own]]
    return found


def _improved(positions: Positions, cores: IntegerArray, flow: Flow, swaps: int) -> IntegerArray:
    """The slots after cores of one chip have changed places with each other, or moved to free
    slots, which are cores without messages.
    """
    mesh, slots = positions.mesh, positions.slot
    place = np.full(slots.size + 1, -1)
    place[cores] = np.arange(cores.size)
    origin, target = place[flow.origin], place[flow.target]
    free = np.setdiff1d(np.arange(mesh.cores), slots[cores])
    at = np.concatenate([slots[cores], free])
    within = (origin >= 0) & (target >= 0)
    between = np.zeros((at.size, at.size))
    np.add.at(between, (origin[within], target[within]), flow.messages[within])
    between = between + between.T
    np.fill_diagonal(between, 0.0)
    column, row = mesh.coordinates(np.arange(mesh.cores))
    distance = np.abs(column[:, None] - column) + np.abs(row[:, None] - row)
    outside = _to_others(positions, cores, flow, origin, target)
    for _ in range(swaps):
        gain = _gains(between, distance[np.ix_(at, at)], outside[:, at])
        first, second = np.unravel_index(int(np.argmax(gain)), gain.shape)
        if gain[first, second] <= 0.0:
            break
        at[[first, second]] = at[[second, first]]
    found = slots.copy()
    found[cores] = at[: cores.size]
    return found


def _gains(between: np.ndarray, distance: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Hops that are saved when two cores change places, for every pair.

    Args:
        between: messages between each pair, symmetric with a zero diagonal.
        distance: hops between them where they lie now.
        outside: hops to all else of each core, if it lay where the other lies.
    """
    there = between @ distance + outside
    here = np.diag(there)
    return here[:, None] + here - there - there.T - 2.0 * between * distance


def _to_others(
    positions: Positions,
    cores: IntegerArray,
    flow: Flow,
    origin: IntegerArray,
    target: IntegerArray,
) -> np.ndarray:
    """Hops of the messages between each core of a chip and what lies elsewhere, for each slot in
    which the core might lie, (slots, slots); zeros for free slots.
    """
    mesh = positions.mesh
    column, row = mesh.places(np.full(mesh.cores, positions.chip[cores[0]]), np.arange(mesh.cores))
    found = np.zeros((mesh.cores, mesh.cores))
    for here, there in ((column, positions.places[0]), (row, positions.places[1])):
        lines, line = np.unique(here, return_inverse=True)
        steps = np.zeros((mesh.cores, lines.size))
        for own, other, others in (
            (origin, target, flow.target),
            (target, origin, flow.origin),
        ):
            which = np.flatnonzero((own >= 0) & (other < 0))
            away = np.abs(there[others[which], None] - lines)
            np.add.at(steps, own[which], flow.messages[which, None] * away)
        found += steps[:, line.reshape(-1)]
    return found
