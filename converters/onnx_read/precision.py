"""Files in half precision: read in float32, in which their numbers are exact.

Networks are exported in float16 (`module.half()`, onnxconverter-common) or bfloat16. Each of their
numbers is one of float32, so the graph with every type widened computes the same function without
the rounding between its nodes; that one is read and compared closely. The file itself is compared
too, as closely as its precision allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

#: How closely a file in float32 has to answer as the network does, relative to the largest answer.
TOLERANCE = 1e-5
#: The same in half precision, in multiples of its rounding: the sums of some dozen products of
#: rounded numbers, in several layers and steps.
_ROUNDINGS = 32


@dataclass(frozen=True)
class Precision:
    """The coarsest format of numbers in a file.

    Attributes:
        name: as in "float16".
        epsilon: distance from 1 to the next larger number.
    """

    name: str = "float32"
    epsilon: float = 2.0**-23

    @property
    def half(self) -> bool:
        """Whether it is coarser than float32."""
        return self.epsilon > 2.0**-23

    @property
    def close(self) -> float:
        """Relative difference up to which two constants are taken as the same."""
        return max(TOLERANCE, 2.0 * self.epsilon)

    @property
    def tolerance(self) -> float:
        """Largest difference of the file's answers, relative to the largest."""
        return _ROUNDINGS * self.epsilon if self.half else TOLERANCE

    @property
    def widened_tolerance(self) -> float:
        """The same for the file in float32, where only constants such as LeCun's 1.7159 or the root
        of 2 are those of its format.
        """
        return max(TOLERANCE, self.epsilon)


HALVES = (Precision("bfloat16", 2.0**-7), Precision("float16", 2.0**-10))


def widened(model: Any) -> tuple[Any, Precision]:
    """The model with all half precision as float32, and the coarsest precision it had.

    A model without any is returned as it is.

    Raises:
        NodeError: a tensor cannot be read.
    """
    from onnx import ModelProto, TensorProto, numpy_helper

    from lnn2loihi.converters.onnx_read.constants import held

    kinds = {getattr(TensorProto, half.name.upper()): half for half in HALVES}
    found: set[Precision] = set()
    made = ModelProto()
    made.CopyFrom(model)

    def note(kind: int) -> bool:
        if kind in kinds:
            found.add(kinds[kind])
        return kind in kinds

    for tensor in _tensors(made.graph):
        if note(tensor.data_type):
            name, values = tensor.name, held(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, name))
    for graph in _graphs(made.graph):
        for entry in (*graph.input, *graph.output, *graph.value_info):
            if note(entry.type.tensor_type.elem_type):
                entry.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "dtype") and note(attribute.i):
                    attribute.i = TensorProto.FLOAT
    return (made, max(found, key=lambda half: half.epsilon)) if found else (model, Precision())


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and the bodies of its loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _tensors(graph: Any) -> Iterator[Any]:
    for each in _graphs(graph):
        yield from each.initializer
        for node in each.node:
            yield from (entry.t for entry in node.attribute if entry.HasField("t"))
