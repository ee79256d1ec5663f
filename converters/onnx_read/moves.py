"""Operations of ONNX that only move numbers about, on arrays of identities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lnn2loihi.converters.onnx_read.terms import Identities

#: From the array, the other inputs, the attributes and the number of results: one array, or a list.
Move = Callable[[Identities, Sequence[Any], Mapping[str, Any], int], Any]


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node by name."""
    from onnx import helper

    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def _same(value: Identities, _: Sequence[Any], __: Mapping[str, Any], ___: int) -> Identities:
    return value


def _transpose(
    value: Identities, _: Sequence[Any], options: Mapping[str, Any], __: int
) -> Identities:
    return np.transpose(value, options.get("perm"))


def _reshape(
    value: Identities, others: Sequence[Any], options: Mapping[str, Any], _: int
) -> Identities:
    shape = [int(length) for length in others[0]]
    if not options.get("allowzero"):
        shape = [value.shape[i] if length == 0 else length for i, length in enumerate(shape)]
    return value.reshape(shape)


def _axes(others: Sequence[Any], options: Mapping[str, Any]) -> tuple[int, ...] | None:
    axes = options.get("axes", others[0] if others else None)
    return None if axes is None else tuple(int(axis) for axis in np.ravel(axes))


def _squeeze(
    value: Identities, others: Sequence[Any], options: Mapping[str, Any], _: int
) -> Identities:
    return np.squeeze(value, _axes(others, options))


def _unsqueeze(
    value: Identities, others: Sequence[Any], options: Mapping[str, Any], _: int
) -> Identities:
    axes = _axes(others, options)
    if axes is None:
        raise ValueError("no axes")
    return np.expand_dims(value, axes)


def _flatten(
    value: Identities, _: Sequence[Any], options: Mapping[str, Any], __: int
) -> Identities:
    axis = options.get("axis", 1)
    return value.reshape(int(np.prod(value.shape[:axis])), -1)


def _gather(
    value: Identities, others: Sequence[Any], options: Mapping[str, Any], _: int
) -> Identities:
    return np.take(value, others[0].astype(np.int64), axis=options.get("axis", 0))


def _split(
    value: Identities, others: Sequence[Any], options: Mapping[str, Any], results: int
) -> list[Identities]:
    axis = options.get("axis", 0)
    sizes = options.get("split", others[0] if others else None)
    if sizes is None:
        return np.array_split(value, results, axis)
    return np.split(value, np.cumsum(sizes)[:-1].astype(int), axis)


def _slice(
    value: Identities, others: Sequence[Any], options: Mapping[str, Any], _: int
) -> Identities:
    if not others:  # before opset 10
        others = [options["starts"], options["ends"], options.get("axes")]
    starts, ends = (np.ravel(part).tolist() for part in others[:2])
    axes = np.ravel(others[2]).tolist() if len(others) > 2 and others[2] is not None else None
    steps = np.ravel(others[3]).tolist() if len(others) > 3 else [1] * len(starts)
    places: list[Any] = [slice(None)] * value.ndim
    for axis, start, end, step in zip(axes or range(len(starts)), starts, ends, steps, strict=True):
        places[axis] = slice(start, None if end > value.shape[axis] else end, step)
    return value[tuple(places)]


def _expand(value: Identities, others: Sequence[Any], _: Mapping[str, Any], __: int) -> Identities:
    shape = np.broadcast_shapes(value.shape, tuple(int(length) for length in others[0]))
    return np.broadcast_to(value, shape).copy()


MOVES: Mapping[str, Move] = {
    "Identity": _same, "Dropout": _same, "Transpose": _transpose,
    "Reshape": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Flatten": _flatten,
    "Gather": _gather, "Split": _split, "Slice": _slice, "Expand": _expand,
}  # fmt: skip
