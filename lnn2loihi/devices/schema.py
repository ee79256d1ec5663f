"""Checks the content of a profile: everything that is wrong, in one list."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from lnn2loihi.devices.device import Figure
from lnn2loihi.devices.figures import GRADES, MICROCONTROLLER, Definition
from lnn2loihi.devices.packages import DeviceTables
from lnn2loihi.devices.units import DIMENSIONS, UNITS, dimension_of, to_base
from lnn2loihi.printable import is_line, kind_of_value

#: What stands at the top of a profile, and of which type it is.
TOP_LEVEL: Mapping[str, type] = {
    "title": str,
    "kind": str,
    "core": str,
    "extends": str,
    "notes": list,
    "figures": dict,
    "not_public": dict,
}
FIGURE_KEYS = ("value", "low", "high", "unit", "source", "grade")
#: Longest text of a profile, and most entries of one of its tables.
TEXT_LIMIT, TABLE_LIMIT = 2000, 200
#: Unknown keys that are named one by one.
LISTED = 10

_TYPES = {str: "text", list: "a list", dict: "a table", float: "a number", int: "a whole number"}


def structure_problems(content: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the top level of a profile and the entries that are texts."""
    yield from _unknown("it", content, TOP_LEVEL)
    for key in TOP_LEVEL.keys() & content.keys():
        value, expected = content[key], TOP_LEVEL[key]
        if type(value) is not expected:
            yield f"{key} is {_type(value)}, expected {_TYPES[expected]}"
        elif isinstance(value, str):
            yield from text_problems(key, value)
    for key in ("notes", "figures", "not_public"):
        table = content.get(key)
        if isinstance(table, (list, dict)) and len(table) > TABLE_LIMIT:
            yield f"{key} has {len(table):,} entries; the limit is {TABLE_LIMIT}"
    for number, note in enumerate(entries(content, "notes", list)):
        yield from text_problems(f"notes[{number}]", note)
    for name, what in entries(content, "not_public", dict).items():
        yield from text_problems("a name in not_public", name)
        yield from text_problems(f"not_public.{_shown(name)}", what)


def entries(
    content: Mapping[str, Any], key: str, kind: type[list[Any]] | type[dict[Any, Any]]
) -> Any:
    """A list or table of a profile; empty where it is missing, of another type or too long."""
    found = content.get(key, ())
    return found if type(found) is kind and len(found) <= TABLE_LIMIT else kind()


def text_problems(where: str, value: Any) -> Iterator[str]:
    """Texts end up on terminals and in reports: one line of printable characters."""
    if not isinstance(value, str):
        yield f"{where} is {_type(value)}, expected text"
    elif not value.strip():
        yield f"{where} is empty"
    elif len(value) > TEXT_LIMIT or not is_line(value):
        yield f"{where} is not one line of printable text of at most {TEXT_LIMIT} characters"


def whole_problems(content: Mapping[str, Any], tables: DeviceTables) -> Iterator[str]:
    """What a complete profile lacks: title, kind and the figures that its kind must have."""
    if "title" not in content:
        yield "title is missing"
    named = content.get("kind")
    kind = tables.kinds.get(named) if isinstance(named, str) else None
    if kind is None:
        found = "missing" if named is None else _shown(named)
        yield f"kind is {found}; there are {', '.join(tables.kinds)}"
        return
    if "core" in content and kind.name != MICROCONTROLLER.name:
        yield f"core is that of a {MICROCONTROLLER.name}, this is a {kind.name}"
    figures, own = entries(content, "figures", dict), {d.name: d for d in kind.figures}
    for name, definition in own.items():
        if definition.required and name not in figures:
            yield f"figures.{name} ({definition.meaning}) is missing"
    for name in figures:
        if name in tables.definitions and name not in own:
            kinds = " and ".join(tables.kinds_with(name))
            yield f"figures.{name} belongs to {kinds}, this is a {kind.name}"
    for name in sorted(figures.keys() & entries(content, "not_public", dict).keys()):
        yield f"{name} has a figure and stands in not_public; it is one or the other"


def figure_problems(name: str, entry: Any, tables: DeviceTables) -> Iterator[str]:
    """What is wrong with one figure."""
    definition, where = tables.definitions.get(name), f"figures.{name}"
    if definition is None:
        meant = _meant(name, tables.definitions)
        yield f"figures: {_shown(name)} is not a figure that is known{meant}"
        return
    if not isinstance(entry, Mapping):
        yield f"{where} is {_type(entry)}, expected a table with {', '.join(FIGURE_KEYS)}"
        return
    yield from _unknown(where, entry, FIGURE_KEYS)
    for key in FIGURE_KEYS:
        if key not in entry:
            yield f"{where}.{key} is missing"
    for key in ("source", "unit"):
        if key in entry:
            yield from text_problems(f"{where}.{key}", entry[key])
    if "grade" in entry and (not isinstance(entry["grade"], str) or entry["grade"] not in GRADES):
        yield f"{where}.grade is {_shown(entry['grade'])}; there are {', '.join(GRADES)}"
    yield from _unit_problems(where, definition, entry.get("unit"))
    yield from _number_problems(where, definition, entry)


def _unit_problems(where: str, definition: Definition, unit: Any) -> Iterator[str]:
    if not isinstance(unit, str) or not unit.strip():
        return
    found, asked = dimension_of(unit), definition.unit
    known = ", ".join(UNITS[asked])
    if found is None:
        yield f"{where}.unit {_shown(unit)} is unknown; {DIMENSIONS[asked]} is given in {known}"
    elif found != asked:
        yield (
            f"{where}.unit {unit!r} measures {DIMENSIONS[found]}, but this is {DIMENSIONS[asked]}: "
            f"{known}"
        )


def _number_problems(where: str, definition: Definition, entry: Mapping[str, Any]) -> Iterator[str]:
    numbers: dict[str, float] = {}
    for key in ("value", "low", "high"):
        if key not in entry:
            continue
        given = entry[key]
        if isinstance(given, bool) or not isinstance(given, (int, float)):
            yield f"{where}.{key} is {_type(given)}, expected a number"
        elif isinstance(given, float) and math.isnan(given):
            yield f"{where}.{key} is not a number (NaN)"
        elif not 0 <= given <= definition.largest:
            yield f"{where}.{key} is out of range, expected 0 to {definition.largest:,g}"
        else:
            numbers[key] = float(given)
    if len(numbers) < 3:
        return
    value, low, high = numbers["value"], numbers["low"], numbers["high"]
    if not low <= value <= high:
        yield f"{where} is not in order: low {low:g} <= value {value:g} <= high {high:g}"
    elif value > 0.0 and low == 0.0:
        yield (
            f"{where}.low is 0, but the value is not; ranges are sampled on a logarithmic scale: "
            "give a low end above 0"
        )
    elif definition.whole and dimension_of(str(entry.get("unit"))) == definition.unit:
        base = [to_base(number, entry["unit"]) for number in numbers.values()]
        if not all(number >= 1.0 and number == int(number) for number in base):
            yield f"{where}: value, low and high must be whole numbers from 1 on"


def read_figure(entry: Mapping[str, Any]) -> Figure:
    """A figure, converted to SI units, of an entry without problems."""
    unit = entry["unit"]
    value, low, high = (to_base(float(entry[key]), unit) for key in ("value", "low", "high"))
    base = dimension_of(unit)
    assert base is not None
    return Figure(value, low, high, base, entry["source"], entry["grade"])


def contradictions(figures: Mapping[str, Figure], tables: DeviceTables) -> Iterator[str]:
    """Figures that cannot both be true."""
    for small, large in tables.parts:
        if small in figures and large in figures and figures[small].value > figures[large].value:
            yield (
                f"{small} ({figures[small]}) is more than {large} ({figures[large]}), of which "
                "it is a part"
            )
    mesh = [figures.get(f"mesh_{side}") for side in ("columns", "rows")]
    mesh.append(figures.get("cores_per_router"))
    cores = figures.get("cores_per_chip")
    if cores is not None and all(figure is not None for figure in mesh):
        columns, rows, each = (int(figure.value) for figure in mesh if figure is not None)
        if cores.value > columns * rows * each:
            yield (
                f"cores_per_chip ({cores}) is more than the {columns * rows * each:,} cores of "
                f"{columns} x {rows} routers with {each} each"
            )


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return _TYPES.get(type(value), f"{kind_of_value(value)}")


def _shown(value: Any) -> str:
    """A short form of something that may be long, deep or unprintable."""
    return f"{value!r:.60}" if isinstance(value, str) else _type(value)


def _unknown(where: str, found: Iterable[str], known: Collection[str]) -> Iterator[str]:
    """Keys that have no place there; a file may hold a great many of them."""
    others = [key for key in found if key not in known]
    for key in others[:LISTED]:
        yield f"{where} has an unknown key {_shown(key)}{_meant(key, known)}"
    if len(others) > LISTED:
        yield f"{where} has {len(others) - LISTED:,} more unknown keys"


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:60], list(known), n=1)
    return f"; is {near[0]!r} meant?" if near else ""
