"""Runs exported models, and looks into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip(
    "onnx", "1.22", reason="onnx 1.22, whose evaluator is right, is not there"
)
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def run(
    model: Any, feed: Mapping[str, Any], optimised: bool = True, threads: int = 1
) -> dict[str, Any]:
    """All outputs of a model under onnxruntime; inputs are cast, states that are absent are 0.

    With the axes (batch, time, ...); for models with the time first every state has to be given.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    types = {"tensor(int32)": np.int32, "tensor(float)": np.float32, "tensor(double)": np.float64}
    full: dict[str, Any] = {}
    for value in session.get_inputs():
        given = feed.get(value.name)
        if given is None:
            given = np.zeros((len(feed["x"]), value.shape[1]))
        full[value.name] = np.asarray(given, types[value.type])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, full), strict=True))


def nodes(model: Any) -> Iterator[Any]:
    """All nodes, those in bodies of loops and in functions too."""
    for graph in (model.graph, *model.functions):
        yield from _nodes(graph)


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)


def tensors(model: Any) -> Iterator[Any]:
    """All constants, wherever they are."""
    yield from model.graph.initializer
    for node in nodes(model):
        for attribute in node.attribute:
            yield from attribute.g.initializer
            if attribute.HasField("t"):
                yield attribute.t


def loop(model: Any) -> Any:
    """The body of the one Scan."""
    (scan,) = [node for node in nodes(model) if node.op_type == "Scan"]
    return next(attribute.g for attribute in scan.attribute if attribute.name == "body")


def metadata(model: Any) -> dict[str, str]:
    """What lnn2loihi wrote beside the graph."""
    return {entry.key.removeprefix("lnn2loihi."): entry.value for entry in model.metadata_props}


def state_feed(start: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """States of a program as inputs of its model."""
    return {f"{p}.{word}": values for p, words in start.items() for word, values in words.items()}
