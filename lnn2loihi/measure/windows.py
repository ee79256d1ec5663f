"""Energy of a sample: active windows between idle ones, repeated.

The protocol is that of the reference: the step in a loop until a window is long enough, an idle
window before and after, repeats, the total and what is above idle with 95 % intervals; an energy
above idle that is smaller than three standard deviations of the idle power is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lnn2loihi.errors import MeterError
from lnn2loihi.measure.clock import LONGEST_WAIT, Clock
from lnn2loihi.measure.intervals import average, deviation
from lnn2loihi.measure.meter import EnergyCounters, Kind
from lnn2loihi.measure.results import EnergyReading

#: Shortest windows (seconds), fewest steps of a window, and fewest repeats of a figure that is to
#: be quoted.
QUOTED_SECONDS: Mapping[str, float] = {"cpu": 10.0, "cuda": 5.0}
QUOTED_STEPS = 1000
QUOTED_REPEATS = 5
#: A dynamic power below so many standard deviations of the idle power is not resolved.
RESOLVED_FROM = 3.0
#: Seconds between two looks at the counters in an active window, and seconds of calls between two
#: looks at the clock.
POLL_EVERY = 1.0
_CHUNK = 0.01


@dataclass(frozen=True)
class Window:
    """What one window read.

    Attributes:
        seconds: its length.
        calls: calls in it; 0 for an idle one.
        joules: of each domain of each kind of meter that could be read.
        problems: for each kind that could not be read why that was.
    """

    seconds: float
    calls: int
    joules: Mapping[Kind, Mapping[str, float]]
    problems: Mapping[Kind, str]

    def power(self, kinds: Sequence[Kind]) -> float:
        """Watts of all domains of these kinds together."""
        return math.fsum(self.domains(kinds).values()) / self.seconds

    def domains(self, kinds: Sequence[Kind]) -> dict[str, float]:
        """Joules of each domain of these kinds."""
        return {name: joules for kind in kinds for name, joules in self.joules[kind].items()}


@dataclass(frozen=True)
class Repeat:
    """An active window between two idle ones."""

    before: Window
    active: Window
    after: Window

    def problem(self, kinds: Sequence[Kind]) -> str:
        """Why it tells nothing about these kinds; empty where it does."""
        windows = (self.before, self.active, self.after)
        found = [w.problems[kind] for kind in kinds for w in windows if kind in w.problems]
        return found[0] if found else ""

    def idle_power(self, kinds: Sequence[Kind]) -> float:
        """Watts while nothing ran, around it."""
        return (self.before.power(kinds) + self.after.power(kinds)) / 2.0

    def dynamic_power(self, kinds: Sequence[Kind]) -> float:
        """Watts above idle."""
        return self.active.power(kinds) - self.idle_power(kinds)


def idle_window(counters: EnergyCounters, clock: Clock, seconds: float) -> Window:
    """Waits, and reads what the machine draws meanwhile."""
    counters.begin()
    begin = clock.now()
    while (left := begin + seconds - clock.now()) > 0.0:
        clock.sleep(min(left, LONGEST_WAIT))
        counters.poll()
    return _ended(counters, clock.now() - begin, 0)


def active_window(
    counters: EnergyCounters,
    clock: Clock,
    function: Callable[[Any], Any],
    inputs: Iterator[Any],
    *,
    seconds: float,
    fewest_calls: int,
    seconds_per_call: float,
) -> Window:
    """Calls in a loop, and reads what the machine draws meanwhile.

    Args:
        counters: what is read.
        clock: the time.
        function: what is called; it returns when its answer is on the host.
        inputs: endless arguments.
        seconds: shortest length of the window.
        fewest_calls: fewest calls.
        seconds_per_call: about how long one takes, so that the clock is seldom looked at.
    """
    chunk = max(int(_CHUNK / max(seconds_per_call, 1e-9)), 1)
    calls = 0
    counters.begin()
    begin = polled = clock.now()
    while (now := clock.now()) - begin < seconds or calls < fewest_calls:
        if now - polled >= POLL_EVERY:
            counters.poll()
            polled = now
        for _ in range(chunk):
            function(next(inputs))
        calls += chunk
    return _ended(counters, clock.now() - begin, calls)


def _ended(counters: EnergyCounters, seconds: float, calls: int) -> Window:
    joules = counters.end(seconds)
    return Window(seconds, calls, joules, dict(counters.problems))


def reading(
    repeats: Sequence[Repeat],
    counters: EnergyCounters,
    kind: Kind,
    *,
    samples_per_call: int,
    steps_per_call: int,
    quick: bool,
) -> EnergyReading:
    """Energy of a sample from one or more repeats.

    Args:
        repeats: at least one; those in which a counter could not be read are left out.
        counters: what read them.
        kind: of the runner, which says what it is charged with.
        samples_per_call: samples of a call, all sequences together.
        steps_per_call: steps of a call.
        quick: whether windows were shortened on purpose.

    Raises:
        MeterError: no repeat could be read, or the counters stood still.
    """
    kinds = counters.charged(kind)
    lost = [problem for repeat in repeats if (problem := repeat.problem(kinds))]
    sound = [repeat for repeat in repeats if not repeat.problem(kinds)]
    if not sound:
        raise MeterError(counters.name(kinds), lost[0])
    active = [repeat.active for repeat in sound]
    if not any(window.power(kinds) for window in active):
        raise MeterError(counters.name(kinds), "the counters stood still while it ran")
    samples = [window.calls * samples_per_call for window in active]
    per_sample = [window.seconds / n for window, n in zip(active, samples, strict=True)]
    idle = [window.power(kinds) for r in sound for window in (r.before, r.after)]
    above = [repeat.dynamic_power(kinds) for repeat in sound]
    limit = RESOLVED_FROM * deviation(idle)
    resolved = _mean(above) > limit
    powers = [window.power(kinds) for window in active]
    dynamic = [power * time for power, time in zip(above, per_sample, strict=True)]
    total = [power * time for power, time in zip(powers, per_sample, strict=True)]
    fewest_steps = min(window.calls for window in active) * steps_per_call
    quoted = (
        min(window.seconds for window in active) >= QUOTED_SECONDS[kind]
        and fewest_steps >= QUOTED_STEPS
        and len(sound) >= QUOTED_REPEATS
    )
    return EnergyReading(
        total=average(total, "J"),
        dynamic=average(dynamic, "J") if resolved else None,
        resolution=limit * _mean(per_sample),
        domains={
            name: _mean([w.domains(kinds)[name] / n for w, n in zip(active, samples, strict=True)])
            for name in active[0].domains(kinds)
        },
        idle_power=average(idle, "W"),
        active_power=average(powers, "W"),
        meter=counters.name(kinds),
        window=_mean([window.seconds for window in active]),
        steps=sum(window.calls for window in active) * steps_per_call,
        quick=quick or not quoted,
        notes=tuple(_notes(counters, kinds, kind, lost)),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _notes(
    counters: EnergyCounters, kinds: Sequence[Kind], kind: Kind, lost: Sequence[str]
) -> Iterator[str]:
    if kind == "cuda" and "cpu" not in kinds:
        yield "the GPU alone: the energy of the host's CPU cannot be read here"
    for own in kinds:
        yield from counters.meters[own].notes()
    if lost:
        yield f"{len(lost)} repeats were left out: {lost[0]}"
