"""What a build file asks for: its sections and keys, checked as data, all that is wrong at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from lnn2loihi.defaults import (
    ALL,
    AUTO,
    DEFAULT_DEVICES,
    DEFAULT_RECIPE,
    DEFAULT_TARGET,
    IO,
    PLACEMENTS,
)
from lnn2loihi.errors import InputError, Lnn2LoihiError, Problems
from lnn2loihi.files import parse_toml, read_text, why_no_file
from lnn2loihi.kinds import Count, OneOf, Rate, Seconds, kind_of
from lnn2loihi.options import rate_of
from lnn2loihi.printable import is_line
from lnn2loihi.recipe import Recipe
from lnn2loihi.targets import target_of

#: A path of a file that is read, relative to the build file.
FILE = "the path of a file"
#: A name of a file that is written, in the folder of what is built.
NAME = "the name of a file"
Texts = Annotated[str | list[str], 'a text, or a list of them such as ["cpu", "cuda"]']
File = Annotated[str, FILE]
Name = Annotated[str, NAME]


class _Required:
    """Stands for a key that has to be there."""


REQUIRED: Any = _Required()


@dataclass(frozen=True)
class Key:
    """A key of a section.

    Attributes:
        kind: what its value may be, as an annotation.
        default: where it is absent; REQUIRED where it has to be there.
    """

    kind: Any
    default: Any = None


#: For each section its keys. A section that is absent is a step that is not done; the first three
#: are always done.
SECTIONS: Mapping[str, Mapping[str, Key]] = {
    "build": {"folder": Key(str, "build"), "targets": Key(Texts, (DEFAULT_TARGET,))},
    "network": {
        "source": Key(File, REQUIRED),
        "description": Key(File),
        "timespan": Key(Annotated[float | Literal["irregular"], 'a number or "irregular"']),
        "options": Key(dict[str, Any], {}),
    },
    "samples": {"calibrate": Key(File, REQUIRED), "test": Key(File), "targets": Key(File)},
    "quantize": {"recipe": Key(str, DEFAULT_RECIPE)},
    "verify": {"executors": Key(Texts, ALL)},
    "compare": {},
    "place": {
        "devices": Key(Texts, (DEFAULT_DEVICES[0],)),
        "objective": Key(Literal["fast", "packed"], "fast"),
        "chips": Key(Count),
        "copies": Key(Count, 1),
    },
    "profile": {
        "devices": Key(Texts, DEFAULT_DEVICES),
        "against": Key(Texts, ("cpu", "cuda")),
        "rate": Key(Annotated[Rate | str, 'a number of Hz, or a text such as "100Hz"']),
        "placement": Key(Annotated[str, OneOf(PLACEMENTS)], AUTO),
        "closed_loop": Key(bool, False),
        "io": Key(Annotated[str, OneOf(IO)], IO[0]),
        "copies": Key(Count, 1),
        "quick": Key(bool, False),
        "budget_seconds": Key(Seconds),
    },
    "report": {"file": Key(Name, "report.html"), "interactive": Key(bool, False)},
    "export": {
        "file": Key(Name, REQUIRED),
        "of": Key(Literal["program", "network"], "program"),
        "format": Key(str),
        "target": Key(str),
        "samples": Key(bool, False),
        "options": Key(dict[str, Any], {}),
    },
}
ALWAYS = ("build", "network", "samples", "quantize")
#: Names of files of the steps, which exports must not take.
TAKEN = re.compile(
    r"manifest\.json|network\.l2n|program\.l2l|program\.profile\.json"
    r"|(verify|compare|place|profile)(\..*)?\.(txt|json)"
)
_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_-]+)")


@dataclass(frozen=True)
class BuildPlan:
    """What a build file asks for.

    Attributes:
        path: the file.
        sections: for each section that is asked for its keys and values; exports apart.
        exports: of each export its keys and values.
    """

    path: Path
    sections: Mapping[str, Mapping[str, Any]]
    exports: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def root(self) -> Path:
        """The folder of the build file, which paths are relative to."""
        return self.path.parent

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.root / self.sections["build"]["folder"]

    @property
    def targets(self) -> tuple[str, ...]:
        """What the program is prepared for; the first is the one that counts."""
        return texts(self.sections["build"]["targets"])

    def test_samples(self) -> str:
        """The samples that everything but calibration runs."""
        samples = self.sections["samples"]
        return samples["test"] or samples["calibrate"]


def texts(value: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """A text, or a list of them, as a tuple in which none is twice."""
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(value))


def _are_texts(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(one, str) for one in value)
    return isinstance(value, str)


def read_plan(path: str | os.PathLike[str]) -> BuildPlan:
    """Reads a build file.

    Raises:
        InputError: lists everything that is wrong, by line and key: unknown sections and keys,
            wrong values, keys that are missing, files that are not there.
    """
    file = Path(path)
    text = read_text(file, InputError)
    plain = parse_toml(text, file.name, InputError)
    reader = _Reader(file, text)
    sections, exports = reader.sections(plain)
    reader.problems.raise_if_any()
    return BuildPlan(file, sections, tuple(exports))


class _Reader:
    """Checks the content of a build file.

    Args:
        file: the file.
        text: what it holds, for numbers of lines.
    """

    def __init__(self, file: Path, text: str) -> None:
        self._root, self._lines = file.parent, text.splitlines()
        self.problems = Problems(InputError, file.name)

    def sections(
        self, plain: Mapping[str, Any]
    ) -> tuple[dict[str, Mapping[str, Any]], list[Mapping[str, Any]]]:
        """The sections that are asked for, and the exports."""
        found: dict[str, Mapping[str, Any]] = {}
        exports: list[Mapping[str, Any]] = []
        for name in plain:
            if name not in SECTIONS:
                self._add(name, None, 0, f"is unknown; there are {', '.join(SECTIONS)}")
        for name in SECTIONS:
            if name == "export":
                tables = plain.get(name, [])
                if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
                    self._add(name, None, 0, "is no list of tables; write [[export]] for each")
                    continue
                exports = [self._section(name, t, n) for n, t in enumerate(tables)]
            elif name in plain or name in ALWAYS:
                table = plain.get(name, {})
                if isinstance(table, dict):
                    found[name] = self._section(name, table, 0)
                else:
                    self._add(name, None, 0, f"is no table; write [{name}]")
        self._check_whole(found, exports)
        return found, exports

    def _section(self, name: str, table: Mapping[str, Any], number: int) -> dict[str, Any]:
        keys = SECTIONS[name]
        for key in table:
            if key not in keys:
                takes = ", ".join(keys) or "none: it has no keys"
                self._add(name, key, number, f"is unknown; [{name}] takes {takes}")
        values: dict[str, Any] = {}
        for key, known in keys.items():
            if key not in table:
                values[key] = known.default
                if known.default is REQUIRED:
                    self._add(name, key, number, "is missing")
                continue
            values[key] = table[key]
            kind = kind_of(known.kind)
            if not kind.fits(table[key]):
                self._add(name, key, number, kind.problem("", table[key]).lstrip())
            elif wrong := self._wrong(known.kind, table[key]):
                self._add(name, key, number, wrong)
        return values

    def _wrong(self, kind: Any, value: Any) -> str:
        """What is wrong with a value of the right type, or ""."""
        mark = get_args(kind)[-1] if get_origin(kind) is Annotated else None
        if mark == FILE:
            path = self._root / value
            return "" if path.is_file() else f"is {value!r:.100}: {why_no_file(path)}"
        if mark == NAME:
            if Path(value).name != value or not is_line(value) or TAKEN.fullmatch(value):
                return f"is {value!r:.60}; give a name in the folder of what is built, of its own"
        return ""

    def _check_whole(
        self, found: Mapping[str, Mapping[str, Any]], exports: list[Mapping[str, Any]]
    ) -> None:
        """What no key says alone."""
        if "report" in found and "profile" not in found:
            self._add("report", None, 0, "is of a profile; add [profile]")
        if "targets" in found.get("samples", {}) and found["samples"]["targets"]:
            if "profile" not in found:
                self._add("samples", "targets", 0, "are judged by a profile; add [profile]")
        files = [one["file"] for one in exports] + [
            one["file"] for name, one in found.items() if name == "report"
        ]
        for twice in sorted({one for one in files if files.count(one) > 1}, key=str):
            self.problems.add(f"{twice!r:.60} is written twice; give each its own file")
        folder = found.get("build", {}).get("folder")
        if isinstance(folder, str) and not (is_line(folder) and Path(folder).name.strip(".")):
            self._add("build", "folder", 0, "is no folder of its own; give a name such as build")
        targets = found.get("build", {}).get("targets", ())
        names = (
            [("build", "targets", 0, name) for name in texts(targets)]
            if _are_texts(targets)
            else []
        )
        names += [("export", "target", n, one["target"]) for n, one in enumerate(exports)]
        for section, key, number, name in names:
            if isinstance(name, str):
                try:
                    target_of(name)
                except Lnn2LoihiError as error:
                    self._add(section, key, number, f"is wrong: {error}")
        for name, key, check in (
            ("quantize", "recipe", Recipe.parse),
            ("profile", "rate", lambda rate: rate_of(rate, "rate")),
        ):
            value = found.get(name, {}).get(key)
            if isinstance(value, str):
                try:
                    check(value)
                except Lnn2LoihiError as error:
                    for problem in error.problems:
                        self._add(name, key, 0, f"is wrong: {problem}")
        for number, one in enumerate(exports):
            for key in ("target", "samples"):
                if one["of"] == "network" and one[key]:
                    self._add("export", key, number, "is for programs; leave it out")

    def _add(self, section: str, key: str | None, number: int, problem: str) -> None:
        line = self._line(section, key, number)
        where = f"line {line}, " if line else ""
        place = f"[{section}]" if key is None else f"[{section}] {key}"
        self.problems.add(f"{where}{place} {problem}")

    def _line(self, section: str, key: str | None, number: int) -> int:
        """Number of the line where a key stands, else that of its section; 0 where neither is found
        (dotted keys, tables in one line).
        """
        found = 0
        for place, name, line in self._walk():
            if place == (section, number) and line is None:
                found = name if isinstance(name, int) else found
            elif place == (section, number) and line == key:
                return name
        return found

    def _walk(self) -> Iterator[tuple[tuple[str, int], int, str | None]]:
        """Sections and keys, each with its section and line; None for a section itself."""
        counts: dict[str, int] = {}
        place = ("", 0)
        for number, line in enumerate(self._lines, start=1):
            if header := _HEADER.match(line):
                name = header[1]
                counts[name] = counts.get(name, -1) + 1
                place = (name, counts[name])
                yield place, number, None
            elif "=" in line:
                key = line.partition("=")[0].strip().strip("\"'")
                yield place, number, key
                if place == ("", 0):
                    yield (key, 0), number, None
