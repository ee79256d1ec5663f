"""Messages and inputs that are wider than the 16 bits of the kernels of the C engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import KERNELS, assert_same, level_parameters, on_level, random_start
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import Sizes, random_inputs, random_program
from stock_programs import stock_program, stock_programs
from variants import Variant, network, samples
from wide_programs import POWERS, looping_program, reaching_program

import lnn2loihi as l2l
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.neurons.stock import IN
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.native import library
from lnn2loihi.simulation.native.digits import digit_bits, spread
from lnn2loihi.simulation.native.engine import NativeEngine
from lnn2loihi.simulation.native.layout import lay_out, unsupported
from lnn2loihi.targets import target_of

needs_compiler = pytest.mark.skipif(library.compiler() is None, reason="there is no C compiler")
LEVELS = level_parameters()
WALKER = Path(l2l.__file__).parent.parent / "models" / "walker2d" / "w8a12-hard.l2l"


def few(examples: int) -> settings:
    """Some examples: what is compiled for them takes longest."""
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


def wide_stock(**fixed: Any) -> st.SearchStrategy[LoihiProgram]:
    """Random stock programs, most of them with messages of more than 16 bits."""
    return stock_programs(message_bits=24, **fixed)


def everywhere(program: LoihiProgram, level: str, batch: int, seed: int = 1) -> None:
    """The C engine at a level, with all its kernels, against the reference: every word, counters,
    saturations, and the totals of each step.
    """
    assert not unsupported(program)
    time = 18  # more than samples are encoded for at once
    x = random_inputs(seed, program, batch, time)
    options: dict[str, Any] = {
        "encoded": True, "return_states": True, "step_totals": True,
        "initial_state": random_start(program, seed, batch),
        "lengths": np.random.default_rng(seed).integers(0, time, batch, endpoint=True),
    }  # fmt: skip
    expected = simulate(program, x, "reference", **options)
    native = NativeEngine(program, library.level_named(level))
    for lanes in KERNELS:
        found = on_level(program, x, level, lanes, native, threads=2, **options)
        assert_same(found, expected)
        assert found.counters == expected.counters


class TestDigits:
    @given(wide_stock())
    @few(40)
    def test_they_fit_and_make_the_message(self, program: LoihiProgram) -> None:
        self.check(program)

    @pytest.mark.parametrize("bits", [16, 17, 20, 24])
    def test_the_largest_weights(self, bits: int) -> None:
        program = reaching_program(POWERS[:bits], bits)
        assert bool(digit_bits(program)) == (bits > 16)
        self.check(program)

    @staticmethod
    def check(program: LoihiProgram) -> None:
        """Digits of both ends of each sender's reach, and the weights that they meet."""
        low, high = -(1 << 15), (1 << 15) - 1
        ends: dict[str, tuple[Any, Any]] = {}
        ends[program.input.name] = program.input.low, program.input.high
        for p in program.populations:
            reach = program.bounds[p.name].words["message'"]
            kept = p.message_low, p.message_high
            ends[p.name] = kept if p.program.message_state else (reach.low, reach.high)
        for name, bits in digit_bits(program).items():
            assert bits.min() >= 0 and bits.max() <= 8
            for end in ends[name]:
                digits = np.broadcast_to(end, bits.size) & ((1 << bits) - 1), end >> bits
                assert np.array_equal(digits[0] + (digits[1] << bits), end + 0 * bits)
                assert digits[1].min() >= low and digits[1].max() <= high
            for c in program.connections:
                if c.source == name:
                    weights = c.dense()
                    pairs = spread(weights, bits).reshape(len(weights), -1, 2).astype(int)
                    assert np.array_equal(pairs[..., 1], weights << bits)
                    assert np.array_equal(pairs[..., 0], np.where(bits > 0, weights, 0))

    def test_messages_of_16_bits_are_laid_out_as_ever(self) -> None:
        program = random_program(1, Sizes(input_bits=16, message_bits=12, layers=(5, 4)))
        layout = lay_out(program, 16)
        assert layout.input_digit_bits is None
        assert all(p.digit_bits is None for p in layout.populations)
        assert layout.pairs == 2 + 3 + 2  # nobody hears the readout


@needs_compiler
class TestAgainstTheReference:
    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("bits", [17, 24])
    @pytest.mark.parametrize("batch", [1, 9, 65])
    def test_every_reach_with_the_largest_weights(self, level: str, bits: int, batch: int) -> None:
        everywhere(reaching_program(POWERS[:bits], bits), level, batch)

    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("bits", [17, 20, 24])
    def test_messages_of_the_sample_before(self, level: str, bits: int) -> None:
        program = looping_program(bits)
        assert program.population("kept").program.message_state
        assert "kept" in digit_bits(program)
        for batch in (1, 9, 65):
            everywhere(program, level, batch)

    @pytest.mark.parametrize("level", LEVELS)
    @given(data=st.data())
    @few(4)
    def test_random_stock_programs(self, level: str, data: st.DataObject) -> None:
        program = data.draw(wide_stock(stages=4))
        everywhere(program, level, data.draw(st.sampled_from([1, 3, 9, 65])))

    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize(("bits", "channels"), [(17, 1), (20, 2), (24, 5)])
    def test_wide_inputs(self, level: str, bits: int, channels: int) -> None:
        for extreme in (False, True):
            sizes = Sizes(channels, (3, 17), input_bits=bits, extreme=extreme)
            program = random_program(channels, sizes)
            assert lay_out(program, 16).input_digit_bits is not None
            everywhere(program, level, 9)
            everywhere(program, level, 65)

    def test_floats_beyond_the_range_saturate_and_are_counted(self) -> None:
        program = random_program(1, Sizes(input_bits=20))
        x = np.random.default_rng(1).normal(0, 3, (70, 20, 3))
        expected = simulate(program, x, "reference", return_states=True)
        assert expected.saturated.any()
        for kind in (np.float64, np.float32):
            right = simulate(program, x.astype(kind), "reference", return_states=True)
            for lanes in KERNELS:
                found = on_level(program, x.astype(kind), None, lanes, return_states=True)
                assert_same(found, right)

    @few(6)
    @given(wide_stock(loops=2, stages=4))
    def test_streams_and_interleaved_sequences(self, program: LoihiProgram) -> None:
        x = random_inputs(3, program, 3, 7)
        expected = simulate(program, x, "reference", encoded=True)
        stream = l2l.open_stream(program, "c", encoded=True)
        assert np.array_equal([stream.step(sample) for sample in x[0]], expected.outputs[0])
        for width in range(2, program.schedule.period + 1):
            found = simulate(program.interleaved(width), x, "c", encoded=True)
            assert np.array_equal(found.integers, expected.integers)
            assert found.counters == expected.counters

    def test_a_message_counts_once(self) -> None:
        program = reaching_program((20,), 21)
        x = np.array([0, 5, 1 << 15, 1 << 15, -1, (1 << 20) - 1, 0])[None, :, None]
        for batch in (1, 64):
            found = simulate(program, np.tile(x, (batch, 1, 1)), "c", encoded=True).counters
            assert found.non_zero["input"].tolist() == [5 * batch]
            assert found.changed["input"].tolist() == [5 * batch]
            assert found.non_zero["relays"].tolist() == [5 * batch]

    def test_what_it_costs_is_that_of_the_reference(self) -> None:
        program = reaching_program()
        x = random_inputs(2, program, 2, 6)
        placed = l2l.place(program)
        work = [
            l2l.workload(placed, simulate(program, x, name, encoded=True).counters)
            for name in ("c", "reference")
        ]
        assert work[0] == work[1]


@needs_compiler
class TestTargets:
    def test_walker2d_as_stock(self) -> None:
        program = l2l.load(WALKER)
        assert isinstance(program, LoihiProgram)
        made = target_of("stock").prepare(program)
        assert max(p.message.bits for p in made.populations) > 16
        rng = np.random.default_rng(1)
        options: dict[str, Any] = {
            "timespans": rng.integers(1, 5, (9, 3)).astype(float), "return_states": True,
        }  # fmt: skip
        x = rng.normal(0, 2, (9, 3, made.channels))
        expected = simulate(made, x, "reference", **options)
        for lanes in KERNELS:
            assert_same(on_level(made, x, None, lanes, **options), expected)

    @pytest.mark.parametrize("seed", range(3))
    def test_split_graph_with_irregular_time(self, seed: int) -> None:
        variant = Variant(irregular=True, seed=seed)
        x, elapsed = samples(variant, 9, 6)
        program = l2l.quantize(network(variant), x, "w8a12", calibrate_timespans=elapsed)
        made = target_of("split_graph").prepare(program)
        assert digit_bits(made)
        options: dict[str, Any] = {"timespans": elapsed, "return_states": True}
        expected = simulate(made, x, "reference", **options)
        for lanes in KERNELS:
            assert_same(on_level(made, x, None, lanes, **options), expected)
        assert l2l.verify(
            program, x, "reference,c", target="split_graph", timespans=elapsed
        ).bit_exact  # fmt: skip


class TestSharedKernels:
    @pytest.mark.parametrize("source", ["input", "relays"])
    @pytest.mark.parametrize("both", [False, True])
    def test_they_take_16_bits(self, source: str, both: bool) -> None:
        """Alone, and beside something else, where the kernel is no shared one."""
        program = self.program(source, both)
        reason = (
            f"all hears {source} through a kernel that neurons share, and its messages have "
            "24 bits; such kernels take 16"
        )
        assert unsupported(program) == reason
        x = random_inputs(1, program, 2, 3)
        with pytest.raises(BackendMissingError) as caught:
            simulate(program, x, "c", encoded=True)
        assert reason in str(caught.value)
        found = simulate(program, x, encoded=True)
        assert found.executor.startswith("blas ")
        expected = simulate(program, x, "reference", encoded=True)
        assert np.array_equal(found.integers, expected.integers)

    @staticmethod
    def program(source: str, both: bool) -> LoihiProgram:
        """Relays, and three neurons that hear 24 senders through a kernel."""
        before = reaching_program()
        kept: list[Any] = [c for c in before.connections if c.target == "relays"]
        kernel = np.zeros((1, 1, 1, 8), int)
        kernel[..., 0] = 1
        made = [*kept, l2l.Convolution(source, "all", (IN,), kernel, (1, 1, 24), (1, 8))]
        if both:
            other = np.zeros((3, 24), int)
            other[:, 0] = 1
            made.append(l2l.Connection.from_dense("relays", "all", (IN,), other))
        populations = [p for p in before.populations if p.name in ("relays", "all")]
        return stock_program(populations, made, before.input)
