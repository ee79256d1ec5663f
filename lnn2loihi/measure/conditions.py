"""The state of the machine while something was measured."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

_CPUS = "sys/devices/system/cpu"
#: Names of thermal zones and sensors that stand for the processor.
_CPU_ZONES = ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "acpitz")
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower")


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
    stolen: float | None = None
    temperature_before: float | None = None
    temperature_after: float | None = None
    throttled: int | None = None
    clock_overhead: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """What changes while something is measured.

    Attributes:
        load: load average of the last minute.
        ticks: CPU time of all CPUs since the start of the machine, and the stolen part of it.
        temperature: of the CPU, degrees Celsius.
        throttles: how often heat has slowed the CPU down since the start of the machine.
    """

    load: float | None
    ticks: tuple[int, int] | None
    temperature: float | None
    throttles: int | None


def read_snapshot(root: Path = Path("/")) -> Snapshot:
    """Reads what changes.

    Args:
        root: root of the file system; tests give their own.
    """
    load = (_text(root / "proc/loadavg") or "").split()
    return Snapshot(
        load=_number(load[0]) if load else None,
        ticks=_ticks(root),
        temperature=_temperature(root),
        throttles=_throttles(root),
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


def _ticks(root: Path) -> tuple[int, int] | None:
    """All CPU time and the stolen part, in ticks (man 5 proc, /proc/stat)."""
    words = (_text(root / "proc/stat") or "").partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:9]):
        return None
    ticks = [int(word) for word in words[1:9]]
    return sum(ticks), ticks[7]


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
