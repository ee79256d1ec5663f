"""Operators on the features of a stream: activations, numbers, maps, and what no layer does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lnn2loihi.converters.files.checkpoint import FloatArray
from lnn2loihi.converters.modules.activations import ACTIVATION_OPERATORS, activation_text
from lnn2loihi.converters.modules.moves import MOVES
from lnn2loihi.converters.modules.streams import Step, Stream
from lnn2loihi.converters.trace.axes import FEATURES, Axes, place
from lnn2loihi.converters.trace.graph import Node, Ref

#: The reader that calls; its module imports this one.
Reader = Any


#: Operators that change no value: kinds of numbers and places in memory.
NOTHING = frozenset(
    "contiguous clone detach to float double half bfloat16 type type_as cpu cuda requires_grad "
    "alias data positive pos view_as expand expand_as broadcast_to".split()
)
_LIMITS = "limits values by what are no two numbers; give the lower one first, as numbers"
_OVER_TIME = (
    "combines the samples of a sequence, and a network answers to each on its own; answer with all "
    "steps or with the last one, and compute the rest on the host"
)
_REASONS = {
    **dict.fromkeys(("clamp", "clip", "clamp_min", "clamp_max", "hardtanh"), _LIMITS),
    **dict.fromkeys(
        ("mean", "sum", "max", "amax", "min", "amin", "median", "std", "var", "cumsum", "logsumexp",
         "adaptive_avg_pool1d", "avg_pool1d", "max_pool1d"), _OVER_TIME
    ),
    **dict.fromkeys(
        ("flip", "roll", "flipud", "fliplr"),
        "reads samples that are still to come, and a chip answers sample by sample",
    ),
    **dict.fromkeys(
        ("pad", "unfold"), "makes windows of samples; give them to the network as input channels"
    ),
    **dict.fromkeys(
        ("group_norm", "instance_norm", "normalize"),
        "has statistics that depend on each sample; train with LayerNorm, RMSNorm or BatchNorm1d, "
        "or normalise with lnn2loihi.converters.normalise.Normalise",
    ),
    **dict.fromkeys(
        ("scaled_dot_product_attention", "multi_head_attention_forward", "bmm", "einsum"),
        "reads several tensors at once; compute it on the host",
    ),
}  # fmt: skip


def unknown(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """Refuses what no layer does, by what it is."""
    reason = _REASONS.get(node.operator)
    if reason is None:
        reason = (
            "is no layer of a network; there are Linear, activations, scales and offsets of "
            "features, and changes of axes. Compute it on the host"
        )
    elif reason is _OVER_TIME:
        axis = _axis_of(node)
        if axis is not None and stream.axes[place(axis, len(stream.axes))] == FEATURES:
            reason = "combines features, for which there is no layer; train a Linear in its place"
    reader.refuse(node, stream, ref, f"{node.where} {reason}")


def _activation(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """An activation of layers."""

    def number(given: Any) -> float | None:
        found = constant(reader, given)
        return float(found.item()) if found is not None and found.size == 1 else None

    leads = node.arguments[:1] == (ref,)
    parameters = node.arguments[1:] if leads else node.arguments
    name = activation_text(node.operator, parameters, node.keywords, number)
    if name is None or not (leads or node.keywords.get("input") == ref):
        return unknown(reader, node, stream, ref)
    reader.set(node.answer, stream.after(Step("activation", name, line=node.line)))


def _nothing(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """Values stay as they are."""
    made = node.answer
    same = isinstance(made, Ref) and reader.value(made).shape == reader.value(ref).shape
    if not same or not reader.value(made).floating:
        return unknown(reader, node, stream, ref)
    reader.set(made, stream)


def _dropout(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """Does nothing only where it is told that this is no training."""
    if _argument(node, 2, "training", True) and _argument(node, 1, "p", 0.5):
        reason = (
            f"{node.where} drops at random in evaluation too; write "
            "F.dropout(x, p, training=self.training), or use torch.nn.Dropout"
        )
        return reader.refuse(node, stream, ref, reason)
    reader.dropped(stream, _argument(node, 1, "p", 0.5))
    reader.set(node.answer, stream)


def _softmax(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """A function for the host."""
    axis = _argument(node, 1, "dim", None)
    host(reader, node, stream, ref, node.operator, axis, "")


def _affine(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """Sums, differences, products and quotients with what does not depend on the samples."""
    operator = node.operator
    left, right = _argument(node, 0, "input", None), _argument(node, 1, "other", None)
    negated = operator in ("neg", "negative")
    right = 0 if negated else right
    reverse = left != ref
    other = constant(reader, left if reverse else right)
    if other is None or operator in ("div", "truediv", "true_divide", "divide") and reverse or (
        operator in ("rdiv", "rtruediv") or node.keywords.get("rounding_mode")
    ):  # fmt: skip
        return unknown(reader, node, stream, ref)
    alpha = float(node.keywords.get("alpha", 1))
    spread = _on_features(reader, other, stream, ref)
    made = node.answer
    if spread is None or not isinstance(made, Ref) or (
        reader.value(made).shape != reader.value(ref).shape
    ):  # fmt: skip
        reason = (
            f"{node.where} takes an array of shape {other.shape} to samples with the axes "
            f"{reader.value(ref).shape}; only numbers for each feature can be folded into layers"
        )
        return reader.refuse(node, stream, ref, reason)
    one, zero = np.ones_like(spread), np.zeros_like(spread)
    if operator in ("add", "radd"):
        factor, offset = (alpha * one, spread) if reverse else (one, alpha * spread)
    elif operator in ("sub", "subtract", "rsub"):
        backwards = reverse != (operator == "rsub")
        factor, offset = (-alpha * one, spread) if backwards else (one, -alpha * spread)
    elif operator in ("mul", "multiply", "rmul"):
        factor, offset = spread, zero
    elif negated:
        factor, offset = -one, zero
    else:
        with np.errstate(divide="ignore"):
            factor, offset = 1.0 / spread, zero
    if not (np.isfinite(factor).all() and np.isfinite(offset).all()):
        return reader.refuse(
            node, stream, ref, f"{node.where} divides by 0, or has NaN or infinite values"
        )
    step = Step("affine", operator, factor=tuple(factor.tolist()), offset=tuple(offset.tolist()),
                line=node.line)  # fmt: skip
    reader.set(made, stream.after(step))


def _linear(reader: Reader, node: Node, stream: Stream, ref: Ref) -> None:
    """A map whose weights do not depend on the samples."""
    weight, bias = (
        constant(reader, _argument(node, 1, "weight", None)),
        _argument(node, 2, "bias", None),
    )
    axes = with_features(stream)
    if weight is None or weight.ndim != 2 or node.arguments[:1] != (ref,) or axes[-1] != FEATURES:
        return unknown(reader, node, stream, ref)
    weight = weight if node.operator == "linear" else weight.T
    offset = np.zeros(len(weight)) if bias is None else constant(reader, bias)
    if offset is None:
        return unknown(reader, node, stream, ref)
    step = Step("map", node.operator, weight=np.ascontiguousarray(weight).tobytes(),
                offset=tuple(offset.tolist()), line=node.line)  # fmt: skip
    return reader.set(node.answer, stream.after(step, axes))


def constant(reader: Reader, given: Any) -> FloatArray | None:
    """An argument as an array, or None where it is none."""
    if isinstance(given, Ref):
        value = reader.value(given)
        return None if value.depends else value.tensor.detach().double().numpy()
    return np.asarray(given, np.float64) if isinstance(given, (int, float)) else None


def _on_features(reader: Reader, other: FloatArray, stream: Stream, ref: Ref) -> FloatArray | None:
    """One number for each feature, or None where it has other axes."""
    axis, count = stream.feature_axis, len(stream.axes)
    if other.ndim > count:
        return None
    shape = (1,) * (count - other.ndim) + other.shape
    width = reader.width(stream, ref)
    if any(size != 1 for place, size in enumerate(shape) if place != axis):
        flat = other.ravel()
        return np.full(width, flat[0]) if flat.size and (flat == flat[0]).all() else None
    if other.size not in (1, width):
        return None
    return np.broadcast_to(other.ravel(), (width,)).copy()


def with_features(stream: Stream) -> Axes:
    """The axes, with one feature on a last axis that means nothing."""
    if FEATURES not in stream.labels and stream.axes and stream.axes[-1] is None:
        return (*stream.axes[:-1], FEATURES)
    return stream.axes


def host(
    reader: Reader, node: Node, stream: Stream, ref: Ref, name: str, axis: int | None, path: str
) -> None:
    """A function that stays on the host where it is taken over the outputs of one sample."""
    count = len(stream.axes)
    if axis is None:  # what PyTorch takes then
        axis = 0 if count in (0, 1, 3) else 1
    if stream.axes[place(axis, count)] != FEATURES:
        return reader.refuse(node, stream, ref, f"{node.where} is taken over "
            f"{axis_name(stream.axes[place(axis, count)])} (dim={axis}); give dim=-1, over "
            "the outputs of one sample")  # fmt: skip
    reader.set(node.answer, stream.after(Step("host", name, path, line=node.line)))


def _argument(node: Node, position: int, name: str, default: Any) -> Any:
    """An argument by its place or its name."""
    if len(node.arguments) > position:
        return node.arguments[position]
    return node.keywords.get(name, default)


def _axis_of(node: Node) -> int | None:
    axis = _argument(node, 1, "dim", node.keywords.get("axis"))
    axis = axis[0] if isinstance(axis, (tuple, list)) and len(axis) == 1 else axis
    return axis if isinstance(axis, int) else None


def axis_name(axis: Any) -> str:
    """For messages."""
    return "an axis of size 1" if axis is None else f"the axis of {axis}"


ARITHMETIC = (
    "add", "radd", "sub", "subtract", "rsub", "mul", "multiply", "rmul", "neg", "negative",
    "div", "divide", "truediv", "true_divide", "rdiv", "rtruediv",
)  # fmt: skip
HANDLERS: dict[str, Callable[[Reader, Node, Stream, Ref], None]] = {
    **dict.fromkeys(ACTIVATION_OPERATORS, _activation),
    **dict.fromkeys(NOTHING, _nothing),
    **dict.fromkeys(ARITHMETIC, _affine),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("linear", "matmul", "mm"), _linear),
    "dropout": _dropout,
    **MOVES,
}
