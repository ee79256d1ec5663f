"""What forward did with an example: operators and parts in the order in which they ran."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

#: Operators that change the first tensor to the kind or the shape of the second.
LED = frozenset("to type_as expand_as view_as reshape_as".split())


@dataclass(frozen=True)
class Line:
    """A line of the user's code.

    Attributes:
        file: name of its file, without folders.
        number: of the line, from 1.
        text: the line, where its source is at hand.
    """

    file: str
    number: int
    text: str = ""

    def __str__(self) -> str:
        """For messages."""
        text = self.text if len(self.text) <= 100 else self.text[:97] + "..."
        return f"line {self.number} of {self.file}" + (f", `{text}`" if text else "")


@dataclass(frozen=True)
class Ref:
    """A tensor in arguments and answers, by its place in `Graph.values`."""

    number: int


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the run.

    Attributes:
        shape: its shape.
        origin: "input", "parameter", "buffer", "attribute" (a tensor that a module holds and that
            is neither), "constant" (made by forward, of nothing that depends on an input) or
            "answer".
        name: of an input; of what is held, as in `named_parameters`; of a constant the names that
            it was made of, or empty.
        depends: whether it depends on an input.
        floating: whether it holds floating-point numbers.
        tensor: its values in this run.
    """

    shape: tuple[int, ...]
    origin: str
    name: str = ""
    depends: bool = False
    floating: bool = True
    tensor: Any = None


@dataclass(frozen=True, eq=False)
class Node:
    """One operator, or one part, that ran.

    Attributes:
        operator: its name, without what says where it came from: "relu" for torch.relu, F.relu and
            Tensor.relu_; the class's for a part.
        path: the part's name in `named_modules`; None for an operator.
        arguments: as it was called, with a Ref for each tensor.
        keywords: the same.
        answer: the same, of what it returned.
        line: where the user's code called it; None where no code of the user did.
        function: what ran; None for a part.
        changes: values among those given that it changes in place. The answer is then a new value,
            and those that share its memory are made anew by nodes of their own, so that a value
            never changes: whoever runs the node gives it copies of these. Where the function
            answers with nothing, its answer is the first of them.
    """

    operator: str
    path: str | None
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    answer: Any
    line: Line | None
    function: Any = None
    changes: tuple[int, ...] = ()

    @property
    def where(self) -> str:
        """For messages: the line, if there is one, and what ran."""
        what = f"{self.path} ({self.operator})" if self.path is not None else self.operator
        return f"{self.line}: {what}" if self.line else what


@dataclass(frozen=True, eq=False)
class Graph:
    """A run of forward.

    Attributes:
        values: all tensors; the inputs come first.
        nodes: what ran, in order.
        answer: what forward returned, with a Ref for each tensor.
        kept: attributes of modules that forward left other tensors in, by their paths.
        narrowed: whether forward makes numbers of fewer bits, which were float64 in this run.
    """

    values: tuple[Value, ...]
    nodes: tuple[Node, ...]
    answer: Any
    kept: tuple[str, ...] = ()
    narrowed: bool = False


def refs(structure: Any) -> Iterator[Ref]:
    """Each Ref in a structure, in order."""
    found: list[Ref] = []
    replaced(structure, Ref, lambda ref: found.append(ref))
    return iter(found)


def replaced(structure: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """A structure of tuples, lists, dicts, dataclasses of the user's and slices with something in
    place of each `kind`.
    """
    if isinstance(structure, kind):
        return change(structure)
    if isinstance(structure, tuple):
        return like_tuple(structure, [replaced(part, kind, change) for part in structure])
    if isinstance(structure, list):
        return [replaced(part, kind, change) for part in structure]
    if is_users_dataclass(structure):
        return _filled(structure, {
            one.name: replaced(getattr(structure, one.name), kind, change)
            for one in fields(structure) if hasattr(structure, one.name)
        })  # fmt: skip
    if isinstance(structure, Mapping):
        parts = {key: replaced(part, kind, change) for key, part in structure.items()}
        plain = type(structure) is dict or not isinstance(structure, dict)
        return parts if plain else _filled(structure, {}, parts)
    if isinstance(structure, slice):
        ends = (structure.start, structure.stop, structure.step)
        return slice(*(replaced(end, kind, change) for end in ends))
    return structure


def like_tuple(structure: tuple[Any, ...], parts: list[Any]) -> tuple[Any, ...]:
    """A tuple of the same kind: a named one, or what torch.max and torch.sort answer with."""
    if hasattr(structure, "_fields"):
        return type(structure)(*parts)
    return type(structure)(parts) if hasattr(structure, "n_sequence_fields") else tuple(parts)


def is_users_dataclass(structure: Any) -> bool:
    """Whether it is an object of a dataclass, and none of ours."""
    own = type(structure).__module__.startswith("lnn2loihi.")
    return is_dataclass(structure) and not isinstance(structure, type) and not own


def _filled(structure: Any, values: Mapping[str, Any], entries: Any = None) -> Any:
    """A copy with other attributes and entries; nothing of its class runs on what stands in for
    tensors.
    """
    made, entries = copy.copy(structure), entries or {}
    for name, value in values.items():
        object.__setattr__(made, name, value)
    if isinstance(made, dict):
        for key in list(made):
            dict.__setitem__(made, key, values[key] if key in values else entries.get(key))
    return made
