"""Long and endless input: chunk by chunk, or sample by sample in a closed loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError
from lnn2loihi.kinds import check_kinds
from lnn2loihi.network import FloatArray, checked_timespans
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulate import State, full_initial_state, simulate
from lnn2loihi.simulate.choice import chosen_engine, native_engine
from lnn2loihi.simulate.result import SimulationResult


def simulate_stream(
    program: LoihiProgram,
    chunks: Iterable[npt.ArrayLike],
    engine: str = "auto",
    *,
    timespans: Iterable[npt.ArrayLike] | None = None,
    initial_state: State | None = None,
    return_states: bool = False,
    threads: int | None = None,
) -> Iterator[SimulationResult]:
    """Runs a program on chunks of endless sequences; the state is carried over.

    Memory does not depend on the number of chunks.

    Args:
        program: what to run.
        chunks: arrays (batch, time, inputs); the batch is the same in all of them.
        engine: as for `simulate`.
        timespans: elapsed times (batch, time) of each chunk, where time is irregular.
        initial_state: before the first chunk, as for `simulate`.
        return_states: as for `simulate`, for each chunk.
        threads: as for `simulate`.

    Yields:
        The result of each chunk.

    Raises:
        InputError: as for `simulate`, or a chunk has another batch than the first.
    """
    state: Any = initial_state
    batch: int | None = None
    every = repeat(None) if timespans is None else timespans
    for number, (chunk, elapsed) in enumerate(zip(chunks, every, strict=False)):
        result = simulate(
            program, chunk, engine, timespans=elapsed, initial_state=state,
            return_states=return_states, threads=threads,
        )  # fmt: skip
        if batch is not None and len(result.integers) != batch:
            raise InputError(
                f"chunk {number}", f"has {len(result.integers)} sequences, the first had {batch}"
            )
        batch, state = len(result.integers), result.final_state
        yield result


class Stream:
    """One endless sequence, a sample at a time, for closed loops.

    Args:
        program: what to run.
        engine: as for `simulate`.
        initial_state: for each population and state word (neurons,); the program's own where
            absent. `reset` returns to it.

    Raises:
        InputError: the engine or the state does not fit.
    """

    def __init__(
        self, program: LoihiProgram, engine: str = "auto", initial_state: State | None = None
    ) -> None:
        check_kinds("open_stream", program=(program, LoihiProgram))
        self.program = program
        self._start = full_initial_state(program, 1, initial_state)
        self._decode = program.output_population.message.step
        self._engine = chosen_engine(program, engine)
        self._native = (
            native_engine(program).open_stream(self._start) if self._engine == "c" else None
        )
        self._state: Mapping[str, Mapping[str, Any]] = self._start

    def step(self, x: npt.ArrayLike, elapsed: float | None = None) -> FloatArray:
        """The answer to the next sample.

        Args:
            x: float (inputs,).
            elapsed: time since the sample before, where time is irregular.

        Returns:
            Decoded outputs, float64 (outputs,).

        Raises:
            InputError: x has another shape, or holds NaN or infinite values.
        """
        sample = np.asarray(x, np.float64)
        if sample.shape != (self.program.channels,) or not np.isfinite(sample).all():
            raise InputError(
                "x",
                f"a sample is {self.program.channels} finite numbers, this has shape "
                f"{sample.shape} and {int(np.count_nonzero(~np.isfinite(sample)))} NaN or "
                "infinite values",
            )
        times = checked_timespans(
            None if elapsed is None else [elapsed], (1,), self.program.timed, "elapsed"
        )
        if times is not None:
            sample = np.append(sample, times)
        if self._native is not None:
            for _ in range(self.program.substeps - 1):
                self._native.step(sample)
            return self._native.step(sample) * self._decode
        result = simulate(
            self.program, sample[None, None, : self.program.channels], self._engine,
            timespans=None if times is None else times[None], initial_state=self._state,
        )  # fmt: skip
        self._state = result.final_state
        return result.outputs[0, 0]

    def reset(self) -> None:
        """Returns to the initial state."""
        self._state = self._start
        if self._native is not None:
            self._native.reset()


def open_stream(
    program: LoihiProgram, engine: str = "auto", initial_state: State | None = None
) -> Stream:
    """Opens a stream for a closed loop; see `Stream`."""
    return Stream(program, engine, initial_state)
