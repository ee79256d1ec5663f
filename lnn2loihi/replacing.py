"""What stands where a file should be written: its kind, as its content says.

What writes over a file replaces what it, or one like it, has written before. A file of another kind
was put there by somebody else, and is not lost without a word: neither at the command line, where
`--force` replaces it, nor in Python, where `replacing_files` does.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import BinaryIO

from lnn2loihi.errors import InputError

PROGRAM, MODULE, PROFILE = "a program", "a converted module", "a profile"
NETWORK, DEVICE, DESCRIPTION = "a float network", "a device's profile", "a description"
SAMPLES, ARRAYS, ARRAY = "samples (.npz)", "arrays (.npz)", "an array (.npy)"
PAGE, ONNX, WEIGHTS = "an HTML page of lnn2loihi", "a model in ONNX", "weights (safetensors)"
OURS, OTHER, EMPTY = "a text that lnn2loihi has written", "something else", "empty"

#: Kinds that are known for certain by their content.
KNOWN = {PROGRAM, MODULE, PROFILE, NETWORK, SAMPLES, ARRAYS, ARRAY, WEIGHTS, PAGE, DESCRIPTION}

#: What stands at a path that a verb will write to, by the end of the name.
EXPECTED = {
    ".l2l": PROGRAM, ".l2m": MODULE, ".l2n": NETWORK, ".profile.json": PROFILE, ".npz": ARRAYS,
    ".npy": ARRAY, ".html": PAGE, ".htm": PAGE, ".onnx": ONNX, ".toml": DEVICE, ".c": OURS,
}  # fmt: skip
#: What others call so.
FOREIGN = {
    ".pt": "a checkpoint of PyTorch", ".pth": "a checkpoint of PyTorch", ".py": "a script",
    ".ckpt": "a checkpoint of PyTorch", ".safetensors": WEIGHTS, ".keras": "a model of Keras",
    ".h5": "a file of HDF5", ".hdf5": "a file of HDF5", ".csv": "samples in text",
    ".json": "a document in JSON", ".txt": "a text", ".md": "a text", ".h": "a header of C",
}  # fmt: skip
#: Bytes of the beginning and of the end that are looked at.
_LOOK = 1 << 16
#: Most bytes of a header of tensors that are looked at.
_HEADER = 1 << 26
_FORMAT = re.compile(rb'\\?"format\\?":\s*\\?"lnn2loihi ([a-z0-9 ]+)\\?"')
_FORMATS = {b"program": PROGRAM, b"profile": PROFILE, b"module": MODULE, b"network": NETWORK,
            b"converted module": MODULE, b"float network": NETWORK}  # fmt: skip
#: Keys by which texts in TOML are known: of a device, and of a checkpoint's description.
_DEVICE = re.compile(rb"(?m)^\s*(?:extends|kind)\s*=|^\s*\[figures")
_DESCRIPTION = re.compile(rb"(?m)^\s*\[\[?network\b")


@dataclass
class Replacing:
    """What a command may write over, and what it has.

    Attributes:
        forced: whether files of other kinds are replaced too.
        replaced: path and kind of each file that stood where one was written.
        written: what it has written itself, which it may write again without a word.
    """

    forced: bool = False
    replaced: list[tuple[str, str]] = field(default_factory=list)
    written: set[str] = field(default_factory=set)


_REPLACING: ContextVar[Replacing | None] = ContextVar("replacing", default=None)


@contextmanager
def replacing_guarded() -> Iterator[Replacing]:
    """While it lasts, files of another kind are replaced on request only."""
    guard = Replacing()
    token = _REPLACING.set(guard)
    try:
        yield guard
    finally:
        _REPLACING.reset(token)


@contextmanager
def replacing_files() -> Iterator[None]:
    """While it lasts, what is written replaces files of any kind.

    ::

        with lnn2loihi.replacing_files():
            lnn2loihi.save(program, "net.l2l")  # whatever stands there

    Without it a file of another kind than what is written is refused: a checkpoint, samples or a
    text of yours under the name of a program.
    """
    guard = _REPLACING.get() or Replacing()
    before, guard.forced = guard.forced, True
    token = _REPLACING.set(guard)
    try:
        yield
    finally:
        _REPLACING.reset(token)
        guard.forced = before


def force_replacing(forced: bool) -> None:
    """Whether files of other kinds are replaced from here on."""
    if (guard := _REPLACING.get()) is not None:
        guard.forced = forced


def replaced_files() -> list[tuple[str, str]]:
    """Path and kind of each file that was replaced while replacing is guarded."""
    guard = _REPLACING.get()
    return [] if guard is None else [*guard.replaced]


def expect_kind(path: str | os.PathLike[str]) -> None:
    """Refuses, before the work, a target at which something stands that no verb writes there.

    Raises:
        InputError: it is of another kind than the end of its name says.
    """
    name = os.fspath(path).lower()
    expected = next((kind for end, kind in EXPECTED.items() if name.endswith(end)), None)
    if expected is not None:
        _check(path, expected)


def check_replacing(path: str | os.PathLike[str], content: bytes) -> None:
    """Refuses to replace a file of another kind, and notes what is replaced.

    Args:
        path: the target.
        content: what is written there.

    Raises:
        InputError: what stands there is of another kind.
    """
    guard = _REPLACING.get()
    place = os.path.realpath(path)
    if guard is not None and place in guard.written:
        return
    found = _check(path, kind_of_content(io.BytesIO(content)))
    if guard is not None:
        guard.written.add(place)
        if found is not None:
            guard.replaced.append((os.fspath(path), found))


def _check(path: str | os.PathLike[str], expected: str) -> str | None:
    """The kind of what stands there; None where there is no file, or none that can be read."""
    if not os.path.isfile(path):
        return None
    guard = _REPLACING.get()
    try:
        with open(path, "rb") as file:
            found = kind_of_content(file)
    except OSError:  # whoever may not read it may not replace it either, and is told by the writer
        return None
    if found in (expected, EMPTY) or (guard is not None and guard.forced):
        return found
    forced = "--force to replace it" if guard else "write within lnn2loihi.replacing_files()"
    raise InputError(
        os.fspath(path),
        f"is {found}, and {expected} would be written over it; give another file, or {forced}",
    )


def check_suffix(path: str | os.PathLike[str], kind: str) -> None:
    """Refuses a name that says that the file is of another kind, ours or others'.

    Raises:
        InputError: its end belongs to another kind; says which end this one has.
    """
    name = os.fspath(path).lower()
    for end, other in {**EXPECTED, **FOREIGN}.items():
        if name.endswith(end) and other != kind:
            own = next(end for end, one in EXPECTED.items() if one == kind)
            raise InputError(
                os.fspath(path), f"{end} is the end of the name of {other}; {kind} is a {own} file"
            )


def kind_of_content(file: BinaryIO) -> str:
    """What a file holds, in words: one of the kinds above.

    Args:
        file: its content, from the beginning.
    """
    begin = file.read(_LOOK)
    if not begin:
        return EMPTY
    if begin.startswith(b"PK"):
        return _kind_of_zip(file)
    if begin.startswith(b"\x93NUMPY"):
        return ARRAY
    tensors = begin[8:9] == b"{" and b"\0" in begin[:8]
    if tensors:  # the manifest of ours stands in a header of any length
        file.seek(8)
        begin = file.read(min(int.from_bytes(begin[:8], "little"), _HEADER))
    if (own := _FORMAT.search(begin)) is not None:
        return _FORMATS.get(own[1], f"a {own[1].decode()} of lnn2loihi")
    if tensors:
        return WEIGHTS
    return _kind_of_text(file, begin) or (ONNX if _is_onnx(begin) else OTHER)


def _kind_of_zip(file: BinaryIO) -> str:
    with suppress(zipfile.BadZipFile, OSError, ValueError):
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
        if names[:1] == ["module.json"]:
            return MODULE
        arrays = {name.removesuffix(".npy") for name in names if name.endswith(".npy")}
        if arrays and len(arrays) == len(names):
            return SAMPLES if "x" in arrays and "outputs" not in arrays else ARRAYS
        if any(name.endswith("/data.pkl") for name in names):
            return "a checkpoint of PyTorch"
    return "an archive (zip)"


def _is_onnx(begin: bytes) -> bool:
    """Whether it begins as a protobuf of ONNX does: the version of its format, then a text."""
    return begin[:1] == b"\x08" and begin[2:3] in (b"\x12", b":", b"B", b"\x1a")


def _kind_of_text(file: BinaryIO, begin: bytes) -> str | None:
    """The kind of a text; None where it is none."""
    if b"\0" in begin:
        return None
    file.seek(0, os.SEEK_END)
    file.seek(max(len(begin), file.tell() - _LOOK))
    ours = b"lnn2loihi" in begin or b"lnn2loihi" in file.read()
    head = begin.lstrip()[:200].lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return PAGE if ours else "an HTML page of others"
    if _DESCRIPTION.search(begin):
        return DESCRIPTION
    if _DEVICE.search(begin):
        return DEVICE
    if head.startswith((b"{", b"[")):
        return "a document in JSON"
    return OURS if ours else "a text"
