"""What the host computes in a loop over the steps of a sequence, the same in each.

A value of one step has a key: how it is computed of that step of the samples. Values of all steps
with one key are one sequence, which enters the chip step by step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from lnn2loihi.converters.modules.atoms import Base
from lnn2loihi.converters.modules.flows import Flow
from lnn2loihi.converters.trace.axes import BATCH, TIME, place
from lnn2loihi.converters.trace.graph import Graph, Node, Ref, refs, replaced


@dataclass(frozen=True)
class StepKey:
    """How a value of one step is computed.

    Attributes:
        digest: of all that is computed, without the step.
        at: the step.
        base: the samples.
    """

    digest: bytes
    at: int
    base: Base


@dataclass(eq=False)
class Steps:
    """Values of single steps.

    Attributes:
        graph: of the recording.
        labels: gives for each axis of a value BATCH or TIME, where its size follows the example's.
        keys: of values, by number.
        numbers: for each key the value of each step.
    """

    graph: Graph
    labels: Callable[[int], tuple[str | None, ...]]
    keys: dict[int, StepKey] = field(default_factory=dict)
    numbers: dict[bytes, dict[int, int]] = field(default_factory=dict)

    def note(self, node: Node, given: list[Ref], flow: Callable[[Ref], Flow | None]) -> None:
        """Notes of which step a node of the host is, if it is of one.

        Args:
            node: the node.
            given: its tensors that depend on an input.
            flow: gives a tensor of the chip as a flow.
        """
        taken = self._taken(node, given[0]) if len(given) == 1 else None
        if taken is not None:
            for ref, key in taken:
                self._set(ref.number, key)
            return
        keys = [self.keys.get(ref.number) or _of_flow(flow(ref)) for ref in given]
        first = keys[0]
        if first is None or any(
            key is None or (key.at, key.base) != (first.at, first.base) for key in keys
        ):
            return
        said = hashlib.sha256(repr((node.operator, node.path)).encode())
        by_number = {ref.number: key for ref, key in zip(given, keys, strict=True)}
        arguments = replaced((node.arguments, dict(node.keywords)), Ref, self._text(by_number))
        said.update(repr(arguments).encode())
        for number, ref in enumerate(refs(node.answer)):
            own = said.copy()
            own.update(str(number).encode())
            self._set(ref.number, StepKey(own.digest(), first.at, first.base))

    def whole(self, number: int, left_out: set[bytes]) -> StepKey | None:
        """The key of a value whose first step is known, unless it is left out."""
        key = self.keys.get(number)
        known = key is not None and key.digest not in left_out and 0 in self.numbers[key.digest]
        return key if known else None

    def _set(self, number: int, key: StepKey) -> None:
        self.keys[number] = key
        self.numbers.setdefault(key.digest, {}).setdefault(key.at, number)

    def _text(self, keys: dict[int, StepKey | None]) -> Callable[[Ref], str]:
        def text(ref: Ref) -> str:
            key = keys.get(ref.number)
            if key is not None:
                return key.digest.hex()
            tensor = self.graph.values[ref.number].tensor
            array = tensor.detach().numpy()
            return hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()

        return text

    def _taken(self, node: Node, ref: Ref) -> list[tuple[Ref, StepKey]] | None:
        """Single steps that a node takes out of a tensor of the host."""
        value = self.graph.values[ref.number]
        labels = self.labels(ref.number)
        if labels.count(TIME) != 1 or labels.count(BATCH) > 1 or ref.number in self.keys:
            return None
        axis = labels.index(TIME)
        batch = value.shape[labels.index(BATCH)] if BATCH in labels else 1
        base = Base(batch, value.shape[axis])
        if base.time < 2:
            return None
        said = f"step of {ref.number}"
        if node.operator in ("unbind", "iter"):
            given = node.arguments[1] if len(node.arguments) > 1 else node.keywords.get("dim", 0)
            if place(given, len(labels)) != axis:
                return None
            key = hashlib.sha256(said.encode()).digest()
            return [(own, StepKey(key, at, base)) for at, own in enumerate(refs(node.answer))]
        index = node.arguments[1] if len(node.arguments) > 1 else None
        entries = list(index) if isinstance(index, tuple) else [index]
        if node.operator == "select" and len(node.arguments) == 3:
            entries = [slice(None)] * place(node.arguments[1], len(labels)) + [node.arguments[2]]
        elif node.operator != "getitem":
            return None
        if axis >= len(entries) or Ellipsis in entries[:axis] or None in entries[:axis]:
            return None
        chosen = entries[axis]
        if type(chosen) is not int or not isinstance(node.answer, Ref):
            return None
        others = [*entries[:axis], "step", *entries[axis + 1 :]]
        plain = others == [slice(None)] * axis + ["step"]
        if not plain and any(isinstance(one, Ref) for one in others):
            return None
        said += "" if plain else repr(others)
        key = hashlib.sha256(said.encode()).digest()
        return [(node.answer, StepKey(key, place(chosen, base.time), base))]


def _of_flow(flow: Flow | None) -> StepKey | None:
    """The step that a flow is of."""
    if flow is None or flow.at is None or flow.base.time < 2:
        return None
    said = flow.expression.digest + repr(flow.axes).encode()
    return StepKey(hashlib.sha256(said).digest(), flow.at, flow.base)
