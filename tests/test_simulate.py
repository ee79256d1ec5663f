"""The reference executor against an oracle in plain integers and sample time; its boundary."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache, partial
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Sizes, random_inputs, random_program

from lnn2loihi.errors import InputError, ProgramError
from lnn2loihi.neurons.bounds import IntegerInterval, ProvedBounds
from lnn2loihi.program import LoihiProgram, Population
from lnn2loihi.simulation import encode, full_initial_state, simulate
from lnn2loihi.simulation.reference import run_reference

SIZES = st.builds(
    Sizes,
    inputs=st.integers(1, 4),
    layers=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    readout=st.integers(0, 2),
    weight_bits=st.integers(1, 8),
    message_bits=st.integers(2, 11),
    input_bits=st.integers(3, 11),
    density=st.sampled_from([0.2, 0.7, 1.0]),
    activation=st.sampled_from(["ramp12", "ramp16", "lines16", "hard"]),
    extreme=st.booleans(),
    skip_delay=st.booleans(),
)
SEEDS = st.integers(0, 10**6)


def neuron(
    population: Population, place: int, sums: Mapping[str, int], state: dict[str, int]
) -> int:
    """One update of one neuron in plain integers: changes its state, returns its message."""
    words: dict[str, int] = {**sums, **state}
    words |= {name: int(values[place]) for name, values in population.parameters.items()}
    message = None
    for i in population.program.instructions:
        a, b, c = [
            *(words[o] if isinstance(o, str) else o for o in i.operands), 0, 0, 0,
        ][:3]  # fmt: skip
        match i.opcode:
            case "SPIKE":
                message = a
            case "MOV" | "RDC" if i.result not in state:
                words[i.result] = a
            case "MOV":
                state[i.result] = a
            case "SEL":
                words[i.result] = b if a else c
            case "ADD":
                words[i.result] = a + b
            case "NEG":
                words[i.result] = -a
            case "MIN":
                words[i.result] = b if b < a else a
            case "LT":
                words[i.result] = 1 if a < b else 0
            case "MUL_SHR":
                assert i.shift is not None
                words[i.result] = a * b // 2**i.shift
            case other:
                raise AssertionError(f"the oracle does not know {other}")
    assert message is not None
    return message


def oracle(
    program: LoihiProgram, samples: Sequence[Sequence[int]], start: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[list[int]]]:
    """Every message of one sequence, population by population; chip time does not exist here."""
    sent: dict[str, list[list[int]]] = {program.input.name: [list(map(int, s)) for s in samples]}
    for p in program.populations:
        states = [
            {word: int(values[n]) for word, values in start[p.name].items()} for n in range(p.size)
        ]
        messages: list[list[int]] = []
        last = [state.get(p.program.message_state, 0) for state in states]
        for sample in range(len(samples)):
            sums = [dict.fromkeys(p.program.accumulators, 0) for _ in range(p.size)]
            for c in program.incoming(p.name):
                arriving = last if c.source == p.name else sent[c.source][sample]
                for row in range(c.rows):
                    accumulator, n = c.accumulators[row // p.size], row % p.size
                    for synapse in range(c.row_starts[row], c.row_starts[row + 1]):
                        weight = int(c.mantissas[synapse]) * 2**c.exponent
                        sums[n][accumulator] += weight * arriving[c.columns[synapse]]
            last = [neuron(p, n, sums[n], states[n]) for n in range(p.size)]
            messages.append(last)
        sent[p.name] = messages
    return sent


def random_start(program: LoihiProgram, seed: int, batch: int) -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return {
        p.name: {
            word: rng.integers(p.message_low, p.message_high, (batch, p.size), endpoint=True)
            for word in p.program.state_names
        }
        for p in program.populations
    }


#: The executor that this file is about; others are compared with it elsewhere.
reference = partial(simulate, engine="reference")


class TestAgainstThePlainOracle:
    @settings(max_examples=60)
    @given(SEEDS, SIZES, st.integers(1, 6))
    def test_chip_time_gives_what_sample_time_gives(
        self, seed: int, sizes: Sizes, time: int
    ) -> None:
        program = random_program(seed, sizes)
        x = random_inputs(seed, program, 2, time)
        start = random_start(program, seed, 2)
        run = run_reference(program, x, start)
        for sequence in range(2):
            own = {n: {w: v[sequence] for w, v in words.items()} for n, words in start.items()}
            expected = oracle(program, x[sequence], own)
            for p in program.populations:
                found = run.states[p.name][p.program.message_state or "message"][sequence]
                assert found.tolist() == expected[p.name]
            assert run.outputs(program)[sequence].tolist() == expected[program.output]

    @settings(max_examples=40)
    @given(SEEDS, SIZES)
    def test_no_word_leaves_its_proved_bound(self, seed: int, sizes: Sizes) -> None:
        program = random_program(seed, sizes)
        x = random_inputs(seed, program, 3, 5)
        run_reference(program, x, random_start(program, seed, 3), check_bounds=True)

    def test_a_word_outside_its_bound_is_reported(self) -> None:
        program = random_program(1)
        x = random_inputs(1, program, 2, 4)
        words = {**program.bounds["layer_0"].words, "ff1.tanh": IntegerInterval.of(0, 0)}
        wrong = {**program.bounds, "layer_0": ProvedBounds(words, ())}
        object.__setattr__(program, "bounds", wrong)
        with pytest.raises(ProgramError, match=re.escape("word 'ff1.tanh' reached")):
            run_reference(program, x, full_initial_state(program, 2, None), check_bounds=True)

    @settings(max_examples=30)
    @given(SEEDS, SIZES, st.integers(1, 5), st.integers(1, 5))
    def test_two_runs_joined_by_the_state_are_one_run(
        self, seed: int, sizes: Sizes, first: int, second: int
    ) -> None:
        program = random_program(seed, sizes)
        x = random_inputs(seed, program, 2, first + second)
        whole = reference(program, x)
        start = reference(program, x[:, :first])
        rest = reference(program, x[:, first:], initial_state=start.final_state)
        joined = np.concatenate([start.integers, rest.integers], axis=1)
        assert np.array_equal(joined, whole.integers)
        for name, words in whole.final_state.items():
            for word, values in words.items():
                assert np.array_equal(values, rest.final_state[name][word])

    def test_sequences_of_a_batch_do_not_touch_each_other(self) -> None:
        program = random_program(4, Sizes(skip_delay=True))
        x = random_inputs(4, program, 5, 7)
        together = reference(program, x).integers
        alone = [reference(program, x[n : n + 1]).integers[0] for n in range(5)]
        assert np.array_equal(together, np.stack(alone))


class TestResult:
    def test_shapes_scales_and_provenance(self) -> None:
        program = random_program(2, Sizes(layers=(3, 2), readout=2))
        result = reference(program, random_inputs(2, program, 4, 6), return_states=True)
        assert result.integers.shape == result.outputs.shape == (4, 6, 2)
        assert result.integers.dtype.kind == "i" and result.outputs.dtype == np.float64
        assert np.array_equal(result.outputs, result.integers / 2.0**12)
        assert result.states is not None
        assert {n: list(w) for n, w in result.states.items()} == {
            "layer_0": ["h"], "layer_1": ["h"], "readout": ["message"],
        }  # fmt: skip
        assert {n: list(w) for n, w in result.final_state.items()} == {
            "layer_0": ["h"], "layer_1": ["h"], "readout": [],
        }  # fmt: skip
        last = result.states["layer_1"]["h"][:, -1]
        assert np.array_equal(result.final_state["layer_1"]["h"], last)
        assert re.fullmatch(r"reference \(lnn2loihi \d+\.\d+.*\)", result.executor)

    def test_states_are_returned_only_when_asked_for(self) -> None:
        program = random_program(2)
        assert reference(program, random_inputs(2, program, 1, 2)).states is None

    def test_progress_counts_chip_steps(self) -> None:
        program = random_program(2, Sizes(layers=(2, 2), readout=1))
        seen: list[tuple[int, int]] = []
        x = random_inputs(2, program, 1, 4)
        run_reference(program, x, random_start(program, 0, 1), lambda *n: seen.append(n))
        assert seen == [(n, 7) for n in range(1, 8)]

    def test_an_unknown_engine_is_refused(self) -> None:
        program = random_program(2)
        with pytest.raises(InputError, match="'gpu': does not exist; there are auto, blas, c,"):
            simulate(program, random_inputs(2, program, 1, 1), engine="gpu")


@cache
def cached_program() -> LoihiProgram:
    return random_program(1, Sizes(inputs=2, input_bits=8))  # 5 fraction bits


class TestEncode:
    @pytest.fixture
    def program(self) -> LoihiProgram:
        return cached_program()

    @given(st.lists(st.integers(-(2**14), 2**14), min_size=2, max_size=2))
    def test_floats_are_rounded_half_up_and_saturated(self, numerators: list[int]) -> None:
        program = cached_program()
        values = [Fraction(n, 2**9) for n in numerators]
        integers, saturated = encode(program, [[[float(v) for v in values]]])
        exact = [floor(v * 32 + Fraction(1, 2)) for v in values]
        assert integers[0, 0].tolist() == [min(max(n, -128), 127) for n in exact]
        assert saturated.tolist() == [int(not -128 <= n <= 127) for n in exact]

    def test_saturated_values_are_counted_by_channel(self, program: LoihiProgram) -> None:
        x = np.zeros((2, 3, 2))
        x[0, :, 0], x[1, 1, 1] = 100.0, -1e300
        result = reference(program, x)
        assert result.saturated.tolist() == [3, 1] and result.saturated_inputs == 4

    def test_integers_far_outside_saturate_and_never_wrap(self, program: LoihiProgram) -> None:
        near = np.array([[[127, -128], [127, -128]]])
        far = np.array([[[1 << 40, -(1 << 40)], [(1 << 32) + 1, -(1 << 32) - 1]]])
        for engine in ("auto", "reference"):
            result = simulate(program, far, engine=engine)
            assert np.array_equal(result.integers, simulate(program, near, engine=engine).integers)
            assert result.saturated.tolist() == [2, 2]

    def test_the_calibrated_range_saturates_before_the_format_does(self) -> None:
        program = random_program(1, Sizes(inputs=1))
        object.__setattr__(program.input, "low", np.array([-3], np.int32))
        object.__setattr__(program.input, "high", np.array([2], np.int32))
        integers, saturated = encode(program, np.array([[[-4], [-3], [0], [3]]]), encoded=True)
        assert integers.ravel().tolist() == [-3, -3, 0, 2] and saturated.tolist() == [2]

    @pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8])
    def test_encoded_messages_pass_through(self, program: LoihiProgram, dtype: type) -> None:
        x = np.array([[[3, 100]]], dtype)
        integers, saturated = encode(program, x, encoded=True)
        assert integers.tolist() == [[[3, 100]]] and not saturated.any()
        assert integers.dtype == np.int64
        for numbers in (x, x.astype(np.float32), x.tolist()):
            assert encode(program, numbers)[0].tolist() == [[[96, 127]]]

    @pytest.mark.parametrize("grad", [False, True])
    def test_torch_tensors_are_accepted(self, program: LoihiProgram, grad: bool) -> None:
        torch = pytest.importorskip("torch")
        tensor = torch.tensor([[[0.5, -1.0]]], requires_grad=grad)
        assert encode(program, tensor)[0].tolist() == [[[16, -32]]]

    def test_messages_of_torch_pass_through(self, program: LoihiProgram) -> None:
        torch = pytest.importorskip("torch")
        x = torch.tensor([[[3, -100]]])
        assert encode(program, x, encoded=True)[0].tolist() == [[[3, -100]]]
        assert encode(program, x)[0].tolist() == [[[96, -128]]]

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (np.zeros((2, 2)), "x has shape (2, 2), expected (batch, time, inputs)"),
            (np.zeros((1, 2, 3)), "x has 3 input channels, expected 2"),
            (np.zeros((0, 2, 2)), "x is empty (shape (0, 2, 2))"),
            (np.zeros((1, 0, 2)), "x is empty (shape (1, 0, 2))"),
            (np.full((1, 1, 2), np.nan), "x holds 2 NaN or infinite of 2 values"),
            (np.full((1, 1, 2), np.inf), "x holds 2 NaN or infinite of 2 values"),
            ([[["a", "b"]]], "x is not an array of numbers"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, program: LoihiProgram, x: Any, message: str
    ) -> None:
        with pytest.raises(InputError, match=re.escape(message)):
            reference(program, x)


class TestInitialState:
    def test_the_own_one_is_the_default_and_one_state_serves_the_whole_batch(self) -> None:
        program = random_program(3, Sizes(layers=(3, 2)))
        own = full_initial_state(program, 2, None)
        for p in program.populations:
            for word, values in p.initial_state.items():
                assert own[p.name][word].tolist() == [values.tolist()] * 2
        given_state = full_initial_state(program, 2, {"layer_1": {"h": np.array([5, -6])}})
        assert given_state["layer_1"]["h"].tolist() == [[5, -6]] * 2
        assert np.array_equal(given_state["layer_0"]["h"], own["layer_0"]["h"])

    def test_every_problem_is_listed(self) -> None:
        program = random_program(3, Sizes(layers=(3, 2, 2, 2), readout=1))
        with pytest.raises(InputError) as caught:
            reference(
                program,
                np.zeros((2, 1, 3)),
                initial_state={
                    "nobody": {"h": np.zeros(1, int)},
                    "layer_0": {"x": np.zeros(3, int), "h": np.array([0, 0, 2048])},
                    "layer_1": {"h": np.zeros(2)},
                    "layer_2": {"h": np.zeros((3, 2), int)},
                    "layer_3": {"h": np.array([[0, 0], [0, -2049]])},
                    "readout": {"h": np.zeros(1, int)},
                },
            )
        assert caught.value.problems == (
            "there is no population 'nobody'",
            "layer_0 has no state word 'x'",
            "layer_0.h leaves [-2048, 2047]",
            "layer_1.h is float64, give integers",
            "layer_2.h has shape (3, 2), expected (2, 2)",
            "layer_3.h leaves [-2048, 2047]",
            "readout has no state word 'h'",
        )

    def test_it_is_not_changed_by_the_run(self) -> None:
        program = random_program(3)
        start = random_start(program, 1, 2)
        before = {n: {w: v.copy() for w, v in words.items()} for n, words in start.items()}
        reference(program, random_inputs(3, program, 2, 5), initial_state=start)
        for name, words in before.items():
            for word, values in words.items():
                assert np.array_equal(values, start[name][word])
