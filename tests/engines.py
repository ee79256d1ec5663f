"""The ways through the engines, comparison of results, and programs that random_program lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from programs import (
    Sizes,
    _cfc_population,
    _connection,
    _readout_population,
    random_program,
)

from lnn2loihi.families.cfc.neuron import GATES
from lnn2loihi.formats import FixedPoint, signed_range
from lnn2loihi.graph.schedule import derive_schedule
from lnn2loihi.layers.linear import SUM
from lnn2loihi.neurons.instructions import (
    LISTING_ONLY,
    OPERATIONS,
    Bound,
    Instruction,
    NeuronProgram,
    Saturation,
)
from lnn2loihi.program import Connection, InputPort, LoihiProgram, Population
from lnn2loihi.simulation import blas, choice, simulate
from lnn2loihi.simulation.native import library
from lnn2loihi.simulation.native.engine import NativeEngine
from lnn2loihi.simulation.native.kernel_code import LANES, LEVELS, NARROW
from lnn2loihi.simulation.native.plan import ONE, Piece
from lnn2loihi.simulation.result import SimulationResult

BYTE = FixedPoint(8, 3)
#: The package; its name in lnn2loihi is the function.
simulation = import_module("lnn2loihi.simulation")
#: Operations that make a word of words.
MAKERS = sorted(set(OPERATIONS) - set(LISTING_ONLY) - {"RDC", "SPIKE"})
#: Blocks of the largest width, and one sequence at a time; and those with narrower blocks.
BLOCK, SINGLE = LANES, ONE
KERNELS = (ONE, LANES, *NARROW)


def level_parameters() -> list[Any]:
    """Every instruction-set level; those that this CPU lacks are skipped."""
    usable = library.usable_levels()
    return [
        pytest.param(
            level.name,
            marks=() if level in usable else pytest.mark.skip(f"this CPU has no {level.name}"),
        )
        for level in LEVELS
    ]


def on_level(
    program: LoihiProgram,
    x: Any,
    level: str | None = None,
    lanes: int | None = None,
    engine: NativeEngine | None = None,
    **options: Any,
) -> SimulationResult:
    """`simulate` on the C engine at one level, and if asked for with one of KERNELS."""
    native = engine or NativeEngine(program, library.level_named(level))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "native_engine", lambda _: native)
        if lanes is not None:
            native._functions.update(native._functions_of(*{lanes} - native._functions.keys()))
            patch.setattr(native, "_pieces", lambda job: (Piece(lanes, 0, job.batch),))
        result = simulate(program, x, "c", **options)
    assert result.executor.startswith(f"c {native.level.name} ")
    return result


def on_blas(program: LoihiProgram, x: Any, carrier: str, **options: Any) -> SimulationResult:
    """`simulate` on the BLAS engine with products in float32 or float64."""
    with pytest.MonkeyPatch.context() as patch:
        if carrier == "float64":
            patch.setattr(blas, "EXACT_FLOAT32", 0)
        return simulate(program, x, "blas", **options)


def assert_same(found: SimulationResult, expected: SimulationResult) -> None:
    """Equal in every integer, dtype and name."""
    _assert_equal("integers", found.integers, expected.integers)
    _assert_equal("outputs", found.outputs, expected.outputs)
    _assert_equal("saturated", found.saturated, expected.saturated)
    assert found.saturated_words is not None and expected.saturated_words is not None
    _assert_words("saturated_words", found.saturated_words, expected.saturated_words)
    _assert_words("final_state", found.final_state, expected.final_state)
    assert (found.states is None) == (expected.states is None)
    if found.states is not None and expected.states is not None:
        _assert_words("states", found.states, expected.states)
    assert found.counters.samples == expected.counters.samples
    for kind in ("non_zero", "changed"):
        ours, theirs = getattr(found.counters, kind), getattr(expected.counters, kind)
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            _assert_equal(f"{kind} of {name}", ours[name], values)


def _assert_words(
    what: str, found: Mapping[str, Mapping[str, Any]], expected: Mapping[str, Mapping[str, Any]]
) -> None:
    assert {n: set(w) for n, w in found.items()} == {n: set(w) for n, w in expected.items()}
    for name, words in expected.items():
        for word, values in words.items():
            _assert_equal(f"{what} {name}.{word}", found[name][word], values)


def _assert_equal(what: str, found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype, what
    assert np.array_equal(found, expected), what


def random_start(program: LoihiProgram, seed: int, batch: int) -> dict[str, dict[str, Any]]:
    """A state of every population, both ends of the words among them."""
    rng = np.random.default_rng(seed)
    start: dict[str, dict[str, Any]] = {}
    for p in program.populations:
        start[p.name] = {}
        for word, bits in p.program.states:
            low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
            if word == p.program.message_state:
                low, high = p.message_low, p.message_high
            values = rng.integers(low, high, (batch, p.size), endpoint=True)
            ends = rng.choice([low, high], (batch, p.size))
            start[p.name][word] = np.where(rng.random((batch, p.size)) < 0.3, ends, values)
    return start


def deep_program(seed: int, sizes: Sizes, bits: tuple[int, ...]) -> LoihiProgram:
    """A chain of CfC layers with messages of different widths, and a readout."""
    rng = np.random.default_rng(seed)
    activations = ("ramp12", "ramp16", "lines16", "hard")
    port_format = FixedPoint(sizes.input_bits, sizes.input_bits - 3)
    low, high = port_format.low, port_format.high
    port = InputPort("input", port_format, np.full(sizes.inputs, low), np.full(sizes.inputs, high))
    populations: list[Population] = []
    connections: list[Connection] = []
    before, columns, incoming = "input", sizes.inputs, sizes.input_bits
    for place, width in enumerate(bits):
        name, size = f"layer_{place}", sizes.layers[place % len(sizes.layers)]
        message = FixedPoint(width, width - 1)
        populations.append(_cfc_population(rng, name, size, message, activations[place % 3]))
        both = replace(sizes, message_bits=max(width, incoming), input_bits=incoming)
        connections.append(_connection(rng, both, before, name, GATES, size, columns))
        connections.append(_connection(rng, both, name, name, GATES, size, size))
        before, columns, incoming = name, size, width
    populations.append(_readout_population(rng, 2))
    both = replace(sizes, message_bits=incoming, input_bits=incoming)
    connections.append(_connection(rng, both, before, "readout", (SUM,), 2, columns))
    return made("deep", port, populations, connections, "readout")


def made(
    name: str,
    port: InputPort,
    populations: list[Population],
    connections: list[Connection],
    output: str,
) -> LoihiProgram:
    """A program with the schedule that its connections ask for."""
    schedule = derive_schedule(port.name, [p.name for p in populations], connections)
    return LoihiProgram(
        name, "by hand", port, tuple(populations), tuple(connections), output, schedule
    )


def random_code(seed: int, accumulators: int, parameters: int, states: int) -> NeuronProgram:
    """Random code of every operation; each word is clamped to eight bits before it is used again.

    Many of its words are never read. The last state keeps its message.
    """
    rng = np.random.default_rng(seed)
    makers = MAKERS
    code: list[Instruction] = []
    bounds: list[Bound] = []
    marks: list[Saturation] = []
    words: list[str | int] = [f"p{n}" for n in range(parameters)]
    words += [f"s{n}" for n in range(states)]

    def clamp(word: str) -> None:
        code.append(Instruction("LT", f"{word}.less", (word, -128)))
        code.append(Instruction("SEL", f"{word}.above", (f"{word}.less", -128, word)))
        code.append(Instruction("MIN", f"{word}.inside", (f"{word}.above", 127)))
        bounds.append(Bound(f"{word}.above", -128, None, "clamp"))
        words.append(f"{word}.inside")
        when = rng.choice(["", f"{word}.less"], p=[0.7, 0.3])
        marks.append(Saturation(f"{word}.lost", word, f"{word}.inside", str(when)))

    for number in range(accumulators):
        code.append(Instruction("RDC", f"sum{number}", (f"acc{number}",)))
        clamp(f"sum{number}")
    for number in range(len(makers)):
        operation = OPERATIONS[makers[number % len(makers)]]
        pool = [*words, int(rng.integers(-128, 128))]
        operands = tuple(pool[i] for i in rng.integers(0, len(pool), operation.operands))
        shift = int(rng.integers(0, 9)) if operation.shifts else None
        code.append(Instruction(operation.opcode, f"r{number}", operands, shift))
        clamp(f"r{number}")
    # Once more what can be at its limits: a product shifted away, and a word with itself.
    code.append(Instruction("MUL_SHR", "gone", (words[-1], words[-2]), 31))
    code.append(Instruction("LT", "never", (words[-1], words[-1])))
    code.append(Instruction("SHL", "largest", ("never",), 22))
    # A message that is never constant: a random word, and all sums.
    for number in range(accumulators):
        code.append(Instruction("ADD", f"mix{number}", (words[-1], f"sum{number}.inside")))
        clamp(f"mix{number}")
    last = words[-1]
    code.append(Instruction("SPIKE", "", (last,)))
    for number in range(states):
        value = last if number == states - 1 else words[-5 - number]
        code.append(Instruction("MOV", f"s{number}", (value,)))
    return NeuronProgram(
        f"code {accumulators}",
        tuple(f"acc{n}" for n in range(accumulators)),
        tuple((f"p{n}", 8) for n in range(parameters)),
        tuple((f"s{n}", 8) for n in range(states)),
        tuple(code),
        tuple(bounds),
        f"s{states - 1}" if states else "",
        tuple(marks),
    )


#: One to six accumulators, with and without parameters and states: every height of a tile.
CODES = tuple(
    random_code(n, accumulators, parameters, states)
    for n, (accumulators, parameters, states) in enumerate(
        [(1, 0, 0), (2, 1, 1), (3, 2, 2), (4, 0, 1), (5, 3, 3), (6, 1, 0), (1, 2, 2)]
    )
)


def zoo_program(
    seed: int, sizes: tuple[int, ...], inputs: int = 3, density: float = 0.7
) -> LoihiProgram:
    """Populations of CODES in a chain, with sources that meet, one that nobody reads, and an
    output in the middle; `sizes` are taken in turn.
    """
    rng = np.random.default_rng(seed)
    low = rng.integers(-128, 100, inputs)
    port = InputPort("input", BYTE, low, low + rng.integers(0, 28, inputs))
    populations: list[Population] = []
    connections: list[Connection] = []

    def connect(source: str, target: Population, columns: int, **options: int) -> None:
        known = list(target.program.accumulators)
        fed = tuple(rng.permutation(known)[: rng.integers(1, len(known) + 1)])
        shape = (len(fed) * target.size, columns)
        weights = rng.integers(-8, 9, shape) * (rng.random(shape) < density)
        exponent = int(rng.integers(0, 3))
        connections.append(
            Connection.from_dense(source, target.name, fed, weights, exponent=exponent, **options)
        )

    before, columns = "input", inputs
    for place, code in enumerate(CODES):
        size = sizes[place % len(sizes)]
        population = Population(
            f"code_{place}",
            code,
            {word: rng.integers(-128, 128, size) for word in code.parameter_names},
            {word: rng.integers(-128, 128, size) for word in code.state_names},
            FixedPoint(8, 7),
            -128,
            127,
            size,
        )
        populations.append(population)
        connect(before, population, columns)
        if place % 2:
            connect(before, population, columns)
        if place == 3:
            connect("input", population, inputs, delay=3)
        if code.message_state:
            connect(population.name, population, size)
        if place != 4:  # code_4 is a dead end
            before, columns = population.name, size
    return made("zoo", port, populations, connections, "code_2")


def operations_program() -> LoihiProgram:
    """A neuron for each operation, which sends what the operation makes of the input channels."""
    port = InputPort("input", FixedPoint(16, 0), np.full(3, -(1 << 15)), np.full(3, (1 << 15) - 1))
    populations: list[Population] = []
    connections: list[Connection] = []
    for opcode in MAKERS:
        names = tuple(f"acc{n}" for n in range(OPERATIONS[opcode].operands))
        for shift in {"MUL_SHR": (8, 31), "SHL": (0, 8)}.get(opcode, (None,)):
            words = [f"sum{n}" for n in range(len(names))]
            code = [Instruction("RDC", w, (n,)) for w, n in zip(words, names, strict=True)]
            code.append(Instruction(opcode, "result", tuple(words), shift))
            code.append(Instruction("SPIKE", "", ("result",)))
            name = opcode if shift is None else f"{opcode}_{shift}"
            neuron = NeuronProgram(name, names, (), (), tuple(code))
            low, high = signed_range(24)
            populations.append(Population(name, neuron, {}, {}, FixedPoint(24, 0), low, high, 1))
            connections.append(Connection.from_dense("input", name, names, np.eye(len(names), 3)))
    return made("operations", port, populations, connections, populations[0].name)


def long_program() -> LoihiProgram:
    """A program that is slow: a dense layer of 1024 units."""
    sizes = Sizes(
        inputs=1, layers=(1024,), readout=1, message_bits=4, input_bits=4, density=1.0,
        weight_bits=4,
    )  # fmt: skip
    return random_program(5, sizes)
