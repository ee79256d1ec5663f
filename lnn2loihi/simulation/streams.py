"""Long and endless input: chunk by chunk, or sample by sample in a closed loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.kinds import Count
from lnn2loihi.program import LoihiProgram
from lnn2loihi.sequences import FloatArray, checked_timespans
from lnn2loihi.simulation import State, full_initial_state, simulate
from lnn2loihi.simulation.choice import chosen
from lnn2loihi.simulation.executor import summed
from lnn2loihi.simulation.result import SaturationCounts, SimulationResult, no_saturations

#: Where an iterable has ended.
_END = object()


@checks_kinds()
def simulate_stream(
    program: LoihiProgram,
    chunks: Iterable[npt.ArrayLike],
    engine: str = "auto",
    *,
    lengths: Iterable[npt.ArrayLike | None] | None = None,
    timespans: Iterable[npt.ArrayLike] | None = None,
    encoded: bool = False,
    initial_state: State | None = None,
    return_states: bool = False,
    threads: Count | None = None,
) -> Iterator[SimulationResult]:
    """Runs a program on chunks of endless sequences; the state is carried over.

    Memory does not depend on the number of chunks.

    Args:
        program: what to run.
        chunks: arrays (batch, time, inputs); the batch is the same in all of them.
        engine: as for `simulate`.
        lengths: for each chunk the samples of each sequence in it, (batch,), or None for all of
            them. A sequence without samples in a chunk keeps its state.
        timespans: elapsed times (batch, time) of each chunk, where time is irregular.
        encoded: as for `simulate`, for all chunks.
        initial_state: before the first chunk, as for `simulate`.
        return_states: as for `simulate`, for each chunk.
        threads: as for `simulate`.

    Yields:
        The result of each chunk.

    Raises:
        InputError: as for `simulate`, a chunk has another batch than the first, or there are not
            as many timespans or lengths as chunks.
    """
    every = {
        "chunks": _iterator("chunks", chunks),
        "lengths": _iterator("lengths", repeat(None) if lengths is None else lengths),
        "timespans": _iterator("timespans", repeat(None) if timespans is None else timespans),
    }
    state: Any = initial_state
    batch: int | None = None
    for number, chunk in enumerate(every["chunks"]):
        ends, elapsed = (next(every[name], _END) for name in ("lengths", "timespans"))
        for name, found in (("lengths", ends), ("timespans", elapsed)):
            if found is _END:
                raise InputError(name, f"end before the chunks, which have a chunk {number} too")
        result = simulate(
            program, chunk, engine, lengths=ends, timespans=elapsed, encoded=encoded,  # pyright: ignore[reportArgumentType]
            initial_state=state, return_states=return_states, threads=threads,
        )  # fmt: skip
        if batch is not None and len(result.integers) != batch:
            raise InputError(
                f"chunk {number}", f"has {len(result.integers)} sequences, the first had {batch}"
            )
        batch, state = len(result.integers), result.final_state
        yield result
    for name, given in (("lengths", lengths), ("timespans", timespans)):
        if given is not None and next(every[name], _END) is not _END:
            raise InputError(name, "go on after the last chunk; give one for each chunk")


def _iterator(name: str, values: Any) -> Iterator[Any]:
    try:
        return iter(values)
    except TypeError:
        raise InputError(
            name, f"is of type {type(values).__qualname__}; give an iterable with one for each "
            "chunk"
        ) from None  # fmt: skip


class Stream:
    """One endless sequence, a sample at a time, for closed loops.

    It can be copied and pickled, state and counts included; the copy goes on by itself.

    Args:
        program: what to run.
        engine: as for `simulate`.
        initial_state: for each population and state word (neurons,); the program's own where
            absent. `reset` returns to it.
        encoded: whether samples are encoded messages, as for `simulate`, unless `step` says
            otherwise.

    Raises:
        InputError: the engine or the state does not fit.
    """

    @checks_kinds()
    def __init__(
        self,
        program: LoihiProgram,
        engine: str = "auto",
        initial_state: State | None = None,
        encoded: bool = False,
    ) -> None:
        self.program = program
        self.encoded = bool(encoded)
        self._start = full_initial_state(program, 1, initial_state)
        self._chosen = engine
        self._open(self._start, np.zeros(program.input.size, np.int64), no_saturations(program))

    def _open(
        self, state: State, saturated: IntegerArray, saturated_words: SaturationCounts | None
    ) -> None:
        """Goes on from a state and counts."""
        self._decode = self.program.output_population.decode
        self._saturated, self._saturated_words = saturated, saturated_words
        begin = full_initial_state(self.program, 1, state)
        execution = chosen(self.program, self._chosen)
        self._running = execution.open_stream(self.program, begin, self.encoded)

    @property
    def state(self) -> dict[str, dict[str, IntegerArray]]:
        """For each population and state word int64 (neurons,): what `initial_state` takes."""
        return {
            name: {word: np.array(values[0], np.int64) for word, values in words.items()}
            for name, words in self._running.state.items()
        }

    @property
    def saturated(self) -> IntegerArray:
        """Input values outside the calibrated range so far, int64 (channels of the port,)."""
        return self._saturated + self._running.saturated // self.program.substeps

    @property
    def saturated_words(self) -> SaturationCounts | None:
        """For each population and word int64 (neurons,): updates in which it saturated so far; see
        SimulationResult. None where the executor does not count.
        """
        return summed(self._saturated_words, self._running.saturated_words)

    def step(
        self, x: npt.ArrayLike, elapsed: float | None = None, *, encoded: bool | None = None
    ) -> FloatArray:
        """The answer to the next sample.

        Args:
            x: numbers (inputs,).
            elapsed: time since the sample before, where time is irregular.
            encoded: whether x and elapsed are encoded messages; as the stream was opened where
                absent.

        Returns:
            Decoded outputs, float64 (outputs,).

        Raises:
            InputError: x has another shape, holds NaN or infinite values, or encoded messages are
                no integers.
        """
        if encoded is not None and encoded is not self.encoded:
            self._change(encoded)
        sample = self._sample(x)
        if isinstance(elapsed, (bool, np.bool_)):
            raise InputError("elapsed", f"is {elapsed}; give a number")
        times = checked_timespans(
            None if elapsed is None else [elapsed],
            (1,),
            self.program.timed,
            "elapsed",
            name="elapsed",
        )
        if times is not None:
            sample = np.append(sample, _whole(times) if self.encoded else times)
        return self._decode(self._running.step(sample))

    def _sample(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        """A sample, checked: float64, or encoded messages as int32."""
        sample = x if type(x) is np.ndarray and x.dtype == np.float64 else as_array(x, "x")
        if sample.shape != (self.program.channels,):
            raise self._no_sample(f"shape {sample.shape}")
        if self.encoded:
            if sample.dtype.kind not in "iu":
                raise InputError(
                    "x", f"is {sample.dtype}, but encoded=True asks for encoded messages, which "
                    "are integers; leave encoded out for samples"
                )  # fmt: skip
            ends = np.iinfo(np.int32)
            sample = np.clip(sample, ends.min if sample.dtype.kind == "i" else 0, ends.max)
            sample = sample.astype(np.int32)
        else:
            sample = np.asarray(sample, np.float64)
        # A sum of squares tells in a sixth of the time that all is finite, if it is finite itself.
        if not (isfinite(sample.dot(sample)) or np.isfinite(sample).all()):
            bad = int(np.count_nonzero(~np.isfinite(sample)))
            raise self._no_sample(f"{bad} NaN or infinite values")
        return sample

    def _no_sample(self, has: str) -> InputError:
        return InputError(
            "x", f"a sample is {self.program.channels} finite numbers, this has {has}"
        )

    @checks_kinds()
    def _change(self, encoded: bool) -> None:
        """Samples in place of encoded messages from now on, or the other way round."""
        state, saturated, words = self.state, self.saturated, self.saturated_words
        self.encoded = bool(encoded)
        self._open(state, saturated, words)

    def reset(self) -> None:
        """Returns to the initial state; what saturates is counted from 0."""
        self._saturated = np.zeros(self.program.input.size, np.int64)
        self._saturated_words = no_saturations(self.program)
        self._running.start(self._start)

    def __deepcopy__(self, memo: dict[int, Any]) -> Stream:
        return self.__copy__()

    def __copy__(self) -> Stream:
        made = object.__new__(type(self))
        made.__setstate__(self.__getstate__())
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {
            "program": self.program, "engine": self._chosen, "encoded": self.encoded,
            "start": self._start, "state": self.state, "saturated": self.saturated,
            "saturated_words": self.saturated_words,
        }  # fmt: skip

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.program, self.encoded = kept["program"], kept["encoded"]
        self._start, self._chosen = kept["start"], kept["engine"]
        self._open(kept["state"], kept["saturated"], kept["saturated_words"])


def _whole(times: FloatArray) -> npt.NDArray[np.int32]:
    """An encoded elapsed time, at most what int32 holds."""
    if (times != np.floor(times)).any():
        raise InputError("elapsed", "is encoded, as x is: give a whole number")
    return np.minimum(times, np.iinfo(np.int32).max).astype(np.int32)


@checks_kinds()
def open_stream(
    program: LoihiProgram,
    engine: str = "auto",
    initial_state: State | None = None,
    *,
    encoded: bool = False,
) -> Stream:
    """Opens a stream for a closed loop; see `Stream`."""
    return Stream(program, engine, initial_state, encoded)
