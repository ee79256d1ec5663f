"""The neuron programs of minGRU and minLSTM units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lnn2loihi.neurons.activations import (
    ACTIVATION_END,
    ACTIVATIONS,
    FRACTION_BITS,
    LOG_SIGMOID_END,
    LOG_SIGMOID_UNIT,
    log_sigmoid,
)
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, NeuronProgram
from lnn2loihi.neurons.leak import GUARD_BITS, STATE_BITS, VALUE_BITS, moved, sent
from lnn2loihi.neurons.operations import (
    Rescaling,
    clamped,
    fixed_point_factor,
    preactivation,
    saturated,
    within,
)
from lnn2loihi.neurons.tracer import Tracer, Word


@dataclass(frozen=True)
class MinimalFormats:
    """Formats of a minGRU or minLSTM unit.

    Attributes:
        message_bits, message_fraction_bits: format of the message.
        value_fraction_bits: fraction bits of the candidate, a word of VALUE_BITS that saturates.
        halvings: right shift of a candidate's sum of the form "log" before the product that brings
            it into that format.
        activation: key of ACTIVATIONS.
        form: one of lnn2loihi.families.minimal.layer.FORMS.
        coarser: left shift that brings a candidate's sum of the form "log" into the units of the
            activation: large ones count in coarser units.
        gates_coarser: the same of the sums of the two gates of a minLSTM.
    """

    message_bits: int
    message_fraction_bits: int
    value_fraction_bits: int
    halvings: int
    activation: str
    form: str
    coarser: int = 0
    gates_coarser: int = 0


def min_gru_program(shifts: Sequence[Rescaling | int], formats: MinimalFormats) -> NeuronProgram:
    """A minGRU unit: h' = (1 - u) h + u n with u = sigma(update_gate).

    Args:
        shifts: right shifts of the pre-activations: candidate, update_gate.
        formats: see MinimalFormats.
    """
    t = Tracer(f"mingru {formats.form}")
    kept = t.state("h", STATE_BITS)
    target = _candidate(t, shifts[0], formats)
    with t.scope("update_gate"):
        tau = ACTIVATIONS[formats.activation].tanh(t, preactivation(t, "update_gate", shifts[1]))
    _answered(t, kept, target, tau, formats)
    return t.program()


def min_lstm_program(shifts: Sequence[Rescaling | int], formats: MinimalFormats) -> NeuronProgram:
    """A minLSTM unit: h' = (1 - s) h + s n with s = i / (f + i), i and f logistic functions.

    s is sigma(log i - log f): no division.

    Args:
        shifts: right shifts of the pre-activations: candidate, forget_gate, input_gate.
        formats: see MinimalFormats.
    """
    t = Tracer(f"minlstm {formats.form}")
    form = ACTIVATIONS[formats.activation]
    kept = t.state("h", STATE_BITS)
    target = _candidate(t, shifts[0], formats)
    with t.scope("forget_gate"):
        forget = preactivation(t, "forget_gate", shifts[1])
        line, forget = _logarithm(t, forget, formats.gates_coarser)
    with t.scope("input_gate"):
        taken = preactivation(t, "input_gate", shifts[2])
        other, taken = _logarithm(t, taken, formats.gates_coarser)
    with t.scope("share"):
        odds = t.subtract(taken, forget, "odds")
        if line is not None and other is not None:
            end = max(ACTIVATION_END >> formats.gates_coarser, 1)
            apart = clamped(t, t.subtract(other, line, "apart"), -end, end, "apart")
            odds = t.add(odds, t.shift_left(apart, formats.gates_coarser, "apart"), "odds")
        odds = within(t, odds, 16, "clamped")
        numerator, shift = fixed_point_factor(form.unit / 2 / LOG_SIGMOID_UNIT)
        tau = form.tanh(t, t.multiply(odds, numerator, shift, "preactivation"))
    _answered(t, kept, target, tau, formats)
    return t.program()


def _logarithm(t: Tracer, x: Word, coarser: int) -> tuple[Word | None, Word]:
    """The logarithm of the logistic function of x in two addends: min(x, 0) in the units of x, and
    the rest in those of log_sigmoid; None and the whole of it where the units are the same.
    """
    if not coarser:
        return None, log_sigmoid(t, x)
    end = max((1 << LOG_SIGMOID_END.bit_length()) >> coarser, 1)
    near = t.shift_left(clamped(t, x, -end, end, "near"), coarser, "near")
    rest = t.subtract(log_sigmoid(t, near), t.minimum(near, 0), "rest")
    return t.minimum(x, 0, "line"), rest


def _answered(t: Tracer, kept: Word, target: Word, tau: Word, formats: MinimalFormats) -> None:
    """Moves the state and sends it."""
    new = moved(t, kept, target, tau, towards=True)
    t.write(kept, new)
    spare_bits = formats.value_fraction_bits + GUARD_BITS - formats.message_fraction_bits
    rounded, message = sent(
        t, new, spare_bits, formats.message_bits, positive=formats.form == "log"
    )
    t.saturates(rounded, message, "message")
    t.spike(message)


def _candidate(t: Tracer, shift: Rescaling | int, formats: MinimalFormats) -> Word:
    """What the state moves to, a word of VALUE_BITS.

    In the form "log" it is max(a, 0) + sigma(min(a, 0)), and sigma(a) is (1 + tanh(a / 2)) / 2.
    """
    with t.scope("candidate"):
        total = preactivation(t, "candidate", shift)
        if formats.form == "linear":
            return saturated(t, total, VALUE_BITS, "value", hint="value")
        form = ACTIVATIONS[formats.activation]
        above = t.maximum(total, 0, "above")
        below = t.minimum(total, 0, "below")
        if formats.coarser:
            end = max(ACTIVATION_END >> formats.coarser, 1)
            below = t.shift_left(t.maximum(below, -end, "below"), formats.coarser, "below")
        above = t.shift_right(above, formats.halvings) if formats.halvings else above
        numerator, down = fixed_point_factor(
            2.0 ** (formats.value_fraction_bits + formats.halvings + formats.coarser)
            / (form.unit / 2)
        )
        operand = t.minimum(above, LARGEST_OPERAND)
        t.saturates(above, operand, "candidate.preactivation")
        line = t.multiply(operand, numerator, down, "line")
        doubled = t.add(form.tanh(t, below), 1 << FRACTION_BITS, "doubled")
        curve = t.shift_right(doubled, FRACTION_BITS + 1 - formats.value_fraction_bits, "curve")
        total = t.add(line, curve)
        value = t.minimum(total, (1 << (VALUE_BITS - 1)) - 1, "value")
        t.saturates(total, value, "value")
        return value
