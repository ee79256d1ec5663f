"""Runs a program on the C engine."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulate.native import library
from lnn2loihi.simulate.native.kernel_code import LANES, Level, row_vector_lanes
from lnn2loihi.simulate.native.layout import Layout, lay_out
from lnn2loihi.simulate.result import Counters, EngineRun, OnStep

NAME = "c"
#: Seconds between two looks at Ctrl-C.
PATIENCE = 0.1
NO_MEMORY = 2
#: Batches below this run one sequence at a time, with a neuron in each lane.
SINGLE_BELOW = 8
#: Work (multiply-adds times steps of a block) that is over before anyone could press Ctrl-C, and
#: that is done in the calling thread: starting another one takes longer than a step.
SHORT = 2_000_000


class _Population(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in (
            "neurons", "accumulators", "states", "parameters", "program", "tile_neurons",
            "first_pair", "message_state")),
        *((name, ctypes.c_void_p) for name in (
            "weights", "columns", "weight_starts", "column_starts", "pair_counts",
            "parameter_values", "row_weights", "row_columns")),
        ("row_pairs", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in (
            "row_parameters", "initial", "final", "record", "non_zero", "changed")),
    ]  # fmt: skip


class _Run(ctypes.Structure):
    _fields_ = [
        ("batch", ctypes.c_int64), ("time", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in ("channels", "populations", "pairs", "output")),
        ("scale", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in (
            "x", "low", "high", "lengths", "saturated", "input_non_zero", "input_changed",
            "outputs", "shared", "list")),
    ]  # fmt: skip


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
        self._output = program.output
        self.level = level or library.level_named(None)
        self.layout: Layout = lay_out(program, row_vector_lanes(self.level))
        path = library.build(self.layout.programs, self.level, extra_flags)
        self._library = library.load(path)

    @property
    def name(self) -> str:
        """Name for results."""
        return f"{NAME} {self.level.name}"

    def run(
        self,
        x: npt.NDArray[Any],
        lengths: IntegerArray,
        initial_state: Mapping[str, Mapping[str, npt.NDArray[Any]]],
        record: bool = False,
        threads: int | None = None,
        progress: OnStep | None = None,
    ) -> tuple[EngineRun, IntegerArray]:
        """Runs sequences.

        Args:
            x: (batch, time, channels), float64 samples or int32 encoded messages, contiguous.
            lengths: samples of each sequence, int64 (batch,).
            initial_state: for each population and state word (batch, neurons).
            record: whether to return every state of every step.
            threads: number of threads; all cores by default.
            progress: called with the steps done and the steps in all, over all blocks.

        Returns:
            The run, and the saturated input values of each channel, int64 (channels,).

        Raises:
            MemoryError: there is not enough memory for the scratch of a block.
            KeyboardInterrupt: Ctrl-C; the threads have ended.
        """
        batch, time = x.shape[:2]
        keep: list[Any] = []  # what the structures point to must live as long as the run
        shared = np.zeros(2, np.int64)
        populations = [
            self._population(i, batch, time, initial_state, record)
            for i in range(len(self._populations))
        ]
        array = (_Population * len(populations))(*(p.structure for p in populations))
        port = self._input
        low, high = port.low.astype(np.int32), port.high.astype(np.int32)
        counts = np.zeros((3, port.size), np.int64)
        names = [p.name for p in self._populations]
        output = names.index(self._output)
        outputs = np.zeros((batch, time, self._populations[output].size), np.int32)
        lengths = np.ascontiguousarray(lengths, np.int64)
        total = int(sum(lengths[i : i + LANES].max() for i in range(0, batch, LANES)))
        keep += [array, populations, low, high, counts, outputs, lengths, shared]
        scale = 2.0**port.format.fraction_bits if x.dtype == np.float64 else 0.0
        run = _Run(
            batch, time, port.size, len(populations), self.layout.pairs,
            output, scale,
            *(a.ctypes.data for a in (x, low, high, lengths, counts[0], counts[1], counts[2],
                                      outputs, shared)),
            ctypes.addressof(array),
        )  # fmt: skip
        self._execute(run, threads, shared, total, progress)
        states = {p.name: p.recorded for p in populations} if record else None
        non_zero = {port.name: counts[1], **{p.name: p.counts[0] for p in populations}}
        changed = {port.name: counts[2], **{p.name: p.counts[1] for p in populations}}
        final = {p.name: p.final_words for p in populations}
        counters = Counters(non_zero, changed, int(lengths.sum()))
        return EngineRun(self.name, outputs, states, final, counters), counts[0]

    def _execute(
        self,
        run: _Run,
        threads: int | None,
        shared: npt.NDArray[np.int64],
        total: int,
        progress: OnStep | None,
    ) -> None:
        """Runs all sequences; `shared` holds the order to stop and the steps done."""
        single = run.batch < SINGLE_BELOW and self.layout.single_sequences
        function = self._library.run_sequences if single else self._library.run_blocks
        pieces = run.batch if single else -(-run.batch // LANES)
        workers = max(min(threads or len(os.sched_getaffinity(0)), pieces), 1)
        address = ctypes.addressof(run)
        if workers == 1 and total * self.layout.multiply_adds < SHORT and progress is None:
            results = [function(address, 0, 1)]
        else:
            with ThreadPoolExecutor(workers) as pool:
                futures = [
                    pool.submit(function, address, worker, workers) for worker in range(workers)
                ]
                try:
                    # Waiting without a limit would keep Ctrl-C from this thread.
                    while wait(futures, PATIENCE).not_done:
                        if progress is not None:
                            progress(min(int(shared[1]), total), total)
                finally:
                    shared[0] = 1
            results = [future.result() for future in futures]
        if NO_MEMORY in results:
            raise MemoryError("the C engine found no memory for the states of a block of sequences")
        if progress is not None:
            progress(total, total)

    def _population(
        self,
        index: int,
        batch: int,
        time: int,
        initial_state: Mapping[str, Mapping[str, npt.NDArray[Any]]],
        record: bool,
    ) -> _Bound:
        population = self._populations[index]
        words = population.program.state_names
        size = population.size
        initial = np.zeros((max(len(words), 1), batch, size), np.int32)
        for place, word in enumerate(words):
            initial[place] = initial_state[population.name][word]
        final = initial.copy()
        shape = (len(words) + 1, batch, time, size) if record else (1,)
        recorded = np.zeros(shape, np.int32)
        counts = np.zeros((2, size), np.int64)
        laid = self.layout.populations[index]
        state = population.program.message_state
        structure = _Population(
            size, len(population.program.accumulators), len(words), laid.parameters.shape[1],
            laid.program, laid.tile_neurons, laid.first_pair,
            words.index(state) if state else -1,
            *(a.ctypes.data for a in (laid.weights, laid.columns, laid.weight_starts,
                                      laid.column_starts, laid.pair_counts, laid.parameters)),
            None if laid.row_weights is None else laid.row_weights.ctypes.data,
            laid.row_columns.ctypes.data, laid.row_columns.size, laid.row_parameters.ctypes.data,
            initial.ctypes.data, final.ctypes.data,
            recorded.ctypes.data if record else None,
            counts[0].ctypes.data, counts[1].ctypes.data,
        )  # fmt: skip
        final_words = {word: final[place] for place, word in enumerate(words)}
        kept = {word: recorded[place] for place, word in enumerate(words)} if record else {}
        if record and not state:
            kept["message"] = recorded[len(words)]
        return _Bound(population.name, structure, kept, final_words, counts, (initial, final))


@dataclass(frozen=True)
class _Bound:
    """A population's structure and the arrays that it points to."""

    name: str
    structure: _Population
    recorded: dict[str, npt.NDArray[np.int32]]
    final_words: dict[str, npt.NDArray[np.int32]]
    counts: IntegerArray
    arrays: tuple[npt.NDArray[np.int32], ...]
