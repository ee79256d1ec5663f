"""Rules: all violations are listed, and what they say would fit does, and not more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from placing import dense_program, device
from programs import Sizes, random_program
from variants import Variant
from variants import network as variant_network
from variants import samples as variant_samples

import lnn2loihi as l2l
from lnn2loihi.devices import Device, load_device
from lnn2loihi.errors import PlacementError
from lnn2loihi.placement.activity import activity_of
from lnn2loihi.placement.draft import Draft, packed_draft
from lnn2loihi.placement.rules import RULES, Violation
from lnn2loihi.placement.verb import OBJECTIVES, place
from lnn2loihi.program import LoihiProgram


def violated(program: LoihiProgram, chip: Device, **options: Any) -> dict[str, Violation]:
    """What is violated, by rule."""
    with pytest.raises(PlacementError) as caught:
        place(program, chip, **options)
    found = caught.value.violations
    text = str(caught.value)
    assert all(str(violation) in text for violation in found)
    return {violation.rule: violation for violation in found}


def fits(program: LoihiProgram, chip: Device, **options: Any) -> bool:
    """Whether it can be placed."""
    try:
        place(program, chip, **{"objective": "packed", **options})
    except PlacementError:
        return False
    return True


def test_each_rule_says_what_it_is_about() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule.check.__doc__


@settings(max_examples=10)
@given(st.integers(2, 40), st.integers(1, 30), st.integers(200, 3000))
def test_a_neuron_with_too_many_synapses(units: int, inputs: int, memory: int) -> None:
    program = dense_program(units, inputs)
    chip = device(synaptic_memory_per_core=memory)
    assume(not fits(program, chip))
    assume(fits(dense_program(1, 1, bits=1), chip))
    found = violated(program, chip)
    assert found.keys() == {"synaptic_memory_per_core"}
    violation = found["synaptic_memory_per_core"]
    assert violation.has > violation.limit == memory
    assert "the test" in violation.whose
    check_remedies(violation.fits, units, inputs, chip)


def check_remedies(remedies: Mapping[str, Any], units: int, inputs: int, chip: Device) -> None:
    """What is said to fit fits, and a little more does not."""
    assert remedies
    if "units" in remedies:
        few = remedies["units"]["layer_0"]
        assert fits(dense_program(few, inputs), chip)
        assert not fits(dense_program(few + 1, inputs), chip)
    if "inputs" in remedies:
        few = remedies["inputs"]["input"]
        assert fits(dense_program(units, few), chip)
        assert not fits(dense_program(units, few + 1), chip)
    if "weight_bits" in remedies:
        bits = remedies["weight_bits"]
        assert fits(dense_program(units, inputs, bits=bits), chip)
        assert not fits(dense_program(units, inputs, bits=bits + 1), chip)


def test_too_few_chips() -> None:
    program = dense_program(60)
    chip = device(synaptic_memory_per_core=3000, cores_per_chip=4)
    found = violated(program, chip)
    assert found.keys() == {"chips"}
    violation = found["chips"]
    needed = violation.fits["chips"]
    assert (violation.has, violation.limit) == (needed, 1)
    check_remedies(violation.fits, 60, 4, chip)
    enough = device(chip, chips=needed)
    assert place(program, enough, objective="packed").chips == needed
    assert not fits(program, device(chip, chips=needed - 1))
    assert f"{needed} chips (this device has 1)" in violation.remedy
    for name in violation.fits["devices"]:
        assert fits(program, load_device(name))
    # With enough chips in the device, but not asked for:
    asked = violated(program, enough, chips=1)["chips"]
    assert f"give chips={needed}" in asked.remedy
    assert asked.whose == "the chips that were asked for"
    assert fits(program, enough, chips=asked.fits["chips"])


def test_a_million_neurons_too_many_names_a_larger_board() -> None:
    program = random_program(0, Sizes(2, (700,), 0, 1, 8, 8, 0.0))
    chip = device(neurons_per_core=3)
    violation = violated(program, chip)["chips"]
    assert violation.fits["units"] == {"layer_0": 360}
    assert violation.fits["devices"][0] == "loihi2-kapoho-point"


def test_state_of_interleaved_sequences() -> None:
    variant = Variant(backbone=(5, 5), units=4, memory=True, seed=1)
    x, _ = variant_samples(variant, 2, 4)
    program = l2l.quantize(variant_network(variant), x).interleaved(4)
    neuron = max(
        core.state_memory + core.parameter_memory
        for core in place(program, device(neurons_per_core=1), objective="packed").cores
    )
    chip = device(state_per_neuron=neuron - 1)
    found = violated(program, chip)
    assert found.keys() == {"state_per_neuron"}
    kept = found["state_per_neuron"].fits["interleave"]
    assert fits(program.interleaved(kept), chip)
    assert not fits(program.interleaved(kept + 1), chip)
    assert f"at most {kept} interleaved sequences" in found["state_per_neuron"].remedy
    nothing = violated(program, device(state_per_neuron=1))["state_per_neuron"]
    assert "interleave" not in nothing.fits
    assert nothing.fits["devices"] == ["loihi2-kapoho-point", "loihi2-hala-point"]


@pytest.mark.parametrize("figure", ["axons_in_per_core", "axons_out_per_core"])
def test_axons_where_their_number_is_public(figure: str) -> None:
    program = dense_program(20, inputs=6)
    if figure == "axons_out_per_core":
        chip = device(neurons_per_core=4, **{figure: 20.0})
    else:
        chip = device(**{figure: 15.0})
    found = violated(program, chip)
    assert found.keys() == {figure}
    few = found[figure].fits["units"]["layer_0"]
    assert fits(dense_program(few, 6), chip)
    assert not fits(dense_program(few + 1, 6), chip)


def test_fewer_neurons_stand_on_a_core_where_too_many_axons_would_leave_it() -> None:
    # 40 units fit on a core, and their 40 targets take five: 200 axons would leave the first one.
    shape = Sizes(2, (40, 40), 0, 8, 8, 8, density=1.0)
    program = random_program(0, shape)
    need = place(program, device(neurons_per_core=1), objective="packed", chips=1).cores
    memory = 8 * max(core.synaptic_memory for core in need)
    chip = device(synaptic_memory_per_core=memory, cores_per_chip=99)
    free = place(program, device(chip, axons_out_per_core=None), objective="packed")
    limit = max(core.axons_out for core in free.cores) - 1
    for objective in OBJECTIVES:
        found = place(program, device(chip, axons_out_per_core=limit), objective=objective)
        assert max(core.axons_out for core in found.cores) <= limit
        assert len(found.cores) >= len(free.cores)


def test_fast_falls_back_to_the_packed_cores_where_axons_allow_no_more() -> None:
    # On three cores, the one with three of seven neurons sends each to three cores.
    program = dense_program(7, outputs=0)
    assert len(place(program, device(cores_per_chip=3)).cores) == 3
    placement = place(program, device(cores_per_chip=3, axons_out_per_core=7))
    assert [core.axons_out for core in placement.cores] == [7]
    assert placement.cores == place(program, objective="packed").cores


def test_synapses_of_a_chip() -> None:
    program = dense_program(20)
    chip = device(synapses_per_chip=50.0, chips=99, neurons_per_core=9)
    found = violated(program, chip)["synapses_per_chip"]
    few = found.fits["units"]["layer_0"]
    assert fits(dense_program(few), chip) and not fits(dense_program(few + 1), chip)


def test_all_violations_are_listed() -> None:
    program = forged(dense_program(30, 9))
    chip = device(
        time_per_instruction=None, state_per_neuron=8, synaptic_memory_per_core=200,
        memory_per_core=300, axons_in_per_core=7, axons_out_per_core=8, synapses_per_chip=20,
        cores_per_chip=2,
    )  # fmt: skip
    found = violated(program, chip)
    assert found.keys() == {rule.name for rule in RULES} - {
        "neurons_per_core", "neuron_groups_per_core",
    }  # fmt: skip
    assert violated(program, chip, objective="packed") == found
    assert found["delay"].has == 70
    assert "8 steps are too many" in found["delay"].remedy
    assert found["message_bits"].has == 30
    assert (found["weight_bits"].has, found["weight_bits"].fits["weight_bits"]) == (9, 8)


def forged(program: LoihiProgram) -> LoihiProgram:
    """A program that breaks limits which LoihiProgram itself would refuse."""
    broken = replace(program.connections[1], delay=0)
    object.__setattr__(broken, "delay", 70)
    object.__setattr__(broken, "mantissa_bits", 9)
    population = replace(program.populations[0])
    object.__setattr__(population, "message", replace(population.message, bits=30))
    other = replace(program)
    object.__setattr__(
        other, "connections", (program.connections[0], broken, *program.connections[2:])
    )
    object.__setattr__(other, "populations", (population, *program.populations[1:]))
    return other


def test_neurons_of_a_core_are_checked_however_it_was_cut() -> None:
    program = dense_program(12)
    draft = packed_draft(program, device(), 1, activity_of(program, None))
    crowded = Draft(program, device(neurons_per_core=5), 1, draft.activity, draft.cut)
    rule = next(rule for rule in RULES if rule.name == "neurons_per_core")
    (violation,) = rule.check(crowded)
    assert (violation.has, violation.limit) == (14, 5)
    assert violation.subject == "the neurons of layer_0 and readout"
    assert not list(rule.check(draft))


def test_neuron_groups_of_a_core_are_checked_however_it_was_cut() -> None:
    program = dense_program(12)
    draft = packed_draft(program, device(), 1, activity_of(program, None))
    crowded = Draft(program, device(neuron_groups_per_core=1), 1, draft.activity, draft.cut)
    rule = next(rule for rule in RULES if rule.name == "neuron_groups_per_core")
    (violation,) = rule.check(crowded)
    assert (violation.has, violation.limit) == (2, 1)
    assert violation.subject == "the neurons of layer_0 and readout"
    assert not list(rule.check(draft))


def test_fewer_weight_bits_are_no_way_to_save_memory() -> None:
    program = dense_program(30, 40)
    for limits in (
        {"synaptic_memory_per_core": 200},
        {"memory_per_core": 600, "synaptic_memory_per_core": 600},
        {"neurons_per_core": 1, "cores_per_chip": 3},
    ):
        for violation in violated(program, device(**limits)).values():
            assert "weight_bits" not in violation.fits and "bit (w" not in violation.remedy


def test_a_violation_is_one_sentence_after_the_other() -> None:
    found = violated(dense_program(30, 40), device(synaptic_memory_per_core=600))
    text = str(found["synaptic_memory_per_core"])
    assert text.startswith("a neuron of layer_0, 30 of them, one on each core: synaptic memory")
    assert "B, the limit is 600 B (the test; assumed). What fits: " in text
    assert np.isfinite(found["synaptic_memory_per_core"].has)
