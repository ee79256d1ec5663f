"""LiquidNetwork: it checks itself when made and evaluates in double precision; no torch here."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import random_ltc
from strategies_ncps import STEADY

from lnn2loihi.errors import InputError, NetworkError
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.lstm.memory import MEMORY_GATES, Memory
from lnn2loihi.layers.activations import LECUN_INPUT, LECUN_OUTPUT
from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.network import LARGEST, Linear, LiquidNetwork


def linear(name: str, outputs: int, inputs: int, seed: int) -> Linear:
    generator = np.random.default_rng(seed)
    return Linear(name, generator.normal(size=(outputs, inputs)), generator.normal(size=outputs))


def layer(name: str = "layer_0", inputs: int = 2, units: int = 3, seed: int = 0) -> CfCLayer:
    gates = {
        gate: linear(gate, units, inputs + units, seed + index)
        for index, gate in enumerate(CfCLayer.gates)
    }
    return CfCLayer(name, *gates.values())


def network(**changes: object) -> LiquidNetwork:
    values: dict[str, object] = {
        "name": "net",
        "layers": (layer(), layer("layer_1", 3, 2, seed=10)),
        "readout": linear("readout", 1, 2, seed=20),
        **changes,
    }
    return LiquidNetwork(**values)  # type: ignore[arg-type]


def test_sizes() -> None:
    net = network()
    assert (net.input_size, net.units, net.output_size) == (2, 5, 1)
    assert network(readout=None).output_size == 2
    # Three gates (time folded) per layer: 3 * 3 * 5 + 3 * 2 * 5, and 2 of the readout.
    assert net.synapses == 45 + 30 + 2


def test_pruned_weights_are_not_counted_as_synapses() -> None:
    first = layer()
    weight = np.array(first.ff1.weight)
    weight[0, 0] = 0.0
    pruned = dataclasses.replace(first, ff1=Linear("ff1", weight, first.ff1.bias))
    assert network(layers=(pruned, layer("layer_1", 3, 2))).synapses == network().synapses - 1


def test_one_unit_by_hand() -> None:
    """The equation of the cell, spelled out with scalars."""
    parts = {"ff1": (0.5, -1.0, 0.1), "ff2": (-0.3, 0.7, 0.2)}
    parts |= {"time_a": (1.5, 0.4, -0.2), "time_b": (-0.6, 0.9, 0.3)}
    gates = {k: Linear(k, np.array([[a, b]]), np.array([c])) for k, (a, b, c) in parts.items()}
    net = LiquidNetwork("one", (CfCLayer("layer_0", *gates.values()),), timespan=0.5)
    x, h = [0.8, -1.2], 0.0
    expected = []
    for value in x:
        sums = {k: a * value + b * h + c for k, (a, b, c) in parts.items()}
        t = 1.0 / (1.0 + math.exp(-(0.5 * sums["time_a"] + sums["time_b"])))
        h = math.tanh(sums["ff1"]) * (1.0 - t) + t * math.tanh(sums["ff2"])
        expected.append(h)
    answer = net.evaluate(np.reshape(x, (1, 2, 1)))
    np.testing.assert_allclose(answer.outputs[0, :, 0], expected, rtol=0, atol=1e-15)
    assert answer.states["layer_0"].shape == (1, 2, 1)


@STEADY
@given(timespan=st.floats(-5.0, 5.0), seed=st.integers(0, 100))
def test_folded_gate_is_the_time_gate(timespan: float, seed: int) -> None:
    cell = layer(seed=seed)
    z = np.random.default_rng(seed).normal(size=(4, 5))
    separate = cell.time_a(z) * timespan + cell.time_b(z)
    np.testing.assert_allclose(cell.folded_gate(timespan)(z), separate, rtol=0, atol=1e-12)


@STEADY
@given(split=st.integers(1, 6), seed=st.integers(0, 100))
def test_states_continue_a_sequence(split: int, seed: int) -> None:
    net = network()
    x = np.random.default_rng(seed).normal(size=(2, 7, 2))
    whole = net.evaluate(x)
    first = net.evaluate(x[:, :split])
    last = {name: states[:, -1] for name, states in first.states.items()}
    second = net.evaluate(x[:, split:], last)
    joined = np.concatenate([first.outputs, second.outputs], axis=1)
    # The order of a float summation may depend on the shape of the arrays.
    np.testing.assert_allclose(joined, whole.outputs, rtol=0, atol=1e-12)


def test_states_stay_within_one_for_huge_weights() -> None:
    gates = {g: Linear(g, np.full((1, 2), 1e6), np.zeros(1)) for g in CfCLayer.gates}
    net = LiquidNetwork("large", (CfCLayer("layer_0", *gates.values()),))
    outputs = net.evaluate(np.array([[[1e6], [-1e6], [0.0]]])).outputs
    assert np.all(np.isfinite(outputs))
    assert np.max(np.abs(outputs)) <= 1.0


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])


def test_evaluate_lists_what_is_wrong_with_the_input() -> None:
    net = network()
    with pytest.raises(InputError, match=r"expected \(batch, time, inputs\)"):
        net.evaluate(np.zeros((4, 2)))
    x = np.zeros((1, 4, 3))
    x[0, 0, 0] = np.nan
    with pytest.raises(InputError) as caught:
        net.evaluate(x)
    assert len(caught.value.problems) == 2
    assert "3 input channels, expected 2" in str(caught.value)
    assert "1 NaN or infinite of 12 values" in str(caught.value)
    assert "(the first is sequence 0, step 0, channel 0)" in str(caught.value)
    with pytest.raises(InputError, match="x is empty"):
        net.evaluate(np.zeros((1, 0, 2)))
    with pytest.raises(InputError, match="not an array of numbers"):
        net.evaluate([["a"]])


def test_samples_whose_squares_no_float_holds_are_refused() -> None:
    x = np.zeros((1, 4, 2))
    x[0, 1] = LARGEST, -np.nextafter(LARGEST, np.inf)
    with pytest.raises(InputError, match=r"x holds 1 of 8 values beyond 3\.4e\+38, the largest"):
        network().evaluate(x)


@pytest.mark.parametrize("timespan", [-1.0, -1e-9, float("inf"), 1e300])
def test_no_elapsed_time_is_negative_or_endless(timespan: float) -> None:
    with pytest.raises(NetworkError, match=r"an elapsed time is a number from 0 to 3\.4e\+38"):
        network(timespan=timespan)
    irregular, x = network(timespan=None), np.zeros((1, 3, 2))
    with pytest.raises(InputError, match="holds 1 of 3 values that are no elapsed time"):
        irregular.evaluate(x, timespans=[[1.0, timespan, 0.0]])


def test_an_elapsed_time_may_be_nothing() -> None:
    """ncps takes it: the time gate is time_b's alone."""
    x = np.ones((1, 3, 2))
    constant = network(timespan=0.0).evaluate(x).outputs
    irregular = network(timespan=None).evaluate(x, timespans=np.zeros((1, 3))).outputs
    np.testing.assert_allclose(constant, irregular, rtol=0, atol=1e-14)


def test_a_network_lists_all_its_contradictions() -> None:
    first = layer()
    weight = np.array(first.ff1.weight)
    weight[0, :2] = np.nan, np.inf
    broken = dataclasses.replace(
        first,
        ff1=Linear("ff1", weight, first.ff1.bias),
        ff2=Linear("ff2", first.ff2.weight, np.zeros(4)),
    )
    with pytest.raises(NetworkError) as caught:
        network(layers=(broken,), timespan=float("nan"))
    text = str(caught.value)
    assert "layer_0.ff1.weight holds 2 NaN or infinite of 15 values" in text
    assert r"layer_0.ff2.bias has shape (4,), expected (3,)" in text
    assert "timespan is nan" in text


def test_refusals_of_sizes() -> None:
    with pytest.raises(NetworkError, match="it has no layers"):
        network(layers=())
    with pytest.raises(NetworkError, match="layer_1 takes 4 inputs but layer_0 has 3 units"):
        network(layers=(layer(), layer("layer_1", 4, 2)))
    with pytest.raises(NetworkError, match="readout takes 2 inputs but layer_0 has 3 units"):
        network(layers=(layer(),))
    with pytest.raises(NetworkError, match="layer names are not unique"):
        network(layers=(layer(), layer("layer_0", 3, 2)))
    with pytest.raises(NetworkError, match="the four weights differ in shape"):
        network(layers=(dataclasses.replace(layer(), ff2=linear("ff2", 3, 6, 0)),))
    square = {gate: linear(gate, 3, 3, 0) for gate in CfCLayer.gates}
    with pytest.raises(NetworkError, match="cannot hold at least one input"):
        network(layers=(CfCLayer("layer_0", *square.values()),))


def memory(inputs: int, units: int, seed: int = 30) -> Memory:
    return Memory(
        tuple(linear(g, units, inputs + units, seed + i) for i, g in enumerate(MEMORY_GATES))
    )


def wired(**changes: object) -> WiredMemory:
    values: dict[str, object] = {
        "name": "memory",
        "layers": (layer(), layer("layer_1", 3, 2, seed=10), layer("layer_2", 2, 4, seed=20)),
        "memory": memory(2, 9),
        **changes,
    }
    return WiredMemory(**values)  # type: ignore[arg-type]


class TestSharedMemory:
    def test_by_hand_between_other_layers(self) -> None:
        """LeCun's tanh before, whose factor goes into the weights; a layer and a readout after."""
        before = DenseLayer("before", linear("linear", 2, 3, 40), "lecun_tanh")
        after = layer("after", 4, 2, seed=50)
        net = network(layers=(before, wired(), after), timespan=0.6)
        assert net.units == 2 + 9 + 2 and net.input_size == 3 and net.output_size == 1
        x = np.random.default_rng(0).normal(size=(2, 5, 3))
        hidden, cell, last = np.zeros((2, 9)), np.zeros((2, 9)), np.zeros((2, 2))

        def step(own: CfCLayer, z: np.ndarray) -> np.ndarray:
            f1, f2 = np.tanh(own.ff1(z)), np.tanh(own.ff2(z))
            t = sigmoid(0.6 * own.time_a(z) + own.time_b(z))
            return f1 * (1 - t) + t * f2

        for t in range(5):
            u = LECUN_OUTPUT * np.tanh(LECUN_INPUT * before.linear(x[:, t]))
            g, i, f, o = (gate(np.hstack([u, hidden])) for gate in wired().memory.gates)
            cell = cell * sigmoid(f + 1.0) + np.tanh(g) * sigmoid(i)
            heard, states = np.tanh(cell) * sigmoid(o), []
            for own, part in zip(wired().layers, np.split(heard, [3, 5], axis=1), strict=True):
                u = step(own, np.hstack([u, part]))
                states.append(u)
            hidden = np.hstack(states)
            last = step(after, np.hstack([u, last]))
        result = net.evaluate(x)
        assert net.readout is not None
        np.testing.assert_allclose(result.outputs[:, -1], net.readout(last), rtol=0, atol=1e-12)
        final = result.final_state
        assert set(final) == {"memory", "layer_0", "layer_1", "layer_2", "after"}
        own = np.hstack([final[f"layer_{place}"] for place in range(3)])
        np.testing.assert_allclose(own, hidden, rtol=0, atol=1e-12)
        np.testing.assert_allclose(final["memory"], cell, rtol=0, atol=1e-12)

    def test_of_one_layer_is_the_layers_own(self) -> None:
        own = dataclasses.replace(layer(), memory=memory(2, 3))
        shared = wired(layers=(layer(),), memory=memory(2, 3))
        x = np.random.default_rng(0).normal(size=(2, 5, 2))
        expected = network(layers=(own,), readout=None).evaluate(x).outputs
        found = network(layers=(shared,), readout=None).evaluate(x).outputs
        np.testing.assert_array_equal(found, expected)

    def test_other_weights_come_back(self) -> None:
        """The gates of all stages, changed where there are synapses, and nowhere else."""
        net = network(layers=(wired(),), readout=linear("readout", 1, 4, 60))
        gates = {
            stage.name: {
                gate: Linear(gate, 2.0 * own.weight, own.bias - 1.0)
                for gate, own in stage.gates.items()
            }
            for stage in net.stages
        }
        changed = net.with_gates(gates)
        for before, after in zip(net.stages, changed.stages, strict=True):
            for gate, own in before.gates.items():
                np.testing.assert_allclose(after.gates[gate].weight, 2.0 * own.weight, rtol=1e-15)
                np.testing.assert_allclose(after.gates[gate].bias, own.bias - 1.0, atol=1e-15)
        for gates_of_stage in gates.values():
            for gate, own in gates_of_stage.items():
                gates_of_stage[gate] = Linear(gate, own.weight + (own.weight == 0.0), own.bias)
        assert net.with_gates(gates) == changed

    def test_what_contradicts_itself(self) -> None:
        with pytest.raises(NetworkError, match="memory: it has no layers; at least one is needed"):
            network(layers=(wired(layers=()),))
        backbone = dataclasses.replace(layer(), backbone=(linear("map", 5, 5, 0),))
        with pytest.raises(NetworkError, match="layer_0: has a backbone, which the memory memory"):
            network(layers=(wired(layers=(backbone,)),))
        own = dataclasses.replace(layer(), memory=memory(2, 3))
        with pytest.raises(NetworkError, match="layer_0: has a memory of its own, which"):
            network(layers=(wired(layers=(own,)),))
        with pytest.raises(NetworkError, match="layer_1 takes 4 inputs but layer_0 has 3 units"):
            network(layers=(wired(layers=(layer(), layer("layer_1", 4, 6))),))
        expected = r"memory.cell_input.weight has shape \(9, 12\), expected \(9, 11\)"
        with pytest.raises(NetworkError, match=expected):
            network(layers=(wired(memory=memory(3, 9)),))
        with pytest.raises(NetworkError, match="memory: has 3 gates, expected cell_input"):
            network(layers=(wired(memory=Memory(memory(2, 9).gates[:3])),))
        with pytest.raises(NetworkError, match="readout takes 2 inputs but memory has 4 units"):
            network(layers=(wired(),))
        for name in ("memory", "layer_1", "readout"):
            with pytest.raises(NetworkError, match="layer names are not unique"):
                network(layers=(wired(), layer(name, 4, 2)))


def test_a_network_is_frozen_and_compares_its_contents() -> None:
    net = network()
    assert net == network()
    assert net != network(timespan=2.0)
    assert net != network(layers=(layer(seed=1), layer("layer_1", 3, 2, seed=10)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        net.name = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        net.layers[0].maps[0].weight[0, 0] = 1.0  # type: ignore[union-attr]
    with pytest.raises(TypeError):
        net.source["file"] = "x"  # type: ignore[index]


def test_two_layers_that_unfold_are_refused() -> None:
    first = random_ltc(0, units=4).layers[0]
    second = dataclasses.replace(random_ltc(1, inputs=4).layers[0], name="second")
    with pytest.raises(NetworkError, match="ltc and second take 4 steps for each sample: the "):
        LiquidNetwork("two", (first, second))
