"""The mixed memory of a CfC: an LSTM whose answer takes the place of the layer's state.

Source: ncps 1.0.1, torch/lstm.py. Its four sums stand in the order cell input, input gate, forget
gate, output gate, and it adds 1 to the forget gate's; the CfC's state is what it hears of the
step before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.frozen import ArrayEquality
from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State
from lnn2loihi.showing import Shown

#: Gates in the order of ncps.
MEMORY_GATES = ("cell_input", "input_gate", "forget_gate", "output_gate")
#: What ncps adds to the sum of the forget gate.
FORGET_BIAS = 1.0


@dataclass(frozen=True, eq=False)
class MemoryStage(Stage):
    """An LSTM cell: c' = c sigmoid(f) + tanh(g) sigmoid(i), answer tanh(c') sigmoid(o)."""

    family: ClassVar[str] = "lstm"
    memory: ClassVar[tuple[str, ...]] = ("c",)
    logistic: ClassVar[tuple[str, ...]] = ("input_gate", "forget_gate", "output_gate")

    @property
    def updates(self) -> int:
        """Updates of a sample, of which it takes the first."""
        return 1

    @property
    def cell_words(self) -> tuple[str, ...]:
        """The cell state, under whatever name."""
        return self.memory

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The answer and the new cell state."""
        kept = state["c"] * sigmoid(sums["forget_gate"])
        cell = kept + np.tanh(sums["cell_input"]) * sigmoid(sums["input_gate"])
        return np.tanh(cell) * sigmoid(sums["output_gate"]), {"c": cell}


@dataclass(frozen=True, eq=False)
class HeldMemoryStage(MemoryStage):
    """A mixed memory that takes one step for each sample, and holds its answer for all others.

    Attributes:
        unfolds: steps that the layer behind it takes for each sample.
    """

    once: ClassVar[bool] = True

    unfolds: int

    @property
    def updates(self) -> int:
        """See `MemoryStage`."""
        return self.unfolds


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class Memory(Shown, ArrayEquality):
    """The arrays of a mixed memory.

    Attributes:
        gates: for each of MEMORY_GATES its map, weight (units, inputs + units); the 1 that ncps
            adds to the forget gate is not in its bias.
    """

    gates: tuple[Linear, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "gates", tuple(self.gates))

    def stage(
        self, name: str, before: StageSource, hidden: tuple[StageSource, ...], scale: float
    ) -> MemoryStage:
        """The stage; see `CfCLayer.stages`.

        Args:
            name: its name.
            before: what feeds the layer.
            hidden: the last states of the layers that hear it.
            scale: factor by which the answer of `before` is too small.
        """
        factors = np.ones(before.columns + sum(source.columns for source in hidden))
        factors[: before.columns] = scale
        gates = {}
        for gate, linear in zip(MEMORY_GATES, self.gates, strict=True):
            bias = linear.bias + (FORGET_BIAS if gate == "forget_gate" else 0.0)
            gates[gate] = Linear(gate, linear.with_columns(gate, factors).weight, bias)
        return MemoryStage(name, (before, *hidden), gates)

    @classmethod
    def of_stage(cls, gates: Mapping[str, Linear]) -> Memory:
        """The memory whose stage has these gates."""
        return cls(
            tuple(
                Linear(gate, gates[gate].weight,
                       gates[gate].bias - (FORGET_BIAS if gate == "forget_gate" else 0.0))
                for gate in MEMORY_GATES
            )
        )  # fmt: skip

    def with_input_maps(self, change: Callable[[Linear], Linear]) -> Memory:
        """See `Layer.with_input_maps`."""
        return Memory(tuple(map(change, self.gates)))

    def arrays(self, owner: str) -> dict[str, FloatArray]:
        """See `Layer.arrays`."""
        found: dict[str, FloatArray] = {}
        for gate in self.gates:
            found |= gate.arrays(f"{owner}.{gate.name}")
        return found

    def problems(self, owner: str) -> list[str]:
        """Everything that is wrong with the arrays."""
        if len(self.gates) != len(MEMORY_GATES):
            return [f"{owner}: has {len(self.gates)} gates, expected {', '.join(MEMORY_GATES)}"]
        return [problem for gate in self.gates for problem in gate.problems(owner)]

    def size_problems(self, owner: str, inputs: int, units: int) -> list[str]:
        """What does not fit layers of that size, named by `owner`."""
        return [
            f"{owner}.{gate.name}.weight has shape {gate.weight.shape}, expected "
            f"{(units, inputs + units)}"
            for gate in self.gates
            if gate.weight.shape != (units, inputs + units)
        ]
