"""One endless sequence, a sample at a time, for closed loops."""

from __future__ import annotations

import os
from math import inf, isfinite
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.kinds import Count
from lnn2loihi.program import LoihiProgram
from lnn2loihi.sequences import FloatArray, checked_timespans
from lnn2loihi.showing import Said, Shown, Table
from lnn2loihi.simulation import State, full_initial_state
from lnn2loihi.simulation.choice import chosen
from lnn2loihi.simulation.executor import summed
from lnn2loihi.simulation.gaps import (
    Missing,
    decoded_time,
    encoded_time,
    nothing_to_hold,
    policy,
    report_elapsed,
    resting,
)
from lnn2loihi.simulation.kept_streams import Kept, read_kept, write_kept
from lnn2loihi.simulation.native.stream import NativeStream
from lnn2loihi.simulation.result import SaturationCounts, counts_text, no_saturations
from lnn2loihi.simulation.side_by_side import StreamBatch, stream_rows, whole_messages, whole_times

#: Types of samples, and of elapsed times, that need no closer look.
_FLOATS, _NUMBERS = "fd", frozenset((float, int, np.float64))


class Stream(Shown):
    """One endless sequence, a sample at a time, for closed loops; `open_stream` makes it.

    It can be copied and pickled, state and counts included; the copy goes on by itself. It is not
    for several threads at once.

    Args:
        program: what to run.
        engine: as for `simulate`.
        initial_state: for each population and state word (neurons,); the program's own where
            absent. `reset` returns to it.
        encoded: whether samples are encoded messages, as for `simulate`, unless `step` says
            otherwise.
        missing: what `step(None)` does: "hold" takes the last sample again, "zero" takes zeros,
            "wait" runs nothing: elapsed times add up until a sample comes. Where time is
            irregular it waits unless told otherwise.

    Attributes:
        program, encoded, missing: as given.

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
        missing: Missing | None = None,
    ) -> None:
        self.program: LoihiProgram = program
        self.missing: Missing | None = missing
        self.encoded = bool(encoded)
        self._start = full_initial_state(program, 1, initial_state)
        self._chosen = engine
        self._open(self._beginning())

    def _beginning(self) -> Kept:
        """What a stream keeps, before the first sample."""
        return Kept(
            state=self._start, saturated=np.zeros(self.program.input.size, np.int64),
            saturated_words=no_saturations(self.program),
            integers=resting(self.program, self._start, 1)[0],
        )  # fmt: skip

    def _open(self, kept: Kept) -> None:
        """Goes on from what was kept."""
        program = self.program
        self._decode = program.output_population.decode
        self._warned, self._ends = False, (inf, -inf)
        if program.timed:
            port = program.input
            ends = np.array([port.low[-1], port.high[-1]], np.float64)
            self._ends = tuple(decoded_time(program, ends).tolist())
        execution = chosen(program, self._chosen)
        begin = full_initial_state(program, 1, kept.state)
        self._running = execution.open_stream(program, begin, self.encoded)
        #: How samples that need no closer look are answered; None where all of them do.
        self._quick: Any = None
        if isinstance(self._running, NativeStream) and not self.encoded:
            timed = program.timed
            self._quick = self._running.timed_answer if timed else self._running.answer
        self._shape, self._timed = (program.channels,), program.timed
        self._take(kept)

    def _take(self, kept: Kept) -> None:
        """Counts from what was kept on."""
        self._saturated, self._saturated_words = kept.saturated, kept.saturated_words
        self._steps, self._missed, self._waiting = kept.steps, kept.missed, kept.waiting
        self._last: npt.NDArray[Any] | None = kept.last
        self._messages: npt.NDArray[Any] = kept.integers
        if isinstance(self._running, NativeStream):
            self._messages = self._running.messages
            self._messages[:] = kept.integers

    def _kept(self) -> Kept:
        """All that it takes to go on."""
        return Kept(
            self.state, self.saturated, self.saturated_words, self.integers, self._steps,
            self._missed, self._waiting, self._last, self.encoded,
        )  # fmt: skip

    def _headline(self) -> str:
        return (
            f"{self.program.name!r}, {self.steps:,} samples taken, {self.missed:,} missing, "
            f"{int(self.saturated.sum()):,} input values clipped"
        )

    def _shown(self) -> list[Said]:
        return [
            f"stream of {self.program.name!r}: one sequence, a sample at a time",
            Table(("count", "so far"), stream_rows(self)),
            counts_text(self.saturated_words),
        ]

    @property
    def state(self) -> dict[str, dict[str, IntegerArray]]:
        """For each population and state word int64 (neurons,): what `initial_state` and
        `load_state` take.
        """
        return {
            name: {word: np.array(values[0], np.int64) for word, values in words.items()}
            for name, words in self._running.state.items()
        }

    @property
    def saturated(self) -> IntegerArray:
        """Input values outside the calibrated range so far, int64 (channels of the port,); the
        elapsed time is the last channel.
        """
        return self._saturated + self._running.saturated // self.program.substeps

    @property
    def clipped_elapsed(self) -> int:
        """Samples so far whose elapsed time was outside the calibrated range: the network was told
        the nearest one inside. The first of them is a warning on the log.
        """
        return int(self.saturated[-1]) if self.program.timed else 0

    @property
    def saturated_words(self) -> SaturationCounts | None:
        """For each population and word int64 (neurons,): updates in which it saturated so far; see
        SimulationResult. None where the executor does not count.
        """
        return summed(self._saturated_words, self._running.saturated_words)

    @property
    def integers(self) -> IntegerArray:
        """The messages of the last answer, int64 (outputs,): what `step` returned, before it was
        decoded. Before the first sample, what the output sends then.
        """
        return np.array(self._messages, np.int64)

    @property
    def steps(self) -> int:
        """Samples that the network has run on so far, those held or replaced by zeros included."""
        return self._steps

    @property
    def missed(self) -> int:
        """Samples so far that did not come."""
        return self._missed

    @property
    def waiting(self) -> float:
        """Elapsed time of samples that did not come, which the next one adds to its own."""
        return self._waiting

    def step(
        self,
        x: npt.ArrayLike | None,
        elapsed: float | None = None,
        *,
        encoded: bool | None = None,
    ) -> FloatArray:
        """The answer to the next sample.

        Args:
            x: numbers (inputs,); None where no sample has come (see `missing`).
            elapsed: time since the sample before, where time is irregular; of a sample that has
                not come, the time since this was last said.
            encoded: whether x and elapsed are encoded messages; as the stream was opened where
                absent.

        Returns:
            Decoded outputs, float64 (outputs,); while the stream waits, those of the last answer.

        Raises:
            InputError: x has another shape, holds NaN or infinite values, or encoded messages are
                no integers; or x is None, and nobody has said what to do then. The state is then as
                it was.
        """
        if (
            self._quick is not None
            and type(x) is np.ndarray
            and x.shape == self._shape
            and x.dtype.char in _FLOATS
            and encoded is None
            and not self._waiting
        ):
            answer = None
            if self._timed:
                if type(elapsed) in _NUMBERS and self._ends[0] <= elapsed <= self._ends[1]:  # pyright: ignore[reportOptionalOperand]
                    answer = self._quick(x, elapsed)
            elif elapsed is None:
                answer = self._quick(x)
            if answer is not None:
                self._steps += 1
                if self.missing == "hold":
                    self._last = np.array(x, np.float64)
                return answer
        return self._looked_at(x, elapsed, encoded)

    def _looked_at(self, x: Any, elapsed: Any, encoded: bool | None) -> FloatArray:
        """`step` of whatever a user gives."""
        if encoded is not None and encoded is not self.encoded:
            self._change(encoded)
        spent = self._spent(elapsed)
        if x is None:
            sample = self._replacement()
            if sample is None:
                self._waiting = float(spent[0]) if spent is not None else 0.0
                self._missed += 1
                return self._decode(self._messages)
        else:
            sample = self._sample(x)
        given = sample
        if spent is not None:
            if encoded_time(self.program, spent)[0] != self._sent(spent)[0] and not self._warned:
                self._warned = True
                report_elapsed(self.program, float(spent[0]))
            times = whole_times(encoded_time(self.program, spent)) if self.encoded else spent
            sample = np.append(sample, times)
        self._messages = self._running.step(sample)
        self._steps, self._missed = self._steps + 1, self._missed + (x is None)
        self._waiting = 0.0
        if self.missing == "hold":
            self._last = np.array(given)
        return self._decode(self._messages)

    def _sent(self, spent: FloatArray) -> FloatArray:
        """The message of an elapsed time, saturated."""
        port = self.program.input
        return np.clip(encoded_time(self.program, spent), port.low[-1], port.high[-1])

    def _spent(self, elapsed: Any) -> FloatArray | None:
        """Time since the sample before, as a number of time, (1,); None where it is constant."""
        if isinstance(elapsed, (bool, np.bool_)):
            raise InputError("elapsed", f"is {elapsed}; give a number")
        times = checked_timespans(
            None if elapsed is None else [elapsed], (1,), self.program.timed, "elapsed",
            name="elapsed",
        )  # fmt: skip
        if times is not None and self.encoded:
            times = decoded_time(self.program, whole_times(times).astype(np.float64))
        return None if times is None else times + self._waiting

    def _replacement(self) -> npt.NDArray[Any] | None:
        """The sample in place of one that has not come; None to wait."""
        what = policy(self.program, self.missing)
        if what == "hold" and self._last is None:
            raise nothing_to_hold()
        if what == "zero":
            return np.zeros(self.program.channels, np.int32 if self.encoded else np.float64)
        return self._last if what == "hold" else None

    def _sample(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        """A sample, checked: float64, or encoded messages as int32."""
        sample = x if type(x) is np.ndarray and x.dtype == np.float64 else as_array(x, "x")
        if sample.shape != (self.program.channels,):
            raise self._no_sample(f"shape {sample.shape}")
        if self.encoded:
            return whole_messages(sample)
        sample = np.asarray(sample, np.float64)
        # A sum of squares tells in a sixth of the time that all is finite, if it is finite itself.
        if not (isfinite(sample.dot(sample)) or np.isfinite(sample).all()):
            bad = np.flatnonzero(~np.isfinite(sample))
            raise self._no_sample(
                f"{len(bad)} NaN or infinite values, in channel {', '.join(map(str, bad[:8]))}"
                + (" and others" if len(bad) > 8 else "")
            )
        return sample

    def _no_sample(self, has: str) -> InputError:
        return InputError(
            "x", f"a sample is {self.program.channels} finite numbers, this has {has}"
        )

    @checks_kinds()
    def _change(self, encoded: bool) -> None:
        """Samples in place of encoded messages from now on, or the other way round."""
        kept = self._kept()
        self.encoded = bool(encoded)
        kept.last = None  # it is of the other kind
        self._open(kept)

    @checks_kinds()
    def load_state(self, state: State) -> None:
        """Goes on from a state, as `state` is; counts go on, and nothing is waited for.

        Args:
            state: for each population and state word (neurons,); the program's own where absent.

        Raises:
            InputError: it does not fit; the stream is then as it was.
        """
        begin = full_initial_state(self.program, 1, state)
        kept = self._kept()
        kept.waiting = 0.0
        self._running.start(begin)
        self._take(kept)

    def reset(self) -> None:
        """Returns to the initial state; everything is counted from 0."""
        self._running.start(self._start)
        self._warned = False
        self._take(self._beginning())

    @checks_kinds()
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes state and counts to a file of JSON, whole or not at all; see `restore`.

        Raises:
            InputError: there can be no file of that name.
        """
        return write_kept(self.program, self._kept(), path)

    @checks_kinds()
    def restore(self, path: str | os.PathLike[str]) -> None:
        """Goes on from what a stream of the same program has saved.

        Raises:
            InputError: it is no such file, or of another program, or of a stream that was encoded
                otherwise; the stream is then as it was.
        """
        kept = read_kept(self.program, path, self._kept())
        self._running.start(full_initial_state(self.program, 1, kept.state))
        self._take(kept)

    def __deepcopy__(self, memo: dict[int, Any]) -> Stream:
        return self.__copy__()

    def __copy__(self) -> Stream:
        made = object.__new__(type(self))
        made.__setstate__(self.__getstate__())
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {
            "program": self.program, "engine": self._chosen, "start": self._start,
            "missing": self.missing, "kept": self._kept(), "warned": self._warned,
        }  # fmt: skip

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.program, self.missing = kept["program"], kept["missing"]
        self._start, self._chosen = kept["start"], kept["engine"]
        self.encoded = kept["kept"].encoded
        self._open(kept["kept"])
        self._warned = kept["warned"]


@overload
def open_stream(
    program: LoihiProgram,
    engine: str = "auto",
    initial_state: State | None = None,
    *,
    encoded: bool = False,
    missing: Missing | None = None,
    batch: None = None,
) -> Stream: ...
@overload
def open_stream(
    program: LoihiProgram,
    engine: str = "auto",
    initial_state: State | None = None,
    *,
    encoded: bool = False,
    missing: Missing | None = None,
    batch: int,
) -> StreamBatch: ...
@checks_kinds()
def open_stream(
    program: LoihiProgram,
    engine: str = "auto",
    initial_state: State | None = None,
    *,
    encoded: bool = False,
    missing: Missing | None = None,
    batch: Count | None = None,
) -> Stream | StreamBatch:
    """Opens a stream for a closed loop; see `Stream`, and with `batch`, so many side by side, see
    `StreamBatch`.
    """
    if batch is None:
        return Stream(program, engine, initial_state, encoded, missing)
    return StreamBatch(program, batch, engine, initial_state, encoded, missing)
