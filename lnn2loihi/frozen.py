"""Frozen dataclasses that hold NumPy arrays: read-only storage and exact equality."""

from __future__ import annotations

import copyreg
import dataclasses
import weakref
from collections.abc import Mapping
from inspect import get_annotations
from operator import is_
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import ProgramError
from lnn2loihi.showing.brief import Brief

K = TypeVar("K")
V = TypeVar("V")
#: Elements of an array that its hash looks at.
HASHED = 1024
#: What `read_only` made and somebody still has, by identity.
_made: weakref.WeakValueDictionary[int, npt.NDArray[Any]] = weakref.WeakValueDictionary()


def read_only(values: npt.ArrayLike, dtype: npt.DTypeLike, name: str = "array") -> npt.NDArray[Any]:
    """A contiguous copy of `values` in `dtype` that cannot be written to.

    What this function made is not copied again: nobody else can write to it.

    Args:
        values: numbers.
        dtype: type of the copy.
        name: what they are, for the error.

    Raises:
        ProgramError: `dtype` is an integer type that does not hold every value exactly.
    """
    source = np.asarray(values)
    if _made.get(id(source)) is source and source.dtype == dtype and not source.flags.writeable:
        return source
    if np.issubdtype(dtype, np.integer) and not _holds(np.iinfo(np.dtype(dtype).name), source):
        raise ProgramError(name, f"{source.dtype} values that {np.dtype(dtype)} cannot hold")
    array = np.array(source, dtype=dtype, order="C")
    array.setflags(write=False)
    _made[id(array)] = array
    return array


def _holds(ends: Any, source: npt.NDArray[Any]) -> bool:
    if not source.size:
        return True
    if source.dtype.kind not in "biuf" or not ends.min <= source.min() <= source.max() <= ends.max:
        return False
    return source.dtype.kind != "f" or bool(np.all(source == np.floor(source)))


def read_only_mapping(values: Mapping[K, V]) -> Mapping[K, V]:
    """A read-only view on a copy of a mapping."""
    return MappingProxyType(dict(values))


def _reduced(mapping: MappingProxyType[str, Any]) -> tuple[Any, ...]:
    return read_only_mapping, (dict(mapping),)


# The standard library neither copies nor pickles this type.
copyreg.pickle(MappingProxyType, _reduced)  # pyright: ignore[reportArgumentType]


def is_frozen(kind: type) -> bool:
    """Whether a class is a frozen dataclass, or adds nothing but methods to one."""
    for base in kind.__mro__:
        parameters = vars(base).get("__dataclass_params__")
        if parameters is not None:
            return bool(parameters.frozen)
        fields = [text for text in get_annotations(base).values() if "ClassVar" not in str(text)]
        if fields or "__init__" in vars(base):
            return False
    return False


def lock(holder: Any) -> None:
    """Makes the arrays of a frozen dataclass its own: floats as float64, lists as tuples, in nested
    dataclasses, mappings and sequences as well. What is read-only stays as it is.
    """
    for field in dataclasses.fields(holder):
        value = getattr(holder, field.name)
        locked = _locked(value)
        if locked is not value:  # nobody else has seen it yet, or sees another value
            object.__setattr__(holder, field.name, locked)


def _locked(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        real = value.dtype.kind == "f" and value.dtype != np.float64
        if not real and not value.flags.writeable and value.base is None:
            return value
        return read_only(value, np.float64 if real else value.dtype)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        lock(value)
    elif isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        parts = tuple(map(_locked, value))
        same = isinstance(value, tuple) and all(map(is_, parts, value))
        return value if same else parts
    elif isinstance(value, Mapping):
        parts = {key: _locked(part) for key, part in value.items()}
        same = isinstance(value, MappingProxyType) and all(parts[k] is value[k] for k in parts)
        return value if same else read_only_mapping(parts)
    return value


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


def content_hash(value: Any) -> int:
    """A hash that is the same for whatever `identical` calls equal.

    Of large arrays a part is looked at: a hash is there to tell most things apart, fast.
    """
    if isinstance(value, np.ndarray):
        part = value.reshape(-1)[:HASHED]
        if part.dtype.kind == "f":
            part = part + 0.0  # the two zeros are equal
        return hash((value.dtype, value.shape, part.tobytes()))
    if isinstance(value, Mapping):
        return hash(frozenset((key, content_hash(entry)) for key, entry in value.items()))
    if isinstance(value, (tuple, list)):
        return hash(tuple(map(content_hash, value)))
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.compare]
        return hash((type(value), *(content_hash(getattr(value, name)) for name in names)))
    return hash((type(value), value))


class ContentEquality(Brief):
    """Mixin for dataclasses with arrays (use with `eq=False`): == compares contents, and `repr`
    shows shapes in the place of arrays.

    The arrays can be written to, so there is no hash.
    """

    def __eq__(self, other: object) -> bool:
        return identical(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


class ArrayEquality(ContentEquality):
    """Mixin for frozen dataclasses with read-only arrays (use with `eq=False`): == compares
    contents, and equal objects have equal hashes; a deep copy is the object itself, and what comes
    out of a pickle is read-only again.
    """

    def __hash__(self) -> int:
        return content_hash(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> ArrayEquality:
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _close(tuple(state.values()))


def _close(value: Any) -> None:
    """Makes all arrays in nested mappings and sequences read-only."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    elif isinstance(value, Mapping):
        _close(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for part in value:
            _close(part)
