"""One recording of several: the numbers in it that follow the batch and the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lnn2loihi.converters.trace.graph import (
    Graph,
    Node,
    Ref,
    Value,
    is_users_dataclass,
    refs,
    replaced,
)
from lnn2loihi.converters.trace.sizes import Size, size_of

Sizes = Mapping[str, int]
#: Numbers in answers.
_NUMBERS: Any = (int, float)


class NotGeneralError(Exception):
    """Forward does something else with examples of other sizes; says what."""


@dataclass(frozen=True, eq=False)
class General:
    """What holds for every batch and time.

    Attributes:
        nodes: with a Size in place of each number that follows a size.
        shapes: for each value the sizes of its axes.
    """

    nodes: tuple[Node, ...]
    shapes: tuple[tuple[Size, ...], ...]


def general(graphs: Sequence[Graph], points: Sequence[Sizes]) -> General:
    """What recordings have in common.

    Args:
        graphs: the recordings.
        points: for each its batch and time.

    Raises:
        NotGeneralError: they differ in more than numbers that follow the sizes.
    """
    first = graphs[0]
    for graph in graphs[1:]:
        if [_kind(n) for n in graph.nodes] != [_kind(n) for n in first.nodes]:
            raise NotGeneralError(_first_difference(first, graph))
        if len(graph.values) != len(first.values):
            raise NotGeneralError("forward uses other constants with other sizes")
    common = Common(points)
    nodes = [common.node(row) for row in zip(*(graph.nodes for graph in graphs), strict=True)]
    common.of([graph.answer for graph in graphs], None)
    shapes = [common.shape(row) for row in zip(*(graph.values for graph in graphs), strict=True)]
    made = {ref.number for node in first.nodes for ref in refs(node.answer)}
    for number, row in enumerate(zip(*(graph.values for graph in graphs), strict=True)):
        if row[0].origin == "constant" and number not in made:
            _check_constant([value.tensor for value in row])
    return General(tuple(nodes), tuple(shapes))


def sized_answer(graphs: Sequence[Graph], points: Sequence[Sizes]) -> tuple[Any, bool]:
    """What forward answers, with a Size in place of each number that follows the sizes, and whether
    that is known of all its numbers.

    Args:
        graphs: the recordings.
        points: for each its batch and time.
    """
    rows: list[list[Any]] = []
    for graph in graphs:
        rows.append([])
        replaced(graph.answer, _NUMBERS, rows[-1].append)
    answer = graphs[0].answer
    if not rows[0] and not any(rows):
        return answer, True
    if any(len(row) != len(rows[0]) for row in rows) or (len(graphs) < 3 and points[0]):
        return answer, False
    found = [_number(row, points) for row in zip(*rows, strict=True)]
    numbers = iter(found)
    return (
        replaced(answer, _NUMBERS, lambda own: own if (n := next(numbers)) is None else n),
        None not in found,
    )


def _number(row: Sequence[Any], points: Sequence[Sizes]) -> Any:
    """A number of an answer, in each of the recordings; None where nothing is known."""
    if all(type(one) is type(row[0]) and one == row[0] for one in row):
        return row[0]
    return None if any(isinstance(one, bool) for one in row) else size_of(row, points)


def _kind(node: Node) -> tuple[str, str | None]:
    return node.operator, node.path


def _first_difference(one: Graph, other: Graph) -> str:
    for a, b in zip(one.nodes, other.nodes, strict=False):
        if _kind(a) != _kind(b):
            return f"forward does something else with other sizes, from {a.where} on"
    longer = max(one, other, key=lambda graph: len(graph.nodes))
    node = longer.nodes[min(len(one.nodes), len(other.nodes))]
    return f"forward does more with larger sizes, from {node.where} on"


class Common:
    """Structures that are the same but for numbers that follow the sizes."""

    def __init__(self, points: Sequence[Sizes]) -> None:
        self._points = points

    def node(self, row: Sequence[Node]) -> Node:
        """What a node of each recording has in common.

        Raises:
            NotGeneralError: they differ.
        """
        arguments, keywords, answer, changes = (
            self.of([getattr(node, name) for node in row], row[0])
            for name in ("arguments", "keywords", "answer", "changes")
        )
        return replace(
            row[0], arguments=arguments, keywords=keywords, answer=answer, changes=changes
        )

    def shape(self, row: Sequence[Value]) -> tuple[Size, ...]:
        """The sizes of the axes of a value that each recording has.

        Raises:
            NotGeneralError: they have no common form.
        """
        return tuple(_as_size(one) for one in self.of([value.shape for value in row], None))

    def of(self, row: Sequence[Any], node: Node | None) -> Any:
        """What a structure of each recording has in common.

        Raises:
            NotGeneralError: they differ.
        """
        first = row[0]
        kinds = {type(one) for one in row}
        if kinds <= {int, float} and kinds:
            if len(set(row)) == 1:
                return first
            size = size_of(row, self._points)
            if size is not None:
                return size
        elif isinstance(first, (tuple, list)):
            if all(isinstance(one, (tuple, list)) and len(one) == len(first) for one in row):
                parts = [self.of(part, node) for part in zip(*row, strict=True)]
                if isinstance(first, list):
                    return parts
                named = hasattr(first, "_fields")
                return type(first)(*parts) if named else tuple(parts)
        elif is_users_dataclass(first):
            if all(type(one) is type(first) for one in row):
                for name in (field.name for field in fields(first)):
                    self.of([getattr(one, name, None) for one in row], node)
                return first
        elif isinstance(first, Mapping):
            if all(isinstance(one, Mapping) and list(one) == list(first) for one in row):
                return {key: self.of([one[key] for one in row], node) for key in first}
        elif isinstance(first, slice):
            ends = [
                self.of([getattr(one, name) for one in row], node)
                for name in ("start", "stop", "step")
            ]
            return slice(*ends)
        elif _all_equal(row):
            return first
        where = f" at {node.where}" if node else " in its answer"
        raise NotGeneralError(f"forward does something else with other sizes{where}")


def _all_equal(row: Sequence[Any]) -> bool:
    first = row[0]
    if isinstance(first, Ref) or type(first) in (str, bool, type(None), torch.dtype):
        return all(one == first for one in row)
    if isinstance(first, np.ndarray):
        return all(np.array_equal(first, one) for one in row)
    try:
        return all(one is first or bool(one == first) for one in row)
    except Exception:  # objects of the user's compare as they like
        return False


def _as_size(number: Any) -> Size:
    return number if isinstance(number, Size) else Size(constant=number)


def _check_constant(tensors: Sequence[Tensor]) -> None:
    """Refuses constants from outside that follow the sizes."""
    first = tensors[0]
    if not all(one.shape == first.shape and bool((one == first).all()) for one in tensors[1:]):
        raise NotGeneralError("forward uses other constants with other sizes")
