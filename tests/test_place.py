"""Placement: every neuron once, within every limit, near the fewest cores, the same every time."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from placing import dense_program, device, sizes, usage
from programs import Sizes, random_program
from variants import Variant
from variants import network as variant_network
from variants import samples as variant_samples

import lnn2loihi as l2l
from lnn2loihi.errors import DeviceError, InputError, PlacementError
from lnn2loihi.neurons.listing import listing
from lnn2loihi.placement.activity import activity_of
from lnn2loihi.placement.draft import CORE_LIMITS, cutters_of
from lnn2loihi.placement.line import line_of
from lnn2loihi.placement.memory import DELAYED_SYNAPSE_BITS, SYNAPSE_BITS, list_units, units
from lnn2loihi.placement.partition import Limits
from lnn2loihi.placement.placement import Core, Placement
from lnn2loihi.placement.verb import OBJECTIVES, place
from lnn2loihi.program import LoihiProgram

DEEP = Variant(backbone=(7, 5), units=6, layers=2, seed=3)


def deep_program(interleave: int = 1, variant: Variant = DEEP) -> LoihiProgram:
    """A program whose populations wait for their phase."""
    x, _ = variant_samples(variant, 2, 6)
    program = l2l.quantize(variant_network(variant), x)
    assert program.schedule.period > 2
    return program.interleaved(interleave)


def assert_sound(placement: Placement) -> None:
    """Every neuron once, figures that are those of the slices, and no core over a limit."""
    program, chip = placement.program, placement.device
    placed = {p.name: np.zeros(p.size, int) for p in program.populations}
    for core in placement.cores:
        for part in core.slices:
            assert 0 <= part.first < part.stop
            placed[part.population][part.first : part.stop] += 1
    assert all((times == 1).all() for times in placed.values())
    out = np.zeros(len(placement.cores), int)
    for origin in placement.axons.origin[placement.axons.origin >= 0]:
        out[origin] += 1
    for core, leaving in zip(placement.cores, out, strict=True):
        counted = usage(program, core)
        assert {name: getattr(core, name) for name in counted} == counted
        assert core.axons_out == leaving
        limits = {
            "neurons": "neurons_per_core",
            "neuron_groups": "neuron_groups_per_core",
            "synaptic_memory": "synaptic_memory_per_core",
            "memory": "memory_per_core",
            "axons_in": "axons_in_per_core",
            "axons_out": "axons_out_per_core",
        }
        for name, figure in limits.items():
            limit = chip.get(figure)
            assert limit is None or getattr(core, name) <= limit.value
    assert len({(core.chip, core.index) for core in placement.cores}) == len(placement.cores)
    assert placement.chips <= chip.count("chips")
    for core in placement.cores:
        router = core.index // chip.count("cores_per_router")
        assert 0 <= core.index < chip.count("cores_per_chip")
        assert (core.x, core.y) == (
            router % chip.count("mesh_columns"),
            router // chip.count("mesh_columns"),
        )


def roomy(program: LoihiProgram, part: float) -> dict[str, float]:
    """Limits of so much of what the program takes on one core, but room for each neuron."""
    (whole,) = place(program, device(neuron_groups_per_core=None), objective="packed").cores
    single = place(program, device(neurons_per_core=1), objective="packed", chips=1).cores
    return {
        figure: float(max(int(part * getattr(whole, name)), *(getattr(c, name) for c in single), 1))
        for figure, name in (
            ("synaptic_memory_per_core", "synaptic_memory"),
            ("memory_per_core", "memory"),
            ("axons_in_per_core", "axons_in"),
        )
    }


@settings(max_examples=25)
@given(st.integers(0, 99), sizes(), st.floats(0.02, 1.0), st.integers(1, 40), st.integers(1, 5))
def test_placements_are_sound_and_packed_takes_no_more_cores(
    seed: int, shape: Sizes, part: float, neurons: int, groups: int
) -> None:
    program = random_program(seed, shape)
    chip = device(**roomy(program, part), neurons_per_core=neurons, neuron_groups_per_core=groups)
    found = {objective: place(program, chip, objective=objective) for objective in OBJECTIVES}
    for placement in found.values():
        assert_sound(placement)
    packed, fast = found["packed"], found["fast"]
    assert len(packed.cores) <= len(fast.cores)
    assert fast.step_seconds <= packed.step_seconds * (1 + 1e-12)
    assert place(program, chip) == fast


@settings(max_examples=12)
@given(st.integers(0, 99), sizes(), st.floats(0.02, 0.6), st.integers(1, 400))
def test_no_core_of_any_placement_sends_along_too_many_axons(
    seed: int, shape: Sizes, part: float, axons: int
) -> None:
    program = random_program(seed, shape)
    chip = device(**roomy(program, part), axons_out_per_core=axons)
    for objective in OBJECTIVES:
        try:
            placement = place(program, chip, objective=objective)
        except PlacementError as error:
            assert {v.rule for v in error.violations} == {"axons_out_per_core"}
        else:
            assert_sound(placement)


@settings(max_examples=10)
@given(st.integers(0, 99), st.floats(0.05, 0.5), st.integers(1, 3), st.integers(2, 12))
def test_packed_cores_are_the_fewest_of_any_cut_of_their_line(
    seed: int, part: float, groups: int, neurons: int
) -> None:
    program = random_program(seed, Sizes(3, (6, 5), 3, density=0.6))
    chip = device(**roomy(program, part), neuron_groups_per_core=groups, neurons_per_core=neurons)
    (cutter,) = cutters_of(program, chip, activity_of(program, None))
    line, limits = cutter.line, Limits.of(chip)
    fewest = [0]  # cores of the first neurons, by trying every last core
    for stop in range(1, line.neurons + 1):
        fits = [n for n in range(stop) if limits.used(line, line.share(n, stop)) <= 1.0]
        fewest.append(1 + min(fewest[n] for n in {*fits, stop - 1}))
    assert len(place(program, chip, objective="packed").cores) == fewest[-1]


@settings(max_examples=15)
@given(st.integers(0, 99), sizes(), st.floats(0.02, 0.5), st.integers(1, 4))
def test_no_packed_core_has_room_for_one_more_neuron(
    seed: int, shape: Sizes, part: float, groups: int
) -> None:
    program = random_program(seed, replace(shape, skip_delay=False))
    limits = {**roomy(program, part), "neuron_groups_per_core": float(groups)}
    chip = device(**limits)
    cores = place(program, chip, objective="packed").cores
    for core, following in zip(cores, cores[1:], strict=False):
        more = usage(program, with_next_neuron(core, following))
        assert any(
            more[name] > limits[f"{name}_per_core"]
            for name in ("synaptic_memory", "memory", "axons_in", "neuron_groups")
        )


def with_next_neuron(core: Core, following: Core) -> Core:
    """A core that holds one neuron more."""
    last, first = core.slices[-1], following.slices[0]
    more = replace(first, stop=first.first + 1)
    if more.population == last.population:
        return replace(core, slices=(*core.slices[:-1], replace(last, stop=more.stop)))
    return replace(core, slices=(*core.slices, more))


@pytest.mark.parametrize("interleave", [1, 3])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_programs_with_phases(objective: str, interleave: int) -> None:
    program = deep_program(interleave)
    placement = place(program, objective=objective)
    assert_sound(placement)
    if objective == "packed":
        assert len(placement.cores) == 1
        return
    assert len(placement.cores) > 1
    assert placement.step_seconds <= place(program, objective="packed").step_seconds


def test_mixed_populations_make_a_period_shorter() -> None:
    # Populations that take turns, on two cores: half of each on both is faster than one after the
    # other.
    program = deep_program(variant=Variant(backbone=(12, 12), units=12, readout=False, seed=1))
    placement = place(program, device(cores_per_chip=2))
    held = [[part.population for part in core.slices] for core in placement.cores]
    assert held == [["layer_0.backbone_0", "layer_0.backbone_1", "layer_0"]] * 2
    assert_sound(placement)


MANY = deep_program(variant=Variant(backbone=(4, 3, 5), units=4, layers=4, seed=2))


@cache
def many_limits(part: float) -> dict[str, float]:
    return roomy(MANY, part)


@settings(max_examples=10)
@given(st.integers(1, 20), st.sampled_from([0.05, 0.3, 1.0]), st.integers(1, 60))
def test_mixed_lines_of_many_populations_keep_every_limit(
    groups: int, part: float, neurons: int
) -> None:
    assert len(MANY.populations) > 16
    chip = device(**many_limits(part), neuron_groups_per_core=groups, neurons_per_core=neurons)
    found = {objective: place(MANY, chip, objective=objective) for objective in OBJECTIVES}
    for placement in found.values():
        assert_sound(placement)
        assert max(core.neuron_groups for core in placement.cores) <= groups
    fewest = len(found["packed"].cores)
    assert fewest >= -(-len(MANY.populations) // groups)
    assert fewest <= min(len(other.cores) for other in found.values())


def test_mixed_lines_fill_cores_although_few_groups_fit_on_one() -> None:
    # All 17 populations in turns would give each core one neuron of each of its 8 groups.
    wide = deep_program(variant=Variant(backbone=(30, 30, 30), units=30, layers=4, seed=2))
    line = line_of(wide, activity_of(wide, None), 8)
    assert sorted(np.concatenate([group.positions for group in line.groups])) == [
        *range(wide.neurons)
    ]
    together = [set(line.owner[first : first + 40].tolist()) for first in range(0, 480, 40)]
    assert max(map(len, together)) <= 2 * 8 and 1 < min(map(len, together)) <= 8
    placement = place(wide)
    assert_sound(placement)
    assert max(core.neuron_groups for core in placement.cores) <= 8


def test_more_chips_only_where_they_are_asked_for_or_needed() -> None:
    program = dense_program(300)
    board = device(chips=4, cores_per_chip=8)
    assert place(program, board).chips == 1
    assert place(program, board, chips=1).chips == 1
    wide = place(program, board, chips=4)
    assert wide.chips > 1
    assert wide.step_seconds < place(program, board).step_seconds
    assert_sound(wide)
    tight = device(chips=4, cores_per_chip=2, synaptic_memory_per_core=150_000)
    assert place(program, tight, objective="packed").chips == -(
        -len(place(program, tight, objective="packed").cores) // 2
    )


def test_synapses_of_a_chip_fill_it() -> None:
    program = dense_program(40)
    board = device(chips=8, synapses_per_chip=program.synapses // 3, neurons_per_core=5)
    placement = place(program, board, objective="packed")
    assert placement.chips > 2
    for chip in range(placement.chips):
        held = sum(core.synapses for core in placement.cores if core.chip == chip)
        assert held <= program.synapses // 3


def test_fast_for_real_activity() -> None:
    # Half of the sources are silent: what they feed is cheap, and gets fewer cores.
    program = random_program(5, Sizes(20, (60,), 0, message_bits=8, input_bits=8, density=1.0))
    x = np.zeros((3, 30, 20), np.int64)
    counters = l2l.simulate(program, x, "blas").counters
    quiet = place(program, counters=counters)
    loud = place(program)
    assert "exact counters of 90 simulated samples" in quiet.activity
    assert "no counters" in loud.activity
    assert quiet.step_seconds < loud.step_seconds
    assert quiet.traffic.messages < loud.traffic.messages


def test_fast_spends_no_cores_that_do_not_help() -> None:
    # With steps of a second nothing that neurons do matters.
    slow = device(time_per_step=1.0)
    assert len(place(dense_program(50), slow).cores) == 1
    free = device(active_core_power=0.0, static_power_per_chip=1.0, time_per_step=1e-9)
    assert len(place(dense_program(50), free).cores) > 40


def test_where_nothing_takes_time_no_core_helps() -> None:
    names = ("synaptic_operation", "neuron_update", "instruction", "message")
    idle = device(**{f"time_per_{name}": 0.0 for name in names})
    assert len(place(dense_program(50), idle).cores) == 1


def test_stored_instructions_are_those_of_the_listing() -> None:
    for population in deep_program().populations:
        text = listing(population.program, 3, 4)
        lines = [line for line in text.text.splitlines() if line[0] != ";"]
        assert text.stored_count == sum(not line.endswith(":") for line in lines)


@pytest.mark.parametrize(
    ("synapses", "words"), [(100, 26), (50, 13), (43, 12), (17, 5), (10, 3), (1, 1), (0, 0)]
)
def test_lists_take_what_compile_logs_say(synapses: int, words: int) -> None:
    # 13 words for 50 synapses, and 1 for 1, stand in the log of pilotnet_snn/benchmark.ipynb.
    assert list_units(np.array([synapses]), SYNAPSE_BITS) == [words]


@pytest.mark.parametrize(("synapses", "words"), [(200, 63), (256, 81)])
def test_lists_with_delays_take_what_compile_logs_say(synapses: int, words: int) -> None:
    assert list_units(np.array([synapses]), DELAYED_SYNAPSE_BITS) == [words]


def test_the_width_of_weights_saves_no_memory() -> None:
    narrow, wide = (
        place(dense_program(60, bits=bits), objective="packed").cores for bits in (1, 8)
    )
    assert [core.synaptic_memory for core in narrow] == [core.synaptic_memory for core in wide]


def test_units() -> None:
    assert units([]) == 0
    assert units([24, 24]) == 1  # a LIF neuron's current and voltage
    assert units([24, 24, 24]) == 2
    assert units([8, 24, 8, 24]) == 1
    assert units([24, 8, 24, 8, 24, 8]) == 2


def test_summary_is_readable() -> None:
    for program, objective in (
        (dense_program(300), "fast"),
        (deep_program(), "fast"),
        (deep_program(), "packed"),
    ):
        placement = place(program, objective=objective)
        text = placement.summary()
        assert max(map(len, text.splitlines())) <= 100
        assert f"{objective}: {len(placement.cores)} core" in text
        assert placement.cores[placement.bottleneck].name in text
        assert all(f"{name.replace('_per_core', '')}".replace("_", " ") in text
                   for name in CORE_LIMITS)  # fmt: skip
        for unchecked in placement.unchecked:
            assert unchecked[:40] in text
        for note in placement.device.notes:
            assert note[:40] in text
        assert str(placement) == text


def test_summary_names_every_neuron_once() -> None:
    program = deep_program()
    text = place(program).summary()
    for population in program.populations:
        stops = [0]
        for part in text.split(f"{population.name}[")[1:]:
            first, stop = map(int, part.split("]")[0].split(":"))
            if first == stops[-1]:
                stops.append(stop)
        assert stops[-1] == population.size


def test_json() -> None:
    placement = place(dense_program(20), objective="packed")
    plain = json.loads(json.dumps(placement.to_dict()))
    assert plain["cores"][0]["slices"][0] == {"population": "layer_0", "first": 0, "stop": 20}
    assert plain["cores"][0]["memory"] == placement.cores[0].memory
    assert plain["unchecked"] == list(placement.unchecked)
    assert plain["limits"]["neurons_per_core"] == 4096
    assert plain["limits"].keys() == plain["limit_grades"].keys() == CORE_LIMITS.keys()
    assert {*plain["limit_grades"].values()} == {"logged"}


def test_unchecked_limits_say_what_is_used() -> None:
    program = dense_program(20, inputs=4)
    texts = place(program, objective="packed").unchecked
    said = " ".join(texts)
    assert "axons" not in said, "the profile gives both limits"
    assert "up to 72 synapses on a neuron" in said  # three accumulators, 24 sources
    assert "up to 62 synapses from a neuron" in said  # to 60 accumulators and 2 outputs
    assert "up to 3 input accumulators a neuron" in said
    silent = device(axons_in_per_core=None, axons_out_per_core=None)
    said = " ".join(place(program, silent, objective="packed").unchecked)
    assert "up to 24 axons into a core" not in said  # 4 inputs, 20 units, and 20 to the readout
    assert "up to 44 axons into a core: the profile gives no limit" in said
    assert "not public" in place(program, silent).summary()


def test_arguments_are_checked() -> None:
    program = dense_program(5)
    with pytest.raises(InputError, match="'dense' is none of fast, packed"):
        place(program, objective="dense")
    with pytest.raises(InputError, match="'balanced' is called 'fast' now"):
        place(program, objective="balanced")
    for chips in (0, 2, True, 1.0):
        with pytest.raises(InputError, match="has 1 to 1|give a whole number"):
            place(program, chips=chips)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="is a cpu; programs run on a Loihi"):
        place(program, "cpu-generic-thread")
    with pytest.raises(DeviceError, match="is unknown"):
        place(program, "loihi7")
    other = l2l.simulate(dense_program(6), np.zeros((1, 1, 4)), "blas").counters
    with pytest.raises(InputError, match=r"layer_0: shape \(6,\), expected \(5,\)"):
        place(program, counters=other)
    with pytest.raises(InputError, match="they count no sample"):
        place(program, counters=replace(other, samples=0))
    with pytest.raises(InputError, match="readout is missing"):
        place(program, counters=replace(other, non_zero={"input": other.non_zero["input"]}))


def test_loihi_1_runs_no_programs() -> None:
    with pytest.raises(PlacementError, match="there are no instructions") as caught:
        place(dense_program(5), "loihi1")
    assert {v.rule for v in caught.value.violations} >= {"programmable_neurons"}
    assert "loihi2-oheo-gulch" in caught.value.violations[0].fits["devices"]
