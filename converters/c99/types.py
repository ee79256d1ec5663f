"""The narrowest types of C99's stdint.h that hold what is proved, and tables of constants."""

from __future__ import annotations

from collections.abc import Iterable

import numpy.typing as npt

#: Types and what they hold, the narrowest first.
_TYPES = (
    ("int8_t", -(1 << 7), (1 << 7) - 1),
    ("uint8_t", 0, (1 << 8) - 1),
    ("int16_t", -(1 << 15), (1 << 15) - 1),
    ("uint16_t", 0, (1 << 16) - 1),
    ("int32_t", -(1 << 31), (1 << 31) - 1),
)
#: Numbers in a line of a table.
_LINE = 16


def type_of(low: int, high: int) -> str:
    """The narrowest type that holds every number from low to high."""
    return next(name for name, least, most in _TYPES if least <= low and high <= most)


def table(name: str, values: npt.ArrayLike) -> str:
    """A constant table of whole numbers, (n,); it has at least one entry, as C wants it."""
    numbers = [int(value) for value in _list(values)] or [0]
    kind = type_of(min(numbers), max(numbers))
    lines = [
        "    " + ", ".join(map(str, numbers[at : at + _LINE]))
        for at in range(0, len(numbers), _LINE)
    ]
    return f"static const {kind} {name}[{len(numbers)}] = {{\n" + ",\n".join(lines) + "\n};\n"


def _list(values: npt.ArrayLike) -> Iterable[int]:
    import numpy as np

    return np.asarray(values).tolist()
