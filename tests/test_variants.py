"""Every kind of CfC on the whole road: float, integers, all executors."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from variants import Variant, network, samples, variants

import lnn2loihi as l2l
from lnn2loihi.errors import ProgramError, QuantizationError
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.graph.schedule import Schedule
from lnn2loihi.quantization import rows
from lnn2loihi.quantization.post_training import Plan
from lnn2loihi.quantization.verb import prepared
from lnn2loihi.simulation import full_initial_state
from lnn2loihi.simulation.inputs import encode
from lnn2loihi.simulation.reference import run_reference

SLOW = settings(max_examples=15, deadline=None, derandomize=True)
#: One of each kind, for executors that take seconds.
KINDS = (
    Variant(mode="no_gate", layers=2),
    Variant(mode="pure"),
    Variant(mode="pure", irregular=True, backbone=(4,)),
    Variant(backbone=(7, 6), activation="silu", layers=2),
    Variant(backbone=(7,), activation="gelu", irregular=True, layers=2),
    Variant(memory=True, backbone=(6,), activation="relu"),
    Variant(memory=True, irregular=True, before="tanh", after="sigmoid", readout=False),
    Variant(shared_memory=True, layers=3, units=3),
    Variant(input_memory=True, heads="linear", backbone=(6,)),
    Variant(input_memory=True, layers=2, irregular=True, heads="linear"),
    Variant(shared_memory=True, layers=2, mode="pure", irregular=True, before="lecun_tanh"),
    Variant(family="gru", layers=2),
    Variant(family="lstm", mixed=True, irregular=True, after="tanh"),
    Variant(family="mingru", mixed=True, memory=True),
    Variant(family="mingru linear", readout=False),
    Variant(family="minlstm", layers=2),
    Variant(family="minlstm linear", before="relu"),
)


def quantized(variant: Variant, recipe: str = "w8a12") -> l2l.LoihiProgram:
    x, elapsed = samples(variant, 8, 20)
    return l2l.quantize(network(variant), x, recipe, calibrate_timespans=elapsed)


@SLOW
@given(variant=variants(), batch=st.integers(1, 70), time=st.integers(1, 6))
def test_engines_agree_with_the_reference(variant: Variant, batch: int, time: int) -> None:
    program = quantized(variant)
    x, elapsed = samples(variant, batch, time, seed=1)
    assert l2l.verify(program, x, "reference,c,blas", timespans=elapsed).bit_exact


@SLOW
@given(variant=variants())
def test_no_word_leaves_its_proved_bound(variant: Variant) -> None:
    program = quantized(variant)
    x, elapsed = samples(variant, 3, 6, seed=2)
    inputs, _ = encode(program, 50 * x, elapsed)
    start = full_initial_state(program, 3, None)
    run_reference(program, inputs, start, check_bounds=True)


@SLOW
@given(variant=variants())
def test_integers_follow_the_float_network(variant: Variant) -> None:
    """Where nothing saturates, 16-bit messages and 8-bit weights are close."""
    program = quantized(variant, "w8a12x16")
    x, elapsed = samples(variant, 8, 20)
    found = l2l.compare(network(variant), program, x, timespans=elapsed)
    noisy = [s for s in found.stages if s.relative_mse is not None and s.relative_mse > 0.05]
    assert not noisy or max(s.rms for s in noisy) < 0.02, found.summary()


@pytest.mark.parametrize("variant", KINDS, ids=str)
def test_lava_agrees(variant: Variant) -> None:
    pytest.importorskip("lava", reason="Lava is not installed")
    program = quantized(variant)
    x, elapsed = samples(variant, 3, 7, seed=3)
    for chosen in (program, program.interleaved(program.schedule.period)):
        assert l2l.verify(chosen, x, "reference,lava", timespans=elapsed).bit_exact


@pytest.mark.parametrize("variant", KINDS, ids=str)
def test_an_artifact_brings_everything_back(variant: Variant, tmp_path: object) -> None:
    program = quantized(variant)
    path = l2l.save(program, f"{tmp_path}/net.l2l")
    assert l2l.load(path) == program


class TestSchedule:
    @pytest.mark.parametrize(
        ("variant", "period", "latency"),
        [
            (Variant(), 1, 2),
            (Variant(backbone=(3, 3)), 3, 4),
            (Variant(memory=True), 2, 3),
            (Variant(memory=True, backbone=(3,), layers=2, readout=False), 3, 6),
            (Variant(shared_memory=True, layers=3), 4, 5),
            (Variant(input_memory=True), 2, 3),
            (Variant(input_memory=True, backbone=(3,), layers=2), 5, 6),
        ],
    )
    def test_a_loop_sets_the_initiation_interval(
        self, variant: Variant, period: int, latency: int
    ) -> None:
        program = quantized(variant)
        assert (program.schedule.period, program.latency_steps) == (period, latency)
        assert f"one sample per {period} step(s), answer after {latency} steps" in str(program)

    def test_shorter_loops_wait_for_the_longest(self) -> None:
        """A layer without a backbone in front of one with: its own loop is delayed to match, and
        the input begins later, so that its initial state can be sent before.
        """
        fast, slow = network(Variant(units=4)), network(Variant(units=3, inputs=4, backbone=(5,)))
        slow_layer = slow.layers[0]
        object.__setattr__(slow_layer, "name", "slow")
        both = l2l.LiquidNetwork("both", (fast.layers[0], slow_layer), slow.readout)
        x = np.random.default_rng(0).normal(size=(3, 9, 3))
        program = l2l.quantize(both, x)
        assert program.schedule == Schedule(
            2, {"layer_0": 2, "slow.backbone_0": 3, "slow": 4, "readout": 5}, first_input=1
        )
        assert l2l.verify(program, x, "reference,c,blas").bit_exact

    @pytest.mark.parametrize("sequences", [2, 3])
    @pytest.mark.parametrize("batch", [1, 2, 7])
    def test_interleaved_sequences_do_not_touch_each_other(
        self, sequences: int, batch: int
    ) -> None:
        variant = Variant(backbone=(3, 4), layers=2)
        program = quantized(variant)
        x, _ = samples(variant, batch, 5, seed=4)
        inputs, _ = encode(program, x)
        start = full_initial_state(program, batch, None)
        alone = run_reference(program, inputs, start).states
        together = run_reference(program.interleaved(sequences), inputs, start).states
        for name, words in alone.items():
            for word, values in words.items():
                assert np.array_equal(values, together[name][word])

    def test_there_is_no_room_for_more_sequences_than_steps(self) -> None:
        program = quantized(Variant(backbone=(3,)))
        with pytest.raises(ProgramError, match="3 interleaved sequences; its initiation interval"):
            program.interleaved(3)


class TestBadInput:
    def test_timespans_are_asked_for(self) -> None:
        variant = Variant(irregular=True)
        program, float_network = quantized(variant), network(variant)
        x, elapsed = samples(variant, 2, 3)
        with pytest.raises(l2l.InputError, match="time is irregular: give timespans"):
            l2l.simulate(program, x)
        with pytest.raises(l2l.InputError, match="time is irregular: give timespans"):
            float_network.evaluate(x)
        with pytest.raises(l2l.InputError, match=r"has shape \(2, 2\), expected"):
            l2l.simulate(program, x, timespans=elapsed[:, :2])
        with pytest.raises(l2l.InputError, match="holds 1 of 6 values that are no elapsed time"):
            elapsed[1, 1] = -1.0
            l2l.simulate(program, x, timespans=elapsed)
        with pytest.raises(QuantizationError, match="calibrate_timespans: its time is irregular"):
            l2l.quantize(float_network, x)

    def test_timespans_are_refused_where_time_is_constant(self) -> None:
        x, _ = samples(Variant(), 2, 3)
        with pytest.raises(l2l.InputError, match="its time is constant and folded"):
            l2l.simulate(quantized(Variant()), x, timespans=np.ones((2, 3)))

    def test_recipes_of_unknown_layers(self) -> None:
        x, _ = samples(Variant(), 2, 3)
        with pytest.raises(QuantizationError, match="there is no layer 'layer_9'"):
            l2l.quantize(network(Variant()), x, layers={"layer_9": "w4a8"})


def test_mixed_precision() -> None:
    variant = Variant(layers=2)
    x, _ = samples(variant, 8, 20)
    program = l2l.quantize(network(variant), x, "w8a12", layers={"layer_1": "w4a8"})
    widths = {p.name: p.message.bits for p in program.populations[:2]}
    assert widths == {"layer_0": 12, "layer_1": 8}
    assert {c.mantissa_bits for c in program.incoming("layer_1")} == {4}
    assert program.recipe == "w8a12x12-ramp12; layer_1: w4a8x12-ramp12"
    assert l2l.verify(program, x, "reference,c,blas").bit_exact


def test_a_shared_memory_has_a_recipe_of_its_own() -> None:
    variant = Variant(shared_memory=True, layers=3)
    x, _ = samples(variant, 8, 20)
    program = l2l.quantize(
        network(variant), x, "w8a12", layers={"memory": "w6a14", "layer_1": "w4a8"}
    )
    widths = {p.name: p.message.bits for p in program.populations[:4]}
    assert widths == {"memory": 14, "layer_0": 12, "layer_1": 8, "layer_2": 12}
    assert {c.mantissa_bits for c in program.incoming("memory")} == {6}
    assert {c.mantissa_bits for c in program.incoming("layer_1")} == {4}
    assert l2l.verify(program, x, "reference,c,blas").bit_exact


def test_layers_hear_only_their_part_of_a_shared_memory() -> None:
    variant = Variant(shared_memory=True, layers=3)
    float_network, program = network(variant), quantized(variant)
    (layer,) = (la for la in float_network.layers if isinstance(la, WiredMemory))
    for single in layer.layers:
        (stage,) = (s for s in float_network.stages if s.name == single.name)
        assert stage.synapses == 3 * single.units * (single.input_size + single.units)
    assert program.synapses <= float_network.synapses


@pytest.mark.parametrize("mode", ["default", "pure"])
@pytest.mark.parametrize("recipe", ["w8a12", "w4a8"])
def test_exponents_of_many_sources_are_as_good_as_the_best(
    monkeypatch: pytest.MonkeyPatch, mode: str, recipe: str
) -> None:
    """The memory of two layers hears three sources; all 512 combinations against a few."""
    variant = Variant(shared_memory=True, layers=2, mode=mode, units=4)
    x, _ = samples(variant, 4, 20)
    setting = prepared(network(variant), x, recipe)
    plan = Plan(setting.network, setting.calibration, setting.recipes)
    memory = setting.network.stages[0]
    # Errors are weighed where they are asked for; here those of the result are.
    weighed = partial(rows.quantize_gate, weigh=True)
    monkeypatch.setattr(rows, "quantize_gate", weighed)

    def error() -> float:
        return sum(float(np.sum(gate.error**2)) for gate in plan.rows(memory)[1])

    few = error()
    monkeypatch.setattr(rows, "SOURCES_TRIED_TOGETHER", 3)
    assert few <= 1.01 * error()


def test_elapsed_time_does_not_move_what_ended_before() -> None:
    variant = Variant(irregular=True)
    program = quantized(variant)
    x, elapsed = samples(variant, 4, 6)
    lengths = np.array([6, 3, 0, 1])
    whole = l2l.simulate(program, x, timespans=elapsed)
    elapsed[np.arange(6) >= lengths[:, None]] = np.nan
    x[np.arange(6) >= lengths[:, None]] = np.nan
    for engine in ("c", "blas", "reference"):
        found = l2l.simulate(program, x, engine, lengths=lengths, timespans=elapsed)
        for sequence, length in enumerate(lengths):
            same = found.integers[sequence, :length] == whole.integers[sequence, :length]
            assert same.all() and not found.integers[sequence, length:].any()


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_streams_take_elapsed_times(engine: str) -> None:
    variant = Variant(irregular=True, backbone=(4,), memory=True)
    program = quantized(variant)
    x, elapsed = samples(variant, 2, 9, seed=5)
    whole = l2l.simulate(program, x, timespans=elapsed).outputs
    stream = l2l.open_stream(program, engine)
    answers = [stream.step(x[0, t], elapsed[0, t]).copy() for t in range(9)]
    assert np.array_equal(answers, whole[0])
    with pytest.raises(l2l.InputError, match="time is irregular: give elapsed"):
        stream.step(x[0, 0])
    chunks = l2l.simulate_stream(
        program, [x[:, :4], x[:, 4:]], engine, timespans=[elapsed[:, :4], elapsed[:, 4:]]
    )
    assert np.array_equal(np.concatenate([part.outputs for part in chunks], axis=1), whole)
