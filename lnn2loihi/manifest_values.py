"""Values of a program's manifest, each of the kind that it has to be.

What is wrong is a ValueError, TypeError or KeyError, of which whoever reads the file makes its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lnn2loihi.formats import FixedPoint


def taken(unused: dict[str, np.ndarray], name: Any, dtype: Any) -> np.ndarray:
    """Takes an array out of those that are left.

    None is used twice, so that a small file cannot become a large program.
    """
    array = unused.pop(text(name))
    if array.dtype != dtype or array.ndim != 1:
        raise ValueError(f"array {name!r} is {array.dtype} {array.shape}, expected {dtype} (n,)")
    return array


def fixed_point(entry: Any) -> FixedPoint:
    """A format of bits and fraction bits."""
    bits, fraction_bits = listed(entry)
    if not 1 <= integer(bits) <= 24 or abs(integer(fraction_bits)) > 1000:
        raise ValueError(f"no fixed-point format: {entry!r}")
    return FixedPoint(bits, fraction_bits)


def listed(value: Any) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {value!r:.100}")
    return value


def lists(value: Any) -> list[list[Any]]:
    """A list of lists."""
    return [listed(entry) for entry in listed(value)]


def integer(value: Any) -> int:
    """An integer, of magnitudes that arrays have."""
    if type(value) is not int or abs(value) > 1 << 31:
        raise ValueError(f"expected an integer, found {value!r:.100}")
    return value


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.60} is neither true nor false")
    return value


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r:.100}")
    return value
