"""Networks whose layers hear several others, through the whole house."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import (
    ACTIVATIONS,
    INPUTS,
    KINDS,
    beside_each_other,
    by_hand,
    graph,
    graphs,
    some_layer,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_network

from lnn2loihi import (
    LoihiProgram,
    SimulationResult,
    export,
    load,
    network_metrics,
    open_stream,
    place,
    profile,
    quantize,
    report,
    save,
    simulate,
    verify,
)
from lnn2loihi.converters.provenance import arrays_digest
from lnn2loihi.errors import NetworkError, QuantizationError
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.ltc.layer import LTCLayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.network import Linear, LiquidNetwork
from lnn2loihi.quantization.verb import network_hash


def samples(network: LiquidNetwork, batch: int = 2, time: int = 6) -> dict[str, Any]:
    """Samples that a network takes, and elapsed times where it asks for them."""
    rng = np.random.default_rng(5)
    times = rng.uniform(0.2, 2.0, (batch, time)) if network.irregular else None
    return {"x": rng.normal(size=(batch, time, network.input_size)), "timespans": times}


@given(graphs())
def test_answers_are_those_of_the_layers_one_after_the_other(network: LiquidNetwork) -> None:
    given_ = samples(network)
    found = network.evaluate(**given_)
    expected = by_hand(network, **given_)
    last = network.layers[-1].name if network.readout is None else network.readout.name
    np.testing.assert_allclose(found.outputs, expected[last], rtol=0, atol=1e-9)
    assert network.input_size == INPUTS


@pytest.mark.parametrize("irregular", [False, True])
@pytest.mark.parametrize("unfolds", [1, 3])
def test_ltcs_beside_each_other(irregular: bool, unfolds: int) -> None:
    network = beside_each_other(3, irregular, unfolds)
    given_ = samples(network)
    expected = by_hand(network, **given_)["readout"]
    np.testing.assert_allclose(network.evaluate(**given_).outputs, expected, rtol=0, atol=1e-9)


def test_what_is_said_of_a_chain_is_left_out() -> None:
    """A chain that says what each layer hears is the same network as one that does not."""
    plain = random_network(1)
    said = {"layer_0": ("input",), "layer_1": ["layer_0"], "readout": ("layer_1",)}
    network = dataclasses.replace(plain, hears=said)  # type: ignore[arg-type]
    assert dict(network.hears) == {} and network == plain


def test_a_network_says_who_hears_whom() -> None:
    network = beside_each_other(1)
    assert pickle.loads(pickle.dumps(network)) == network
    stages = {row["stage"]: row for row in network.to_dict()["stages"]}
    assert stages["readout"]["hears"] == ["above", "left", "input"]
    assert "above, left, input" in str(network)


def test_the_width_of_the_input_follows_from_whoever_hears_it() -> None:
    """Of those that hear nothing else, or else of what is left of their columns."""
    first, second = some_layer("gru", "a", 4, 3, 1), some_layer("tanh", "b", 3 + 4 + 4, 2, 2)
    readout = Linear("readout", np.ones((1, 2 + 3 + 4)), np.zeros(1))
    hears = {"b": ("input", "a", "input"), "readout": ("b", "a", "input")}
    assert LiquidNetwork("n", (first, second), readout, hears=hears).input_size == 4
    twice = some_layer("gru", "a", 6, 3, 1)
    alone = LiquidNetwork("n", (twice,), hears={"a": ("input", "input", "input")})
    assert alone.input_size == 2


def test_refusals() -> None:
    a, b = some_layer("gru", "a", 2, 3, 1), some_layer("tanh", "b", 3, 4, 2)
    wired = some_layer("wired", "w", 2, 3, 3)

    def refused(hears: dict[str, tuple[str, ...]], *layers: Layer, readout: int = 0) -> str:
        last = Linear("out", np.ones((1, readout)), np.zeros(1)) if readout else None
        with pytest.raises(NetworkError) as caught:
            LiquidNetwork("n", layers or (a, b), last, hears=hears)
        return str(caught.value)

    assert "hears names 'c', which is neither a layer nor the readout; there are a, b" in refused(
        {"c": ("a",)}
    )
    assert "b hears 'x', which is nothing that comes before it; there are input, a" in refused(
        {"b": ("x",)}
    )
    assert "a hears 'b', which is nothing that comes before it; there are input" in refused(
        {"a": ("b",)}
    )
    assert "a hears 'a', which is nothing that comes" in refused({"a": ("a", "input")})
    assert "b hears nothing; name what it hears" in refused({"b": ()})
    assert "b takes 3 inputs but hears a (3), input (2); a takes the input to be 2 wide" in refused(
        {"b": ("a", "input")}
    )
    assert "nobody hears a, and it is not the answer" in refused(
        {"b": ("input",)}, a, some_layer("tanh", "b", 2, 4, 2)
    )
    assert "a takes 2 inputs but hears input (what is left)" in refused(
        {"a": ("input", "input", "input")}
    )
    assert "out takes 4 inputs but hears w_layer_0 (3), w (4)" in refused(
        {"out": ("w_layer_0", "w")}, wired, readout=4
    )
    assert "hears names 'w_layer_1'" in refused({"w_layer_1": ("input",)}, wired)
    with pytest.raises(NetworkError, match=r"hears\['b'\] is of type str; give a tuple"):
        LiquidNetwork("n", (a, b), hears={"b": "a"})  # type: ignore[dict-item]


def test_of_layers_that_unfold_none_hears_another() -> None:
    """Neither directly nor through others; side by side they may stand."""
    before, after = (random_ltc(seed, 2, 2).layers[0] for seed in (1, 2))
    layers = before.renamed(lambda _: "a"), some_layer("tanh", "b", 2, 2, 1)
    layers = *layers, after.renamed(lambda _: "c")
    with pytest.raises(NetworkError, match="a and c take 4 steps for each sample: the second"):
        LiquidNetwork("n", layers)
    readout = Linear("readout", np.ones((1, 4)), np.zeros(1))
    hears = {"c": ("input",), "readout": ("b", "c")}
    assert LiquidNetwork("n", layers, readout, hears=hears).substeps == 4


@pytest.mark.parametrize("kind", [*KINDS, *ACTIVATIONS])
@pytest.mark.parametrize("columns", [1, 3, 5])
def test_hearing_through_a_matrix(kind: str, columns: int) -> None:
    rng = np.random.default_rng(columns)
    layer = some_layer(kind, "a", 3, 4, 7)
    matrix, offset = rng.normal(size=(3, columns)), rng.normal(size=3)
    assert layer.can_hear(matrix)
    assert_hears(layer, matrix, offset)


def assert_hears(layer: Layer, matrix: np.ndarray, offset: np.ndarray) -> None:
    """The layer that hears through the matrix answers as the layer does behind it."""
    for timespan in (0.6, None):
        changed = LiquidNetwork("n", (layer.hearing(matrix, offset),), None, timespan)
        given_ = samples(changed)
        heard = {**given_, "x": given_["x"] @ matrix.T + offset}
        expected = LiquidNetwork("n", (layer,), None, timespan).evaluate(**heard).outputs
        np.testing.assert_allclose(changed.evaluate(**given_).outputs, expected, rtol=0, atol=1e-9)


@given(st.integers(0, 1 << 20), st.data())
def test_an_ltc_hears_whatever_enters_each_synapse_alone(seed: int, data: st.DataObject) -> None:
    """Rows of one number, or of none: then the synapse is open by a constant."""
    rng = np.random.default_rng(seed)
    inputs, columns = int(rng.integers(1, 4)), int(rng.integers(3, 6))
    layer = random_ltc(seed, inputs, 3, density=float(rng.uniform(0.2, 1.0))).layers[0]
    assert isinstance(layer, LTCLayer)
    matrix = np.zeros((inputs, columns))
    matrix[np.arange(inputs), rng.permutation(columns)[:inputs]] = rng.normal(size=inputs)
    still = data.draw(st.integers(0, inputs)) - 1
    if still >= 0:
        matrix[still] = 0.0
    if layer.can_hear(matrix):
        assert_hears(layer, matrix, rng.normal(size=inputs))
    else:
        assert not matrix.any()


def test_what_an_ltc_cannot_hear_is_refused() -> None:
    layer = random_ltc(1, 2, 3, density=1.0).layers[0]
    for matrix in (np.ones((2, 1)), np.ones((2, 2)), np.array([[1.0, 0.0], [2.0, 0.0]])):
        assert not layer.can_hear(matrix)
        with pytest.raises(NetworkError, match="a LTCLayer cannot hear what such a matrix mixes"):
            layer.hearing(matrix, np.zeros(2))
    # By two synapses, each of which hears a copy of its own.
    twice = layer.hearing(np.eye(2), np.zeros(2))
    network = LiquidNetwork("n", (twice,), hears={"ltc": ("input", "input")})
    x = samples(network)["x"]
    expected = LiquidNetwork("n", (layer,)).evaluate(np.concatenate([x, x], axis=-1)).outputs
    np.testing.assert_allclose(network.evaluate(x).outputs, expected, rtol=0, atol=1e-12)


def test_matrices_of_another_shape_are_refused() -> None:
    layer = some_layer("gru", "a", 3, 2, 1)
    with pytest.raises(NetworkError) as caught:
        layer.hearing(np.full((2, 3), np.nan), np.zeros(2))
    text = str(caught.value)
    assert "matrix has shape (2, 3), expected (3, columns)" in text
    assert "offset has shape (2,), expected (3,)" in text and "matrix holds NaN" in text


def test_a_layer_with_factors_of_its_own_hears_through_them_alone() -> None:
    """A stranger's class that was written before there was `hearing`."""

    @dataclasses.dataclass(frozen=True, eq=False)
    class Older(DenseLayer):
        def with_inputs(self, factor: np.ndarray, offset: np.ndarray) -> Older:
            return dataclasses.replace(self, linear=self.linear.with_inputs(factor, offset))

    linear = Linear("linear", np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(2))
    older = Older("a", linear, "tanh")
    assert older.can_hear(np.diag([2.0, 3.0]))
    assert not older.can_hear(np.ones((2, 2))) and not older.can_hear(np.ones((2, 1)))
    found = older.hearing(np.diag([2.0, 3.0]), np.ones(2)).linear
    assert found == linear.with_inputs(np.array([2.0, 3.0]), np.ones(2))


@given(graphs())
def test_a_network_of_its_own_gates_answers_the_same(network: LiquidNetwork) -> None:
    gates = {stage.name: dict(stage.gates) for stage in network.stages}
    given_ = samples(network)
    np.testing.assert_allclose(
        network.with_gates(gates).evaluate(**given_).outputs,
        network.evaluate(**given_).outputs, rtol=0, atol=1e-9,
    )  # fmt: skip


def test_factors_of_what_an_ltc_hears_stay_in_its_slopes() -> None:
    """LeCun's tanh before an LTC is folded into slopes, which no gate has."""
    network = beside_each_other(2)
    gates = {stage.name: dict(stage.gates) for stage in network.stages}
    x = samples(network)["x"]
    found = network.with_gates(gates).evaluate(x).outputs
    np.testing.assert_allclose(found, network.evaluate(x).outputs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "identity", "silu", "gelu"])
def test_differences_of_what_nearly_cancels_fit(activation: str) -> None:
    """What weights allow is far more than what is answered, up to the end of the word: there a half
    is added before the last bits go.
    """
    a = np.random.default_rng(0).normal(size=(2, 20, 1))
    x = np.concatenate([a, 1.001 * a], axis=-1)
    readout = Linear("readout", np.ones((1, 2)), np.zeros(1))
    for size in np.geomspace(1.0, 2e4, 12):
        linear = Linear("linear", size * np.array([[1.0, -1.0], [0.5, -0.5]]), np.zeros(2))
        quantize(LiquidNetwork("n", (DenseLayer("a", linear, activation),), readout), x)


def calibrated(network: LiquidNetwork) -> tuple[LoihiProgram, dict[str, Any]]:
    """Its integers, and samples that they were calibrated with."""
    given_ = samples(network, 3, 8)
    program = quantize(network, given_["x"], calibrate_timespans=given_["timespans"])
    return program, given_


@settings(max_examples=25)
@given(graphs())
def test_integers_answer_as_the_network_does(network: LiquidNetwork) -> None:
    """12-bit messages, and activations of lines: within 5 % of how the answers vary."""
    program, given_ = calibrated(network)
    found = simulate(program, engine="reference", return_states=True, **given_)
    same = simulate(program, engine="blas", return_states=True, **given_)
    assert_same(found, same)
    expected = network.evaluate(**given_).outputs
    assert np.abs(found.outputs - expected).max() <= 0.05 * max(float(expected.std()), 0.1)


def assert_same(found: SimulationResult, same: SimulationResult) -> None:
    """Every state of every step."""
    np.testing.assert_array_equal(found.integers, same.integers)
    assert found.states is not None and same.states is not None
    for name, words in found.states.items():
        for word, values in words.items():
            np.testing.assert_array_equal(values, same.states[name][word], err_msg=name)


#: One network of each kind that the code below tells apart: gated cells with skips, wired ones with
#: parts that are heard, dense ones, irregular time, LTCs beside each other.
CHOSEN = {
    "skips": lambda: graph(16, ("gru", "lstm", "tanh", "mingru")),
    "parts": lambda: graph(24, ("wired", "cfc memory", "relu"), readout=False),
    "irregular": lambda: graph(12, ("cfc", "cfc pure", "wired", "lecun_tanh"), irregular=True),
    "dense": lambda: graph(4, ("lecun_tanh", "relu", "identity", "sigmoid")),
    "ltcs": lambda: beside_each_other(1, irregular=True),
}
chosen = pytest.mark.parametrize("network", [make() for make in CHOSEN.values()], ids=[*CHOSEN])


@chosen
@pytest.mark.slow
def test_all_executors_agree(network: LiquidNetwork) -> None:
    program, given_ = calibrated(network)
    found = verify(program, executors="all", lengths=[8, 5, 1], **given_)
    assert found.bit_exact, found.summary()


@chosen
def test_sample_by_sample_as_at_once(network: LiquidNetwork) -> None:
    program, given_ = calibrated(network)
    stream = open_stream(program)
    times = [None] * 8 if given_["timespans"] is None else given_["timespans"][0]
    found = [stream.step(x, t) for x, t in zip(given_["x"][0], times, strict=True)]
    np.testing.assert_array_equal(found, simulate(program, **given_).outputs[0])


@chosen
def test_it_is_saved_placed_profiled_and_drawn(network: LiquidNetwork, tmp_path: Path) -> None:
    program, given_ = calibrated(network)
    save(program, tmp_path / "graph.l2l")
    assert load(tmp_path / "graph.l2l") == program
    counters = simulate(program, **given_).counters
    assert place(program, objective="packed", counters=counters).cores
    # A sample falls through the longest path; what waits for it is delayed.
    updates = program.schedule.first_valid
    assert program.latency_steps == (
        updates[program.output] - program.schedule.first_input
        + (program.substeps - 1) * program.schedule.period
    )  # fmt: skip
    assert max(updates.values()) == updates[program.output]
    # Copies that share the chip take seconds, and elapsed times as further channels.
    copies = network.irregular
    result = profile(program, against=(), quick=True, frontier=copies, network=network, **given_)
    page = report(result, program, tmp_path / "page.html", network=network, **given_).read_text()
    assert all(f"<title>{population.name}</title>" in page for population in program.populations)


@chosen
def test_training_for_the_chip(network: LiquidNetwork) -> None:
    """Gradients for all that trains; evaluation is the program bit for bit; what comes out is a
    network of the same edges.
    """
    torch = pytest.importorskip("torch")
    from lnn2loihi import qat

    given_ = samples(network, 3, 8)
    module = qat.prepare(network, calibrate=given_["x"], calibrate_timespans=given_["timespans"])
    x = torch.tensor(given_["x"], dtype=torch.float32)
    times = None
    if network.irregular:
        times = torch.tensor(given_["timespans"], dtype=torch.float32)
    trained = module.train()(x, timespans=times)
    trained.square().sum().backward()
    lost = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert lost == []
    with torch.no_grad():
        answered = module.eval()(x, timespans=times).numpy()
    spans = None if times is None else times.numpy().astype(np.float64)
    expected = simulate(module.export(), x.numpy().astype(np.float64), timespans=spans).outputs
    np.testing.assert_array_equal(answered, expected.astype(np.float32))
    apart = np.abs(trained.detach().numpy() - answered).max()
    assert apart <= 0.03 * max(float(answered.std()), 0.1)
    assert module.network().hears == network.hears


@chosen
def test_pytorch_and_onnx_compute_the_float_network(network: LiquidNetwork) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("torch")
    from lnn2loihi.measure.torch_session import TorchSession, network_blocks

    given_ = samples(network)
    expected = network.evaluate(**given_).outputs
    model = export(network, "onnx-float", dtype="float64").SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    feed = {
        value.name: given_[value.name]
        if value.name in given_
        else np.zeros((2, int(value.shape[-1])))
        for value in session.get_inputs()
    }
    np.testing.assert_allclose(session.run(["y"], feed)[0], expected, rtol=0, atol=1e-9)
    blocks, importer = network_blocks(network)
    assert importer == ""  # the modules of a package run one after the other
    rival = TorchSession(blocks, "cpu", None)
    found = rival.outputs(rival.run(rival.prepare(given_["x"], given_["timespans"])))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_every_synapse_is_counted_for_its_own_source() -> None:
    """Messages of a rectifier that are 0 cost nothing, of whichever source they are."""
    half = Linear("linear", np.array([[1.0, 0.0], [-1.0, 0.0]]), np.zeros(2))
    layers = DenseLayer("a", half, "relu"), DenseLayer("b", half, "identity")
    readout = Linear("readout", np.ones((1, 6)), np.zeros(1))
    hears = {"b": ("input",), "readout": ("a", "b", "input")}
    x = np.ones((1, 4, 2))
    found = network_metrics(LiquidNetwork("n", layers, readout, hears=hears), x)
    # Two weights of each layer meet ones; of the readout's columns one of a is 0.
    assert found.synaptic_operations["Effective_MACs"] + found.synaptic_operations[
        "Effective_ACs"
    ] == 4 * (2 + 2 + 5)
    assert found.parameter_count == 2 * 6 + 7


def test_a_digest_says_who_hears_whom() -> None:
    """Networks of the same arrays that hear each other otherwise are others."""
    a, b, c = (some_layer("tanh", name, 2, 2, seed) for seed, name in enumerate("abc"))
    readout = Linear("readout", np.ones((1, 4)), np.zeros(1))
    made = [
        LiquidNetwork("n", (a, b, c), readout, hears=hears)
        for hears in (
            {"readout": ("b", "c")},
            {"c": ("a",), "readout": ("b", "c")},
            {"readout": ("c", "b")},
        )
    ]
    assert len({arrays_digest(network) for network in made}) == 3
    assert len({network_hash(network) for network in made}) == 3


def test_a_readout_is_as_wide_as_what_all_of_its_sources_can_say() -> None:
    """Constant answers in calibration, and weights that could do far more: the bound is proved."""
    network = graph(9, ("cfc", "identity", "relu"))
    program = quantize(network, np.zeros((1, 4, 2)) + 1e-3)
    output = program.output_population
    bounds = program.bounds[output.name].words["message'"].hull
    assert output.message_low <= bounds[0] and bounds[1] <= output.message_high


def test_too_many_stages_between_two_ends_of_a_skip_are_refused() -> None:
    """Delays of axons end at 62 steps; which connection it is is said."""
    one = np.eye(2)
    layers = [DenseLayer(f"l{n}", Linear("linear", one, np.zeros(2)), "relu") for n in range(65)]
    readout = Linear("readout", np.ones((1, 4)), np.zeros(1))
    network = LiquidNetwork("n", tuple(layers), readout, hears={"readout": ("l64", "input")})
    with pytest.raises(QuantizationError, match="readout hears input past .* 65 steps"):
        quantize(network, np.ones((1, 4, 2)))


def test_the_example_of_the_document_runs() -> None:
    text = (Path(__file__).parent.parent / "docs" / "graphs.md").read_text()
    names: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)  # noqa: S102 (our own document)
    stages = {row["stage"]: row["hears"] for row in names["network"].to_dict()["stages"]}
    assert stages["readout"] == ["fast", "slow", "encoder", "input"]
