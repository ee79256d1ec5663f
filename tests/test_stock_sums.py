"""What is proved of sums of rectifiers and thresholds: the extremes that they have, no others."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import Sizes, random_inputs, random_program
from stock_programs import (
    byte_port,
    random_stock_program,
    stock_population,
    stock_program,
    stock_programs,
)

from lnn2loihi.errors import ProgramError
from lnn2loihi.formats import signed_range
from lnn2loihi.neurons.kinks import NONE, Terms, extremes
from lnn2loihi.neurons.stock import FIRST_IN, IN, SECOND_IN, StockNeuron, stock_neuron
from lnn2loihi.program import Connection, InputPort, LoihiProgram
from lnn2loihi.simulation import full_initial_state, simulate
from lnn2loihi.simulation.reference import run_reference

BUSY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
RELAY = StockNeuron("threshold")
RELU = StockNeuron("rectifier")
whole = st.integers(-5, 5)
terms = st.lists(
    st.tuples(
        st.integers(-6, 6),
        st.sampled_from([-3, -2, -1, 1, 2, 3]),
        st.integers(-12, 12),
        st.integers(NONE, 8),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


def message(a: Any, threshold: int, both_sides: bool) -> Any:
    if threshold == NONE:
        return a
    return np.where((a > threshold) | (both_sides & (a < -threshold)), a, 0)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(terms, st.integers(-10, 4), st.integers(0, 14)), min_size=1, max_size=3))
def test_extremes_are_those_of_all_values(sums: list[Any]) -> None:
    parts = [(n, *term) for n, (own, _, _) in enumerate(sums) for term in own]
    columns: list[Any] = [
        np.array(column) for column in zip(*parts[::-1], strict=True)
    ]  # in any order
    low: Any = np.array([begin for _, begin, _ in sums])
    high = low + np.array([length for *_, length in sums])
    smallest, largest = extremes(Terms(*columns), low, high)
    for n, (own, _, _) in enumerate(sums):
        v = np.arange(low[n], high[n] + 1)
        total: Any = sum(w * message(g * v + b, t, both) for w, g, b, t, both in own)
        assert (smallest[n], largest[n]) == (total.min(), total.max())


def read_by(program: LoihiProgram, name: str = "out", accumulator: str = IN) -> list[Any]:
    """[low, high] of what an accumulator reads, of each neuron."""
    interval = program.accumulator_intervals(name)[accumulator]
    return np.stack([interval.low, interval.high], axis=1).tolist()


def tried(program: LoihiProgram, name: str = "out") -> list[Any]:
    """[smallest, largest] message of a relay, of each neuron, over all samples."""
    ranges = [range(a, b + 1) for a, b in zip(program.input.low, program.input.high, strict=True)]
    x = np.array([list(product(*ranges))])
    found = simulate(program, x, "blas", encoded=True).integers[0]
    assert program.output == name
    return np.stack([found.min(axis=0), found.max(axis=0)], axis=1).tolist()


def activation(
    port: InputPort,
    weights: Any,
    constants: Any,
    combined: Any,
    neuron: StockNeuron = RELU,
    **more: Any,
) -> LoihiProgram:
    """input -> neurons with constants -> relays."""
    hidden, answers = np.asarray(weights), np.asarray(combined)
    populations = [
        stock_population("one", StockNeuron("constant"), 1, values=[1]),
        stock_population("hidden", neuron, len(hidden)),
        stock_population("out", RELAY, len(answers)),
    ]
    connections = [
        Connection.from_dense("input", "hidden", (IN,), hidden),
        Connection.from_dense("one", "hidden", (IN,), np.reshape(constants, (-1, 1))),
        Connection.from_dense("hidden", "out", (IN,), answers),
    ]
    if "bias" in more:
        bias = np.reshape(more["bias"], (-1, 1))
        connections.append(Connection.from_dense("one", "out", (IN,), bias))
    return stock_program(populations, connections, port)


class TestSharedArguments:
    def test_a_pair_stays_between_its_knots(self) -> None:
        """relu(z + t) - relu(z - t) is in [0, 2t], whatever z; one of them alone is not."""
        made = activation(byte_port(1), [[3], [3]], [50, -50], [[1, -1], [1, 0], [2, -2]])
        assert read_by(made) == [[0, 100], [0, 3 * 127 + 50], [0, 200]]
        assert made.population("out").message_high == 431

    def test_a_rectifier_of_two_thresholds(self) -> None:
        """T(2v + theta) - T(v + theta) is relu(v) for |v| <= theta, where both thresholds jump."""
        neuron = StockNeuron("threshold", 128)
        made = activation(byte_port(1), [[2], [1]], [64, 64], [[1, -1]], neuron)
        assert read_by(made) == tried(made)
        port = byte_port(1, -120, 120)
        exact = activation(port, [[2], [1]], [120, 120], [[1, -1]], StockNeuron("threshold", 120))
        assert read_by(exact) == tried(exact)
        assert read_by(exact)[0][1] == 120

    def test_constants_count_for_what_they_are(self) -> None:
        made = activation(byte_port(1), [[1], [1]], [10, -10], [[1, -1]], bias=[-10])
        assert read_by(made) == [[-10, 10]]

    @BUSY
    @given(
        st.lists(
            st.tuples(st.sampled_from([-3, -2, -1, 1, 2, 3]), st.integers(-120, 120), whole),
            min_size=1, max_size=6,
        ),
        st.sampled_from([RELU, StockNeuron("rectifier", 7), RELAY, StockNeuron("threshold", 9)]),
        st.lists(whole, min_size=2, max_size=2),
        st.integers(-40, 10),
        st.integers(0, 30),
    )  # fmt: skip
    def test_one_argument(
        self, units: list[Any], neuron: StockNeuron, unit: list[int], low: int, length: int
    ) -> None:
        """Of one channel, and of sums of two, which are what the argument is up to a factor."""
        gains, offsets, weights = (np.array(column) for column in zip(*units, strict=True))
        port = byte_port(1, low, low + length)
        made = activation(port, gains[:, None], offsets, [weights, -weights], neuron)
        assert read_by(made) == tried(made)
        port = byte_port(2, low, low + length // 3)
        made = activation(port, gains[:, None] * unit, offsets, [weights], neuron)
        found, seen = read_by(made), tried(made)
        assert found[0][0] <= seen[0][0] and seen[0][1] <= found[0][1]
        if not all(unit) or abs(unit[0]) == abs(unit[1]) == 1:
            assert found == seen  # the argument takes every value between its ends

    @BUSY
    @given(st.data())
    def test_several_arguments_add_up(self, data: st.DataObject) -> None:
        """Channels are independent: the extremes are reached together."""
        channels = data.draw(st.integers(1, 2))
        of = data.draw(st.lists(st.integers(0, channels - 1), min_size=2, max_size=7))
        many = st.lists(st.sampled_from([-2, -1, 1, 2]), min_size=len(of), max_size=len(of))
        hidden = np.zeros((len(of), channels), int)
        hidden[np.arange(len(of)), of] = data.draw(many)
        made = activation(
            byte_port(channels, -9, 8), hidden, data.draw(many), [data.draw(many)],
            data.draw(st.sampled_from([RELU, StockNeuron("threshold", 3)])),
        )  # fmt: skip
        assert read_by(made) == tried(made)

    def test_what_is_heard_itself_has_an_argument_too(self) -> None:
        """z - relu(z - 5) is the smaller of z and 5."""
        port = byte_port(1)
        populations = [
            stock_population("one", StockNeuron("constant"), 1, values=[1]),
            stock_population("hidden", RELU, 1),
            stock_population("out", RELAY, 1),
        ]
        connections = [
            Connection.from_dense("input", "hidden", (IN,), [[1]]),
            Connection.from_dense("one", "hidden", (IN,), [[-5]]),
            Connection.from_dense("hidden", "out", (IN,), [[-1]]),
            Connection.from_dense("input", "out", (IN,), [[1]]),
        ]
        made = stock_program(populations, connections, port)
        assert read_by(made) == [[-128, 5]] == tried(made)

    def test_digits_relays_and_other_populations(self) -> None:
        """Arguments are found through digits, relays, and in whatever population they are."""
        port = byte_port(2, -40, 40)
        populations = [
            stock_population("ones", StockNeuron("constant"), 2, values=[1, 128]),
            stock_population("late ones", RELAY, 1),
            stock_population("relay", RELAY, 2),
            stock_population("plus", RELU, 1),
            stock_population("minus", RELU, 1),
            stock_population("out", RELAY, 1),
        ]
        joined = Connection.from_dense
        connections = [
            joined("ones", "late ones", (IN,), [[0, 2]]),
            joined("input", "relay", (IN,), [[-2, 0], [0, 3]]),
            joined("ones", "relay", (IN,), [[7, 0], [0, 0]]),
            # 20 x + 6 y: by digits, and by what relays make of it.
            joined("input", "plus", (IN,), [[4, -2]]),
            joined("input", "plus", (IN,), [[2, 1]], exponent=3),
            joined("ones", "plus", (IN,), [[44, 2]]),
            joined("relay", "minus", (IN,), [[-10, 2]]),
            joined("late ones", "minus", (IN,), [[-1]]),
            joined("ones", "minus", (IN,), [[70, 0]]),
            joined("plus", "out", (IN,), [[1]]),
            joined("minus", "out", (IN,), [[-1]]),
        ]
        made = stock_program(populations, connections, port)
        assert read_by(made) == [[0, 300 + 256]] == tried(made)

    def test_products_hear_sums_and_constants(self) -> None:
        port = byte_port(1)
        populations = [
            stock_population("ones", StockNeuron("constant"), 2, values=[1, 1 << 14]),
            stock_population("hidden", RELU, 2),
            stock_population("out", StockNeuron("product", shift=10), 1),
        ]
        connections = [
            Connection.from_dense("input", "hidden", (IN,), [[100], [100]]),
            Connection.from_dense("ones", "hidden", (IN,), [[100, 0], [-100, 0]]),
            Connection.from_dense("hidden", "out", (FIRST_IN,), [[1, -1]]),
            Connection.from_dense("ones", "out", (SECOND_IN,), [[0, 1]]),
        ]
        made = stock_program(populations, connections, port)
        assert made.bounds["out"].words["message'"].hull == (0, 200 << 4)
        assert made.bounds["hidden"].words["message'"].hull == (0, 12_800)


class TestWhatDoesNotHold:
    def looped(self, low: int, high: int) -> LoihiProgram:
        """Rectifiers that are heard of the sample before, subtracted from each other."""
        relu = StockNeuron("rectifier", looped=True, message_bits=12)
        populations = [
            stock_population("one", StockNeuron("constant"), 1, values=[1]),
            stock_population("out", RELAY, 1),
            stock_population("hidden", relu, 2, (low, high)),
        ]
        connections = [
            Connection.from_dense("input", "out", (IN,), [[1]]),
            Connection.from_dense("hidden", "out", (IN,), [[1, -1]]),
            Connection.from_dense("input", "hidden", (IN,), [[1], [1]]),
            Connection.from_dense("one", "hidden", (IN,), [[5], [-5]]),
        ]
        return stock_program(populations, connections, byte_port(1), "out")

    def test_messages_before_the_first_sample_have_no_argument(self) -> None:
        """A state is given by whoever runs the program: each neuron's is anything in its range."""
        made = self.looped(0, 2000)
        assert read_by(made) == [[-2128, 2127]]
        state = {"hidden": {"sent": np.array([[0, 2000]])}}
        found = simulate(made, [[[-128]]], "reference", encoded=True, initial_state=state)
        assert found.integers.item() == -2128

    @pytest.mark.parametrize("place", [0, 1])
    def test_a_constant_that_loops_hear_is_not_known_before_the_first_sample(
        self, place: int
    ) -> None:
        port = byte_port(1, 0, 1)
        constant = StockNeuron("constant", looped=True)
        populations = [
            stock_population("out", RELAY, 1),
            stock_population("seven", constant, 1, (0, 9), [7], 3),
        ]
        connections = [
            Connection.from_dense("input", "out", (IN,), [[1]]),
            Connection.from_dense("seven", "out", (IN,), [[1]]),
        ]
        made = stock_program(populations[:: 1 - 2 * place], connections, port, "out")
        assert read_by(made) == ([[0, 10]] if place == 0 else [[7, 8]])

    def test_what_arrives_one_after_another_has_to_fit_too(self) -> None:
        """The difference is small; on the way to it an accumulator would hold more than 24 bits."""
        weights = [[127], [127]]
        fits = activation(byte_port(1), weights, [10, -10], [[1, -1]] * 2)
        partial = fits.partial_sum_intervals("out")[IN]
        assert read_by(fits) == [[0, 20]] * 2
        assert [partial.low.tolist(), partial.high.tolist()] == [
            [10 - 127**2] * 2,
            [127**2 + 10] * 2,
        ]

        def wide(exponent: int) -> LoihiProgram:
            populations = [
                stock_population("one", StockNeuron("constant"), 1, values=[1]),
                stock_population("hidden", RELU, 2),
                stock_population("out", RELAY, 7),
            ]
            connections = [
                Connection.from_dense("input", "hidden", (IN,), weights),
                Connection.from_dense("one", "hidden", (IN,), [[1], [-1]]),
                Connection.from_dense("hidden", "out", (IN,), [[8, -8]] * 7, exponent=exponent),
            ]
            return stock_program(populations, connections, byte_port(1))

        assert read_by(wide(6)) == [[0, 2 << 9]] * 7
        with pytest.raises(ProgramError) as caught:
            wide(7)
        assert caught.value.problems[0] == (
            "accumulator 'a_in' of neuron 0 can reach [-16515072, 16517120] while messages arrive, "
            "in an order that nobody knows, which needs 25 bits; the limit is 24"
        )
        assert caught.value.problems[-1] == "accumulator 'a_in': 2 more neurons like these"

    def test_arguments_that_are_not_one(self) -> None:
        """Of other channels, and of other ratios."""
        made = activation(byte_port(2, -9, 9), [[1, 0], [0, 1]], [5, -5], [[1, -1]])
        assert read_by(made) == [[-4, 14]] == tried(made)
        made = activation(byte_port(2, -9, 9), [[1, 2], [2, 1]], [5, -5], [[1, -1]])
        assert read_by(made) == [[-22, 32]]

    def test_one_sample_and_the_one_before(self) -> None:
        """What comes before a neuron hears its last message, what comes after it the next one."""
        middle = StockNeuron("threshold", 1, looped=True, message_bits=8)
        populations = [
            stock_population("before", RELU, 1),
            stock_population("middle", middle, 1),
            stock_population("after", RELU, 1),
            stock_population("out", RELAY, 1),
        ]
        connections = [
            Connection.from_dense("input", "before", (IN,), [[0]]),
            Connection.from_dense("middle", "before", (IN,), [[1]]),
            Connection.from_dense("input", "middle", (IN,), [[1]]),
            Connection.from_dense("middle", "after", (IN,), [[1]]),
            Connection.from_dense("before", "out", (IN,), [[1]]),
            Connection.from_dense("after", "out", (IN,), [[-1]]),
        ]
        made = stock_program(populations, connections, byte_port(1))
        assert read_by(made) == [[-127, 127]]
        found = simulate(made, [[[127], [-5], [127], [127]]], "reference", encoded=True).integers
        assert found.ravel().tolist() == [-127, 127, -127, 0]


@BUSY
@given(stock_programs(), st.integers(0, 99))
def test_nothing_leaves_its_bounds(program: LoihiProgram, seed: int) -> None:
    """With any samples and any messages before the first one."""
    rng = np.random.default_rng(seed)
    x = random_inputs(seed, program, 4, 12)
    state = {
        p.name: {
            word: rng.integers(p.message_low, p.message_high + 1, (4, p.size))
            for word in p.program.state_names
        }
        for p in program.populations
    }
    run = run_reference(program, x, full_initial_state(program, 4, state), check_bounds=True)
    for p in program.populations:
        word = p.program.message_state or "message"
        if word in run.states[p.name]:
            sent, bound = run.states[p.name][word], program.bounds[p.name].words["message'"]
            assert (bound.low <= sent).all() and (sent <= bound.high).all()


@BUSY
@given(stock_programs())
def test_what_is_read_is_within_what_can_be_held(program: LoihiProgram) -> None:
    for p in program.populations:
        assert stock_neuron(p.program) is not None
        partial = program.partial_sum_intervals(p.name)
        for name, read in program.accumulator_intervals(p.name).items():
            low, high = partial[name].low, partial[name].high
            assert (np.minimum(read.low, 0) >= low).all()
            assert (np.maximum(read.high, 0) <= high).all()
            assert low.min() >= signed_range(24)[0] and high.max() <= signed_range(24)[1]


def test_programs_of_other_neurons_keep_their_bounds() -> None:
    made = random_program(3, Sizes())
    for p in made.populations:
        partial, read = made.partial_sum_intervals(p.name), made.accumulator_intervals(p.name)
        assert partial == read


def test_messages_that_are_stated_too_small_are_refused() -> None:
    made = activation(byte_port(1), [[3], [3]], [50, -50], [[1, -1]])
    short = [
        stock_population("out", RELAY, 1, (0, 99)) if p.name == "out" else p
        for p in made.populations
    ]
    with pytest.raises(ProgramError, match=r"messages can reach \[0, 100\], stated is \[0, 99\]"):
        LoihiProgram("short", "", made.input, tuple(short), made.connections, "out", made.schedule)


def test_random_programs_are_not_idle() -> None:
    """What the strategy makes is worth trying: most answers are not always 0."""
    sent = [
        simulate(program, random_inputs(seed, program, 2, 12), "blas", encoded=True).integers
        for seed in range(8)
        for program in [random_stock_program(seed)]
    ]
    live = [answers.any(axis=(0, 1)) for answers in sent]
    assert np.concatenate(live).mean() > 0.5
