"""What evaluation keeps of stages, and what it computes again: the answers of an LTC's synapses."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from test_network import network as cfc_network

import lnn2loihi as l2l
from lnn2loihi.evaluation import evaluate_stages
from lnn2loihi.families.lstm.memory import MEMORY_GATES, Memory
from lnn2loihi.families.ltc.layer import CONDUCTANCE, CURRENT, LTCLayer
from lnn2loihi.families.ltc.synapses import SynapseStage
from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.layers.linear import Linear
from lnn2loihi.quantization import calibration
from lnn2loihi.quantization import moments as moments_module
from lnn2loihi.quantization.moments import DenseMoments

INPUTS, UNITS, UNFOLDS = 3, 6, 3


def ltc_network(irregular: bool = False, mixed: bool = False, units: int = UNITS) -> (
    l2l.LiquidNetwork
):  # fmt: skip
    rng = np.random.default_rng(5)
    shape = units, INPUTS + units
    wiring = rng.random(shape) < 0.7
    weight = rng.uniform(0.01, 1.0, shape) * wiring
    gates = {g: Linear(g, rng.normal(size=shape), rng.normal(size=units)) for g in MEMORY_GATES}
    layer = LTCLayer(
        "ltc", rng.normal(0.0, 4.0, shape) * wiring, rng.normal(size=shape) * wiring,
        Linear(CONDUCTANCE, weight, rng.uniform(0.1, 1.0, units)),
        Linear(CURRENT, weight * rng.choice([-1.0, 1.0], shape), rng.normal(0.0, 0.1, units)),
        rng.uniform(0.4, 0.6, units), wiring,
        unfolds=UNFOLDS, memory=Memory(tuple(gates.values())) if mixed else None,
    )  # fmt: skip
    return l2l.LiquidNetwork("net", (layer,), timespan=None if irregular else 1.0)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("irregular", [False, True])
def test_synapses_answer_as_when_they_were_heard(irregular: bool, mixed: bool) -> None:
    """Step by step, with what stands in the result; the first unfold may hear a memory."""
    net = ltc_network(irregular, mixed)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 5, INPUTS))
    elapsed = rng.uniform(0.5, 2.0, (4, 5)) if irregular else None
    before = rng.normal(size=(4, UNITS))
    inputs, times = net.held(x, elapsed)
    result = evaluate_stages(net.stages, inputs, times, {"ltc": before}, net.substeps)
    (stage,) = (s for s in net.stages if isinstance(s, SynapseStage))
    column = stage.gates["source"].weight.argmax(axis=1)
    expected = np.empty((4, 5 * UNFOLDS, stage.units))
    for t in range(5 * UNFOLDS):
        v = result.states["ltc"][:, t - 1] if t else before
        if mixed and t % UNFOLDS == 0:
            v = result.states["ltc.memory"][:, t]
        z = np.concatenate([inputs[:, t], v], axis=1)
        expected[:, t] = sigmoid(stage.slope * z[:, column] + stage.offset)
    np.testing.assert_array_equal(result.states[stage.name], expected)
    assert list(result.states) == [s.name for s in net.stages]
    assert len(result.states) == len(net.stages)
    last = net.evaluate(x, {"ltc": before}, timespans=elapsed).states[stage.name]
    np.testing.assert_array_equal(last, expected[:, UNFOLDS - 1 :: UNFOLDS])
    some = result.sequences(slice(1, 3))
    np.testing.assert_array_equal(some.states[stage.name], expected[1:3])
    np.testing.assert_array_equal(some.outputs, result.outputs[1:3])


def test_evaluation_does_not_keep_the_answers_of_synapses() -> None:
    net = ltc_network(units=24)
    x = np.zeros((16, 32, INPUTS))
    tracemalloc.start()
    try:
        net.evaluate(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (synapses,) = (s.units for s in net.stages if s.selects)
    assert peak < 8 * x.shape[0] * x.shape[1] * UNFOLDS * synapses / 2


@pytest.mark.parametrize("net", [cfc_network(), ltc_network(), ltc_network(mixed=True)])
def test_calibration_in_parts_is_calibration_as_a_whole(
    net: l2l.LiquidNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(2).normal(size=(7, 6, net.input_size))
    whole, program = calibration.run_calibration(net, x), l2l.quantize(net, x)
    monkeypatch.setattr(moments_module, "DENSE_PART", 1000)
    parts = calibration.run_calibration(net, x)
    for name, moments in whole.moments.items():
        summed = parts.moments[name]
        assert isinstance(moments, DenseMoments) and isinstance(summed, DenseMoments)
        # The order of a float summation is another one.
        np.testing.assert_allclose(summed.matrix, moments.matrix, rtol=0, atol=1e-12)
    again = l2l.quantize(net, x)
    assert again.connections == program.connections
    assert again.populations == program.populations
