"""How the stages of minGRU and minLSTM become populations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lnn2loihi.families.minimal.layer import MinGRUStage, MinimalStage
from lnn2loihi.families.minimal.neuron import MinimalFormats, min_gru_program, min_lstm_program
from lnn2loihi.formats import FixedPoint
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.lowering import LARGEST_WORD, ROUNDING_ROOM, Lowering, Measured, StageLowering
from lnn2loihi.neurons.activations import ACTIVATIONS, LOG_SIGMOID_UNIT
from lnn2loihi.neurons.instructions import LARGEST_OPERAND
from lnn2loihi.neurons.leak import GUARD_BITS, VALUE_BITS
from lnn2loihi.neurons.operations import LARGEST_GROWN
from lnn2loihi.recipe import Recipe

#: Room for a candidate beyond what calibration saw, as a factor.
CANDIDATE_HEADROOM = 2.0


class MinimalLowering(StageLowering[MinimalStage]):
    """A minGRU or a minLSTM cell."""

    def message_low(self, stage: MinimalStage, message: FixedPoint) -> int:
        """In the form "log" no candidate is below 0, and so no state that began at 0."""
        return 0 if stage.form == "log" else message.low

    def unit_sizes(
        self,
        stage: MinimalStage,
        answers: Callable[[], FloatArray],
        sums: Callable[[str], FloatArray],
    ) -> tuple[FloatArray, ...]:
        """A linear candidate is homogeneous, and so is the state that moves to it."""
        if stage.form != "linear":
            return ()
        largest = answers()
        return largest, np.maximum(CANDIDATE_HEADROOM * sums("candidate"), largest)

    def lower(self, stage: MinimalStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message(stage, measured.largest_answer, recipe)
        # A candidate is at most what weights and messages allow, or what is usual with some room.
        usual = CANDIDATE_HEADROOM * float(measured.largest_sums["candidate"].max())
        largest = min(float(measured.reach["candidate"].max()), usual)
        largest = max(largest, measured.largest_answer)
        form = ACTIVATIONS[recipe.activation]
        unit, halvings, coarser = form.unit / 2, 0, 0
        if stage.form == "log":
            largest += 0.5
            coarser = max(0, math.ceil(math.log2(largest * unit * ROUNDING_ROOM / LARGEST_WORD)))
            unit /= 2**coarser
            halvings = max(0, math.ceil(math.log2(largest * unit / LARGEST_OPERAND)))
        value = FixedPoint.covering(VALUE_BITS, largest)
        if stage.form == "linear":
            unit = 2.0**value.fraction_bits * (message.step / measured.message_steps)
        # Only their difference counts, however far both are from 0.
        reach = max(
            float(measured.reach[gate].max()) for gate in stage.gates if gate != "candidate"
        )
        far = max(reach, 1.0) * LOG_SIGMOID_UNIT * ROUNDING_ROOM / LARGEST_GROWN
        gates_coarser = 0 if isinstance(stage, MinGRUStage) else max(0, math.ceil(math.log2(far)))
        formats = MinimalFormats(
            message.bits, message.fraction_bits, value.fraction_bits, halvings, recipe.activation,
            stage.form, coarser, gates_coarser,
        )  # fmt: skip
        units = {"candidate": unit}
        # A candidate saturates at the ends of its format.
        held = {"candidate": LARGEST_WORD} if LARGEST_OPERAND << halvings <= LARGEST_WORD else {}
        if isinstance(stage, MinGRUStage):
            units["update_gate"], program = form.unit / 2, min_gru_program
            held["update_gate"] = LARGEST_WORD
        else:
            gates = ("forget_gate", "input_gate")
            units |= dict.fromkeys(gates, LOG_SIGMOID_UNIT / 2**gates_coarser)
            program = min_lstm_program
        return Lowering(
            units,
            message,
            lambda shifts: program(shifts, formats),
            states=("h",),
            memory_steps={
                "h": 2.0 ** -(value.fraction_bits + GUARD_BITS)
                * (measured.message_steps / message.step)
            },
            scale=measured.message_steps,
            held=held,
        )
