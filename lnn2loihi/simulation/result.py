"""What a simulation returns, whichever executor ran it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.frozen import ContentEquality
from lnn2loihi.kinds import Natural
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.program import LoihiProgram
from lnn2loihi.showing import Said, Shown, ranges
from lnn2loihi.tables import counted, percent

#: Called with the chip steps done and the chip steps in all, for progress bars.
OnStep = Callable[[int, int], None]
#: For each population and word an array of integers.
States = Mapping[str, Mapping[str, npt.NDArray[Any]]]
#: For each population and saturation how often the word of each neuron saturated, int64.
SaturationCounts = Mapping[str, Mapping[str, IntegerArray]]


def no_saturations(program: LoihiProgram) -> SaturationCounts:
    """Counts of 0 for every word that can saturate."""
    return {
        p.name: {mark.name: np.zeros(p.size, np.int64) for mark in program.saturations[p.name]}
        for p in program.populations
    }


def saturation_totals(counts: SaturationCounts) -> dict[str, int]:
    """How often `population.word` saturated, over all neurons; only those that did."""
    totals = {f"{n}.{w}": int(c.sum()) for n, words in counts.items() for w, c in words.items()}
    return {name: total for name, total in totals.items() if total}


def clipped_text(clipped: int, values: int) -> str:
    """What there is to say of input values outside the calibrated range; empty where all fit.

    Args:
        clipped: how many.
        values: of how many, elapsed times among them; 0 where nobody knows.
    """
    if not clipped:
        return ""
    of = f" of {values:,}" if values else ""
    share = f" ({percent(clipped / values)})" if values else ""
    return (
        f"{clipped:,}{of} input values{share} lie outside the range that the program was "
        "calibrated for and were clipped to its ends: what is said is of the clipped samples. "
        "Check their units, or quantize with samples like these"
    )


def saturation_text(totals: Mapping[str, int] | None) -> str:
    """What there is to say of saturated words, for people; None where nothing was counted."""
    if totals is None:
        return "saturated words: not counted"
    listed = ", ".join(f"{name} {total:,}" for name, total in totals.items())
    return f"saturated words: {listed or 'none'}"


def counts_text(counts: SaturationCounts | None) -> str:
    """The same of counts neuron by neuron."""
    return saturation_text(None if counts is None else saturation_totals(counts))


def recorded_words(program: NeuronProgram) -> tuple[str, ...]:
    """What executors record of a neuron: its state words, and its message where no state word
    holds it.
    """
    return program.state_names if program.message_state else (*program.state_names, "message")


@dataclass(frozen=True, eq=False)
class IntegerRun(Shown, ContentEquality):
    """What an executor hands back, in sample time.

    Attributes:
        executor: name of the executor.
        states: for each population and recorded word int64 (batch, time, neurons).
    """

    executor: str
    states: States

    def outputs(self, program: LoihiProgram) -> IntegerArray:
        """Messages of the output population, (batch, time, outputs)."""
        neuron = program.output_population.program
        return self.states[program.output][neuron.message_state or "message"]


@checks_fields(InputError)
@dataclass(frozen=True, eq=False)
class Counters(Shown, ContentEquality):
    """Messages per source neuron, summed over steps and sequences.

    Attributes:
        non_zero: for the input and each population int64 (neurons,): messages that are not zero,
            which is what the chip sends.
        changed: the same for messages that differ from the neuron's last one, which is what a
            delta code would send.
        samples: samples that were run, over all sequences.
        non_zero_per_step, changed_per_step: the same summed over neurons and sequences instead,
            int64 (time,) for the input and each population; None unless asked for.
    """

    non_zero: Mapping[str, IntegerArray]
    changed: Mapping[str, IntegerArray]
    samples: Natural
    non_zero_per_step: Mapping[str, IntegerArray] | None = None
    changed_per_step: Mapping[str, IntegerArray] | None = None

    def every(self, substeps: int) -> Counters:
        """The same messages, for samples that were run as so many."""

        def summed(
            per_step: Mapping[str, IntegerArray] | None,
        ) -> Mapping[str, IntegerArray] | None:
            if per_step is None:
                return None
            return {n: counts.reshape(-1, substeps).sum(axis=1) for n, counts in per_step.items()}

        return replace(
            self,
            samples=self.samples // substeps,
            non_zero_per_step=summed(self.non_zero_per_step),
            changed_per_step=summed(self.changed_per_step),
        )

    def add(
        self,
        name: str,
        non_zero: npt.NDArray[np.bool_],
        changed: npt.NDArray[np.bool_],
        first: int = 0,
    ) -> None:
        """Counts messages of a source, (batch, time, neurons), from step `first` on."""
        steps = slice(first, first + non_zero.shape[1])
        for found, total, per_step in (
            (non_zero, self.non_zero, self.non_zero_per_step),
            (changed, self.changed, self.changed_per_step),
        ):
            total[name][:] += np.count_nonzero(found, axis=(0, 1))
            if per_step is not None:
                per_step[name][steps] += np.count_nonzero(found, axis=(0, 2))


@dataclass(frozen=True, eq=False)
class EngineRun(Shown, ContentEquality):
    """What an engine hands back, in sample time; zeros stand beyond the end of a sequence.

    Attributes:
        executor: name of the engine.
        integers: int32 (batch, time, outputs).
        states: for each population and recorded word int32 (batch, time, neurons), or None.
        final_state: for each population and state word int32 (batch, neurons).
        counters: messages per source neuron.
        saturated_words: updates in which a word saturated; None where nobody counted.
    """

    executor: str
    integers: npt.NDArray[np.int32]
    states: States | None
    final_state: States
    counters: Counters
    saturated_words: SaturationCounts | None = None

    @classmethod
    def empty(
        cls,
        executor: str,
        program: LoihiProgram,
        time: int,
        initial_state: Mapping[str, Mapping[str, npt.NDArray[Any]]],
        lengths: IntegerArray,
        record: bool,
        step_totals: bool = False,
    ) -> EngineRun:
        """Arrays to be filled: zeros, and the initial state as the final one."""
        batch = lengths.size
        recorded = program.populations if record else ()
        sizes = {program.input.name: program.input.size}
        sizes |= {p.name: p.size for p in program.populations}
        states = {
            p.name: {
                word: np.zeros((batch, time, p.size), np.int32)
                for word in recorded_words(p.program)
            }
            for p in recorded
        }
        return cls(
            executor,
            np.zeros((batch, time, program.output_population.size), np.int32),
            states if record else None,
            {
                name: {word: np.array(values, np.int32) for word, values in words.items()}
                for name, words in initial_state.items()
            },
            Counters(
                {name: np.zeros(size, np.int64) for name, size in sizes.items()},
                {name: np.zeros(size, np.int64) for name, size in sizes.items()},
                int(lengths.sum()),
                {name: np.zeros(time, np.int64) for name in sizes} if step_totals else None,
                {name: np.zeros(time, np.int64) for name in sizes} if step_totals else None,
            ),
            no_saturations(program),
        )

    def every(self, substeps: int) -> EngineRun:
        """The run in samples that were sent so many times each: what holds after the last time.

        Messages are counted every time.
        """
        if substeps == 1:
            return self
        last = slice(substeps - 1, None, substeps)
        states = self.states
        if states is not None:
            states = {
                name: {word: values[:, last] for word, values in words.items()}
                for name, words in states.items()
            }
        return replace(
            self,
            integers=np.ascontiguousarray(self.integers[:, last]),
            states=states,
            counters=self.counters.every(substeps),
        )


@dataclass(frozen=True, eq=False)
class SimulationResult(Shown, ContentEquality):
    """What `simulate` and `run_lava` return.

    Attributes:
        integers: outputs as the chip sends them, int32 (batch, time, outputs).
        scale: real value of one unit of each output, float64 (outputs,).
        offset: real value of an output of 0, float64 (outputs,).
        states: for each population and state word int32 (batch, time, neurons); for a stateless
            population its "message". None unless asked for.
        final_state: for each population and state word int32 (batch, neurons), after the last
            sample of each sequence.
        saturated: int64 (channels,): input values that were outside the calibrated range.
        counters: non-zero and changed messages per source neuron.
        executor: which executor ran, with its version.
        saturated_words: for each population and each of its words that can lose what does not fit
            it (see `LoihiProgram.saturations`) int64 (neurons,): updates in which it did, over all
            samples of all sequences. None where the executor did not count.
    """

    integers: npt.NDArray[np.int32]
    scale: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    states: States | None
    final_state: States
    saturated: IntegerArray
    counters: Counters
    executor: str
    saturated_words: SaturationCounts | None = None

    def _headline(self) -> str:
        batch, time, outputs = self.integers.shape
        return (
            f"{counted(batch, 'sequence')} of {counted(time, 'sample')}, "
            f"{counted(outputs, 'output')}, {self.saturated_inputs:,} inputs clipped, "
            f"{saturation_text(self.saturations)}, {self.executor}"
        )

    def _shown(self) -> list[Said]:
        """Sizes, what was clipped or saturated, and the range of each output."""
        batch, time, outputs = self.integers.shape
        states = "recorded" if self.states is not None else "not recorded"
        lines: list[Said] = [
            f"{counted(batch, 'sequence')} of {counted(time, 'sample')}, "
            f"{counted(outputs, 'output')}; {self.executor}",
            f"input values outside the calibrated range: {self.saturated_inputs:,} of "
            f"{self.input_values:,}; {saturation_text(self.saturations)}; states {states}",
            *([f"warning: {self.clipped_inputs}"] if self.clipped_inputs else []),
        ]
        return lines + ranges(self.outputs)

    @cached_property
    def outputs(self) -> npt.NDArray[np.float64]:
        """Decoded outputs, float64 (batch, time, outputs); made when they are first asked for."""
        values = np.multiply(self.integers, self.scale, dtype=np.float64)
        return np.add(values, self.offset, out=values) if self.offset.any() else values

    @property
    def saturated_inputs(self) -> int:
        """Input values of all channels that were outside the calibrated range."""
        return int(self.saturated.sum())

    @property
    def input_values(self) -> int:
        """Input values of all samples and channels, elapsed times among them."""
        return self.counters.samples * self.saturated.size

    @property
    def clipped_inputs(self) -> str:
        """A warning of input values outside the calibrated range: how many, and the share; empty
        where all fit.
        """
        return clipped_text(self.saturated_inputs, self.input_values)

    @property
    def saturations(self) -> dict[str, int] | None:
        """How often `population.word` saturated, over all neurons; only words that did. None where
        the executor did not count.
        """
        return None if self.saturated_words is None else saturation_totals(self.saturated_words)
