"""Reads and writes sample files: .npy, .npz and .csv."""

from __future__ import annotations

import io
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lnn2loihi.errors import InputError
from lnn2loihi.files import write_atomically

SUFFIXES = (".npy", ".npz", ".csv")
#: What NumPy and the modules below it raise for damaged and hostile files.
_DAMAGE = (
    OSError, ValueError, EOFError, SyntaxError, TypeError, KeyError, NotImplementedError,
    RuntimeError, OverflowError, MemoryError, struct.error, zlib.error, zipfile.BadZipFile,
    tokenize.TokenError,
)  # fmt: skip


def read_samples(path: str | os.PathLike[str], key: str = "x") -> np.ndarray:
    """Samples (batch, time, inputs) of a file; (time, inputs) becomes a batch of one.

    Args:
        path: `.npy`; `.npz` with an array named `key`; or `.csv` with one row per step (a first
            row without any number is a header).
        key: name of the array in an `.npz` file.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    array = read_array(path, key, "samples")
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not array.size:
        raise InputError(
            str(path), f"has shape {array.shape}, expected (batch, time, inputs) or (time, inputs)"
        )
    return array


def read_timespans(path: str | os.PathLike[str]) -> np.ndarray:
    """Elapsed times (batch, time) that lie beside the samples of an `.npz` file; (time,) becomes
    a batch of one.

    Raises:
        InputError: the file is no `.npz` with an array `timespans`, or is damaged.
    """
    file = Path(path)
    if file.suffix.lower() != ".npz":
        raise InputError(
            str(path), "the network's time is irregular: give an .npz file with the samples as x "
            "(batch, time, inputs) and their elapsed times as timespans (batch, time)"
        )  # fmt: skip
    try:
        array = _read(file, "timespans")
    except _DAMAGE as error:
        raise InputError(str(path), f"cannot be read as elapsed times ({error})") from error
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2):
        raise InputError(
            str(path), f"timespans is {array.dtype} {array.shape}, expected numbers (batch, time)"
        )
    return array[None] if array.ndim == 1 else array


def holds_timespans(path: str | os.PathLike[str]) -> bool:
    """Whether an `.npz` file holds an array `timespans`; false for anything that cannot be read."""
    file = Path(path)
    if file.suffix.lower() != ".npz":
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return "timespans.npy" in archive.namelist()
    except _DAMAGE:
        return False


def read_array(path: str | os.PathLike[str], key: str, what: str = "numbers") -> np.ndarray:
    """An array of numbers of any shape.

    Args:
        path: `.npy`; `.npz` with an array named `key`; or `.csv`.
        key: name of the array in an `.npz` file.
        what: what the numbers are, for errors.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        raise InputError(str(path), f"{what} come as {', '.join(SUFFIXES)}")
    try:
        array = _read(file, key)
    except FileNotFoundError:
        raise InputError(str(path), "there is no such file") from None
    except _DAMAGE as error:
        raise InputError(str(path), f"cannot be read as {what} ({error})") from error
    if array.dtype.kind not in "iuf":
        raise InputError(str(path), f"holds {array.dtype} values, expected numbers")
    return array


def _read(file: Path, key: str) -> np.ndarray:
    if file.suffix.lower() == ".csv":
        lines = file.read_text("utf-8-sig").splitlines()
        header = bool(lines) and not any(map(_is_number, lines[0].split(",")))
        if not any(line.strip() for line in lines[header:]):
            raise ValueError("it has no row of numbers")
        return np.loadtxt(io.StringIO("\n".join(lines[header:])), delimiter=",", ndmin=2)
    if file.suffix.lower() == ".npy":
        return np.lib.format.open_memmap(file, mode="r")
    with file.open("rb") as stream:
        arrays = np.load(stream, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise ValueError("it is one array, not an archive of arrays: call it .npy")
        if key not in arrays:
            raise ValueError(f"no array named {key!r}; there are {', '.join(arrays.files)}")
        return np.asarray(arrays[key])  # a member that is no array comes as bytes


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> Path:
    """Writes arrays as `.npz`, or the array "outputs" alone as `.npy`, whole or not at all.

    Raises:
        InputError: the path has another suffix or cannot be written.
    """
    file, content = Path(path), io.BytesIO()
    if file.suffix.lower() == ".npz":
        np.savez_compressed(content, **arrays)
    elif file.suffix.lower() == ".npy":
        np.save(content, arrays["outputs"])
    else:
        raise InputError(str(path), "results are written as .npz or .npy")
    try:
        return write_atomically(file, content.getvalue())
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror}") from error
