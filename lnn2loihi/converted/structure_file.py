"""Structures of arguments and answers as JSON, and back."""

from __future__ import annotations

import math
from collections import OrderedDict, namedtuple
from typing import Any

from lnn2loihi.converted.pieces import ValueName
from lnn2loihi.converted.sizes import Size
from lnn2loihi.printable import is_line

#: Depth of a structure, and entries of one of its parts.
DEEPEST, MOST_ENTRIES = 32, 10_000
#: Characters of a text.
LONGEST_TEXT = 10_000
#: Largest whole number: beyond, JSON readers of others lose digits.
LARGEST_NUMBER = 1 << 53


def to_plain(structure: Any, place: str, problems: list[str], depth: int = 0) -> Any:
    """A structure as plain values.

    Args:
        structure: with a ValueName in place of each tensor.
        place: what it is, for problems.
        problems: takes what cannot be saved, a sentence each.
        depth: levels around it.
    """
    if depth > DEEPEST:
        problems.append(f"{place} is nested more than {DEEPEST} levels deep")
        return None
    inside = depth + 1
    if isinstance(structure, ValueName):
        return {"value": structure.name}
    if isinstance(structure, Size):
        return {"size": [structure.coefficient, structure.batch, structure.time,
                         structure.constant, structure.divisor]}  # fmt: skip
    if isinstance(structure, (tuple, list)):
        parts = [to_plain(p, f"{place}[{i}]", problems, inside) for i, p in enumerate(structure)]
        if hasattr(structure, "_fields"):
            return {"named": [type(structure).__name__, list(structure._fields), parts]}  # type: ignore[union-attr]
        return {"tuple" if isinstance(structure, tuple) else "list": parts}
    if type(structure) in (dict, OrderedDict):
        entries = [
            [
                to_plain(key, f"key of {place}", problems, inside),
                to_plain(p, f"{place}[{key!r}]", problems, inside),
            ]
            for key, p in structure.items()
        ]
        return {"dict": entries}
    if structure is None or isinstance(structure, (bool, str)):
        return {"constant": structure}
    if isinstance(structure, int) and abs(structure) <= LARGEST_NUMBER:
        return {"constant": int(structure)}
    if isinstance(structure, float):
        plain = float(structure)
        return {"constant": plain} if math.isfinite(plain) else {"float": repr(plain)}
    kind = f"{type(structure).__module__}.{type(structure).__qualname__}"
    problems.append(
        f"{place} is of type {kind}, which no file holds; tuples, named tuples, lists, dicts, "
        "numbers, texts and None can be saved: answer with one of these, and convert again"
    )
    return None


def from_plain(entry: Any, depth: int = 0) -> Any:
    """The structure of plain values.

    Raises:
        ValueError, TypeError: they are none.
    """
    if depth > DEEPEST:
        raise ValueError(f"a structure of more than {DEEPEST} levels")
    if not isinstance(entry, dict) or len(entry) != 1:
        raise TypeError(f"expected a table of one entry, found {entry!r:.60}")
    ((kind, content),) = entry.items()
    if kind == "value":
        return ValueName(_line(content))
    if kind == "size":
        return _size(_entries(content))
    if kind in ("tuple", "list"):
        parts = [from_plain(part, depth + 1) for part in _entries(content)]
        return tuple(parts) if kind == "tuple" else parts
    if kind == "dict":
        pairs = [_entries(pair) for pair in _entries(content)]
        made = {_key(from_plain(key, depth + 1)): from_plain(part, depth + 1)
                for key, part in pairs}  # fmt: skip
        if len(made) < len(pairs) or any(key != key for key in made):
            raise ValueError("a dict of keys that are not apart")
        return made
    if kind == "named":
        name, fields, parts = _entries(content)
        made = namedtuple(_line(name), [_line(field) for field in _entries(fields)])
        return made(*(from_plain(part, depth + 1) for part in _entries(parts)))
    if kind == "float" and content in ("inf", "-inf", "nan"):
        return float(content)
    if kind == "constant" and (
        content is None
        or isinstance(content, (bool, float))
        or (isinstance(content, int) and abs(content) <= LARGEST_NUMBER)
        or (isinstance(content, str) and len(content) <= LONGEST_TEXT)
    ):
        return content
    raise ValueError(f"no part of a structure: {entry!r:.60}")


def _size(numbers: list[Any]) -> Size:
    *factors, divisor = numbers
    if not all(type(n) in (int, float) and abs(n) <= LARGEST_NUMBER for n in factors):
        raise TypeError(f"no size: {numbers!r:.60}")
    if type(divisor) is not int or not 1 <= divisor <= LARGEST_NUMBER:
        raise TypeError(f"no size: {numbers!r:.60}")
    coefficient, batch, time, constant = factors
    if not {batch, time} <= {-1, -0.5, 0, 0.5, 1}:
        raise ValueError(f"no size: {numbers!r:.60}")
    return Size(coefficient, batch, time, constant, divisor)


def _key(value: Any) -> Any:
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise TypeError(f"no key: {value!r:.60}")
    return value


def _entries(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > MOST_ENTRIES:
        raise TypeError(f"expected a list of at most {MOST_ENTRIES} entries, found {value!r:.60}")
    return value


def _line(value: Any) -> str:
    if not isinstance(value, str) or not is_line(value):
        raise TypeError(f"expected one line of printable text, found {value!r:.60}")
    return value
