"""Nodes of a recording as a module that runs them again, for any batch and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lnn2loihi.converters.modules.classes import class_name
from lnn2loihi.converters.trace.graph import Graph, Node, Ref, refs, replaced
from lnn2loihi.converters.trace.recording import Recording
from lnn2loihi.converters.trace.sizes import Size

#: What a module holds under a name.
_HELD = ("parameter", "buffer")
#: Where a module that is a part as a whole is held.
_ITSELF = "module"


class HostModule(nn.Module):
    """Replays nodes of a recording: module(*given) -> tuple of wanted.

    It holds the parts, parameters and buffers of its source under the names that they have there,
    and takes sizes from the given tensors.

    Args:
        recording: the recording.
        source: whose parts and parameters it runs with: a snapshot of the module, or
            its copy in float64.
        given: the values that it takes.
        wanted: the values that it answers with.

    Raises:
        ValueError: another value would be needed; see `lnn2loihi.converters.trace.host.needed`.

    Attributes:
        shapes: for each value that it takes the sizes of its axes.
        answers: the same of what it answers with.
        examples: what it takes for the example, float64 or integers.
        sizes: the example's BATCH and TIME.
    """

    def __init__(
        self, recording: Recording, source: nn.Module, given: Sequence[int], wanted: Sequence[int]
    ) -> None:
        super().__init__()
        graph = recording.graph
        self._given, self._wanted = tuple(given), tuple(wanted)
        places, missing = closure(recording.nodes, graph, given, wanted)
        if missing:
            names = ", ".join(graph.values[number].name for number in missing)
            raise ValueError(f"{names} would be needed")
        self._nodes = [recording.nodes[place] for place in places]
        self.shapes = [recording.shape_of(number) for number in given]
        self.answers = [recording.shape_of(number) for number in wanted]
        self.examples: list[Tensor] = [graph.values[number].tensor for number in given]
        self.sizes = dict(recording.sizes)
        self._sources = _told(self.shapes)
        lacking = sorted(sizes_used(self._nodes) - set(self._sources))
        if lacking:
            raise ValueError(f"a value would be needed to read the size {lacking[0]} from")
        floating = [p for p in source.parameters() if p.is_floating_point()]
        # A part alone computes in the type that its module has.
        self._type = floating[0].dtype if floating else torch.float32
        self._paths: dict[int, str] = {}
        self._constants: dict[int, str] = {}
        self._hold(recording, source)

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The wanted values."""
        sizes = {
            label: size.size_from(given[place].shape[axis])
            for label, (place, axis, size) in self._sources.items()
        }
        values: dict[int, Tensor] = dict(zip(self._given, given, strict=True))
        for number, path in self._paths.items():
            values.setdefault(number, _at(self, path))
        for number, name in self._constants.items():
            values.setdefault(number, getattr(self, name))
        for node, after in zip(self._nodes, self._dying, strict=True):
            self._run(node, values, sizes)
            for number in after:
                del values[number]
        return tuple(values[number] for number in self._wanted)

    def tensor(self, array: np.ndarray[Any, Any]) -> Tensor:
        """An array as the module takes it."""
        tensor = torch.from_numpy(np.asarray(array, order="C")).to(self._device())
        return tensor.to(self._type) if tensor.is_floating_point() else tensor

    def _run(self, node: Node, values: dict[int, Tensor], sizes: Mapping[str, Any]) -> None:
        copies = {number: values[number].clone() for number in node.changes}

        def tensor(ref: Ref) -> Tensor:
            return copies[ref.number] if ref.number in copies else values[ref.number]

        def arranged(structure: Any) -> Any:
            structure = replaced(structure, Ref, tensor)
            structure = replaced(structure, Size, lambda size: size.at(sizes))
            structure = replaced(structure, torch.dtype, self._kind)
            return replaced(structure, torch.device, lambda _: self._device())

        arguments, keywords = arranged(node.arguments), arranged(dict(node.keywords))
        if node.path is not None:
            part = _at(self, node.path or _ITSELF)
            answer = _called(part, arguments, keywords)
        else:
            function = node.function
            if function is torch.linspace and torch.onnx.is_in_onnx_export():
                function = _linspace
            answer = function(*arguments, **keywords)
        if answer is None:
            answer = copies[node.changes[0]]
        tensors: list[Tensor] = []
        replaced(answer, Tensor, tensors.append)
        for ref, made in zip(refs(node.answer), tensors, strict=True):
            values.setdefault(ref.number, made)

    def _kind(self, kind: torch.dtype) -> torch.dtype:
        """What a recording in float64 made of the module's own type."""
        return self._type if kind == torch.float64 else kind

    def _device(self) -> torch.device:
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def _hold(self, recording: Recording, source: nn.Module) -> None:
        """Takes over what the nodes need of the module, under its own names."""
        graph = recording.graph
        numbers = {
            *(r.number for n in self._nodes for r in refs((n.arguments, n.keywords))),
            *self._wanted,
        }
        made = {ref.number for node in self._nodes for ref in refs(node.answer)}
        for number in sorted(numbers - made - set(self._given)):
            value = graph.values[number]
            if value.origin in _HELD and value.name:
                self._paths[number] = value.name
            else:
                self._constants[number] = f"constant_{number}"
                held = value.tensor
                held = held.to(self._type) if value.floating else held
                self.register_buffer(f"constant_{number}", held.clone(), persistent=False)
        paths = {node.path for node in self._nodes if node.path is not None}
        for path in sorted((*paths, *self._paths.values()), key=lambda p: p.count(".")):
            _mount(self, path or _ITSELF, _at(source, path))
        last: dict[int, int] = {}
        for place, node in enumerate(self._nodes):
            for ref in refs((node.arguments, node.keywords, node.answer)):
                last[ref.number] = place
        keep = {*self._wanted, *self._given, *self._paths, *self._constants}
        #: For each node the values that nobody reads after it.
        self._dying: list[list[int]] = [[] for _ in self._nodes]
        for number, place in last.items():
            if number not in keep:
                self._dying[place].append(number)


def closure(
    nodes: Sequence[Node], graph: Graph, given: Iterable[int], wanted: Iterable[int]
) -> tuple[tuple[int, ...], list[int]]:
    """The nodes that wanted values are made by, and inputs of the module that are not given."""
    makers: dict[int, int] = {}
    for place, node in enumerate(nodes):
        for ref in refs(node.answer):
            makers.setdefault(ref.number, place)
    known, found, missing = set(given), set[int](), set[int]()
    open_ = [number for number in wanted if number not in known]
    while open_:
        number = open_.pop()
        place = makers.get(number)
        if graph.values[number].origin == "input":
            missing.add(number)
        elif place is not None and place not in found:
            found.add(place)
            read = [ref.number for ref in refs((nodes[place].arguments, nodes[place].keywords))]
            open_ += [one for one in read if one not in known]
    return tuple(sorted(found)), sorted(missing)


def sizes_used(nodes: Iterable[Node]) -> set[str]:
    """Which of BATCH and TIME the arguments of nodes follow."""
    found: set[str] = set()
    for node in nodes:
        replaced((node.arguments, dict(node.keywords)), Size, lambda s: found.update(s.follows))
    return found


def _told(shapes: Sequence[Sequence[Size]]) -> dict[str, tuple[int, int, Size]]:
    """For BATCH and TIME the value, the axis and its size from which it can be read."""
    found: dict[str, tuple[int, int, Size]] = {}
    for place, shape in enumerate(shapes):
        for axis, size in enumerate(shape):
            if size.tells is not None:
                found.setdefault(size.tells, (place, axis, size))
    return found


def _linspace(start: Any, end: Any, steps: Any, **kinds: Any) -> Tensor:
    """torch.linspace of operators that an ONNX file has: what exporters write for it divides by 0
    where there is one step.
    """
    places = torch.arange(steps, **kinds)
    return start + places * (
        (end - start) / (steps - 1 + torch.zeros_like(places[:1])).clamp(min=1)
    )


def _called(part: nn.Module, arguments: Any, keywords: Any) -> Any:
    """A part's own answer. Hooks of the user's were recorded beside it; those of PyTorch's own
    parametrizations make its weights.
    """
    hooks = [*part._forward_pre_hooks.values(), *part._forward_hooks.values()]
    if hooks and all(class_name(hook).startswith("torch.nn.utils") for hook in hooks):
        return part(*arguments, **keywords)
    return part.forward(*arguments, **keywords)


def _at(module: nn.Module, path: str) -> Any:
    found: Any = module
    for name in path.split(".") if path else ():
        found = getattr(found, name)
    return found


def _mount(module: nn.Module, path: str, held: Any) -> None:
    """Makes a part or a tensor of another module reachable by its own path."""
    *way, name = path.split(".")
    here: nn.Module = module
    for step in way:
        if not hasattr(here, step):
            here.add_module(step, nn.Module())
        here = getattr(here, step)
    if hasattr(here, name):
        return
    if isinstance(held, nn.Module):
        here.add_module(name, held)
    elif isinstance(held, nn.Parameter):
        here.register_parameter(name, held)
    else:
        here.register_buffer(name, held)
