"""Runs a program on the C engine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.native import library
from lnn2loihi.simulation.native.job import Binding, Job
from lnn2loihi.simulation.native.kernel_code import LANES, NARROW, Level, row_vector_lanes
from lnn2loihi.simulation.native.layout import Layout, lay_out
from lnn2loihi.simulation.native.plan import ONE, SHARED_BELOW, Piece, divided, unmeasured
from lnn2loihi.simulation.native.stream import NativeStream
from lnn2loihi.simulation.native.workers import run_workers
from lnn2loihi.simulation.result import EngineRun, OnStep

NAME = "c"
NO_MEMORY = 2
#: Operations (see Layout.operations) of batches that do not fill their blocks after which it is
#: worth while to measure what narrower ones cost: half a second or so.
MEASURE_AFTER = 20_000_000_000
#: Operations of one such measurement, and how often it is made: the fastest counts.
MEASURED, REPETITIONS = 40_000_000, 9
#: Operations (see Layout.operations) that are over before anyone could press Ctrl-C, and that the
#: calling thread does itself: to start another one takes about as long.
SHORT = 50_000_000
#: The same where another thread would only take the place of the calling one: some milliseconds,
#: before which Ctrl-C waits.
SHORT_ALONE = 8 * SHORT


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
        self._substeps = program.substeps
        self.level = level or library.level_named(None)
        self.layout: Layout = lay_out(program, row_vector_lanes(self.level))
        self._extra_flags = extra_flags
        self._functions = self._functions_of(LANES)
        #: What a step of a block costs by its lanes, in seconds; empty until it is worth while.
        self.costs: dict[int, float] = {}
        self._ragged = 0
        updates = [library.neuron(p, self.level, extra_flags) for p in self.layout.programs]
        output = [p.name for p in program.populations].index(program.output)
        answering = program.output_population
        self._scale, self._offset = answering.scale, None
        if answering.has_own_scales:
            self._offset = answering.offset
        self._binding = Binding(self.layout, updates, program.input, program.populations, output)

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
        return Job(self._binding, x, lengths, start, record, step_totals)

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

    def _functions_of(self, *widths: int) -> dict[int, Any]:
        """For each width of a block, and for ONE, the function that runs blocks of it."""
        found: dict[int, Any] = {}
        for lanes in widths:
            engine = library.engine(self.level, self._extra_flags, lanes)
            found[lanes] = engine.run_blocks
            found.setdefault(ONE, engine.run_sequences)
        return found

    def _pieces(self, job: Job) -> tuple[Piece, ...]:
        """How a job is divided: by what was measured, once it is worth while to measure."""
        if any(p.kernels for p in self.layout.populations):
            return unmeasured(job.batch, SHARED_BELOW)
        if not self.costs and job.batch % LANES:
            self._ragged += int(job.lengths.sum()) * self.layout.operations
            if self._ragged >= MEASURE_AFTER:
                self.costs = self._measured()
        return divided(job.batch, self.costs) if self.costs else unmeasured(job.batch)

    def _measured(self) -> dict[int, float]:
        """Seconds of a step of a block, by its lanes; widths that cannot be compiled are absent."""
        for lanes in NARROW:
            try:
                self._functions |= {lanes: self._functions_of(lanes)[lanes]}
            except BackendMissingError:
                continue
        jobs = {lanes: self._trial(lanes) for lanes in self._functions}
        costs = dict.fromkeys(jobs, np.inf)
        for _ in range(REPETITIONS):  # interleaved, so that what else runs here troubles all alike
            for lanes, job in jobs.items():
                begin = time.thread_time()
                self._functions[lanes](job.address, 0, lanes, 0, 1)
                costs[lanes] = min(costs[lanes], (time.thread_time() - begin) / job.time)
        return costs

    def _trial(self, lanes: int) -> Job:
        """A full block, for some steps."""
        steps = min(max(1, MEASURED // (lanes * max(self.layout.operations, 1))), 256)
        start = {
            p.name: {word: np.tile(v, (lanes, 1)) for word, v in p.initial_state.items()}
            for p in self._populations
        }
        x = np.zeros((lanes, steps, self._input.size), np.int32)
        return self._job(x, np.full(lanes, steps, np.int64), start)

    def _execute(self, job: Job, threads: int | None, progress: OnStep | None) -> None:
        pieces = self._pieces(job)
        blocks = sum(piece.blocks for piece in pieces)
        workers = max(min(threads or len(os.sched_getaffinity(0)), blocks), 1)
        total = sum(map(job.steps, pieces))

        def run(begin: int, stride: int) -> int:
            """Every so many blocks, counted through all pieces."""
            answers = [0]
            for piece in pieces:
                function = self._functions[piece.lanes]
                answers.append(function(job.address, piece.first, piece.last, begin, stride))
                begin = (begin - piece.blocks) % stride
            return max(answers)

        short = SHORT_ALONE if workers == 1 else SHORT
        if total * self.layout.operations < short and progress is None:
            results = [run(0, 1)]
        else:

            def look() -> None:
                if progress is not None:
                    progress(min(int(job.shared[1]), total), total)

            results = run_workers(run, job, workers, look)
        if NO_MEMORY in results:
            raise MemoryError("the C engine found no memory for the states of a block of sequences")
        if progress is not None:
            progress(total, total)

    def open_stream(
        self, state: Mapping[str, Mapping[str, npt.NDArray[Any]]], encoded: bool = False
    ) -> NativeStream:
        """One endless sequence.

        Args:
            state: what it starts from, (1, neurons) each.
            encoded: whether it takes int32 messages in place of float64 samples.
        """
        x = np.zeros((1, 1, self._input.size), np.int32 if encoded else np.float64)
        job = self._job(x, np.ones(1, np.int64), state)
        return NativeStream(
            job,
            library.engine(self.level, self._extra_flags),
            self._substeps,
            self._scale,
            self._offset,
        )
