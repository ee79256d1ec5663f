"""Operators that put several flows together: sums, products, concatenations, and whatever else is
made of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lnn2loihi.converters.modules.affine import Affine, constant, joined
from lnn2loihi.converters.modules.atoms import Product
from lnn2loihi.converters.modules.flows import Filling, Flow, Several
from lnn2loihi.converters.modules.operators import constant as values_of
from lnn2loihi.converters.modules.streams import Step
from lnn2loihi.converters.trace.axes import FEATURES, TIME, Axes, place
from lnn2loihi.converters.trace.graph import Node, Ref

#: The reader that calls; its module imports this one.
Reader = Any
_SUMS = ("add", "radd", "sub", "subtract", "rsub")
_PRODUCTS = ("mul", "multiply", "rmul")


def _option(node: Node, position: int, *names: str, default: Any = None) -> Any:
    if len(node.arguments) > position:
        return node.arguments[position]
    return next((node.keywords[name] for name in names if name in node.keywords), default)


def _operand(reader: Reader, given: Any) -> Flow | np.ndarray | None:
    """A flow, or an array of what depends on no input."""
    if isinstance(given, Ref) and reader.value(given).depends:
        return reader.flow(given)
    return values_of(reader, given)


def _aligned(reader: Reader, node: Node, operands: Sequence[Any]) -> list[Flow] | None:
    """Operands as flows with the axes of what is made of them, as they are broadcast; or None."""
    made = node.answer
    flows = [one for one in operands if isinstance(one, Flow)]
    if not isinstance(made, Ref) or not flows or any(one is None for one in operands):
        return None
    first, shape = flows[0], reader.value(made).shape
    if any((one.base, one.at) != (first.base, first.at) for one in flows):
        return None
    padded = [(None,) * (len(shape) - len(one.axes)) + one.axes for one in flows]
    axes: list[Any] = []
    for place_, size in enumerate(shape):
        labels = {own[place_] for own in padded} - {None}
        if len(labels) > 1 or (not labels and size > 1):
            return None
        axes.append(labels.pop() if labels else None)
    width = shape[axes.index(FEATURES)] if FEATURES in axes else 1
    found: list[Flow] = []
    for one in operands:
        expression = (
            _spread(one.expression, width)
            if isinstance(one, Flow)
            else _constant(one, tuple(axes), shape, width)
        )
        if expression is None:
            return None
        found.append(Flow(expression, tuple(axes), first.base, first.at))
    return found


def _spread(expression: Affine, width: int) -> Affine | None:
    """As many features, where there is one for all."""
    if expression.rows == width:
        return expression
    return expression.picked([0] * width) if expression.rows == 1 else None


def _constant(values: Any, axes: Axes, shape: tuple[int, ...], width: int) -> Affine | None:
    """An array as an expression, where it is the same for all samples."""
    array = np.asarray(values, np.float64)
    if array.ndim > len(shape):
        return None
    array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    for axis, label in enumerate(axes):
        if label != FEATURES and array.shape[axis] > 1:
            if (array != array.take([0], axis)).any():
                return None
            array = array.take([0], axis)
    flat = array.ravel()
    return constant(np.broadcast_to(flat, (width,)).copy()) if flat.size in (1, width) else None


def _arithmetic(reader: Reader, node: Node) -> Flow | None:
    """Sums, differences and products of two."""
    operands = [
        _operand(reader, _option(node, 0, "input")),
        _operand(reader, _option(node, 1, "other")),
    ]
    flows = _aligned(reader, node, operands)
    if flows is None:
        return None
    left, right = flows
    alpha = float(node.keywords.get("alpha", 1))
    if node.operator in _SUMS:
        backwards = node.operator == "rsub"
        left, right = (right, left) if backwards else (left, right)
        sign = alpha if node.operator in ("add", "radd") else -alpha
        one, zero = np.ones(right.expression.rows), np.zeros(right.expression.rows)
        return replace(
            left, expression=left.expression.plus(right.expression.scaled(sign * one, zero))
        )
    return _product(node, left, right)


def _product(node: Node, left: Flow, right: Flow) -> Flow:
    """A product, which is a map of one where the other is constant."""
    for one, other in ((left, right), (right, left)):
        if not other.expression.blocks:
            factors = other.expression.offset
            return one.scaled(factors, np.zeros(len(factors)))
    if left.expression == right.expression:
        return left.activated(Step("activation", "square", line=node.line))
    atom = Product(
        left.base, left.expression.rows, node.operator, node.line, left.expression, right.expression
    )
    return replace(left, expression=Affine.of(atom))


def _larger(reader: Reader, node: Node) -> Flow | None:
    """The larger of two, left + relu(right - left), or the smaller, left - relu(left - right)."""
    operands = [
        _operand(reader, _option(node, 0, "input")), _operand(reader, _option(node, 1, "other"))
    ]  # fmt: skip
    flows = _aligned(reader, node, operands)
    if flows is None:
        return None
    left, right = flows
    sign = 1.0 if node.operator in ("maximum", "max", "fmax") else -1.0
    return _beyond(node, left, right.expression.plus(_times(left.expression, -1.0)), sign)


def _prelu(reader: Reader, node: Node) -> Flow | None:
    """With a slope for each feature: x + (1 - slope) relu(-x)."""
    flow, slopes = (_operand(reader, _option(node, n, name))
                    for n, name in enumerate(("input", "weight")))  # fmt: skip
    wanted = min(1, len(flow.axes) - 1) if isinstance(flow, Flow) else 0
    if not isinstance(flow, Flow) or slopes is None or isinstance(slopes, Flow):
        return None
    if slopes.size == 1 or flow.feature_axis != wanted or slopes.size != flow.expression.rows:
        return None
    negative = replace(flow, expression=_times(flow.expression, -1.0))
    below = negative.activated(Step("activation", "relu", line=node.line)).expression
    below = below.scaled(1.0 - slopes.ravel(), np.zeros(slopes.size))
    return replace(flow, expression=flow.expression.plus(below), state=None, name="")


def _beyond(node: Node, start: Flow, difference: Affine, sign: float) -> Flow:
    """Start + sign * relu(sign * difference)."""
    inside = replace(start, expression=_times(difference, sign))
    beyond = inside.activated(Step("activation", "relu", line=node.line)).expression
    return replace(start, expression=start.expression.plus(_times(beyond, sign)), name="")


def _times(expression: Affine, factor: float) -> Affine:
    return expression.scaled(np.full(expression.rows, factor), np.zeros(expression.rows))


def _lerp(reader: Reader, node: Node) -> Flow | None:
    """Start + weight * (end - start)."""
    operands = [_operand(reader, _option(node, n, name))
                for n, name in enumerate(("input", "end", "weight"))]  # fmt: skip
    flows = _aligned(reader, node, operands)
    if flows is None:
        return None
    start, end, weight = flows
    one, zero = np.ones(start.expression.rows), np.zeros(start.expression.rows)
    difference = end.expression.plus(start.expression.scaled(-one, zero))
    moved = _product(node, replace(start, expression=difference), weight)
    return replace(start, expression=start.expression.plus(moved.expression))


def _where(reader: Reader, node: Node) -> Flow | None:
    """One or the other by a constant mask over the features."""
    condition = _option(node, 0, "condition")
    if node.operator == "masked_fill":
        kept, mask, filled = (_option(node, n, name)
                              for n, name in enumerate(("input", "mask", "value")))  # fmt: skip
        condition, one, other = mask, filled, kept
    else:
        one, other = _option(node, 1, "input", "self"), _option(node, 2, "other")
    if not isinstance(condition, Ref) or reader.value(condition).depends:
        return None
    chosen = reader.value(condition).tensor.double().numpy()
    flows = _aligned(reader, node, [chosen, _operand(reader, one), _operand(reader, other)])
    if flows is None:
        return None
    mask, first, second = (flow.expression for flow in flows)
    zero = np.zeros(mask.rows)
    if not np.isfinite(first.offset).all() or not np.isfinite(second.offset).all():
        return None
    made = first.scaled(mask.offset, zero).plus(second.scaled(1.0 - mask.offset, zero))
    return replace(flows[1], expression=made)


def _reduced(reader: Reader, node: Node) -> Flow | None:
    """Mean or sum over the features of a sample: a constant matrix."""
    flow = _operand(reader, _option(node, 0, "input"))
    axis = _option(node, 1, "dim", "axis")
    axis = axis[0] if isinstance(axis, (tuple, list)) and len(axis) == 1 else axis
    if not isinstance(flow, Flow) or not isinstance(axis, int) or isinstance(axis, bool):
        return None
    axis = place(axis, len(flow.axes))
    labels = flow.axes if FEATURES in flow.labels else (*flow.axes[:-1], FEATURES)
    if labels[axis] != FEATURES or (FEATURES not in flow.labels and flow.axes[-1] is not None):
        return None
    rows = flow.expression.rows
    weight = np.full((1, rows), 1.0 / rows if node.operator == "mean" else 1.0)
    keep = bool(_option(node, 2, "keepdim", "keepdims", default=False))
    axes = (*flow.axes[:axis], *((None,) if keep else ()), *flow.axes[axis + 1 :])
    made = flow.after(Step("map", node.operator, weight=weight.tobytes(), offset=(0.0,),
                           line=node.line), axes)  # fmt: skip
    return made if isinstance(made, Flow) else None


def read_average(node: Node, several: Several) -> Flow | None:
    """The mean or the sum of tensors that are stacked on the first axis."""
    if node.operator not in ("mean", "sum") or len(node.arguments) + len(node.keywords) != 2:
        return None
    axis = _option(node, 1, "dim", "axis")
    axis = axis[0] if isinstance(axis, (tuple, list)) and len(axis) == 1 else axis
    first, *others = several.layers
    count = len(several.layers)
    if not isinstance(axis, int) or axis not in (0, -len(first.axes) - 1):
        return None
    if any((one.base, one.at) != (first.base, first.at) for one in others):
        return None
    whole = first.expression
    for other in others:
        whole = whole.plus(other.expression)
    factor = 1.0 / count if node.operator == "mean" else 1.0
    return replace(first, expression=_times(whole, factor), state=None, name="")


def _gated(reader: Reader, node: Node) -> Flow | None:
    """GLU: the first half of the features times the sigmoid of the second."""
    flow = _operand(reader, _option(node, 0, "input"))
    axis = _option(node, 1, "dim", default=-1)
    if not isinstance(flow, Flow) or flow.axes[place(axis, len(flow.axes))] != FEATURES:
        return None
    half = flow.expression.rows // 2
    first = replace(flow, expression=flow.expression.picked(range(half)))
    second = replace(flow, expression=flow.expression.picked(range(half, 2 * half)))
    gate = second.activated(Step("activation", "sigmoid", line=node.line))
    return _product(node, first, gate)


def _joined(reader: Reader, node: Node) -> Flow | Several | None:
    """Features side by side; the steps of a sequence, one after the other; or states of layers."""
    given = _option(node, 0, "tensors")
    if not isinstance(given, (tuple, list)) or not all(isinstance(one, Ref) for one in given):
        return None
    stacked = node.operator == "stack"
    operands = [_operand(reader, ref) for ref in given]
    flows = [one for one in operands if isinstance(one, Flow)]
    if not flows:
        return None
    count = len(flows[0].axes)
    default = -1 if node.operator == "hstack" else 0
    axis = place(_option(node, 1, "dim", "axis", default=default), count + stacked)
    if node.operator == "hstack" and count < 2:
        axis = 0
    elif node.operator == "hstack":
        axis = 1
    if len(flows) == len(operands):
        steps = sequence(flows, axis, stacked)
        if steps is not None:
            return steps
        if not stacked and not axis and all(_is_of_layers(one) for one in flows):
            return Several(tuple(replace(one, axes=one.axes[1:]) for one in flows))
        alike = len({(one.base, one.at, one.axes, one.expression.rows) for one in flows}) == 1
        if stacked and not axis and FEATURES in flows[0].axes and alike:
            return Several(tuple(replace(one, state=None, name="") for one in flows))
    return _side_by_side(reader, given, operands, flows[0], axis, stacked)


def _is_of_layers(flow: Flow) -> bool:
    """Whether it has an axis of size 1 before those of one sample, as the states of a layer."""
    return flow.at is not None and flow.axes[:1] == (None,) and FEATURES in flow.axes[1:]


def _side_by_side(
    reader: Reader, given: Sequence[Ref], operands: Sequence[Any], first: Flow, axis: int, new: bool
) -> Flow | None:
    axes = first.axes if not new else (*first.axes[:axis], None, *first.axes[axis:])
    label = axes[axis]
    if (new and FEATURES in first.axes) or (not new and label not in (None, FEATURES)):
        return None
    if label is None and FEATURES in axes:
        return None
    axes = (*axes[:axis], FEATURES, *axes[axis + 1 :])
    found: list[Affine] = []
    for ref, one in zip(given, operands, strict=True):
        if isinstance(one, Flow):
            same = (one.base, one.at) == (first.base, first.at)
            own = one.axes if not new else (*one.axes[:axis], None, *one.axes[axis:])
            own = (*own[:axis], FEATURES, *own[axis + 1 :])
            if not same or own != axes:
                return None
            found.append(one.expression)
            continue
        shape = reader.value(ref).shape
        shape = shape if not new else (*shape[:axis], 1, *shape[axis:])
        if one is None or len(shape) != len(axes):
            return None
        expression = _constant(np.reshape(one, shape), axes, shape, shape[axis])
        if expression is None:
            return None
        found.append(expression)
    return replace(first, expression=joined(found), axes=axes, state=None, name="")


def sequence(flows: Sequence[Flow], axis: int, stacked: bool) -> Flow | None:
    """The sequence whose steps are given in order, or None.

    Args:
        flows: one for each step.
        axis: the one on which they come to stand.
        stacked: whether it is a new one.
    """
    first = flows[0]
    if len(flows) != first.base.time or any(one.at != t for t, one in enumerate(flows)):
        return None
    if any(replace(one, at=0) != replace(first, at=0) for one in flows):
        return None
    if not stacked and first.axes[axis] is not None:
        return None
    axes = (*first.axes[:axis], TIME, *first.axes[axis + (not stacked) :])
    return replace(first, at=None, axes=axes, state=None)


def read_change(reader: Reader, node: Node) -> Flow | Filling | None:
    """A change of a part of a tensor, as the tensor that it makes: steps of a sequence that a loop
    writes, or features.
    """
    if len(node.arguments) != 3 or not isinstance(node.arguments[0], Ref):
        return None
    changed, index, written = node.arguments
    flow = _operand(reader, written)
    flow = flow if isinstance(flow, Flow) else None
    before = reader.meanings.get(changed.number)
    entries = list(index) if isinstance(index, tuple) else [index]
    shape = reader.value(changed).shape
    if Ellipsis in entries:
        at = entries.index(Ellipsis)
        entries[at : at + 1] = [slice(None)] * (len(shape) - len(entries) + 1)
    entries += [slice(None)] * (len(shape) - len(entries))
    whole = slice(None)
    if any(type(e) is not int and not isinstance(e, slice) for e in entries):
        return None
    chosen = [(axis, place(e, shape[axis])) for axis, e in enumerate(entries) if isinstance(e, int)]
    others = [e for e in entries if isinstance(e, slice) and e != whole]
    if flow is None or len(chosen) != 1 or others or not (
        isinstance(before, Filling) or not reader.value(changed).depends
    ):  # fmt: skip
        return _features_changed(reader, changed, entries, written)
    axis, step = chosen[0]
    if isinstance(before, Filling) and before.axis != axis:
        return None
    steps = {**(before.steps if isinstance(before, Filling) else {}), step: flow}
    if sorted(steps) == list(range(shape[axis])):
        found = sequence([steps[t] for t in sorted(steps)], axis, True)
        if found is not None:
            return found
    return Filling(axis, steps)


def _features_changed(
    reader: Reader, changed: Ref, entries: list[Any], written: Any
) -> Flow | None:
    """Some features of a flow in place of those that were there."""
    flow = _operand(reader, changed)
    new = _operand(reader, written)
    if not isinstance(flow, Flow) or flow.feature_axis is None or new is None:
        return None
    axis, rows = flow.feature_axis, flow.expression.rows
    if any(e != slice(None) for p, e in enumerate(entries) if p != axis):
        return None
    entry = entries[axis]
    rows_of = range(rows)[entry] if isinstance(entry, slice) else [place(entry, rows)]
    if isinstance(new, Flow):
        if (new.base, new.at) != (flow.base, flow.at):
            return None
        expression = _spread(new.expression, len(rows_of))
    else:
        flat = np.unique(np.asarray(new))
        expression = constant(np.full(len(rows_of), flat[0])) if flat.size == 1 else None
    if expression is None:
        return None
    own = {row: n for n, row in enumerate(rows_of)}
    both = joined([flow.expression, expression])
    order = [rows + own[row] if row in own else row for row in range(rows)]
    return replace(flow, expression=both.picked(order), state=None, name="")


JOINS: dict[str, Callable[[Reader, Node], Flow | Several | None]] = {
    **dict.fromkeys((*_SUMS, *_PRODUCTS), _arithmetic),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack", "hstack"), _joined),
    **dict.fromkeys(("mean", "sum"), _reduced),
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin"), _larger),
    "prelu": _prelu,
    **dict.fromkeys(("where", "masked_fill"), _where),
    "glu": _gated,
    "lerp": _lerp,
}
