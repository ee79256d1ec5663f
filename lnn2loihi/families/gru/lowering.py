"""How the stages of a GRU become populations."""

from __future__ import annotations

import math

from lnn2loihi.families.gru.layer import GRUStage
from lnn2loihi.families.gru.neuron import HEARD, KEPT, gru_program
from lnn2loihi.lowering import LARGEST_WORD, ROUNDING_ROOM, Lowering, Measured, StageLowering
from lnn2loihi.neurons.activations import ACTIVATION_END, ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND
from lnn2loihi.neurons.leak import GUARD_BITS
from lnn2loihi.neurons.operations import LARGEST_GROWN
from lnn2loihi.recipe import Recipe


class GRULowering(StageLowering[GRUStage]):
    """A GRU cell."""

    bounded = True

    def lower(self, stage: GRUStage, measured: Measured, recipe: Recipe) -> Lowering:
        """The candidate's recurrent sum is an operand: it gets as many bits as fit 16 unclipped."""
        unit = ACTIVATIONS[recipe.activation].unit
        largest = float(measured.reach["candidate_recurrent"].max()) * unit / 2
        coarser = max(0, math.ceil(math.log2(max(largest, 1.0) * ROUNDING_ROOM / LARGEST_OPERAND)))
        units = {
            "reset_gate": unit / 2,
            "update_gate": unit / 2,
            "candidate_input": unit,
            "candidate_recurrent": unit / 2 / 2**coarser,
        }
        held: dict[str, int] = dict.fromkeys(("reset_gate", "update_gate"), LARGEST_WORD)
        # Twice the recurrent part is added to the candidate's input.
        if (LARGEST_OPERAND + 1) << (coarser + 1) < LARGEST_GROWN - ACTIVATION_END:
            held["candidate_input"] = LARGEST_GROWN
        return Lowering(
            units,
            self.message(stage, 0.0, recipe),
            lambda shifts: gru_program(shifts, recipe.message_bits, coarser, recipe.activation),
            states=(KEPT, HEARD),
            memory_steps={KEPT: 2.0 ** -(FRACTION_BITS + GUARD_BITS)},
            operands=("candidate_recurrent",),
            held=held,
        )
