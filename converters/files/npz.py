"""Weights in NumPy's archives (`.npz`), as `np.savez` writes them; nothing is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.errors import ImportNetworkError, InputError
from lnn2loihi.samples import read_archive

#: All arrays together may have so many times the bytes of the file: weights hardly compress. Small
#: files may have so many bytes.
LARGEST_RATIO, SMALL = 16, 1 << 22


def read_npz(path: Path) -> dict[str, Tensor]:
    """The arrays of a file by name, in its order; texts and pickled objects in it are no numbers,
    and are not opened.

    Raises:
        ImportNetworkError: it is absent, damaged, hostile or too large.
    """
    try:
        arrays, others = read_archive(path, max(LARGEST_RATIO * path.stat().st_size, SMALL))
    except InputError as error:
        raise ImportNetworkError(str(path), error.problems) from error
    return {key: _tensor(array) for key, array in arrays.items()} | {
        key: _refusing(path, key) for key in others
    }


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    def read() -> FloatArray:
        return array.astype(np.float64)

    kind: Literal["float", "integer"] = "float" if array.dtype.kind == "f" else "integer"
    return Tensor(array.dtype.name, array.shape, kind, read)


def _refusing(path: Path, key: str) -> Tensor:
    def refuse() -> FloatArray:
        raise ImportNetworkError(str(path), f"{key} holds no numbers")

    return Tensor("no array of numbers", (), "other", refuse)
