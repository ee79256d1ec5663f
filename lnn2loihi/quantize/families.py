"""From a float stage to a neuron program: what each family decides before its rows are quantized.

One function per kind of stage. It chooses formats from what calibration measured and from the
largest sums that weights and messages allow; the rows themselves are alike in all families.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np

from lnn2loihi.errors import QuantizationError
from lnn2loihi.formats import MESSAGE_BITS, FixedPoint
from lnn2loihi.layers.cfc import CfCStage, PureStage
from lnn2loihi.layers.dense import SUM, DenseStage
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.layers.ltc import HeldMemoryStage
from lnn2loihi.layers.memory import MemoryStage
from lnn2loihi.layers.readout import ReadoutStage
from lnn2loihi.layers.stage import Stage
from lnn2loihi.neurons.activations import ACTIVATIONS, EXP_FRACTION_BITS
from lnn2loihi.neurons.cfc import LARGEST_GROWN, Growth, cfc_program
from lnn2loihi.neurons.dense import BOUNDED, dense_program, sum_fraction_bits
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.linear import linear_program
from lnn2loihi.neurons.lstm import CELL_BITS, lstm_program
from lnn2loihi.neurons.phase import PHASE
from lnn2loihi.neurons.pure import GUARD_BITS, OPERAND_BITS, PureFormats, pure_program
from lnn2loihi.quantize.recipe import Recipe

#: Resolution that a readout aims at: its calibrated range takes about this many bits.
READOUT_BITS = 16
#: Headroom of a cell state beyond what calibration saw, as a factor.
CELL_HEADROOM = 2.0
#: Beyond the words of parameters, and within int32, which holds them.
LARGEST_INTEGER = 2.0**30
#: Fraction bits of elapsed times of a few units, as most networks are trained with.
SMALL_TIME_BITS = 8
#: Largest fraction bits of a 16-bit operand that is below 1 in magnitude.
OPERAND_FRACTION = OPERAND_BITS - 1


@dataclass(frozen=True)
class Measured:
    """What is known of a stage before its rows are quantized.

    Attributes:
        largest_answer: largest magnitude of its message on the calibration data (or what the
            chosen way of calibration makes of it).
        largest_memory: the same of its memory; 0 without.
        reach: for each gate the largest sum that weights and messages allow, float64 (units,).
        elapsed: format of the elapsed time, or None where time is constant.
        longest: the longest elapsed time; 0 where it is constant.
        steps: real value of one unit of each column that the stage hears, float64 (columns,).
        first_steps: the same in the first of several steps of a sample, and then of the columns
            that its memory starts from.
        largest_heard: largest magnitude of each column, float64 (columns,).
        largest_sums: for each of the stage's `calibrated` gates the largest magnitude of its sums
            on the calibration data.
    """

    largest_answer: float
    largest_memory: float
    reach: Mapping[str, FloatArray]
    elapsed: FixedPoint | None
    longest: float
    steps: FloatArray
    first_steps: FloatArray
    largest_heard: FloatArray
    largest_sums: Mapping[str, float]


@dataclass(frozen=True)
class Lowering:
    """How a stage becomes a population.

    Attributes:
        units: for each accumulator the pre-activation steps per 1.0, one number for all units or
            float64 (units,).
        message: format of the message; None where the rows decide (readouts).
        fraction_bits: fraction bits of the message where the rows decide.
        program: makes the neuron program from the right shifts of the pre-activations.
        states: state words, which start at 0.
        memory_step: real value of one unit of the state word that is not the message.
        parameters: further per-neuron parameters, int64 (units,).
        operands: accumulators whose pre-activations are factors of 16 bits; where rounded rows
            can leave these, they saturate.
    """

    units: Mapping[str, float | FloatArray]
    message: FixedPoint | None
    program: Callable[[Sequence[int]], NeuronProgram]
    fraction_bits: int = 0
    states: tuple[str, ...] = ()
    memory_step: float = 1.0
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    operands: tuple[str, ...] = ()


@singledispatch
def message_format(stage: Stage, largest_answer: float, recipe: Recipe) -> FixedPoint | None:
    """Format of a stage's message; None for readouts, whose rows decide.

    It is known before anything of the stage is quantized, because loops hear it. Families whose
    answers have no bound of their own get the finest format that covers what was calibrated.
    """
    return FixedPoint.covering(recipe.message_bits, largest_answer)


@message_format.register
def _(stage: ReadoutStage, largest_answer: float, recipe: Recipe) -> None:
    return None


@message_format.register
def _(stage: CfCStage, largest_answer: float, recipe: Recipe) -> FixedPoint:
    bits = recipe.message_bits
    return FixedPoint(bits, bits - (2 if stage.mode == "no_gate" else 1))


@message_format.register
def _(stage: MemoryStage, largest_answer: float, recipe: Recipe) -> FixedPoint:
    return FixedPoint(recipe.message_bits, recipe.message_bits - 1)


@message_format.register
def _(stage: DenseStage, largest_answer: float, recipe: Recipe) -> FixedPoint:
    bits = recipe.message_bits
    if stage.activation in BOUNDED:
        return FixedPoint(bits, bits - 1)
    chosen = FixedPoint.covering(bits, largest_answer)
    # Not finer than the activation computes.
    finest = sum_fraction_bits(stage.activation, chosen.fraction_bits)
    return FixedPoint(bits, min(chosen.fraction_bits, finest))


@singledispatch
def message_low(stage: Stage, message: FixedPoint) -> int:
    """The smallest message, in units of its format."""
    return message.low


@singledispatch
def lower(stage: Stage, measured: Measured, recipe: Recipe) -> Lowering:
    """How a stage becomes a population.

    Raises:
        QuantizationError: there is no neuron program for stages of this kind.
    """
    raise QuantizationError(
        f"stage {stage.name!r}",
        f"there is no neuron program for a {type(stage).__qualname__}: register one, "
        "lnn2loihi.quantize.families.lower.register",
    )


def _operand_fraction(reach: float, bits: int = OPERAND_BITS) -> int:
    """Most fraction bits with which values up to `reach` fit a word, one unit of rounding more."""
    return FixedPoint.covering(bits, reach * (1.0 + 2.0**-10) + 2.0**-12).fraction_bits


@lower.register
def _(stage: CfCStage, measured: Measured, recipe: Recipe) -> Lowering:
    unit = ACTIVATIONS[recipe.activation].unit
    # The time gate is computed as tanh of half its pre-activation (neurons/cfc.py).
    units = {"ff1": unit, "ff2": unit}
    growth, operands = None, ()
    if measured.elapsed is None:
        units["time"] = unit / 2
    else:
        # The rate is an operand of a product: it gets as many bits as fit 16 without clipping.
        largest = float(measured.reach["time_a"].max()) * unit / 2
        coarser = int(np.ceil(np.log2(max(largest, 1.0) * 1.01 / (1 << OPERAND_FRACTION))))
        # Where elapsed times are large, rates are small, and get finer units.
        coarser = max(coarser, min(measured.elapsed.fraction_bits - SMALL_TIME_BITS, 0))
        units |= {"time_a": unit / 2 / 2**coarser, "time_b": unit / 2}
        right = measured.elapsed.fraction_bits - coarser
        beyond = int(np.ceil(np.log2(max(largest * measured.longest, 1.0) * 1.01 / LARGEST_GROWN)))
        left = max(-right, beyond, 0)
        growth, operands = Growth(right + left, left), ("time_a",)
    return Lowering(
        units,
        message_format(stage, 0.0, recipe),
        lambda shifts: cfc_program(
            shifts, recipe.message_bits, recipe.activation, stage.mode, growth
        ),
        states=("h",),
        operands=operands,
    )


@lower.register
def _(stage: PureStage, measured: Measured, recipe: Recipe) -> Lowering:
    message = message_format(stage, measured.largest_answer, recipe)
    assert message is not None
    reach = float(measured.reach["ff1"].max())
    sum_bits = min(_operand_fraction(reach), OPERAND_FRACTION)
    slowness = np.abs(stage.w_tau)
    numerator, shift = 0, 0
    if measured.elapsed is None:
        assert stage.timespan is not None
        factor = stage.timespan * 2.0 ** (EXP_FRACTION_BITS - sum_bits)
        while factor * 2.0 ** (shift + 1) < 1 << OPERAND_FRACTION and shift < 24:
            shift += 1
        numerator = int(factor * 2.0**shift + 0.5)
        rate_bits = EXP_FRACTION_BITS
        rate = slowness * stage.timespan
    else:
        rate_bits = min(sum_bits, _operand_fraction(reach + float(slowness.max())))
        rate_bits = max(rate_bits, EXP_FRACTION_BITS - measured.elapsed.fraction_bits)
        rate = slowness
    amplitude_bits = _operand_fraction(float(np.abs(stage.amplitude).max()))
    # The product is shifted right into the units of the new state.
    amplitude_bits = max(amplitude_bits, message.fraction_bits + GUARD_BITS - sum_bits)
    formats = PureFormats(
        message.bits, message.fraction_bits, sum_bits, rate_bits, amplitude_bits, numerator, shift,
        None if measured.elapsed is None else measured.elapsed.fraction_bits,
    )  # fmt: skip

    def integers(values: FloatArray, fraction_bits: int) -> np.ndarray:
        # What does not fit its word by far is refused as what does not fit it.
        scaled = np.clip(values * 2.0**fraction_bits, -LARGEST_INTEGER, LARGEST_INTEGER)
        return np.floor(scaled + 0.5).astype(np.int64)

    parameters = {
        "rate": integers(rate, rate_bits),
        "amplitude": integers(stage.amplitude, amplitude_bits),
        "rest": integers(stage.amplitude, message.fraction_bits + GUARD_BITS),
    }
    return Lowering(
        {"ff1": 2.0**sum_bits},
        message,
        lambda shifts: pure_program(shifts, formats),
        states=("h",),
        parameters=parameters,
        operands=("ff1",),
    )


@lower.register
def _(stage: DenseStage, measured: Measured, recipe: Recipe) -> Lowering:
    message = message_format(stage, measured.largest_answer, recipe)
    assert message is not None
    if stage.activation in BOUNDED:
        unit = ACTIVATIONS[recipe.activation].unit / (2 if stage.activation == "sigmoid" else 1)
    else:
        unit = 2.0 ** sum_fraction_bits(stage.activation, message.fraction_bits)
    return Lowering(
        {SUM: unit},
        message,
        lambda shifts: dense_program(
            shifts[0], stage.activation, message.bits, message.fraction_bits, recipe.activation
        ),
    )


@lower.register
def _(stage: MemoryStage, measured: Measured, recipe: Recipe) -> Lowering:
    unit = ACTIVATIONS[recipe.activation].unit
    halves = {gate: unit / (1 if gate == "cell_input" else 2) for gate in stage.gates}
    heard = stage.hears_itself
    cell = FixedPoint.covering(CELL_BITS, CELL_HEADROOM * max(measured.largest_memory, 1.0))
    fraction_bits = max(min(cell.fraction_bits, 14), 0)
    updates = stage.unfolds if isinstance(stage, HeldMemoryStage) else 1
    states = ("c", "h") if heard or updates > 1 else ("c",)
    return Lowering(
        halves,
        message_format(stage, 0.0, recipe),
        lambda shifts: lstm_program(
            shifts, recipe.message_bits, fraction_bits, recipe.activation, heard, updates
        ),
        states=(*states, PHASE) if updates > 1 else states,
        memory_step=2.0**-fraction_bits,
    )


@lower.register
def _(stage: ReadoutStage, measured: Measured, recipe: Recipe) -> Lowering:
    """Fraction bits for READOUT_BITS over the calibrated range, fewer if the largest output that
    weights and messages allow would not fit 24 bits: readouts never saturate.
    """
    wanted = FixedPoint.covering(READOUT_BITS, measured.largest_answer).fraction_bits
    reach = float(measured.reach[SUM].max())
    # One bit is left for rounding weights and biases, one for the half unit of rounding.
    fraction_bits = min(wanted, FixedPoint.covering(MESSAGE_BITS - 2, reach).fraction_bits)
    return Lowering(
        {SUM: 2.0**fraction_bits},
        None,
        lambda shifts: linear_program(shifts[0]),
        fraction_bits=fraction_bits,
    )
