"""Lava answers the integers of the reference: every recorded state of every step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from programs import Sizes, random_inputs, random_program

from lnn2loihi.errors import InputError, LavaRunError, ProgramError
from lnn2loihi.lava import chip_steps, execute, lava_is_installed, plan, run_lava
from lnn2loihi.lava.graph import block_diagonal, build_graph
from lnn2loihi.program import Connection, LoihiProgram
from lnn2loihi.simulation import full_initial_state, simulate
from lnn2loihi.simulation.reference import run_reference
from lnn2loihi.simulation.result import IntegerRun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not lava_is_installed(), reason="lava-nc is not installed"),
]

SMALL = Sizes(inputs=2, layers=(3,), readout=1)


def proved_program(seed: int, sizes: Sizes) -> LoihiProgram:
    """The first random program from this seed on whose bounds hold."""
    for attempt in range(seed, seed + 200):
        try:
            return random_program(attempt, sizes)
        except ProgramError:
            continue
    raise AssertionError(f"no program of {sizes} has proved bounds")


def both(
    program: LoihiProgram,
    batch: int,
    time: int,
    seed: int = 0,
    state: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> tuple[IntegerRun, IntegerRun]:
    inputs = random_inputs(seed, program, batch, time)
    start = full_initial_state(program, batch, state)
    found = execute(program, inputs, start, time_limit=PATIENCE)
    return found, run_reference(program, inputs, start)


def assert_equal(lava: IntegerRun, reference: IntegerRun) -> None:
    assert lava.states.keys() == reference.states.keys()
    for name, words in reference.states.items():
        assert lava.states[name].keys() == words.keys()
        for word, values in words.items():
            assert lava.states[name][word].dtype == values.dtype
            assert np.array_equal(lava.states[name][word], values), f"{name}.{word}"


def random_states(program: LoihiProgram, batch: int) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    return {
        p.name: {
            word: rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (batch, p.size))
            for word, bits in p.program.states
        }
        for p in program.populations
    }


CASES = {
    "one layer": Sizes(layers=(6,), readout=0),
    "three layers and readout": Sizes(inputs=4, layers=(9, 6, 1), readout=1),
    "extremes": Sizes(layers=(7, 5), extreme=True, density=0.4),
    "delayed skip": Sizes(layers=(4, 3, 2), skip_delay=True),
    "w2": Sizes(weight_bits=2),
    "w4 a8": Sizes(weight_bits=4, message_bits=8),
    "a15 x16": Sizes(message_bits=15, input_bits=16, weight_bits=6, density=0.2),
    "lines16": Sizes(activation="lines16"),
    "ramp16": Sizes(activation="ramp16", extreme=True),
}


@pytest.mark.parametrize("sizes", CASES.values(), ids=CASES.keys())
def test_equals_the_reference(sizes: Sizes) -> None:
    program = proved_program(11, sizes)
    assert_equal(*both(program, 3, 20))


@settings(
    max_examples=6,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # every example starts a dozen processes
)
@given(
    seed=st.integers(0, 1 << 20),
    layers=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    readout=st.integers(0, 2),
    inputs=st.integers(1, 4),
    weight_bits=st.sampled_from([2, 4, 8]),
    extreme=st.booleans(),
    batch=st.integers(1, 4),
    time=st.integers(1, 9),
)
def test_equals_the_reference_on_random_programs(
    seed: int, layers: list[int], readout: int, inputs: int, weight_bits: int, extreme: bool,
    batch: int, time: int,
) -> None:  # fmt: skip
    sizes = Sizes(
        inputs, tuple(layers), readout, weight_bits=weight_bits, extreme=extreme,
        skip_delay=readout > 0 and seed % 2 == 0,
    )  # fmt: skip
    assert_equal(*both(proved_program(seed, sizes), batch, time, seed))


@pytest.mark.parametrize(("batch", "width", "chunks"), [(7, 3, 3), (4, 2, 2), (3, 1, 3)])
def test_chunks_do_not_see_each_other(
    monkeypatch: pytest.MonkeyPatch, batch: int, width: int, chunks: int
) -> None:
    program = proved_program(5, Sizes(layers=(4, 3), skip_delay=True))
    unit = plan.size_of_one(program)
    monkeypatch.setattr(plan, "LARGEST_SIZE", unit * width + 1)
    layout = plan.plan_run(program, batch, 6)
    assert (layout.width, layout.chunks) == (width, chunks)
    assert chip_steps(program, batch, 6) == chunks * program.schedule.steps(6)
    assert_equal(*both(program, batch, 6, state=random_states(program, batch)))


def test_a_sequence_larger_than_the_bound_runs_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LARGEST_SIZE", 1)
    assert plan.plan_run(random_program(0), 3, 2).width == 1


def test_initial_states_of_every_sequence() -> None:
    program = random_program(2)
    assert_equal(*both(program, 5, 4, state=random_states(program, 5)))


def test_connections_that_feed_some_accumulators_in_another_order() -> None:
    program = random_program(4, Sizes(layers=(5,)))
    first, *others = program.connections
    wanted = ("time", "ff1")
    dense = np.random.default_rng(0).integers(-128, 128, (10, first.source_size))
    partial = Connection.from_dense(first.source, first.target, wanted, dense, exponent=1)
    silent = Connection.from_dense("layer_0", "layer_0", ("ff2",), np.zeros((5, 5), int))
    changed = dataclasses.replace(program, connections=(partial, silent, *others[1:]))
    assert_equal(*both(changed, 2, 8))
    matrix = block_diagonal(partial, ("ff1", "ff2", "time"), 5, 3).toarray()
    block = np.concatenate([dense[5:], np.zeros_like(dense[:5]), dense[:5]])
    assert np.array_equal(matrix, np.kron(np.eye(3, dtype=int), 2 * block))
    assert matrix.dtype == np.int32


def test_parallel_synapses_are_refused_because_lava_clips_their_sum() -> None:
    program = random_program(4, SMALL)
    first, *others = program.connections
    doubled = dataclasses.replace(
        first,
        row_starts=2 * first.row_starts,
        columns=np.repeat(first.columns, 2),
        mantissas=np.repeat(first.mantissas // 2, 2),
    )
    # No program has them; what stands here is for whoever comes past its checks.
    object.__setattr__(program, "connections", (doubled, *others))
    with pytest.raises(LavaRunError, match=r"input -> layer_0: .* add their mantissas"):
        both(program, 1, 1)


def test_the_graph_has_one_process_for_each_part() -> None:
    program = proved_program(1, Sizes(layers=(3, 2), skip_delay=True))
    inputs = random_inputs(0, program, 2, 3)
    graph = build_graph(program, inputs, full_initial_state(program, 2, None))
    assert len(graph.synapses) == len(program.connections)
    assert list(graph.populations) == [p.name for p in program.populations]
    assert list(graph.delays) == ["input -> readout"]
    assert len(graph.processes) == 1 + len(program.populations) + len(program.connections) + 1
    names = [process.name for process in graph.processes]
    assert names[:2] == ["input", "layer_0"]
    assert "layer_0 -> layer_1" in names


def test_run_lava_returns_what_simulate_returns() -> None:
    program = random_program(9, Sizes(layers=(4,)))
    x = np.random.default_rng(1).normal(scale=3.0, size=(2, 6, 3))
    steps: list[tuple[int, int]] = []
    state = random_states(program, 2)
    result = run_lava(
        program, x, initial_state=state, return_states=True, progress=lambda *s: steps.append(s)
    )
    expected = simulate(program, x, initial_state=state, return_states=True, engine="reference")
    assert result.executor.startswith("lava-nc 0.10.0")
    assert np.array_equal(result.integers, expected.integers)
    assert np.array_equal(result.outputs, expected.outputs)
    assert np.array_equal(result.saturated, expected.saturated)
    assert expected.saturated_inputs > 0
    assert np.array_equal(result.final_state["layer_0"]["h"], expected.final_state["layer_0"]["h"])
    assert result.states is not None
    assert_equal(IntegerRun("", result.states), IntegerRun("", expected.states or {}))
    assert steps == sorted(set(steps)), "every step is told once"
    total = chip_steps(program, 2, 6)
    assert steps[-1] == (total, total)


def test_wrong_inputs_are_refused_before_anything_starts() -> None:
    with pytest.raises(InputError, match="input channels"):
        run_lava(random_program(0), np.zeros((1, 2, 9)))
