"""What packages bring about devices (kinds, figures, rules, profiles), joined with what is ours.

Names that are ours stay ours; a name that two packages give different meanings belongs to neither.
A package whose tables do not fit is left out, and a profile whose name is taken likewise: both are
named in a warning and by `doctor`, and everything else works on.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from lnn2loihi.arguments import checks_fields
from lnn2loihi.devices.figures import KINDS, Definition, DeviceKind, rule_name, rule_problems
from lnn2loihi.errors import DeviceError, Problems
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.registry import PluginReport, Registry

OURS = "lnn2loihi"
SUFFIX = ".toml"
FOLDER = "hardware_profiles"
#: Files of our folder that are no devices.
OTHERS = ("validation",)
_log = logging.getLogger(OURS)
_loading = threading.local()


@checks_fields(DeviceError)
@dataclass(frozen=True, eq=False)
class DevicePackage:
    """What a package brings; an entry point of the group `lnn2loihi.devices` names one.

    Attributes:
        kinds: kinds of its own.
        figures: figures that it adds to kinds that there are, by kind; none of them required, since
            the profiles of others have none.
        rules: rules that it adds to kinds that programs are placed on, by kind.
        profiles: folder of its profiles, one `.toml` file for each device: a path, or what
            `importlib.resources.files("my_package") / "profiles"` gives.

    Raises:
        DeviceError: lists everything that is wrong with it.
    """

    kinds: tuple[DeviceKind, ...] = ()
    figures: Mapping[str, tuple[Definition, ...]] = field(default_factory=dict)
    rules: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    profiles: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        for name in ("figures", "rules"):
            tables = {kind: tuple(added) for kind, added in getattr(self, name).items()}
            object.__setattr__(self, name, read_only_mapping(tables))
        problems = Problems(DeviceError, "device package")
        for kind, added in self.figures.items():
            problems.extend(
                f"figure {d.name!r} is added to kind {kind!r:.60} as a required one, which the "
                "profiles of others have not; say required=False"
                for d in added
                if d.required
            )
        problems.extend(rule_problems(rule for added in self.rules.values() for rule in added))
        if isinstance(self.profiles, str):
            object.__setattr__(self, "profiles", Path(self.profiles))
        if self.profiles is not None and not self._folder_is_there():
            problems.add(f"profiles is {str(self.profiles)!r:.200}, which is no folder")
        problems.raise_if_any()

    def _folder_is_there(self) -> bool:
        try:
            return self.profiles.is_dir()
        except (AttributeError, OSError, ValueError):
            return False

    def claims(self) -> Iterator[tuple[str, Any]]:
        """Everything that it gives a name, and what it is."""
        for kind in self.kinds:
            yield f"kind {kind.name!r}", kind
            yield from ((f"figure {d.name!r}", d) for d in kind.figures)
            yield from _named_rules(kind.name, kind.rules)
        for added in self.figures.values():
            yield from ((f"figure {d.name!r}", d) for d in added)
        for kind, rules in self.rules.items():
            yield from _named_rules(kind, rules)


def _named_rules(kind: str, rules: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    return ((f"rule {rule_name(rule)!r} of kind {kind!r}", rule) for rule in rules)


@dataclass(frozen=True)
class Profile:
    """Where the text of a profile is.

    Attributes:
        package: whose it is, with its version; "lnn2loihi" for ours.
        file: the file: a path, or a part of a package that can be read like one.
        subject: what messages call it.
    """

    package: str
    file: Any
    subject: str


@dataclass(frozen=True)
class DeviceTables:
    """Everything that is known about devices.

    Attributes:
        kinds: by name.
        profiles: by the name of the device.
        problems: of packages by the names that they are registered under: what was left out.
    """

    kinds: Mapping[str, DeviceKind]
    profiles: Mapping[str, Profile]
    problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def definitions(self) -> Mapping[str, Definition]:
        """Every figure by name."""
        return {d.name: d for kind in self.kinds.values() for d in kind.figures}

    @cached_property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """Pairs of figures, the first of which cannot be larger than the second."""
        return tuple(dict.fromkeys(p for kind in self.kinds.values() for p in kind.parts))

    def placeable(self, kind: str) -> bool:
        """Whether programs are placed on devices of a kind: whether it has rules."""
        return kind in self.kinds and bool(self.kinds[kind].rules)

    def kinds_with(self, figure: str) -> list[str]:
        """Names of the kinds whose devices may have a figure."""
        return [
            kind.name for kind in self.kinds.values() if figure in [d.name for d in kind.figures]
        ]


class _Brought(NamedTuple):
    """A package that works: under which name it is registered, whose it is, what it brings."""

    name: str
    whose: str
    package: DevicePackage


class _DeviceRegistry(Registry[DevicePackage]):
    """Packages that bring something about devices."""

    def reports(self) -> list[PluginReport]:
        """Every package with its state; refused where something of it is left out."""
        problems = device_tables().problems
        return [
            replace(report, state="refused", reason="; ".join(problems[report.name]))
            if report.state == "ok" and report.name in problems
            else report
            for report in super().reports()
        ]


DEVICES = _DeviceRegistry("lnn2loihi.devices", "device package", DevicePackage, factory=False)


def device_tables() -> DeviceTables:
    """What is known about devices, packages included; joined again when others are registered.
    Packages that ask while they are loaded are told what is ours.
    """
    if getattr(_loading, "now", False):
        return own_tables()
    _loading.now = True
    try:
        found = tuple(_Brought(name, DEVICES.package(name), it) for name, it in DEVICES.working())
    finally:
        _loading.now = False
    return _joined(found)


@cache
def own_tables() -> DeviceTables:
    """What is known without any package."""
    profiles = _profiles(files(OURS) / FOLDER, OURS, FOLDER)
    devices = {name: profile for name, profile in profiles.items() if name not in OTHERS}
    return DeviceTables({kind.name: kind for kind in KINDS}, devices)


def _profiles(folder: Any, package: str, shown: str) -> dict[str, Profile]:
    names = [name for name in sorted(e.name for e in folder.iterdir()) if name.endswith(SUFFIX)]
    return {
        name.removesuffix(SUFFIX): Profile(package, folder / name, f"{shown}/{name}")
        for name in names
        if not name.startswith(".")
    }


@lru_cache(maxsize=4)
def _joined(packages: tuple[_Brought, ...]) -> DeviceTables:
    """Ours and what packages bring; one warning for each package of which something is left out."""
    problems = _clashes(packages)
    kinds = _all_kinds(packages, problems)
    profiles = _all_profiles([one for one in packages if one.name not in problems], problems)
    for one in packages:
        if one.name in problems:
            reasons = "; ".join(problems[one.name])
            _log.warning("device package %r of %s: %s", one.name, one.whose, reasons)
    return DeviceTables(kinds, profiles, {name: tuple(found) for name, found in problems.items()})


def _clashes(packages: Iterable[_Brought]) -> defaultdict[str, list[str]]:
    """For packages that give a name another meaning than we or other packages do: which."""
    taken = dict(DevicePackage(KINDS).claims())
    claimed: defaultdict[str, list[tuple[_Brought, Any]]] = defaultdict(list)
    for one in packages:
        for what, meaning in one.package.claims():
            claimed[what].append((one, meaning))
    problems: defaultdict[str, list[str]] = defaultdict(list)
    rules = {rule for kind in KINDS for rule in kind.rules}
    for one in packages:
        named = [rule for kind in one.package.kinds for rule in kind.rules]
        named += [rule for added in one.package.rules.values() for rule in added]
        for rule in dict.fromkeys(r for r in named if isinstance(r, str) and r not in rules):
            reason = f"there is no rule {rule!r:.60} of ours; there are {', '.join(sorted(rules))}"
            problems[one.name].append(f"it is left out: {reason}")
    for what, claims in claimed.items():
        for one, meaning in claims:
            others = [other.whose for other, its in claims if other is not one and its != meaning]
            if taken.get(what, meaning) != meaning:
                reason = f"{what} is lnn2loihi's own; give another name"
            elif what not in taken and others:
                reason = f"{what} is another thing in {', '.join(others)}"
            else:
                continue
            problems[one.name].append(f"it is left out, since {reason}")
    return problems


def _all_kinds(
    packages: Iterable[_Brought], problems: defaultdict[str, list[str]]
) -> dict[str, DeviceKind]:
    """Ours and those of packages; without a package whose tables do not fit, which is noted, and
    perhaps then without others that add to its kinds.
    """
    fitting = [one for one in packages if one.name not in problems]
    kinds = {k.name: k for k in (*KINDS, *(k for one in fitting for k in one.package.kinds))}
    for one in fitting:
        try:
            kinds |= _extended(kinds, one.package)
        except DeviceError as error:
            reasons = "; ".join(error.problems)
            problems[one.name].append(f"it is left out: {error.subject}: {reasons}")
            return _all_kinds(fitting, problems)
    return kinds


def _extended(kinds: Mapping[str, DeviceKind], brought: DevicePackage) -> dict[str, DeviceKind]:
    """The kinds that a package adds to, with what it adds.

    Raises:
        DeviceError: there is no such kind, or what is added does not fit it.
    """
    found: dict[str, DeviceKind] = {}
    for name in dict.fromkeys((*brought.figures, *brought.rules)):
        if name not in kinds:
            raise DeviceError(f"kind {name!r:.60}", f"is unknown; there are {', '.join(kinds)}")
        kind = kinds[name]
        figures = [one for one in brought.figures.get(name, ()) if one not in kind.figures]
        rules = [one for one in brought.rules.get(name, ()) if one not in kind.rules]
        found[name] = replace(kind, figures=(*kind.figures, *figures), rules=(*kind.rules, *rules))
    return found


def _all_profiles(
    packages: Iterable[_Brought], problems: defaultdict[str, list[str]]
) -> dict[str, Profile]:
    """Ours and those of packages; adds to their problems what is left out of them."""
    offered: defaultdict[str, list[tuple[_Brought, Profile]]] = defaultdict(list)
    for one in packages:
        if one.package.profiles is not None:
            folder = one.package.profiles
            try:
                brought = _profiles(folder, one.whose, str(folder))
            except OSError as error:
                problems[one.name].append(f"its profiles, {folder}, cannot be listed: {error}")
                continue
            for device, profile in brought.items():
                offered[device].append((one, profile))
    found = dict(own_tables().profiles)
    for device, owners in offered.items():
        if device not in own_tables().profiles and len(owners) == 1:
            found[device] = owners[0][1]
            continue
        for one, _ in owners:
            others = ", ".join(other.whose for other, _ in owners if other is not one)
            whose = "lnn2loihi's own" if device in own_tables().profiles else f"of {others} too"
            problems[one.name].append(
                f"its profile {device!r:.60} is left out, since the name is {whose}; rename it"
            )
    return found
