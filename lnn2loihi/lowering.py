"""The contract of quantization: how a stage becomes a population.

A family says it with a `StageLowering` for each kind of its stages. It chooses formats from what
calibration measured and from the largest sums that weights and messages allow; the rows themselves
are quantized alike in all families.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from lnn2loihi.formats import WORD_BITS, FixedPoint, signed_range
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.layers.stage import Stage
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import Rescaling
from lnn2loihi.recipe import Recipe

#: Units get scales of their own from this factor between them on, and outputs an offset from this
#: ratio of their middle to how far they move from it.
OWN_FACTOR = 4.0
#: Most bits that a unit's own scale is finer than its population's format.
MOST_FINER = 12.0
#: Room for rounding weights, in a sum that enters a product without a clamp.
ROUNDING_ROOM = 1.01
#: Largest magnitude of a word whose negative is one, too.
LARGEST_WORD = signed_range(WORD_BITS)[1]

S = TypeVar("S", bound=Stage)


@dataclass(frozen=True)
class Measured:
    """What is known of a stage before its rows are quantized.

    Attributes:
        largest_answer: largest magnitude of its message on the calibration data (or what the
            chosen way of calibration makes of it).
        answers: smallest and largest answer of each unit on the calibration data, float64
            (2, units); None where the format of the message is settled without.
        largest_memory: for each word of its memory the same of each unit, float64 (units,).
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
    largest_memory: Mapping[str, FloatArray]
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
        message: format of the message; None where the rows decide (readouts), or the source does
            (`StageLowering.repeats`).
        fraction_bits: fraction bits of the message where the rows decide.
        program: makes the neuron program from what rescales the pre-activations, gate by gate.
        states: state words, which start at 0.
        memory_steps: for each word of the stage's memory the real value of one unit of the state
        word
            of the same name, one number or (units,).
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
        sum_steps: for accumulators whose weights are whole multiples of it, the real value of one
            unit of their sums, one number or (units,): mantissas are these multiples and exact,
            where weights of any size use all bits of their width. Its product with the unit has to
            be a power of two.
    """

    units: Mapping[str, float | FloatArray]
    message: FixedPoint | None
    program: Callable[[Sequence[Rescaling]], NeuronProgram]
    fraction_bits: int = 0
    states: tuple[str, ...] = ()
    memory_steps: Mapping[str, float | FloatArray] = field(default_factory=dict)
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    operands: tuple[str, ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)
    scale: FloatArray | None = None
    offset: FloatArray | None = None
    sum_steps: Mapping[str, float | FloatArray] = field(default_factory=dict)

    def steps_of(self, gate: str, units: int) -> FloatArray | None:
        """What `sum_steps` has for a gate, (units,); None where it has nothing."""
        found = self.sum_steps.get(gate)
        return None if found is None else np.broadcast_to(np.asarray(found, np.float64), (units,))


class StageLowering(ABC, Generic[S]):
    """How the stages of one class become populations."""

    #: Whether the answer has a bound of its own below 1, whatever the data are: messages then have
    #: the format of all numbers within (-1, 1). Else it is the finest that covers what was
    #: calibrated.
    bounded: ClassVar[bool] = False
    #: Whether it sends on the integers of its one source: its messages then have the format, the
    #: units and the ends of what it hears, and `Lowering.message` is None.
    repeats: ClassVar[bool] = False

    @abstractmethod
    def lower(self, stage: S, measured: Measured, recipe: Recipe) -> Lowering:
        """The formats and the neuron program of a stage.

        Raises:
            QuantizationError: its arrays have no integer form, by neuron.
        """

    def covered(self, stage: S, largest_answer: float, sums: Callable[[str], FloatArray]) -> float:
        """The magnitude that messages have to hold; what lies beyond saturates.

        Args:
            stage: the stage.
            largest_answer: largest magnitude of its message on the calibration data.
            sums: gives the largest magnitude of each unit's sums of a gate, (units,).
        """
        return largest_answer

    def message_format(self, stage: S, largest_answer: float, recipe: Recipe) -> FixedPoint | None:
        """Format of a stage's message; None for readouts, whose rows decide.

        It is known before anything of the stage is quantized, because loops hear it.

        Args:
            stage: the stage.
            largest_answer: as of `Measured`.
            recipe: its recipe.
        """
        if self.bounded:
            return FixedPoint(recipe.message_bits, recipe.message_bits - 1)
        return FixedPoint.covering(recipe.message_bits, largest_answer)

    def message(self, stage: S, largest_answer: float, recipe: Recipe) -> FixedPoint:
        """The same of a stage that has one."""
        found = self.message_format(stage, largest_answer, recipe)
        assert found is not None
        return found

    def message_low(self, stage: S, message: FixedPoint) -> int:
        """The smallest message, in units of its format."""
        return message.low

    def may_clip(self, stage: S) -> bool:
        """Whether messages at an end of their format are cut, so that it is worth a warning."""
        return not self.bounded

    def unit_sizes(
        self, stage: S, answers: Callable[[], FloatArray], sums: Callable[[str], FloatArray]
    ) -> tuple[FloatArray, ...]:
        """What decides how many bits finer than its population's format each unit may send.

        Args:
            stage: the stage.
            answers: gives the largest magnitude of each unit's answer on the calibration data.
            sums: gives the same of the sums of a gate.

        Returns:
            Magnitudes (units,): for each of them a unit may be finer than the largest by their
            ratio. Empty where a neuron program is not homogeneous, so that all units share the
            format: families whose answers have a bound of their own, functions with a shape of
            their own, and membranes, whose currents share one format.
        """
        return ()

    def unit_ranges(
        self, stage: S, answers: Callable[[], FloatArray], longest: float
    ) -> FloatArray | None:
        """The range that each unit's message has, of which a `message_format` of all numbers within
        (-1, 1) says the share; None where the format says numbers.

        It goes before `unit_sizes`. A neuron program then keeps shares, and `memory_steps` of its
        lowering are the ranges times those of a share (`Measured.message_steps` has the ranges).

        Args:
            stage: the stage.
            answers: gives the largest magnitude of each unit's answer on the calibration data.
            longest: the longest elapsed time of a timed stage; 0 for others.

        Returns:
            float64 (units,), above 0; of so few significant bits that states, which are given and
            answered as numbers, keep all of theirs (`families/lrc/lowering.py` takes three).
        """
        return None

    def cautions(self, stage: S, largest: FloatArray, longest: float) -> list[str]:
        """Sentences about what is not proved of a stage, for the warnings of a program.

        Args:
            stage: the stage.
            largest: largest magnitude of each unit's answer on the calibration data, (units,).
            longest: as of `unit_ranges`.
        """
        return []


def message_steps(
    lowering: StageLowering[Any],
    stage: Stage,
    form: FixedPoint,
    answers: Callable[[], FloatArray],
    sums: Callable[[str], FloatArray],
    longest: float = 0.0,
) -> FloatArray:
    """Real value of one unit of each unit's message, (units,): the format's step, of the range that
    the family says, or for units that are smaller than the largest by more than OWN_FACTOR a power
    of two of it.
    """
    ranges = lowering.unit_ranges(stage, answers, longest)
    if ranges is not None:
        return form.step * ranges
    finer = np.full(stage.units, MOST_FINER)
    sizes = lowering.unit_sizes(stage, answers, sums)
    for size in sizes:
        largest = float(size.max())
        shares = np.where(size > 0.0, size / largest, 1.0) if largest else np.ones(size.size)
        finer = np.minimum(finer, np.floor(-np.log2(np.maximum(shares, 2.0**-MOST_FINER))))
    own = bool(sizes) & (finer > np.log2(OWN_FACTOR))
    return form.step * 2.0 ** -np.where(own, finer, 0.0)
