"""How stages of GRU, minGRU and minLSTM become populations; see `lnn2loihi.quantize.families`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lnn2loihi.formats import FixedPoint
from lnn2loihi.layers.gru import GRUStage
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.layers.minimal import MinGRUStage, MinimalStage
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS, LOG_SIGMOID_UNIT
from lnn2loihi.neurons.cfc import LARGEST_GROWN
from lnn2loihi.neurons.gru import HEARD, KEPT, gru_program
from lnn2loihi.neurons.instructions import LARGEST_OPERAND
from lnn2loihi.neurons.leak import GUARD_BITS, VALUE_BITS
from lnn2loihi.neurons.minimal import (
    MinimalFormats,
    min_gru_program,
    min_lstm_program,
)
from lnn2loihi.quantize.families import (
    ACTIVATION_END,
    LARGEST_WORD,
    ROUNDING_ROOM,
    Lowering,
    Measured,
    lower,
    message_format,
    message_low,
    unit_sizes,
)
from lnn2loihi.quantize.recipe import Recipe

#: Room for a candidate beyond what calibration saw, as a factor.
CANDIDATE_HEADROOM = 2.0


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
    held: dict[str, int] = dict.fromkeys(("reset_gate", "update_gate"), LARGEST_WORD)
    # Twice the recurrent part is added to the candidate's input.
    if (LARGEST_OPERAND + 1) << (coarser + 1) < LARGEST_GROWN - ACTIVATION_END:
        held["candidate_input"] = LARGEST_GROWN
    return Lowering(
        units,
        message_format(stage, 0.0, recipe),
        lambda shifts: gru_program(shifts, recipe.message_bits, coarser, recipe.activation),
        states=(KEPT, HEARD),
        memory_step=2.0 ** -(FRACTION_BITS + GUARD_BITS),
        operands=("candidate_recurrent",),
        held=held,
    )


@message_low.register
def _(stage: MinimalStage, message: FixedPoint) -> int:
    """In the form "log" no candidate is below 0, and so no state that began at 0."""
    return 0 if stage.form == "log" else message.low


@unit_sizes.register
def _(
    stage: MinimalStage, answers: Callable[[], FloatArray], sums: Callable[[str], FloatArray]
) -> tuple[FloatArray, ...]:
    """A linear candidate is homogeneous, and so is the state that moves to it."""
    if stage.form != "linear":
        return ()
    largest = answers()
    return largest, np.maximum(CANDIDATE_HEADROOM * sums("candidate"), largest)


@lower.register
def _(stage: MinimalStage, measured: Measured, recipe: Recipe) -> Lowering:
    message = message_format(stage, measured.largest_answer, recipe)
    assert message is not None
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
    reach = max(float(measured.reach[gate].max()) for gate in stage.gates if gate != "candidate")
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
        memory_step=2.0 ** -(value.fraction_bits + GUARD_BITS)
        * (measured.message_steps / message.step),
        scale=measured.message_steps,
        held=held,
    )
