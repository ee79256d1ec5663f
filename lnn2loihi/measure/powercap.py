"""Energy of the CPU from the kernel's power caps: RAPL of Intel and AMD, read directly.

Layout of the files: Linux, Documentation/power/powercap/powercap.rst. A zone `intel-rapl:0` is a
package; `intel-rapl:0:1` is a part of it. Parts that a package contains (`core`, `uncore`) are not
counted beside it; its memory (`dram`) is not contained and is. `psys`, the whole platform,
contains the packages and stands in only where there are none. `intel-rapl-mmio` shows the same
counters a second time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lnn2loihi.errors import MeterError
from lnn2loihi.measure.meter import TimeOnly

ROOT = Path("/sys/class/powercap")
RAPL_NOTE = "RAPL counts whole CPU packages, with everything else that runs on them"
_PACKAGE = re.compile(r"intel-rapl:\d+")
_NAME = re.compile(r"[\w .-]{1,40}")
_JOULES = 1e-6


@dataclass(frozen=True)
class Zone:
    """A counter.

    Attributes:
        name: name of the domain, such as `package-0` or `package-0 dram`.
        folder: its folder.
    """

    name: str
    folder: Path


def package_zones(root: Path = ROOT) -> list[Zone]:
    """Zones of the first level, in order; their names can be read by everyone."""
    try:
        folders = [folder for folder in root.iterdir() if _PACKAGE.fullmatch(folder.name)]
    except OSError:
        return []
    folders.sort(key=lambda folder: int(folder.name.partition(":")[2]))
    return [Zone(_name_of(folder) or folder.name, folder) for folder in folders]


def is_package(zone: Zone) -> bool:
    """Whether a zone is a CPU package (`package-0`, `package-0-die-1`), not the platform."""
    return zone.name.startswith("package")


def counted_zones(root: Path = ROOT) -> list[Zone]:
    """Zones that together hold all energy that can be read, none of it twice."""
    zones = package_zones(root)
    packages = [zone for zone in zones if is_package(zone)]
    if not packages:
        return zones[:1]
    counted: list[Zone] = []
    for zone in packages:
        counted.append(zone)
        children = [*zone.folder.glob("intel-rapl:*"), *root.glob(f"{zone.folder.name}:*")]
        parts = {child.name: child for child in children if _name_of(child) == "dram"}
        counted += [Zone(f"{zone.name} dram", parts[name]) for name in sorted(parts)]
    names = [zone.name for zone in counted]
    return [
        zone
        if names.count(zone.name) == 1
        else Zone(f"{zone.name} ({zone.folder.name})", zone.folder)
        for zone in counted
    ]


def _name_of(folder: Path) -> str | None:
    try:
        text = (folder / "name").read_text("utf-8", errors="replace").strip()
    except (OSError, ValueError):
        return None
    return text if _NAME.fullmatch(text) else None


def _microjoules(path: Path) -> int:
    """A counter's value.

    Raises:
        MeterError: it cannot be read, or is no number.
    """
    try:
        text = path.read_text("ascii", errors="replace").strip()
    except PermissionError:
        raise MeterError(str(path), _unreadable(path)) from None
    except OSError as error:
        raise MeterError(str(path), f"cannot be read ({error.strerror or error})") from error
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise MeterError(str(path), f"holds {text[:40]!r}, expected microjoules")
    return int(text)


def _unreadable(path: Path) -> str:
    every = path.parent.parent / "intel-rapl:*" / path.name
    return (
        "is readable by root only (since CVE-2020-8694); where everybody on the machine may see "
        f"it: sudo chmod a+r {every}. Or run the daemon zeusd, and Zeus reads through it"
    )


@dataclass
class _Counter:
    """One zone's counter and what it has counted since the begin of the window."""

    zone: Zone
    limit: int | None
    last: int = 0
    counted: int = 0

    def read(self) -> int:
        value = _microjoules(self.zone.folder / "energy_uj")
        if self.limit is not None and value > self.limit:
            raise MeterError(
                str(self.zone.folder), f"counts {value} uJ, above its own range of {self.limit}"
            )
        return value

    def advance(self) -> None:
        """Adds what was counted since the last look; the counter may have wrapped around once."""
        now = self.read()
        passed = now - self.last
        if passed < 0:
            if self.limit is None:
                raise MeterError(
                    str(self.zone.folder), "fell, and does not say at what value it wraps around"
                )
            passed += self.limit
        self.counted += passed
        self.last = now


@dataclass
class PowercapMeter:
    """Reads zones; see the module.

    Attributes:
        zones: what is read.
    """

    zones: tuple[Zone, ...]
    name: str = "powercap (RAPL)"
    _counters: list[_Counter] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._counters = [_Counter(zone, _limit(zone)) for zone in self.zones]

    @property
    def domains(self) -> tuple[str, ...]:
        """The zones."""
        return tuple(zone.name for zone in self.zones)

    def begin(self) -> None:
        """See `EnergyMeter`."""
        for counter in self._counters:
            counter.last, counter.counted = counter.read(), 0

    def poll(self) -> None:
        """See `EnergyMeter`. A RAPL counter wraps around after minutes at full power."""
        for counter in self._counters:
            counter.advance()

    def end(self) -> Mapping[str, float]:
        """See `EnergyMeter`."""
        self.poll()
        return {counter.zone.name: counter.counted * _JOULES for counter in self._counters}

    def notes(self) -> tuple[str, ...]:
        """What RAPL does not say."""
        return (RAPL_NOTE,)


def _limit(zone: Zone) -> int | None:
    """Where the counter wraps around; None where it does not say."""
    try:
        return _microjoules(zone.folder / "max_energy_range_uj") or None
    except MeterError:
        return None


def powercap_meter(root: Path = ROOT) -> PowercapMeter | TimeOnly:
    """A meter of the CPU, or why there is none.

    Args:
        root: folder of the power caps; tests make their own.
    """
    if not root.is_dir():
        return TimeOnly(f"no RAPL: {root} is not there (few virtual machines have it)")
    zones = counted_zones(root)
    if not zones:
        return TimeOnly(f"no RAPL: {root} holds no zone intel-rapl:<number>")
    meter = PowercapMeter(tuple(zones))
    try:
        meter.begin()
    except MeterError as error:
        return TimeOnly(f"RAPL: {error}")
    return meter
