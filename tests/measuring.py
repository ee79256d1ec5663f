"""A machine that only exists in tests: its time passes when something works or waits, its
counters count what it draws meanwhile, and its backends take as long as they are told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from lnn2loihi.errors import MeterError
from lnn2loihi.measure import Clock, EnergyCounters, Runner, Session, measuring, stopwatch
from lnn2loihi.measure.meter import Kind
from lnn2loihi.network import FloatArray

INPUTS, OUTPUTS = 3, 2


@dataclass
class Machine:
    """Time and energy.

    Attributes:
        idle: watts of each kind of processor while nothing runs.
        ripple: watts that the idle power goes up and down from wait to wait.
        time: seconds since it was made.
        joules: of each kind.
        share: part of the time of a call that it has the CPU; the rest is another process's.
        worked: CPU seconds that this process has worked.
        waits: seconds of each sleep.
    """

    idle: Mapping[Kind, float] = field(default_factory=lambda: {"cpu": 10.0, "cuda": 40.0})
    ripple: float = 0.0
    time: float = 0.0
    joules: dict[Kind, float] = field(default_factory=lambda: {"cpu": 0.0, "cuda": 0.0})
    waits: list[float] = field(default_factory=list)
    share: float = 1.0
    worked: float = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.time, self.wait, lambda: self.worked)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        sign = 1.0 if len(self.waits) % 2 else -1.0
        self._pass(seconds, {"cpu": sign * self.ripple})

    def work(self, seconds: float, watts: Mapping[Kind, float]) -> None:
        """Works for so long, with so many watts above idle."""
        self.worked += seconds * self.share
        self._pass(seconds, watts)

    def _pass(self, seconds: float, above: Mapping[Kind, float]) -> None:
        self.time += seconds
        for kind, watts in self.idle.items():
            self.joules[kind] += seconds * (watts + above.get(kind, 0.0))

    def counters(self, *kinds: Kind) -> EnergyCounters:
        """EnergyCounters of these kinds."""
        return EnergyCounters({kind: Meter(self, kind) for kind in kinds})


@dataclass
class Meter:
    """The counter of one kind.

    Attributes:
        machine: whose.
        kind: of what.
        lost_at: time from which on it cannot be read.
    """

    machine: Machine
    kind: Kind
    lost_at: float = float("inf")
    first: float = 0.0

    @property
    def name(self) -> str:
        return f"meter of {self.kind}"

    @property
    def domains(self) -> tuple[str, ...]:
        return (f"{self.kind} 0",)

    def begin(self) -> None:
        self.first = self._read()

    def poll(self) -> None:
        self._read()

    def end(self) -> Mapping[str, float]:
        return {self.domains[0]: self._read() - self.first}

    def notes(self) -> tuple[str, ...]:
        return (f"note of {self.kind}",)

    def _read(self) -> float:
        if self.machine.time >= self.lost_at:
            raise MeterError(self.name, "is gone")
        return self.machine.joules[self.kind]


@dataclass
class Backend(Session):
    """A backend that works for a fixed time.

    Attributes:
        machine: where.
        call: seconds of a call, and of a step of a stream.
        sequence: seconds that a step of a sequence takes more.
        watts: above idle while it works.
        fails_at: time of the machine from which on it raises.
        error: what it raises.
        spoil: makes something else of its answers to whole sequences.
        most: largest batch that fits its memory.
        slow: of so many calls one takes `slower` times as long: something else ran meanwhile.
        slower: see `slow`.
        log: every time it was made the active one.
    """

    machine: Machine
    call: float = 1e-3
    sequence: float = 0.0
    watts: Mapping[Kind, float] = field(default_factory=lambda: {"cpu": 5.0})
    fails_at: float = float("inf")
    error: BaseException = field(default_factory=lambda: RuntimeError("GPU is lost\nfor good"))
    most: int = 1 << 20
    log: list[str] = field(default_factory=list)
    name: str = ""
    spoil: Callable[[FloatArray], FloatArray] | None = None
    slow: int = 0
    slower: float = 100.0
    calls: int = 0
    closed: int = 0

    def _work(self, seconds: float) -> None:
        if self.machine.time >= self.fails_at:
            raise self.error
        self.calls += 1
        held_up = self.slow and self.calls % self.slow == 0
        self.machine.work(seconds * (self.slower if held_up else 1.0), self.watts)

    def prepare(self, x: FloatArray, timespans: FloatArray | None) -> Any:
        if len(x) > self.most:
            raise MemoryError("too many")
        return x, timespans

    def run(self, prepared: Any) -> Any:
        x, _ = prepared
        self._work(self.call + self.sequence * x.shape[0] * x.shape[1])
        answer = x[:, :, :OUTPUTS]
        return answer if self.spoil is None else self.spoil(answer.copy())

    def outputs(self, answer: Any) -> FloatArray:
        return np.asarray(answer, np.float64)

    def prepare_steps(self, x: FloatArray, timespans: FloatArray | None) -> Sequence[Any]:
        return list(x)

    def open_stream(self) -> Callable[[Any], Any]:
        def step(sample: Any) -> Any:
            self._work(self.call)
            return sample[None, None, :OUTPUTS]

        return step

    def activate(self) -> None:
        self.log.append(self.name)

    def close(self) -> None:
        self.closed += 1


def runner(backend: Backend, name: str = "fake", kind: Kind = "cpu", **options: Any) -> Runner:
    """A runner of a backend."""
    backend.name = name
    given: dict[str, Any] = {
        "device": "Test CPU", "backend": "made up", "precision": "float32",
        "threads": 1 if kind == "cpu" else None, "output_size": OUTPUTS,
    }  # fmt: skip
    return Runner(name=name, kind=kind, open=lambda: backend, **{**given, **options})


def samples(batch: int = 4, time: int = 8, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(batch, time, INPUTS))


def measure_for_moments(patch: pytest.MonkeyPatch) -> None:
    """Every backend is found, called, timed and metered, as `quick` does, but no longer than it
    takes: for tests that look at no figure. A budget of seconds would end early on a busy machine.
    """
    shortest = replace(
        measuring.QUICK, warm_up=0.0, search=0.001, rounds=1, slice=0.001, calls=3, steps=3,
        windows={"cpu": 0.01, "cuda": 0.01},
    )  # fmt: skip
    patch.setattr(measuring, "QUICK", shortest)
    patch.setattr(stopwatch, "LARGEST_BATCH", 2)
