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
from lnn2loihi.formats import WORD_BITS, FixedPoint, signed_range
from lnn2loihi.layers.cfc import CfCStage, PureStage
from lnn2loihi.layers.dense import SUM, DenseStage
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.layers.ltc import HeldMemoryStage
from lnn2loihi.layers.memory import MemoryStage
from lnn2loihi.layers.readout import ReadoutStage
from lnn2loihi.layers.stage import Stage
from lnn2loihi.neurons.activations import ACTIVATION_END, ACTIVATIONS, EXP_FRACTION_BITS
from lnn2loihi.neurons.cfc import LARGEST_GROWN, Growth, cfc_program
from lnn2loihi.neurons.dense import BOUNDED, EXACT, dense_program, sum_fraction_bits
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, NeuronProgram
from lnn2loihi.neurons.lstm import CELL_BITS, lstm_program
from lnn2loihi.neurons.phase import PHASE
from lnn2loihi.neurons.pure import GUARD_BITS, OPERAND_BITS, PureFormats, pure_program
from lnn2loihi.quantize.recipe import Recipe

#: Units get scales of their own from this factor between them on, and outputs an offset from this
#: ratio of their middle to how far they move from it.
OWN_FACTOR = 4.0
#: Most bits that a unit's own scale is finer than its population's format.
MOST_FINER = 12.0
#: Headroom of a cell state beyond what calibration saw, as a factor.
CELL_HEADROOM = 2.0
#: Room for rounding weights, in a sum that enters a product without a clamp.
ROUNDING_ROOM = 1.01
#: Beyond the words of parameters, and within int32, which holds them.
LARGEST_INTEGER = 2.0**30
#: Fraction bits of elapsed times of a few units, as most networks are trained with.
SMALL_TIME_BITS = 8
#: Largest magnitude of a word whose negative is one, too.
LARGEST_WORD = signed_range(WORD_BITS)[1]
#: Beyond this exponent the exponential of the programs is 0.
DECAYED = 10.0
#: Largest fraction bits of a 16-bit operand that is below 1 in magnitude.
OPERAND_FRACTION = OPERAND_BITS - 1


@dataclass(frozen=True)
class Measured:
    """What is known of a stage before its rows are quantized.

    Attributes:
        largest_answer: largest magnitude of its message on the calibration data (or what the
            chosen way of calibration makes of it).
        answers: smallest and largest answer of each unit on the calibration data, float64
            (2, units); None where the format of the message is settled without.
        largest_memory: the same of the memory of each unit, float64 (units,); 0 without.
        message_steps: real value of one unit of each unit's message, float64 (units,).
        reach: for each gate the largest sum that weights and messages allow, float64 (units,).
        elapsed: format of the elapsed time, or None where time is constant.
        longest: the longest elapsed time; 0 where it is constant.
        steps: real value of one unit of each column that the stage hears, float64 (columns,).
        first_steps: the same in the first of several steps of a sample, and then of the columns
            that its memory starts from.
        largest_heard: largest magnitude of each column, float64 (columns,).
        largest_sums: for each of the stage's `calibrated` gates the largest magnitude of each
            unit's sums on the calibration data, float64 (units,).
    """

    largest_answer: float
    answers: FloatArray | None
    largest_memory: FloatArray
    message_steps: FloatArray
    reach: Mapping[str, FloatArray]
    elapsed: FixedPoint | None
    longest: float
    steps: FloatArray
    first_steps: FloatArray
    largest_heard: FloatArray
    largest_sums: Mapping[str, FloatArray]


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
        memory_step: real value of one unit of the state word that is not the message, one number or
            (units,).
        parameters: further per-neuron parameters, int64 (units,).
        operands: accumulators whose pre-activations are factors of 16 bits; where rounded rows
            can leave these, they saturate.
        held: for accumulators whose pre-activations make no difference beyond a magnitude that
            fits their word, a magnitude in steps that is farther out than that: where rows can go
            beyond, their sums saturate.
        scale: real value of one unit of each unit's message, float64 (units,); None for the
            format's step.
        offset: what a message of 0 stands for, float64 (units,): rows sum up to what is above it,
            and what decodes messages adds it. None for 0.
    """

    units: Mapping[str, float | FloatArray]
    message: FixedPoint | None
    program: Callable[[Sequence[int]], NeuronProgram]
    fraction_bits: int = 0
    states: tuple[str, ...] = ()
    memory_step: float | FloatArray = 1.0
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    operands: tuple[str, ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)
    scale: FloatArray | None = None
    offset: FloatArray | None = None


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
def unit_sizes(
    stage: Stage, answers: Callable[[], FloatArray], sums: Callable[[str], FloatArray]
) -> tuple[FloatArray, ...]:
    """What decides how many bits finer than its population's format each unit may send.

    Args:
        stage: the stage.
        answers: gives the largest magnitude of each unit's answer on the calibration data.
        sums: gives the same of the sums of a gate.

    Returns:
        Magnitudes (units,): for each of them a unit may be finer than the largest by their ratio.
        Empty where a neuron program is not homogeneous, so that all units share the format:
        families whose answers have a bound of their own, functions with a shape of their own, and
        membranes, whose currents share one format.
    """
    return ()


@unit_sizes.register
def _(
    stage: DenseStage, answers: Callable[[], FloatArray], sums: Callable[[str], FloatArray]
) -> tuple[FloatArray, ...]:
    if stage.activation not in EXACT:
        return ()
    # Rows share a shift: what answers little of a large sum gets few bits more.
    largest = sums(SUM)
    return answers(), np.where(largest < largest.max(), largest / OWN_FACTOR, largest)


def message_steps(
    stage: Stage,
    form: FixedPoint,
    answers: Callable[[], FloatArray],
    sums: Callable[[str], FloatArray],
) -> FloatArray:
    """Real value of one unit of each unit's message, (units,): the format's step, or for units that
    are smaller than the largest by more than OWN_FACTOR a power of two of it.
    """
    finer = np.full(stage.units, MOST_FINER)
    sizes = unit_sizes(stage, answers, sums)
    for size in sizes:
        largest = float(size.max())
        shares = np.where(size > 0.0, size / largest, 1.0) if largest else np.ones(size.size)
        finer = np.minimum(finer, np.floor(-np.log2(np.maximum(shares, 2.0**-MOST_FINER))))
    own = bool(sizes) & (finer > np.log2(OWN_FACTOR))
    return form.step * 2.0 ** -np.where(own, finer, 0.0)


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
    held: dict[str, int] = dict.fromkeys(("ff1", "ff2"), LARGEST_WORD)
    if measured.elapsed is None:
        units["time"] = unit / 2
        held["time"] = LARGEST_WORD
    else:
        # The rate is an operand of a product: it gets as many bits as fit 16 without clipping.
        largest = float(measured.reach["time_a"].max()) * unit / 2
        coarser = int(np.ceil(np.log2(max(largest, 1.0) * 1.01 / (1 << OPERAND_FRACTION))))
        # Where elapsed times are large, rates are small, and get finer units.
        coarser = max(coarser, min(measured.elapsed.fraction_bits - SMALL_TIME_BITS, 0))
        base = float(measured.reach["time_b"].max()) * unit / 2 * ROUNDING_ROOM
        grown = largest * measured.longest * ROUNDING_ROOM
        # Both parts may be far beyond the ends of the activation, and cancel.
        both, alone = 0, grown < LARGEST_GROWN - ACTIVATION_END
        if base > LARGEST_GROWN and not alone:
            both = int(np.ceil(np.log2(max(base, grown) / LARGEST_GROWN)))
        units |= {"time_a": unit / 2 / 2**coarser, "time_b": unit / 2 / 2**both}
        right = measured.elapsed.fraction_bits - coarser + both
        beyond = int(np.ceil(np.log2(max(grown / 2**both, 1.0) / LARGEST_GROWN)))
        left = max(-right, beyond, 0)
        growth, operands = Growth(right + left, left, both), ("time_a",)
        if alone:
            held["time_b"] = LARGEST_GROWN
    return Lowering(
        units,
        message_format(stage, 0.0, recipe),
        lambda shifts: cfc_program(
            shifts, recipe.message_bits, recipe.activation, stage.mode, growth
        ),
        states=("h",),
        operands=operands,
        held=held,
    )


@lower.register
def _(stage: PureStage, measured: Measured, recipe: Recipe) -> Lowering:
    message = message_format(stage, measured.largest_answer, recipe)
    assert message is not None
    reach = float(measured.reach["ff1"].max())
    # With constant time nothing is left of what decays by more.
    gone = DECAYED / stage.timespan if stage.timespan else np.inf
    sum_bits = min(_operand_fraction(min(reach, gone)), OPERAND_FRACTION)
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
    lift = 0
    if measured.elapsed is not None:
        down = rate_bits + measured.elapsed.fraction_bits - EXP_FRACTION_BITS
        longest = measured.longest / measured.elapsed.step
        far = (LARGEST_OPERAND + 1) * max(longest, 1.0) / 2.0**down / LARGEST_WORD
        lift = max(0, -down, int(np.ceil(np.log2(far))))
    down = amplitude_bits + sum_bits - message.fraction_bits - GUARD_BITS
    operand = min(reach * 2.0**sum_bits * ROUNDING_ROOM, LARGEST_OPERAND)
    far = float(np.abs(stage.amplitude).max()) * 2.0**amplitude_bits * operand / 2.0**down
    far = max(far, 1.0) * ROUNDING_ROOM / LARGEST_WORD
    lost_lift = max(0, -down, int(np.ceil(np.log2(far))))
    formats = PureFormats(
        message.bits, message.fraction_bits, sum_bits, rate_bits, amplitude_bits, numerator, shift,
        None if measured.elapsed is None else measured.elapsed.fraction_bits, lift, lost_lift,
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
        held={"ff1": LARGEST_OPERAND} if reach > gone else {},
    )


@lower.register
def _(stage: DenseStage, measured: Measured, recipe: Recipe) -> Lowering:
    message = message_format(stage, measured.largest_answer, recipe)
    assert message is not None
    coarser = 0
    if stage.activation in BOUNDED:
        unit = ACTIVATIONS[recipe.activation].unit / (2 if stage.activation == "sigmoid" else 1)
        beyond = ACTIVATION_END
    else:
        fraction_bits = sum_fraction_bits(stage.activation, message.fraction_bits)
        if stage.activation not in EXACT:
            reach = max(float(measured.reach[SUM].max()), 2.0**-fraction_bits)
            far = reach * 2.0**fraction_bits * ROUNDING_ROOM / LARGEST_WORD
            coarser = max(0, int(np.ceil(np.log2(far))))
            fraction_bits -= coarser
        unit = 2.0**fraction_bits * (message.step / measured.message_steps)
        beyond = 2.0 ** (fraction_bits + message.bits - message.fraction_bits)
    return Lowering(
        {SUM: unit},
        message,
        lambda shifts: dense_program(
            shifts[0],
            stage.activation,
            message.bits,
            message.fraction_bits,
            recipe.activation,
            coarser,
        ),  # fmt: skip
        # Beyond the message's range it saturates anyway.
        held={SUM: LARGEST_WORD} if beyond <= LARGEST_WORD else {},
        scale=measured.message_steps,
    )


@lower.register
def _(stage: MemoryStage, measured: Measured, recipe: Recipe) -> Lowering:
    unit = ACTIVATIONS[recipe.activation].unit
    halves = {gate: unit / (1 if gate == "cell_input" else 2) for gate in stage.gates}
    heard = stage.hears_itself
    cell = FixedPoint.covering(
        CELL_BITS, CELL_HEADROOM * max(float(measured.largest_memory.max()), 1.0)
    )
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
        held=dict.fromkeys(halves, LARGEST_WORD),
        memory_step=2.0**-fraction_bits,
    )
