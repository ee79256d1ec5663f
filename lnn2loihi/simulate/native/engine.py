"""Runs a program on the C engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulate.native import library
from lnn2loihi.simulate.native.job import Job
from lnn2loihi.simulate.native.kernel_code import LANES, Level, row_vector_lanes
from lnn2loihi.simulate.native.layout import Layout, lay_out
from lnn2loihi.simulate.native.workers import run_workers
from lnn2loihi.simulate.result import EngineRun, OnStep, SaturationCounts

NAME = "c"
NO_MEMORY = 2
#: Batches below this run one sequence at a time, with a neuron in each lane.
SINGLE_BELOW = 8
#: Operations (see Layout.operations) that are over before anyone could press Ctrl-C, and that the
#: calling thread does itself: to start another one takes about as long.
SHORT = 50_000_000


class NativeEngine:
    """A program, laid out and compiled; may be used from several threads at once.

    Args:
        program: what to run; `layout.unsupported` must have nothing against it.
        level: instruction-set level, the best of this CPU by default.
        extra_flags: further compiler flags, for sanitizers.

    Raises:
        BackendMissingError: there is no C compiler, and the engine is not in the cache.
    """

    def __init__(
        self, program: LoihiProgram, level: Level | None = None, extra_flags: tuple[str, ...] = ()
    ) -> None:
        # Not the program itself: engines are kept as long as their program is alive.
        self._input, self._populations = program.input, program.populations
        self._output = [p.name for p in program.populations].index(program.output)
        self.level = level or library.level_named(None)
        self.layout: Layout = lay_out(program, row_vector_lanes(self.level))
        self._library = library.engine(self.level, extra_flags)
        self._updates = [library.neuron(p, self.level, extra_flags) for p in self.layout.programs]

    @property
    def name(self) -> str:
        """Name for results."""
        return f"{NAME} {self.level.name}"

    def _job(
        self,
        x: npt.NDArray[Any],
        lengths: IntegerArray,
        start: Any,
        record: bool = False,
        step_totals: bool = False,
    ) -> Job:
        return Job(
            self.layout, self._updates, self._input, self._populations, self._output, x, lengths,
            start, record, step_totals,
        )  # fmt: skip

    def run(
        self,
        x: npt.NDArray[Any],
        lengths: IntegerArray,
        initial_state: Mapping[str, Mapping[str, npt.NDArray[Any]]],
        record: bool = False,
        threads: int | None = None,
        progress: OnStep | None = None,
        step_totals: bool = False,
    ) -> tuple[EngineRun, IntegerArray]:
        """Runs sequences.

        Args:
            x: (batch, time, channels), float64 or float32 samples or int32 encoded messages,
                contiguous.
            lengths: samples of each sequence, int64 (batch,).
            initial_state: for each population and state word (batch, neurons).
            record: whether to return every state of every step.
            threads: number of threads; all cores by default.
            progress: called with the steps done and the steps in all, over all blocks.
            step_totals: whether to count messages of each step too.

        Returns:
            The run, and the saturated input values of each channel, int64 (channels,).

        Raises:
            MemoryError: there is not enough memory for the scratch of a block.
            KeyboardInterrupt: Ctrl-C; the threads have ended.
        """
        job = self._job(x, lengths, initial_state, record, step_totals)
        self._execute(job, threads, progress)
        return job.result(self.name)

    def _function(self, batch: int) -> tuple[Any, int]:
        """The function of the library for a batch, and into how many pieces it divides it."""
        if batch < SINGLE_BELOW:
            return self._library.run_sequences, batch
        return self._library.run_blocks, -(-batch // LANES)

    def _execute(self, job: Job, threads: int | None, progress: OnStep | None) -> None:
        function, pieces = self._function(job.batch)
        workers = max(min(threads or len(os.sched_getaffinity(0)), pieces), 1)
        single = function is self._library.run_sequences
        total, lanes = (int(job.lengths.sum()), 1) if single else (job.block_steps, LANES)
        if total * lanes * self.layout.operations < SHORT and progress is None:
            results = [function(job.address, 0, 1)]
        else:

            def look() -> None:
                if progress is not None:
                    progress(min(int(job.shared[1]), total), total)

            results = run_workers(function, job, workers, look)
        if NO_MEMORY in results:
            raise MemoryError("the C engine found no memory for the states of a block of sequences")
        if progress is not None:
            progress(total, total)

    def open_stream(
        self,
        initial_state: Mapping[str, Mapping[str, npt.NDArray[Any]]],
        state: Mapping[str, Mapping[str, npt.NDArray[Any]]] | None = None,
        encoded: bool = False,
    ) -> NativeStream:
        """One endless sequence; states (1, neurons).

        Args:
            initial_state: what `reset` returns to.
            state: what it starts from, where that is another.
            encoded: whether it takes int32 messages in place of float64 samples.
        """
        x = np.zeros((1, 1, self._input.size), np.int32 if encoded else np.float64)
        job = self._job(x, np.ones(1, np.int64), initial_state)
        return NativeStream(job, self._function(1)[0], initial_state if state is None else state)


class NativeStream:
    """One endless sequence on arrays that are bound once; not for several threads."""

    def __init__(
        self, job: Job, function: Any, state: Mapping[str, Mapping[str, npt.NDArray[Any]]]
    ) -> None:
        self._job, self._function = job, function
        self._sample, self._answer = job.x[0, 0], job.outputs[0, 0]
        self.start(state)
        job.carry_over()

    def start(self, state: Mapping[str, Mapping[str, npt.NDArray[Any]]]) -> None:
        """Goes on from a state, for each population and word (1, neurons), with counts of 0."""
        for bound in self._job.populations:
            for place, word in enumerate(bound.words):
                bound.final[place] = state[bound.name][word]
        self._job.counts[0] = 0
        for bound in self._job.populations:
            bound.saturated[:] = 0

    @property
    def state(self) -> dict[str, dict[str, npt.NDArray[np.int32]]]:
        """For each population and state word int32 (1, neurons); written to by the next step."""
        return {
            bound.name: dict(zip(bound.words, bound.final, strict=False))
            for bound in self._job.populations
        }

    @property
    def saturated(self) -> IntegerArray:
        """Input values of each channel outside the calibrated range in all steps, int64."""
        return self._job.counts[0].copy()

    @property
    def saturated_words(self) -> SaturationCounts:
        """Updates in which words saturated, in all steps."""
        return self._job.saturated_words()

    def step(self, sample: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """The messages of the output population, int32 (outputs,); overwritten by the next step.

        Args:
            sample: float64 (inputs,), finite; or int32, where the stream is encoded.

        Raises:
            MemoryError: there is not enough memory for the scratch.
        """
        self._sample[:] = sample
        if self._function(self._job.address, 0, 1) == NO_MEMORY:
            raise MemoryError("the C engine found no memory for a step")
        return self._answer
