"""One backend in one mode, while it is being measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lnn2loihi.devices import Device
from lnn2loihi.errors import DeviceError, MeterError
from lnn2loihi.measure.conditions import Conditions, load_text
from lnn2loihi.measure.estimated import SampleTimes, estimated_energy, profile_for
from lnn2loihi.measure.intervals import Average, average
from lnn2loihi.measure.meter import EnergyCounters
from lnn2loihi.measure.results import (
    EnergyReading,
    EstimatedEnergy,
    Latency,
    Measurement,
    Mode,
    Status,
)
from lnn2loihi.measure.runner import PYTHON, Runner, Session
from lnn2loihi.measure.settings import Settings
from lnn2loihi.measure.stopwatch import Task, latency
from lnn2loihi.measure.windows import Repeat, reading

_WHAT = {
    "streaming": "one sample, from the host and back to it",
    "sequence": "one sample of a sequence in a compiled loop: a call divided by its samples",
    "batch": "one step of all sequences: a call divided by its steps",
}
_CALL = "from handing a sample over to its answer: one call"
#: What times of each mode include beside the network's own work.
_INCLUDES = {
    "streaming": "Python call included",
    "sequence": "no Python call, loop in {loop}",
    "batch": "",
}
_PYTHON_LOOP = "Python loop included"


@dataclass
class Trial:
    """What is known so far of one backend in one mode.

    Attributes:
        runner: the backend.
        mode: the mode.
        batch: sequences side by side; None: still to be found.
        session: the backend once it is ready.
        task: what is called, while it can be called.
        steps: steps of a call, once it is ready.
        rounds: seconds of each timed call, round by round.
        timed: seconds of the loops that timed the calls.
        worked: CPU seconds that the process worked meanwhile.
        repeats: energy windows.
        search: samples a second of the batches that were tried.
        accuracy: what the caller's score made of its answers.
        failure: why it failed; it is left alone from then on.
        energy_note: why its energy was not read as often as asked for, or not at all.
        unfinished: why it stopped early.
        remarks: what a reader should know.
    """

    runner: Runner
    mode: Mode
    batch: int | None
    session: Session | None = None
    task: Task | None = None
    steps: int = 1
    rounds: list[list[float]] = field(default_factory=list)
    timed: float = 0.0
    worked: float = 0.0
    repeats: list[Repeat] = field(default_factory=list)
    search: tuple[tuple[int, float], ...] = ()
    accuracy: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""
    energy_note: str = ""
    unfinished: str = ""
    remarks: list[str] = field(default_factory=list)

    @property
    def seconds_per_call(self) -> float:
        """Mean of all timed calls."""
        return sum(map(sum, self.rounds)) / sum(map(len, self.rounds))

    @property
    def busy_share(self) -> float | None:
        """CPU time over time of the timed loops, where it is known how many threads never wait."""
        if not self.timed or self.runner.kind != "cpu" or self.runner.threads is None:
            return None
        return self.worked / self.timed

    @property
    def includes(self) -> str:
        """What its times include beside the network's own work."""
        if self.mode == "batch" and self.runner.loop == PYTHON:
            return _PYTHON_LOOP
        return _INCLUDES[self.mode].format(loop=self.runner.loop)

    def fail(self, error: BaseException) -> None:
        """Notes why it cannot go on; what was measured until now stays."""
        self.refuse(one_line(error))

    def refuse(self, reason: str) -> None:
        """Notes why it does not count."""
        self.failure, self.task = reason, None

    def window(self, settings: Settings) -> float:
        """Seconds that its energy window will take."""
        steps = self.seconds_per_call * settings.steps / self.steps
        return max(settings.windows[self.runner.kind], steps)

    def row(
        self,
        settings: Settings,
        counters: EnergyCounters,
        profiles: Sequence[Device],
        machine: Conditions,
    ) -> Measurement:
        """The measurement.

        Args:
            settings: how long everything should have taken.
            counters: what read the energy windows.
            profiles: CPUs and GPUs for estimates where there is no reading.
            machine: its conditions meanwhile.
        """
        energy, note = self._energy(settings, counters, profiles, machine)
        status, reason = self._status()
        step, call = self._latencies()
        return Measurement(
            name=self.runner.name,
            kind=self.runner.kind,
            device=self.runner.device,
            backend=self.runner.backend,
            precision=self.runner.precision,
            mode=self.mode,
            batch=self.batch or 1,
            threads=self.runner.threads,
            status=status,
            reason=reason,
            steps_per_call=self.steps,
            step_latency=step,
            sample_latency=call,
            throughput=self._throughput(),
            energy=energy,
            energy_note=note,
            search=self.search,
            accuracy=self.accuracy,
            versions=self.runner.versions,
            conditions=machine,
            notes=(*self.runner.notes, *self.remarks),
            includes=self.includes,
            busy_share=self.busy_share,
        )

    def _status(self) -> tuple[Status, str]:
        if self.runner.missing:
            return "missing", self.runner.missing
        if self.failure:
            return "failed", self.failure
        return ("partial", self.unfinished) if self.unfinished else ("measured", "")

    def _latencies(self) -> tuple[Latency | None, Latency | None]:
        """Of a step and of a sample."""
        if not self.rounds:
            return None, None
        single = self.mode != "sequence"
        step = latency(self.rounds, self.steps, _WHAT[self.mode], single)
        return step, latency(self.rounds, 1, _CALL) if single else step

    def _throughput(self) -> Average | None:
        """Samples a second."""
        if not self.rounds:
            return None
        samples = self.steps * (self.batch or 1)
        return average([samples * len(laps) / sum(laps) for laps in self.rounds], "1/s")

    def _sample_times(self, idle: bool) -> SampleTimes:
        """What a sample takes at least and on average, all sequences together.

        Where others held the calls up, half of them may have been, and the fastest counts.
        """
        calls = np.concatenate([np.asarray(laps) for laps in self.rounds])
        least = float(np.median(calls) if idle else calls.min())
        samples = self.steps * (self.batch or 1)
        return SampleTimes(
            least / samples,
            max(self.seconds_per_call, least) / samples,
            "median call" if idle else "fastest call, since other work held calls up",
        )

    def _energy(
        self,
        settings: Settings,
        counters: EnergyCounters,
        profiles: Sequence[Device],
        machine: Conditions,
    ) -> tuple[EnergyReading | EstimatedEnergy | None, str]:
        """What was read or can be estimated, and why there is no reading."""
        note = self.energy_note
        if self.repeats:
            try:
                return reading(
                    self.repeats, counters, self.runner.kind,
                    samples_per_call=self.steps * (self.batch or 1),
                    steps_per_call=self.steps, quick=settings.quick,
                ), note  # fmt: skip
            except MeterError as error:
                note = str(error)
        elif not counters.charged(self.runner.kind):
            note = counters.reasons.get(self.runner.kind, "energy was not asked for")
        profile = profile_for(self.runner, profiles)
        if not self.rounds or profile is None:
            return None, note
        idle = not load_text(machine, self.busy_share)
        try:
            estimate = estimated_energy(profile, self._sample_times(idle), self.runner.threads)
        except DeviceError as error:
            return None, f"{note}; {error}"
        return estimate, note


def one_line(error: BaseException) -> str:
    """An error as one line of at most a few hundred letters."""
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first:.300}"
