"""How long the axes of a graph's inputs are taken to be, where the file leaves that open."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from lnn2loihi.converters.onnx_read.constants import held
from lnn2loihi.converters.onnx_read.moves import attributes_of
from lnn2loihi.converters.onnx_read.terms import NodeError

#: Most numbers of a graph's input, and most rows along its last axis.
LARGEST_INPUT, MOST_ROWS = 1 << 22, 1 << 15
#: Steps of a time axis without a length: enough to see a recurrence.
FEW_STEPS = 2
#: Most steps that an unrolled graph is taken to have where its axis has no length.
_MOST_STEPS = 1 << 12
#: Names that exporters and people give to an axis of time.
_TIME = re.compile("time|seq|step|len|^[tl]$", re.IGNORECASE)


def input_shapes(entries: list[Any], steps: int) -> list[tuple[int, ...]]:
    """Shapes of the graph's inputs: a batch without a length is 1, a time has so many steps.

    Axes of one name are equally long. What is not named is a time where it is the second axis of
    the samples, or the last one of anything else (elapsed times: states end with their units).

    Raises:
        NodeError: an input is too large.
    """
    lengths: dict[str, int] = {}
    return [_shape(entry, number == 0, steps, lengths) for number, entry in enumerate(entries)]


def _shape(entry: Any, samples: bool, steps: int, lengths: dict[str, int]) -> tuple[int, ...]:
    axes = list(entry.type.tensor_type.shape.dim)
    time = _time_axis(axes, samples)
    shape: list[int] = []
    for place, axis in enumerate(axes):
        length = axis.dim_value
        if length <= 0:
            length = lengths.get(axis.dim_param, steps if place == time else 1)
        if axis.dim_value <= 0 and axis.dim_param:
            lengths[axis.dim_param] = length
        shape.append(length)
    numbers = float(np.prod(shape, dtype=np.float64))
    rows = float(np.prod(shape[:-1], dtype=np.float64))
    if numbers > LARGEST_INPUT or rows > MOST_ROWS:
        raise NodeError(
            f"input {entry.name!r:.80} has shape {tuple(shape)}; the limits are {LARGEST_INPUT:,} "
            f"numbers and {MOST_ROWS:,} rows: export fewer steps"
        )
    return tuple(shape)


def _time_axis(axes: list[Any], samples: bool) -> int | None:
    """The axis of time, if its length is open."""
    is_open = [place for place, axis in enumerate(axes) if axis.dim_value <= 0]
    named = [place for place in is_open if _TIME.search(axes[place].dim_param)]
    if named:
        return named[0]
    likely = 1 if samples else len(axes) - 1
    return likely if likely in is_open else None


def unrolled_steps(graph: Any) -> int:
    """How many steps a graph seems to be unrolled over: it takes samples by their numbers, up to
    the last one; 0 where it takes none.

    Raises:
        NodeError: a number cannot be read.
    """
    numbers = {entry.name: entry for entry in graph.initializer if _is_number(entry)}
    for node in graph.node:
        if node.op_type == "Constant":
            value = attributes_of(node).get("value")
            if _is_number(value):
                numbers |= dict.fromkeys(node.output, value)
    names = {entry.name for entry in graph.input} - {entry.name for entry in graph.initializer}
    taken: list[int] = []
    for node in graph.node:
        if node.op_type == "Gather" and len(node.input) == 2:
            value = numbers.get(node.input[1])
            if node.input[0] in names and value is not None:
                taken += [int(number) for number in held(value).ravel()]
    return min(max(taken, default=-1) + 1, _MOST_STEPS)


def _is_number(tensor: Any) -> bool:
    from onnx import TensorProto

    return (
        isinstance(tensor, TensorProto)
        and tensor.data_type == TensorProto.INT64
        and list(tensor.dims) in ([], [1])
    )
