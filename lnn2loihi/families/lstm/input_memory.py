"""Layers in a row behind a mixed memory that feeds their input, as ncps.keras and ncps.tf have it.

In ncps.torch the memory's answer takes the place of a layer's state (`CfCLayer.memory`,
`WiredMemory`, `LTCLayer.memory`); here it takes the place of its input, and the layer keeps a state
of its own.

Source: ncps 1.0.1, keras/mm_rnn.py and tf/mm_rnn.py; the same in raminmh/CfC, tf_cfc.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.lstm.memory import HeldMemoryStage, Memory
from lnn2loihi.layers.layer import Gates, Layer, TrainedMap, Vectors
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class InputMemory(Layer):
    """An LSTM whose answer is what the layers behind it hear in place of the inputs.

    The memory reads the inputs and the last state of every layer, and each layer keeps its own::

        m = memory [x; h_0; h_1; ...]
        h_0' = layer_0 [m; h_0]    h_1' = layer_1 [h_0'; h_1]    ...

    Its stages are the memory's, which has the name `name`, and those of the layers. Where a layer
    takes several steps for each sample, the memory takes one and holds its answer.

    Attributes:
        name: name of the memory, in messages and tables and of its stage.
        layers: the layers in order, each with a state; the first has as many inputs as the memory
            has units.
        memory: its gates, weight (units of all layers, inputs + units of all layers).
    """

    name: str
    layers: tuple[Layer, ...]
    memory: Memory

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.memory.gates[0].input_size - self.memory_units

    @property
    def units(self) -> int:
        """Number of units of the last layer, which answers."""
        return self.layers[-1].units

    @property
    def memory_units(self) -> int:
        """Number of units of the memory: of all layers together."""
        return sum(layer.units for layer in self.layers)

    @property
    def unfolds(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Steps that the layers take for each sample."""
        return self.layers[0].unfolds

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`."""
        states = tuple(StageSource(la.name, la.units, previous=True) for la in self.layers)
        memory: Stage = self.memory.stage(self.name, before, states, scale)
        if self.unfolds > 1:
            memory = HeldMemoryStage(self.name, memory.sources, memory.gates, self.unfolds)
        made: list[Stage] = [memory]
        heard = StageSource(self.name, self.memory_units)
        for layer in self.layers:
            # The answer of a layer with a state is not scaled: the memory hears it, too.
            own, _ = layer.stages(heard, timespan, 1.0)
            made += own
            heard = StageSource(layer.name, layer.units)
        return tuple(made), 1.0

    @property
    def parts(self) -> tuple[Layer, ...]:
        """The layers, without their memory."""
        return self.layers

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of the layers and of the memory."""
        return (*(name for layer in self.layers for name in layer.layer_names), self.name)

    @property
    def made_by_stages(self) -> tuple[int, int]:
        """See `Layer.made_by_stages`."""
        units, weights = zip(*(layer.made_by_stages for layer in self.layers), strict=True)
        return sum(units), sum(weights)

    def renamed(self, name: Callable[[str], str]) -> InputMemory:
        """See `Layer.renamed`; all get names of their own."""
        layers = tuple(layer.renamed(name) for layer in self.layers)
        return InputMemory(name(self.name), layers, self.memory)

    def with_input_maps(self, change: Callable[[Linear], Linear]) -> InputMemory:
        """See `Layer.with_input_maps`: the memory alone hears the inputs."""
        return dataclasses.replace(self, memory=self.memory.with_input_maps(change))

    def with_gates(
        self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0
    ) -> InputMemory:
        """See `Layer.with_gates`."""
        layers = tuple(layer.with_gates(gates, vectors, timespan) for layer in self.layers)
        return InputMemory(self.name, layers, Memory.of_stage(gates[self.name]))

    def arrays(self) -> dict[str, FloatArray]:
        """See `Layer.arrays`."""
        found = self.memory.arrays(self.name)
        for layer in self.layers:
            found |= layer.arrays()
        return found

    def trained_maps(self, stages: Sequence[Stage]) -> Iterator[TrainedMap]:
        """See `Layer.trained_maps`."""
        yield from super().trained_maps(stages[:1])
        for layer, own in self._stages_of(stages):
            yield from layer.trained_maps(own)

    def other_parameters(self, stages: Sequence[Stage]) -> int:
        """See `Layer.other_parameters`."""
        return sum(layer.other_parameters(own) for layer, own in self._stages_of(stages))

    def _stages_of(self, stages: Sequence[Stage]) -> Iterator[tuple[Layer, Sequence[Stage]]]:
        """Each layer with its stages, of which the last has the layer's name."""
        names = [stage.name for stage in stages]
        begin = 1
        for layer in self.layers:
            end = names.index(layer.name) + 1
            yield layer, stages[begin:end]
            begin = end

    def problems(self) -> list[str]:
        """Everything that is wrong with the layers and their memory."""
        if not self.layers:
            return [f"{self.name}: it has no layers; at least one is needed"]
        found = [problem for layer in self.layers for problem in layer.problems()]
        for layer in self.layers:
            if layer.stateless or layer.parts != (layer,):
                what = "no state" if layer.stateless else "layers of its own"
                found.append(f"{layer.name}: has {what}, which the memory {self.name} rules out")
        if self.unfolds > 1 and len(self.layers) > 1:
            found.append(
                f"{self.name}: {len(self.layers)} layers that take {self.unfolds} steps for each "
                "sample; one alone can"
            )
        found += self.memory.problems(self.name)
        return found or self._size_problems()

    def _size_problems(self) -> list[str]:
        heard, found = (self.name, self.memory_units), list[str]()
        for layer in self.layers:
            if layer.input_size != heard[1]:
                found.append(
                    f"{layer.name} takes {layer.input_size} inputs but {heard[0]} has "
                    f"{heard[1]} units"
                )
            heard = layer.name, layer.units
        if self.input_size < 1:
            columns = self.memory.gates[0].input_size
            found.append(
                f"{self.name}: {columns} columns cannot hold at least one input and "
                f"{self.memory_units} units"
            )
        return found or self.memory.size_problems(self.name, self.input_size, self.memory_units)
