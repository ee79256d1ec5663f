"""A CfC network in onnxruntime, in float32: the fastest float form that we know of.

Masks and the timespan are folded into the weights, and each layer takes one matrix product a
step for its three gates. The time loop is an ONNX Scan, whose body holds the weights, so that
onnxruntime packs them once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from lnn2loihi.network import CfCLayer, LiquidNetwork

OPSET = 21
IR_VERSION = 10
FLOAT = TensorProto.FLOAT


def _layer_nodes(layer: CfCLayer, timespan: float, source: str) -> tuple[list[Any], list[Any]]:
    """Nodes and weights of one layer; the new state is `<name>_new`."""
    name, units = layer.name, layer.units
    gates = (layer.ff1, layer.ff2, layer.folded_gate(timespan))
    weight = np.ascontiguousarray(np.concatenate([g.weight for g in gates]).T, np.float32)
    bias = np.concatenate([g.bias for g in gates]).astype(np.float32)
    weights = [
        numpy_helper.from_array(weight, f"{name}_w"),
        numpy_helper.from_array(bias, f"{name}_b"),
        numpy_helper.from_array(np.array([2 * units, units], np.int64), f"{name}_sizes"),
    ]

    def node(operation: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
        full = [i if i == source else f"{name}_{i}" for i in inputs]
        return helper.make_node(operation, full, [f"{name}_{o}" for o in outputs], **attributes)

    nodes = [
        node("Concat", [source, "old"], ["z"], axis=1),
        node("Gemm", ["z", "w", "b"], ["sums"]),
        node("Split", ["sums", "sizes"], ["pair", "time"], axis=1),
        node("Tanh", ["pair"], ["tanh"]),
        node("Sigmoid", ["time"], ["gate"]),
        node("Split", ["tanh"], ["f1", "f2"], axis=1, num_outputs=2),
        node("Sub", ["f2", "f1"], ["difference"]),
        node("Mul", ["difference", "gate"], ["moved"]),
        node("Add", ["f1", "moved"], ["new"]),
    ]
    return nodes, weights


def scan_model(network: LiquidNetwork) -> Any:
    """An ONNX model: x (time, batch, inputs) and `<layer>_start` give y (time, batch, outputs).

    Raises:
        ValueError: the network has a readout, irregular time, or other layers.
    """
    if network.readout is not None or network.timespan is None:
        raise ValueError("a readout and irregular time are not built here")
    nodes, weights, source = [], [], "x"
    for layer in network.layers:
        if not isinstance(layer, CfCLayer) or layer.backbone or layer.memory:
            raise ValueError(f"{layer.name}: only plain CfC layers are built here")
        more_nodes, more_weights = _layer_nodes(layer, network.timespan, source)
        nodes += more_nodes
        weights += more_weights
        source = f"{layer.name}_new"
    nodes.append(helper.make_node("Identity", [source], ["y"]))

    def value(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, FLOAT, list(shape))

    states = [(layer.name, layer.units) for layer in network.layers]
    inputs, outputs = network.input_size, network.output_size
    body = helper.make_graph(
        nodes,
        "step",
        [*(value(f"{n}_old", "batch", u) for n, u in states), value("x", "batch", inputs)],
        [*(value(f"{n}_new", "batch", u) for n, u in states), value("y", "batch", outputs)],
        weights,
    )
    starts = [f"{name}_start" for name, _ in states]
    scan = helper.make_node(
        "Scan", [*starts, "x"], [*(f"{name}_end" for name, _ in states), "y"],
        num_scan_inputs=1, body=body,
    )  # fmt: skip
    graph = helper.make_graph(
        [scan],
        "network",
        [
            *(value(f"{name}_start", "batch", units) for name, units in states),
            value("x", "time", "batch", inputs),
        ],
        [value("y", "time", "batch", outputs)],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )


class OnnxFloat:
    """A network in onnxruntime on one thread."""

    def __init__(self, network: LiquidNetwork) -> None:
        model = scan_model(network)
        onnx.checker.check_model(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._units = {layer.name: layer.units for layer in network.layers}

    def prepare(self, x: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float32]]:
        """Inputs for `run` from (batch, time, inputs)."""
        feed = {
            f"{name}_start": np.zeros((x.shape[0], units), np.float32)
            for name, units in self._units.items()
        }
        feed["x"] = np.ascontiguousarray(x.swapaxes(0, 1), np.float32)
        return feed

    def run(self, feed: dict[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Outputs (time, batch, outputs)."""
        return np.asarray(self._session.run(["y"], feed)[0])
