"""What an ONNX graph computes of constants alone, within the bounds of what the file holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lnn2loihi.converters.onnx_read.moves import MOVES, attributes_of
from lnn2loihi.converters.onnx_read.terms import NodeError

#: Operations that may make a result larger than what goes in, and that no exporter needs.
_GROWING = ("Tile", "Pad", "Resize", "OneHot", "EyeLike")
#: Operations whose result is another view of what goes in.
_VIEWS = ("Reshape", "Transpose", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Identity")
#: Operations element by element, whose result may be as large as the product of the shapes.
_BROADCASTING = ("Add", "Sub", "Mul", "Div", "Where", "Pow", "BitShift", "BitwiseAnd", "Max", "Min")
#: Constants that a graph may make, in multiples of what it holds, and at least this many.
_GROWTH, _LEAST_GROWTH = 4, 1 << 22


class Constants:
    """Computes the constants of a graph, and counts them.

    Args:
        model: the ONNX model, whose tensors hold what they claim.
    """

    def __init__(self, model: Any) -> None:
        self._opsets = {entry.domain: entry.version for entry in model.opset_import}
        self._made = 0
        self._allowed = max(_LEAST_GROWTH, _GROWTH * _numbers(model.graph))

    def computed(self, node: Any, given: Sequence[Any]) -> list[np.ndarray]:
        """The results of a node whose inputs are all constant, by onnx's own evaluator.

        Raises:
            NodeError: it cannot be computed, or would make far more than the file holds.
        """
        from onnx.reference import ReferenceEvaluator

        arrays = [value for value in given if isinstance(value, np.ndarray)]
        if node.op_type in _GROWING:
            raise NodeError(f"{node_name(node)}: no constant of a liquid network is made so")
        self.spend(node, _size(node, arrays))
        try:
            if node.op_type in MOVES:  # the evaluator does not know all of them in old files
                value, *others = given
                made = MOVES[node.op_type](value, others, attributes_of(node), len(node.output))
                return list(made) if isinstance(made, list) else [np.asarray(made)]
            evaluator = ReferenceEvaluator(node, opsets=self._opsets)
            names = [name for name in node.input if name]
            feed = dict(zip(names, arrays, strict=True))
            with np.errstate(all="ignore"):
                return [np.asarray(made) for made in evaluator.run(None, feed)]
        except Exception as error:  # whatever an operation makes of a hostile attribute
            raise NodeError(f"{node_name(node)}: cannot be computed ({error!s:.160})") from error

    def spend(self, node: Any, elements: float) -> None:
        """Counts numbers that a node is about to make.

        Raises:
            NodeError: they are too many.
        """
        if not 0 <= elements <= self._allowed - self._made:
            raise NodeError(
                f"{node_name(node)}: its constants would take {self._made + elements:,.0f} "
                "numbers, many times what the file holds"
            )
        self._made += int(elements)


def node_name(node: Any) -> str:
    """How a node is named in messages."""
    label = node.name or (node.output[0] if node.output else "")
    return f"node {label!r:.80} ({node.op_type})"


def held(tensor: Any) -> np.ndarray:
    """The numbers of a tensor of a graph.

    Raises:
        NodeError: it cannot be read.
    """
    from onnx import numpy_helper

    try:
        return numpy_helper.to_array(tensor)
    except Exception as error:  # whatever a hostile tensor makes of it
        raise NodeError(
            f"tensor {tensor.name!r:.80} cannot be read ({error!s:.120}); the file is damaged"
        ) from error


def _numbers(graph: Any) -> int:
    """How many numbers the tensors of a graph and of the bodies of its loops have."""
    bodies = [entry.g for node in graph.node for entry in node.attribute if entry.HasField("g")]
    return sum(math.prod(tensor.dims) for tensor in graph.initializer) + sum(
        _numbers(body) for body in bodies
    )


def _size(node: Any, arrays: Sequence[np.ndarray]) -> float:
    """How many numbers a node makes of constants, in floating point, which has no overflow."""
    shape: Sequence[float] | None = None
    if node.op_type in _VIEWS:
        return 0.0
    if node.op_type == "ConstantOfShape":
        shape = np.ravel(arrays[0]).tolist()
    elif node.op_type == "Expand":
        shape = np.ravel(arrays[1]).tolist()
    elif node.op_type == "Range":
        start, limit, step = (float(array) for array in arrays)
        return math.inf if step == 0.0 else max(0.0, (limit - start) / step)
    elif node.op_type == "Gather":
        axis = attributes_of(node).get("axis", 0)
        length = arrays[0].shape[axis]
        return float(arrays[1].size) * arrays[0].size / max(length, 1)
    elif node.op_type in ("MatMul", "Gemm"):
        shape = np.matmul(*_shapes_only(arrays[:2])).shape
    elif len(arrays) > 1 and node.op_type in _BROADCASTING:
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
    if shape is None:
        return float(sum(array.size for array in arrays))
    return float(np.prod([float(length) for length in shape]))


def _shapes_only(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Arrays of the same shapes that take no memory."""
    return [np.broadcast_to(np.zeros(1, np.int8), array.shape)[..., :, :1] if number == 0 else
            np.broadcast_to(np.zeros(1, np.int8), array.shape)[..., :1, :]
            for number, array in enumerate(arrays)]  # fmt: skip
