"""Layers in a row that share one mixed memory, as a wired CfC of ncps has them.

Source: ncps 1.0.1, torch/cfc.py and torch/wired_cfc_cell.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.lstm.memory import Memory
from lnn2loihi.layers.layer import Gates, Layer, TrainedMap, Vectors
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class WiredMemory(Layer):
    """Layers in a row, and an LSTM over the states of all of them.

    The memory reads the inputs and the last state of every layer, and each layer hears its part
    of the answer in place of its own last state::

        m = memory [x; h_0; h_1; ...]
        h_0' = layer_0 [x; m_0]    h_1' = layer_1 [h_0'; m_1]    ...

    Its stages are the memory's, which has the name `name`, and one for each layer, which has the
    layer's name. These are also the names under which recipes are given and states are kept.

    Attributes:
        name: name of the memory, in messages and tables and of its stage.
        layers: the layers in order, each without a backbone or a memory of its own.
        memory: its gates, weight (units of all layers, inputs + units of all layers).
    """

    name: str
    layers: tuple[CfCLayer, ...]
    memory: Memory

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.layers[0].input_size

    @property
    def units(self) -> int:
        """Number of units of the last layer, which answers."""
        return self.layers[-1].units

    @property
    def memory_units(self) -> int:
        """Number of units of the memory: of all layers together."""
        return sum(layer.units for layer in self.layers)

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`."""
        states = tuple(StageSource(la.name, la.units, previous=True) for la in self.layers)
        made: list[Stage] = [self.memory.stage(self.name, before, states, scale)]
        answer = StageSource(self.name, self.memory_units)
        for layer, part in self._parts():
            factors = np.ones(layer.input_size + layer.units)
            factors[: layer.input_size] = scale
            own = layer.cell((before, StageSource(self.name, layer.units)), timespan, factors)
            gates = {gate: self._widened(linear, part) for gate, linear in own.gates.items()}
            made.append(dataclasses.replace(own, sources=(before, answer), gates=gates))
            before, scale = StageSource(layer.name, layer.units), 1.0
        return tuple(made), 1.0

    @property
    def parts(self) -> tuple[Layer, ...]:
        """The layers, without their memory."""
        return self.layers

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of the layers and of the memory."""
        return (*(layer.name for layer in self.layers), self.name)

    def renamed(self, name: Callable[[str], str]) -> WiredMemory:
        """See `Layer.renamed`; all get names of their own."""
        layers = tuple(layer.renamed(name) for layer in self.layers)
        return WiredMemory(name(self.name), layers, self.memory)

    def with_input_maps(self, change: Callable[[Linear], Linear]) -> WiredMemory:
        """See `Layer.with_input_maps`: the first layer and the memory hear the inputs."""
        first = self.layers[0].with_input_maps(change)
        memory = self.memory.with_input_maps(change)
        return WiredMemory(self.name, (first, *self.layers[1:]), memory)

    def with_gates(
        self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0
    ) -> WiredMemory:
        """See `Layer.with_gates`."""
        own = {
            layer.name: {g: self.narrowed(layer.name, m) for g, m in gates[layer.name].items()}
            for layer in self.layers
        }
        layers = tuple(layer.with_gates(own, vectors, timespan) for layer in self.layers)
        return WiredMemory(self.name, layers, Memory.of_stage(gates[self.name]))

    def arrays(self) -> dict[str, FloatArray]:
        """See `Layer.arrays`."""
        found = self.memory.arrays(self.name)
        for layer in self.layers:
            found |= layer.arrays()
        return found

    def trained_maps(self, stages: Sequence[Stage]) -> Iterator[TrainedMap]:
        """See `Layer.trained_maps`: each layer was trained on its part of the memory's answer."""
        memory, *cells = stages
        yield from super().trained_maps([memory])
        for (layer, part), cell in zip(self._parts(), cells, strict=True):
            first = np.arange(layer.input_size)
            columns = np.append(first, layer.input_size + np.arange(self.memory_units)[part])
            for linear in layer.maps:
                yield TrainedMap(linear.weight, linear.bias.size, cell.name, columns)

    def narrowed(self, name: str, linear: Linear) -> Linear:
        """The map of a layer, from that of its stage, which has columns for the whole memory.

        Args:
            name: name of the layer.
            linear: weight (units, inputs of the layer + units of all layers).

        Returns:
            A map of weight (units, inputs of the layer + units).
        """
        layer, part = next(found for found in self._parts() if found[0].name == name)
        inputs = layer.input_size
        blocks = linear.weight[:, :inputs], linear.weight[:, inputs:][:, part]
        return Linear(linear.name, np.hstack(blocks), linear.bias)

    def _parts(self) -> Iterator[tuple[CfCLayer, slice]]:
        """Each layer with its part of the memory's answer."""
        begin = 0
        for layer in self.layers:
            yield layer, slice(begin, begin + layer.units)
            begin += layer.units

    def _widened(self, linear: Linear, part: slice) -> Linear:
        """A map that hears the whole memory, with no synapses from other layers' parts."""
        inputs = linear.input_size - (part.stop - part.start)
        weight = np.zeros((linear.output_size, inputs + self.memory_units))
        weight[:, :inputs] = linear.weight[:, :inputs]
        weight[:, inputs:][:, part] = linear.weight[:, inputs:]
        return Linear(linear.name, weight, linear.bias)

    def problems(self) -> list[str]:
        """Everything that is wrong with the layers and their memory."""
        if not self.layers:
            return [f"{self.name}: it has no layers; at least one is needed"]
        found = [problem for layer in self.layers for problem in layer.problems()]
        for layer in self.layers:
            if layer.backbone or layer.memory is not None:
                part = "backbone" if layer.backbone else "memory of its own"
                found.append(f"{layer.name}: has a {part}, which the memory {self.name} rules out")
        found += self.memory.problems(self.name)
        return found or self._size_problems()

    def _size_problems(self) -> list[str]:
        found = [
            f"{after.name} takes {after.input_size} inputs but {before.name} has "
            f"{before.units} units"
            for before, after in zip(self.layers, self.layers[1:], strict=False)
            if after.input_size != before.units
        ]
        return found + self.memory.size_problems(self.name, self.input_size, self.memory_units)
