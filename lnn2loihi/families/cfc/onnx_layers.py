"""CfC layers in ONNX graphs: from the cells of a step to layers of a LiquidNetwork."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.onnx_read.activations import of_layer
from lnn2loihi.converters.onnx_read.chain import FoundPart, StateRows
from lnn2loihi.converters.onnx_read.recurrence import OnnxReader
from lnn2loihi.converters.onnx_read.terms import Affine, Identities, NodeError, Terms, same
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.onnx_cells import EXPECTED, FoundLayer, find_layer
from lnn2loihi.families.cfc.state import SHARED_MEMORY
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.families.lstm.memory import MEMORY_GATES, Memory
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear


@dataclass(frozen=True, eq=False)
class CfCPart(FoundPart):
    """A recurrent layer in one step, or several that share a memory."""

    layers: tuple[FoundLayer, ...]
    close: float

    @property
    def row(self) -> Identities:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The state of the last layer."""
        return self.layers[-1].row

    @property
    def before(self) -> Identities:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the first layer reads from outside."""
        return self.layers[0].before

    @property
    def elapsed(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The elapsed time of all layers."""
        return next((la.elapsed for la in self.layers if la.elapsed is not None), None)

    @property
    def singles(self) -> int:
        """See `FoundPart`."""
        return len(self.layers)

    def arrays(self) -> Sequence[FloatArray | str]:
        """See `FoundPart`."""
        return [array for layer in self.layers for array in layer.arrays()]

    def states(self, names: Sequence[str]) -> list[StateRows]:
        """See `FoundPart`."""
        found = [
            StateRows(name, heard, layer.row)
            for name, layer, heard in zip(names, self.layers, self._heard(), strict=True)
        ]
        memories = [layer.memory for layer in self.layers if layer.memory is not None]
        if memories:
            found.append(
                StateRows(
                    f"{names[0]}.memory" if len(names) == 1 else SHARED_MEMORY,
                    np.concatenate([memory.cell for memory in memories]),
                    np.concatenate([memory.new_cell for memory in memories]),
                )
            )
        return found

    def answers(self, names: Sequence[str]) -> Identities:
        """See `FoundPart`."""
        return self._heard()[-1]

    def _heard(self) -> list[Identities]:
        """The last state of each layer, as the layer or the memory hears it.

        Empty where an exporter has folded a memory's first step, which hears zeros.
        """
        memory = self.layers[0].memory
        if memory is None:
            return [layer.own for layer in self.layers]
        states = memory.gates[0].columns[self.before.size :]
        ends = np.cumsum([layer.row.size for layer in self.layers])
        return np.split(states, ends[:-1]) if states.size else [states for _ in self.layers]

    def layer(self, names: Sequence[str]) -> Layer:
        """See `FoundPart`."""
        alone = len(self.layers) == 1
        layers = tuple(
            _cfc(name, layer, self._memory() if alone and layer.memory else None, self.close)
            for name, layer in zip(names, self.layers, strict=True)
        )
        return layers[0] if alone else WiredMemory(SHARED_MEMORY, layers, self._memory())

    def _memory(self) -> Memory:
        gates = [layer.memory.gates for layer in self.layers if layer.memory]
        return Memory.of_stage(
            {
                gate: Linear(
                    gate,
                    np.vstack([parts[number].weight for parts in gates]),
                    np.concatenate([parts[number].bias for parts in gates]),
                )
                for number, gate in enumerate(MEMORY_GATES)
            }
        )


def _part(terms: Terms, row: Identities) -> CfCPart | None:
    """See `OnnxReader.part`; with the layers before that hear the same memory."""
    last = find_layer(terms, row)
    if last is None:
        return None
    layers = [last]
    while (memory := layers[0].memory) is not None:
        try:
            before = find_layer(terms, layers[0].before)
        except NodeError:  # which is what another layer's is; it is asked by itself
            break
        if before is None or before.memory is None or not same(
            before.memory.gates[0].columns, memory.gates[0].columns
        ):  # fmt: skip
            break
        layers.insert(0, before)
    return CfCPart(tuple(layers), terms.close)


def _linear(name: str, found: Affine, columns: FloatArray | float = 1.0) -> Linear:
    return Linear(name, found.weight * columns, found.bias)


def _cfc(name: str, layer: FoundLayer, memory: Memory | None, close: float) -> CfCLayer:
    backbone: list[Linear] = []
    factor = 1.0
    activations: list[str] = []
    for number, (found, function, own_factor) in enumerate(layer.backbone):
        activation, inner, left = of_layer(function, own_factor, close)
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
    return OnnxReader(_part, EXPECTED)
