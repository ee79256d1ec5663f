"""Several endless sequences side by side, a sample of each at a time."""

from __future__ import annotations

import copy
import os
from pathlib import Path
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
from lnn2loihi.showing import Said, Shown, Table
from lnn2loihi.simulation import State, full_initial_state
from lnn2loihi.simulation.choice import chosen
from lnn2loihi.simulation.executor import Execution, summed
from lnn2loihi.simulation.gaps import (
    Missing,
    decoded_time,
    encoded_time,
    nothing_to_hold,
    out_of_range,
    policy,
    report_elapsed,
    resting,
)
from lnn2loihi.simulation.inputs import held
from lnn2loihi.simulation.kept_streams import Kept, read_kept, write_kept
from lnn2loihi.simulation.result import SaturationCounts, counts_text, no_saturations


def stream_rows(stream: Any) -> list[tuple[str, int]]:
    """What streams count, one or several: over all of them."""
    return [
        ("samples taken", int(np.sum(stream.steps))),
        ("samples missing", int(np.sum(stream.missed))),
        ("input values outside the calibrated range", int(np.sum(stream.saturated))),
    ]


class StreamBatch(Shown):
    """Endless sequences side by side, a sample of each at a time; `open_stream(batch=)` makes it.

    Each is what a `Stream` would be, integer by integer. Copies and pickles go on by themselves.

    Args:
        program: what to run.
        batch: how many.
        engine: as for `simulate`.
        initial_state: for each population and state word (neurons,) or (batch, neurons); the
            program's own where absent.
        encoded: whether samples and elapsed times are encoded messages.
        missing: what happens to streams of which no sample comes, see `Stream`.

    Attributes:
        program, batch, encoded, missing: as given.

    Raises:
        InputError: the engine or the state does not fit.
    """

    @checks_kinds()
    def __init__(
        self,
        program: LoihiProgram,
        batch: Count,
        engine: str = "auto",
        initial_state: State | None = None,
        encoded: bool = False,
        missing: Missing | None = None,
    ) -> None:
        self.program, self.batch, self.encoded = program, int(batch), bool(encoded)
        self.missing: Missing | None = missing
        self._chosen = engine
        self._execution: Execution = chosen(program, engine)
        self._start = full_initial_state(program, self.batch, initial_state)
        self._warned = False
        self._take(self._beginning())

    def _beginning(self) -> Kept:
        none = np.zeros(self.batch, np.int64)
        answered = resting(self.program, self._start, self.batch)
        return Kept(
            self._start, np.zeros((self.batch, self.program.input.size), np.int64),
            no_saturations(self.program), answered, none, none,
            np.zeros(self.batch), self._nothing(), self.encoded,
        )  # fmt: skip

    def _nothing(self) -> npt.NDArray[Any]:
        return np.zeros((self.batch, self.program.channels), np.int64 if self.encoded else float)

    def _take(self, kept: Kept) -> None:
        self._now = copy.deepcopy(kept)

    def _headline(self) -> str:
        return (
            f"{self.batch:,} of {self.program.name!r}, {int(self.steps.sum()):,} samples taken, "
            f"{int(self.missed.sum()):,} missing, {int(self.saturated.sum()):,} input values "
            "clipped"
        )

    def _shown(self) -> list[Said]:
        return [
            f"{self.batch:,} streams of {self.program.name!r} side by side",
            Table(("count, over all streams", "so far"), stream_rows(self)),
            counts_text(self.saturated_words),
        ]

    @property
    def state(self) -> dict[str, dict[str, IntegerArray]]:
        """For each population and state word int64 (batch, neurons)."""
        return {
            name: {word: np.array(values, np.int64) for word, values in words.items()}
            for name, words in self._now.state.items()
        }

    @property
    def saturated(self) -> IntegerArray:
        """Input values outside the calibrated range so far, int64 (batch, channels of the port);
        the elapsed time is the last channel.
        """
        return self._now.saturated.copy()

    @property
    def clipped_elapsed(self) -> IntegerArray:
        """Samples so far whose elapsed time was outside the calibrated range, int64 (batch,)."""
        counts = self._now.saturated[:, -1]
        return counts.copy() if self.program.timed else np.zeros_like(counts)

    @property
    def saturated_words(self) -> SaturationCounts | None:
        """For each population and word int64 (neurons,): updates in which it saturated so far, of
        all streams together. None where the executor does not count.
        """
        return copy.deepcopy(self._now.saturated_words)

    @property
    def integers(self) -> IntegerArray:
        """The messages of the last answers, int64 (batch, outputs); see `Stream.integers`."""
        return self._now.integers.copy()

    @property
    def steps(self) -> IntegerArray:
        """Samples that each has run on so far, int64 (batch,)."""
        return np.array(self._now.steps)

    @property
    def missed(self) -> IntegerArray:
        """Samples so far that did not come, int64 (batch,)."""
        return np.array(self._now.missed)

    @property
    def waiting(self) -> FloatArray:
        """Elapsed times that the next samples add to their own, float64 (batch,)."""
        return np.array(self._now.waiting)

    def step(
        self,
        x: npt.ArrayLike | None,
        elapsed: npt.ArrayLike | None = None,
        *,
        present: npt.ArrayLike | None = None,
    ) -> FloatArray:
        """The answers to the next samples.

        Args:
            x: numbers (batch, inputs); None where no sample has come.
            elapsed: time since the sample before, one for all or (batch,), where time is irregular.
            present: of which streams a sample has come, bool (batch,); all by default. The rows of
                the others are not looked at.

        Returns:
            Decoded outputs, float64 (batch, outputs); of streams that wait, the last answer.

        Raises:
            InputError: as for `Stream.step`; names the streams. All states are then as they were.
        """
        program, now = self.program, self._now
        here = self._mask("present", present) & (x is not None)
        spent = self._spent(elapsed)
        samples = self._nothing() if x is None else self._samples(x, here)
        runs, last = here, self._nothing() if now.last is None else now.last
        if not here.all():
            what = policy(program, self.missing)
            if what == "hold" and ((now.steps == 0) & ~here).any():
                raise nothing_to_hold()
            runs = here | (what != "wait")
            samples = np.where(here[:, None], samples, 0 if what == "zero" else last)
        full = samples
        if spent is not None:
            self._look_at_elapsed(spent[runs])
            times = whole_times(encoded_time(program, spent)) if self.encoded else spent
            full = np.concatenate([samples, times[:, None].astype(samples.dtype)], axis=1)
        self._run(full, runs)
        now.saturated = now.saturated + out_of_range(program, full, self.encoded) * runs[:, None]
        now.steps, now.missed = now.steps + runs, now.missed + ~here
        now.waiting = np.where(runs, 0.0, now.waiting if spent is None else spent)
        now.last = np.where(runs[:, None], samples, last)
        return program.output_population.decode(now.integers)

    def _run(self, samples: npt.NDArray[Any], runs: npt.NDArray[np.bool_]) -> None:
        """One sample of those that run."""
        now, substeps = self._now, self.program.substeps
        if not runs.any():
            return
        run, _ = self._execution.run_samples(
            self.program, held(self.program, samples[:, None]), now.state, runs * substeps
        )
        now.state = {
            name: {word: np.array(values, np.int64) for word, values in words.items()}
            for name, words in run.final_state.items()
        }
        now.saturated_words = summed(now.saturated_words, run.saturated_words)
        now.integers = np.where(runs[:, None], run.integers[:, -1], now.integers)

    def _mask(self, name: str, given: npt.ArrayLike | None) -> npt.NDArray[np.bool_]:
        if given is None:
            return np.ones(self.batch, bool)
        mask = as_array(given, name)
        if mask.dtype != bool or mask.shape != (self.batch,):
            raise InputError(
                name, f"is {mask.dtype} of shape {mask.shape}; give True or False for each of the "
                f"{self.batch} streams"
            )  # fmt: skip
        return mask

    def _samples(self, x: npt.ArrayLike, here: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        samples, channels = as_array(x, "x"), self.program.channels
        wanted = f"samples are ({self.batch}, {channels}) finite numbers, these have"
        if samples.shape != (self.batch, channels):
            raise InputError("x", f"{wanted} shape {samples.shape}")
        if self.encoded:
            return whole_messages(samples).astype(np.int64)
        samples = np.asarray(samples, np.float64)
        bad = np.argwhere(~np.isfinite(samples) & here[:, None])
        if len(bad):
            raise InputError(
                "x", f"{wanted} {len(bad)} NaN or infinite values, the first in stream "
                f"{bad[0][0]}, channel {bad[0][1]}"
            )  # fmt: skip
        return samples

    def _spent(self, elapsed: Any) -> FloatArray | None:
        if elapsed is not None:
            found = as_array(elapsed, "elapsed")
            if found.dtype == bool:
                raise InputError("elapsed", "is bool; give a number")
            elapsed = np.broadcast_to(found, (self.batch,)) if found.ndim == 0 else found
        times = checked_timespans(
            elapsed, (self.batch,), self.program.timed, "elapsed", name="elapsed"
        )
        if times is not None and self.encoded:
            times = decoded_time(self.program, whole_times(times).astype(np.float64))
        return None if times is None else times + self._now.waiting

    def _look_at_elapsed(self, spent: FloatArray) -> None:
        if self._warned:
            return
        port, messages = self.program.input, encoded_time(self.program, spent)
        beyond = (messages < port.low[-1]) | (messages > port.high[-1])
        if beyond.any():
            self._warned = True
            report_elapsed(self.program, float(spent[beyond][0]))

    @checks_kinds()
    def load_state(self, state: State) -> None:
        """Goes on from states, as `state` is; counts go on, and nothing is waited for.

        Raises:
            InputError: they do not fit; the streams are then as they were.
        """
        self._now.state = full_initial_state(self.program, self.batch, state)
        self._now.waiting = np.zeros(self.batch)

    def reset(self, where: npt.ArrayLike | None = None) -> None:
        """Returns to the initial states; counts of these streams begin at 0.

        Args:
            where: which streams, bool (batch,); all by default. `saturated_words`, which are of all
                streams together, begin at 0 only with all of them.

        Raises:
            InputError: it is no such mask.
        """
        chosen_ones = self._mask("where", where)
        fresh, now = self._beginning(), self._now
        if chosen_ones.all():
            self._warned = False
            self._take(fresh)
            return
        for name, words in now.state.items():
            for word, values in words.items():
                values[chosen_ones] = fresh.state[name][word][chosen_ones]
        for part in ("saturated", "integers", "steps", "missed", "waiting", "last"):
            values = np.array(getattr(now, part))
            values[chosen_ones] = getattr(fresh, part)[chosen_ones]
            setattr(now, part, values)

    @checks_kinds()
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes states and counts to a file of JSON; see `Stream.save`."""
        return write_kept(self.program, self._now, path)

    @checks_kinds()
    def restore(self, path: str | os.PathLike[str]) -> None:
        """Goes on from what as many streams of the same program have saved.

        Raises:
            InputError: as for `Stream.restore`.
        """
        self._take(read_kept(self.program, path, self._now))

    def __deepcopy__(self, memo: dict[int, Any]) -> StreamBatch:
        return self.__copy__()

    def __copy__(self) -> StreamBatch:
        made = object.__new__(type(self))
        made.__setstate__(self.__getstate__())
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_execution"}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        vars(self).update(kept)
        self._execution = chosen(self.program, self._chosen)
        self._take(self._now)


def whole_messages(sample: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Encoded messages, at most what int32 holds.

    Raises:
        InputError: they are no integers.
    """
    if sample.dtype.kind not in "iu":
        raise InputError(
            "x", f"is {sample.dtype}, but encoded=True asks for encoded messages, which are "
            "integers; leave encoded out for samples"
        )  # fmt: skip
    ends = np.iinfo(np.int32)
    low = ends.min if sample.dtype.kind == "i" else 0
    return np.clip(sample, low, ends.max).astype(np.int32)


def whole_times(times: FloatArray) -> npt.NDArray[np.int32]:
    """Encoded elapsed times, at most what int32 holds.

    Raises:
        InputError: they are no whole numbers.
    """
    if (times != np.floor(times)).any():
        raise InputError("elapsed", "is encoded, as x is: give a whole number")
    ends = np.iinfo(np.int32)
    return np.clip(times, ends.min, ends.max).astype(np.int32)
