"""Energy of the CPU from the kernel's power caps: RAPL of Intel and AMD, read directly.

Layout of the files: Linux, Documentation/power/powercap/powercap.rst. A zone `intel-rapl:0` is a
package; `intel-rapl:0:1` is a part of it. Parts that a package contains (`core`, `uncore`) are not
counted beside it; its memory (`dram`) is not contained and is. `psys`, the whole platform,
contains the packages and stands in only where there are none. `intel-rapl-mmio` shows the same
counters a second time.

A package of several dies has a zone for each, `package-0-die-0` and `package-0-die-1`. On Intel
(Cascade Lake-AP) each die has a counter of its own; on AMD (Threadripper and EPYC of Zen 1 and 2)
they all show the one counter of the socket (codecarbon #1274: half of the sum was drawn at the
plug). Nothing but the readings tells which: those of one counter are the same at the begin and at
the end of every window. So zones of one socket are one domain, in which each counter counts once.
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
_DIE = re.compile(r"^(package-\d+)-die-\d+")
_NAME = re.compile(r"[\w .-]{1,40}")
_JOULES = 1e-6
#: Microjoules up to which readings are of one counter, beside what passes while they are read: RAPL
#: refreshes its counters every millisecond, in which a socket of 400 W draws 0.4 J. Counters of
#: several dies, each of which counts since the start of the machine, are farther apart.
_SAME = 1_000_000
_FAR = 1 << 62


@dataclass(frozen=True)
class Zone:
    """A counter.

    Attributes:
        name: name of the domain, such as `package-0` or `package-0 dram`.
        folder: its folder.
    """

    name: str
    folder: Path

    @property
    def label(self) -> str:
        """Its name and its folder's."""
        return f"{self.name} ({self.folder.name})"


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
    """Zones that together hold all energy that can be read; several of one domain may show one
    counter.
    """
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
    return counted


def domain_of(zone: Zone) -> str:
    """The socket, or the memory of the socket, that a zone is of: its name without the die."""
    return _DIE.sub(r"\1", zone.name)


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

    def distance(self, other: _Counter) -> int:
        """Microjoules between two last readings, on the shorter way round."""
        if self.limit != other.limit:
            return _FAR
        apart = abs(self.last - other.last)
        return apart if self.limit is None else min(apart, self.limit - apart)

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
class _Domain:
    """The zones of one socket, or of its memory, and which of them show one counter."""

    name: str
    counters: list[_Counter]
    _at_begin: list[int] = field(default_factory=list)
    _at_end: list[int] = field(default_factory=list)

    def begin(self) -> None:
        for counter in self.counters:
            counter.last, counter.counted = counter.read(), 0
        self._at_begin = self._at_end = self._alike()

    def advance(self) -> None:
        for counter in self.counters:
            counter.advance()

    def joules(self) -> float:
        """What each counter has counted, those of several zones once."""
        self._at_end = self._alike()
        return sum(self.counters[place].counted for place in set(self._shown())) * _JOULES

    def note(self) -> str:
        """Which zones are one counter; empty where there is one zone."""
        if len(self.counters) == 1:
            return ""
        zones = ", ".join(counter.zone.label for counter in self.counters)
        count = len(set(self._shown()))
        if count == len(self.counters):
            return f"{self.name}: {zones} count by themselves, and are added up"
        counters = "one counter" if count == 1 else f"{count} counters"
        return f"{self.name}: {zones} show {counters}, counted once"

    def _shown(self) -> list[int]:
        """For each counter the first that it was the same as, at the begin and at the end."""
        pairs = list(zip(self._at_begin, self._at_end, strict=True))
        return [pairs.index(pair) for pair in pairs]

    def _alike(self) -> list[int]:
        """For each counter the first whose last reading was the same."""
        if len(self.counters) == 1:
            return [0]
        # What is read one after the other moves meanwhile: as far as the first has moved since.
        head = self.counters[0]
        moved = head.read() - head.last
        moved = max(moved, 0) if head.limit is None else moved % head.limit
        found: list[int] = []
        for place, counter in enumerate(self.counters):
            same = (
                earlier
                for earlier in found
                if counter.distance(self.counters[earlier]) <= _SAME + moved
            )
            found.append(next(same, place))
        return found


@dataclass
class PowercapMeter:
    """Reads zones; see the module.

    Attributes:
        zones: what is read.
    """

    zones: tuple[Zone, ...]
    name: str = "powercap (RAPL)"
    _read: list[_Domain] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_name: dict[str, list[_Counter]] = {}
        for zone in self.zones:
            by_name.setdefault(domain_of(zone), []).append(_Counter(zone, _limit(zone)))
        self._read = [_Domain(name, counters) for name, counters in by_name.items()]

    @property
    def domains(self) -> tuple[str, ...]:
        """The sockets, and their memory."""
        return tuple(domain.name for domain in self._read)

    def begin(self) -> None:
        """See `EnergyMeter`."""
        for domain in self._read:
            domain.begin()

    def poll(self) -> None:
        """See `EnergyMeter`. A RAPL counter wraps around after minutes at full power."""
        for domain in self._read:
            domain.advance()

    def end(self) -> Mapping[str, float]:
        """See `EnergyMeter`."""
        self.poll()
        return {domain.name: domain.joules() for domain in self._read}

    def notes(self) -> tuple[str, ...]:
        """What RAPL does not say, and which zones were one counter in the last window."""
        return (RAPL_NOTE, *(note for domain in self._read if (note := domain.note())))


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
