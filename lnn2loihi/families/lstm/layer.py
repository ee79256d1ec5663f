"""Long short-term memory (LSTM), as PyTorch computes it.

Source: PyTorch, torch.nn.LSTM (its documentation has the equations). The cell itself is that of a
CfC's mixed memory (`lnn2loihi.families.lstm.memory`); what differs is that it hears its own answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.lstm.memory import MEMORY_GATES, MemoryStage
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.linear import Linear
from lnn2loihi.layers.stage import Stage, StageSource


@dataclass(frozen=True, eq=False)
class LSTMStage(MemoryStage):
    """An LSTM cell that hears its own last answer."""

    def state_name(self, word: str) -> str:
        """The cell state beside the answer, which has the stage's name."""
        return f"{self.name}.{word}"


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class LSTMLayer(GatedLayer):
    """One layer of LSTM units.

    With z = [x; h], the inputs followed by the layer's own answer of the step before::

        c' = c sigmoid(forget_gate z) + tanh(cell_input z) sigmoid(input_gate z)
        h' = tanh(c') sigmoid(output_gate z)

    Its state is known as `<layer>` (h) and `<layer>.c` (c).
    """

    names: ClassVar[tuple[str, ...]] = MEMORY_GATES

    def stage(self, sources: tuple[StageSource, ...], gates: Mapping[str, Linear]) -> Stage:
        """See `GatedLayer.stage`."""
        return LSTMStage(self.name, sources, gates)
