"""Copies that share chips: their integers are those of one, and their counts are added up tile by
tile.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from placing import CHIP, dense_program, device, sizes
from programs import Sizes, random_inputs, random_program
from test_place import assert_sound, deep_program
from test_place_workload import ENGINE, counted, link_counts, messages
from variants import Variant
from variants import network as variant_network
from variants import samples as variant_samples

import lnn2loihi as l2l
from lnn2loihi.errors import InputError, PlacementError
from lnn2loihi.placement.blocks import copied
from lnn2loihi.placement.copies import CopiesPlacement
from lnn2loihi.placement.copying import copies_candidates, place_copies
from lnn2loihi.placement.placement import Placement
from lnn2loihi.placement.search import OBJECTIVES
from lnn2loihi.placement.verb import place
from lnn2loihi.program import LoihiProgram

Run = Callable[..., tuple[int, str, str]]
BUSY = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def tiles(placement: CopiesPlacement) -> list[list[Placement]]:
    """For each group of chips the blocks on it, with the positions that they have there."""
    found, columns = [], placement.device.count("mesh_columns")
    routers, first = placement.device.count("cores_per_router"), 0
    for filling in placement.fillings:
        for _ in range(filling.times):
            spots = list(zip(filling.chip.tolist(), filling.slot.tolist(), strict=True))
            group: list[Placement] = []
            for block, times in zip(placement.blocks, filling.blocks, strict=True):
                for _ in range(times):
                    cores = []
                    for core in block.placement.cores:
                        chip, slot = spots.pop(0)
                        router = slot // routers
                        cores.append(
                            replace(core, chip=first + chip, index=slot, x=router % columns,
                                    y=router // columns)
                        )  # fmt: skip
                    group.append(replace(block.placement, cores=tuple(cores)))
            assert not spots
            found.append(group)
            first += filling.chips
    return found


def assert_copies(placement: CopiesPlacement, sent: dict[str, np.ndarray], counters: Any) -> None:
    """Every copy once, no chip too full, and the counts of all blocks one by one."""
    chip, program = placement.device, placement.program
    assert sum(block.copies * block.times for block in placement.blocks) == placement.copies
    for number, block in enumerate(placement.blocks):
        assert_sound(block.placement)
        assert block.times == sum(f.times * f.blocks[number] for f in placement.fillings)
    groups = tiles(placement)
    spots = [(c.chip, c.index) for group in groups for tile in group for c in tile.cores]
    assert len(set(spots)) == len(spots) == placement.cores
    assert max(slot for _, slot in spots) < chip.count("cores_per_chip")
    assert placement.chips == len({number for number, _ in spots}) <= chip.count("chips")
    names = tuple(core.name for group in groups for tile in group for core in tile.cores)
    assert names == placement.core_names
    found = l2l.workload(placement, counters)
    expected: dict[str, list[np.ndarray]] = {}
    links = np.zeros(program.schedule.period)
    for group in groups:
        carried: list[dict[Any, float]] = [defaultdict(float) for _ in links]
        for tile in group:
            here = {name: np.tile(v, tile_copies(tile, program)) for name, v in sent.items()}
            for name, counts in counted(tile, here).items():
                expected.setdefault(name, []).append(counts)
            for total, more in zip(carried, link_counts(tile, here), strict=True):
                for link, count in more.items():
                    total[link] += count
        links = np.maximum(links, [max(one.values(), default=0.0) for one in carried])
    for name, parts in expected.items():
        if name in ("hops", "messages"):
            counts = np.sum(parts, axis=0)
        elif name == "link_messages":
            counts = links
        else:
            counts = np.concatenate(parts, axis=1)
        times = (program.substeps,) + (1,) * (counts.ndim - 1)
        np.testing.assert_allclose(
            getattr(found, name), np.tile(counts, times), rtol=1e-12, atol=1e-12, err_msg=name
        )
    assert (found.copies, found.chips, found.cores) == (
        placement.copies, placement.chips, placement.cores,
    )  # fmt: skip
    per_sample = found.per_sample()
    assert placement.traffic.messages == pytest.approx(per_sample["messages"] * placement.copies)
    assert placement.traffic.hops == pytest.approx(per_sample["hops"] * placement.copies)
    step = l2l.estimate(found, chip).step_time.value
    assert placement.step_seconds == pytest.approx(step, rel=1e-9)


def tile_copies(tile: Placement, program: LoihiProgram) -> int:
    return tile.program.neurons // program.neurons


@BUSY
@given(
    st.integers(0, 99), sizes(), st.integers(1, 9), st.integers(1, 120),
    st.integers(2, 7), st.sampled_from(OBJECTIVES),
)  # fmt: skip
def test_counts_are_those_of_every_tile(
    seed: int, shape: Sizes, copies: int, neurons: int, cores: int, objective: str
) -> None:
    program = random_program(seed, shape)
    inputs = random_inputs(seed, program, 2, 4)
    inputs[:, ::2] = 0
    counters = l2l.simulate(program, inputs, ENGINE).counters
    # No copy takes more than a chip.
    room = max(neurons, -(-program.neurons // cores))
    chip = device(neurons_per_core=room, cores_per_chip=cores, chips=copies)
    found = place_copies(program, chip, copies, objective=objective, counters=counters)
    assert_copies(found, messages(program, inputs), counters)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_programs_with_phases_that_take_turns(objective: str) -> None:
    program = deep_program(3)
    x, _ = variant_samples(Variant(backbone=(7, 5), units=6, layers=2, seed=3), 2, 4)
    counters = l2l.simulate(program, x, ENGINE).counters
    chip = device(neurons_per_core=40, cores_per_chip=5, chips=9)
    found = place_copies(program, chip, 7, objective=objective, counters=counters)
    assert_copies(found, messages(program, x), counters)


@BUSY
@given(st.integers(0, 99), sizes(), st.integers(1, 4), st.sampled_from([1, 3]))
def test_no_copys_integers_change(seed: int, shape: Sizes, copies: int, substeps: int) -> None:
    program = replace(random_program(seed, shape), substeps=substeps)
    block = copied(program, copies)
    parts = [random_inputs(seed + n, program, 2, 5) for n in range(copies)]
    whole = l2l.simulate(block, np.concatenate(parts, axis=2), ENGINE)
    each = [l2l.simulate(program, part, ENGINE) for part in parts]
    np.testing.assert_array_equal(
        whole.integers, np.concatenate([one.integers for one in each], axis=2)
    )
    for name, non_zero in whole.counters.non_zero.items():
        expected = np.concatenate([one.counters.non_zero[name] for one in each])
        np.testing.assert_array_equal(non_zero, expected)


def test_no_integers_of_copies_of_trained_programs_change() -> None:
    variant = Variant(memory=True, backbone=(4, 7), units=5, layers=2, seed=2)
    x, _ = variant_samples(variant, 3, 6)
    program = l2l.quantize(variant_network(variant), x)
    one = l2l.simulate(program, x, ENGINE)
    whole = l2l.simulate(copied(program, 3), np.concatenate([x, x[::-1], x], axis=2), ENGINE)
    np.testing.assert_array_equal(
        whole.integers,
        np.concatenate([one.integers, one.integers[::-1], one.integers], axis=2),
    )


def test_elapsed_times_are_channels_of_each_copy() -> None:
    variant = Variant(units=5, irregular=True, seed=2)
    x, elapsed = variant_samples(variant, 2, 6)
    program = l2l.quantize(variant_network(variant), x, calibrate_timespans=elapsed)
    assert program.timed
    counters = l2l.simulate(program, x, ENGINE, timespans=elapsed).counters
    found = place_copies(program, device(cores_per_chip=3), 5, counters=counters)
    block = copied(program, 2)
    assert (block.timed, block.channels) == (False, 2 * program.input.size)
    assert_copies(found, messages(program, x, elapsed), counters)


def test_one_copy_is_placed_as_place_does() -> None:
    program = random_program(3, Sizes(4, (30, 9), 3, density=1.0))
    counters = l2l.simulate(program, random_inputs(0, program, 2, 6), ENGINE).counters
    for objective in OBJECTIVES:
        one = place(program, objective=objective, counters=counters)
        (block,) = place_copies(program, objective=objective, counters=counters).blocks
        assert block.placement == one
        found = [l2l.workload(p, counters) for p in (one, place_copies(
            program, objective=objective, counters=counters))]  # fmt: skip
        assert found[0] == replace(found[1], source=found[0].source)


def test_copies_of_one_cost_less_each() -> None:
    program = dense_program(20)
    counters = l2l.simulate(program, random_inputs(0, program, 2, 6), ENGINE).counters
    energies = []
    for copies in (1, 10, 100):
        counts = l2l.workload(
            place_copies(program, CHIP, copies, objective="packed", counters=counters), counters
        )
        found = l2l.estimate(counts, CHIP, rate=100.0).energy
        energies.append(found["total_full_chip"].value)
    # One chip's static power, which is nearly all of it, is shared.
    assert energies[1] == pytest.approx(energies[0] / 10, rel=0.01)
    assert energies[2] == pytest.approx(energies[0] / 100, rel=0.05)


@settings(BUSY, max_examples=5)
@given(st.integers(0, 99), sizes(), st.integers(1, 40), st.integers(1, 6))
def test_candidates_take_more_cores_and_have_shorter_steps(
    seed: int, shape: Sizes, copies: int, cores: int
) -> None:
    program = random_program(seed, shape)
    chip = device(cores_per_chip=cores, chips=copies)
    found = copies_candidates(program, chip, copies)
    for before, after in zip(found, found[1:], strict=False):
        assert before.cores < after.cores
        assert before.step_seconds > after.step_seconds
    assert found[0].objective == "packed"
    assert sum(one.objective == "fast" for one in found) <= 1
    assert all(one.chips <= copies for one in found)
    fast = place_copies(program, chip, copies)
    named = [one.cores for one in found if one.objective == "fast"] or [found[0].cores]
    assert [fast.cores] == named
    alone = place(program, device(cores_per_chip=cores))
    assert fast.cores <= copies * len(alone.cores)
    for one in (found[0], found[-1]):
        assert (one.place().cores, one.place().chips) == (one.cores, one.chips)


def test_nominal_energy_of_a_copy_is_that_of_the_cost_model_without_hops() -> None:
    program = replace(random_program(3, Sizes(4, (12, 9), 3, density=0.6)), substeps=2)
    counters = l2l.simulate(program, random_inputs(0, program, 2, 6), ENGINE).counters
    chip = device(energy_per_hop=0.0, time_per_link_message=0.0, neurons_per_core=60, chips=9,
                  cores_per_chip=7)  # fmt: skip
    for one in copies_candidates(program, chip, 11, counters=counters):
        found = l2l.estimate(l2l.workload(one.place(), counters), chip)
        assert one.dynamic_energy == pytest.approx(found.energy["dynamic"].value, rel=1e-9)
        assert one.step_seconds == pytest.approx(found.step_time.value, rel=1e-9)


def test_as_many_as_fit_share_a_core() -> None:
    program = dense_program(10, outputs=0)
    found = place_copies(program, device(neurons_per_core=35), 10, objective="packed")
    # Three on a core, four cores: filled evenly, the last one with what is left.
    assert [(block.copies, block.times) for block in found.blocks] == [(3, 3), (1, 1)]
    even = place_copies(program, device(neurons_per_core=75), 8, objective="packed")
    assert [(block.copies, block.times) for block in even.blocks] == [(4, 2)]
    (block,) = place_copies(program, CHIP, 5, objective="packed").blocks
    alone = place(program, objective="packed").cores[0]
    # Programs are there once, all else as often as there are copies.
    (shared,) = block.placement.cores
    assert shared.program_memory == alone.program_memory
    assert shared.synapses == 5 * alone.synapses
    assert shared.neurons == 5 * alone.neurons


def test_copies_that_take_several_chips_have_them_for_themselves() -> None:
    program = dense_program(40)
    board = device(chips=12, cores_per_chip=2, neurons_per_core=8)
    one = place(program, board, objective="packed", chips=3)
    assert one.chips == 3
    found = place_copies(program, board, 4, objective="packed")
    assert (found.cores, found.chips) == (4 * len(one.cores), 12)
    assert found.traffic.hops == 4 * one.traffic.hops
    assert found.traffic.chip_crossings == 4 * one.traffic.chip_crossings
    counters = l2l.simulate(program, random_inputs(0, program, 1, 4), ENGINE).counters
    counts = [l2l.workload(placement, counters) for placement in (one, found)]
    assert counts[1].per_sample() == pytest.approx(counts[0].per_sample())
    assert len(found.core_names) == len(set(found.core_names)) == found.cores
    with pytest.raises(PlacementError, match="the limit is 12") as caught:
        place_copies(program, board, 5)
    assert caught.value.violations[0].fits["copies"] == 4


def test_a_copy_is_not_divided_between_chips() -> None:
    program = dense_program(40)
    board = device(chips=5, cores_per_chip=7, neurons_per_core=9)
    found = place_copies(program, board, 5, objective="packed")
    assert len(place(program, board, objective="packed").cores) == 5
    assert found.chips == 5 and found.traffic.chip_crossings == 0.0
    with pytest.raises(PlacementError, match="What fits: 5 copies"):
        place_copies(program, board, 6)


@settings(BUSY, max_examples=4)
@given(st.integers(5, 15), st.integers(1, 5), st.integers(1, 4), st.integers(10, 40))
def test_what_is_said_to_fit_fits_and_no_more(
    units: int, cores: int, chips: int, neurons: int
) -> None:
    program = dense_program(units)
    board = device(chips=chips, cores_per_chip=cores, neurons_per_core=neurons)
    with pytest.raises(PlacementError) as caught:
        place_copies(program, board, 10_000)
    violation = caught.value.violations[0]
    if "copies" not in violation.fits:  # not even one
        with pytest.raises(PlacementError):
            place(program, board)
        return
    most = violation.fits["copies"]
    assert f"{most:,} cop" in violation.remedy and violation.rule == "chips"
    assert place_copies(program, board, most, objective="packed").copies == most
    with pytest.raises(PlacementError, match="10,000|copies of"):
        place_copies(program, board, most + 1)
    asked = place_copies(program, board, 1, chips=chips)
    assert asked.chips <= chips


def test_too_many_copies_name_whose_limit_it_is() -> None:
    program = dense_program(40)
    with pytest.raises(PlacementError) as caught:
        place_copies(program, "loihi2-kapoho-point", 100_000, chips=2)
    (violation,) = caught.value.violations
    assert violation.whose == "the chips that were asked for"
    assert violation.fits["devices"] == ["loihi2-hala-point"]
    needed = violation.fits["chips"]
    assert place_copies(program, "loihi2-hala-point", 100_000, objective="packed").chips <= needed
    with pytest.raises(PlacementError, match="Intel, Oheo Gulch"):
        place_copies(program, CHIP, 100_000)


def test_synapses_of_a_chip_fill_it() -> None:
    program = dense_program(20)
    board = device(chips=9, synapses_per_chip=3.5 * program.synapses)
    found = place_copies(program, board, 8, objective="packed")
    assert found.chips == 3
    for group in tiles(found):
        synapses = sum(core.synapses for tile in group for core in tile.cores)
        assert synapses <= 3.5 * program.synapses


def test_many_copies_are_small() -> None:
    program = dense_program(20)
    found = place_copies(program, "loihi2-hala-point", 100_000)
    assert found.copies == 100_000
    assert len(found.fillings) <= 2
    assert len(json.dumps(found.to_dict())) < 100_000


def test_arguments_are_checked() -> None:
    program = dense_program(5)
    for copies in (0, -1, True, 1.5, 1 << 31):
        with pytest.raises(InputError, match=r"copies is .*give a whole number from 1"):
            place_copies(program, CHIP, copies)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'balanced' is called 'fast' now"):
        place_copies(program, CHIP, 2, objective="balanced")
    with pytest.raises(InputError, match="has 1 to 1"):
        place_copies(program, CHIP, 2, chips=2)
    other = l2l.simulate(dense_program(6), np.zeros((1, 1, 4)), ENGINE).counters
    with pytest.raises(InputError, match=r"layer_0: shape \(6,\), expected \(5,\)"):
        place_copies(program, CHIP, 2, counters=other)
    with pytest.raises(InputError, match=r"layer_0: shape \(6,\), expected \(5,\)"):
        l2l.workload(place_copies(program, CHIP, 2), other)


def test_summary_and_json() -> None:
    program = dense_program(60, outputs=0)
    found = place_copies(program, device(neurons_per_core=150, chips=2), 5, objective="packed")
    text = str(found)
    assert max(map(len, text.splitlines())) <= 100
    assert "5 copies of" in text and "packed: 3 cores on 1 chip" in text
    assert "block 1       2      1      2" in text
    assert "every copy is taken to do the same" in " ".join(text.split())
    plain = json.loads(json.dumps(found.to_dict()))
    assert [(b["copies"], b["times"]) for b in plain["blocks"]] == [(2, 2), (1, 1)]
    assert plain["fillings"] == [
        {"blocks": [2, 1], "chips": 1, "times": 1, "chip": [0, 0, 0],
         "slot": found.fillings[0].slot.tolist()}
    ]  # fmt: skip
    assert (plain["cores"], plain["chips"], plain["copies"]) == (3, 1, 5)


def test_command_line(run: Run, tmp_path: Path) -> None:
    program = dense_program(40)
    path, samples = tmp_path / "net.l2l", tmp_path / "x.npy"
    l2l.save(program, path)
    np.save(samples, np.random.default_rng(0).normal(size=(2, 9, 4)))
    code, out, err = run("place", path, "--copies", 30, "-i", samples, "--json")
    assert (code, err) == (0, "")
    counters = l2l.simulate(l2l.load(path), np.load(samples)).counters
    found = place_copies(program, CHIP, 30, counters=counters)
    shown = json.loads(out)
    assert shown.pop("schema") == {"name": "lnn2loihi.place", "version": 1}
    assert shown == json.loads(json.dumps(found.to_dict()))
    code, out, _ = run("place", path, "--copies", 30, "--target", "fused,split")
    assert code == 0 and f"{30} copies of" in out
    code, out, err = run("place", path, "--copies", 10**6)
    assert (code, out) == (1, "") and "What fits: " in err
    for wrong in (0, -3, 1 << 40):
        code, out, err = run("place", path, "--copies", wrong)
        assert (code, out) == (1, "") and "give a whole number from 1 to 2**31 - 1" in err
