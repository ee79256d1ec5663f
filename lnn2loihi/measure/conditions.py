"""The state of the machine while something was measured."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

_CPUS = "sys/devices/system/cpu"
#: Names of thermal zones and sensors that stand for the processor.
_CPU_ZONES = ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "acpitz")
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower")
#: A machine was not idle where other processes kept more CPUs busy than this on average, ...
BUSY_OTHERS = 0.2
#: ... where the host of a virtual machine took more than this share of the CPU time, ...
BUSY_STOLEN = 0.02
#: ... where nobody can say what other processes did, and the load average before was above this,
BUSY_LOAD = 0.5
#: ... or where one thread that never waits had less than this share of the time of its calls.
LEAST_SHARE = 0.95
#: CPU seconds of the whole machine from which on ticks of 10 ms say what others did.
_FEWEST_SECONDS = 1.0


@dataclass(frozen=True)
class Conditions:
    """What a reader needs to judge a measurement; None or empty where it cannot be read.

    Attributes:
        processor: model name of the CPU, or of the board where the CPU does not say.
        logical_cpus: logical CPUs of the machine.
        pinned_to: CPUs that the process may run on, where these are not all.
        virtual: whether it is a virtual machine.
        governor: frequency governors of the CPUs.
        turbo: whether the clock may rise above its base.
        load_before, load_after: load average of the last minute.
        other_processes: CPUs that other processes kept busy meanwhile, on average.
        stolen: share of the CPU time that the host of a virtual machine took meanwhile.
        temperature_before, temperature_after: of the CPU, degrees Celsius.
        throttled: how often the CPU was slowed down by heat meanwhile.
        clock_overhead: seconds that a reading of the clock takes; it is in every timed call.
    """

    processor: str
    logical_cpus: int
    pinned_to: tuple[int, ...] = ()
    virtual: bool | None = None
    governor: str | None = None
    turbo: bool | None = None
    load_before: float | None = None
    load_after: float | None = None
    other_processes: float | None = None
    stolen: float | None = None
    temperature_before: float | None = None
    temperature_after: float | None = None
    throttled: int | None = None
    clock_overhead: float | None = None

    def disturbances(self) -> list[str]:
        """What says that the machine was not idle, in words; nothing where nothing does.

        The load average after is no evidence: what was measured is part of it.
        """
        found: list[str] = []
        if self.other_processes is not None and self.other_processes > BUSY_OTHERS:
            found.append(
                f"other processes kept {self.other_processes:.2g} of {self.logical_cpus} CPUs busy "
                f"(load average {_load_text(self.load_before)} before, "
                f"{_load_text(self.load_after)} after)"
            )
        if self.other_processes is None and (self.load_before or 0.0) > BUSY_LOAD:
            found.append(
                f"the load average was {_load_text(self.load_before)} before and "
                f"{_load_text(self.load_after)} after"
            )
        if (self.stolen or 0.0) > BUSY_STOLEN:
            found.append(
                f"the host of this virtual machine took {100 * (self.stolen or 0.0):.2g} % of the "
                "CPU time"
            )
        return found


def load_text(conditions: Conditions | None, busy_share: float | None) -> str:
    """What says that other work disturbed a measurement; empty where nothing does.

    Args:
        conditions: of the machine meanwhile.
        busy_share: CPU seconds over seconds of what never waits; None where nobody knows.
    """
    found = [] if conditions is None else conditions.disturbances()
    if busy_share is not None and busy_share < LEAST_SHARE:
        found.append(f"it had the CPU for {100 * busy_share:.3g} % of the time of its calls")
    return "; ".join(found)


@dataclass(frozen=True)
class Snapshot:
    """What changes while something is measured.

    Attributes:
        load: load average of the last minute.
        ticks: CPU time of all CPUs since the start of the machine, and the stolen part of it.
        temperature: of the CPU, degrees Celsius.
        throttles: how often heat has slowed the CPU down since the start of the machine.
        busy: ticks of all CPUs in which they worked, for whatever process.
        own: CPU seconds that this process has worked.
    """

    load: float | None
    ticks: tuple[int, int] | None
    temperature: float | None
    throttles: int | None
    busy: int | None = None
    own: float | None = None


def read_snapshot(
    root: Path = Path("/"), worked: Callable[[], float] = time.process_time
) -> Snapshot:
    """Reads what changes.

    Args:
        root: root of the file system; tests give their own.
        worked: CPU seconds that this process has worked.
    """
    load, ticks = (_text(root / "proc/loadavg") or "").split(), _ticks(root)
    return Snapshot(
        load=_number(load[0]) if load else None,
        ticks=None if ticks is None else (sum(ticks), ticks[_STOLEN]),
        temperature=_temperature(root),
        throttles=_throttles(root),
        busy=None if ticks is None else sum(ticks[place] for place in _WORKING),
        own=None if ticks is None else worked(),
    )


def read_conditions(root: Path = Path("/")) -> Conditions:
    """Reads what stays as it is.

    Args:
        root: root of the file system; tests give their own.
    """
    info = _text(root / "proc/cpuinfo") or ""
    fields = [line.partition(":") for line in info.splitlines()]
    models = [value.strip() for key, _, value in fields if key.strip() == "model name"]
    flags = {word for key, _, value in fields if key.strip() == "flags" for word in value.split()}
    everything = os.cpu_count() or 1
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return Conditions(
        processor=models[0]
        if models
        else board(root) or platform.processor() or platform.machine(),
        logical_cpus=everything,
        pinned_to=tuple(allowed) if len(allowed) < everything else (),
        virtual="hypervisor" in flags if flags else None,
        governor=_governor(root),
        turbo=_turbo(root),
    )


def board(root: Path = Path("/")) -> str:
    """The name of a board such as a Raspberry Pi, from its device tree; empty on other machines.

    Args:
        root: root of the file system; tests give their own.
    """
    return (_text(root / "proc/device-tree/model") or "").strip("\0\n ")


def between(
    conditions: Conditions, before: Snapshot, after: Snapshot, clock_overhead: float | None = None
) -> Conditions:
    """The conditions with what happened between two snapshots."""
    stolen = None
    if before.ticks is not None and after.ticks is not None and after.ticks[0] > before.ticks[0]:
        stolen = (after.ticks[1] - before.ticks[1]) / (after.ticks[0] - before.ticks[0])
    throttled = None
    if before.throttles is not None and after.throttles is not None:
        throttled = after.throttles - before.throttles
    return replace(
        conditions,
        load_before=before.load,
        load_after=after.load,
        other_processes=_others(conditions.logical_cpus, before, after),
        stolen=stolen,
        temperature_before=before.temperature,
        temperature_after=after.temperature,
        throttled=throttled,
        clock_overhead=clock_overhead,
    )


def _text(path: Path) -> str | None:
    """The content of a small file of the kernel; None where it cannot be read."""
    try:
        return path.read_text("utf-8", errors="replace")
    except (OSError, ValueError):
        return None


def _number(text: str | None) -> float | None:
    """A finite number; None for anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _matches(folder: Path, pattern: str) -> Iterable[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _load_text(load: float | None) -> str:
    return "unknown" if load is None else f"{load:.2f}"


def _others(cpus: int, before: Snapshot, after: Snapshot) -> float | None:
    """CPUs that other processes kept busy between two snapshots; None where that is not known."""
    if before.busy is None or after.busy is None or before.own is None or after.own is None:
        return None
    assert before.ticks is not None and after.ticks is not None
    all_ticks, second = after.ticks[0] - before.ticks[0], _ticks_per_second()
    if all_ticks < _FEWEST_SECONDS * second:
        return None
    busy = (after.busy - before.busy) / all_ticks * cpus
    own = (after.own - before.own) * second / all_ticks * cpus
    return max(busy - own, 0.0)


def _ticks_per_second() -> int:
    """Of /proc/stat; 100 on all but a few machines."""
    return os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


#: Places of a line of /proc/stat: user, nice, system, interrupts of both kinds; time that a host
#: has stolen.
_WORKING, _STOLEN = (0, 1, 2, 5, 6), 7


def _ticks(root: Path) -> tuple[int, ...] | None:
    """CPU time of all CPUs by what they did, in ticks (man 5 proc, /proc/stat)."""
    words = (_text(root / "proc/stat") or "").partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:9]):
        return None
    return tuple(int(word) for word in words[1:9])


def _governor(root: Path) -> str | None:
    found = {
        text.strip()
        for path in _matches(root / _CPUS, "cpu[0-9]*/cpufreq/scaling_governor")
        if (text := _text(path)) is not None
    }
    return ", ".join(sorted(found)) or None


def _turbo(root: Path) -> bool | None:
    """Whether turbo is on: Intel's driver says no_turbo, others say boost."""
    for name, on in (("intel_pstate/no_turbo", "0"), ("cpufreq/boost", "1")):
        text = _text(root / _CPUS / name)
        if text is not None and text.strip() in ("0", "1"):
            return text.strip() == on
    return None


def _throttles(root: Path) -> int | None:
    counts = [
        _number(_text(path))
        for path in _matches(root / _CPUS, "cpu[0-9]*/thermal_throttle/*_throttle_count")
    ]
    known = [int(count) for count in counts if count is not None]
    return sum(known) if known else None


def _temperature(root: Path) -> float | None:
    """The temperature of the processor: its thermal zone, or else its sensor."""
    for kind in _CPU_ZONES:
        for zone in _matches(root / "sys/class/thermal", "thermal_zone*"):
            if (_text(zone / "type") or "").strip() == kind:
                value = _number(_text(zone / "temp"))
                if value is not None:
                    return value / 1000.0
    for sensor in _matches(root / "sys/class/hwmon", "hwmon*"):
        if (_text(sensor / "name") or "").strip() in _CPU_SENSORS:
            value = _number(_text(sensor / "temp1_input"))
            if value is not None:
                return value / 1000.0
    return None
