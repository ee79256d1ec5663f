"""What an energy counter is, and all that a machine has together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from lnn2loihi.errors import MeterError

#: Kinds of processors that run something and whose energy a meter reads.
Kind = Literal["cpu", "cuda"]
#: Kinds of devices by kinds of processors: "cuda" is how a GPU is reached, not what it is.
DEVICE_KINDS: Mapping[Kind, str] = {"cpu": "cpu", "cuda": "gpu"}
#: No domain of one machine draws more (W): a counter that says so has wrapped around.
MOST_WATTS = 2000.0


class EnergyMeter(Protocol):
    """Counters of one or more domains of a kind, such as a CPU package and its memory, or a GPU."""

    @property
    def name(self) -> str:
        """What reads the counters."""
        ...

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of what is counted; the domains do not overlap."""
        ...

    def begin(self) -> None:
        """Begins a window; one that is open is dropped.

        Raises:
            MeterError: a counter cannot be read any more.
        """
        ...

    def poll(self) -> None:
        """Looks at counters that may wrap around, and at what may be throttled.

        Raises:
            MeterError: a counter cannot be read any more.
        """
        ...

    def end(self) -> Mapping[str, float]:
        """Ends the window; joules of each domain since its begin.

        Raises:
            MeterError: a counter cannot be read any more, or says what cannot be.
        """
        ...

    def notes(self) -> tuple[str, ...]:
        """What was seen in the windows so far: temperature, throttling."""
        ...


@dataclass(frozen=True)
class TimeOnly:
    """What a source of counters answers that has none: the time can be measured, no energy.

    Attributes:
        reason: why, and how to get them.
    """

    reason: str


#: Makes a meter, or says why there is none.
Source = Callable[[], EnergyMeter | TimeOnly]


@dataclass
class EnergyCounters:
    """All counters of a machine. One that is lost takes none of the others along.

    Attributes:
        meters: the meter of each kind that there is.
        reasons: for each kind without one why that is.
        problems: in the last window, for each kind that could not be read why that was.
    """

    meters: Mapping[Kind, EnergyMeter]
    reasons: Mapping[Kind, str] = field(default_factory=dict)
    problems: dict[Kind, str] = field(default_factory=dict)

    def charged(self, kind: Kind) -> tuple[Kind, ...]:
        """Kinds of meters that a runner is charged with: on a GPU the CPU's too, if there is one;
        none where its own kind cannot be read.
        """
        if kind not in self.meters:
            return ()
        return tuple(own for own in self.meters if own == kind or kind == "cuda")

    def name(self, kinds: Sequence[Kind]) -> str:
        """What reads the counters of some kinds."""
        return " + ".join(dict.fromkeys(self.meters[kind].name for kind in kinds))

    def begin(self) -> None:
        """Begins a window of every meter."""
        self.problems = {}
        self._each(lambda meter: meter.begin())

    def poll(self) -> None:
        """Looks at every meter."""
        self._each(lambda meter: meter.poll())

    def end(self, seconds: float) -> dict[Kind, Mapping[str, float]]:
        """Ends the window.

        Args:
            seconds: its length.

        Returns:
            for each kind that could be read the joules of each domain; `problems` names the rest.
        """
        found: dict[Kind, Mapping[str, float]] = {}
        for kind, meter in self.meters.items():
            if kind in self.problems:
                continue
            try:
                found[kind] = _plausible(meter.end(), seconds)
            except MeterError as error:
                self.problems[kind] = str(error)
        return found

    def _each(self, action: Callable[[EnergyMeter], None]) -> None:
        for kind, meter in self.meters.items():
            if kind in self.problems:
                continue
            try:
                action(meter)
            except MeterError as error:
                self.problems[kind] = str(error)


def _plausible(joules: Mapping[str, float], seconds: float) -> Mapping[str, float]:
    for name, value in joules.items():
        if not 0.0 <= value <= MOST_WATTS * seconds:
            raise MeterError(
                name, f"counted {value:,.0f} J in {seconds:.3g} s, which cannot be; it has wrapped "
                "around unnoticed"
            )  # fmt: skip
    return joules
