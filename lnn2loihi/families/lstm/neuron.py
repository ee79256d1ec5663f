"""The neuron program of an LSTM unit: of torch.nn.LSTM, and of a CfC's mixed memory."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import (
    Rescaling,
    fixed_point_factor,
    preactivation,
    saturated,
    within,
)
from lnn2loihi.neurons.phase import first_update
from lnn2loihi.neurons.tracer import Tracer, Word

#: Accumulators, in the order of lnn2loihi.families.lstm.memory.
LSTM_GATES = ("cell_input", "input_gate", "forget_gate", "output_gate")
#: Width of the cell state: the operand of a 16-bit product.
CELL_BITS = 16


def lstm_program(
    shifts: Sequence[Rescaling | int],
    message_bits: int,
    cell_fraction_bits: int,
    activation: str,
    hears_itself: bool = False,
    updates: int = 1,
) -> NeuronProgram:
    """An LSTM unit: c' = c sigma(f) + tanh(g) sigma(i), message tanh(c') sigma(o).

    The gates are tanh of half their sums, so that a product with a gate, a (1 + tau) / 2, is half
    of a + a tau. The cell state saturates at the ends of its 16-bit format.

    Args:
        shifts: right shifts of the pre-activations, LSTM_GATES.
        message_bits: width of the message, Q0.(bits - 1).
        cell_fraction_bits: fraction bits of the cell state, 0 to 14.
        activation: key of ACTIVATIONS.
        hears_itself: whether the message is heard in the next step, so that it is a state too.
        updates: for each sample; in all but the first, state and message are held.
    """
    t = Tracer("lstm")
    form = ACTIVATIONS[activation]
    cell = t.state("c", CELL_BITS)
    heard = t.state("h", message_bits) if hears_itself or updates > 1 else None
    first = first_update(t, updates) if updates > 1 else None
    values: list[Word] = []
    for gate, shift in zip(LSTM_GATES, shifts, strict=True):
        with t.scope(gate):
            values.append(form.tanh(t, preactivation(t, gate, shift)))
    cell_input, input_gate, forget_gate, output_gate = values
    kept = _doubled(t, cell, forget_gate, "kept")
    added = _doubled(t, cell_input, input_gate, "added")
    spare = FRACTION_BITS - cell_fraction_bits
    total = t.add(t.shift_left(kept, spare) if spare else kept, added, "total")
    new_cell = saturated(t, t.round_half_up(total, spare + 1), CELL_BITS, "c", first)
    t.write(cell, new_cell if first is None else t.select(first, new_cell, cell, "held_cell"))
    with t.scope("squashed"):
        numerator, shift = fixed_point_factor(form.unit / 2.0**cell_fraction_bits)
        squashed = form.tanh(t, t.multiply(new_cell, numerator, shift, "preactivation"))
    answer = _doubled(t, squashed, output_gate, "answer")
    rounded = t.round_half_up(answer, FRACTION_BITS + 1 - (message_bits - 1))
    message = within(t, rounded, message_bits)
    if first is not None and heard is not None:
        message = t.select(first, message, heard, "held")
    t.spike(message, heard)
    return t.program()


def _doubled(t: Tracer, value: Word, gate: Word, hint: str) -> Word:
    """Twice the value times its gate (1 + tau) / 2: one fraction bit more than the value's."""
    return t.add(value, t.multiply(value, gate, FRACTION_BITS), hint)
