"""Gives every tensor of a recording its meaning for a chip; see `flows`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from lnn2loihi.converters.modules.activations import activation_of
from lnn2loihi.converters.modules.affine import Affine
from lnn2loihi.converters.modules.atoms import Call, Given
from lnn2loihi.converters.modules.calls import read_call, read_parts, read_state
from lnn2loihi.converters.modules.classes import is_linear
from lnn2loihi.converters.modules.entering import entered, followed, labelled, lengths
from lnn2loihi.converters.modules.flows import Flow, Host, Kept, Meaning, Several
from lnn2loihi.converters.modules.joins import JOINS, read_average, read_change
from lnn2loihi.converters.modules.moves import takes_an_end
from lnn2loihi.converters.modules.norms import NORMS, norm_of, read_norm
from lnn2loihi.converters.modules.operators import HANDLERS, NOTHING, unknown, with_features
from lnn2loihi.converters.modules.reader import MOVING, Reader, as_operator, leads
from lnn2loihi.converters.modules.registered import does_nothing, is_batch_norm
from lnn2loihi.converters.modules.stepping import StepKey, Steps
from lnn2loihi.converters.modules.streams import Step
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.converters.recurrent.known import is_recurrent
from lnn2loihi.converters.trace.axes import BATCH, FEATURES, TIME, Axes
from lnn2loihi.converters.trace.graph import LED, Node, Ref, refs
from lnn2loihi.converters.trace.recording import Recording

#: What stands between a reason and what to do about it.
_ADVICE = re.compile(r"; (?=answer|compute|give|take|train|write|begin)|\. (?=[A-Z])")
#: Why modules and operators stay on the host, by the beginnings of their names in lower case.
_KEPT = {
    ("conv",): "a convolution, of which there is no layer yet",
    ("groupnorm", "group_norm", "instance"): (
        "it normalises by the statistics of groups of features; LayerNorm and RMSNorm are layers"
    ),
    ("batchnorm2d", "batchnorm3d"): "it normalises images; features would be folded",
    ("softmax", "log_softmax", "logsoftmax", "softmin"): "it is taken over all features at once",
    ("embedding",): "it looks values up in a table",
    ("multiheadattention", "transformer", "scaled_dot", "multi_head"): (
        "attention reads several samples at once"
    ),
    ("maxpool", "avgpool", "adaptive", "max_pool", "avg_pool"): "it pools over other axes",
}


class FlowReader(Reader):
    """Reads a recording.

    Args:
        recording: the recording.
        banned: why atoms and calls stay on the host although a chip could have them, by digest.
        kept: the same of recurrent parts at single nodes, by their places.

    Attributes:
        meanings: of the values that depend on an input, by number.
        reasons: why a node stays on the host, by its place.
        called: places of the nodes at which each recurrent part runs as it is called, by digest.
    """

    def __init__(
        self,
        recording: Recording,
        banned: Mapping[bytes, str] = MappingProxyType({}),
        kept: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self.recording, self.graph, self.banned = recording, recording.graph, banned
        self.kept = kept
        self.called: dict[bytes, list[int]] = {}
        self._stepwise: set[bytes] = set()
        self.parts = recording.parts
        self.meanings: dict[int, Any] = {}
        self.reasons: dict[int, str] = {}
        self._reached: dict[bytes, frozenset[bytes]] = {}
        self.sizes = {BATCH: 1, TIME: 1, **recording.sizes}
        self.steps = lengths(self.graph, self.parts)
        self.host_steps = Steps(self.graph, self._labels)
        self._apart: set[bytes] = set()
        self._stepped: dict[int, StepKey] = {}
        self._families: dict[str, tuple[FamilyParts | None, list[str]]] = {}
        self._known = {given.number: given.axes for given in recording.inputs}
        self._place = 0

    def follow(self) -> FlowReader:
        """Reads all nodes; again, where what looked like the steps of a sequence were not all."""
        while True:
            self._read()
            numbers = self.host_steps.numbers
            apart = {
                key.digest
                for key in self._stepped.values()
                if len(numbers[key.digest]) != key.base.time
            }
            if not apart:
                return self
            self._apart |= apart
            self.meanings, self.reasons, self._stepped = {}, {}, {}
            self.called, self._stepwise = {}, set()
            self.host_steps = Steps(self.graph, self._labels)

    def numbers_of(self, given: Given) -> tuple[int, ...]:
        """The values that enter the chip as one: the steps of a sequence, or one alone."""
        key = self._stepped.get(given.number)
        if key is None or TIME in given.axes:
            return (given.number,)
        numbers = self.host_steps.numbers[key.digest]
        return tuple(numbers[at] for at in range(key.base.time))

    def _read(self) -> None:
        for place, node in enumerate(self.graph.nodes):
            self._place = place
            given = [ref for ref in refs((node.arguments, node.keywords)) if self._depends(ref)]
            given = given[:1] if node.operator in LED else given
            if given and any(map(self._depends, refs(node.answer))):
                self._node(node, given)
                if all(isinstance(self.meanings.get(r.number), Host) for r in refs(node.answer)):
                    self.host_steps.note(node, given, self._known_flow)

    def _known_flow(self, ref: Ref) -> Flow | None:
        meaning = self.meanings.get(ref.number)
        return meaning if isinstance(meaning, Flow) else None

    def flow(self, ref: Ref) -> Flow | None:
        """A tensor that depends on an input as a flow; as it goes onto a chip, where the host has
        it; None where its axes mean nothing on a chip.
        """
        meaning = self.meanings.get(ref.number, Host())
        if isinstance(meaning, Flow):
            return meaning
        value = self.value(ref)
        if not isinstance(meaning, Host) or not value.floating:
            return None
        axes = labelled(value.shape, self._labels(ref.number), self.steps)
        key = self.host_steps.whole(ref.number, self._apart)
        if axes is None or key is None or TIME in axes:
            return None if axes is None else self.entered(ref.number, axes)
        first = self.host_steps.numbers[key.digest][0]
        self._stepped[first] = key
        flow = self.entered(first, axes)
        given = replace(flow.expression.atoms[0], base=key.base)
        return replace(flow, expression=Affine.of(given), base=key.base, at=key.at)

    def entered(self, number: int, axes: Axes) -> Flow:
        """All of a value of the host, as it goes onto a chip."""
        shape = self.graph.values[number].shape
        return entered(number, shape, axes, self.recording.shape_of(number))

    def layers(self, path: str) -> tuple[FamilyParts | None, list[str]]:
        """The layers of a recurrent part, or why there are none."""
        if path not in self._families:
            self._families[path] = read_parts(path, self.recording.live(path))
        return self._families[path]

    def set(self, answer: Any, meaning: Any) -> None:
        """What all tensors of an answer mean; the host's, where they hear what is banned, or are
        other steps with another example.
        """
        for ref in refs(answer):
            if isinstance(meaning, Flow) and self._has_other_steps(ref, meaning):
                reason = (
                    f"{self.graph.nodes[self._place].where} answers with as many steps as it is "
                    "given with this example, and with others where an example has another length"
                )
                self.reasons.setdefault(self._place, reason)
                meaning = Host()
        if isinstance(meaning, Flow) and self.banned:
            for digest in self._heard(meaning.expression):
                if digest in self.banned:
                    self.reasons.setdefault(self._place, self.banned[digest])
                    meaning = Host()
                    break
        for ref in refs(answer):
            self.meanings[ref.number] = meaning

    def note_call(self, call: Call, at: int | None) -> None:
        """Notes that a recurrent part runs at this node, for all steps or for one."""
        self.called.setdefault(call.digest, []).append(self._place)
        if at is not None and call.base.time > 1:
            self._stepwise.add(call.digest)

    def is_stepwise(self, call: Call) -> bool:
        """Whether a part is called with one step of a sequence after the other."""
        return call.digest in self._stepwise

    def _has_other_steps(self, ref: Ref, flow: Flow) -> bool:
        """Whether a tensor has as many steps as the samples that it seems to be of by chance."""
        sizes = self.recording.shape_of(ref.number)
        if flow.at is not None or TIME not in flow.axes or len(sizes) != len(flow.axes):
            return False
        size = sizes[flow.axes.index(TIME)]
        return not size.fixed and followed((TIME,), (size,)) not in flow.base.follows

    def _heard(self, expression: Affine) -> Iterator[bytes]:
        """The digests of all that an expression hears, directly or through others."""
        for atom in expression.atoms:
            if atom.digest not in self._reached:
                others = (digest for own in atom.heard for digest in self._heard(own))
                self._reached[atom.digest] = frozenset((atom.digest, *others))
            yield from self._reached[atom.digest]

    def width(self, stream: Any, ref: Ref) -> int:
        """Number of features."""
        return stream.expression.rows

    def sizes_of(self, stream: Any, ref: Ref) -> dict[str, int]:
        """The size of each axis."""
        base = stream.base
        return {BATCH: base.batch, TIME: base.time, FEATURES: stream.expression.rows}

    def refuse(self, node: Node, stream: Any, ref: Any, reason: str) -> None:
        """The node stays on the host; `reason` may go on with advice that is of use where all of a
        module has to be one network.
        """
        if reason.startswith(node.where) and "stays on the host" not in reason:
            said = _ADVICE.split(reason[len(node.where) :], maxsplit=1)[0]
            reason = node.where + said
        self.reasons.setdefault(self._place, reason)
        self.set(node.answer, Host())

    def lost(self, node: Node, own: Any, reason: str) -> None:
        """The same."""
        self.refuse(node, None, None, reason)

    def _labels(self, number: int) -> tuple[str | None, ...]:
        """For each axis of a value BATCH or TIME, where its size follows the example's."""
        if number in self._known:
            return self._known[number]
        found: list[str | None] = []
        shape = self.graph.values[number].shape
        for place, size in enumerate(self.recording.shape_of(number)):
            if size.fixed:
                own = None
                for label in (BATCH, TIME):
                    fixed = label in self.recording.fixed and label not in found
                    if own is None and fixed and shape[place] == self.sizes[label] > 1:
                        own = label
                found.append(own)
            elif size.batch and size.time:
                return (BATCH, BATCH)  # which are no two axes
            else:
                found.append(BATCH if size.batch else TIME)
        return tuple(found)

    def _node(self, node: Node, given: list[Ref]) -> None:
        if node.path is not None and is_recurrent(self.parts[node.path]):
            reason = self.kept.get(self._place) or read_call(self, node)
            return self.refuse(node, None, None, reason) if reason else None
        if node.operator == "setitem":
            changed = read_change(self, node)
            return self._put_together(node, changed)
        kept = self.meanings.get(given[0].number)
        if isinstance(kept, (Kept, Several)):
            if read_state(self, node, kept):
                return None
            average = read_average(node, kept) if isinstance(kept, Several) else None
            if average is not None:
                return self.set(node.answer, average)
            return self.set(node.answer, kept if node.operator in NOTHING else Host())
        name = (
            type(self.parts[node.path]).__name__.lower() if node.path is not None else node.operator
        )
        if name in JOINS:
            made = JOINS[name](self, self._as_operator(node))
            if made is not None or len(given) > 1:
                return self._put_together(node, made)
        if len(given) > 1:
            return self._put_together(node, None)
        flow = self.flow(given[0])
        if flow is None:
            if (reason := self._kept_reason(node)) is not None:
                self.reasons.setdefault(self._place, reason)
            return self.set(node.answer, Host())
        if node.path is not None:
            return self._part(node, flow, given[0])
        if (reason := self._kept_reason(node)) is not None:
            return self.refuse(node, None, None, reason)
        handler = read_norm if node.operator in NORMS else HANDLERS.get(node.operator)
        if handler is None or not leads(node, given[0]):
            return unknown(self, node, flow, given[0])  # pyright: ignore[reportArgumentType]
        handler(self, node, flow, given[0])  # pyright: ignore[reportArgumentType]
        if flow.at is None and self._takes_another_step(node, flow):
            return self._stays(node, given[0])
        return None

    def dropped(self, stream: Any, rate: Any) -> None:
        """Rates of dropout are those of networks, and of no part of a whole module."""

    def _takes_another_step(self, node: Node, before: Flow) -> bool:
        """Whether a node takes one step out of a sequence that is neither the first nor the last
        one of every length.
        """
        made = self.meanings.get(next(refs(node.answer)).number)
        if TIME in self.recording.fixed or not isinstance(made, Flow) or made.at is None:
            return False
        if TIME not in before.axes or before.base.time == 1:
            return False
        axis = before.axes.index(TIME)
        sized = self.recording.nodes[self._place]
        return not takes_an_end(sized, axis, len(before.axes))

    def _stays(self, node: Node, given: Ref) -> None:
        """A node whose answer is the host's after all."""
        for ref in refs(node.answer):
            self.meanings.pop(ref.number, None)
        reason = (
            f"{node.where} takes a step of a sequence that is neither the first nor the last one, "
            "and which one that is depends on the length; the chip hands all steps over"
        )
        self.refuse(node, None, given, reason)

    def _kept_reason(self, node: Node) -> str | None:
        """Why an operator or a module stays on the host whatever it is given; None for others."""
        name = node.operator.lower()
        for beginnings, reason in _KEPT.items():
            if name.startswith(beginnings):
                return f"{node.where} stays on the host: {reason}"
        return None

    def _as_operator(self, node: Node) -> Node:
        """A module that does what an operator does, with its options."""
        if node.path is None:
            return node
        part = self.parts[node.path]
        option = part.dim if type(part).__name__ == "GLU" else getattr(part, "weight", None)
        return replace(node, arguments=(*node.arguments, option))

    def _put_together(self, node: Node, made: Meaning | None) -> None:
        if made is None:
            reason = self._kept_reason(node) or (
                f"{node.where} puts tensors together as no synapse and no product does"
            )
            return self.refuse(node, None, None, reason)
        return self.set(node.answer, made)

    def _part(self, node: Node, stream: Any, ref: Ref) -> None:
        path = node.path or ""
        part = self.parts[path]
        if does_nothing(part):
            return self.set(node.answer, stream)
        kind = type(part).__name__
        if kind in MOVING:
            return HANDLERS[MOVING[kind]](self, as_operator(node, part), stream, ref)
        if (activation := activation_of(part)) is not None:
            step = Step("activation", activation, path, line=node.line)
            return self.set(node.answer, stream.after(step))
        if norm_of(part) is not None:
            return read_norm(self, node, stream, ref)
        step = _affine(path, part, node)
        axes = with_features(stream)
        wanted = min(1, len(axes) - 1) if is_batch_norm(part) else len(axes) - 1
        if step is None:
            reason = self._kept_reason(node) or (
                f"{node.where} stays on the host: a {kind} is none of the modules that the chip has"
            )
            return self.refuse(node, None, None, reason)
        if axes[wanted] != FEATURES:
            reason = f"{node.where} takes other axes for its features than those of one sample"
            return self.refuse(node, None, None, reason)
        return self.set(node.answer, stream.after(step, axes))


def _affine(path: str, part: Any, node: Node) -> Step | None:
    """What a Linear, a BatchNorm1d or a Normalise does to features; None for all else."""

    def array(name: str, default: float = 0.0) -> Any:
        own = getattr(part, name, None)
        return default if own is None else own.detach().cpu().double().numpy()

    if is_linear(part):
        weight = np.ascontiguousarray(array("weight"))
        bias = np.broadcast_to(array("bias"), (len(weight),))
        return Step("map", path=path, weight=weight.tobytes(), offset=tuple(bias.tolist()),
                    line=node.line)  # fmt: skip
    if is_batch_norm(part) and part.running_mean is not None:
        factor = array("weight", 1.0) / np.sqrt(array("running_var") + part.eps)
        offset = array("bias") - array("running_mean") * factor
    elif type(part).__name__ == "Normalise":
        factor = 1.0 / array("std")
        offset = -array("mean") * factor
    else:
        return None
    return Step("affine", path=path, factor=tuple(factor.tolist()), offset=tuple(offset.tolist()),
                line=node.line)  # fmt: skip
