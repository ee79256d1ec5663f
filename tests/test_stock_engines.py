"""Programs of Lava's own processes in every engine, file, listing, placement and stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from programs import random_inputs
from stock_programs import byte_port, random_stock_program, stock_population, stock_programs

import lnn2loihi as l2l
from lnn2loihi.lava import lava_is_installed
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.stock import StockNeuron, stock_neuron
from lnn2loihi.neurons.tracer import Tracer
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import simulate
from lnn2loihi.targets.split import with_ports

FEW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
#: With loops of three steps, all four kinds of neurons, and delays.
LOOPED = random_stock_program(16)


def started(program: LoihiProgram, batch: int, seed: int) -> Any:
    """Any messages before the first sample, for each sequence others."""
    rng = np.random.default_rng(seed)
    return {
        p.name: {
            word: rng.integers(p.message_low, p.message_high + 1, (batch, p.size))
            for word in p.program.state_names
        }
        for p in program.populations
    }


def assert_equal_everywhere(program: LoihiProgram, engines: tuple[str, ...], seed: int) -> None:
    x, state = random_inputs(seed, program, 3, 9), started(program, 3, seed)
    options: Any = {"encoded": True, "initial_state": state, "return_states": True}
    expected: Any = simulate(program, x, "reference", **options)
    for engine in engines:
        found: Any = simulate(program, x, engine, **options)
        assert np.array_equal(found.integers, expected.integers), engine
        for name, words in expected.states.items():
            for word, values in words.items():
                assert np.array_equal(found.states[name][word], values), (engine, name)
                final = found.final_state[name].get(word)
                if final is not None:
                    assert np.array_equal(final, expected.final_state[name][word]), (engine, name)


@FEW
@given(stock_programs())
def test_engines_agree(program: LoihiProgram) -> None:
    assert_equal_everywhere(program, ("c", "blas", "onnxruntime", "onnx-reference"), 1)


@pytest.mark.skipif(not lava_is_installed(), reason="Lava is not installed")
def test_lava_agrees() -> None:
    assert_equal_everywhere(LOOPED, ("lava",), 2)


@FEW
@given(stock_programs(loops=3))
def test_ports_and_interleaved_sequences_change_nothing(program: LoihiProgram) -> None:
    x = random_inputs(3, program, 3, 8)
    expected = simulate(program, x, "reference", encoded=True).integers
    others = [with_ports(program, 1)]
    others += [program.interleaved(n) for n in range(2, program.schedule.period + 1)]
    for other in others:
        assert np.array_equal(simulate(other, x, "reference", encoded=True).integers, expected)
        for p in other.populations:
            assert stock_neuron(p.program) == stock_neuron(program.population(p.name).program)
            assert (
                other.bounds[p.name].words["message'"] == (program.bounds[p.name].words["message'"])
            )


class TestOneInFull:
    def test_it_is_what_it_says(self) -> None:
        neurons = [stock_neuron(p.program) for p in LOOPED.populations]
        assert len({neuron.kind for neuron in neurons if neuron is not None}) == 4
        assert LOOPED.schedule.period > 1
        assert any(c.delay for c in LOOPED.connections)

    def test_files(self, tmp_path: Path) -> None:
        l2l.save(LOOPED, tmp_path / "stock.l2l")
        again = l2l.load(tmp_path / "stock.l2l")
        assert again == LOOPED
        assert again.bounds == LOOPED.bounds  # pyright: ignore[reportAttributeAccessIssue]

    @pytest.mark.parametrize("engine", ["c", "blas", "reference"])
    def test_streams(self, engine: str) -> None:
        x = random_inputs(5, LOOPED, 1, 9)[0]
        expected = simulate(LOOPED, x[None], "reference", encoded=True).outputs[0]
        stream = l2l.open_stream(LOOPED, engine, encoded=True)
        assert np.array_equal([stream.step(sample) for sample in x], expected)

    def test_placement_cost_and_verification(self) -> None:
        x = random_inputs(6, LOOPED, 2, 9).astype(float)
        placed = l2l.place(LOOPED)
        assert sum(core.neurons for core in placed.cores) == LOOPED.neurons
        assert l2l.verify(LOOPED, x).bit_exact
        assert l2l.verify(LOOPED, x, ["reference", "c"], target="split_one").bit_exact


class TestWhichNeuronItIs:
    @pytest.mark.parametrize(
        "neuron",
        [
            StockNeuron("rectifier"), StockNeuron("rectifier", 5), StockNeuron("threshold"),
            StockNeuron("threshold", 9, looped=True, message_bits=12), StockNeuron("constant"),
            StockNeuron("product", shift=17, looped=True, message_bits=16),
        ],
    )  # fmt: skip
    def test_all_of_them(self, neuron: StockNeuron) -> None:
        assert stock_neuron(neuron.program()) == neuron

    def hand_made(self, threshold: int) -> NeuronProgram:
        t = Tracer("rectifier")
        heard = t.accumulator("a_in")
        t.spike(t.select(t.less(threshold, heard), heard, 0, "passed"))
        return t.program()

    def test_a_name_alone_is_not_enough(self) -> None:
        assert stock_neuron(self.hand_made(5)) == StockNeuron("rectifier", 5)
        # It sends what is below 0 and above -5: a threshold that Lava's process may have, but no
        # rectifier, and nothing that is proved of one holds.
        assert stock_neuron(self.hand_made(-5)) is None
        t = Tracer("rectifier")
        t.spike(t.negative(t.accumulator("a_in")))
        assert stock_neuron(t.program()) is None

    def test_what_they_send(self) -> None:
        heard = np.arange(-9, 10)
        neurons = [StockNeuron(kind, at) for kind in ("rectifier", "threshold") for at in (0, 3)]
        for neuron in neurons:
            population = stock_population("p", neuron, 1)
            port = byte_port(1)
            connection = l2l.Connection.from_dense("input", "p", ("a_in",), [[1]])
            schedule = l2l.Schedule(1, {"p": 1})
            program = LoihiProgram("one", "", port, (population,), (connection,), "p", schedule)
            found = simulate(program, heard[None, :, None], encoded=True).integers
            assert np.array_equal(found.ravel(), neuron.answer(heard))
