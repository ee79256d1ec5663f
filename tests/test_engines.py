"""Every engine gives the integers of the reference, bit for bit, on every path through it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import (
    KERNELS,
    assert_same,
    deep_program,
    level_parameters,
    long_program,
    on_blas,
    on_level,
    operations_program,
    random_start,
    simulation,
    zoo_program,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from programs import Sizes, random_inputs, random_program

from lnn2loihi.errors import BackendMissingError, InputError
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import blas, choice, simulate
from lnn2loihi.simulation.native import engine as engine_module
from lnn2loihi.simulation.native import library
from lnn2loihi.simulation.native.engine import NativeEngine
from lnn2loihi.simulation.native.kernel_code import LANES, NARROW
from lnn2loihi.simulation.native.plan import ONE, divided
from lnn2loihi.verification.verb import verify

pytestmark = pytest.mark.skipif(library.compiler() is None, reason="there is no C compiler")

ENGINES = ("c", "blas")
BATCHES = (1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129)
LEVELS = level_parameters()
CARRIERS = ("float32", "float64")
TESTS = Path(__file__).parent
#: Message bits, activation and readout: few, because each is compiled.
FAMILIES = (
    (2, "lines16", 1),
    (7, "ramp16", 0),
    (12, "ramp12", 1),
    (16, "ramp16", 1),
)
SEEDS = st.integers(0, 10**6)
DENSITIES = st.sampled_from([0.0, 0.02, 0.3, 0.7, 1.0])


@st.composite
def networks(draw: st.DrawFn) -> LoihiProgram:
    bits, activation, readout = draw(st.sampled_from(FAMILIES))
    sizes = Sizes(
        inputs=draw(st.integers(1, 20)),
        layers=tuple(draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))),
        readout=readout and draw(st.integers(1, 5)),
        weight_bits=draw(st.integers(1, 8)),
        message_bits=bits,
        input_bits=draw(st.integers(2, 16)),
        density=draw(DENSITIES),
        activation=activation,
        extreme=draw(st.booleans()),
        skip_delay=draw(st.booleans()),
    )
    return random_program(draw(SEEDS), sizes)


@st.composite
def zoos(draw: st.DrawFn) -> LoihiProgram:
    sizes = tuple(draw(st.lists(st.integers(1, 36), min_size=1, max_size=7)))
    return zoo_program(draw(SEEDS), sizes, draw(st.integers(1, 7)), draw(DENSITIES))


@st.composite
def runs(draw: st.DrawFn, program: LoihiProgram, batches: Any = None) -> tuple[Any, dict[str, Any]]:
    """Samples and options for `simulate`."""
    batch = draw(batches or st.one_of(st.sampled_from(BATCHES), st.integers(1, 20)))
    time, seed = draw(st.integers(1, 5)), draw(SEEDS)
    x = random_inputs(seed, program, batch, time)
    if draw(st.booleans()):  # floats, and integers that leave the range
        x = program.input.format.decode(x) * draw(st.sampled_from([0.7, 1.0, 1.3]))
    elif draw(st.booleans()):
        x = x * 3
    options: dict[str, Any] = {"return_states": draw(st.booleans())}
    if draw(st.booleans()):
        options["initial_state"] = random_start(program, seed, batch)
    rng = np.random.default_rng(seed)
    options["lengths"] = {
        "none": None,
        "any": rng.integers(0, time, batch, endpoint=True),
        "zero": np.zeros(batch, int),
        "all": np.full(batch, time),
    }[draw(st.sampled_from(["none", "any", "any", "zero", "all"]))]
    return x, options


def everything(program: LoihiProgram, x: Any, **options: Any) -> None:
    """All ways through the engines at the best level, against the reference."""
    expected = simulate(program, x, "reference", **options)
    assert_same(simulate(program, x, "auto", **options), expected)
    native = choice.native_engine(program)
    for lanes in KERNELS:
        assert_same(on_level(program, x, None, lanes, native, **options), expected)
    for carrier in CARRIERS:
        assert_same(on_blas(program, x, carrier, **options), expected)


class TestAgainstTheReference:
    @settings(max_examples=80)
    @given(st.data(), networks())
    def test_random_networks(self, data: st.DataObject, program: LoihiProgram) -> None:
        x, options = data.draw(runs(program))
        everything(program, x, **options)

    @settings(max_examples=50)
    @given(st.data(), zoos())
    def test_random_code_with_one_to_six_accumulators(
        self, data: st.DataObject, program: LoihiProgram
    ) -> None:
        x, options = data.draw(runs(program))
        everything(program, x, **options)

    @pytest.mark.parametrize("seed", range(2))
    def test_messages_of_all_widths(self, seed: int) -> None:
        sizes = Sizes(inputs=3, layers=(3, 20, 1), input_bits=16, extreme=seed == 1)
        program = deep_program(seed, sizes, tuple(range(2, 17)))
        x = random_inputs(seed, program, 9, 8)
        everything(program, x, return_states=True, initial_state=random_start(program, seed, 9))

    @pytest.mark.parametrize("batch", [*BATCHES, 255, 256, 257])
    def test_edges_of_blocks(self, batch: int) -> None:
        program = random_program(3, Sizes(inputs=3, layers=(19, 7), readout=2))
        x = random_inputs(batch, program, batch, 4)
        lengths = np.random.default_rng(batch).integers(0, 5, batch)
        for options in ({}, {"lengths": lengths}):
            everything(program, x, return_states=True, **options)

    @pytest.mark.parametrize("end", ["low", "high"])
    @pytest.mark.parametrize("input_bits", [2, 16])
    def test_everything_at_an_end_of_its_range(self, end: str, input_bits: int) -> None:
        sizes = Sizes(layers=(9, 33), input_bits=input_bits, message_bits=12, extreme=True)
        program = random_program(7, sizes)
        x = np.broadcast_to(getattr(program.input, end), (9, 6, 3))
        states = {
            p.name: {w: np.full(p.size, getattr(p.message, end)) for w in p.program.state_names}
            for p in program.populations
        }
        everything(program, x, return_states=True, initial_state=states)

    def test_no_synapse_at_all(self) -> None:
        program = random_program(1, Sizes(density=0.0))
        assert not program.synapses
        everything(program, random_inputs(1, program, 9, 3), return_states=True)

    def test_one_neuron_one_channel_one_sample(self) -> None:
        program = random_program(1, Sizes(inputs=1, layers=(1,), readout=1))
        everything(program, np.array([[[0.25]]]), return_states=True)

    def test_no_sequence_has_a_sample(self) -> None:
        program = random_program(1)
        start = random_start(program, 1, 9)
        for engine in (*ENGINES, "reference"):
            result = simulate(
                program, np.full((9, 4, 3), np.nan), engine, lengths=[0] * 9, initial_state=start
            )
            assert not result.integers.any() and not result.saturated.any()
            assert result.counters.samples == 0
            assert not any(v.any() for v in result.counters.non_zero.values())
            for name, words in start.items():
                for word, values in words.items():
                    assert np.array_equal(result.final_state[name][word], values)

    def test_counters_by_hand(self) -> None:
        program = random_program(6, Sizes(inputs=2, layers=(3,), readout=1))
        x = np.array([[[5, 0], [5, 1], [0, 1], [9, 9]], [[0, 0], [0, 7], [9, 9], [9, 9]]])
        for engine in (*ENGINES, "reference"):
            result = simulate(program, x, engine, lengths=[3, 2], return_states=True)
            assert result.counters.samples == 5
            assert result.counters.non_zero["input"].tolist() == [2, 3]
            assert result.counters.changed["input"].tolist() == [2, 2]
            assert result.states is not None
            states = result.states["layer_0"]["h"]
            sent = np.concatenate([states[0, :3], states[1, :2]])
            assert np.array_equal(result.counters.non_zero["layer_0"], (sent != 0).sum(axis=0))

    @settings(max_examples=15)
    @given(networks(), SEEDS, st.integers(1, 9), st.integers(1, 5))
    def test_verify(self, program: LoihiProgram, seed: int, batch: int, time: int) -> None:
        result = verify(
            program, random_inputs(seed, program, batch, time), ("reference", "c", "blas")
        )
        assert result.bit_exact, result.summary()
        assert [name.split()[0] for name in result.executors] == ["reference", "c", "blas"]


class TestPaths:
    """Each instruction-set level with each kernel, and each carrier of BLAS."""

    @pytest.mark.parametrize("level", LEVELS)
    @settings(max_examples=12)
    @given(data=st.data(), program=zoos())
    def test_random_code(self, level: str, data: st.DataObject, program: LoihiProgram) -> None:
        x, options = data.draw(runs(program))
        expected = simulate(program, x, "reference", **options)
        native = NativeEngine(program, library.level_named(level))
        for lanes in KERNELS:
            assert_same(on_level(program, x, level, lanes, native, **options), expected)

    @pytest.mark.parametrize("level", LEVELS)
    def test_every_operation(self, level: str) -> None:
        program = operations_program()
        values = np.array([-(1 << 15), 1 - (1 << 15), -3, -1, 0, 1, 2, (1 << 15) - 1])
        x = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(64, 8, 3)
        expected = simulate(program, x, "reference", return_states=True)
        for lanes in KERNELS:
            found = on_level(program, x, level, lanes, return_states=True)
            assert_same(found, expected)
        for carrier in CARRIERS:
            assert_same(on_blas(program, x, carrier, return_states=True), expected)

    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("density", [0.005, 0.5, 1.0])
    @pytest.mark.parametrize("message_bits", [6, 12])
    def test_dense_and_sparse_networks(self, level: str, density: float, message_bits: int) -> None:
        """Wide layers, several tiles of rows; only with few bits may all synapses be there."""
        bits = min(message_bits, 8)
        sizes = Sizes(
            inputs=5, layers=(70, 33), readout=3, density=density, weight_bits=5,
            message_bits=message_bits, input_bits=bits,
        )  # fmt: skip
        program = random_program(3, sizes)
        native = NativeEngine(program, library.level_named(level))
        dense = [p.row_weights is not None for p in native.layout.populations]
        if (density, message_bits) == (1.0, 6):
            assert all(dense)
        if density == 0.005:
            counts = native.layout.populations[0].pair_counts
            assert not dense[0] and counts.min() == 0 < counts.max(), "some rows are empty"
        for batch in (1, 5, 65):
            x = random_inputs(batch, program, batch, 3)
            expected = simulate(program, x, "reference", return_states=True)
            for lanes in KERNELS:
                found = on_level(program, x, level, lanes, native, return_states=True)
                assert_same(found, expected)

    @pytest.mark.parametrize("batch", BATCHES)
    @pytest.mark.parametrize("level", LEVELS)
    def test_edges_of_blocks(self, level: str, batch: int) -> None:
        program = edge_program()
        native = NativeEngine(program, library.level_named(level))
        x = random_inputs(batch, program, batch, 3)
        lengths = np.random.default_rng(batch).integers(0, 4, batch)
        expected = simulate(program, x, "reference", lengths=lengths, return_states=True)
        for lanes in KERNELS:
            found = on_level(program, x, level, lanes, native, lengths=lengths, return_states=True)
            assert_same(found, expected)

    def test_the_kernel_is_the_one_for_the_batch(self) -> None:
        sizes = Sizes(inputs=1, layers=(4,), density=1.0, message_bits=6, input_bits=6)
        program = random_program(3, sizes)
        native, called = NativeEngine(program), list[int]()

        def spy(name: int, function: Any, *arguments: Any) -> Any:
            called.append(name)
            return function(*arguments)

        functions = native._functions_of(*NARROW, LANES)
        native._functions = {n: partial(spy, n, function) for n, function in functions.items()}
        for batch in (1, 7, 8, 64):
            on_level(program, np.zeros((batch, 1, 1)), engine=native, threads=1)
        assert called == [ONE, ONE, LANES, LANES]
        called.clear()
        native.costs = {ONE: 3.0, 16: 18.0, 32: 35.0, LANES: 64.0}
        for batch in (1, 7, 8, 16, 17, 64, 115):
            on_level(program, np.zeros((batch, 1, 1)), engine=native, threads=1)
        assert called == [ONE, 16, 16, 16, 16, ONE, LANES, LANES, 32, 16, ONE]

    @given(
        st.integers(0, 300),
        st.fixed_dictionaries({n: st.floats(0.01, 100.0) for n in (ONE, *NARROW, LANES)}),
    )
    def test_a_batch_is_divided_without_gaps(self, batch: int, costs: dict[int, float]) -> None:
        pieces = divided(batch, costs)
        assert [p.first for p in pieces] == [0, *(p.last for p in pieces)][: len(pieces)]
        assert (pieces[-1].last if pieces else 0) == batch
        assert all(p.blocks and p.blocks == -(-(p.last - p.first) // p.lanes) for p in pieces)
        rest = sum(
            costs[p.lanes] * p.blocks
            for p in pieces
            if p.lanes < LANES or p.first >= batch // 64 * 64
        )
        assert rest <= min(costs[LANES], costs[ONE] * (batch % LANES)) * (1 + 1e-9)

    @pytest.mark.parametrize("threads", [1, 2, 3, 7])
    def test_pieces_of_several_widths_at_once(self, threads: int) -> None:
        program = random_program(3, Sizes(inputs=3, layers=(19, 7), readout=2))
        native = NativeEngine(program)
        native._functions = native._functions_of(*NARROW, LANES)
        native.costs = {ONE: 3.0, 16: 18.0, 32: 35.0, LANES: 64.0}
        x = random_inputs(1, program, 115, 9)
        lengths = np.random.default_rng(1).integers(0, 10, 115)
        told: list[tuple[int, int]] = []
        options: dict[str, Any] = {"lengths": lengths, "return_states": True}
        found = on_level(
            program, x, engine=native, threads=threads, step_totals=True,
            progress=lambda *steps: told.append(steps), **options,
        )  # fmt: skip
        assert_same(found, simulate(program, x, "blas", step_totals=True, **options))
        assert told[-1][0] == told[-1][1] and sum(n.blocks for n in divided(115, native.costs)) == 6

    def test_what_blocks_cost_is_measured_once_it_is_worth_while(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = random_program(3, Sizes(inputs=1, layers=(4,), readout=1))
        native = NativeEngine(program)
        x = np.zeros((20, 3, 1))
        on_level(program, x, engine=native)
        assert not native.costs
        monkeypatch.setattr(engine_module, "MEASURE_AFTER", 1)
        on_level(program, np.zeros((64, 3, 1)), engine=native)
        assert not native.costs, "whole blocks"
        assert_same(on_level(program, x, engine=native), simulate(program, x, "blas"))
        assert native.costs.keys() == {ONE, *NARROW, LANES} and min(native.costs.values()) >= 0

    def test_widths_that_cannot_be_compiled_are_left_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = random_program(3, Sizes(inputs=1, layers=(4,), readout=1))
        native = NativeEngine(program)

        def missing(*widths: int) -> Any:
            raise BackendMissingError("C engine", "no C compiler was found")

        monkeypatch.setattr(native, "_functions_of", missing)
        monkeypatch.setattr(engine_module, "MEASURE_AFTER", 1)
        x = np.zeros((20, 3, 1))
        assert_same(on_level(program, x, engine=native), simulate(program, x, "blas"))
        assert native.costs.keys() == {ONE, LANES}

    @pytest.mark.parametrize("carrier", CARRIERS)
    def test_the_carrier_is_the_one_that_is_asked_for(
        self, carrier: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        used: list[Any] = []
        original = blas._Stage.__init__

        def noted(self: Any, *arguments: Any) -> None:
            original(self, *arguments)
            used.append(np.dtype(self.carrier).name)

        monkeypatch.setattr(blas._Stage, "__init__", noted)
        program = random_program(3)
        on_blas(program, np.zeros((1, 1, 3)), carrier)
        assert used == [carrier] * len(program.populations)

    def test_every_usable_level_is_known_to_be_there(self) -> None:
        assert library.usable_levels()[-1].name == "plain"
        with pytest.raises(InputError, match="'sse9' is not usable here; there are .*plain"):
            library.level_named("sse9")


@cache
def edge_program() -> LoihiProgram:
    return zoo_program(5, (7, 16, 17), inputs=3, density=0.9)


@cache
def input_program() -> LoihiProgram:
    return random_program(11, Sizes(inputs=3, layers=(6,), readout=2))


class TestInputs:
    """Whatever holds the samples."""

    @pytest.fixture
    def program(self) -> LoihiProgram:
        return input_program()

    @staticmethod
    def compare(program: LoihiProgram, x: Any, reference: Any = None, **options: Any) -> None:
        same = x if reference is None else reference
        expected = simulate(program, same, "reference", return_states=True, **options)
        for engine in ENGINES:
            assert_same(simulate(program, x, engine, return_states=True, **options), expected)
        for lanes in KERNELS:
            found = on_level(program, x, None, lanes, return_states=True, **options)
            assert_same(found, expected)

    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "longdouble"])
    def test_floats(self, program: LoihiProgram, dtype: str) -> None:
        x = np.random.default_rng(1).normal(0, 3, (9, 5, 3)).astype(dtype)
        self.compare(program, x)
        self.compare(program, x, lengths=[0, 1, 2, 3, 4, 5, 5, 2, 1])

    def test_floats_at_the_edges(self, program: LoihiProgram) -> None:
        step = program.input.format.step
        low, high = program.input.low[0] * step, program.input.high[0] * step
        halves = (np.arange(-8, 8) + 0.5) * step
        edges = np.array(
            [0.0, -0.0, 1e300, -1e300, 1.79e308, -1.79e308, 5e-324, -5e-324, low, high,
             low - step / 2, high + step / 2, 2.0**31 * step, -(2.0**31) * step,
             2.0**63, -(2.0**64), 0.49999999999999994 * step, -0.49999999999999994 * step,
             2.0**52 + 1]
        )  # fmt: skip
        values = np.concatenate(
            [edges, halves, np.nextafter(halves, 9), np.nextafter(halves, -9),
             np.nextafter(edges[8:12], np.inf), np.nextafter(edges[8:12], -np.inf)]
        )  # fmt: skip
        values = np.resize(values, (-(-values.size // 9) * 9,)).reshape(9, -1, 1)
        self.compare(program, np.repeat(values, 3, axis=2))

    @pytest.mark.parametrize("fraction_bits", [-1000, -30, 0, 30, 1000])
    def test_formats_far_from_one(self, fraction_bits: int) -> None:
        program = random_program(11, Sizes(inputs=3, layers=(6,), readout=2))
        port = program.input
        object.__setattr__(port, "format", type(port.format)(12, fraction_bits))
        with np.errstate(over="ignore"):
            x = np.random.default_rng(1).normal(0, 2000, (9, 5, 3)) * 2.0**-fraction_bits
        self.compare(program, x)
        self.compare(program, x, lengths=[0, 1, 2, 3, 4, 5, 5, 2, 1])

    @pytest.mark.parametrize(
        "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
    )
    def test_integers(self, dtype: str) -> None:
        program = random_program(11, Sizes(inputs=3, layers=(6,), readout=2, input_bits=9))
        limits = np.iinfo(dtype)
        rng = np.random.default_rng(1)
        x = rng.integers(limits.min, limits.max, (9, 5, 3), dtype=np.dtype(dtype), endpoint=True)  # type: ignore[call-overload]
        x[:, ::2] %= 200
        x[0, 0], x[1, 1] = limits.min, limits.max
        lengths = [0, 1, 2, 3, 4, 5, 5, 2, 1]
        self.compare(program, x)  # numbers like others
        self.compare(program, x, encoded=True)
        self.compare(program, x, encoded=True, lengths=lengths)
        # A range without zero and beyond the type: the padding may not count as saturated.
        for low, high in ((200, 255), (-256, -200)):
            ends = {"low": np.full(3, low, np.int32), "high": np.full(3, high, np.int32)}
            other = replace(program, input=replace(program.input, **ends))
            self.compare(other, x, encoded=True, lengths=lengths)
            floats = x.astype(np.float16 if x.itemsize < 2 else np.float64)
            self.compare(other, floats, lengths=lengths)

    def test_what_stands_beyond_the_end_is_ignored(self, program: LoihiProgram) -> None:
        x = np.random.default_rng(1).normal(0, 1, (9, 5, 3))
        lengths = np.array([0, 1, 2, 3, 4, 5, 5, 2, 1])
        hostile = x.copy()
        hostile[np.arange(5) >= lengths[:, None]] = np.nan
        self.compare(program, hostile, x, lengths=lengths)
        hostile[np.arange(5) >= lengths[:, None]] = 1e300
        self.compare(program, hostile, x, lengths=lengths)

    @pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int64"])
    def test_any_memory_layout_and_nothing_is_written(
        self, program: LoihiProgram, dtype: str
    ) -> None:
        whole = np.random.default_rng(1).integers(-3000, 3000, (18, 10, 6)).astype(dtype)
        swapped = np.asfortranarray(whole[:9, :5, :3])
        for x in (whole[::2, ::-2, 1::2], swapped, whole[:9, :5, :3], whole.astype(f">{dtype[0]}8")
                  [:9, :5, :3]):  # fmt: skip
            before = x.copy()
            x.setflags(write=False)
            self.compare(program, x, np.ascontiguousarray(x))
            assert np.array_equal(x, before)

    def test_lists_and_lengths_of_any_kind(self, program: LoihiProgram) -> None:
        x = np.random.default_rng(1).normal(0, 1, (3, 4, 3))
        expected = simulate(program, x, "reference", lengths=[4, 0, 2])
        for lengths in ((4, 0, 2), np.array([4, 0, 2], np.uint8), np.array([4, 9, 0, 9, 2])[::2]):
            for engine in ENGINES:
                assert_same(simulate(program, x.tolist(), engine, lengths=lengths), expected)

    @pytest.mark.parametrize("grad", [False, True])
    def test_torch_tensors(self, program: LoihiProgram, grad: bool) -> None:
        torch = pytest.importorskip("torch")
        x = np.random.default_rng(1).normal(0, 1, (9, 4, 3)).astype(np.float32)
        tensor = torch.tensor(x, requires_grad=grad)
        self.compare(program, tensor, x)
        self.compare(program, tensor.detach().permute(2, 1, 0).contiguous().permute(2, 1, 0), x)
        integers = np.arange(-54, 54).reshape(9, 4, 3)
        self.compare(program, torch.tensor(integers), integers)
        lengths = torch.tensor([0, 1, 2, 3, 4, 4, 3, 2, 1])
        self.compare(program, tensor, x, lengths=lengths)

    def test_results_are_the_callers_own(self, program: LoihiProgram) -> None:
        x = np.random.default_rng(1).normal(0, 1, (9, 4, 3))
        for engine in ENGINES:
            first = simulate(program, x, engine, return_states=True)
            kept = first.integers.copy()
            first.final_state["layer_0"]["h"][:] = 77
            again = simulate(program, x, engine, return_states=True)
            assert np.array_equal(first.integers, kept)
            assert_same(again, simulate(program, x, "reference", return_states=True))


class TestBadInput:
    """One error that names the argument, before any work starts."""

    @pytest.mark.parametrize("engine", ["auto", "c", "blas", "reference"])
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"x": np.zeros((2, 3))}, "x has shape (2, 3), expected (batch, time, inputs)"),
            ({"x": np.zeros((2, 3)), "lengths": [1, 2]}, "x has shape (2, 3)"),
            ({"x": np.zeros((2, 4, 2))}, "x has 2 input channels, expected 3"),
            ({"x": np.zeros((2, 4, 2)), "lengths": [1, 2]}, "x has 2 input channels"),
            ({"x": np.zeros((0, 4, 3)), "lengths": np.zeros(0, int)}, "x is empty"),
            ({"x": np.zeros((2, 0, 3)), "lengths": [0, 0]}, "x is empty"),
            ({"x": np.full((2, 4, 3), np.nan)}, "x holds 24 NaN or infinite"),
            ({"x": np.full((2, 4, 3), np.nan), "lengths": [1, 2]}, "x holds 9 NaN or infinite"),
            ({"x": np.full((2, 4, 3), -np.inf)}, "x holds 24 NaN or infinite"),
            ({"x": [[1.0], [1.0, 2.0]]}, "x is a ragged list, whose entries have 1 axes"),
            ({"x": None}, "x is not an array of numbers but of type NoneType"),
            ({"lengths": [1]}, "lengths: has shape (1,), expected (2,)"),
            ({"lengths": 3}, "lengths: has shape (), expected (2,)"),
            ({"lengths": [[1, 2]]}, "lengths: has shape (1, 2), expected (2,)"),
            ({"lengths": [[1], [1, 2]]}, "lengths: is not an array of numbers"),
            ({"lengths": [1.0, 2.0]}, "lengths: is float64, give integers"),
            ({"lengths": [True, False]}, "lengths: is bool, give integers"),
            ({"lengths": ["a", "b"]}, "lengths: is not an array of numbers: its values are <U1"),
            ({"lengths": [4, -1]}, "lengths: sequence 1 has -1 samples; give 0 or more"),
            ({"lengths": [5, 1]}, "lengths: sequence 0 has 5 samples, x has 4 steps"),
            ({"lengths": [1, 2**63 - 1]}, "lengths: sequence 1 has 9223372036854775807 samples"),
            ({"threads": 0}, "simulate: threads is 0; give a whole number from 1 to 2**31 - 1"),
            ({"threads": -1}, "simulate: threads is -1; give a whole number from 1"),
            ({"threads": 1.5}, "simulate: threads is of type float; give a whole number from 1"),
            ({"initial_state": {"layer_9": {"h": [0]}}}, "initial_state: there is no population"),
            ({"initial_state": {"layer_0": {"v": [0]}}}, "initial_state: layer_0 has no state"),
            (
                {"initial_state": {"layer_0": {"h": np.zeros((3, 5), int)}}},
                "initial_state: layer_0.h has shape (3, 5), expected (2, 5)",
            ),
            (
                {"initial_state": {"layer_0": np.zeros(5, int)}},
                "initial_state['layer_0'] is of type ndarray; give a dict by name",
            ),
            (
                {"initial_state": np.zeros(5)},
                "initial_state is of type ndarray; give for each population and state word an",
            ),
        ],
    )
    def test_it_is_refused(
        self, engine: str, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def work(*arguments: Any, **named: Any) -> None:
            raise AssertionError("work has started")

        monkeypatch.setattr(simulation, "chosen", work)
        for name in ("native_engine", "run_blas", "run_reference"):
            monkeypatch.setattr(choice, name, work)
        with pytest.raises(InputError, match=re.escape(message)):
            simulate(random_program(1), **{"x": np.zeros((2, 4, 3)), "engine": engine, **options})

    def test_the_state_of_another_program(self) -> None:
        other = random_program(1, Sizes(layers=(6, 5, 4)))
        state = simulate(other, np.zeros((2, 1, 3)), "reference").final_state
        for engine in ("auto", *ENGINES, "reference"):
            with pytest.raises(InputError) as caught:
                simulate(random_program(1), np.zeros((2, 1, 3)), engine, initial_state=state)
            assert caught.value.subject == "initial_state"
            assert caught.value.problems == (
                "there is no population 'layer_2'",
                "layer_0.h has shape (2, 6), expected (2, 5)",
                "layer_1.h has shape (2, 5), expected (2, 4)",
            )

    @pytest.mark.parametrize("engine", ["C", "gpu", ""])
    def test_an_unknown_engine(self, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choice, "native_engine", None)
        with pytest.raises(InputError, match="does not exist; there are auto, blas, c,"):
            simulate(random_program(1), np.zeros((2, 4, 3)), engine)


class TestSplitting:
    """Neither threads nor chunks change anything."""

    @pytest.mark.parametrize("threads", [1, 2, 3, 5, 200])
    @pytest.mark.parametrize("batch", [1, 5, 7, 64, 65, 300])
    def test_threads(self, threads: int, batch: int) -> None:
        program = random_program(3, Sizes(inputs=3, layers=(19, 7), density=1.0))
        x = random_inputs(batch, program, batch, 6)
        lengths = np.random.default_rng(batch).integers(0, 7, batch)
        expected = simulate(program, x, "blas", lengths=lengths, return_states=True)
        for lanes in KERNELS:
            found = on_level(
                program, x, None, lanes, lengths=lengths, return_states=True,
                threads=threads,
            )  # fmt: skip
            assert_same(found, expected)

    @settings(max_examples=20)
    @given(st.data(), zoos(), st.integers(1, 4), st.integers(1, 4))
    def test_chunks_joined_by_the_state(
        self, data: st.DataObject, program: LoihiProgram, first: int, second: int
    ) -> None:
        batch, seed = data.draw(st.sampled_from([1, 3, 9, 65])), data.draw(SEEDS)
        x = random_inputs(seed, program, batch, first + second)
        start = random_start(program, seed, batch)
        for engine in ENGINES:
            run = partial(simulate, program, engine=engine, return_states=True)
            whole = run(x, initial_state=start)
            begun = run(x[:, :first], initial_state=start)
            rest = run(x[:, first:], initial_state=begun.final_state)
            assert np.array_equal(
                np.concatenate([begun.integers, rest.integers], axis=1), whole.integers
            )
            for name, words in whole.final_state.items():
                for word, values in words.items():
                    assert np.array_equal(values, rest.final_state[name][word])

    def test_sequences_of_a_batch_do_not_touch_each_other(self) -> None:
        program = edge_program()
        x = random_inputs(4, program, 70, 4)
        together = simulate(program, x, "c").integers
        for n in (0, 1, 63, 64, 69):
            assert np.array_equal(simulate(program, x[n : n + 1], "c").integers[0], together[n])

    def test_two_simulations_at_once(self) -> None:
        program = random_program(3, Sizes(inputs=3, layers=(19, 7)))
        jobs = [(random_inputs(n, program, 70 + n, 40), n) for n in range(6)]
        expected = [simulate(program, x, "blas", return_states=True) for x, _ in jobs]
        fresh = random_program(3, Sizes(inputs=3, layers=(19, 7)))  # not laid out yet
        found: list[Any] = [None] * len(jobs)
        together = threading.Barrier(len(jobs))

        def run(place: int) -> None:
            together.wait()
            found[place] = simulate(fresh, jobs[place][0], "c", return_states=True, threads=2)

        threads = [threading.Thread(target=run, args=(place,)) for place in range(len(jobs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for ours, theirs in zip(found, expected, strict=True):
            assert_same(ours, theirs)

    def test_engines_are_kept_as_long_as_their_program(self) -> None:
        before = set(choice._engines)
        program = random_program(3)
        simulate(program, np.zeros((1, 1, 3)), "c")
        assert set(choice._engines) - before == {id(program)}
        assert choice.native_engine(program) is choice.native_engine(program)
        del program
        assert set(choice._engines) <= before


class Enough(Exception):
    pass


class TestProgressAndInterruption:
    def test_progress_ends_with_everything(self) -> None:
        program = random_program(3)
        x = random_inputs(1, program, 70, 9)
        for engine in ENGINES:
            for threads in (1, 2):
                seen: list[tuple[int, int]] = []
                note: Any = lambda *n, seen=seen: seen.append(n)  # noqa: E731
                simulate(program, x, engine, threads=threads, progress=note)
                assert seen[-1][0] == seen[-1][1] > 0
                assert all(0 <= done <= total for done, total in seen)
                assert seen == sorted(seen)

    @pytest.mark.parametrize("threads", [1, 2])
    def test_python_goes_on_and_an_exception_of_the_callback_ends_the_run(
        self, threads: int
    ) -> None:
        """Progress is called from Python while C runs, which it could not without the GIL."""
        program = slow_program()
        seen: list[tuple[int, int]] = []

        def progress(done: int, total: int) -> None:
            seen.append((done, total))
            raise Enough

        before = threading.active_count()
        with pytest.raises(Enough):
            simulate(program, np.zeros((2, 100_000, 1)), "c", threads=threads, progress=progress)
        assert len(seen) == 1 and seen[0][0] < seen[0][1]
        assert threading.active_count() == before

    @pytest.mark.parametrize("batch", [1, 8])
    @pytest.mark.parametrize("progress", [False, True])
    def test_ctrl_c(self, batch: int, progress: bool) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", f"import test_engines as t; t.interrupted({batch}, {progress})"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if line == b"running\n":
                    os.killpg(process.pid, signal.SIGINT)
                output, errors = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        assert (line, output) == (b"running\n", b"interrupted, and ran again\n"), errors.decode()
        assert process.returncode == 0 and errors == b""


@cache
def slow_program() -> LoihiProgram:
    return long_program()


def interrupted(batch: int, progress: bool) -> None:
    """Runs in an interpreter of its own, for minutes if nobody presses Ctrl-C."""
    # Test runners with several workers ignore SIGINT, and what they start inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    program = slow_program()
    native = choice.native_engine(program)
    functions = dict(native._functions)
    told: list[int] = []

    def running(name: int, *arguments: Any) -> Any:
        if not told:
            told.append(name)
            os.write(1, b"running\n")
        return functions[name](*arguments)

    native._functions = {name: partial(running, name) for name in functions}
    simulate(program, np.zeros((batch, 1, 1)), "blas")  # BLAS has started its threads
    threads, tasks = threading.active_count(), len(os.listdir("/proc/self/task"))
    try:
        simulate(
            program, np.zeros((batch, 1_500_000 // batch, 1), np.int8), "c",
            progress=(lambda *_: None) if progress else None,
        )  # fmt: skip
    except KeyboardInterrupt:
        assert threading.active_count() == threads
        while len(os.listdir("/proc/self/task")) > tasks:  # the system may take a moment
            os.sched_yield()
        simulate(program, np.zeros((batch, 3, 1)), "c")
        os.write(1, b"interrupted, and ran again\n")
