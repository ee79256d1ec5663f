"""What installed packages bring: found through entry points, loaded one by one, typed.

A group of entry points is a `Registry`. Reading the names loads nothing. A plug-in that cannot be
loaded, or is not what its group wants, is named in a warning with its package, and every other one
works on. Where two packages register the same name, or claim what can have one owner alone, the
one of lnn2loihi keeps it, or the one whose module it comes from; of two others neither gets it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from inspect import isclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from lnn2loihi.errors import PluginError
from lnn2loihi.faults import named, one_line
from lnn2loihi.printable import kind_of_value

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_log = logging.getLogger("lnn2loihi")
_OURS = "lnn2loihi"

T = TypeVar("T")
State = Literal["ok", "broken", "refused"]


@dataclass(frozen=True)
class PluginReport:
    """One registered plug-in, as `doctor` lists it.

    Attributes:
        group: what it is, such as "importer".
        name: under which it is registered.
        package: that registered it, with its version.
        state: "ok"; "broken" (it cannot be loaded, or is something else); "refused" (another
            package has registered the name).
        reason: why it is not ok; empty where it is.
    """

    group: str
    name: str
    package: str
    state: State
    reason: str = ""


class _Found(Protocol):
    """An entry point as this module needs it."""

    @property
    def name(self) -> str: ...

    @property
    def value(self) -> str: ...

    def load(self) -> Any: ...


@dataclass(frozen=True)
class _Plugin:
    """An entry point, and why it is refused, if it is."""

    point: _Found
    package: str
    refused: str = ""


@dataclass(frozen=True)
class _Added:
    """What was registered while the process runs, in the place of an entry point."""

    name: str
    plugin: Any
    package: str
    factory: bool

    @property
    def value(self) -> str:
        return f"added by {self.package}: {id(self.plugin)}"

    @property
    def dist(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.package, version="(in this process)")

    def load(self) -> Any:
        return (lambda: self.plugin) if self.factory else self.plugin


@cache
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Read once per process: a file of every installed package is opened, which took longer than
    the import of a small network. So does the import of what reads them.
    """
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))


def _package(point: Any) -> str:
    """Name and version of the package that registered an entry point."""
    origin = getattr(point, "dist", None)
    return "an unknown package" if origin is None else f"{origin.name} {origin.version}"


def _is_ours(point: _Found) -> bool:
    origin = getattr(point, "dist", None)
    return origin is not None and _name_of(origin) == _OURS


def _name_of(origin: Any) -> str:
    """The name of a package, read from its metadata once: it is asked for often and takes long."""
    if id(origin) not in _NAMES:
        # The package is kept with its name, so that no other one gets its id.
        _NAMES[id(origin)] = origin, origin.name
    return _NAMES[id(origin)][1]


_NAMES: dict[int, tuple[Any, str]] = {}


class Registry(Generic[T]):
    """The plug-ins of one group.

    Args:
        group: name of the group of entry points, such as "lnn2loihi.importers".
        kind: what one of them is, in messages: "importer".
        protocol: what a plug-in has to be an instance of (a runtime-checkable protocol, or a
            class).
        factory: whether the entry point names something that makes one when it is called without
            arguments, such as a class; otherwise it names the plug-in itself.
        reserved: names that mean something else where plug-ins are named, and that none may have.
        claims: what a plug-in has for itself alone, as texts for messages that end in its full
            name; None for nothing.
        named: whether its attribute `name` has to be the name that it is registered under.
    """

    def __init__(
        self,
        group: str,
        kind: str,
        protocol: type[T],
        *,
        factory: bool = True,
        reserved: tuple[str, ...] = (),
        claims: Callable[[T], Iterable[str]] | None = None,
        named: bool = False,
    ) -> None:
        self.group, self.kind, self.protocol, self.factory = group, kind, protocol, factory
        self._reserved, self._claims, self._named = reserved, claims, named
        self._loaded: dict[str, T] = {}
        #: Entry points, changes, and what was made of both.
        self._known: tuple[Any, int, dict[str, list[_Plugin]]] = (None, 0, {})
        #: The same plug-ins, and why those are left out that claim what another has, by place.
        self._clashing: tuple[Any, Mapping[str, str]] = (None, {})
        self._said: set[str] = set()
        self._added: list[_Added] = []
        #: How often plug-ins were added or removed: what is kept of them holds as long as this
        #: stays.
        self.changes = 0

    def add(self, name: str, plugin: object, package: str = "__main__") -> None:
        """Registers a plug-in until the process ends, as an entry point would: for notebooks,
        tests, and what is not installed. It takes the place of one that was added under the name.

        Args:
            name: its name.
            plugin: the plug-in itself, not something that makes one.
            package: who brings it, for messages.

        Raises:
            PluginError: the name belongs to an installed package, it is no such plug-in, or it
                claims what another has.
        """
        added = _Added(name, plugin, package, self.factory)
        self.remove(name)
        taken = self._plugins().get(name)
        if taken is not None:
            raise PluginError(
                f"{self.kind} {name!r}",
                f"the name is registered by {taken[0].package}; give it another",
            )
        self._made(_Plugin(added, package))
        self._added.append(added)
        self.changes += 1
        if reason := self._clashes().get(added.value):
            self.remove(name)
            raise PluginError(f"{self.kind} {name!r}", reason)

    def remove(self, name: str) -> None:
        """Takes back what was added under a name, if anything was."""
        self._added = [one for one in self._added if one.name != name]
        self.changes += 1

    def package(self, name: str) -> str:
        """Name and version of the package that has a name, which is registered."""
        return self._keeper(name).package

    def is_ours(self, name: str) -> bool:
        """Whether this library brings what has a name, which is registered."""
        return _is_ours(self._keeper(name).point)

    def naming(self, plugin: object, doing: str) -> AbstractContextManager[None]:
        """What the code of another package raises becomes a PluginError that names it.

        Args:
            plugin: one of this registry; errors of any other pass as they are.
            doing: what is called, in messages.
        """
        known = (one for same in self._plugins().values() for one in same)
        own = next((p for p in known if self._loaded.get(p.point.value) is plugin), None)
        if own is None or _is_ours(own.point):
            return nullcontext()
        subject = f"{self.kind} {own.point.name!r} ({own.package})"
        return named(PluginError, lambda: (subject, own.package), doing)

    def comes_with(self, name: str, root: str) -> bool:
        """Whether what has a name stands in the package `root`."""
        return re.split("[.:]", self._keeper(name).point.value)[0] == root

    def _keeper(self, name: str) -> _Plugin:
        return next(plugin for plugin in self._plugins()[name] if not plugin.refused)

    def _clashes(self) -> Mapping[str, str]:
        """Why plug-ins are left out that claim what another has, by their place; loads them all,
        where they claim anything.
        """
        known = self._plugins()
        if self._claims is None or self._clashing[0] is known:
            return self._clashing[1]
        owners: dict[str, list[_Plugin]] = {}
        for plugin in (one for same in known.values() for one in same if not one.refused):
            try:
                made = self._made(plugin)
            except PluginError:  # named where it is asked for
                continue
            for claim in dict.fromkeys(self._claims(made)):
                owners.setdefault(claim, []).append(plugin)
        found: dict[str, str] = {}
        for claim, those in owners.items():
            for plugin in those:
                if plugin.point.value not in _keepers(claim, those):
                    others = " and ".join(
                        f"{self.kind} {one.point.name!r} of {one.package}"
                        for one in those
                        if one is not plugin
                    )
                    found.setdefault(
                        plugin.point.value,
                        f"{claim} is claimed by {plugin.package} and by {others} as well; take a "
                        "class of its own, or remove one of the packages",
                    )
        self._clashing = known, found
        return found

    def _plugins(self) -> dict[str, list[_Plugin]]:
        """All that are registered, by name; those that share a name know it."""
        points = _entry_points(self.group)
        if self._known[0] is not points or self._known[1] != self.changes:
            self._known = points, self.changes, self._by_name([*points, *self._added])
        return self._known[2]

    def _by_name(self, points: Iterable[_Found]) -> dict[str, list[_Plugin]]:
        named: dict[str, dict[tuple[str, str], _Found]] = {}
        order = sorted(points, key=lambda point: (not _is_ours(point), point.name, point.value))
        for point in order:
            # A package may be found twice: as a wheel, and in the folder that it runs from.
            named.setdefault(point.name, {})[_package(point).partition(" ")[0], point.value] = point
        judged = {name: _judged(list(same.values())) for name, same in named.items()}
        for name in judged.keys() & set(self._reserved):
            reason = f"{name!r} means something else where {self.kind}s are named; rename it"
            judged[name] = [replace(plugin, refused=reason) for plugin in judged[name]]
        return judged

    def names(self) -> list[str]:
        """Names that are registered and not refused, without loading anything."""
        return [
            name
            for name, same in self._plugins().items()
            if any(not plugin.refused for plugin in same)
        ]

    def get(self, name: str) -> T:
        """The plug-in of that name.

        Raises:
            PluginError: there is none of that name, two packages claim the name, or it cannot be
                loaded; says which package has it and why.
        """
        same = self._plugins().get(name)
        if same is None:
            known = ", ".join(self.names()) or "none (is lnn2loihi installed? run pip install .)"
            raise PluginError(
                f"{self.kind} {name!r}", f"there is no such {self.kind}; registered are: {known}"
            )
        for plugin in same:
            if not plugin.refused:
                made = self._made(plugin)
                if reason := self._clashes().get(plugin.point.value):
                    raise PluginError(f"{self.kind} {name!r}", reason)
                return made
        raise PluginError(f"{self.kind} {name!r}", [plugin.refused for plugin in same])

    def working(self) -> Iterator[tuple[str, T]]:
        """Names and plug-ins, of those that can be loaded; each of the others is named in one
        warning. They are loaded while one iterates.
        """
        for name, same in self._plugins().items():
            for plugin in same:
                if plugin.refused:
                    self._warn(plugin, plugin.refused)
                    continue
                try:
                    made = self._made(plugin)
                except PluginError as error:
                    self._warn(plugin, "; ".join(error.problems))
                    continue
                if reason := self._clashes().get(plugin.point.value):
                    self._warn(plugin, reason)
                    continue
                yield name, made

    def reports(self) -> list[PluginReport]:
        """Every registered plug-in with its state; loads them all."""
        found: list[PluginReport] = []
        for name, same in self._plugins().items():
            for plugin in same:
                reason = plugin.refused or self._clashes().get(plugin.point.value, "")
                state: State = "refused" if reason else "ok"
                if not reason:
                    try:
                        self._made(plugin)
                    except PluginError as error:
                        state, reason = "broken", "; ".join(error.problems)
                found.append(PluginReport(self.kind, name, plugin.package, state, reason))
        return found

    def _made(self, plugin: _Plugin) -> T:
        """The plug-in itself, made once.

        Raises:
            PluginError: it cannot be loaded or made, or is something else.
        """
        point = plugin.point
        found = self._loaded.get(point.value)
        if found is not None:
            return found
        subject = f"{self.kind} {point.name!r}"
        where = f"{point.value} of {plugin.package}"
        mend = f"mend or remove {plugin.package.partition(' ')[0]}"
        try:
            made = point.load()
            if self.factory:
                made = made()
        except (Exception, SystemExit) as error:  # whatever a stranger's module does when imported
            reason = one_line(error)
            raise PluginError(subject, f"{where} cannot be loaded ({reason}); {mend}") from error
        if not isinstance(made, self.protocol):
            wanted = [n for n in _members(self.protocol) if not hasattr(made, n)]
            lacks = f"; it lacks {', '.join(wanted)}" if wanted else ""
            what = "a class" if isclass(made) else kind_of_value(made)
            raise PluginError(
                subject, f"{where} is {what}, and no {self.protocol.__name__}{lacks}; {mend}"
            )
        said = getattr(made, "name", None)
        if self._named and said != point.name:
            raise PluginError(
                subject, f"{where} says that its name is {said!r}; give both the same name"
            )
        self._loaded[point.value] = made
        return made

    def _warn(self, plugin: _Plugin, reason: str) -> None:
        """Once in a process."""
        if plugin.point.value not in self._said:
            self._said.add(plugin.point.value)
            _log.warning("%s %r is left out: %s", self.kind, plugin.point.name, reason)


def _keepers(claim: str, those: list[_Plugin]) -> list[str]:
    """Places of those that keep what they claim: the only one, ours, or the one whose module the
    claim's last word comes from.
    """
    if len(those) == 1:
        return [those[0].point.value]
    if ours := [one.point.value for one in those if _is_ours(one.point)]:
        return ours
    root = claim.rpartition(" ")[2].partition(".")[0]
    own = [one.point.value for one in those if re.split("[.:]", one.point.value)[0] == root]
    return own if len(own) == 1 else []


def _judged(points: list[_Found]) -> list[_Plugin]:
    """Plug-ins of one name: ours keeps it; where there is none of ours, nobody gets it."""
    packages = [_package(point) for point in points]
    if len(points) == 1:
        return [_Plugin(points[0], packages[0])]
    judged: list[_Plugin] = []
    for point, package in zip(points, packages, strict=True):
        others = ", ".join(other for other in packages if other != package) or package
        keeps = _is_ours(point)
        reason = (
            ""
            if keeps
            else f"the name is registered by {package} ({point.value}) and by {others} as well; "
            "rename one, or remove one of the packages"
        )
        judged.append(_Plugin(point, package, reason))
    return judged


def _members(protocol: type) -> list[str]:
    """Names that a protocol asks for."""
    if getattr(protocol, "__abstractmethods__", None):  # a base class has defaults for the rest
        return sorted(protocol.__abstractmethods__)  # pyright: ignore[reportAttributeAccessIssue]
    names = set(getattr(protocol, "__annotations__", {}))
    names |= {name for name, value in vars(protocol).items() if callable(value)}
    return sorted(name for name in names if not name.startswith("_") or name == "__call__")
