"""Converted modules that are put together by hand, without PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from networks import random_network

import lnn2loihi as l2l
from lnn2loihi.converted.parts import (
    BATCH,
    FEATURES,
    TIME,
    ChipPart,
    ChipPort,
    ConvertedModule,
    HostPart,
    ModuleInput,
    StatePort,
    ValueName,
)


class Computed:
    """A host function of NumPy.

    Args:
        function: takes arrays, answers one or several.
        model: the same as ONNX.
    """

    def __init__(self, function: Callable[..., Any], model: Callable[[], bytes] = bytes) -> None:
        self._function, self._model = function, model

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = self._function(*arrays)
        several = found if isinstance(found, tuple) else (found,)
        return [np.asarray(one, np.float32) for one in several]

    def onnx(self) -> bytes:
        return self._model()


def one_node(operator: str, given: str, answered: str, axes: int, **attributes: Any) -> bytes:
    """An ONNX model of one operator on one value, whose axes may have any size."""
    from onnx import TensorProto, helper

    def value(name: str) -> Any:
        sizes = [f"{name}_{axis}" for axis in range(axes)]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

    node = helper.make_node(operator, [given], [answered], **attributes)
    graph = helper.make_graph([node], "part", [value(given)], [value(answered)])
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def samples(seed: int, *shape: int) -> np.ndarray:
    """Normal float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sequence_port(value: str, *columns: int, at: int | None = None) -> ChipPort:
    """A value (batch, time, features), or without time where it is one step."""
    axes = (BATCH, FEATURES) if at is not None else (BATCH, TIME, FEATURES)
    return ChipPort(value, axes, columns, at)


def sandwich(example: np.ndarray | None = None) -> ConvertedModule:
    """Something on the host, a CfC, and the softmax of its last answer."""
    network = random_network(3, inputs=3, layers=(6,), outputs=2)
    x = samples(1, 4, 9, 3) if example is None else example

    def after(y: np.ndarray) -> np.ndarray:
        raised = np.exp(y - y.max(axis=-1, keepdims=True))
        return raised / raised.sum(axis=-1, keepdims=True)

    first = Computed(np.tanh, lambda: one_node("Tanh", "x", "scaled", 3))
    last = Computed(after, lambda: one_node("Softmax", "last", "y", 2, axis=-1))
    return ConvertedModule(
        name="Sandwich",
        inputs=(ModuleInput("x", (BATCH, TIME, None), x.shape, "float32"),),
        arguments=((ValueName("x"),), {}),
        parts=(
            HostPart("before", ("x",), ("scaled",), first, ("tanh",), ("why",), 0),
            ChipPart("chip", network, (sequence_port("scaled", 0, 1, 2),),
                     (sequence_port("last", 0, 1, at=-1),)),
            HostPart("after", ("last",), ("y",), last, ("softmax",), ("why",), 20),
        ),
        answer=ValueName("y"),
        example={"x": x},
        multiply_adds=500,
    )  # fmt: skip


def encoder_decoder() -> ConvertedModule:
    """A GRU whose last state is what another one begins with; both states are answered."""
    rng = np.random.default_rng(7)

    def gru(name: str) -> l2l.GRULayer:
        gates = []
        for gate in l2l.GRULayer.names:
            weight = rng.normal(0.0, 0.8, (4, 6))
            weight[:, 2:] *= gate != "candidate_input"
            weight[:, :2] *= gate != "candidate_recurrent"
            gates.append(l2l.Linear(gate, weight, rng.normal(0.0, 0.1, 4)))
        return l2l.GRULayer(name, tuple(gates))

    readout = l2l.Linear("readout", rng.normal(size=(1, 4)), np.zeros(1))
    encoder = l2l.LiquidNetwork("encoder", (gru("encoder"),))
    decoder = l2l.LiquidNetwork("decoder", (gru("decoder"),), readout)
    units = tuple(("decoder", unit) for unit in range(4))
    x, z = samples(2, 3, 8, 2), samples(3, 3, 5, 2)
    return ConvertedModule(
        name="Seq2Seq",
        inputs=(
            ModuleInput("x", (BATCH, TIME, None), x.shape, "float32"),
            ModuleInput("z", (BATCH, None, None), z.shape, "float32"),
        ),
        arguments=((ValueName("x"), ValueName("z")), {}),
        parts=(
            ChipPart(
                "encode", encoder, (sequence_port("x", 0, 1),), (),
                final=(StatePort("h", (1, 4), 1, tuple(("encoder", u) for u in range(4))),),
            ),
            ChipPart(
                "decode", decoder, (sequence_port("z", 0, 1),), (sequence_port("y", 0),),
                initial=(StatePort("h", (1, 4), 1, units),),
                final=(StatePort("state", (1, 4), 1, units),),
            ),
        ),
        answer=(ValueName("y"), {"h": ValueName("h"), "state": [ValueName("state"), None]}),
        example={"x": x, "z": z},
    )  # fmt: skip


def timed() -> ConvertedModule:
    """A CfC whose elapsed times come with the samples, (batch, time, 1), as a keyword."""
    network = random_network(5, inputs=3, layers=(6,), outputs=2)
    part = ChipPart(
        "chip", dataclasses.replace(network, timespan=None), (sequence_port("x", 0, 1, 2),),
        (sequence_port("y", 0, 1),), elapsed=ChipPort("dt", (BATCH, TIME, None), ()),
    )  # fmt: skip
    x, dt = samples(1, 4, 9, 3), np.abs(samples(2, 4, 9, 1)) + np.float32(0.2)
    return ConvertedModule(
        name="Timed",
        inputs=(
            ModuleInput("x", (BATCH, TIME, None), x.shape, "float32"),
            ModuleInput("dt", (BATCH, TIME, None), dt.shape, "float32"),
        ),
        arguments=((ValueName("x"),), {"dt": ValueName("dt")}),
        parts=(part,),
        answer=ValueName("y"),
        example={"x": x, "dt": dt},
    )
