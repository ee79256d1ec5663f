"""Where samples, steps and features are in tensors that the host hands over to a chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lnn2loihi.converters.modules.affine import Affine
from lnn2loihi.converters.modules.atoms import Base, Given
from lnn2loihi.converters.modules.flows import Flow
from lnn2loihi.converters.modules.recurrences import bound, calls_of
from lnn2loihi.converters.recurrent.known import is_recurrent
from lnn2loihi.converters.trace.axes import BATCH, FEATURES, TIME, Axes
from lnn2loihi.converters.trace.graph import Graph, Ref
from lnn2loihi.converters.trace.sizes import Size


def entered(number: int, shape: tuple[int, ...], axes: Axes, sizes: Sequence[Size] = ()) -> Flow:
    """All of a tensor, as it goes onto a chip.

    Args:
        number: of the value.
        shape: of the example's.
        axes: what its axes mean.
        sizes: how the sizes of its axes follow those of another example.
    """
    follows = followed(axes, sizes)
    own = dict(zip(axes, shape, strict=True))
    base = Base(own.get(BATCH, 1), own.get(TIME, 1), follows)
    given = Given(base, own.get(FEATURES, 1), number=number, axes=axes)
    return Flow(Affine.of(given), axes, base, None if TIME in axes else 0)


def followed(axes: Axes, sizes: Sequence[Size]) -> str:
    """How the number of sequences and of steps follow those of an example, where they are neither
    these themselves nor always the same; empty where they are.
    """
    said = dict(zip(axes, map(str, sizes), strict=False))
    fixed = {axis for axis, size in zip(axes, sizes, strict=False) if size.fixed}
    return ", ".join(
        f"{axis} {said[axis]}"
        for axis in (BATCH, TIME)
        if axis in said and axis not in fixed and said[axis] != axis
    )


def labelled(
    shape: tuple[int, ...], known: tuple[str | None, ...], steps: frozenset[int]
) -> Axes | None:
    """What the axes of a tensor mean, or None where that cannot be said: where batch and time are
    merged, or where there are several axes of features.

    Args:
        shape: of the tensor.
        known: for each axis BATCH or TIME where its size follows the example's; None for others.
        steps: lengths of the sequences that recurrent parts are called with.
    """
    if len(set(known) - {None}) != sum(label is not None for label in known):
        return None
    others = [p for p, label in enumerate(known) if label is None and shape[p] != 1]
    labels: list[Any] = list(known)
    if TIME not in known and len(others) > 1:
        # A length that forward names as a number: it is no other axis where one alone has it.
        fitting = [place for place in others if shape[place] in steps]
        before = [place for place in fitting if place != len(shape) - 1]
        if len(fitting) != 1 and len(before) != 1:
            return None
        found = (fitting if len(fitting) == 1 else before)[0]
        labels[found] = TIME
        others.remove(found)
    if len(others) > 1:
        return None
    if others:
        labels[others[0]] = FEATURES
    return tuple(labels)


def demanded(part: Any, rank: int) -> Axes | None:
    """The axes of what a recurrent part takes, as it is called with so many of them."""
    calls = calls_of(part)
    if calls.get("one_step"):
        return {1: (FEATURES,), 2: (BATCH, FEATURES)}.get(rank)
    time_first = bool(calls.get("time_first", not getattr(part, "batch_first", True)))
    if calls.get("features_first"):
        return {2: (FEATURES, TIME), 3: (BATCH, FEATURES, TIME)}.get(rank)
    whole = (TIME, BATCH, FEATURES) if time_first else (BATCH, TIME, FEATURES)
    return {2: (TIME, FEATURES), 3: whole}.get(rank)


def lengths(graph: Graph, parts: Mapping[str, Any]) -> frozenset[int]:
    """The lengths of the sequences that recurrent parts are called with."""
    found: set[int] = set()
    for node in graph.nodes:
        if node.path is None or not is_recurrent(parts[node.path]):
            continue
        first = next(iter(bound(parts[node.path], node).values()), None)
        if isinstance(first, Ref):
            shape = graph.values[first.number].shape
            axes = demanded(parts[node.path], len(shape)) or ()
            found |= {size for size, axis in zip(shape, axes, strict=False) if axis == TIME}
    return frozenset(found - {1})
