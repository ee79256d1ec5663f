"""Time: what measures it, what waits, and how much of it there is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

#: Longest time that is waited without looking up (seconds): counters are read in between, so that
#: none of them wraps around twice.
LONGEST_WAIT = 10.0


@dataclass(frozen=True)
class Clock:
    """Reads time and waits; tests make their own.

    Attributes:
        now: seconds from an arbitrary start, monotonic.
        sleep: waits so many seconds.
        worked: CPU seconds that all threads of this process have worked.
    """

    now: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    worked: Callable[[], float] = time.process_time

    def overhead(self, readings: int = 200) -> float:
        """Seconds that one reading of the clock takes: the median of many."""
        now = self.now
        times = [now() for _ in range(readings + 1)]
        gaps = sorted(after - before for before, after in zip(times, times[1:], strict=False))
        return gaps[readings // 2]


class Budget:
    """How much time is left.

    Args:
        clock: what measures it.
        seconds: time in all; None for no limit.
    """

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self.seconds = seconds
        self._clock = clock
        self._begin = clock.now()

    @property
    def spent(self) -> float:
        """Seconds since it was made."""
        return self._clock.now() - self._begin

    @property
    def left(self) -> float:
        """Seconds that are left; infinite where there is no limit."""
        return float("inf") if self.seconds is None else self.seconds - self.spent

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0.0
