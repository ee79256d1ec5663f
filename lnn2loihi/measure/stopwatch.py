"""Times calls, and finds the batch with the highest throughput."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from lnn2loihi.measure.clock import Clock
from lnn2loihi.measure.intervals import average
from lnn2loihi.measure.results import Latency
from lnn2loihi.measure.runner import Session
from lnn2loihi.network import FloatArray

#: Most numbers that go in and come out of a call, and fewest steps of one that has to be cut: with
#: more, memory that the process never had before is timed.
MOST_NUMBERS = 1 << 21
FEWEST_STEPS = 16
LARGEST_BATCH = 1 << 14
#: A call of one sequence is made longer until it takes so long (seconds): then what a call costs,
#: some 0.2 ms of Python for our engine, is a hundredth of it. It begins with so many steps.
LONG_SEQUENCE, FIRST_STEPS = 0.02, 64
#: A batch counts as faster from this gain on; so many in a row that are not end the search.
GAIN = 1.03
PATIENCE = 2
#: The search ends where a call takes longer (seconds).
LONGEST_CALL = 2.0
#: Fewest timed calls for a 99th percentile.
FEWEST_FOR_P99 = 100


@dataclass(frozen=True)
class Samples:
    """The caller's samples.

    Attributes:
        x: float64 (batch, time, inputs).
        timespans: float64 (batch, time), or None where time is constant.
    """

    x: FloatArray
    timespans: FloatArray | None = None

    def of_batch(self, batch: int, outputs: int) -> Samples:
        """So many sequences: the caller's, over and over, cut where they would be too large.

        Args:
            batch: sequences side by side.
            outputs: outputs of a step.
        """
        count, time, inputs = self.x.shape
        most = max(MOST_NUMBERS // (batch * (inputs + outputs)), FEWEST_STEPS)
        chosen, steps = np.arange(batch) % count, slice(min(time, most))
        spans = None if self.timespans is None else self.timespans[chosen, steps]
        return Samples(self.x[chosen, steps], spans)

    def one_sequence(self, most: int = 4096) -> Samples:
        """All samples behind each other as one sequence, float64 (time, inputs) and (time,)."""
        spans = None if self.timespans is None else self.timespans.reshape(-1)[:most]
        return Samples(self.x.reshape(-1, self.x.shape[2])[:most], spans)

    def long_sequence(self, steps: int) -> Samples:
        """One sequence of so many steps: all samples behind each other, over and over."""
        count, time, inputs = self.x.shape
        chosen = np.arange(steps) % (count * time)
        spans = None if self.timespans is None else self.timespans.reshape(-1)[None, chosen]
        return Samples(self.x.reshape(-1, inputs)[None, chosen], spans)


@dataclass
class Task:
    """Something to be called again and again.

    Attributes:
        function: what is called; it returns when its answer is on the host.
        inputs: endless arguments.
        batch: sequences of a call.
        steps: steps of a call.
    """

    function: Callable[[Any], Any]
    inputs: Iterator[Any]
    batch: int
    steps: int

    @property
    def samples(self) -> int:
        """Samples of a call, all sequences together."""
        return self.batch * self.steps


def streaming_task(session: Session, samples: Samples) -> Task:
    """Single samples of one sequence, with the state carried, as a closed loop has them."""
    one = samples.one_sequence()
    steps = session.prepare_steps(one.x, one.timespans)
    return Task(session.open_stream(), cycle(steps), batch=1, steps=1)


def sequence_task(
    session: Session, samples: Samples, outputs: int, clock: Clock, until: float = float("inf")
) -> Task:
    """One sequence, so long that handing it over is next to nothing beside running it.

    Args:
        session: who runs.
        samples: on what.
        outputs: outputs of a step.
        clock: the time.
        until: time of the clock from which on it is made no longer.
    """
    most = max(MOST_NUMBERS // (samples.x.shape[2] + outputs), FEWEST_STEPS)
    steps = min(FIRST_STEPS, most)
    while True:
        one = samples.long_sequence(steps)
        task = Task(session.run, cycle([session.prepare(one.x, one.timespans)]), 1, steps)
        laps = timed_calls(task, clock, 0.0, 2, until)
        if min(laps) >= LONG_SEQUENCE or steps == most or clock.now() >= until:
            return task
        steps = min(4 * steps, most)


def batch_task(session: Session, samples: Samples, batch: int, outputs: int) -> Task:
    """Whole sequences side by side."""
    many = samples.of_batch(batch, outputs)
    prepared = session.prepare(many.x, many.timespans)
    return Task(session.run, cycle([prepared]), batch=batch, steps=many.x.shape[1])


def timed_calls(
    task: Task, clock: Clock, seconds: float, fewest: int, until: float = float("inf")
) -> list[float]:
    """Seconds of each of many calls, at least one.

    Args:
        task: what is called.
        clock: the time.
        seconds: it goes on for so long.
        fewest: and until there are so many.
        until: but no longer than to this time of the clock.
    """
    now, function, inputs = clock.now, task.function, task.inputs
    laps: list[float] = []
    end = now() + seconds
    while True:
        argument = next(inputs)
        start = now()
        function(argument)
        stop = now()
        laps.append(stop - start)
        if (stop >= end and len(laps) >= fewest) or stop >= until:
            return laps


def best_batch(
    session: Session,
    samples: Samples,
    outputs: int,
    clock: Clock,
    seconds: float,
    until: float = float("inf"),
) -> tuple[int, tuple[tuple[int, float], ...]]:
    """The power of two with the highest throughput, and what each that was tried reached.

    It ends where throughput stops growing, where a call would be too large or takes too long, or
    where memory is short.

    Args:
        session: who runs.
        samples: on what.
        outputs: outputs of a step.
        clock: the time.
        seconds: time for each batch.
        until: time of the clock at which it ends.

    Returns:
        the batch, and pairs of batch and samples a second.
    """
    tried: list[tuple[int, float]] = []
    best, batch = (1, 0.0), 1
    while batch <= LARGEST_BATCH:
        try:
            task = batch_task(session, samples, batch, outputs)
            timed_calls(task, clock, 0.0, 1)  # memory and plans are there then
            laps = timed_calls(task, clock, seconds, 3, until)
        except Exception as error:
            if batch == 1 or not is_memory_error(error):
                raise
            break
        rate = task.samples / min(laps)  # others on the machine only ever make it slower
        tried.append((batch, rate))
        if rate > GAIN * best[1]:
            best = (batch, rate)
        tired = batch >= best[0] << PATIENCE
        too_large = batch * 2 * FEWEST_STEPS * (samples.x.shape[2] + outputs) > MOST_NUMBERS
        if tired or too_large or min(laps) > LONGEST_CALL or clock.now() >= until:
            break
        batch *= 2
    return best[0], tuple(tried)


def is_memory_error(error: BaseException) -> bool:
    """Whether memory was short, of the host or of a GPU; each backend says so in its own way."""
    text = f"{type(error).__name__} {error}".lower()
    short = ("out of memory", "outofmemory", "failed to allocate", "bad_alloc", "alloc_failed")
    return isinstance(error, MemoryError) or any(words in text for words in short)


def latency(
    rounds: Sequence[Sequence[float]], divisor: int, what: str, single: bool = True
) -> Latency:
    """Mean and percentiles of calls.

    Args:
        rounds: seconds of each call, round by round.
        divisor: what each is divided by: 1 for a call, its steps for a step.
        what: what one of them is.
        single: whether each is timed by itself; of means over many the 99th percentile says
            nothing about the slowest.
    """
    laps = np.concatenate([np.asarray(laps, np.float64) for laps in rounds]) / divisor
    p50, p99 = (float(value) for value in np.percentile(laps, [50, 99]))
    means = [sum(laps) / len(laps) / divisor for laps in rounds]
    enough = single and laps.size >= FEWEST_FOR_P99
    return Latency(average(means, "s"), p50, p99 if enough else None, laps.size, what)
