"""How stages of GRU, minGRU and minLSTM become populations; see `lnn2loihi.quantize.families`."""

from __future__ import annotations

import math

from lnn2loihi.formats import FixedPoint
from lnn2loihi.layers.gru import GRUStage
from lnn2loihi.layers.minimal import MinGRUStage, MinimalStage
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS, LOG_SIGMOID_UNIT
from lnn2loihi.neurons.gru import HEARD, KEPT, gru_program
from lnn2loihi.neurons.instructions import LARGEST_OPERAND
from lnn2loihi.neurons.leak import GUARD_BITS, VALUE_BITS
from lnn2loihi.neurons.minimal import (
    MinimalFormats,
    min_gru_program,
    min_lstm_program,
)
from lnn2loihi.quantize.families import Lowering, Measured, lower, message_format, message_low
from lnn2loihi.quantize.recipe import Recipe

#: Room for a candidate beyond what calibration saw, as a factor.
CANDIDATE_HEADROOM = 2.0
#: Room for rounding weights, in a sum that enters a product without a clamp.
ROUNDING_ROOM = 1.01


@message_format.register
def _(stage: GRUStage, largest_answer: float, recipe: Recipe) -> FixedPoint:
    return FixedPoint(recipe.message_bits, recipe.message_bits - 1)


@lower.register
def _(stage: GRUStage, measured: Measured, recipe: Recipe) -> Lowering:
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
    return Lowering(
        units,
        message_format(stage, 0.0, recipe),
        lambda shifts: gru_program(shifts, recipe.message_bits, coarser, recipe.activation),
        states=(KEPT, HEARD),
        memory_step=2.0 ** -(FRACTION_BITS + GUARD_BITS),
        operands=("candidate_recurrent",),
    )


@message_low.register
def _(stage: MinimalStage, message: FixedPoint) -> int:
    """In the form "log" no candidate is below 0, and so no state that began at 0."""
    return 0 if stage.form == "log" else message.low


@lower.register
def _(stage: MinimalStage, measured: Measured, recipe: Recipe) -> Lowering:
    message = message_format(stage, measured.largest_answer, recipe)
    assert message is not None
    # A candidate is at most what weights and messages allow, or what is usual with some room.
    usual = CANDIDATE_HEADROOM * measured.largest_sums["candidate"]
    largest = min(float(measured.reach["candidate"].max()), usual)
    largest = max(largest, measured.largest_answer)
    form = ACTIVATIONS[recipe.activation]
    unit, halvings = form.unit / 2, 0
    if stage.form == "log":
        largest += 0.5
        halvings = max(0, math.ceil(math.log2(largest * unit / LARGEST_OPERAND)))
    value = FixedPoint.covering(VALUE_BITS, largest)
    if stage.form == "linear":
        unit = 2.0**value.fraction_bits
    formats = MinimalFormats(
        message.bits, message.fraction_bits, value.fraction_bits, halvings, recipe.activation,
        stage.form,
    )  # fmt: skip
    units = {"candidate": unit}
    if isinstance(stage, MinGRUStage):
        units["update_gate"], program = form.unit / 2, min_gru_program
    else:
        units |= dict.fromkeys(("forget_gate", "input_gate"), LOG_SIGMOID_UNIT)
        program = min_lstm_program
    return Lowering(
        units,
        message,
        lambda shifts: program(shifts, formats),
        states=("h",),
        memory_step=2.0 ** -(value.fraction_bits + GUARD_BITS),
    )
