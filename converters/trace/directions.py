"""A recurrent layer that runs in both directions of time, as what it is: for each of its layers two
of one direction, one of which hears the samples from the last one on, and answers put together.

Layers whose states are projected are taken apart too, since the states that the module hands out
are maps of what each of them says.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from lnn2loihi.converters.trace.graph import Node, Ref, Value, refs
from lnn2loihi.converters.trace.held import hooks_within
from lnn2loihi.converters.trace.recording import Recording
from lnn2loihi.converters.trace.sizes import Size

#: What the keys of the weights of each direction end in, and what its part is called.
_DIRECTIONS = (("", "forward"), ("_reverse", "backward"))


def in_directions(recording: Recording, whole: Container[str] = ()) -> Recording:
    """The recording with each nn.GRU and nn.LSTM of two directions, and each of several layers with
    projections, taken apart.

    Args:
        recording: the recording.
        whole: paths of parts that stay as they are.

    Returns:
        A recording whose `directions` are the parts that are new; the host cannot run these, since
        the module does not hold them. The recording itself where there is nothing to take apart.
    """
    taken = _Taken(recording)
    for place, node in enumerate(recording.graph.nodes):
        path = node.path
        if path is None or path in whole or not _is_several(recording, node):
            taken.keep(place)
        else:
            taken.apart(place)
    return taken.recording() if taken.directions else recording


def _is_several(recording: Recording, node: Node) -> bool:
    """Whether a node is such a layer, as PyTorch has it, that is called with one tensor."""
    live = recording.module.get_submodule(node.path or "")
    return (
        isinstance(live, (nn.GRU, nn.LSTM))
        and (live.bidirectional or (live.proj_size > 0 and live.num_layers > 1))
        and type(live).forward in (nn.GRU.forward, nn.LSTM.forward)
        and not hooks_within(live, node.path or "", own=not node.path)
        and bool(node.arguments)
        and isinstance(node.arguments[0], Ref)
    )


@dataclass(eq=False)
class _Taken:
    """A recording that is being rewritten; nodes with and without sizes go side by side."""

    source: Recording
    values: list[Value] = field(default_factory=list)
    shapes: list[tuple[Size, ...]] = field(default_factory=list)
    plain: list[Node] = field(default_factory=list)
    sized: list[Node] = field(default_factory=list)
    directions: dict[str, nn.Module] = field(default_factory=dict)
    #: For each node of the source the place of its first one here.
    places: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values, self.shapes = list(self.source.graph.values), list(self.source.shapes)

    def recording(self) -> Recording:
        """What came of it."""
        source, loop = self.source, self.source.loop
        if loop is not None:
            places = [*self.places, len(self.plain)]
            loop = range(places[loop.start], places[loop.stop])
        graph = replace(source.graph, values=tuple(self.values), nodes=tuple(self.plain))
        return replace(
            source,
            graph=graph,
            nodes=tuple(self.sized),
            shapes=tuple(self.shapes),
            loop=loop,
            directions=self.directions,
        )

    def keep(self, place: int) -> None:
        """A node that stays as it is."""
        self.places.append(len(self.plain))
        self.plain.append(self.source.graph.nodes[place])
        self.sized.append(self.source.nodes[place])

    def apart(self, place: int) -> None:
        """A layer of two directions."""
        self.places.append(len(self.plain))
        node = self.source.graph.nodes[place]
        path = node.path or ""
        live: Any = self.source.module.get_submodule(path)
        heard: Ref = node.arguments[0]
        batched = len(self.values[heard.number].shape) == 3
        time = 1 if live.batch_first and batched else 0
        given = node.arguments[1] if len(node.arguments) > 1 else node.keywords.get("hx")
        given = list(refs(given))
        states: list[list[Ref]] = [[] for _ in list(refs(node.answer))[1:]]
        first, *finals = refs(node.answer)
        directions = _DIRECTIONS if live.bidirectional else _DIRECTIONS[:1]
        for layer in range(live.num_layers):
            outputs: list[Ref] = []
            for number, (ending, name) in enumerate(directions):
                name = name if live.num_layers == 1 else f"{name}_{layer}"
                part = self._part(f"{path}.{name}" if path else name, live, layer, ending)
                own = heard if not number else self._flipped(node, heard, time)
                at = len(directions) * layer + number
                before = [self._picked(node, ref, at) for ref in given]
                answer, after = self._called(node, part, own, before)
                outputs.append(answer if not number else self._flipped(node, answer, time))
                for kept, state in zip(states, after, strict=True):
                    kept.append(state)
            made = first if layer == live.num_layers - 1 else None
            heard = self._joined(node, outputs, -1, made)
        for kept, final in zip(states, finals, strict=True):
            self._joined(node, kept, 0, final)

    def _part(self, path: str, live: Any, layer: int, ending: str) -> str:
        """One direction of one layer, under a path of its own."""
        if path not in self.directions:
            end = f"_l{layer}{ending}"
            weights = {
                key: getattr(live, f"{key}{end}").detach().cpu()
                for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
                if hasattr(live, f"{key}{end}")
            }
            kind = nn.GRU if isinstance(live, nn.GRU) else nn.LSTM
            part = kind(
                weights["weight_ih"].shape[1],
                live.hidden_size,
                bias=live.bias,
                batch_first=live.batch_first,
                **({"proj_size": live.proj_size} if kind is nn.LSTM else {}),
                dtype=weights["weight_ih"].dtype,
            )
            part.load_state_dict({f"{key}_l0": array for key, array in weights.items()})
            self.directions[path] = part.eval()
        return path

    def _called(
        self, node: Node, path: str, heard: Ref, before: Sequence[Ref]
    ) -> tuple[Ref, list[Ref]]:
        part: Any = self.directions[path]
        states = tuple(before) if len(before) > 1 else before[0] if before else None
        arguments = (heard,) if states is None else (heard, states)
        with torch.no_grad():
            tensors = [self.values[ref.number].tensor for ref in (heard, *before)]
            hx = tuple(tensors[1:]) if len(before) > 1 else tensors[1] if before else None
            answer, after = copy.deepcopy(part).double()(tensors[0], hx)
        kept = list(after) if isinstance(after, tuple) else [after]
        shape = self.shapes[heard.number]
        width = Size(constant=answer.shape[-1])
        batch = () if answer.dim() == 2 else (shape[0 if part.batch_first else 1],)
        one = Size(constant=1)
        made = self._made(answer, (*shape[:-1], width))
        states_made = [
            self._made(state, (one, *batch, Size(constant=state.shape[-1]))) for state in kept
        ]
        said = (made, tuple(states_made) if len(kept) > 1 else states_made[0])
        self._add(Node(node.operator, path, arguments, {}, said, node.line))
        return made, states_made

    def _flipped(self, node: Node, ref: Ref, axis: int) -> Ref:
        tensor = self.values[ref.number].tensor.flip([axis])
        made = self._made(tensor, self.shapes[ref.number])
        self._add(Node("flip", None, (ref, [axis]), {}, made, node.line, torch.flip))
        return made

    def _picked(self, node: Node, ref: Ref, at: int) -> Ref:
        """The initial state of one layer and direction."""
        value, entry = self.values[ref.number], slice(at, at + 1)
        tensor = value.tensor[entry]
        made = self._made(
            tensor, (Size(constant=1), *self.shapes[ref.number][1:]), depends=value.depends
        )
        self._add(Node("getitem", None, (ref, entry), {}, made, node.line, Tensor.__getitem__))
        return made

    def _joined(self, node: Node, given: Sequence[Ref], axis: int, made: Ref | None) -> Ref:
        if made is None:
            tensor = torch.cat([self.values[ref.number].tensor for ref in given], axis)
            shape = list(self.shapes[given[0].number])
            shape[axis] = Size(constant=tensor.shape[axis])
            made = self._made(tensor, tuple(shape))
        self._add(Node("cat", None, (list(given), axis), {}, made, node.line, torch.cat))
        return made

    def _made(self, tensor: Tensor, shape: tuple[Size, ...], depends: bool = True) -> Ref:
        origin = "answer" if depends else "constant"
        self.values.append(Value(tuple(tensor.shape), origin, "", depends, True, tensor.detach()))
        self.shapes.append(shape)
        return Ref(len(self.values) - 1)

    def _add(self, node: Node) -> None:
        self.plain.append(node)
        self.sized.append(node)
