"""Plug-ins of packages that are not installed, registered in this process for a test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lnn2loihi import registry
from lnn2loihi.family import Family
from lnn2loihi.targets import Target


class Point:
    """An entry point of a package that is not installed, which gives one object."""

    def __init__(self, name: str, made: Any, package: str = "stranger 1.0") -> None:
        self.name, self.value, self._made = name, f"{package}:{name}:{id(made)}", made
        distribution, _, version = package.partition(" ")
        self.dist = SimpleNamespace(name=distribution, version=version)

    def load(self) -> Any:
        # Targets and families are registered themselves, others as what makes them.
        return self._made if isinstance(self._made, (Target, Family)) else lambda: self._made


def register(
    monkeypatch: pytest.MonkeyPatch,
    made: dict[str, Any],
    group: str = "lnn2loihi.executors",
    only: tuple[str, ...] | None = None,
    package: str = "stranger 1.0",
) -> None:
    """Registers plug-ins of a group by name.

    Args:
        monkeypatch: undoes it.
        made: the plug-ins by name.
        group: which group.
        only: names of those registered before that stay; all of them by default.
        package: who brings them.
    """
    before = registry._entry_points
    kept = tuple(p for p in before(group) if only is None or p.name in only)
    points = (*kept, *(Point(name, one, package) for name, one in made.items()))
    monkeypatch.setattr(
        registry, "_entry_points", lambda asked: points if asked == group else before(asked)
    )
