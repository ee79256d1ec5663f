"""Networks whose layers hear several others, through the whole house."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
from graphs import ACTIVATIONS, INPUTS, KINDS, beside_each_other, by_hand, graphs, some_layer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_network

from lnn2loihi.errors import NetworkError
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.ltc.layer import LTCLayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.network import Linear, LiquidNetwork
from lnn2loihi.quantization.verb import quantize

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def samples(network: LiquidNetwork, batch: int = 2, time: int = 6) -> dict[str, Any]:
    """Samples that a network takes, and elapsed times where it asks for them."""
    rng = np.random.default_rng(5)
    times = rng.uniform(0.2, 2.0, (batch, time)) if network.irregular else None
    return {"x": rng.normal(size=(batch, time, network.input_size)), "timespans": times}


@UNHURRIED
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


@UNHURRIED
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


@UNHURRIED
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
