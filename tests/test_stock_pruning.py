"""Neurons that are not needed: what is dropped, what stays, and that no answer changes."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import Sizes, random_inputs, random_program
from stock_programs import byte_port, stock_population, stock_program, stock_programs

from lnn2loihi.neurons.stock import IN, StockNeuron
from lnn2loihi.program import Connection, LoihiProgram
from lnn2loihi.simulation import simulate
from lnn2loihi.targets.stock.pruning import pruned

RELAY, RELU = StockNeuron("threshold"), StockNeuron("rectifier")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stock_programs(), st.integers(0, 99))
def test_no_answer_changes(program: LoihiProgram, seed: int) -> None:
    fewer = pruned(program)
    assert fewer.neurons <= program.neurons and fewer.synapses <= program.synapses
    assert fewer.schedule == program.schedule and pruned(fewer) is fewer
    x = random_inputs(seed, program, 3, 12)
    expected, found = (simulate(p, x, "blas", encoded=True).integers for p in (program, fewer))
    assert np.array_equal(found, expected)


def hidden(constants: list[int], answers: list[list[int]], gain: int = 1) -> LoihiProgram:
    """Rectifiers of one channel from -100 to 100, with constants, and what hears them."""
    populations = [
        stock_population("ones", StockNeuron("constant"), 2, values=[1, 100]),
        stock_population("hidden", RELU, len(constants)),
        stock_population("out", RELAY, len(answers)),
    ]
    weights = [[constant % 100, constant // 100] for constant in constants]
    connections = [
        Connection.from_dense("input", "hidden", (IN,), [[gain]] * len(constants)),
        Connection.from_dense("ones", "hidden", (IN,), weights),
        Connection.from_dense("hidden", "out", (IN,), answers),
    ]
    return stock_program(populations, connections, byte_port(1, -100, 100))


def test_rectifiers_that_never_send_anything() -> None:
    """-100 is the first constant with which none of 100 + constant is above 0."""
    made = pruned(hidden([50, -99, -100, -200], [[1, 1, 1, 1], [0, 2, 0, -1]]))
    assert made.population("hidden").size == 2
    assert [c.dense().tolist() for c in made.connections] == [
        [[1], [1]], [[50, 0], [1, -1]], [[1, 1], [0, 2]]
    ]  # fmt: skip


def test_rectifiers_that_hear_the_same_are_one() -> None:
    made = pruned(hidden([50, 7, 50, 50], [[60, 1, 67, 1], [1, 1, 1, 1]]))
    # 60 + 67 is the largest mantissa: a third one stays for itself.
    assert made.population("hidden").size == 3
    assert made.connections[2].dense().tolist() == [[127, 1, 1], [2, 1, 1]]
    # Those that cancel each other are heard no more, and what nobody hears goes too.
    made = pruned(hidden([50, 7, 50], [[3, 1, -3]]))
    assert made.population("hidden").size == 1 and made.synapses == 3


def test_something_stays_of_everything() -> None:
    made = pruned(hidden([-100, -100], [[1, 1], [1, -1]]))
    assert [p.size for p in made.populations] == [1, 1, 2]
    assert simulate(made, [[[3.0]]]).integers.tolist() == [[[0, 0]]]


def test_what_loops_hear_stays() -> None:
    """Its messages before the first sample are those of whoever runs the program."""
    looped = StockNeuron("rectifier", looped=True, message_bits=8)
    populations = [
        stock_population("ones", StockNeuron("constant"), 1, values=[1]),
        stock_population("out", RELAY, 1),
        stock_population("hidden", looped, 2, (0, 100), initial=[5, 100]),
    ]
    connections = [
        Connection.from_dense("input", "out", (IN,), [[1]]),
        Connection.from_dense("hidden", "out", (IN,), [[1, 1]]),
        Connection.from_dense("input", "hidden", (IN,), [[1], [1]]),
        Connection.from_dense("ones", "hidden", (IN,), [[-101], [-101]]),
    ]
    made = stock_program(populations, connections, byte_port(1, -100, 100), "out")
    assert pruned(made) is made
    assert simulate(made, [[[1.0], [1.0]]]).integers.ravel().tolist() == [106, 1]


def test_programs_of_other_neurons_are_left_as_they_are() -> None:
    made = random_program(1, Sizes())
    assert pruned(made) is made
