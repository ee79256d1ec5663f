"""Reads and writes sample files: .npy, .npz and .csv.

A file is opened once, has to be a regular one, and no size that it states is believed: what it
asks for is compared with the limits below and with what is there before memory is taken.
"""

from __future__ import annotations

import io
import itertools
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import REAL
from lnn2loihi.errors import InputError
from lnn2loihi.files import write_atomically

SUFFIXES = (".npy", ".npz", ".csv")
#: Bytes of the largest array, and of the largest text.
LARGEST_ARRAY, LARGEST_TEXT = 1 << 32, 1 << 30
#: An array may take so many times its compressed bytes, and so many bytes in any case: zeros are
#: compressed a thousand times, a file of a megabyte could ask for a gigabyte.
EXPANSION, ALWAYS = 100, 1 << 26
#: Arrays of an archive of which all are read.
MOST_ARRAYS = 1024
#: Characters of the longest line of a text: 65,536 numbers and more.
LONGEST_LINE = 1 << 21
#: Bytes that are read at once.
PIECE = 1 << 24
#: What NumPy and the modules below it raise for damaged and hostile files.
_DAMAGE = (
    OSError, ValueError, EOFError, SyntaxError, TypeError, KeyError, NotImplementedError,
    RuntimeError, OverflowError, MemoryError, struct.error, zlib.error, zipfile.BadZipFile,
    tokenize.TokenError,
)  # fmt: skip


class _NoNumbersError(ValueError):
    """An array holds something else."""


@dataclass(frozen=True, eq=False)
class SampleFile:
    """What a file of samples holds.

    Attributes:
        x: samples (batch, time, inputs) in their own type; (time, inputs) is a batch of one.
        timespans: elapsed times (batch, time) that lie beside them in an `.npz` file, or None.
        lengths: samples of each sequence (batch,) that lie beside them, or None.
    """

    x: npt.NDArray[Any]
    timespans: npt.NDArray[Any] | None = None
    lengths: npt.NDArray[Any] | None = None


def read_sample_file(path: str | os.PathLike[str], key: str = "x") -> SampleFile:
    """Samples of a file, with the elapsed times and lengths that it may hold.

    Args:
        path: `.npy`; `.npz` with an array named `key` and perhaps `timespans` and `lengths`; or
            `.csv` with one row per step (a first row without any number is a header).
        key: name of the array in an `.npz` file.

    Raises:
        InputError: the file is missing, damaged, too large, no regular file, or holds something
            else.
    """
    found = _arrays(path, (key, "timespans", "lengths"), "samples")
    x = found[key]
    _check_numbers(path, x)
    if x.ndim == 2:
        x = x[None]
    if not x.size:
        raise InputError(str(path), f"is empty, its shape is {x.shape}; give at least one sample")
    if x.ndim != 3:
        raise InputError(
            str(path), f"has shape {x.shape}, expected (batch, time, inputs) or (time, inputs)"
        )
    beside: dict[str, npt.NDArray[Any]] = {}
    for name, axes, kinds, expected in (
        ("timespans", (1, 2), REAL, "numbers (batch, time)"),
        ("lengths", (0, 1), "iu", "whole numbers (batch,)"),
    ):
        array = found.get(name)
        if array is None or name == key:
            continue
        if array.dtype.kind not in kinds or array.ndim not in axes:
            raise InputError(
                str(path), f"{name} is {array.dtype} {array.shape}, expected {expected}"
            )
        beside[name] = array[None] if array.ndim == axes[0] else array
    return SampleFile(x, **beside)


def read_sequences(
    samples: str | os.PathLike[str], irregular: bool, encoded: bool | None = None
) -> dict[str, Any]:
    """Samples of a file, and what lies beside them, as the functions of the library take them.

    Args:
        samples: the file.
        irregular: whether the elapsed time comes with the samples.
        encoded: whether they are encoded messages; None where only samples are taken.

    Returns:
        x, lengths, timespans, and encoded unless that is None.

    Raises:
        InputError: the file is no good, or elapsed times are missing where time is irregular, or
            there where it is constant.
    """
    found = read_sample_file(samples)
    if irregular and found.timespans is None:
        raise InputError(
            str(samples), "the network's time is irregular: give an .npz file with the samples as "
            "x (batch, time, inputs) and their elapsed times as timespans (batch, time)"
        )  # fmt: skip
    if not irregular and found.timespans is not None:
        raise InputError(
            str(samples), "holds timespans, but the network's time is constant and folded into "
            'the weights; say timespan = "irregular" in its description (or --timespan irregular) '
            "and quantize it so, or leave the array out"
        )  # fmt: skip
    given: dict[str, Any] = {
        "x": found.x, "lengths": found.lengths, "timespans": found.timespans,
    }  # fmt: skip
    return given if encoded is None else given | {"encoded": encoded}


def read_samples(path: str | os.PathLike[str], key: str = "x") -> npt.NDArray[Any]:
    """The samples alone, (batch, time, inputs); see `read_sample_file`."""
    return read_sample_file(path, key).x


def read_array(path: str | os.PathLike[str], key: str, what: str = "numbers") -> npt.NDArray[Any]:
    """An array of numbers of any shape.

    Args:
        path: `.npy`; `.npz` with an array named `key`; or `.csv`.
        key: name of the array in an `.npz` file.
        what: what the numbers are, for errors.

    Raises:
        InputError: as `read_sample_file`.
    """
    array = _arrays(path, (key,), what)[key]
    _check_numbers(path, array)
    return array


def read_named_arrays(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """All arrays of a file by name.

    Args:
        path: `.npz`; or `.npy` or `.csv`, whose array has the name "".

    Raises:
        InputError: as `read_sample_file`; or there are more than MOST_ARRAYS.
    """
    found = _arrays(path, None if Path(path).suffix.lower() == ".npz" else ("",), "arrays")
    for array in found.values():
        _check_numbers(path, array)
    return found


def read_archive(
    path: str | os.PathLike[str], most: int
) -> tuple[dict[str, npt.NDArray[Any]], tuple[str, ...]]:
    """All arrays of numbers of an `.npz` file by name, and the names of what holds none.

    Args:
        path: the file.
        most: bytes that all arrays together may have.

    Raises:
        InputError: as `read_sample_file`; or there are more than MOST_ARRAYS.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    others: list[str] = []
    with _reading(path, "arrays") as stream:
        for key, array in _members(stream, None, most):
            if array is None:
                others.append(key)
            else:
                found[key] = array
    return found, tuple(others)


def _check_numbers(path: str | os.PathLike[str], array: npt.NDArray[Any]) -> None:
    if array.dtype.kind not in REAL:
        raise InputError(str(path), f"holds {array.dtype} values, expected numbers")


def _arrays(
    path: str | os.PathLike[str], keys: tuple[str, ...] | None, what: str
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file that have these names: the first one, and others that are there. All
    arrays of an archive where no names are given.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(str(path), f"{what} come as {', '.join(SUFFIXES)}")
    with _reading(file, what) as stream:
        if suffix == ".npz":
            return {key: array for key, array in _members(stream, keys) if array is not None}
        read = _read_text if suffix == ".csv" else _read_whole
        return {keys[0] if keys else "": read(stream)}


@contextmanager
def _reading(path: str | os.PathLike[str], what: str) -> Iterator[BinaryIO]:
    """An open file; whatever is wrong with it becomes an error of ours."""
    try:
        with _opened(Path(path)) as stream:
            yield stream
    except FileNotFoundError:
        raise InputError(str(path), "there is no such file") from None
    except _DAMAGE as error:
        raise InputError(str(path), f"cannot be read as {what} ({error})") from error


def _opened(file: Path) -> BinaryIO:
    """A regular file; anything else is refused and not waited for."""
    descriptor = os.open(
        file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kinds = (
                (stat.S_ISFIFO, "a pipe"), (stat.S_ISDIR, "a folder"), (stat.S_ISSOCK, "a socket"),
                (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
            )  # fmt: skip
            kind = next((name for test, name in kinds if test(mode)), "no regular file")
            raise ValueError(f"it is {kind}; samples are read from regular files")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _read_whole(stream: BinaryIO) -> npt.NDArray[Any]:
    """The array of an .npy file. It is read and not mapped: whoever writes to a mapped file pulls
    the memory away from under the reader.
    """
    return _read_array(stream, os.fstat(stream.fileno()).st_size, LARGEST_ARRAY)


def _members(
    stream: BinaryIO, keys: tuple[str, ...] | None, together: int | None = None
) -> Iterator[tuple[str, npt.NDArray[Any] | None]]:
    """Arrays of an .npz file by name: the first name, and the others that are there; or all.

    Args:
        stream: the file.
        keys: the names, or None for all.
        together: bytes that all of them may have; None for what is asked of each alone. With it
            None stands for what holds no numbers, which is an error else.
    """
    begin = stream.read(6)
    if begin == b"\x93NUMPY":
        raise ValueError("it is one array, not an archive of arrays: call it .npy")
    with zipfile.ZipFile(stream) as archive:
        held = {name.removesuffix(".npy"): name for name in archive.namelist()}
        if keys is None and len(held) > MOST_ARRAYS:
            raise ValueError(f"it has {len(held):,} arrays; at most {MOST_ARRAYS:,} are read")
        keys = tuple(held) if keys is None else keys
        if keys and keys[0] not in held:
            raise ValueError(f"no array named {keys[0]!r}; there are {', '.join(held)}")
        for key in keys:
            if key not in held:
                continue
            info = archive.getinfo(held[key])
            most = min(max(EXPANSION * info.compress_size, ALWAYS), LARGEST_ARRAY)
            most = most if together is None else min(most, together)
            with archive.open(info) as member:
                array = None
                try:
                    if not held[key].endswith(".npy"):
                        raise _NoNumbersError(f"{key} holds bytes values, expected numbers")
                    array = _read_array(member, info.file_size, most)
                except _NoNumbersError:
                    if together is None:
                        raise
                if together is not None and array is not None:
                    together -= array.nbytes
                yield key, array


def _read_array(stream: Any, size: int, most: int) -> npt.NDArray[Any]:
    """An array in NumPy's format.

    Args:
        stream: where it stands.
        size: bytes that there are, its header included.
        most: bytes that the array may have.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"NumPy's format has no version {version}")
    # The headers of 2.0 and 3.0 differ in the encoding of names of fields, which numbers have not.
    read = np.lib.format.read_array_header_1_0
    shape, fortran, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(
        stream
    )
    if dtype.kind not in REAL or not dtype.itemsize:
        raise _NoNumbersError(f"it holds {dtype} values, expected numbers")
    if len(shape) > 32:
        raise ValueError(f"it has {len(shape)} axes")
    count = 1
    for length in shape:
        count *= int(length)
    needed = count * dtype.itemsize
    if needed > most:
        raise ValueError(
            f"an array {dtype} {shape} takes {needed:,} bytes; the limit for this file is {most:,}"
        )
    if min(shape, default=0) < 0 or needed > size:
        raise ValueError(f"an array {dtype} {shape} takes {needed:,} bytes, there are {size:,}")
    array = np.empty(count, dtype)
    view = array.view(np.uint8)
    done = 0
    while done < needed:
        piece = stream.read(min(PIECE, needed - done))
        if not piece:
            raise ValueError(f"it ends after {done:,} of {needed:,} bytes; is it being written?")
        view[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
    if isinstance(stream, zipfile.ZipExtFile) and stream.read(1):
        raise ValueError("bytes stand behind the array")  # and the checksum has been compared
    return array.reshape(shape, order="F" if fortran else "C")


def _read_text(stream: BinaryIO) -> npt.NDArray[Any]:
    """Rows of numbers with commas between them."""
    size = os.fstat(stream.fileno()).st_size
    if size > LARGEST_TEXT:
        raise ValueError(f"it has {size:,} bytes; text may have {LARGEST_TEXT:,}: give .npy")
    with io.TextIOWrapper(stream, "utf-8-sig") as text:
        lines = _lines(text)
        first = next(lines, "")
        if any(map(_is_number, first.split(","))):
            lines = itertools.chain([first], lines)
        row = next(lines, None)
        if row is None:
            raise ValueError("it has no row of numbers")
        # NumPy leaves out what follows a # unless it is told that there are no comments.
        try:
            return np.loadtxt(itertools.chain([row], lines), delimiter=",", ndmin=2, comments=None)
        except ValueError as error:
            text.seek(0)
            raise ValueError(_wrong_line(text) or str(error)) from error


def _wrong_line(text: io.TextIOWrapper) -> str:
    """What is wrong with the first line of a text that is no row of numbers like the one before;
    empty where nothing is.
    """
    width = 0
    for number, line in enumerate(text, 1):
        cells = line.strip().split(",")
        wrong = [(place, cell) for place, cell in enumerate(cells, 1) if not _is_number(cell)]
        if not line.strip() or (not width and len(wrong) == len(cells) and not _foreign(line)):
            continue  # nothing, or a header
        if _foreign(line):
            kind = "semicolons" if ";" in line else "tabs"
            return f"line {number} has {kind} between its columns; give commas, and decimal points"
        if wrong:
            place, cell = wrong[0]
            what = f"holds {cell.strip()!r:.40}, which is no number" if cell.strip() else "is empty"
            return (
                f"line {number}, column {place} {what}; fill or leave out what was not measured "
                "before, one row a step"
            )
        if width and len(cells) != width:
            return (
                f"line {number} has {len(cells)} columns, the one before has {width}; every row is "
                "one step and needs a number for each input"
            )
        width = len(cells)
    return ""


def _foreign(line: str) -> bool:
    """Whether its numbers stand between other signs than commas."""
    return any(
        sign in line
        and ("," not in line or all(_is_number(c.replace(",", ".")) for c in line.split(sign)))
        for sign in (";", "\t")
    )


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines that hold something, none of them without end."""
    for line in iter(lambda: text.readline(LONGEST_LINE), ""):
        if len(line) == LONGEST_LINE:
            raise ValueError(f"a line has more than {LONGEST_LINE:,} characters")
        if line.strip():
            yield line


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
