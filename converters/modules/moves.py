"""Operators that only move axes, or take steps or features out of a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lnn2loihi.converters.modules.streams import Step, Stream
from lnn2loihi.converters.trace.axes import FEATURES, TIME, Axis, place, reshaped
from lnn2loihi.converters.trace.graph import Node, Ref
from lnn2loihi.converters.trace.sizes import Size

#: The reader that calls; its module imports this one.
Reader = Any


def _option(node: Node, position: int, *names: str, default: Any = None) -> Any:
    if len(node.arguments) > position:
        return node.arguments[position]
    return next((node.keywords[name] for name in names if name in node.keywords), default)


def _numbers(node: Node, *names: str) -> tuple[Any, ...]:
    """What follows the tensor, as a sequence or one by one."""
    given = node.arguments[1:]
    if not given:
        given = (next((node.keywords[name] for name in names if name in node.keywords), ()),)
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        return tuple(given[0])
    return tuple(given)


def _reshape(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """Also view, flatten and unflatten: the shape of the answer says it all."""
    made = node.answer
    shape = reader.value(made).shape
    axes = reshaped(stream.axes, reader.sizes_of(stream, ref), shape)
    if axes is None:
        before = reader.value(ref).shape
        reason = (
            f"{node.where} makes {tuple(shape)} of {tuple(before)}, which cuts or mixes steps and "
            "features; only axes that are merged and parted again can be followed"
        )
        return reader.refuse(node, stream, ref, reason)
    reader.set(made, stream.moved(axes))


def _squeeze(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    given = _numbers(node, "dim")
    shape = reader.value(ref).shape
    count = len(shape)
    chosen = {place(axis, count) for axis in given} if given else set(range(count))
    axes = tuple(a for p, a in enumerate(stream.axes) if p not in chosen or shape[p] != 1)
    reader.set(node.answer, stream.moved(axes))


def _unsqueeze(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    at = place(_option(node, 1, "dim"), len(stream.axes) + 1)
    reader.set(node.answer, stream.moved((*stream.axes[:at], None, *stream.axes[at:])))


def _transpose(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    count = len(stream.axes)
    a = place(_option(node, 1, "dim0", "axis0", default=0), count)
    b = place(_option(node, 2, "dim1", "axis1", default=1), count)
    axes = list(stream.axes)
    axes[a], axes[b] = axes[b], axes[a]
    reader.set(node.answer, stream.moved(tuple(axes)))


def _permute(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    order = [place(axis, len(stream.axes)) for axis in _numbers(node, "dims")]
    reader.set(node.answer, stream.moved(tuple(stream.axes[axis] for axis in order)))


def _reversed(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """T and t: of two axes, or of one."""
    reader.set(node.answer, stream.moved(tuple(reversed(stream.axes))))


def _last_two(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    axes = (*stream.axes[:-2], stream.axes[-1], stream.axes[-2])
    reader.set(node.answer, stream.moved(axes))


def _taken(
    reader: Reader, node: Node, stream: Stream, ref: Ref, axis: int, chosen: tuple[int, range, bool]
) -> Stream | None:
    """The stream with a part of an axis, or None after a refusal: `chosen` is the size of the axis,
    which places of it are taken, and whether it stays.
    """
    size, places, keep = chosen
    label: Axis = stream.axes[axis]
    before, behind = stream.axes[:axis], stream.axes[axis + 1 :]
    axes = (*before, label, *behind) if keep else (*before, *behind)
    if places == range(size) and (keep or label in (None, FEATURES)):
        return stream.moved(axes)
    if label == TIME and len(places) == 1 and stream.at is None:
        axes = (*before, None, *behind) if keep else axes
        return replace(stream.moved(axes), at=places[0])
    if label == FEATURES and places:
        step = Step("select", node.operator, indices=tuple(places), line=node.line)
        return stream.after(step, axes)
    what = "some steps of a sequence" if label == TIME else f"a part of the axis of {label}"
    if not places:
        what = f"what is beyond the {size} of the axis of {label}"
    reason = (
        f"{node.where} takes {what}, and a network answers to each sample on its own; take all "
        "steps, or the last one, or one after the other in a loop"
    )
    reader.refuse(node, stream, ref, reason)
    return None


def _getitem(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    index = node.arguments[1]
    entries = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(e, bool) or not isinstance(e, (int, slice, type(None), type(Ellipsis)))
           for e in entries):  # fmt: skip
        reason = f"{node.where} picks by a tensor or a list; give numbers and slices"
        return reader.refuse(node, stream, ref, reason)
    shape = list(reader.value(ref).shape)
    used = sum(1 for entry in entries if isinstance(entry, (int, slice)))
    if Ellipsis in entries:
        at = entries.index(Ellipsis)
        entries[at : at + 1] = [slice(None)] * (len(shape) - used)
    axis = 0
    found: Stream | None = stream
    for entry in entries:
        if entry is None:
            found = found.moved((*found.axes[:axis], None, *found.axes[axis:]))
            shape.insert(axis, 1)
            axis += 1
            continue
        size, keep = shape[axis], isinstance(entry, slice)
        places = range(size)[entry] if isinstance(entry, slice) else _one(entry, size)
        found = _taken(reader, node, found, ref, axis, (size, places, keep))
        if found is None:
            return None
        shape[axis : axis + 1] = [len(places)] if keep else []
        axis += keep
    return reader.set(node.answer, found)


def takes_an_end(node: Node, axis: int, count: int) -> bool:
    """Whether a node takes the first or the last place of an axis, whatever its size is.

    Args:
        node: with sizes in place of numbers that follow those of the example.
        axis: the axis.
        count: of the tensor's axes.
    """
    if node.operator in ("select", "narrow"):
        chosen = _option(node, 2, "index", "start")
    elif node.operator == "getitem":
        index = node.arguments[1]
        entries = list(index) if isinstance(index, tuple) else [index]
        if Ellipsis in entries:
            at = entries.index(Ellipsis)
            used = sum(entry is not None for entry in entries) - 1
            entries[at : at + 1] = [slice(None)] * (count - used)
        chosen = [entry for entry in entries if entry is not None][axis]
        if isinstance(chosen, slice):
            first = chosen.start in (None, 0) and chosen.stop == 1
            chosen = 0 if first else chosen.start
    else:
        return False
    return chosen in (0, -1) or (isinstance(chosen, Size) and str(chosen) == f"{TIME} - 1")


def _one(index: int, size: int) -> range:
    return range(place(index, size), place(index, size) + 1)


def _select(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """Also narrow."""
    axis = place(_option(node, 1, "dim"), len(stream.axes))
    size = reader.value(ref).shape[axis]
    start = place(_option(node, 2, "index", "start"), size)
    keep = node.operator == "narrow"
    end = start + (_option(node, 3, "length") if keep else 1)
    found = _taken(reader, node, stream, ref, axis, (size, range(start, end), keep))
    if found is not None:
        reader.set(node.answer, found)


def _parted(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """split, chunk and unbind, and a loop over a tensor."""
    keep = node.operator not in ("unbind", "iter")
    axis = _option(node, 1 + keep, "dim", default=0)
    axis = place(axis, len(stream.axes))
    size = reader.value(ref).shape[axis]
    start = 0
    for made in node.answer:
        length = reader.value(made).shape[axis] if keep else 1
        chosen = (size, range(start, start + length), keep)
        found = _taken(reader, node, stream, ref, axis, chosen)
        if found is None:
            return
        reader.set(made, found)
        start += length


MOVES: dict[str, Callable[..., None]] = {
    **dict.fromkeys(("reshape", "view", "flatten", "unflatten", "ravel"), _reshape),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    **dict.fromkeys(("split", "chunk", "unbind", "iter", "tensor_split"), _parted),
    **dict.fromkeys(("select", "narrow"), _select),
    **dict.fromkeys(("T", "t"), _reversed),
    "mT": _last_two,
    "permute": _permute,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "getitem": _getitem,
}
