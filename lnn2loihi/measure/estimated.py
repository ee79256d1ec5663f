"""An interval for the energy of a sample, where no counter can be read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lnn2loihi.devices import Device, device_tables, known_devices, load_device
from lnn2loihi.errors import DeviceError
from lnn2loihi.measure.meter import DEVICE_KINDS
from lnn2loihi.measure.results import EnergyReading, EstimatedEnergy, Measurement
from lnn2loihi.measure.runner import Runner

#: The profile of a CPU that no other profile is about.
GENERIC = "cpu-generic-thread"


@dataclass(frozen=True)
class SampleTimes:
    """Measured times of a sample, for both ends of an interval.

    Attributes:
        least: seconds on a core that does nothing else, for the low end.
        mean: mean seconds, at least `least`, for the high end.
        least_of: which calls `least` is of.
    """

    least: float
    mean: float
    least_of: str = "median call"


def estimated_energy(device: Device, times: SampleTimes, threads: int | None) -> EstimatedEnergy:
    """Between the share of the idle power and the share of the thermal design power.

    A CPU is charged with the share of its hardware threads that were used (of a profile with
    fewer, several times the profile), a GPU as a whole. The low end takes the lowest idle power of
    the profile and the least time of a sample, the high end the highest thermal design power and
    the mean time, with all that held calls up in it; a profile without idle power gives the low
    end of its range of full power, or 0 W where that is one number. What memory, board and power
    supply draw is in neither.

    Args:
        device: profile of the CPU or GPU.
        times: measured times of a sample.
        threads: threads that were used; None on a GPU, and where nobody knows: then the low end is
            that of one, the high end that of all.

    Raises:
        DeviceError: the profile is not that of a CPU or GPU, or lacks a figure.
    """
    if device.kind not in DEVICE_KINDS.values():
        raise DeviceError(
            f"device {device.name!r}",
            f"is a {device.kind} device; an energy bound needs the profile of a CPU or GPU",
        )
    most, idle = device.figure("thermal_design_power"), device.get("idle_power")
    share, least = 1.0, 1.0
    if device.kind == "cpu":
        there = device.figure("threads").value
        share, least = (threads / there if threads else 1.0), (threads or 1) / there
    # Without an idle power: the lowest full power that is believable, where the profile has one.
    low = idle.low if idle is not None else most.low if most.low < most.high else 0.0
    source = f"profile {device.name}: thermal design power {most.high:g} W ({most.source})"
    source += f"; low end {low:g} W" + ("" if idle is None else f", idle ({idle.source})")
    source += f"; times of a sample: low end of the {times.least_of}, high end the mean"
    return EstimatedEnergy(
        low=low * least * times.least,
        high=most.high * share * times.mean,
        share=share,
        device=device.name,
        source=source,
    )


def profile_for(runner: Runner, profiles: Sequence[Device] = ()) -> Device | None:
    """The profile that stands for a runner's processor.

    The first among those given that is of this processor, or that of any CPU thread; else the
    shipped one that is of it; else, for a CPU, the one of any thread.

    Args:
        runner: who ran.
        profiles: the caller's.
    """
    kind = DEVICE_KINDS[runner.kind]
    given = [d for d in profiles if d.kind == kind and _is_of(d, runner)]
    if given:
        return min(given, key=lambda device: device.name == GENERIC)  # the first that is its own
    shipped = [d for _, d in known_devices() if d.kind == kind and d.name != GENERIC]
    fitting = [device for device in shipped if _is_of(device, runner)]
    fitting += [load_device(GENERIC)] if kind == "cpu" else []
    return fitting[0] if fitting else None


def unused_profiles(
    profiles: Sequence[Device], runners: Sequence[Runner], rows: Sequence[Measurement]
) -> tuple[str, ...]:
    """For each profile of a CPU or GPU that no row uses its name and the reason, one text each.

    The power of one device times the time of another is the energy of neither, so a profile of
    another device than the measured one is used in no row.

    Args:
        profiles: the caller's.
        runners: who was measured.
        rows: what was measured.
    """
    used = {row.energy.device for row in rows if isinstance(row.energy, EstimatedEnergy)}
    return tuple(
        f"profile {device.name} ({device.title}) is used in no row: "
        f"{_reason(device, runners, rows)}"
        for device in profiles
        if device.name not in used
    )


def _reason(device: Device, runners: Sequence[Runner], rows: Sequence[Measurement]) -> str:
    kind = next((kind for kind, own in DEVICE_KINDS.items() if own == device.kind), None)
    there = [runner for runner in runners if runner.kind == kind and not runner.missing]
    known = device_tables().kinds.get(device.kind)
    what = device.kind if known is None else known.title
    if not there:
        return f"no {what} was measured; measure on that device, with its profile"
    if not any(_is_of(device, runner) for runner in there):
        names = ", ".join(dict.fromkeys(runner.device for runner in there))
        return (
            f"the {what} that was measured is {names!r}. Measure on that device; or, if it is this "
            f"one, give a profile of your own whose title is {there[0].device!r}"
        )
    if any(isinstance(row.energy, EnergyReading) for row in rows if row.kind == kind):
        return "the energy was read from counters"
    return f"there is another profile of this {what}, or no time was measured"


def _is_of(device: Device, runner: Runner) -> bool:
    """Whether a profile is of the processor of a runner, by the words of its name, or its title."""
    if device.name == GENERIC:
        return runner.kind == "cpu"
    title = _words(device.title)
    return _names(_own_words(device.name), runner.device) or title == _words(runner.device)


def _names(words: set[str], processor: str) -> bool:
    """Whether every word is in the name of a processor."""
    return bool(words) and words <= _words(processor)


def _own_words(name: str) -> set[str]:
    """The words of a profile's name without its kind: epyc and 9654 of `cpu-epyc-9654`."""
    return _words(name) - {*DEVICE_KINDS.values()}


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))
