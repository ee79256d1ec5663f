"""How the stages of LSTMs, and of mixed memories, become populations."""

from __future__ import annotations

from lnn2loihi.families.lstm.memory import MemoryStage
from lnn2loihi.families.lstm.neuron import CELL_BITS, lstm_program
from lnn2loihi.formats import FixedPoint
from lnn2loihi.lowering import LARGEST_WORD, Lowering, Measured, StageLowering
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.phase import PHASE
from lnn2loihi.recipe import Recipe

#: Headroom of a cell state beyond what calibration saw, as a factor.
CELL_HEADROOM = 2.0


class MemoryLowering(StageLowering[MemoryStage]):
    """An LSTM cell, whether it hears itself or is a mixed memory."""

    bounded = True

    def lower(self, stage: MemoryStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        unit = ACTIVATIONS[recipe.activation].unit
        halves = {gate: unit / (1 if gate == "cell_input" else 2) for gate in stage.gates}
        heard = stage.hears_itself
        cell = FixedPoint.covering(
            CELL_BITS, CELL_HEADROOM * max(float(measured.largest_memory["c"].max()), 1.0)
        )
        fraction_bits = max(min(cell.fraction_bits, 14), 0)
        updates = stage.updates
        states = ("c", "h") if heard or updates > 1 else ("c",)
        return Lowering(
            halves,
            self.message(stage, 0.0, recipe),
            lambda shifts: lstm_program(
                shifts, recipe.message_bits, fraction_bits, recipe.activation, heard, updates
            ),
            states=(*states, PHASE) if updates > 1 else states,
            held=dict.fromkeys(halves, LARGEST_WORD),
            memory_steps={"c": 2.0**-fraction_bits},
        )
