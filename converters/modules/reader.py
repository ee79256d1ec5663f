"""Follows the samples through a recorded forward, node by node."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lnn2loihi.converters.modules.activations import activation_of
from lnn2loihi.converters.modules.classes import class_name, is_dropout, is_linear
from lnn2loihi.converters.modules.norms import NORMS, norm_of, read_norm
from lnn2loihi.converters.modules.operators import (
    ARITHMETIC,
    HANDLERS,
    NOTHING,
    axis_name,
    host,
    unknown,
    with_features,
)
from lnn2loihi.converters.modules.recurrences import read_recurrent
from lnn2loihi.converters.modules.registered import Part, does_nothing, is_batch_norm, refusal
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
from lnn2loihi.converters.trace.graph import LED, Graph, Node, Ref, Value, refs

_log = logging.getLogger("lnn2loihi")
_DROPOUT = "torch.nn.modules.dropout.Dropout"


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
        self._dropouts: list[tuple[tuple[Step, ...], float]] = []
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
            given = given[:1] if node.operator in LED else given
            if given and any(map(self._depends, refs(node.answer))):
                self._node(node, given)
                for ref in refs(node.answer):
                    if self._depends(ref) and ref.number not in self.meanings:
                        self.meanings[ref.number] = Lost((f"{node.where} cannot be followed",))
        found = read_answer(self.graph, self.meanings, self.sizes[TIME])
        on_the_way = dict.fromkeys(
            (len(before), rate)
            for before, rate in self._dropouts
            if found.steps[: len(before)] == before
        )
        return replace(found, dropouts=tuple(on_the_way))

    def dropped(self, stream: Stream, rate: Any) -> None:
        """Notes that training drops some of a stream."""
        if isinstance(rate, (int, float)) and 0.0 < rate < 1.0:
            self._dropouts.append((stream.steps, float(rate)))

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
            if node.operator in NOTHING:
                return self.set(node.answer, states[0])
            return self.lost(node, own, state_used(states[0], f"{node.where} takes"))
        if len(given) > 1:
            return self._several(node, own)
        ref, stream = given[0], own[0]
        assert isinstance(stream, Stream)
        if node.path is not None:
            return self._part(node, stream, ref)
        handler = read_norm if node.operator in NORMS else HANDLERS.get(node.operator)
        if handler is None or not leads(node, ref):
            return unknown(self, node, stream, ref)
        return handler(self, node, stream, ref)

    def _refused_part(self, node: Node) -> list[str]:
        """Whether a part that is not reached by steps could not be imported anyway."""
        if node.path is None:
            return []
        part = self.parts[node.path]
        known = is_recurrent(part) or is_linear(part) or activation_of(part) or does_nothing(part)
        known = known or norm_of(part) is not None
        if known or is_batch_norm(part) or type(part).__name__ in ("Normalise", *HOST_CLASSES):
            return []
        return [refusal(Part(node.path, part))]

    def lost(self, node: Node, own: list[Meaning], reason: str) -> None:
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
            self.lost(node, [stream], reason)

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
        reason = (
            f"{node.where} {what} ({heads(own)}); a network is one chain of layers, so import each "
            "branch alone"
        )
        self.lost(node, own, reason)

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
        if class_name(part) == _DROPOUT:
            self.dropped(stream, part.p)
        elif is_dropout(part):  # whole features or steps, or other numbers than zeros
            _log.warning(
                "%s: %s drops otherwise than unit by unit; its rate is not taken", found.path,
                type(part).__name__,
            )  # fmt: skip
        if is_dropout(part) or activation_of(part) == "identity":
            return self.set(node.answer, stream)
        if type(part).__name__ in MOVING:
            return HANDLERS[MOVING[type(part).__name__]](self, as_operator(node, part), stream, ref)
        name = HOST_CLASSES.get(type(part).__name__)
        activation = activation_of(part)
        if name is not None and activation is None:
            return host(self, node, stream, ref, name, part.dim, node.path or "")
        step = Step("part", path=node.path or "", line=node.line)
        if activation is not None:
            return self.set(node.answer, stream.after(step))
        if norm_of(part) is not None:
            return read_norm(self, node, stream, ref)
        last = len(stream.axes) - 1
        wanted = min(1, last) if is_batch_norm(part) else last
        known = is_linear(part) or is_batch_norm(part) or type(part).__name__ == "Normalise"
        if not known:
            return self.refuse(node, stream, ref, refusal(found))
        axes = with_features(stream)
        if axes[wanted] != FEATURES:
            return self.lost(
                node,
                [stream],
                f"{node.where} takes {axis_name(axes[wanted])} for "
                "its features, and a layer hears the features of one sample",
            )
        self.set(node.answer, stream.after(step, axes))


def leads(node: Node, ref: Ref) -> bool:
    """Whether the samples are what an operator is applied to, not one of its options."""
    if node.operator in ARITHMETIC:
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


def as_operator(node: Node, part: Any) -> Node:
    """A module that only moves axes, as the operator."""
    options = {
        "Flatten": lambda: (part.start_dim, part.end_dim),
        "Unflatten": lambda: (part.dim, part.unflattened_size),
    }[type(part).__name__]()
    return replace(
        node, operator=type(part).__name__.lower(), arguments=(*node.arguments, *options)
    )


#: Modules that stay on the host at the end, and those that only move axes.
HOST_CLASSES = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}
MOVING = {"Flatten": "flatten", "Unflatten": "unflatten"}
