"""LTCs on the whole road: float, integers, all executors, training for the chip."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ltc_networks as ltcs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ltc_networks import Variant

import lnn2loihi as l2l
from lnn2loihi.converters.lava import LavaExporter
from lnn2loihi.errors import ProgramError, QuantizationError
from lnn2loihi.families.ltc.layer import CONDUCTANCE, CURRENT, LTCLayer, MembraneStage
from lnn2loihi.families.ltc.neuron import MembraneFormats, membrane_program, synapse_program
from lnn2loihi.neurons.bounds import IntegerInterval, prove
from lnn2loihi.neurons.phase import PHASE
from lnn2loihi.neurons.reciprocal import Reciprocal
from lnn2loihi.simulation import full_initial_state, held
from lnn2loihi.simulation.inputs import encode
from lnn2loihi.simulation.reference import run_reference

torch = pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")
pytest.importorskip("ncps", reason="needs ncps: pip install ncps")

SLOW = settings(max_examples=14, deadline=None, derandomize=True)
KINDS = (
    Variant(),
    Variant(kind="full", size=4, unfolds=6, irregular=True),
    Variant(mixed=True, output_mapping=None),
    Variant(mixed=True, irregular=True, unfolds=2, kind="random"),
    Variant(mixed=True, unfolds=1),
)


def network(variant: Variant) -> l2l.LiquidNetwork:
    return l2l.import_network(ltcs.module(variant), timespan=variant.timespan)


def quantized(variant: Variant, recipe: str = "w8a12") -> l2l.LoihiProgram:
    x, elapsed = ltcs.samples(variant, 6, 12)
    return l2l.quantize(network(variant), x, recipe, calibrate_timespans=elapsed)


# ---------------------------------------------------------------- executors


@SLOW
@given(
    variant=ltcs.variants(),
    recipe=st.sampled_from(["w8a12", "w8a16", "w4a8", "w3a6", "w8a12-lines16"]),
    time=st.integers(1, 5),
)
def test_blas_agrees_with_the_reference(variant: Variant, recipe: str, time: int) -> None:
    program = quantized(variant, recipe)
    x, elapsed = ltcs.samples(variant, 4, time, seed=1)
    found = l2l.verify(program, 3 * x, "reference,blas", timespans=elapsed)
    assert found.bit_exact and found.steps == time


@pytest.mark.parametrize("batch", [1, 20])
@pytest.mark.parametrize("variant", KINDS, ids=str)
def test_c_agrees_with_the_reference(variant: Variant, batch: int) -> None:
    program = quantized(variant)
    x, elapsed = ltcs.samples(variant, batch, 5, seed=1)
    assert l2l.verify(program, 3 * x, "reference,c", timespans=elapsed).bit_exact


@SLOW
@given(variant=ltcs.variants(), recipe=st.sampled_from(["w8a12", "w3a8"]))
def test_no_word_leaves_its_proved_bound(variant: Variant, recipe: str) -> None:
    program = quantized(variant, recipe)
    x, elapsed = ltcs.samples(variant, 3, 4, seed=2)
    inputs = held(program, encode(program, 50 * x, elapsed)[0])
    run_reference(program, inputs, full_initial_state(program, 3, None), check_bounds=True)


@settings(SLOW, max_examples=10)
@given(variant=ltcs.variants())
def test_integers_follow_the_float_network(variant: Variant) -> None:
    program = quantized(variant, "w8a16x16")
    x, elapsed = ltcs.samples(variant, 6, 12)
    found = l2l.compare(network(variant), program, x, timespans=elapsed)
    noisy = [s for s in found.stages if s.relative_mse is not None and s.relative_mse > 0.01]
    assert not noisy or max(s.rms for s in noisy) < 0.02, found.summary()


@pytest.mark.parametrize("variant", KINDS, ids=str)
def test_lava_agrees(variant: Variant) -> None:
    pytest.importorskip("lava", reason="Lava is not installed")
    program = quantized(variant)
    x, elapsed = ltcs.samples(variant, 3, 4, seed=3)
    for chosen in (program, program.interleaved(program.schedule.period)):
        assert l2l.verify(chosen, x, "reference,lava", timespans=elapsed).bit_exact


def test_lava_answers_samples_and_not_updates() -> None:
    pytest.importorskip("lava", reason="Lava is not installed")
    from lnn2loihi.lava.runner import run_lava

    program = quantized(Variant())
    x, _ = ltcs.samples(Variant(), 2, 4, seed=3)
    found, expected = run_lava(program, 9 * x, return_states=True), l2l.simulate(program, 9 * x)
    assert np.array_equal(found.integers, expected.integers)
    assert np.array_equal(found.saturated, expected.saturated)
    assert LavaExporter().export(program, samples=4).plan.time == 4 * program.substeps


@pytest.mark.parametrize("variant", KINDS, ids=str)
def test_an_artifact_brings_everything_back(variant: Variant, tmp_path: object) -> None:
    program = quantized(variant)
    assert program.substeps == variant.unfolds
    assert l2l.load(l2l.save(program, f"{tmp_path}/net.l2l")) == program


@pytest.mark.parametrize("variant", KINDS, ids=str)
def test_onnx_in_floating_point(variant: Variant) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    float_network = network(variant)
    model = l2l.export(float_network, "onnx-float", dtype="float64")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x, elapsed = ltcs.samples(variant, 2, 4)
    units = float_network.layers[0].units
    given = {"x": x, "timespans": elapsed}
    start = np.random.default_rng(0).uniform(-0.5, 0.5, (2, units))
    feed = {i.name: given.get(i.name, start) for i in session.get_inputs()}
    states = {name: start for name in feed if name not in given}
    expected = float_network.evaluate(x, states, timespans=elapsed)
    names = (output.name for output in session.get_outputs())
    outputs = dict(zip(names, session.run(None, feed), strict=True))
    assert np.abs(outputs["y"] - expected.outputs).max() < 1e-12
    for name in states:
        assert np.abs(outputs[f"{name}.final"] - expected.final_state[name]).max() < 1e-12


# ---------------------------------------------------------------- samples and updates


@pytest.mark.parametrize("engine", ["c", "blas", "reference"])
@pytest.mark.parametrize("variant", KINDS, ids=str)
def test_results_are_those_of_samples(engine: str, variant: Variant) -> None:
    """Ends, states, counters and totals; against the run of all updates."""
    program = quantized(variant)
    x, elapsed = ltcs.samples(variant, 3, 6, seed=4)
    lengths = np.array([6, 2, 0])
    found = l2l.simulate(
        program, 5 * x, engine, lengths=lengths, timespans=elapsed, return_states=True,
        step_totals=True,
    )  # fmt: skip
    inputs, saturated = encode(program, 5 * x, elapsed)
    start = full_initial_state(program, 3, None)
    every = run_reference(program, held(program, inputs), start)
    last = slice(program.substeps - 1, None, program.substeps)
    live = (np.arange(6) < lengths[:, None])[..., None]
    assert np.array_equal(found.integers, np.where(live, every.outputs(program)[:, last], 0))
    assert found.states is not None
    for name, words in every.states.items():
        for word, values in words.items():
            assert np.array_equal(found.states[name][word], np.where(live, values[:, last], 0))
    counters = found.counters
    assert counters.samples == 8 and counters.non_zero_per_step is not None
    for name, counts in counters.non_zero.items():
        assert counters.non_zero_per_step[name].shape == (6,)
        assert counters.non_zero_per_step[name].sum() == counts.sum()
    beyond = inputs != np.clip(inputs, program.input.low + 1, program.input.high - 1)
    assert found.saturated_inputs <= (beyond & live).sum() and saturated.sum() > 0


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("variant", KINDS, ids=str)
def test_streams(engine: str, variant: Variant) -> None:
    program = quantized(variant)
    x, elapsed = ltcs.samples(variant, 1, 5, seed=5)
    whole = l2l.simulate(program, x, timespans=elapsed).outputs[0]
    stream = l2l.open_stream(program, engine)
    times = [None] * 5 if elapsed is None else list(elapsed[0])
    answers = [stream.step(x[0, t], times[t]).copy() for t in range(5)]
    assert np.array_equal(answers, whole)
    parts = None if elapsed is None else [elapsed[:, :2], elapsed[:, 2:]]
    chunks = list(l2l.simulate_stream(program, [x[:, :2], x[:, 2:]], engine, timespans=parts))
    assert np.array_equal(np.concatenate([c.outputs[0] for c in chunks]), whole)


def test_counts_are_back_at_zero_after_every_sample() -> None:
    program = quantized(Variant(mixed=True, unfolds=3))
    x, _ = ltcs.samples(Variant(), 2, 3)
    final = l2l.simulate(program, x).final_state
    counting = [words[PHASE] for words in final.values() if PHASE in words]
    assert len(counting) == 3 and not any(count.any() for count in counting)


@pytest.mark.parametrize(
    ("variant", "interval", "latency"),
    [
        (Variant(unfolds=1), 2, 3),
        (Variant(unfolds=6), 12, 13),
        (Variant(unfolds=6, mixed=True), 18, 19),
    ],
)
def test_initiation_interval(variant: Variant, interval: int, latency: int) -> None:
    program = quantized(variant)
    assert (program.steps_per_sample, program.latency_steps) == (interval, latency)
    assert f"one sample per {interval} step(s), answer after {latency} steps" in str(program)


def test_dense_layers_around_an_ltc_do_not_lengthen_its_loop() -> None:
    layer = network(Variant()).layers[0]
    rng = np.random.default_rng(0)

    def dense(name: str, outputs: int, inputs: int) -> l2l.DenseLayer:
        linear = l2l.Linear("linear", rng.normal(size=(outputs, inputs)), rng.normal(size=outputs))
        return l2l.DenseLayer(name, linear, "tanh")

    layers = (dense("before", 3, 2), layer, dense("after", 2, layer.units))
    x = rng.normal(size=(4, 10, 2))
    program = l2l.quantize(l2l.LiquidNetwork("net", layers), x)
    assert program.schedule.period == 2 and program.latency_steps == 8
    assert l2l.verify(program, x, "reference,c,blas").bit_exact


def test_updates_have_a_limit() -> None:
    with pytest.raises(ProgramError, match="2000 updates for each sample; 1 to 1024"):
        replace(quantized(Variant()), substeps=2000)


# ---------------------------------------------------------------- the neuron programs


def test_potentials_stay_in_their_convex_hull() -> None:
    """The float network; reversal potentials of up to 1.5 bound the states of any input."""
    float_network = network(Variant(seed=9, unfolds=6))
    (stage,) = (s for s in float_network.stages if isinstance(s, MembraneStage))
    x = 30 * np.random.default_rng(0).normal(size=(20, 30, 3))
    largest = np.abs(float_network.evaluate(x).states["ltc"]).max()
    assert 0.3 * stage.bound < largest <= stage.bound
    unbounded = replace(
        stage, gates={**stage.gates, CURRENT: stage.gates[CURRENT].scaled(CURRENT, inputs=1.0),
                      CONDUCTANCE: stage.gates[CONDUCTANCE].scaled(CONDUCTANCE, inputs=-1.0)},
    )  # fmt: skip
    assert unbounded.bound == np.inf


def test_a_format_covers_the_bound_or_what_was_calibrated() -> None:
    """Never wider than the bound asks for, and with some headroom where it is far away."""
    small = Variant(seed=3)
    float_network = network(small)
    (stage,) = (s for s in float_network.stages if isinstance(s, MembraneStage))
    for scale in (0.01, 100.0):
        x = scale * ltcs.samples(small, 8, 20)[0]
        program = l2l.quantize(float_network, x)
        largest = np.abs(float_network.evaluate(x).states["ltc"]).max()
        message = program.population("ltc").message
        assert message.high * message.step >= min(largest, stage.bound) - message.step
        assert message.high * message.step <= 2 * stage.bound


def test_an_error_of_the_reciprocal_does_not_move_the_resting_place() -> None:
    """Whatever the reciprocal, a membrane rests where current = conductance v."""
    x = np.zeros((1, 400, 3))
    variant = Variant(seed=4, unfolds=6)
    float_network = network(variant)
    program = l2l.quantize(float_network, ltcs.samples(variant, 8, 20)[0], "w8a16x16")
    found = l2l.simulate(program, x).outputs[0, -1]
    assert np.abs(found - float_network.evaluate(x).outputs[0, -1]).max() < 2e-3


@pytest.mark.parametrize("elapsed", [False, True])
@pytest.mark.parametrize("current_bits", [4, 10, 14])
@pytest.mark.parametrize("low", [40, 5000])
def test_membranes_are_proved_for_any_sums(elapsed: bool, current_bits: int, low: int) -> None:
    """Sums as large as 24 bits, the narrowest and the widest operands, both kinds of time."""
    formats = MembraneFormats(
        12, 10, current_bits, Reciprocal.over(low), 8 if elapsed else None, 3, 6, 11
    )
    program = membrane_program((0, 0), formats)
    reach = (1 << 23) - 1
    sums = {
        "current": IntegerInterval.of(-reach // 2, reach // 2),
        "conductance": IntegerInterval.of(0, reach // 2),
        "restart": IntegerInterval.of(-2048, 2047),
        "elapsed": IntegerInterval.of(0, 2047),
    }
    parameters = {
        "current.bias": [5], "current.multiplier": [1],
        "conductance.bias": [5], "conductance.multiplier": [1],
        "capacitance": [low], "room": [32767 - low],
    }  # fmt: skip
    proved = prove(program, {n: sums[n] for n in program.accumulators}, parameters)
    assert not proved.problems
    assert proved.words["v'"].bits <= 16 and proved.words["message'"].bits <= 12


def test_listings_count_what_an_ltc_costs() -> None:
    synapse = synapse_program(8, 12, "ramp12")
    assert synapse.instruction_count == 25 and len(synapse.accumulators) == 1
    formats = MembraneFormats(12, 10, 13, Reciprocal.over(5000))
    membrane = membrane_program((8, 8), formats)
    assert membrane.instruction_count == 38 and len(membrane.accumulators) == 2
    assert {i.opcode for i in membrane.instructions} <= {
        "RDC", "ADD", "MUL_SHR", "MIN", "NEG", "LT", "SEL", "MOV", "SPIKE"
    }  # fmt: skip


def test_steep_synapses_stay_within_their_words() -> None:
    """Raw inputs of a thousand make steps of synapses; the sum of their products must fit."""
    variant = Variant()
    made = ltcs.module(variant)
    x = 5000 * ltcs.samples(variant, 8, 20)[0]
    for recipe in ("w8a12", "w8a16x16"):
        program = l2l.quantize(l2l.import_network(made), x, recipe)
        assert l2l.verify(program, x, "reference,blas").bit_exact


# ---------------------------------------------------------------- refusals


def membranes(layer: LTCLayer, **changes: Any) -> l2l.LiquidNetwork:
    return l2l.LiquidNetwork("changed", (replace(layer, **changes),))


def test_what_has_no_reciprocal_is_refused_by_neuron() -> None:
    layer = network(Variant()).layers[0]
    assert isinstance(layer, LTCLayer)
    x, _ = ltcs.samples(Variant(), 2, 5)
    capacitance = np.array(layer.capacitance)
    capacitance[2] = 0.0
    with pytest.raises(QuantizationError, match=r"1 neurons \(2\) have cm that is not above 0"):
        l2l.quantize(membranes(layer, capacitance=capacitance), x)
    capacitance[2] = 1e-6
    with pytest.raises(QuantizationError, match=r"neuron 2: its denominator spreads over a factor"):
        l2l.quantize(membranes(layer, capacitance=capacitance), x)
    standing = network(Variant(irregular=True))
    with pytest.raises(QuantizationError, match="its elapsed time is 0; an LTC needs time above 0"):
        l2l.quantize(standing, x, calibrate_timespans=np.zeros(x.shape[:2]))


def test_layers_say_what_is_wrong_with_them() -> None:
    layer = network(Variant()).layers[0]
    assert isinstance(layer, LTCLayer)
    for changes, message in (
        ({"slope": layer.slope[:, :2]}, r"ltc.slope has shape \(10, 2\), expected \(10, 13\)"),
        ({"offset": layer.offset * np.nan}, "ltc.offset holds NaN"),
        ({"wiring": np.zeros_like(layer.wiring)}, "it has no synapse"),
    ):
        with pytest.raises(l2l.NetworkError, match=message):
            membranes(layer, **changes)


# ---------------------------------------------------------------- training for the chip


@pytest.mark.parametrize("variant", [KINDS[0], KINDS[3]], ids=str)
def test_training_for_the_chip(variant: Variant) -> None:
    """The loss falls, evaluation is the chip's integers, and states carry over."""
    from lnn2loihi import qat

    made = ltcs.module(variant)
    x, elapsed = ltcs.samples(variant, 8, 6)
    truth = network(variant).evaluate(x, timespans=elapsed).outputs
    target = torch.tensor(0.5 * truth + 0.1, dtype=torch.float32)
    module = qat.prepare(
        made, "w3a8", calibrate=x, calibrate_timespans=elapsed, timespan=variant.timespan
    )
    inputs = torch.tensor(x, dtype=torch.float32)
    times = None if elapsed is None else torch.tensor(elapsed, dtype=torch.float32)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        answer, _ = module(inputs, timespans=times)
        loss = ((answer - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.5 * losses[0]
    module.eval()
    whole, _ = module(inputs, timespans=times)
    program = module.export()
    exact = l2l.simulate(program, x.astype(np.float32), timespans=elapsed).outputs
    assert np.array_equal(whole.numpy(), exact.astype(np.float32))
    cut = [None, None] if times is None else [times[:, :4], times[:, 4:]]
    first, state = module(inputs[:, :4], timespans=cut[0])
    second, _ = module(inputs[:, 4:], state, timespans=cut[1])
    assert torch.equal(torch.cat([first, second], dim=1), whole)


def test_training_computes_what_the_float_network_does() -> None:
    """With the widest recipe, training mode is the float network up to rounding."""
    from lnn2loihi import qat

    for variant in KINDS:
        x, elapsed = ltcs.samples(variant, 3, 6)
        module = qat.prepare(network(variant), "w8a16x16", calibrate=x, calibrate_timespans=elapsed)
        times = None if elapsed is None else torch.tensor(elapsed)
        found = module.double()(torch.tensor(x), timespans=times).detach().numpy()
        truth = network(variant).evaluate(x, timespans=elapsed).outputs
        assert np.abs(found - truth).max() < 0.02 * max(1.0, np.abs(truth).max())


def test_conductances_stay_positive_in_training() -> None:
    from lnn2loihi import qat

    x, _ = ltcs.samples(Variant(), 4, 6)
    module = qat.prepare(ltcs.module(Variant()), "w4a8", calibrate=x)
    own = module.stages["ltc"]
    with torch.no_grad():
        own.weight[CONDUCTANCE].sub_(0.5)
        own.bias[CONDUCTANCE].sub_(0.5)
    layer = module.network().layers[0]
    assert isinstance(layer, LTCLayer)
    assert layer.conductance.weight.min() == 0.0 and layer.conductance.bias.min() >= 0.0
    answer, _ = module(torch.tensor(x, dtype=torch.float32))
    answer.sum().backward()
    assert own.weight[CONDUCTANCE].grad is not None and own.weight[CONDUCTANCE].grad.abs().sum() > 0
    assert l2l.verify(module.export(), x, "reference,blas").bit_exact
    assert not module.stages["ltc.synapses"].weight


def test_pruned_synapses_stay_away() -> None:
    from lnn2loihi import qat

    x, _ = ltcs.samples(Variant(), 4, 6)
    module = qat.prepare(ltcs.module(Variant()), "w8a12", calibrate=x)
    before = module.export().synapses
    left = module.prune(0.5)
    after = module.export()
    assert after.synapses < before and left < before
    assert l2l.verify(after, x, "reference,blas").bit_exact
