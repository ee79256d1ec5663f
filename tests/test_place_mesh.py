"""Positions and hops: XY routes on one chip and on several, and swaps that help."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from placing import CHIP, dense_program, device
from programs import Sizes, random_program

from lnn2loihi.placement.activity import activity_of
from lnn2loihi.placement.draft import packed_draft
from lnn2loihi.placement.mesh import Flow, Mesh, Positions, arrange, axon_messages
from lnn2loihi.placement.placement import Placement
from lnn2loihi.placement.verb import place
from lnn2loihi.placement.workload import positions_of


def total(positions: Positions, flow: Flow) -> int:
    """Steps of all messages."""
    hops, crossings = positions.hops(flow.origin, flow.target)
    return int((hops + crossings) @ flow.messages)


@settings(max_examples=30)
@given(st.data(), st.integers(1, 9))
def test_hops_follow_the_route(data: st.DataObject, chips: int) -> None:
    mesh = Mesh(8, 4, 4, 120, chips)
    spots = st.tuples(st.integers(0, chips - 1), st.integers(0, 119))
    places = data.draw(st.lists(spots, min_size=2, max_size=6))
    chip, slot = np.array(places).T
    positions = Positions(chip, slot, mesh)
    wide = int(np.ceil(np.sqrt(chips)))
    for origin in range(-1, len(places)):
        for target in range(len(places)):
            at = (0, 0) if origin < 0 else places[origin]
            route = walk(at, places[target], wide)
            hops, crossings = positions.hops(np.array([origin]), np.array([target]))
            assert (hops[0], crossings[0]) == route


def walk(start: tuple[int, int], end: tuple[int, int], wide: int) -> tuple[int, int]:
    """Hops on chips and steps between chips of a message, router by router, along the row first."""
    at, goal = [
        [8 * (chip % wide) + slot // 4 % 8, 4 * (chip // wide) + slot // 4 // 8]
        for chip, slot in (start, end)
    ]
    hops = crossings = 0
    for axis, length in ((0, 8), (1, 4)):
        while at[axis] != goal[axis]:
            before = at[axis] // length
            at[axis] += 1 if goal[axis] > at[axis] else -1
            crossings += at[axis] // length != before
            hops += at[axis] // length == before
    return hops, crossings


def test_the_snake_visits_every_core_and_only_takes_steps_to_neighbours() -> None:
    mesh = Mesh(8, 4, 4, 120, 1)
    snake = mesh.snake()
    assert sorted(snake) == list(range(120))
    positions = Positions(np.zeros(120, int), snake, mesh)
    hops, _ = positions.hops(np.arange(95), np.arange(1, 96))  # the last row is shorter
    assert hops.max() == 1


@settings(max_examples=10)
@given(st.integers(0, 50), st.sampled_from([1, 3]))
def test_swaps_never_make_it_worse_and_end_where_no_swap_helps(seed: int, chips: int) -> None:
    program = random_program(seed, Sizes(5, (25, 12), 3, density=0.3))
    chip = device(neurons_per_core=3, cores_per_chip=-(-16 // chips), chips=chips)
    draft = packed_draft(program, chip, chips, activity_of(program, None))
    flow = Flow.of(draft.axons, axon_messages(draft), draft.cores)
    found = arrange(draft)
    mesh = found.mesh
    snake = np.concatenate(
        [mesh.snake()[: np.count_nonzero(draft.chip == n)] for n in range(mesh.chips)]
    )
    start = Positions(draft.chip, snake, mesh)
    best = total(found, flow)
    assert best <= total(start, flow)
    if chips == 1:
        for swapped in every_swap(found):
            assert total(swapped, flow) >= best


def every_swap(positions: Positions) -> list[Positions]:
    """Two cores change places, or one moves to a free one."""
    found = []
    for core in range(positions.slot.size):
        for slot in range(positions.mesh.cores):
            moved = np.where(positions.slot == slot, positions.slot[core], positions.slot)
            moved[core] = slot
            found.append(replace(positions, slot=moved))
    return found


def test_neighbours_in_a_pipeline_lie_near() -> None:
    # Layers that only talk to the next one: hardly more than a hop a message.
    program = random_program(2, Sizes(2, (8, 8, 8, 8, 8), 2, density=0.2))
    placement = place(program, device(neurons_per_core=4), objective="packed")
    assert placement.traffic.hops < 0.8 * placement.traffic.messages


def test_messages_between_chips_are_counted_apart() -> None:
    program = dense_program(40)
    placement = place(program, device(chips=3, cores_per_chip=2, neurons_per_core=8),
                      objective="packed")  # fmt: skip
    assert placement.chips == 3
    hops = crossings = 0
    for origin, target in zip(placement.axons.origin, placement.axons.target, strict=True):
        spots = [(c.chip, c.index) for c in placement.cores]
        route = walk((0, 0) if origin < 0 else spots[origin], spots[target], 2)
        hops, crossings = hops + route[0], crossings + route[1]
    assert (placement.traffic.hops, placement.traffic.chip_crossings) == (hops, crossings)
    assert crossings > 0
    assert f"{crossings:,} steps between chips" in placement.summary()


def test_positions_of_a_placement() -> None:
    placement: Placement = place(dense_program(40))
    positions = positions_of(placement)
    assert positions.mesh == Mesh(8, 4, 4, CHIP.count("cores_per_chip"), 1)
    columns, rows = positions.routers
    assert [(c.x, c.y) for c in placement.cores] == list(zip(columns, rows, strict=True))


@pytest.mark.parametrize(("chips", "wide"), [(1, 1), (2, 2), (4, 2), (5, 3), (8, 3), (9, 3)])
def test_chips_lie_in_a_near_square(chips: int, wide: int) -> None:
    columns, rows = Mesh(8, 4, 4, 120, chips).chip_places(np.arange(chips))
    assert columns.max() + 1 == min(wide, chips)
    assert rows.max() < wide
