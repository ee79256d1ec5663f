"""Times calls in interleaved rounds, in CPU time of the process and in wall time."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cases import Case
from rivals import Runner

FEWEST_STEPS = 16
MOST_STEPS = 16_384
#: Most sample-steps of a call, and most numbers that go in and come out of one: with more, memory
#: that the process never had before is timed (on a virtual machine several microseconds a page).
MOST_SAMPLES = 1 << 18
MOST_NUMBERS = 1 << 21
#: A cell is left out where a call of the fewest steps would take longer (seconds), and is not
#: repeated more than once after it has taken this long in all.
LONGEST_CALL = 6.0


@dataclass
class Cell:
    """One runner at one batch size.

    Attributes:
        steps: steps of a call; 0: left out.
        calls: calls of a measurement.
        note: why it is left out.
        cpu, wall: nanoseconds of a sample-step, one entry a round.
    """

    steps: int
    calls: int = 1
    note: str = ""
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    spent: float = 0.0

    @property
    def cpu_ns(self) -> float | None:
        """Median CPU nanoseconds of a sample-step."""
        return statistics.median(self.cpu) if self.cpu else None

    @property
    def wall_ns(self) -> float | None:
        """Median wall nanoseconds of a sample-step."""
        return statistics.median(self.wall) if self.wall else None


def seconds_of(call: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds of the process and wall seconds of a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def planned(case: Case, runner: Runner, batch: int, budget: float) -> Cell:
    """A cell whose calls take about `budget` seconds; runs the runner a few times."""
    steps = 2
    numbers = case.network.input_size + case.network.output_size
    most = max(min(MOST_SAMPLES, MOST_NUMBERS // numbers) // batch, FEWEST_STEPS)
    while True:
        x = runner.prepare(case.samples(batch, steps))
        seconds = max(seconds_of(lambda: runner.run(x))[0], 1e-5)  # noqa: B023
        if steps < FEWEST_STEPS and seconds * FEWEST_STEPS / steps > LONGEST_CALL:
            return Cell(0, note=f"a step takes {seconds / steps:.2g} s")
        if seconds >= budget / 3 or steps * 2 > most or steps >= MOST_STEPS:
            break
        steps = min(int(steps * min(max(budget / seconds, 2.0), 16.0)), most)
    wanted = min(max(int(steps * budget / seconds), FEWEST_STEPS), MOST_STEPS, most)
    calls = max(int(budget / (seconds * wanted / steps)), 1)
    return Cell(wanted, calls)


def measure(case: Case, runner: Runner, batch: int, cell: Cell, calls: int = 1) -> None:
    """Adds a round of so many times its calls to a cell, unless it is left out or has taken long
    enough.
    """
    if not cell.steps or (cell.spent > LONGEST_CALL and len(cell.cpu) > 1):
        return
    x = runner.prepare(case.samples(batch, cell.steps))
    calls *= cell.calls
    if calls > 1:
        runner.run(x)  # its memory is there then
    cpu, wall = seconds_of(lambda: [runner.run(x) for _ in range(calls)])
    cell.spent += wall
    cell.cpu.append(cpu / (calls * batch * cell.steps) * 1e9)
    cell.wall.append(wall / (calls * batch * cell.steps) * 1e9)


def load() -> str:
    """Load averages, as text."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())
