"""Follows the samples through a recorded forward, node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lnn2loihi.converters.modules.chain import Part, does_nothing, is_batch_norm, refusal
from lnn2loihi.converters.modules.classes import activation_of, is_dropout, is_linear
from lnn2loihi.converters.modules.moves import MOVES
from lnn2loihi.converters.modules.recurrences import read_recurrent
from lnn2loihi.converters.modules.streams import (
    SAMPLES,
    Lost,
    Meaning,
    Reading,
    State,
    Step,
    Stream,
    heads,
    read_answer,
    state_used,
)
from lnn2loihi.converters.recurrent.known import is_recurrent
from lnn2loihi.converters.trace.axes import BATCH, FEATURES, TIME, Axes, place
from lnn2loihi.converters.trace.graph import Graph, Node, Ref, Value, refs

#: Operators that are activations of layers.
_ACTIVATIONS = {
    "relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "expit": "sigmoid",
    "special_expit": "sigmoid", "silu": "silu", "gelu": "gelu",
}  # fmt: skip
#: Operators that change no value: kinds of numbers and places in memory.
_NOTHING = frozenset(
    "contiguous clone detach to float double half bfloat16 type type_as cpu cuda requires_grad "
    "alias data positive pos view_as expand expand_as broadcast_to".split()
)
_HOST = ("softmax", "log_softmax", "sigmoid")
_LIMITS = "limits values, which no layer does; train with Tanh in its place, or leave it out"
_OVER_TIME = (
    "combines the samples of a sequence, and a network answers to each on its own; answer with all "
    "steps or with the last one, and compute the rest on the host"
)
_REASONS = {
    **dict.fromkeys(("clamp", "clip", "clamp_min", "clamp_max", "hardtanh", "relu6"), _LIMITS),
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
        ("layer_norm", "rms_norm", "group_norm", "instance_norm", "normalize"),
        "has statistics that depend on each sample; train with BatchNorm1d, or normalise with "
        "lnn2loihi.converters.normalise.Normalise",
    ),
    **dict.fromkeys(
        ("scaled_dot_product_attention", "multi_head_attention_forward", "bmm", "einsum"),
        "reads several tensors at once; compute it on the host",
    ),
}  # fmt: skip


class Reader:
    """One run of forward.

    Args:
        graph: what was recorded.
        parts: the modules that were recorded as a whole, by their paths.
        axes: what the axes of the samples mean.
    """

    def __init__(self, graph: Graph, parts: Mapping[str, Any], axes: Axes) -> None:
        self.graph, self.parts = graph, parts
        self.meanings: dict[int, Meaning] = {}
        shape = graph.values[0].shape
        self.sizes = {str(axis): size for axis, size in zip(axes, shape, strict=True)}
        self.sizes.setdefault(BATCH, 1)
        for number, value in enumerate(graph.values):
            if value.origin == "input":
                own = axes if value.name == SAMPLES else tuple(a for a in axes if a != FEATURES)
                self.meanings[number] = Stream((), own, source=value.name)

    def read(self) -> Reading:
        """What it means."""
        for node in self.graph.nodes:
            given = [ref for ref in refs((node.arguments, node.keywords)) if self._depends(ref)]
            if given:
                self._node(node, given)
                for ref in refs(node.answer):
                    if self._depends(ref) and ref.number not in self.meanings:
                        self.meanings[ref.number] = Lost((f"{node.where} cannot be followed",))
        return read_answer(self.graph, self.meanings, self.sizes[TIME])

    def value(self, ref: Ref) -> Value:
        """A tensor of the run."""
        return self.graph.values[ref.number]

    def set(self, answer: Any, meaning: Meaning) -> None:
        """What all tensors of an answer mean."""
        for ref in refs(answer):
            self.meanings[ref.number] = meaning

    def width(self, stream: Stream, ref: Ref) -> int:
        """Number of features."""
        axis = stream.feature_axis
        return 1 if axis is None else self.value(ref).shape[axis]

    def sizes_of(self, stream: Stream, ref: Ref) -> dict[str, int]:
        """The size of each axis."""
        merged = next((a for a in stream.axes if isinstance(a, tuple) and FEATURES in a), None)
        width = self.width(stream, ref)
        if merged is not None:
            whole = self.value(ref).shape[stream.axes.index(merged)]
            for label in merged:
                whole //= self.sizes[label] if label != FEATURES else 1
            width = whole
        return {**self.sizes, FEATURES: width}

    def _depends(self, ref: Ref) -> bool:
        return self.value(ref).depends

    def _node(self, node: Node, given: list[Ref]) -> None:
        own = [self.meanings.get(ref.number, Lost(())) for ref in given]
        lost = [reason for one in own if isinstance(one, Lost) for reason in one.reasons]
        if any(isinstance(one, Lost) for one in own):
            more = self._refused_part(node)
            return self.set(node.answer, Lost(tuple(dict.fromkeys((*lost, *more)))))
        if node.path is not None and is_recurrent(self.parts[node.path]):
            return read_recurrent(self, node, own)
        states = [one for one in own if isinstance(one, State)]
        if states:
            top = states[0].top
            if top is not None and _takes_last(node, self.value(given[0])):
                return self.set(node.answer, top)
            if node.operator in _NOTHING:
                return self.set(node.answer, states[0])
            return self._lost(node, own, state_used(states[0], f"{node.where} takes"))
        if len(given) > 1:
            return self._several(node, own)
        ref, stream = given[0], own[0]
        assert isinstance(stream, Stream)
        if node.path is not None:
            return self._part(node, stream, ref)
        handler = _HANDLERS.get(node.operator)
        if handler is None or not _leads(node, ref):
            return self._unknown(node, stream, ref)
        return handler(self, node, stream, ref)

    def _refused_part(self, node: Node) -> list[str]:
        """Whether a part that is not reached by steps could not be imported anyway."""
        if node.path is None:
            return []
        part = self.parts[node.path]
        known = is_recurrent(part) or is_linear(part) or activation_of(part) or does_nothing(part)
        if known or is_batch_norm(part) or type(part).__name__ in ("Normalise", *_HOST_CLASSES):
            return []
        return [refusal(Part(node.path, part))]

    def _lost(self, node: Node, own: list[Meaning], reason: str) -> None:
        """Nothing can be said of what the node answers, for a reason and those on the way."""
        before = [
            step.text
            for one in own
            if isinstance(one, Stream)
            for step in one.steps
            if step.kind == "refused"
        ]
        self.set(node.answer, Lost(tuple(dict.fromkeys((*before, reason)))))

    def refuse(self, node: Node, stream: Stream, ref: Ref, reason: str) -> None:
        """The node is refused; where it leaves the shape as it is, what follows is looked at."""
        made = node.answer
        if isinstance(made, Ref) and self.value(made).shape == self.value(ref).shape:
            self.set(made, stream.after(Step("refused", node.operator, text=reason)))
        else:
            self._lost(node, [stream], reason)

    def _unknown(self, node: Node, stream: Stream, ref: Ref) -> None:
        reason = _REASONS.get(node.operator)
        if reason is None:
            reason = (
                "is no layer of a network; there are Linear, activations, scales and offsets of "
                "features, and changes of axes. Compute it on the host"
            )
        elif reason is _OVER_TIME:
            axis = _axis_of(node)
            if axis is not None and stream.axes[place(axis, len(stream.axes))] == FEATURES:
                reason = (
                    "combines features, for which there is no layer; train a Linear in its place"
                )
        self.refuse(node, stream, ref, f"{node.where} {reason}")

    def _several(self, node: Node, own: list[Meaning]) -> None:
        """Two streams meet; where they are the steps of one sequence, they are that sequence."""
        joined = None
        if node.operator in ("stack", "cat", "concat", "concatenate", "hstack"):
            joined = self._joined(node)
        if joined is not None:
            return self.set(node.answer, joined)
        if node.operator in ("cat", "concat", "concatenate", "stack", "hstack"):
            what = "joins several heads or branches"
        elif node.operator in ("mul", "matmul", "bmm", "div", "truediv"):
            what = "multiplies two streams"
        else:
            what = "joins two streams, as a residual connection or parallel branches do"
        self._lost(node, own, f"{node.where} {what} ({heads(own)}); a network is one chain of layers, "
                              "so import each branch alone")  # fmt: skip

    def _joined(self, node: Node) -> Stream | None:
        """The sequence whose steps are stacked, or None."""
        given = node.arguments[0]
        if not isinstance(given, (tuple, list)) or not all(isinstance(g, Ref) for g in given):
            return None
        streams = [self.meanings.get(ref.number) for ref in given]
        first = streams[0]
        if not isinstance(first, Stream) or len(streams) != self.sizes[TIME]:
            return None
        for t, one in enumerate(streams):
            if not isinstance(one, Stream) or one.at != t:
                return None
            if replace(one, at=0, state=None) != replace(first, at=0, state=None):
                return None
        axis = node.keywords.get("dim", node.arguments[1] if len(node.arguments) > 1 else 0)
        stacked = node.operator == "stack"
        axis = place(axis, len(first.axes) + stacked)
        if not stacked and first.axes[axis] is not None:
            return None
        axes = (*first.axes[:axis], TIME, *first.axes[axis + (not stacked) :])
        return replace(first, at=None, axes=axes, state=None)

    def _part(self, node: Node, stream: Stream, ref: Ref) -> None:
        part = self.parts[node.path or ""]
        found = Part(node.path or "", part)
        if is_dropout(part) or activation_of(part) == "identity":
            return self.set(node.answer, stream)
        if type(part).__name__ in _MOVING:
            return _HANDLERS[_MOVING[type(part).__name__]](
                self, _as_operator(node, part), stream, ref
            )
        name = _HOST_CLASSES.get(type(part).__name__)
        activation = activation_of(part)
        if name is not None and activation is None:
            return self._host(node, stream, ref, name, part.dim, node.path or "")
        step = Step("part", path=node.path or "", line=node.line)
        if activation is not None:
            return self.set(node.answer, stream.after(step))
        last = len(stream.axes) - 1
        wanted = min(1, last) if is_batch_norm(part) else last
        known = is_linear(part) or is_batch_norm(part) or type(part).__name__ == "Normalise"
        if not known:
            return self.refuse(node, stream, ref, refusal(found))
        axes = self._with_features(stream)
        if axes[wanted] != FEATURES:
            return self._lost(
                node,
                [stream],
                f"{node.where} takes {_axis_name(axes[wanted])} for "
                "its features, and a layer hears the features of one sample",
            )
        self.set(node.answer, stream.after(step, axes))

    @staticmethod
    def _with_features(stream: Stream) -> Axes:
        """The axes, with one feature on a last axis that means nothing."""
        if FEATURES not in stream.labels and stream.axes and stream.axes[-1] is None:
            return (*stream.axes[:-1], FEATURES)
        return stream.axes

    def _host(
        self, node: Node, stream: Stream, ref: Ref, name: str, axis: int | None, path: str
    ) -> None:
        count = len(stream.axes)
        if axis is None:  # what PyTorch takes then
            axis = 0 if count in (0, 1, 3) else 1
        if stream.axes[place(axis, count)] != FEATURES:
            return self.refuse(node, stream, ref, f"{node.where} is taken over "
                f"{_axis_name(stream.axes[place(axis, count)])} (dim={axis}); give dim=-1, over "
                "the outputs of one sample")  # fmt: skip
        self.set(node.answer, stream.after(Step("host", name, path, line=node.line)))

    # ------------------------------------------------------------ operators

    def activation(self, node: Node, stream: Stream, ref: Ref) -> None:
        """An activation of layers."""
        name = _ACTIVATIONS[node.operator]
        if name == "gelu" and _argument(node, 1, "approximate", "none") != "none":
            reason = f"{node.where} approximates; supported is approximate='none', so train with it"
            return self.refuse(node, stream, ref, reason)
        self.set(node.answer, stream.after(Step("activation", name, line=node.line)))

    def nothing(self, node: Node, stream: Stream, ref: Ref) -> None:
        """Values stay as they are."""
        made = node.answer
        same = isinstance(made, Ref) and self.value(made).shape == self.value(ref).shape
        if not same or not self.value(made).floating:
            return self._unknown(node, stream, ref)
        self.set(made, stream)

    def dropout(self, node: Node, stream: Stream, ref: Ref) -> None:
        """Does nothing only where it is told that this is no training."""
        if _argument(node, 2, "training", True) and _argument(node, 1, "p", 0.5):
            reason = (
                f"{node.where} drops at random in evaluation too; write "
                "F.dropout(x, p, training=self.training), or use torch.nn.Dropout"
            )
            return self.refuse(node, stream, ref, reason)
        self.set(node.answer, stream)

    def limits(self, node: Node, stream: Stream, ref: Ref) -> None:
        """A clamp at 0 from below is a ReLU."""
        low, high = _argument(node, 1, "min", None), _argument(node, 2, "max", None)
        if node.operator != "clamp_max" and high is None and low == 0 and not isinstance(low, Ref):
            return self.set(node.answer, stream.after(Step("activation", "relu", line=node.line)))
        self._unknown(node, stream, ref)

    def softmax(self, node: Node, stream: Stream, ref: Ref) -> None:
        """A function for the host."""
        axis = _argument(node, 1, "dim", None)
        self._host(node, stream, ref, node.operator, axis, "")

    def affine(self, node: Node, stream: Stream, ref: Ref) -> None:
        """Sums, differences, products and quotients with what does not depend on the samples."""
        operator = node.operator
        left, right = (
            (*node.arguments, *node.keywords.values())[:2] if operator != "neg" else (ref, 0)
        )
        reverse = left != ref
        other = self.constant(left if reverse else right)
        if other is None or operator in ("div", "truediv", "true_divide", "divide") and reverse or (
            operator in ("rdiv", "rtruediv") or node.keywords.get("rounding_mode")
        ):  # fmt: skip
            return self._unknown(node, stream, ref)
        alpha = float(node.keywords.get("alpha", 1))
        spread = self._on_features(other, stream, ref)
        made = node.answer
        if spread is None or not isinstance(made, Ref) or (
            self.value(made).shape != self.value(ref).shape
        ):  # fmt: skip
            reason = (
                f"{node.where} takes an array of shape {other.shape} to samples with the axes "
                f"{self.value(ref).shape}; only numbers for each feature can be folded into layers"
            )
            return self.refuse(node, stream, ref, reason)
        one, zero = np.ones_like(spread), np.zeros_like(spread)
        if operator in ("add", "radd"):
            factor, offset = (alpha * one, spread) if reverse else (one, alpha * spread)
        elif operator in ("sub", "subtract", "rsub"):
            backwards = reverse != (operator == "rsub")
            factor, offset = (-alpha * one, spread) if backwards else (one, -alpha * spread)
        elif operator in ("mul", "multiply", "rmul"):
            factor, offset = spread, zero
        elif operator == "neg":
            factor, offset = -one, zero
        else:
            with np.errstate(divide="ignore"):
                factor, offset = 1.0 / spread, zero
        if not (np.isfinite(factor).all() and np.isfinite(offset).all()):
            return self.refuse(
                node, stream, ref, f"{node.where} divides by 0, or has NaN or infinite values"
            )
        step = Step("affine", operator, factor=tuple(factor.tolist()), offset=tuple(offset.tolist()),
                    line=node.line)  # fmt: skip
        self.set(made, stream.after(step))

    def constant(self, given: Any) -> np.ndarray | None:
        """An argument as an array, or None where it is none."""
        if isinstance(given, Ref):
            value = self.value(given)
            return None if value.depends else value.tensor.detach().double().numpy()
        return np.asarray(given, np.float64) if isinstance(given, (int, float)) else None

    def _on_features(self, other: np.ndarray, stream: Stream, ref: Ref) -> np.ndarray | None:
        """One number for each feature, or None where it has other axes."""
        axis, count = stream.feature_axis, len(stream.axes)
        if other.ndim > count:
            return None
        shape = (1,) * (count - other.ndim) + other.shape
        width = self.width(stream, ref)
        if any(size != 1 for place, size in enumerate(shape) if place != axis):
            flat = other.ravel()
            return np.full(width, flat[0]) if flat.size and (flat == flat[0]).all() else None
        if other.size not in (1, width):
            return None
        return np.broadcast_to(other.ravel(), (width,)).copy()


def _leads(node: Node, ref: Ref) -> bool:
    """Whether the samples are what an operator is applied to, not one of its options."""
    if node.operator in _ARITHMETIC:
        return True
    if node.arguments:
        first = node.arguments[0]
        return first == ref or (isinstance(first, (tuple, list)) and ref in first)
    return node.keywords.get("input") == ref


def _takes_last(node: Node, value: Value) -> bool:
    """Whether the state of the last layer is taken out of those of all."""
    index = node.arguments[1:]
    if node.operator == "select" and index[0] == 0:
        index = index[1:]
    elif node.operator != "getitem":
        return False
    return index[0] in (-1, value.shape[0] - 1) and not isinstance(index[0], bool)


def _argument(node: Node, position: int, name: str, default: Any) -> Any:
    """An argument by its place or its name."""
    if len(node.arguments) > position:
        return node.arguments[position]
    return node.keywords.get(name, default)


def _axis_of(node: Node) -> int | None:
    axis = _argument(node, 1, "dim", node.keywords.get("axis"))
    axis = axis[0] if isinstance(axis, (tuple, list)) and len(axis) == 1 else axis
    return axis if isinstance(axis, int) else None


def _axis_name(axis: Any) -> str:
    return "an axis of size 1" if axis is None else f"the axis of {axis}"


def _as_operator(node: Node, part: Any) -> Node:
    """A module that only moves axes, as the operator."""
    options = {
        "Flatten": lambda: (part.start_dim, part.end_dim),
        "Unflatten": lambda: (part.dim, part.unflattened_size),
    }[type(part).__name__]()
    return replace(
        node, operator=type(part).__name__.lower(), arguments=(*node.arguments, *options)
    )


#: Modules that stay on the host at the end, and those that only move axes.
_HOST_CLASSES = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}
_MOVING = {"Flatten": "flatten", "Unflatten": "unflatten"}
_ARITHMETIC = (
    "add", "radd", "sub", "subtract", "rsub", "mul", "multiply", "rmul", "neg", "negative",
    "div", "divide", "truediv", "true_divide", "rdiv", "rtruediv",
)  # fmt: skip
_HANDLERS: dict[str, Callable[[Reader, Node, Stream, Ref], None]] = {
    **dict.fromkeys(_ACTIVATIONS, Reader.activation),
    **dict.fromkeys(_NOTHING, Reader.nothing),
    **dict.fromkeys(_ARITHMETIC, Reader.affine),
    **dict.fromkeys(("clamp", "clip", "clamp_min"), Reader.limits),
    **dict.fromkeys(("softmax", "log_softmax"), Reader.softmax),
    "dropout": Reader.dropout,
    **MOVES,
}
