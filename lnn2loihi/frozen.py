"""Frozen dataclasses that hold NumPy arrays: read-only storage and exact equality."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt


def read_only(values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A contiguous copy of `values` in `dtype` that cannot be written to."""
    array = np.array(values, dtype=dtype, order="C")
    array.setflags(write=False)
    return array


def read_only_mapping(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A read-only view on a copy of a mapping."""
    return MappingProxyType(dict(values))


def identical(left: Any, right: Any) -> bool:
    """Whether two values are equal down to types, dtypes, shapes and every array element."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.dtype == right.dtype and bool(np.array_equal(left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(identical(left[k], right[k]) for k in left)
    if isinstance(left, (tuple, list)) and isinstance(right, (tuple, list)):
        return len(left) == len(right) and all(map(identical, left, right))
    if dataclasses.is_dataclass(left) and type(left) is type(right):
        names = [field.name for field in dataclasses.fields(left) if field.compare]
        return all(identical(getattr(left, n), getattr(right, n)) for n in names)
    return type(left) is type(right) and bool(left == right)


class ArrayEquality:
    """Mixin for frozen dataclasses with arrays (use with `eq=False`): == compares contents."""

    def __eq__(self, other: object) -> bool:
        return identical(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]
