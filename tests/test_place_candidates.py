"""Candidates: cuts from the fewest cores to the fastest, of which place takes two."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from placing import dense_program, device, sizes
from programs import Sizes, random_inputs, random_program
from test_place import assert_sound, deep_program, roomy

import lnn2loihi as l2l
from lnn2loihi.errors import PlacementError
from lnn2loihi.placement.candidates import candidates
from lnn2loihi.placement.verb import place

BUSY = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@BUSY
@given(st.integers(0, 99), sizes(), st.floats(0.05, 1.0))
def test_each_takes_more_cores_and_has_shorter_steps(seed: int, shape: Sizes, part: float) -> None:
    program = random_program(seed, shape)
    chip = device(**roomy(program, part))
    found = candidates(program, chip)
    for before, after in zip(found, found[1:], strict=False):
        assert before.cores < after.cores
        assert before.step_seconds > after.step_seconds
    assert [one.objective for one in found].count("packed") == 1
    assert found[0].place() == place(program, chip, objective="packed")
    for one in found:
        placement = one.place()
        assert_sound(placement)
        assert (len(placement.cores), placement.chips) == (one.cores, one.chips)
        assert placement.objective == one.objective
        assert placement.step_seconds >= one.step_seconds * (1 - 1e-12)
        assert placement is one.place()
    fast = place(program, chip)
    named = [one.place() for one in found if one.objective == "fast"]
    assert fast.cores == (named[0] if named else found[0].place()).cores
    assert len(named) <= 1


@BUSY
@given(st.integers(0, 99), st.integers(1, 3))
def test_nominal_energy_is_that_of_the_cost_model_without_hops(seed: int, substeps: int) -> None:
    shape = Sizes(6, (20, 9), 3, 8, 8, 8, density=0.6)
    program = l2l.LoihiProgram(**{**fields_of(random_program(seed, shape)), "substeps": substeps})
    counters = l2l.simulate(program, random_inputs(seed, program, 2, 5), "blas").counters
    chip = device(energy_per_hop=0.0, time_per_link_message=0.0)
    for one in candidates(program, chip, counters=counters):
        found = l2l.estimate(l2l.workload(one.place(), counters), chip)
        assert one.dynamic_energy == pytest.approx(found.energy["dynamic"].value, rel=1e-9)
        assert one.step_seconds == pytest.approx(found.step_time.value, rel=1e-9)


def fields_of(program: l2l.LoihiProgram) -> dict[str, object]:
    names = ("name", "recipe", "input", "populations", "connections", "output", "schedule")
    return {name: getattr(program, name) for name in names}


@pytest.mark.parametrize("interleave", [1, 3])
def test_nominal_energy_of_programs_with_phases(interleave: int) -> None:
    program = deep_program(interleave)
    x = random_inputs(0, program, 2, 5)
    counters = l2l.simulate(program, x, "blas").counters
    chip = device(energy_per_hop=0.0, time_per_link_message=0.0, time_per_spike=3e-9)
    for one in candidates(program, chip, counters=counters):
        found = l2l.estimate(l2l.workload(one.place(), counters), chip)
        assert one.dynamic_energy == pytest.approx(found.energy["dynamic"].value, rel=1e-9)
        assert one.step_seconds == pytest.approx(found.step_time.value, rel=1e-9)


def test_dear_messages_take_fewer_cores() -> None:
    program = dense_program(60)
    cheap, dear = (device(energy_per_message=value) for value in (0.0, 1e-7))
    assert len(place(program, dear).cores) < len(place(program, cheap).cores)
    assert (
        place(program, dear, objective="packed").cores
        == place(program, cheap, objective="packed").cores
    )


def test_slow_senders_take_fewer_cores() -> None:
    # With messages that are slow to send, and go to each core, more cores do not help.
    program = dense_program(60)
    slow = device(time_per_outgoing_message=1e-6)
    assert len(place(program, slow).cores) < len(place(program).cores)


def test_what_rules_forbid_is_no_candidate() -> None:
    program = dense_program(7, outputs=0)
    found = candidates(program, device(axons_out_per_core=7))
    # Each of two and more cores sends to all: more than seven axons where it holds several neurons.
    assert {one.cores for one in found} == {1, 7}
    with pytest.raises(PlacementError, match="axons in per core"):
        candidates(program, device(axons_in_per_core=3.0))
