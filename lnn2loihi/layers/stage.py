"""Stages: what one population of the chip will compute, as a float function.

A layer consists of one stage or of several. A stage reads the messages of others, of the same
sample or of the sample before, sums them up in its gates, and turns the sums into its own
message. Quantization makes one population of each stage, and training for the chip runs the same
stages with the chip's arithmetic.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from lnn2loihi.layers.linear import FloatArray, Linear

#: Name of the network's input among the sources of stages.
INPUT = "input"

#: Accumulators of the first of several steps of a sample: of what is heard in the place of
#: another source, and of what a memory starts from.
FIRST, RESTART = "first", "restart"

State = Mapping[str, FloatArray]


@dataclass(frozen=True)
class StageSource:
    """Where a block of columns of a stage comes from.

    Attributes:
        name: INPUT, or the name of a stage.
        columns: width of the block.
        previous: whether it is the message of the sample before, or of the step before where a
            sample takes several.
        first: where a sample takes several steps, name of the stage that is heard in its place in
            the first of them; "" for none.
    """

    name: str
    columns: int
    previous: bool = False
    first: str = field(default="", repr=False)


@dataclass(frozen=True, eq=False)
class Stage(ABC):
    """One stage.

    Attributes:
        name: name in messages and tables, and of the population.
        sources: what it reads, in the order of the columns of its gates.
        gates: for each sum its affine map, weight (units, columns of all sources).
        timed: whether it also takes the elapsed time of each sample.
    """

    family: ClassVar[str]
    #: Words that it keeps from sample to sample beside its message.
    memory: ClassVar[tuple[str, ...]] = ()
    #: Attributes that hold one number for each unit and are trained beside the gates.
    vectors: ClassVar[tuple[str, ...]] = ()
    #: Gates and vectors that training keeps from falling below zero.
    positive: ClassVar[tuple[str, ...]] = ()
    #: Ranges that training keeps vectors within, (low, high).
    limits: ClassVar[Mapping[str, tuple[float, float]]] = MappingProxyType({})
    #: Gates whose weights no training changes, such as an identity by which a stage hears another
    #: one unit by unit. They are no parameters: the layer makes them.
    fixed: ClassVar[tuple[str, ...]] = ()
    #: Whether its gates only pick columns: weights of one that no training changes, and no bias.
    #: It has no memory and stands in a loop, so that its answer follows from what it hears there.
    selects: ClassVar[bool] = False
    #: Whether it takes one step for each sample, the first, where others take several.
    once: ClassVar[bool] = False
    #: Gates that saturate at a range which calibration says, since nothing else bounds them.
    calibrated: ClassVar[tuple[str, ...]] = ()
    #: Names of what opens and shuts by a logistic function; see `logistic_arguments`.
    logistic: ClassVar[tuple[str, ...]] = ()

    name: str
    sources: tuple[StageSource, ...]
    gates: Mapping[str, Linear]
    timed: bool = field(default=False, kw_only=True)

    @property
    def units(self) -> int:
        """Number of units."""
        return next(iter(self.gates.values())).output_size

    @property
    def columns(self) -> int:
        """Columns of all sources."""
        return sum(source.columns for source in self.sources)

    @property
    def starts_from(self) -> str:
        """Name of the stage from whose message its memory starts in the first of several steps of
        a sample; "" where it goes on from the sample before.
        """
        return ""

    @property
    def bound(self) -> float:
        """A magnitude that the answer cannot leave, whatever it hears; infinite without one."""
        return math.inf

    @property
    def recurrent(self) -> bool:
        """Whether it reads messages of the sample before."""
        return any(source.previous for source in self.sources)

    @property
    def synapses(self) -> int:
        """Number of non-zero weights."""
        return sum(int(np.count_nonzero(gate.weight)) for gate in self.gates.values())

    @property
    def largest_weight(self) -> float:
        """Largest magnitude of a weight."""
        return max(float(np.abs(gate.weight).max()) for gate in self.gates.values())

    @property
    def hears_itself(self) -> bool:
        """Whether it reads its own message of the sample before."""
        return any(source.previous and source.name == self.name for source in self.sources)

    def state_name(self, word: str) -> str:
        """Under which name the state of a word of `memory` is given and answered.

        The stage's, where the message says the same or is not heard in the next step.
        """
        return self.name

    @property
    def cell_words(self) -> tuple[str, ...]:
        """Words of `memory` that a module hands out beside its state, as an LSTM does with c."""
        return tuple(word for word in self.memory if self.state_name(word) != self.name)

    def sums(self, z: FloatArray) -> dict[str, FloatArray]:
        """The sum of each gate, (..., units), from all sources side by side, (..., columns)."""
        return {name: gate(z) for name, gate in self.gates.items()}

    def asked_sums(self, z: FloatArray) -> Mapping[str, FloatArray]:
        """The same, each computed whenever it is asked for."""
        return self.sums(z) if self.selects else _AskedSums(self.gates, z)

    def logistic_arguments(
        self, sums: Mapping[str, FloatArray], elapsed: FloatArray | None
    ) -> dict[str, FloatArray]:
        """For each name of `logistic` what goes into its logistic function, (..., units).

        These are sums of gates, where a stage does not say otherwise; arguments as of `answer`.
        """
        return {name: sums[name] for name in self.logistic}

    @abstractmethod
    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The message and the new memory, (..., units) each.

        Args:
            sums: the sum of each gate, (..., units).
            state: each word of `memory`, (..., units).
            elapsed: time since the sample before, (..., 1); None unless the stage is timed.
        """


class _AskedSums(Mapping[str, FloatArray]):
    """Sums of gates that are computed whenever they are asked for."""

    def __init__(self, gates: Mapping[str, Linear], z: FloatArray) -> None:
        self._gates, self._z = gates, z

    def __getitem__(self, name: str) -> FloatArray:
        return self._gates[name](self._z)

    def __iter__(self) -> Iterator[str]:
        return iter(self._gates)

    def __len__(self) -> int:
        return len(self._gates)
