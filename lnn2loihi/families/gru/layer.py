"""Gated recurrent units (GRU), as PyTorch computes them.

Source: PyTorch, torch.nn.GRU (its documentation has the equations); Cho et al. 2014,
arXiv:1406.1078. The reset gate multiplies the recurrent sum with its bias, so the sum of the
candidate cannot be merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.layer import TrainedMap
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: Gates of a GRU; the two parts of the candidate's sum are kept apart.
GRU_GATES = ("reset_gate", "update_gate", "candidate_input", "candidate_recurrent")


@dataclass(frozen=True, eq=False)
class GRUStage(Stage):
    """A GRU cell; its state is its message, and is kept more finely than it is sent."""

    family: ClassVar[str] = "gru"
    memory: ClassVar[tuple[str, ...]] = ("h",)
    logistic: ClassVar[tuple[str, ...]] = ("reset_gate", "update_gate")

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The new state."""
        recurrent = sigmoid(sums["reset_gate"]) * sums["candidate_recurrent"]
        candidate = np.tanh(sums["candidate_input"] + recurrent)
        h = candidate + sigmoid(sums["update_gate"]) * (state["h"] - candidate)
        return h, {"h": h}


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class GRULayer(GatedLayer):
    """One layer of gated recurrent units.

    With z = [x; h], the inputs followed by the layer's own state of the step before::

        r = sigmoid(reset_gate z)    u = sigmoid(update_gate z)
        n = tanh(candidate_input z + r * candidate_recurrent z)
        h' = (1 - u) n + u h

    where candidate_input hears x alone and candidate_recurrent h alone (their other weights are 0).
    """

    names: ClassVar[tuple[str, ...]] = GRU_GATES

    def stage(self, sources: tuple[StageSource, ...], gates: Mapping[str, Linear]) -> Stage:
        """See `GatedLayer.stage`."""
        return GRUStage(self.name, sources, gates)

    def trained_maps(self, stages: Sequence[Stage]) -> Iterator[TrainedMap]:
        """See `Layer.trained_maps`; the two parts of the candidate hear one thing each."""
        inputs, columns = self.input_size, np.arange(self.input_size + self.units)
        heard = {"candidate_input": columns[:inputs], "candidate_recurrent": columns[inputs:]}
        (stage,) = stages
        for name, linear in stage.gates.items():
            own = heard.get(name, columns)
            yield TrainedMap(linear.weight[:, own], linear.bias.size, stage.name, own)

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        found = super().problems()
        if found:
            return found
        candidate, recurrent = (gate.weight for gate in self.gates[2:])
        columns = self.input_size
        if candidate[:, columns:].any() or recurrent[:, :columns].any():
            found.append(
                f"{self.name}: candidate_input hears the state, or candidate_recurrent the inputs; "
                "in a GRU they do not"
            )
        return found
