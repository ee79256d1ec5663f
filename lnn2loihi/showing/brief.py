"""Objects in one short line, as a prompt shows them: sizes in the place of contents."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any

from lnn2loihi.printable import printable

#: Characters of a line, and of one value in it.
LONGEST_LINE, LONGEST_VALUE = 199, 48
#: Levels down to which collections are looked into, and most entries of one that are.
_DEEPEST, _MOST = 2, 8


class Brief:
    """Mixin of dataclasses whose `repr` is one line of at most LONGEST_LINE characters.

    A dataclass writes itself out down to the last number of an array, which are tens of thousands
    of characters for a network. Here arrays are their shapes, and long collections their lengths;
    what is short stands as it always does. A class that has something better to say overrides
    `_headline`.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # A dataclass would write its own into every class that has none itself.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Brief.__repr__

    def _headline(self) -> str:
        """What stands between the brackets: fields, as far as there is room."""
        if not dataclasses.is_dataclass(self):
            return ""
        fields = [field.name for field in dataclasses.fields(self) if field.repr]
        # Of what is only half made, as in a traceback, some fields are missing.
        return ", ".join(f"{n}={brief(getattr(self, n))}" for n in fields if hasattr(self, n))

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({cut(self._headline(), LONGEST_LINE - len(name) - 2)})"


def brief(value: object) -> str:
    """A value in at most LONGEST_VALUE characters, all of them printable.

    Args:
        value: arrays show dtype and shape, long collections how many of what they hold, dataclasses
            their name.
    """
    return cut(_shown(value, 0), LONGEST_VALUE)


def cut(text: str, room: int) -> str:
    """A text as one line of a length at most; dots stand for what is left out."""
    line = printable(text)
    return line if len(line) <= room else f"{line[: max(room - 3, 0)]}..."


def _shown(value: object, depth: int) -> str:
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is not None and isinstance(shape, tuple):
        # An array of NumPy, a tensor, or a single number of them, which shows itself.
        return f"{dtype} {tuple(shape)}" if shape else str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = getattr(value, "name", None)
        return f"{type(value).__name__}({f'{name!r}' if isinstance(name, str) else '...'})"
    if isinstance(value, str):
        return repr(value[: 2 * LONGEST_VALUE])
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, Mapping) and not isinstance(value, (dict, MappingProxyType)):
        return f"<{len(value):,} entries>"  # it may compute what it is asked for
    if isinstance(value, Mapping):
        return _collected(value.items(), len(value), "{}", _kind(value.values()), depth)
    if isinstance(value, (list, tuple)):
        return _collected(value, len(value), "[]" if isinstance(value, list) else "()",
                          _kind(value), depth)  # fmt: skip
    if isinstance(value, Set):
        return _collected(value, len(value), "{}", _kind(value), depth)
    return repr(value)


def _collected(entries: Iterable[Any], count: int, brackets: str, kind: str, depth: int) -> str:
    """A short collection of plain values as it is, another one as a count."""
    listed: Sequence[Any] = [*entries] if count <= _MOST and depth < _DEEPEST else ()
    if len(listed) == count and all(map(_is_plain, listed)):
        if brackets == "{}" and all(isinstance(entry, tuple) for entry in listed):
            texts = [f"{key!r}: {_shown(entry, depth + 1)}" for key, entry in listed]
        else:
            texts = [_shown(entry, depth + 1) for entry in listed]
        text = f"{brackets[0]}{', '.join(texts)}{',' * (brackets == '()' and count == 1)}"
        if len(text) < LONGEST_VALUE:
            return text + brackets[1]
    return f"<{count:,} {kind}>"


def _is_plain(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return len(value) <= _MOST and all(map(_is_plain, value))
    return isinstance(value, (str, int, float, complex, bytes, type(None)))


def _kind(values: Iterable[object]) -> str:
    """What a collection holds: the name of the class that all of it has."""
    names = {type(value).__name__ for value in values}
    return names.pop() if len(names) == 1 else "values"
