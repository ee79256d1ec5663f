"""Profiles as files: one JSON document, checked down to the last value when it is read."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import PROFILE_SUFFIX
from lnn2loihi.errors import InputError, Lnn2LoihiError
from lnn2loihi.files import read_text, write_atomically
from lnn2loihi.printable import is_line, printable, printable_lines
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.sense import nonsense

SCHEMA = 2
FORMAT = "lnn2loihi profile"
SUFFIX = PROFILE_SUFFIX
#: Largest file that is read, longest text and longest list in it (limits of this library: a
#: profile of Hala Point, all cores taken, has some 50 MB).
LARGEST_FILE = 1 << 26
LONGEST_TEXT = 1 << 22
LONGEST_LIST = 1 << 18
#: Sizes of numbers that are read, in SI units: far beyond every device and every measurement, and
#: so far inside float64 that products and quotients of them stay there.
SMALLEST_NUMBER, LARGEST_NUMBER = 1e-60, 1e60
#: Problems that an error lists.
LISTED = 12


@checks_kinds()
def save_profile(result: ProfileResult, path: str | os.PathLike[str]) -> Path:
    """Writes a profile, whole or not at all; what is not printable in it as an escape.

    Raises:
        InputError: the path has another suffix or cannot be written, or a number is not finite, or
            beyond those that are read.
    """
    file = Path(path)
    if not file.name.endswith(SUFFIX):
        raise InputError(str(path), f"profiles are written as {SUFFIX}")
    try:
        document = {"format": FORMAT, "schema": SCHEMA, "profile": _harmless(plain(result))}
        content = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=True)
        return write_atomically(file, content.encode())
    except ValueError as error:
        raise InputError(
            str(path), f"the profile holds a number that no device has ({error})"
        ) from error
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror}") from error


@checks_kinds()
def load_profile(path: str | os.PathLike[str]) -> ProfileResult:
    """Reads a profile.

    Raises:
        InputError: the file is missing, damaged, of an unknown version, or no profile; lists what
            does not fit.
    """
    name = Path(path).name
    text = read_text(path, InputError, LARGEST_FILE)
    try:
        document = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(name, f"is not valid JSON ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(name, f"is no profile; make one: lnn2loihi profile ... --output x{SUFFIX}")
    if document.get("schema") != SCHEMA:
        raise InputError(
            name,
            f"has schema {document.get('schema')!r:.40}, this version reads {SCHEMA}; profile "
            "again, or install the version that wrote it",
        )
    problems: list[str] = []
    result = _decoded(ProfileResult, document.get("profile"), "profile", problems)
    if not problems:
        problems.extend(nonsense(result))
    if problems:
        more = len(problems) - LISTED
        raise InputError(name, problems[:LISTED] + ([f"and {more} more"] if more > 0 else []))
    return result


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as what JSON knows."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


def _harmless(value: Any) -> Any:
    """Texts as `load_profile` takes them: they come out of files, and from who failed.

    Raises:
        ValueError: a number is one that `load_profile` does not take.
    """
    if isinstance(value, dict):
        return {printable(key): _harmless(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_harmless(entry) for entry in value]
    if isinstance(value, float) and not _is_sound(value):
        raise ValueError(f"{value:g} is not 0 or from {SMALLEST_NUMBER:g} to {LARGEST_NUMBER:g}")
    return printable_lines(value) if isinstance(value, str) else value


def _is_sound(number: float) -> bool:
    return number == 0.0 or SMALLEST_NUMBER <= abs(number) <= LARGEST_NUMBER


def _decoded(kind: Any, value: Any, place: str, problems: list[str]) -> Any:
    """A value of an annotated type, made of what JSON gave; problems are noted by their place."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [a for a in arguments if a is not type(None)]
        inner = next((kind for kind in kinds if _has_fields(kind, value)), kinds[0])
        return _decoded(inner, value, place, problems)
    if origin is tuple:
        return _list(arguments[0], value, place, problems)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value, place, problems)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            return _wrong("a table", value, place, problems)
        problems += [
            f"{place} has a name that is not one line of printable text, {name!r:.40}"
            for name in value
            if not is_line(name)
        ]
        return {
            k: _decoded(arguments[1], v, f"{place}.{k:.40}", problems) for k, v in value.items()
        }
    return _scalar(kind, value, place, problems)


def _has_fields(kind: Any, value: Any) -> bool:
    """Whether a table has what a record of that kind cannot do without."""
    if not dataclasses.is_dataclass(kind) or not isinstance(value, dict):
        return False
    needed = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
    return needed <= value.keys()


def _list(kind: Any, value: Any, place: str, problems: list[str]) -> Any:
    if not isinstance(value, list):
        return _wrong("a list", value, place, problems)
    if len(value) > LONGEST_LIST:
        problems.append(f"{place} has {len(value):,} entries; at most {LONGEST_LIST:,} are read")
        return ()
    return tuple(_decoded(kind, v, f"{place}[{i}]", problems) for i, v in enumerate(value))


def _record(kind: type, value: Any, place: str, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        return _wrong("a table", value, place, problems)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    before = len(problems)
    for name in value.keys() - fields.keys():
        problems.append(f"{place} has an unknown entry {name!r:.40}")
    missing = fields.keys() - value.keys()
    for name in (n for n in missing if fields[n].default is dataclasses.MISSING):
        problems.append(f"{place} has no {name}")
    hints = typing.get_type_hints(kind)
    parts = {
        name: _decoded(hints[name], value[name], f"{place}.{name}", problems)
        for name in fields
        if name in value
    }
    if len(problems) > before:
        return None
    try:
        return kind(**parts)
    except Lnn2LoihiError as error:
        problems.extend(f"{place}: {problem}" for problem in error.problems)
        return None


def _scalar(kind: Any, value: Any, place: str, problems: list[str]) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and is_number:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if _is_sound(number):
            return number
        expected = f"a number, 0 or from {SMALLEST_NUMBER:g} to {LARGEST_NUMBER:g} in size"
        return _wrong(expected, value, place, problems)
    if kind is int and is_number and isinstance(value, int) and abs(value) < 1 << 62:
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str) and len(value) <= LONGEST_TEXT:
        if printable_lines(value) == value:
            return value
        return _wrong("printable text", value, place, problems)
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
    return _wrong(names[kind], value, place, problems)


def _wrong(expected: str, value: Any, place: str, problems: list[str]) -> None:
    problems.append(f"{place} is {type(value).__name__} {value!r:.40}, expected {expected}")
