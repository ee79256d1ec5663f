"""Workloads against a count message by message, from recorded states."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from placing import device, lists, sizes
from programs import Sizes, random_inputs, random_program
from variants import Variant
from variants import network as variant_network
from variants import samples as variant_samples

import lnn2loihi as l2l
from lnn2loihi.cost import Workload, estimate
from lnn2loihi.errors import InputError
from lnn2loihi.neurons.listing import listing
from lnn2loihi.placement.placement import Core, Placement
from lnn2loihi.placement.verb import OBJECTIVES, place
from lnn2loihi.placement.workload import workload
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import encode, held

ENGINE = "blas"


def messages(program: LoihiProgram, x: Any, timespans: Any = None) -> dict[str, np.ndarray]:
    """Messages of every source, (updates, neurons), from recorded states."""
    single = replace(program, substeps=1)
    again = held(program, np.asarray(x))
    inputs, _ = encode(single, again, timespans)
    result = l2l.simulate(single, again, "reference", timespans=timespans, return_states=True)
    states = result.states
    assert states is not None
    found = {program.input.name: inputs}
    for p in program.populations:
        found[p.name] = states[p.name][p.program.message_state or "message"]
    return {name: values.reshape(-1, values.shape[-1]) for name, values in found.items()}


def path(start: tuple[int, int], end: tuple[int, int]) -> int:
    """Hops from router to router, along the row first."""
    hops, (x, y) = 0, start
    while x != end[0]:
        x, hops = x + (1 if end[0] > x else -1), hops + 1
    while y != end[1]:
        y, hops = y + (1 if end[1] > y else -1), hops + 1
    return hops


def home(placement: Placement, source: str, neuron: int) -> Core | None:
    """The core that holds a neuron; None for the input."""
    for core in placement.cores:
        if any(s.population == source and s.first <= neuron < s.stop for s in core.slices):
            return core
    return None


def counted(placement: Placement, sent: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The counts of a workload on one chip, one message after the other, for one update."""
    program, cores = placement.program, placement.cores
    schedule, period = program.schedule, program.schedule.period
    found = {
        name: np.zeros((period, len(cores)))
        for name in ("synaptic_operations", "messages_in", "instructions", "neuron_updates",
                     "spikes", "messages_out")
    }  # fmt: skip
    found["hops"] = np.zeros(period)
    updates = len(sent[program.input.name])
    far = 1000 * period  # long after the first sample
    for number, core in enumerate(cores):
        for (place_, neuron), (stored, _) in lists(program, core).items():
            source = program.connections[place_].source
            non_zero = np.count_nonzero(sent[source][:, neuron]) / updates
            origin = home(placement, source, neuron)
            hops = path((0, 0) if origin is None else (origin.x, origin.y), (core.x, core.y))
            first = schedule.first_valid.get(source, schedule.first_input)
            for phase in range(period):
                if schedule.turn(far + phase - 1, first) is not None:
                    found["synaptic_operations"][phase, number] += non_zero * stored
                    found["messages_in"][phase, number] += non_zero
                    found["hops"][phase] += non_zero * hops
                if origin is not None and schedule.turn(far + phase, first) is not None:
                    found["messages_out"][phase, cores.index(origin)] += non_zero
        for part in core.slices:
            neurons = part.stop - part.first
            first = schedule.first_valid[part.population]
            text = listing(program.population(part.population).program, first, period)
            for phase in range(period):
                due = schedule.turn(far + phase, first) is not None
                executed = text.update_count if due else text.waiting_count
                found["instructions"][phase, number] += neurons * executed
                found["neuron_updates"][phase, number] += neurons
                spikes = np.count_nonzero(sent[part.population][:, part.first : part.stop])
                found["spikes"][phase, number] += due * spikes / updates
    found["messages"] = found["messages_in"].sum(axis=1)
    carried = link_counts(placement, sent)
    found["link_messages"] = np.array([max(links.values(), default=0.0) for links in carried])
    return found


def link_counts(placement: Placement, sent: dict[str, np.ndarray]) -> list[dict[Any, float]]:
    """For each phase the messages of an update on each link, message by message."""
    program, schedule = placement.program, placement.program.schedule
    found: list[dict[Any, float]] = [defaultdict(float) for _ in range(schedule.period)]
    updates, far = len(sent[program.input.name]), 1000 * schedule.period
    for core in placement.cores:
        for place_, neuron in lists(program, core):
            source = program.connections[place_].source
            non_zero = np.count_nonzero(sent[source][:, neuron]) / updates
            origin = home(placement, source, neuron)
            first = schedule.first_valid.get(source, schedule.first_input)
            (x, y), way = (0, 0) if origin is None else (origin.x, origin.y), []
            way.append(("from", None if origin is None else (origin.chip, origin.index)))
            while x != core.x:
                step = 1 if core.x > x else -1
                way.append(("row", x, y, step))
                x += step
            while y != core.y:
                step = 1 if core.y > y else -1
                way.append(("column", x, y, step))
                y += step
            way.append(("to", (core.chip, core.index)))
            for phase in range(schedule.period):
                if schedule.turn(far + phase - 1, first) is not None:
                    for link in way:
                        found[phase][link] += non_zero
    return found


def assert_counts(placement: Placement, sent: dict[str, np.ndarray], found: Workload) -> None:
    program = placement.program
    for name, expected in counted(placement, sent).items():
        times = (program.substeps,) + (1,) * (expected.ndim - 1)
        np.testing.assert_allclose(
            getattr(found, name), np.tile(expected, times), rtol=1e-12, atol=1e-12, err_msg=name
        )
    entering = np.count_nonzero(sent[program.input.name]) / len(sent[program.input.name])
    leaving = program.output_population.size
    assert found.io_messages == pytest.approx(entering * program.substeps + leaving)
    assert found.period == program.steps_per_sample
    assert found.latency_steps == program.latency_steps
    assert found.interleave == program.schedule.interleave
    assert found.core_names == tuple(core.name for core in placement.cores)


@settings(max_examples=20)
@given(
    st.integers(0, 99), sizes(), st.sampled_from(OBJECTIVES), st.sampled_from([1, 1, 3]),
    st.integers(1, 60),
)  # fmt: skip
def test_workload_of_random_programs(
    seed: int, shape: Sizes, objective: str, substeps: int, neurons: int
) -> None:
    program = replace(random_program(seed, shape), substeps=substeps)
    inputs = random_inputs(seed, program, 2, 5)
    inputs[:, ::2] = 0  # some messages are not sent
    result = l2l.simulate(program, inputs, ENGINE)
    chip = device(neurons_per_core=neurons)
    placement = place(program, chip, objective=objective, counters=result.counters)
    assert_counts(placement, messages(program, inputs), workload(placement, result.counters))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "variant",
    [
        Variant(backbone=(6,), units=5, layers=2, seed=1),
        Variant(memory=True, backbone=(4, 7), units=5, irregular=True, seed=2),
        Variant(shared_memory=True, layers=2, before="relu", after="tanh", seed=4),
    ],
    ids=["backbone", "memory", "shared"],
)
def test_workload_of_programs_with_phases(variant: Variant, objective: str) -> None:
    x, elapsed = variant_samples(variant, 2, 5)
    program = l2l.quantize(variant_network(variant), x, calibrate_timespans=elapsed)
    for interleave in (1, program.schedule.period):
        taking_turns = program.interleaved(interleave)
        result = l2l.simulate(taking_turns, x, ENGINE, timespans=elapsed)
        placement = place(taking_turns, objective=objective, counters=result.counters)
        found = workload(placement, result.counters)
        assert_counts(placement, messages(taking_turns, x, elapsed), found)
    # A sample causes the same messages, whether or not others take turns with it.
    alone = place(program, objective="packed")
    turns = place(program.interleaved(program.schedule.period), objective="packed")
    counts = [workload(p, result.counters).per_sample() for p in (alone, turns)]
    assert counts[0]["messages"] == pytest.approx(counts[1]["messages"], rel=1e-12)


def test_instructions_of_a_period_without_waiting_are_those_of_the_programs() -> None:
    program = random_program(1, Sizes(3, (7,), 2))
    found = workload(place(program), l2l.simulate(program, np.ones((1, 2, 3)), ENGINE).counters)
    texts = [listing(p.program, 1, 1) for p in program.populations]
    assert found.instructions.sum() == 7 * texts[0].update_count + 2 * texts[1].update_count
    waiting = 7 * texts[0].waiting_count + 2 * texts[1].waiting_count
    assert found.waiting_instructions is not None and found.waiting_instructions.sum() == waiting


def test_traffic_is_that_of_the_workload() -> None:
    program = replace(random_program(3, Sizes(4, (30, 9), 3, density=1.0)), substeps=2)
    inputs = random_inputs(0, program, 2, 6)
    counters = l2l.simulate(program, inputs, ENGINE).counters
    placement = place(program, counters=counters)
    found = workload(placement, counters).per_sample()
    assert placement.traffic.messages == pytest.approx(found["messages"], rel=1e-12)
    assert placement.traffic.hops == pytest.approx(found["hops"], rel=1e-12)
    assert placement.traffic.chip_crossings == 0.0


def test_the_step_time_is_the_one_of_the_cost_model() -> None:
    variant = Variant(backbone=(9,), units=8, layers=2, seed=6)
    x, _ = variant_samples(variant, 2, 8)
    program = l2l.quantize(variant_network(variant), x)
    counters = l2l.simulate(program, x, ENGINE).counters
    placement = place(program, counters=counters)
    found = estimate(workload(placement, counters), placement.device)
    assert placement.step_seconds == pytest.approx(found.step_time.value, rel=1e-12)
    busiest = placement.cores[placement.bottleneck]
    step = placement.device.value("time_per_step")
    assert step + busiest.seconds == pytest.approx(found.worst_step_time.value, rel=1e-12)


def test_counters_of_another_program_are_refused() -> None:
    placement = place(random_program(1, Sizes(3, (7,), 2)))
    other = random_program(1, Sizes(3, (8,), 2))
    counters = l2l.simulate(other, np.ones((1, 2, 3)), ENGINE).counters
    with pytest.raises(InputError, match=r"layer_0: shape \(8,\), expected \(7,\)"):
        workload(placement, counters)
