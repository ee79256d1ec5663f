"""The mode in which a module is recorded: notes what runs, and who shares memory with whom."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.overrides import TorchFunctionMode

from lnn2loihi.converters.trace.graph import LED, Graph, Line, Node, Ref, Value, refs, replaced
from lnn2loihi.converters.trace.held import attribute_tensors
from lnn2loihi.converters.trace.lines import at, running_line
from lnn2loihi.converters.trace.memory import Memory, PutBack, View, address, copied
from lnn2loihi.converters.trace.operators import (
    CONVERSIONS,
    SHAPED,
    SHAPES,
    counts_values,
    may_change,
    of_the_shape,
    operator_name,
    sets_values,
    told,
)

#: Numbers of fewer bits than a network is trained with.
_ROUNDED = (torch.float16, torch.bfloat16)


class CannotFollowError(Exception):
    """Forward does something that no graph can hold; says what, and on which line."""


class Recorder(TorchFunctionMode):
    """The mode in which a module runs.

    Args:
        module: that will run.
        leaves: paths of parts that are recorded as a whole.
        inputs: the example, by name.
        kind: type of the module's own numbers, which forward is told where it asks.

    Attributes:
        refused: the first thing that could not be followed, if there is one.
        failed_of: what the operator that raised an error was given, for messages.
        narrowed: whether forward made numbers of fewer bits than float64.
    """

    def __init__(
        self,
        module: nn.Module,
        leaves: Container[str],
        inputs: Mapping[str, Tensor],
        kind: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self._kind = kind
        self.refused = ""
        self.failed_of = ""
        self.narrowed = False
        self._inside = 0
        self._values: list[Value] = []
        self._nodes: list[Node] = []
        self._memory = Memory()
        self._numbers: dict[int, int] = {}
        #: For each value the inputs that it is made of.
        self._sources: list[frozenset[int]] = []
        #: And the tensor that it was the values of.
        self._owners: list[int] = []
        self._origins: dict[int, tuple[str, str]] = {}
        for key, tensors in attribute_tensors(module, leaves).items():
            self._origins |= {id(t): ("attribute", key) for t in tensors}
        self._origins |= {id(t): ("buffer", key) for key, t in module.named_buffers()}
        self._origins |= {id(t): ("parameter", key) for key, t in module.named_parameters()}
        held = [
            *(t for tensors in attribute_tensors(module, leaves).values() for t in tensors),
            *module.buffers(),
            *module.parameters(),
        ]
        self._held = {address(t): self._origins[id(t)] for t in held}
        for name, tensor in inputs.items():
            floating = torch.is_floating_point(tensor)
            value = Value(tuple(tensor.shape), "input", name, True, floating, tensor)
            self._add(tensor, value, frozenset((len(self._values),)))
            self._held.setdefault(address(tensor), ("input", name))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operator and notes it."""
        kwargs = kwargs or {}
        name = operator_name(func)
        if self._inside:
            return func(*args, **kwargs)
        if name in SHAPES:
            return self._told(name, func, args, kwargs)
        if sets_values(func):
            self._refuse(
                f"{at(running_line())}the data of a tensor is set; compute a new tensor instead"
            )
        return self._ran(name, None, func, args, kwargs, may_change(func, args, kwargs))

    def _told(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        """What tells nothing of values; of types, those of the module."""
        self._inside += 1
        try:
            answer = func(*args, **kwargs)
            found = told(name, args[0] if args else None, answer, self._kind)
        finally:
            self._inside -= 1
        # A run that is not recorded has to be told the same.
        self.narrowed |= found is not answer
        return found

    @contextmanager
    def around(self, parts: Mapping[str, nn.Module]) -> Iterator[None]:
        """Each part has a forward that notes what it is given and answers."""
        own = {path: part.forward for path, part in parts.items()}
        for path, part in parts.items():
            part.forward = self._noting(path, part, own[path])
        try:
            yield
        finally:
            for part in parts.values():
                vars(part).pop("forward", None)

    def _noting(self, path: str, part: nn.Module, forward: Callable[..., Any]) -> Any:
        changes = bool(getattr(part, "inplace", False))

        def noted(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return forward(*args, **kwargs)
            if any(isinstance(one, PackedSequence) for one in (*args, *kwargs.values())):
                self._refuse(
                    f"{at(running_line())}{path} ({type(part).__name__}) is given a "
                    "PackedSequence, which leaves out what is behind the end of each sequence. "
                    "Give the padded sequences, and take of the answers those before the ends: "
                    "y[torch.arange(len(y)), lengths - 1] is the last one of each, and h_n of the "
                    "last layer"
                )
            return self._ran(type(part).__name__, path, forward, args, kwargs, changes)

        return noted

    def graph(self, answer: Any, kept: tuple[str, ...]) -> Graph:
        """All that was noted."""
        replaced(answer, Tensor, self._renew)
        given = replaced(answer, Tensor, self._ref)
        return Graph(tuple(self._values), tuple(self._nodes), given, kept, self.narrowed)

    def _ran(
        self, name: str, path: str | None, func: Any, args: Any, kwargs: Any, changing: bool
    ) -> Any:
        # Neither what runs inside of it nor what is looked at here is a step of forward.
        self._inside += 1
        try:
            return self._noted(name, path, func, args, kwargs, changing)
        finally:
            self._inside -= 1

    def _noted(
        self, name: str, path: str | None, func: Any, args: Any, kwargs: Any, changing: bool
    ) -> Any:
        tensors: list[Tensor] = []
        replaced((args, dict(kwargs)), Tensor, tensors.append)
        for tensor in tensors:
            self._renew(tensor)
        arguments = replaced(args, Tensor, self._ref)
        keywords = replaced(dict(kwargs), Tensor, self._ref)
        given = [self._values[ref.number] for ref in refs((arguments, keywords))]
        depends = name not in SHAPED and any(v.depends for v in given[: 1 if name in LED else None])
        line = running_line()
        if depends and path is None and counts_values(name, args):
            self._refuse(
                f"{at(line)}{name} answers with as many numbers as values that depend on the input "
                "say, and a network has the same shapes for each sample; keep the shape and use "
                "torch.where(condition, a, b), or a product with the mask"
            )
        changed, ran = self._run(func, args, kwargs, tensors, changing)
        answer: Any = list(ran) if name == "iter" else ran
        func = torch.unbind if name == "iter" else func
        self._check_types(name, answer, depends, line)
        if name in CONVERSIONS and tensors and keeps_its_kind(answer, tensors[0]):
            self.narrowed |= bool(answer.dtype != torch.float64)
            answer = tensors[0]
        answer = replaced(answer, Tensor, self._doubled)
        plain = of_the_shape(name, answer, args, kwargs) if path is None else None
        if plain is not None:
            func, arguments, keywords = plain
        node = Node(name, path, arguments, keywords, None, line, None if path else func)
        self._note(node, given, changed, tensors, answer, depends)
        return iter(answer) if name == "iter" else answer

    def _run(
        self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor], changing: bool
    ) -> tuple[Tensor | None, Any]:
        """Runs it; the tensor that it changed, and its answer."""
        if changing and tensors:
            # What was there before the change stays in the values that had it.
            for tensor in self._memory.fresh(_target(tensors, kwargs)):
                number = self._numbers[id(tensor)]
                self._values[number] = replace(self._values[number], tensor=copied(tensor))
        versions = [_version(t) for t in tensors]
        try:
            answer: Any = func(*args, **kwargs)
        except Exception:
            self.failed_of = self._inputs_of(tensors)
            raise
        changed = [t for t, v in zip(tensors, versions, strict=True) if _version(t) != v]
        target = _target(tensors, kwargs) if tensors else None
        return (target if any(t is target for t in changed) else next(iter(changed), None)), answer

    def _check_types(self, name: str, answer: Any, depends: bool, line: Line | None) -> None:
        found: list[Tensor] = []
        replaced(answer, Tensor, found.append)
        rounded = next((t.dtype for t in found if t.dtype in _ROUNDED), None)
        if depends and rounded is not None:
            self._refuse(
                f"{at(line)}{name} computes in {rounded}, which rounds what depends on the input; "
                "run it in float32"
            )
        if depends and not found and name != "setitem":
            self._refuse(
                f"{at(line)}{name} looks at values that depend on the input, so what forward does "
                "next depends on each sample; a network does the same with each"
            )

    def _note(
        self,
        node: Node,
        given: list[Value],
        changed: Tensor | None,
        tensors: list[Tensor],
        answer: Any,
        depends: bool,
    ) -> None:
        """Adds the node, and the values that it makes."""
        numbers = [ref.number for ref in refs((node.arguments, node.keywords))]
        sources = frozenset[int]().union(*(self._sources[n] for n in numbers)) if depends else None
        names = ", ".join(dict.fromkeys(value.name for value in given if value.name))
        changes: tuple[int, ...] = ()
        if changed is not None:
            self._check_change(node, changed)
            changes = (self._numbers.pop(id(changed)),)
        found: list[Tensor] = [] if changed is None else [changed]
        replaced(answer, Tensor, found.append)
        for tensor in found:
            if id(tensor) not in self._numbers and id(tensor) not in self._origins:
                origin = "answer" if depends else "constant"
                floating = torch.is_floating_point(tensor)
                name = "" if depends else names
                shape = tuple(tensor.shape)
                value = Value(shape, origin, name, depends, floating, tensor)
                self._add(tensor, value, sources or frozenset())
        noted = replaced(answer, Tensor, self._ref)
        if changed is not None and not list(refs(noted)):
            noted = self._ref(changed)
        node = replace(node, answer=noted, changes=changes)
        self._nodes.append(node)
        self._memory.made(node, tensors, found if changed is None else [])
        if changed is not None:
            self._write_back(changed, node.line)

    def _write_back(self, tensor: Tensor, line: Line | None) -> None:
        """After a change in place: what the tensor is a view of is made anew with it."""
        for part, view in list(self._memory.wholes(tensor)):
            whole, made = view.whole, view.node
            before, own = self._ref(whole), self._ref(part)
            first, *others = made.arguments or (None,)
            if not isinstance(first, Ref) or made.function is None:
                self._refuse(
                    f"{at(line)}changes the answer of {made.where} in place, which shares its "
                    "memory with what it was made of; write it so that it makes a new tensor"
                )
            old = self._values[before.number]
            depends = old.depends or self._values[own.number].depends
            del self._numbers[id(whole)]
            value = replace(
                old, origin="answer" if depends else "constant", depends=depends, tensor=whole
            )
            sources = self._sources[before.number] | self._sources[own.number]
            after = Ref(self._add(whole, value, sources))
            if made.operator == "getitem":
                set_item, given = torch.Tensor.__setitem__, (before, *others, own)
                node = Node("setitem", None, given, {}, after, line, set_item, (before.number,))
            else:
                put = PutBack(made.function, view.place)
                given = (before, own, *others)
                keywords = made.keywords
                changes = (before.number,)
                node = Node("put_back", None, given, keywords, after, line, put, changes)
            self._nodes.append(node)
        self._memory.changed(tensor)

    def _renew(self, tensor: Tensor) -> None:
        """A view of what was changed since is read again."""
        if not self._memory.is_stale(tensor):
            return
        view = self._memory.view(tensor)
        if view is None:
            self._refuse(
                f"{at(running_line())}reads a tensor whose memory was changed in place through "
                "another one; write it so that it makes a new tensor"
            )
        assert view is not None
        old = next(r for r in refs(view.node.arguments) if self._is(r, view.whole))
        self._renew(view.whole)
        now = self._ref(view.whole)

        def led(ref: Ref) -> Ref:
            return now if ref == old else ref

        depends = self._values[now.number].depends
        numbers = []
        for one in view.made:
            value = self._values[self._numbers[id(one)]]
            origin = "answer" if depends else "constant"
            value = replace(value, origin=origin, depends=depends, tensor=one)
            number = self._numbers[id(one)]
            numbers.append(self._add(one, value, self._sources[now.number]))
            if one is not tensor:
                self._numbers[id(one)] = number
        places = iter(numbers)
        node = replace(
            view.node,
            arguments=replaced(view.node.arguments, Ref, led),
            keywords=replaced(view.node.keywords, Ref, led),
            answer=replaced(view.node.answer, Ref, lambda _: Ref(next(places))),
        )
        self._nodes.append(node)
        self._memory.renewed(tensor, View(node, view.place, view.whole, view.made))

    def _is(self, ref: Ref, tensor: Tensor) -> bool:
        """Whether a value is, or was before a change, in this tensor."""
        return self._owners[ref.number] == id(tensor)

    def _doubled(self, tensor: Tensor) -> Tensor:
        """In float64, whatever type forward asked for."""
        if torch.is_floating_point(tensor) and tensor.dtype != torch.float64:
            self.narrowed = True
            return tensor.double()
        return tensor

    def _check_change(self, node: Node, tensor: Tensor) -> None:
        """Refuses changes in place of what others hold."""
        held = self._held.get(address(tensor))
        if held is not None:
            origin, name = held
            self._refuse(
                f"{at(node.line)}{node.operator} changes the {origin} {name} in place; write it so "
                "that it makes a new tensor"
            )

    def _inputs_of(self, tensors: list[Tensor]) -> str:
        """Which inputs tensors are made of, for messages."""
        numbers = [self._numbers[id(t)] for t in tensors if id(t) in self._numbers]
        found = sorted(frozenset[int]().union(*(self._sources[n] for n in numbers)))
        said = []
        for number in found:
            value = self._values[number]
            kind = str(value.tensor.dtype).removeprefix("torch.")
            said.append(f"{value.name} of shape {value.shape}, {kind}")
        return f"; what it was given there is made of {' and '.join(said)}" if said else ""

    def _refuse(self, text: str) -> None:
        self.refused = self.refused or text
        raise CannotFollowError(text)

    def _ref(self, tensor: Tensor) -> Ref:
        number = self._numbers.get(id(tensor))
        if number is None:
            origin, name = self._origins.get(id(tensor), ("constant", ""))
            floating = torch.is_floating_point(tensor)
            value = Value(tuple(tensor.shape), origin, name, False, floating, tensor.detach())
            number = self._add(tensor, value, frozenset())
        return Ref(number)

    def _add(self, tensor: Tensor, value: Value, sources: frozenset[int]) -> int:
        self._memory.add(tensor)
        self._values.append(value)
        self._sources.append(sources)
        self._owners.append(id(tensor))
        self._numbers[id(tensor)] = number = len(self._values) - 1
        return number


def keeps_its_kind(answer: Any, given: Any) -> bool:
    """Whether a conversion leaves floating-point numbers what they are, but for their bits."""
    return (
        isinstance(answer, Tensor)
        and isinstance(given, Tensor)
        and torch.is_floating_point(answer)
        and torch.is_floating_point(given)
        and answer.shape == given.shape
    )


def _target(tensors: list[Tensor], kwargs: Mapping[str, Any]) -> Tensor:
    """The tensor that an operator changes, if it changes one."""
    out = kwargs.get("out")
    return out if isinstance(out, Tensor) else tensors[0]


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
