"""From the steps that were found in an ONNX graph to the LiquidNetwork of CfC and dense layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.onnx_read.recurrence import OnnxReader
from lnn2loihi.converters.onnx_read.terms import Affine, Identities, NodeError, Terms, same
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.onnx_cells import FoundLayer, FoundStep, find_step
from lnn2loihi.families.cfc.state import SHARED_MEMORY
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.families.dense.layer import LECUN_INPUT, LECUN_OUTPUT, DenseLayer
from lnn2loihi.families.lstm.memory import MEMORY_GATES, Memory
from lnn2loihi.network import FloatArray, Linear, LiquidNetwork


@dataclass(frozen=True, eq=False)
class CfCRecurrence:
    """The steps of a graph, first to last.

    Attributes:
        steps: the steps; all have the same recurrent layers.
    """

    steps: tuple[FoundStep, ...]

    @property
    def last(self) -> FoundStep:
        """The last step, which has all layers."""
        return self.steps[-1]

    @property
    def samples(self) -> list[Identities]:
        """Identities of the sample of each step."""
        return [step.samples for step in self.steps]

    @property
    def elapsed(self) -> list[int]:
        """For each step the identity of its elapsed time; empty where time is constant."""
        found = (
            next((la.elapsed for la in step.layers if la.elapsed is not None), None)
            for step in self.steps
        )
        return [identity for identity in found if identity is not None]

    def initial_states(self) -> dict[str, Identities]:
        """For each stage that keeps a state its identities before the first step."""
        found: dict[str, Identities] = {}
        for group in _groups(self.steps[0]):
            for name, layer, heard in zip(group.names, group.layers, group.heard(), strict=True):
                if heard.size:
                    found[name] = heard
                if layer.memory is not None and len(group.layers) == 1:
                    found[f"{name}.memory"] = layer.memory.cell
            if len(group.layers) > 1:
                cells = [layer.memory.cell for layer in group.layers if layer.memory]
                found[SHARED_MEMORY] = np.concatenate(cells)
        return found

    def network(self, name: str) -> LiquidNetwork:
        """The network of the layers that were found.

        Raises:
            NetworkError: the layers do not fit each other.
            NodeError: a layer is one that a LiquidNetwork does not have.
        """
        step = self.last
        by_row = {id(layer): group for group in _groups(step) for layer in group.layers}
        layers: list[CfCLayer | DenseLayer | WiredMemory] = []
        done: set[int] = set()
        for number, layer in enumerate(step.layers):
            group = by_row.get(id(layer))
            if group is None:
                layers.append(_dense(f"dense_{number}", layer))
            elif id(group) not in done:
                done.add(id(group))
                layers.append(_recurrent(group))
        readout = step.readout and _linear("readout", step.readout)
        return LiquidNetwork(name, tuple(layers), readout, None if self.elapsed else 1.0)


@dataclass(frozen=True, eq=False)
class _Group:
    """A recurrent layer, or several that share a memory."""

    names: tuple[str, ...]
    layers: tuple[FoundLayer, ...]

    def heard(self) -> list[Identities]:
        """The last state of each layer, as the layer or the memory hears it.

        Empty where an exporter has folded a memory's first step, which hears zeros.
        """
        memory = self.layers[0].memory
        if memory is None:
            return [layer.own for layer in self.layers]
        states = memory.gates[0].columns[self.layers[0].before.size :]
        ends = np.cumsum([layer.row.size for layer in self.layers])
        return np.split(states, ends[:-1]) if states.size else [states for _ in self.layers]


def _groups(step: FoundStep) -> Iterator[_Group]:
    recurrent = [layer for layer in step.layers if layer.kind != "dense"]
    names = [f"layer_{number}" for number in range(len(recurrent))]
    start = 0
    while start < len(recurrent):
        end = start + 1
        memory = recurrent[start].memory
        while memory is not None and end < len(recurrent):
            following = recurrent[end].memory
            if following is None or not same(following.gates[0].columns, memory.gates[0].columns):
                break
            end += 1
        yield _Group(tuple(names[start:end]), tuple(recurrent[start:end]))
        start = end


def cfc_recurrence(terms: Terms, answer: Identities) -> CfCRecurrence:
    """Follows the recurrence from the last answer back to the initial state.

    Raises:
        NodeError: names the first node that does not fit, and what was expected there.
    """
    steps = [find_step(terms, answer)]
    for group in _groups(steps[0]):
        if not all(heard.size for heard in group.heard()):
            raise NodeError(
                f"{terms.node_of(group.layers[0].row)} does not fit: expected its memory to hear "
                "the last state. A step exported without its state, from zero, has lost its "
                "recurrent weights: export with hx given, or several steps"
            )
    while (previous := _previous(terms, steps[0])) is not None:
        step = find_step(terms, previous)
        problem = _difference(step, steps[0])
        if problem:
            raise NodeError(
                f"{terms.node_of(previous)} does not fit: expected the step before to be made as "
                f"the one after it; {problem}"
            )
        steps.insert(0, step)
    return CfCRecurrence(tuple(steps))


def _previous(terms: Terms, step: FoundStep) -> Identities | None:
    """The state of the last recurrent layer in the step before; None at the first step."""
    heard = list(_groups(step))[-1].heard()[-1]
    made = terms.term_of(heard[:1])
    initial = made is None or made[0].operation in ("constant", "input")
    return None if initial else heard


def _difference(step: FoundStep, after: FoundStep) -> str:
    """How the recurrent layers of two steps that follow each other differ; empty if they do not."""
    groups, following = list(_groups(step)), list(_groups(after))
    if [group.names for group in groups] != [group.names for group in following]:
        return "its number of layers differs"
    for group, group_after in zip(groups, following, strict=True):
        for layer, later, heard in zip(
            group.layers, group_after.layers, group_after.heard(), strict=True
        ):
            if not same(heard, layer.row):
                return "a layer does not hear its own last state"
            if not _same_arrays(layer, later):
                return "a layer has other weights"
            if later.memory and not (
                layer.memory and same(layer.memory.new_cell, later.memory.cell)
            ):
                return "a memory does not keep its own cell state"
    return ""


def _same_arrays(layer: FoundLayer, later: FoundLayer) -> bool:
    maps = [*layer.maps.values(), *(part[0] for part in layer.backbone)]
    others = [*later.maps.values(), *(part[0] for part in later.backbone)]
    same_memory = bool(layer.memory) == bool(later.memory) and all(
        # The state's columns may be folded away in a first step from zero.
        np.array_equal(one.weight, other.weight[:, : one.weight.shape[1]])
        and np.array_equal(one.bias, other.bias)
        for one, other in zip(
            layer.memory.gates if layer.memory else (),
            later.memory.gates if later.memory else (),
            strict=False,
        )
    )
    return (
        same_memory
        and len(maps) == len(others)
        and all(
            np.array_equal(one.weight, other.weight) and np.array_equal(one.bias, other.bias)
            for one, other in zip(maps, others, strict=True)
        )
    )


def _linear(name: str, found: Affine, columns: FloatArray | float = 1.0) -> Linear:
    return Linear(name, found.weight * columns, found.bias)


def _named_activation(activation: str, factor: float) -> tuple[str, float, float]:
    """The activation by its name in layers, what its map is divided by, and the factor left."""
    if activation == "tanh" and abs(factor - LECUN_OUTPUT) < 1e-5:
        return "lecun_tanh", LECUN_INPUT, 1.0
    return activation, 1.0, factor


def _dense(name: str, layer: FoundLayer) -> DenseLayer:
    activation, inner, factor = _named_activation(layer.activation, layer.factor)
    if abs(factor - 1.0) > 1e-6:
        raise NodeError(f"{name}: its answers are multiplied by {factor:g}; expected 1")
    linear = _linear("linear", layer.maps["linear"]).scaled("linear", outputs=1.0 / inner)
    return DenseLayer(name, linear, activation)


def _recurrent(group: _Group) -> CfCLayer | WiredMemory:
    alone = len(group.layers) == 1
    layers = tuple(
        _cfc(name, layer, _memory(group) if alone and layer.memory else None)
        for name, layer in zip(group.names, group.layers, strict=True)
    )
    return layers[0] if alone else WiredMemory(SHARED_MEMORY, layers, _memory(group))


def _memory(group: _Group) -> Memory:
    gates = [layer.memory.gates for layer in group.layers if layer.memory]
    return Memory(
        tuple(
            Linear(
                gate,
                np.vstack([parts[number].weight for parts in gates]),
                np.concatenate([parts[number].bias for parts in gates]),
            )
            for number, gate in enumerate(MEMORY_GATES)
        )
    )


def _cfc(name: str, layer: FoundLayer, memory: Memory | None) -> CfCLayer:
    backbone: list[Linear] = []
    factor = 1.0
    activations: list[str] = []
    for number, (found, function, own_factor) in enumerate(layer.backbone):
        activation, inner, left = _named_activation(function, own_factor)
        linear = _linear(f"backbone_{number}", found, factor)
        backbone.append(linear.scaled(linear.name, outputs=1.0 / inner))
        activations.append(activation)
        factor = left
    if len(set(activations)) > 1:
        raise NodeError(
            f"{name}: its backbone has the activations {', '.join(activations)}; expected one"
        )
    maps = {gate: _linear(gate, found, factor) for gate, found in layer.maps.items()}
    return CfCLayer(
        name,
        *(maps.get(gate, maps["ff1"]) for gate in CfCLayer.gates),
        mode=layer.kind,
        backbone=tuple(backbone),
        activation=activations[0] if activations else "lecun_tanh",
        memory=memory,
        w_tau=layer.w_tau,
        amplitude=layer.amplitude,
    )


def reader() -> OnnxReader:
    """How such layers are found."""
    return OnnxReader(cfc_recurrence)
