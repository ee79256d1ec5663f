"""Opens what `equinox.tree_serialise_leaves` has written: arrays in the format of NumPy, one after
the other and without names, in the order of the fields of the module.

Whatever such a file is called, there is no pickle in it, and none is ever read here.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.files.arrays import ELEMENT_LIMIT
from lnn2loihi.converters.files.checkpoint import MOST_TENSORS, too_many
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.files import note_input, why_no_file

#: How such a file begins, and how its single arrays do.
MAGIC = b"\x93NUMPY"
#: Largest file.
LARGEST_FILE = 1 << 30
#: Kinds of numbers: bool, signed, unsigned, floating point. Others (texts, objects, records) have
#: no place in a network.
_KINDS = "biuf"


def begins_as_leaves(path: Path) -> bool:
    """Whether a file begins with an array."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_leaves(path: Path) -> tuple[npt.NDArray[Any], ...]:
    """The arrays of a file; numbers are arrays without axes.

    Raises:
        ImportNetworkError: it is absent, damaged, hostile, of another kind, or too large.
    """
    if not path.is_file():
        raise ImportNetworkError(str(path), why_no_file(path))
    note_input(path)
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ImportNetworkError(
            str(path), f"it has {size} bytes, the limit of lnn2loihi is {LARGEST_FILE}"
        )
    return leaves_of(path.read_bytes(), path)


def leaves_of(written: bytes, path: Path) -> tuple[npt.NDArray[Any], ...]:
    """The arrays of what such a file holds.

    Args:
        written: its bytes.
        path: what errors are about.

    Raises:
        ImportNetworkError: as of `read_leaves`.
    """
    content, size = io.BytesIO(written), len(written)
    leaves: list[npt.NDArray[Any]] = []
    while content.tell() < size:
        if len(leaves) == MOST_TENSORS:
            raise too_many(path, len(leaves) + 1)
        begin = content.tell()
        try:
            leaves.append(_leaf(content, size))
        except _LeafError as error:
            raise ImportNetworkError(
                str(path), f"array {len(leaves)} (from 0), at byte {begin}, {error}"
            ) from error
    if not leaves:
        raise ImportNetworkError(str(path), "it is empty")
    return tuple(leaves)


class _LeafError(Exception):
    """What is wrong with an array."""


def _leaf(content: io.BytesIO, size: int) -> npt.NDArray[Any]:
    try:
        version = np.lib.format.read_magic(content)
        if version not in ((1, 0), (2, 0)):
            raise _LeafError(f"has version {version} of NumPy's format; expected 1.0 or 2.0")
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(content)
    except _LeafError:
        raise
    except Exception as error:  # numpy lets several kinds through for hostile headers
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise _LeafError(f"is damaged, or no array of NumPy's format ({text:.120})") from error
    if dtype.kind not in _KINDS or dtype.itemsize > 8:
        raise _LeafError(f"holds {dtype.str:.40}; expected numbers of up to 64 bits")
    if any(length < 0 for length in shape):
        raise _LeafError(f"has shape {str(tuple(shape)):.80}; an axis has no fewer than 0 elements")
    elements = math.prod(shape)
    left = size - content.tell()
    if elements > ELEMENT_LIMIT or len(shape) > 2 or elements * dtype.itemsize > left:
        raise _LeafError(
            f"has shape {str(tuple(shape)):.80} of {dtype.str}, and {left} bytes follow; expected "
            f"up to two axes of {ELEMENT_LIMIT} elements, all of them in the file"
        )
    flat = np.frombuffer(content.read(elements * dtype.itemsize), dtype)
    made = flat.reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "f" and not np.isfinite(made).all():
        raise _LeafError("holds NaN or infinite values; the training diverged, or it is damaged")
    return made
