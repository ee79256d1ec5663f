"""The second executor of neuron programs agrees with the reference on every operation."""

from __future__ import annotations

import numpy as np
import pytest
from programs import random_program

from lnn2loihi.formats import FixedPoint
from lnn2loihi.neurons.instructions import LISTING_ONLY, OPERATIONS, Instruction, NeuronProgram
from lnn2loihi.program import Population
from lnn2loihi.simulation.machine import Machine
from lnn2loihi.simulation.reference import update

WORD_MAKERS = sorted(set(OPERATIONS) - set(LISTING_ONLY) - {"RDC", "SPIKE"})
NEURONS, WIDTH = 5, 3


def random_neuron(seed: int, length: int) -> NeuronProgram:
    """Random code; every word is folded into eight signed bits, so that nothing overflows."""
    rng = np.random.default_rng(seed)
    code = [Instruction("RDC", "b", ("acc_b",)), Instruction("RDC", "a", ("acc_a",))]
    words: list[str | int] = ["a", "b", "p", "s", "q"]
    for number in range(length):
        opcode = WORD_MAKERS[(number + seed) % len(WORD_MAKERS)]
        operation = OPERATIONS[opcode]
        pool = [*words, int(rng.integers(-128, 128))]
        operands = tuple(pool[i] for i in rng.integers(0, len(pool), operation.operands))
        shift = int(rng.integers(0, 8)) if operation.shifts else None
        code.append(Instruction(opcode, f"r{number}", operands, shift))
        code.append(Instruction("AND", f"m{number}", (f"r{number}", 255)))
        code.append(Instruction("ADD", f"w{number}", (f"m{number}", -128)))
        words.append(f"w{number}")
    code += [
        Instruction("MOV", "s", (f"w{length - 1}",)),
        Instruction("SPIKE", "", (f"w{length - 2}",)),
        Instruction("MOV", "q", (f"w{length // 2}",)),
    ]
    states = (("s", 8), ("q", 8))
    return NeuronProgram("random", ("acc_a", "acc_b"), (("p", 8),), states, tuple(code))


def compare(population: Population, seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    program = population.program
    size = population.size
    state = {
        word: rng.integers(-(1 << (b - 1)), 1 << (b - 1), (WIDTH, size))
        for word, b in program.states
    }
    machine = Machine(population, WIDTH)
    machine.reset({word: values.reshape(-1).astype(np.int32) for word, values in state.items()})
    for _ in range(4):
        shape = (WIDTH, len(program.accumulators), size)
        sums = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)
        named = {name: sums[:, place] for place, name in enumerate(program.accumulators)}
        message, state = update(population, named, state)
        machine.update(sums.reshape(-1).astype(np.int32))
        assert machine.message.dtype == np.int32
        assert np.array_equal(machine.message, message.reshape(-1))
        for word, values in state.items():
            assert np.array_equal(machine.words[word], values.reshape(-1)), word


@pytest.mark.parametrize("seed", range(len(WORD_MAKERS)))
def test_random_code(seed: int) -> None:
    program = random_neuron(seed, 40)
    used = {instruction.opcode for instruction in program.instructions}
    assert used == set(OPERATIONS) - set(LISTING_ONLY)
    parameters = {"p": np.arange(NEURONS, dtype=np.int32) - 2}
    initial = {word: np.zeros(NEURONS, np.int32) for word in ("s", "q")}
    message = FixedPoint(8, 7)
    compare(Population("n", program, parameters, initial, message, -128, 127, NEURONS), seed, 8)


def test_the_neurons_of_a_program() -> None:
    for population in random_program(0).populations:
        compare(population, 1, 22)


def test_registers_are_used_again() -> None:
    population = random_program(0).populations[0]
    machine = Machine(population, 1)
    made = sum(bool(i.result) for i in population.program.instructions)
    assert machine.registers < made // 3


def test_reset_restores_state_and_message() -> None:
    population = random_program(0).populations[0]
    machine = Machine(population, 1)
    machine.update(np.full(15, 1000, np.int32))
    machine.reset({"h": np.arange(5, dtype=np.int32)})
    assert machine.message.tolist() == machine.words["h"].tolist() == [0, 1, 2, 3, 4]
    stateless = random_program(0).populations[-1]
    machine = Machine(stateless, 2)
    machine.update(np.full(4, 1000, np.int32))
    assert machine.message.any()
    machine.reset({})
    assert not machine.message.any()
