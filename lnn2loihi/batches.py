"""Sequences that come in pieces: lists of sequences, and loaders that hand out batches.

A loader is a DataLoader or a data set of PyTorch, a generator, an iterator, a list of batches, or a
function that returns one of these (the representative_dataset of TensorFlow Lite). Each of its
items is a batch (batch, time, inputs) or a sequence (time, inputs), or a tuple or list whose first
entry is one (samples and targets).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError
from lnn2loihi.formats import IntegerArray

#: Batches and numbers that are taken from a loader, which may be endless. A few hundred steps
#: calibrate a network; as many numbers as these take a gigabyte in float64.
MOST_BATCHES, MOST_NUMBERS = 100_000, 1 << 27
_NO_LOADER = (str, bytes, bytearray, memoryview, os.PathLike, Mapping, AbstractSet, type)


def unequal(x: Any, subject: str) -> list[npt.NDArray[Any]] | None:
    """A list of sequences (time, inputs) of unequal length as pieces (1, time, inputs); None for
    anything else.

    Raises:
        InputError: an entry is not an array of numbers, or their inputs differ.
    """
    if getattr(x, "is_nested", False) is True:
        x = list(x.unbind())
    objects = isinstance(x, np.ndarray) and x.dtype == object and x.ndim == 1
    if not (objects or isinstance(x, (list, tuple))) or hasattr(x, "batch_sizes"):
        return None
    if len({_shape(entry) for entry in x}) < 2:
        return None  # one array; what else may be wrong with it is found there
    pieces = [as_array(entry, subject, f"sequence {place}") for place, entry in enumerate(x)]
    ranks = {piece.ndim for piece in pieces}
    if ranks != {2}:
        raise InputError(
            subject, f"x is a ragged list, whose entries have {_either(ranks)} axes; give an array "
            "(batch, time, inputs), or a list of sequences (time, inputs)"
        )  # fmt: skip
    return [piece[None] for piece in pieces]


def _shape(entry: Any) -> tuple[int, ...]:
    """The shape of an array, the length of a list, nothing of what has none."""
    try:
        return tuple(getattr(entry, "shape", ())) or (len(entry),)
    except TypeError:
        return ()


def gathered(x: Any, subject: str) -> list[npt.NDArray[Any]] | None:
    """The batches of a loader as pieces (batch, time, inputs); None for what is none.

    Raises:
        InputError: it holds nothing, no arrays, more than MOST_BATCHES or MOST_NUMBERS.
    """
    items = _items(x, subject)
    if items is None:
        return None
    found: list[npt.NDArray[Any]] = []
    numbers = 0
    for place, item in enumerate(items):
        if place == MOST_BATCHES:
            raise _too_much(subject, f"{MOST_BATCHES:,} batches")
        piece = _batch(item, subject, place)
        numbers += piece.size
        if numbers > MOST_NUMBERS:
            raise _too_much(subject, f"{MOST_NUMBERS:,} numbers")
        found.append(np.array(piece))  # loaders may hand out the same memory again and again
    if not found:
        raise InputError(
            subject, "x is a loader that holds no batch; an iterator that was used before is empty"
        )
    return found


def _too_much(subject: str, limit: str) -> InputError:
    return InputError(
        subject, f"x is a loader with more than {limit}, or an endless one; a few hundred steps "
        "calibrate a network: give the first batches (itertools.islice(loader, 10))"
    )  # fmt: skip


def _items(x: Any, subject: str) -> Iterator[Any] | None:
    """What a loader hands out; None for what is none."""
    if isinstance(x, (list, tuple)):
        return iter(x) if len(x) and _is_batch(x[0]) else None
    if isinstance(x, _NO_LOADER) or hasattr(x, "__array__") or hasattr(x, "detach"):
        return None
    if callable(x) and not hasattr(x, "__iter__") and not hasattr(x, "__getitem__"):
        return _called(x, subject)
    try:
        return iter(x)  # pyright: ignore[reportCallIssue, reportArgumentType]
    except TypeError:
        return None


def _called(function: Any, subject: str) -> Iterator[Any]:
    """What a function hands out."""
    wanted = "give an array (batch, time, inputs), or a loader of such batches"
    try:
        found = function()
    except TypeError as error:
        raise InputError(
            subject, f"x is a function that cannot be called without arguments ({error}); {wanted}"
        ) from error
    try:
        return iter(found)
    except TypeError:
        name = type(found).__qualname__
        raise InputError(
            subject, f"x is a function that returns a value of type {name}; {wanted}"
        ) from None


def _is_batch(entry: Any) -> bool:
    """Whether an entry of a list is a batch or (samples, targets), and not a sequence."""
    if isinstance(entry, (list, tuple)):
        return bool(len(entry)) and len(getattr(entry[0], "shape", ())) >= 2
    return len(getattr(entry, "shape", ())) == 3


def _batch(item: Any, subject: str, place: int) -> npt.NDArray[Any]:
    if isinstance(item, Mapping):
        keys = ", ".join(map(str, item))
        raise InputError(
            subject, f"batch {place} of the loader is a dict ({keys:.60}); give its samples: "
            '(batch["x"] for batch in loader)'
        )  # fmt: skip
    if isinstance(item, (list, tuple)) and _is_batch(item):
        item = item[0]
    piece = as_array(item, subject, f"batch {place} of the loader")
    if piece.ndim not in (2, 3):
        raise InputError(
            subject, f"batch {place} of the loader has shape {piece.shape}, expected (batch, time, "
            "inputs), or (time, inputs) for one sequence"
        )  # fmt: skip
    return piece if piece.ndim == 3 else piece[None]


def joined(
    pieces: Sequence[npt.NDArray[Any]], subject: str
) -> tuple[npt.NDArray[Any], IntegerArray]:
    """Pieces (batch, time, ...) in one array as long as the longest, and int64 (batch,) lengths.

    Raises:
        InputError: their inputs differ, or there is no memory for the array.
    """
    rest = {piece.shape[2:] for piece in pieces}
    if len(rest) > 1:
        sizes = sorted(shape[0] for shape in rest)
        raise InputError(subject, f"x has pieces with {_either(sizes)} input channels; give one")
    batch, time = sum(map(len, pieces)), max(piece.shape[1] for piece in pieces)
    try:
        array = np.zeros((batch, time, *rest.pop()), np.result_type(*pieces))
    except (MemoryError, ValueError) as error:
        raise InputError(subject, f"x needs more memory than there is ({error})") from error
    lengths = np.empty(batch, np.int64)
    begin = 0
    for piece in pieces:
        rows = slice(begin, begin + len(piece))
        array[rows, : piece.shape[1]] = piece
        lengths[rows] = piece.shape[1]
        begin += len(piece)
    return array, lengths


def _either(values: Any) -> str:
    return " or ".join(map(str, sorted(values)))
