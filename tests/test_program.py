"""LoihiProgram: what is refused, when populations update, and what connections can sum to."""

from __future__ import annotations

import dataclasses
import re
import sys
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import Sizes, random_inputs, random_program

from lnn2loihi.errors import ProgramError
from lnn2loihi.families.readout.lowering import linear_program
from lnn2loihi.formats import FixedPoint
from lnn2loihi.graph.schedule import derive_schedule
from lnn2loihi.neurons.stock import StockNeuron
from lnn2loihi.neurons.tracer import Tracer
from lnn2loihi.program import (
    LARGEST_GRAPH,
    TABLE_COLUMNS,
    Connection,
    InputPort,
    LoihiProgram,
    Population,
    Schedule,
)
from lnn2loihi.simulation import simulate

ROW: dict[str, Any] = {
    "stage": "layer_0", "family": "cfc", "neurons": 5, "synapses": 9, "message": "12 bit Q0.11",
    "weights": None, "weight_bits_used": None, "accumulator": "20 bit", "range_used": 0.5,
    "saturated": 0.0,
    "signal_to_noise_db": float("inf"), "worst_db": 31.4, "worst_unit": 2, "compared": 10,
    "instructions": None,
}  # fmt: skip


def relay(name: str, size: int = 1, bits: int = 12) -> Population:
    """Neurons that send what they sum, clamped to their message."""
    t = Tracer("relay")
    message = FixedPoint(bits, 0)
    state = t.state("h", bits)
    clamped = t.minimum(t.maximum(t.accumulator("sum_in"), message.low), message.high)
    t.spike(clamped, state)
    start = {"h": np.zeros(size)}
    return Population(name, t.program(), {}, start, message, message.low, message.high, size)


def joined(source: str, target: str, sources: int = 1, size: int = 1, **options: Any) -> Connection:
    return Connection.from_dense(source, target, ("sum_in",), np.ones((size, sources)), **options)


def network(
    populations: tuple[Population, ...], connections: tuple[Connection, ...], **changes: Any
) -> LoihiProgram:
    port = InputPort("input", FixedPoint(8, 0), np.array([-128]), np.array([127]))
    schedule = derive_schedule("input", [p.name for p in populations], connections)
    start: dict[str, Any] = {"output": populations[-1].name, "schedule": schedule} | changes
    return LoihiProgram("small", "by hand", port, populations, connections, **start)


def refused(program: LoihiProgram, **changes: Any) -> str:
    with pytest.raises(ProgramError) as caught:
        dataclasses.replace(program, **changes)
    return str(caught.value)


class TestSchedule:
    def test_a_chain_updates_one_step_after_another(self) -> None:
        names = [f"p{n}" for n in range(40)]
        stages = tuple(relay(name) for name in names)
        chain = tuple(joined(a, b) for a, b in zip(["input", *names], names, strict=False))
        schedule = derive_schedule("input", [p.name for p in stages], chain)
        assert schedule == Schedule(1, {name: n + 1 for n, name in enumerate(names)})
        program = network(stages, chain)
        assert program.latency_steps == 40 and schedule.steps(7) == 6 + 40 + 1

    def test_recurrent_connections_do_not_count(self) -> None:
        schedule = derive_schedule("input", ["p"], (joined("input", "p"), joined("p", "p")))
        assert schedule.first_valid["p"] == 1

    def test_paths_of_different_length_are_refused_until_the_shorter_is_delayed(self) -> None:
        stages = relay("p"), relay("q")
        chain = joined("input", "p"), joined("p", "q")
        with pytest.raises(ProgramError, match="q: samples arrive in different steps") as caught:
            derive_schedule("input", [p.name for p in stages], (*chain, joined("input", "q")))
        assert "p -> q in step 2, input -> q in step 1" in str(caught.value)
        matched = derive_schedule(
            "input", [p.name for p in stages], (*chain, joined("input", "q", delay=1))
        )
        assert matched.first_valid == {"p": 1, "q": 2}

    def test_parallel_connections_with_different_delays_are_refused(self) -> None:
        parallel = joined("input", "p"), joined("input", "p", delay=1)
        with pytest.raises(ProgramError, match="p: samples arrive in different steps"):
            derive_schedule("input", ["p"], parallel)

    def test_every_problem_is_listed(self) -> None:
        stages = relay("p"), relay("q"), relay("r")
        connections = (
            joined("input", "q"), joined("q", "q", delay=2), joined("r", "q"), joined("r", "r"),
        )  # fmt: skip
        with pytest.raises(ProgramError) as caught:
            derive_schedule("input", [p.name for p in stages], connections)
        assert set(caught.value.problems) == {
            "r gets no input from any earlier stage",
            "loops of different length (q -> q takes 3 steps, r -> q takes 1 steps, r -> r takes 1 "
            "steps); delay the shorter ones",
        }

    def test_only_constants_hear_nothing(self) -> None:
        constant = Population(
            "seven", StockNeuron("constant").program(), {"value": np.array([7])}, {},
            FixedPoint(4, 0), 0, 7, 1,
        )  # fmt: skip
        both = joined("input", "p"), joined("seven", "p")
        program = network((constant, relay("p")), both)
        assert program.schedule == Schedule(1, {"seven": 0, "p": 1})
        assert simulate(program, [[[0.0], [3.0]]]).integers.ravel().tolist() == [7, 10]
        with pytest.raises(ProgramError, match="p gets no input from any earlier stage"):
            network((constant, relay("p"), relay("q")), (joined("seven", "q"),))
        heard = Connection.from_dense("input", "seven", ("a_in",), [[1]])
        text = refused(program, connections=(*both, heard))
        assert "constants are sent by the host and hear nothing, this one hears input" in text

    @pytest.mark.parametrize(
        "schedule", [Schedule(2, {"p": 1}), Schedule(1, {"p": 2}), Schedule(1, {}),
                     Schedule(1, {"p": 1, "q": 1})],
    )  # fmt: skip
    def test_another_schedule_than_the_derived_one_is_refused(self, schedule: Schedule) -> None:
        with pytest.raises(ProgramError, match="not the one that its connections ask for"):
            network((relay("p"),), (joined("input", "p"),), schedule=schedule)


class TestConnection:
    @given(
        st.lists(st.lists(st.integers(-128, 127), min_size=3, max_size=3), min_size=1, max_size=6),
        st.integers(0, 7),
    )
    def test_dense_mantissas_survive_and_zeros_are_no_synapses(
        self, rows: list[list[int]], exponent: int
    ) -> None:
        dense = np.array(rows)
        made = Connection.from_dense("a", "b", ("x",), dense, exponent=exponent)
        assert np.array_equal(made.dense(), dense * 2**exponent)
        assert made.synapses == np.count_nonzero(dense) and made.rows == len(rows)
        assert made.problems(len(rows)) == []

    @given(st.integers(0, 10**6))
    def test_its_interval_is_that_of_all_messages_and_of_silence(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        exponent = int(rng.integers(0, 3))
        dense = rng.integers(-4, 5, (3, 3))
        made = Connection.from_dense("a", "b", ("x",), dense, exponent=exponent)
        low = rng.integers(-3, 3, 3)
        high = low + rng.integers(0, 3, 3)
        values = [sorted({0, *range(lo, hi + 1)}) for lo, hi in zip(low, high, strict=True)]
        sums = np.array(list(product(*values))) @ (dense.T * 2**exponent)
        found = made.interval(low, high)
        assert found.low.tolist() == sums.min(axis=0).tolist()
        assert found.high.tolist() == sums.max(axis=0).tolist()

    @pytest.mark.parametrize("block", [1, 3, 7])
    def test_its_interval_does_not_depend_on_blocks(
        self, monkeypatch: pytest.MonkeyPatch, block: int
    ) -> None:
        rng = np.random.default_rng(2)
        for density in (0.0, 0.3, 1.0):
            dense = rng.integers(-128, 128, (9, 5)) * (rng.random((9, 5)) < density)
            dense[[0, 4, 8]] = 0
            made = Connection.from_dense("a", "b", ("x",), dense)
            low, high = rng.integers(-9, 0, 5), rng.integers(0, 9, 5)
            whole = made.interval(low, high)
            with monkeypatch.context() as patch:
                patch.setattr(sys.modules[Connection.__module__], "VALUES_AT_ONCE", block)
                parts = made.interval(low, high)
            assert np.array_equal(whole.low, parts.low) and np.array_equal(whole.high, parts.high)

    def test_its_interval_holds_every_partial_sum_in_any_order(self) -> None:
        rng = np.random.default_rng(1)
        made = Connection.from_dense("a", "b", ("x",), rng.integers(-128, 128, (1, 20)), exponent=7)
        found = made.interval(np.full(20, -2048), np.full(20, 2047))
        for _ in range(200):
            terms = rng.permutation(made.dense()[0] * rng.choice([-2048, 2047], 20))
            partial = np.cumsum(terms)
            assert found.low[0] <= partial.min() and partial.max() <= found.high[0]

    @pytest.mark.parametrize("value", [128, -129, 0.5])
    def test_mantissas_that_do_not_fit_eight_bits_are_never_wrapped(self, value: float) -> None:
        with pytest.raises(ProgramError, match="values that int8 cannot hold"):
            Connection.from_dense("a", "b", ("x",), np.array([[value]]))

    @given(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=6))
    def test_two_synapses_of_one_pair_are_named(self, rows: list[list[int]]) -> None:
        columns = [column for row in rows for column in row]
        starts = np.cumsum([0, *map(len, rows)])
        made = Connection(
            "a", "b", ("x",), starts, np.array(columns, int), np.ones(len(columns)), source_size=6
        )
        twice = [
            (number, column)
            for number, row in enumerate(rows)
            for column in sorted(set(row))
            if row.count(column) > 1
        ]
        found = made.problems(len(rows))
        assert len(found) == (1 if twice else 0)
        for number, column in twice[:3]:
            assert f"row {number} has source {column} more than once" in found[0]
        assert (f"{len(twice) - 3} more pairs" in "".join(found)) == (len(twice) > 3)

    def test_two_connections_between_the_same_populations_add_up(self) -> None:
        stages = (relay("p", 2),)
        first = Connection.from_dense("input", "p", ("sum_in",), [[3], [5]])
        second = Connection.from_dense("input", "p", ("sum_in",), [[1], [-2]], exponent=2)
        both = network(stages, (first, second))
        x = np.arange(-100, 101, 50).reshape(1, -1, 1)
        expected = np.clip(x * np.array([7, -3]), -2048, 2047)
        assert np.array_equal(simulate(both, x, engine="reference").integers, expected)
        first_neuron, second_neuron = (-128 * 7, 127 * 7), (-128 * 5 - 127 * 8, 127 * 5 + 128 * 8)
        sums = both.accumulator_intervals("p")["sum_in"]
        assert sums.of_neuron(0).hull == first_neuron
        assert sums.of_neuron(1).hull == second_neuron


class TestConstruction:
    @pytest.fixture
    def program(self) -> LoihiProgram:
        return random_program(3, Sizes(layers=(4,), readout=2))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"columns": np.zeros(3)}, "columns and mantissas differ in shape"),
            ({"row_starts": np.zeros(13)}, "row_starts do not divide the synapses into rows"),
            ({"row_starts": np.zeros(4)}, "3 rows, expected 3 accumulators times 4 neurons"),
            ({"accumulators": ()}, "it feeds no accumulator"),
            ({"accumulators": ("ff1", "ff1", "time")}, "target has ('ff1', 'ff2', 'time')"),
            ({"accumulators": ("ff1", "ff2", "x")}, "accumulators ('ff1', 'ff2', 'x')"),
            ({"source_size": 2}, "2 columns, source has 3"),
            ({"exponent": -1}, "exponent -1 is outside 0..7; connections only shift left"),
            ({"exponent": 8}, "exponent 8 is outside 0..7"),
            ({"delay": -1}, "delay -1 is outside 0..62"),
            ({"delay": 63}, "delay 63 is outside 0..62"),
            ({"mantissa_bits": 0}, "mantissas of 0 bits; 1 to 8 exist"),
            ({"mantissa_bits": 9}, "mantissas of 9 bits; 1 to 8 exist"),
            ({"mantissa_bits": 2}, "a mantissa does not fit 2 bits"),
            ({"source": "nobody"}, "nobody -> layer_0: unknown source or target"),
            ({"target": "input"}, "input -> input: unknown source or target"),
        ],
    )
    def test_a_connection_that_does_not_fit_is_named(
        self, program: LoihiProgram, changes: dict[str, Any], message: str
    ) -> None:
        first, *others = program.connections
        changed = dataclasses.replace(first, **changes)
        assert message in refused(program, connections=(changed, *others))

    def test_a_synapse_beyond_the_source_is_named(self, program: LoihiProgram) -> None:
        first, *others = program.connections
        for column in (-1, 3):
            columns = first.columns.copy()
            columns[-1] = column
            changed = dataclasses.replace(first, columns=columns)
            message = "a synapse reads beyond the 3 sources"
            assert message in refused(program, connections=(changed, *others))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"parameters": {}}, "parameters [], expected ['ff1.bias'"),
            ({"initial_state": {"x": np.zeros(4)}}, "initial states ['x'], expected ['h']"),
            ({"initial_state": {"h": np.zeros(3)}}, "h has shape (3,), expected (4,)"),
            ({"initial_state": {"h": np.full(4, 2048)}}, "state h does not fit its 12 bits"),
            ({"size": 0}, "a population has at least one neuron, not 0"),
            ({"message": FixedPoint(25, 0)}, "messages of 25 bits; 1 to 24 exist"),
            ({"message_low": -2049}, "messages in [-2049, 2047] do not fit 12 bits"),
            ({"message_high": 10**30}, "do not fit 12 bits"),
            ({"message_low": 3, "message_high": 2}, "messages in [3, 2] do not fit 12 bits"),
            ({"name": "input"}, "names of populations and input are not unique"),
            ({"name": "a\nb"}, "'a\\nb' is not one line of printable text"),
        ],
    )  # fmt: skip
    def test_a_population_that_does_not_fit_is_named(
        self, program: LoihiProgram, changes: dict[str, Any], message: str
    ) -> None:
        first, *others = program.populations
        changed = dataclasses.replace(first, **changes)
        assert message in refused(program, populations=(changed, *others))

    def test_a_parameter_beyond_its_width_is_named(self, program: LoihiProgram) -> None:
        first, *others = program.populations
        wide = {**first.parameters, "ff2.multiplier": np.array([1, 2, 3, 128])}
        changed = dataclasses.replace(first, parameters=wide)
        message = "layer_0: parameter ff2.multiplier does not fit its 8 bits"
        assert message in refused(program, populations=(changed, *others))

    @pytest.mark.parametrize(
        ("low", "high", "message"),
        [
            ([0, 0], [1], "low and high need the shape (channels,)"),
            ([], [], "low and high need the shape (channels,)"),
            ([[0]], [[1]], "low and high need the shape (channels,)"),
            ([1, 0, 0], [0, 0, 0], "its ranges do not fit 12 bits"),
            ([0, 0, 0], [0, 0, 2048], "its ranges do not fit 12 bits"),
            ([0, -2049, 0], [0, 0, 0], "its ranges do not fit 12 bits"),
        ],
    )
    def test_an_input_that_does_not_fit_is_named(
        self, program: LoihiProgram, low: list[Any], high: list[Any], message: str
    ) -> None:
        port = InputPort("input", program.input.format, np.array(low), np.array(high))
        assert message in refused(program, input=port)

    def test_an_unknown_output_is_named(self, program: LoihiProgram) -> None:
        assert "output 'input' is not a population" in refused(program, output="input")

    def test_all_problems_are_listed_together(self, program: LoihiProgram) -> None:
        first, *others = program.connections
        population = dataclasses.replace(program.populations[0], initial_state={})
        text = refused(
            program,
            output="nobody",
            connections=(dataclasses.replace(first, exponent=9, delay=99), *others),
            populations=(population, *program.populations[1:]),
        )
        for part in ("output 'nobody'", "exponent 9", "delay 99", "initial states []"):
            assert part in text

    def test_a_huge_graph_is_refused_by_its_size_alone(self, program: LoihiProgram) -> None:
        many = (program.connections[0],) * (LARGEST_GRAPH + 1)
        assert "1025 connections; the limit is 1024" in refused(program, connections=many)
        crowd = (program.populations[0],) * (LARGEST_GRAPH + 1)
        text = refused(program, populations=crowd)
        assert "1025 populations; the limit is 1024" in text and "instructions; the limit" in text
        vast = dataclasses.replace(program.populations[0], size=1 << 30)
        assert "instructions times neurons; the limit is" in refused(program, populations=(vast,))

    @pytest.mark.parametrize(
        ("key", "value"),
        [("neurons", "5"), ("neurons", True), ("neurons", 10**400), ("range_used", 10**400),
         ("range_used", float("inf")), ("saturated", float("-inf")), ("signal_to_noise_db", 1e308),
         ("range_used", float("nan")), ("stage", None),
         ("weights", 3), ("saturated", "0"), ("message", "a\x1b[2Jb")],
    )  # fmt: skip
    def test_a_table_that_could_not_be_printed_is_refused(
        self, program: LoihiProgram, key: str, value: object
    ) -> None:
        table = (ROW, ROW | {key: value})
        expected = "is not one line of" if key == "message" else f"row 1 of its table: {key} is"
        assert expected in refused(program, table=table)

    def test_a_table_with_other_columns_is_refused(self, program: LoihiProgram) -> None:
        row = {k: v for k, v in ROW.items() if k != "family"} | {"extra": 1}
        text = refused(program, table=(row,))
        assert "column 'family' is missing" in text and "column 'extra' is missing or" in text

    def test_a_table_is_printed(self, program: LoihiProgram) -> None:
        assert set(ROW) == set(TABLE_COLUMNS)
        text = dataclasses.replace(program, table=(ROW,)).summary()
        assert "recipe w8a12x12, 6 neurons" in text and "inf dB" in text and "50.00 %" in text

    @pytest.mark.parametrize("text", ["a\x1b]0;title\x07", "two\nlines", "\x9b2J", "\u202etxt.exe"])
    def test_warnings_and_provenance_are_printable(self, program: LoihiProgram, text: str) -> None:
        for changes in ({"warnings": (text,)}, {"provenance": {"by": text}}, {"recipe": text}):
            assert "is not one line of printable text" in refused(program, **changes)

    def test_provenance_is_text(self, program: LoihiProgram) -> None:
        assert "provenance['numpy'] is of type int; give a str" in refused(
            program, provenance={"numpy": 3}
        )


class TestProofs:
    def test_every_accumulator_and_message_of_a_run_is_inside_its_bound(self) -> None:
        program = random_program(5, Sizes(extreme=True))
        assert set(program.bounds) == {"layer_0", "layer_1", "readout"}
        x = random_inputs(5, program, 3, 9)
        result = simulate(program, x, engine="reference", return_states=True)
        assert result.states is not None
        for p in program.populations:
            low, high = program.bounds[p.name].words["message'"].hull
            sent = result.states[p.name][p.program.message_state or "message"]
            assert p.message_low <= low <= sent.min() and sent.max() <= high <= p.message_high

    def test_an_accumulator_that_can_overflow_names_population_word_and_neuron(self) -> None:
        rows = np.array([[1] * 3, [127] * 3])
        wide = Connection.from_dense("input", "p", ("sum_in",), rows, exponent=7)
        port = InputPort("input", FixedPoint(24, 0), [-(1 << 12)] * 3, [(1 << 12)] * 3)  # type: ignore[arg-type]
        with pytest.raises(ProgramError) as caught:
            LoihiProgram("wide", "", port, (relay("p", 2),), (wide,), "p", Schedule(1, {"p": 1}))
        reach = 3 * 127 * 128 * 4096
        assert caught.value.problems == (
            f"p: word 'sum' of neuron 1 can reach [{-reach}, {reach}], which needs 29 bits; "
            "the limit is 24",
        )

    @pytest.mark.parametrize(("low", "high"), [(-2047, 2047), (-2048, 2046)])
    def test_a_message_outside_what_was_assumed_of_it_is_refused(self, low: int, high: int) -> None:
        stage = dataclasses.replace(relay("p"), message_low=low, message_high=high)
        with pytest.raises(ProgramError, match=re.escape("p: messages can reach [-2048, 2047]")):
            network((stage,), (joined("input", "p", exponent=7),))

    def test_a_narrower_message_is_accepted_where_it_is_proved(self) -> None:
        stage = dataclasses.replace(relay("p"), message_low=-256, message_high=254)
        program = network((stage,), (joined("input", "p", exponent=1),))
        assert program.bounds["p"].words["message'"].hull == (-256, 254)

    @pytest.mark.parametrize("value", [-129, 128])
    def test_an_initial_state_outside_the_messages_is_refused(self, value: int) -> None:
        start = {"h": np.array([value])}
        stage = dataclasses.replace(
            relay("p"), message_low=-128, message_high=127, initial_state=start
        )
        with pytest.raises(ProgramError, match=re.escape("stated is [-128, 127]")):
            network((stage,), (joined("input", "p"),))

    def test_a_recurrent_neuron_keeps_its_message(self) -> None:
        message = FixedPoint(24, 0)
        parameters = {"linear.bias": np.zeros(1), "linear.multiplier": np.ones(1)}
        stage = Population(
            "p", linear_program(9), parameters, {}, message, message.low, message.high, 1
        )
        connections = tuple(
            Connection.from_dense(source, "p", ("linear",), [[1]]) for source in ("input", "p")
        )
        with pytest.raises(ProgramError, match="p -> p: a recurrent neuron keeps its message"):
            network((stage,), connections)


class TestEquality:
    def test_the_same_seed_gives_an_equal_program_and_another_does_not(self) -> None:
        assert random_program(1) == random_program(1)
        assert random_program(1) != random_program(2)
        assert random_program(1) != "a program"

    def test_one_mantissa_makes_the_difference(self) -> None:
        program = random_program(1)
        last = program.connections[-1]
        mantissas = last.mantissas.copy()
        mantissas[0] ^= 1
        changed = dataclasses.replace(last, mantissas=mantissas)
        assert dataclasses.replace(program) == program
        assert program != dataclasses.replace(
            program, connections=(*program.connections[:-1], changed)
        )

    def test_nothing_can_be_changed_in_place(self) -> None:
        program = random_program(1)
        layer, connection = program.populations[0], program.connections[0]
        arrays = [
            program.input.low, program.input.high, *layer.parameters.values(),
            *layer.initial_state.values(), connection.row_starts, connection.columns,
            connection.mantissas,
        ]  # fmt: skip
        assert not any(array.flags.writeable for array in arrays)
        mappings = [
            layer.parameters, layer.initial_state, program.provenance, program.bounds,
            program.schedule.first_valid,
        ]  # fmt: skip
        assert all(isinstance(mapping, MappingProxyType) for mapping in mappings)
        with pytest.raises(dataclasses.FrozenInstanceError):
            program.name = "other"  # type: ignore[misc]

    def test_it_does_not_share_arrays_with_its_maker(self) -> None:
        low = np.array([-1, -1])
        port = InputPort("input", FixedPoint(8, 0), low, np.array([1, 1]))
        low[0] = 5
        assert port.low.tolist() == [-1, -1]
