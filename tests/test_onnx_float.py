"""Exported networks answer what `LiquidNetwork.evaluate` answers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_models as models
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_network
from onnx_models import onnx
from variants import GATED, Variant, network, samples, variants

import lnn2loihi as l2l
from lnn2loihi.converters.onnx_write.float_trace import Traced
from lnn2loihi.errors import InputError
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.dense.layer import DenseLayer, DenseStage
from lnn2loihi.family import FAMILIES, Family
from lnn2loihi.layers.linear import Linear
from lnn2loihi.layers.stage import StageSource
from lnn2loihi.lowering import StageLowering
from lnn2loihi.network import LiquidNetwork

#: Largest error, relative to the largest answer where that is above 1.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
KINDS = {
    "plain": Variant(layers=2),
    "no gate": Variant(mode="no_gate", irregular=True),
    "pure": Variant(mode="pure", irregular=True, backbone=(4,)),
    "backbone": Variant(backbone=(7, 6), activation="silu", irregular=True, layers=2),
    "memory": Variant(memory=True, irregular=True, before="tanh", after="sigmoid", readout=False),
    "shared memory": Variant(shared_memory=True, layers=3, units=3),
    "gelu": Variant(before="gelu", after="relu", backbone=(5,), activation="gelu"),
    **{family: Variant(family=family, layers=2, irregular=True) for family in GATED},
    "mixed": Variant(family="lstm", mixed=True, after="tanh"),
}


def start(model: Any, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A random state for every state among the model's inputs."""
    rng = np.random.default_rng(seed)
    return {
        value.name: rng.normal(0, 0.5, (batch, value.type.tensor_type.shape.dim[1].dim_value))
        for value in model.graph.input
        if value.name not in ("x", "timespans")
    }


def assert_equal(
    net: LiquidNetwork, x: np.ndarray, elapsed: Any, dtype: str, time_first: bool = False
) -> None:
    """All outputs and all final states, from a random initial state."""
    model = l2l.export(net, "onnx-float", dtype=dtype, time_first=time_first)
    state = start(model, len(x))
    truth = net.evaluate(x, state, timespans=elapsed)
    turned = (lambda a: a.swapaxes(0, 1)) if time_first else (lambda a: a)
    feed = {"x": turned(x), **state}
    if elapsed is not None:
        feed["timespans"] = turned(elapsed)
    found = models.run(model, feed)
    expected = {"y": turned(truth.outputs)}
    expected |= {f"{name}.final": values for name, values in truth.final_state.items()}
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == np.dtype(dtype) and found[name].shape == values.shape
        error = np.abs(found[name] - values) / max(1.0, float(np.abs(values).max()))
        assert error.max() < TOLERANCE[dtype], (name, error.max())


class TestAnswers:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("variant", KINDS.values(), ids=KINDS.keys())
    def test_of_every_kind(self, variant: Variant, dtype: str) -> None:
        x, elapsed = samples(variant, 4, 12, seed=1)
        assert_equal(network(variant), x, elapsed, dtype)

    @settings(max_examples=20)
    @given(
        variant=variants(),
        batch=st.integers(1, 5),
        time=st.integers(1, 7),
        dtype=st.sampled_from(["float32", "float64"]),
        time_first=st.booleans(),
    )
    def test_of_random_networks(
        self, variant: Variant, batch: int, time: int, dtype: str, time_first: bool
    ) -> None:
        x, elapsed = samples(variant, batch, time, seed=2)
        assert_equal(network(variant), x, elapsed, dtype, time_first)

    @pytest.mark.parametrize("irregular", [False, True])
    @pytest.mark.parametrize("unfolds", [1, 6])
    def test_of_an_ltc(self, irregular: bool, unfolds: int) -> None:
        rng = np.random.default_rng(1)
        x = rng.normal(size=(4, 9, 3))
        elapsed = rng.uniform(0, 2, (4, 9)) if irregular else None
        net = random_ltc(0, unfolds=unfolds, timespan=None if irregular else 0.7)
        for dtype in TOLERANCE:
            assert_equal(net, x, elapsed, dtype)

    def test_of_normalised_inputs(self) -> None:
        net = dataclasses.replace(
            network(KINDS["plain"]), input_offset=[1.0, -2.0, 0.0], input_scale=[3.0, 0.1, 1.0]
        )
        x, _ = samples(KINDS["plain"], 3, 5)
        assert_equal(net, x, None, "float64")

    def test_of_large_sums(self) -> None:
        """Nothing overflows, in no activation."""
        for kind in ("gelu", "minlstm", "pure", "memory"):
            x, elapsed = samples(KINDS[kind], 2, 4)
            assert_equal(network(KINDS[kind]), 1e4 * x, elapsed, "float64")

    def test_go_on_where_they_ended(self) -> None:
        net, (x, elapsed) = network(KINDS["memory"]), samples(KINDS["memory"], 3, 8)
        model = l2l.export(net, "onnx-float")
        whole = models.run(model, {"x": x, "timespans": elapsed})
        state: dict[str, Any] = {}
        answers = []
        for t in range(x.shape[1]):
            feed = {"x": x[:, t : t + 1], "timespans": elapsed[:, t : t + 1], **state}
            found = models.run(model, feed)
            answers.append(found.pop("y"))
            state = {name.removesuffix(".final"): value for name, value in found.items()}
        assert np.abs(np.concatenate(answers, axis=1) - whole["y"]).max() < 1e-6


class TestFile:
    @pytest.mark.parametrize("variant", KINDS.values(), ids=KINDS.keys())
    def test_holds_standard_operators_and_one_scan(self, variant: Variant) -> None:
        model = l2l.export(network(variant), "onnx-float")
        onnx.checker.check_model(model, full_check=True)
        assert model.ir_version == 10 and not model.functions
        assert not any(node.domain for node in models.nodes(model))
        assert models.loop(model).node
        assert all(t.data_type != onnx.TensorProto.DOUBLE for t in models.tensors(model))

    def test_a_layer_is_one_product_one_tanh_and_a_mean(self) -> None:
        body = models.loop(l2l.export(network(Variant()), "onnx-float"))
        assert [node.op_type for node in body.node] == [
            "Concat", "Gemm", "Tanh", "Split", "Add", "Sub", "Mul", "Mean", "Identity"
        ]  # fmt: skip

    def test_the_logistic_function_is_one_operator(self) -> None:
        body = models.loop(l2l.export(network(Variant(memory=True)), "onnx-float"))
        operations = [node.op_type for node in body.node]
        assert operations.count("Sigmoid") == 3

    def test_what_needs_no_loop_stands_outside_of_it(self) -> None:
        """A minGRU's gates hear the inputs alone; the readout hears all steps at once."""
        model = l2l.export(network(Variant(family="mingru linear")), "onnx-float")
        inside = [node.op_type for node in models.loop(model).node]
        assert inside == ["Sub", "Mul", "Add", "Identity"]
        outside = [node.op_type for node in model.graph.node]
        assert outside.count("Gemm") == 2 and outside.count("Sigmoid") == 1

    def test_without_a_state_there_is_no_loop(self) -> None:
        linear = Linear("linear", np.eye(3), np.ones(3))
        net = LiquidNetwork("dense", (DenseLayer("one", linear, "silu"),), linear)
        model = l2l.export(net, "onnx-float")
        assert "Scan" not in {node.op_type for node in models.nodes(model)}
        assert_equal(net, np.random.default_rng(0).normal(size=(2, 3, 3)), None, "float64")

    def test_masks_are_folded_and_large_sparse_weights_take_little_room(self) -> None:
        dense = random_network(0, inputs=8, layers=(150,))
        (layer,) = dense.layers
        assert isinstance(layer, CfCLayer)
        wiring = np.random.default_rng(0).random((150, 158)) < 0.2  # shared by the gates: an NCP
        gates = {g.name: Linear(g.name, g.weight * wiring, g.bias) for g in layer.maps}
        net = dataclasses.replace(dense, layers=(dataclasses.replace(layer, **gates),))
        model = l2l.export(net, "onnx-float")
        assert model.ByteSize() < 1.3 * 4 * net.synapses
        x = np.random.default_rng(0).normal(size=(2, 5, 8))
        for dtype in TOLERANCE:
            assert_equal(net, x, None, dtype)

    def test_metadata(self) -> None:
        net = dataclasses.replace(network(Variant()), source={"file": "x"}, host=("softmax",))
        said = models.metadata(l2l.export(net, "onnx-float"))
        assert json.loads(said["source"]) == {"file": "x"}
        assert json.loads(said["host"]) == ["softmax"]
        assert json.loads(said["timespan"]) == net.timespan


class Oscillating(DenseStage):
    """A stage with a function of NumPy that nobody has translated."""

    def answer(self, sums: Any, state: Any, elapsed: Any) -> tuple[Any, dict[str, Any]]:
        """Cosine of the sum."""
        (x,) = sums.values()
        return np.cos(x), {}


@dataclasses.dataclass(frozen=True, eq=False)
class OscillatingLayer(DenseLayer):
    """Its layer."""

    def stages(self, before: StageSource, timespan: Any, scale: float) -> Any:
        """See `CfCLayer.stages`."""
        return (Oscillating(self.name, (before,), {"linear": self.linear}),), 1.0


def oscillating() -> LiquidNetwork:
    layer = OscillatingLayer("odd", Linear("linear", np.eye(3), np.zeros(3)), "identity")
    return LiquidNetwork("odd", (layer,), Linear("readout", np.eye(3), np.zeros(3)))


class TestStagesOfOthers:
    def test_what_has_no_translation_is_named(self) -> None:
        with pytest.raises(InputError, match=r"computes with cos, which has no .* tanh"):
            l2l.export(oscillating(), "onnx-float")

    def test_a_translation_can_be_registered(self) -> None:
        def translate(stage: Oscillating, z: Traced, memory: Mapping[str, Traced], _: Any) -> Any:
            return z.apply("Cos"), {}

        class Lowered(StageLowering[Oscillating]):
            def lower(self, stage: Any, measured: Any, recipe: Any) -> Any:
                raise AssertionError

        # A family has translations for its own stages alone.
        own = Family(
            "waves", (), {Oscillating: Lowered()}, onnx_nodes=lambda: {Oscillating: translate}
        )
        FAMILIES.add("waves", own)
        try:
            assert_equal(oscillating(), np.ones((2, 3, 3)), None, "float32")
        finally:
            FAMILIES.remove("waves")


class TestRefusals:
    def test_unknown_types(self) -> None:
        with pytest.raises(InputError, match="'int32' is not one of float32, float64"):
            l2l.export(network(Variant()), "onnx-float", dtype="int32")

    def test_a_layer_that_is_called_like_the_samples(self) -> None:
        net = network(Variant())
        layer = dataclasses.replace(net.layers[0], name="x")
        with pytest.raises(InputError, match="two inputs or outputs would be called x"):
            l2l.export(dataclasses.replace(net, layers=(layer,)), "onnx-float")
