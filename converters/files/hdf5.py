"""Reads HDF5 files with h5py: arrays of numbers, and texts.

h5py's C library follows links, opens files that a file names, loads the filters that it asks for
and allocates what it claims. All of that is looked at before an array is read: links other than
hard ones, data elsewhere, virtual arrays and filters that are not h5py's own are refused, and what
a file claims to hold is compared with its length.
"""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.errors import BackendMissingError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Most groups, arrays and attributes of a file, deepest nesting, longest text.
MOST_OBJECTS = 1 << 13
DEEPEST = 24
LONGEST_TEXT = 1 << 24
#: All arrays of a file together, and each chunk, may have so many times its bytes: weights hardly
#: compress. Small files may have so many bytes.
LARGEST_RATIO, SMALL = 4, 1 << 22
#: What a collection of texts (a global heap) begins with: signature, version, zeros.
_COLLECTION = re.compile(rb"GCOL\x01\0\0\0")
#: First byte of types of varying length, in all versions.
_VARYING = tuple(bytes([version << 4 | 9]) for version in range(1, 6))
#: Filters that every h5py has, by their numbers in the format.
_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}


class Hdf5Error(ValueError):
    """What a file holds is damaged, or nothing that is read here."""


@dataclass
class Contents:
    """What a file holds.

    Attributes:
        arrays: by path, without a slash at the beginning.
        texts: texts in attributes, by the path of the group and their name.
        words: arrays that hold one text, by path; they are in `arrays` as well.
    """

    arrays: dict[str, Tensor] = field(default_factory=dict)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


def read_hdf5(content: bytes, subject: str, attributes: Collection[str] = ()) -> Contents:
    """Reads a file.

    Args:
        content: its bytes.
        subject: its path, for messages.
        attributes: names of the attributes that are wanted; all others are passed over.

    Raises:
        Hdf5Error: it is damaged, or holds what is not read here.
        BackendMissingError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise BackendMissingError(
            subject, "reading an HDF5 file needs the package h5py: pip install h5py"
        ) from error
    if content[:8] != SIGNATURE:
        raise Hdf5Error("it is no HDF5 file")
    _check_collections(content)
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            reader = _Reader(h5py, content, attributes)
            reader.group(file.id, "", 0)
            return reader.found
    except Hdf5Error:
        raise
    except Exception as error:  # h5py lets several kinds through for damaged files
        said = str(error) or type(error).__name__
        raise Hdf5Error(f"it is truncated or damaged ({said:.160})") from error


class _Reader:
    """Goes through the groups of an open file."""

    def __init__(self, h5py: Any, content: bytes, attributes: Collection[str]) -> None:
        self._h5, self._content, size = h5py, content, len(content)
        self._attributes_wanted = set(attributes)
        for name in self._attributes_wanted:
            _check_claims(content, name)
        self._largest = max(SMALL, LARGEST_RATIO * size)
        self._longest = min(LONGEST_TEXT, size)
        self._claimed = 0
        self._objects = 0
        self._open: list[Any] = []
        self.found = Contents()

    def group(self, group: Any, path: str, depth: int) -> None:
        """All that a group holds; `group` is one of h5py's low-level identifiers."""
        self._count(depth)
        address = self._h5.h5o.get_info(group).addr
        if address in self._open:
            raise Hdf5Error(f"{path or '/'} holds itself")
        self._open.append(address)
        self._attributes(group, path)
        if group.get_num_objs() > MOST_OBJECTS:
            raise _too_many()
        for link in list(group):
            inside = f"{path}/{link.decode()}" if path else link.decode()
            if group.links.get_info(link).type != self._h5.h5l.TYPE_HARD:
                raise Hdf5Error(f"{inside} is a link to elsewhere, which is not followed")
            one = self._h5.h5o.open(group, link)
            if isinstance(one, self._h5.h5g.GroupID):
                self.group(one, inside, depth + 1)
            elif isinstance(one, self._h5.h5d.DatasetID):
                self._count(depth)
                self._attributes(one, inside)
                self.found.arrays[inside] = self._array(one, inside)
        self._open.pop()

    def _count(self, depth: int) -> None:
        self._objects += 1
        if self._objects > MOST_OBJECTS or depth > DEEPEST:
            raise _too_many()

    # ------------------------------------------------------------ data

    def _array(self, one: Any, path: str) -> Tensor:
        made = one.get_create_plist()
        layout = made.get_layout()
        contiguous, chunked = (layout == self._h5.h5d.CONTIGUOUS, layout == self._h5.h5d.CHUNKED)
        # A virtual array opens its files when it is asked for its shape.
        if layout == self._h5.h5d.VIRTUAL or (contiguous and made.get_external_count()):
            raise Hdf5Error(f"the data of {path} stand in another file, which is not opened")
        filters = [made.get_filter(n)[0] for n in range(made.get_nfilters())]
        if foreign := [number for number in filters if number not in _FILTERS]:
            raise Hdf5Error(
                f"{path} needs the filter {foreign[0]}, which is not read; there are "
                f"{', '.join(_FILTERS.values())}: save it with one of them, or without"
            )
        shape, kind = tuple(int(length) for length in one.shape), self._kind(one.get_type())
        width = one.get_type().get_size()
        if chunked and width * math.prod(made.get_chunk()) > self._largest:
            raise self._too_large(path, f"chunks of {made.get_chunk()}")
        if kind == "text":
            return self._words(one, path, shape)
        if kind == "other":
            return _refusing("of another type", shape, f"{path} is of another type, not numbers")
        claimed = width * math.prod(shape)
        if contiguous and one.get_storage_size() < claimed:
            raise Hdf5Error(
                f"{path} claims shape {shape}, but has {one.get_storage_size()} bytes of data"
            )
        self._claimed += claimed
        if self._claimed > self._largest:
            raise self._too_large(path, f"shape {shape}")
        data: npt.NDArray[Any] = np.empty(shape, one.dtype)
        if data.size:
            one.read(self._h5.h5s.ALL, self._h5.h5s.ALL, data)

        def read() -> FloatArray:
            return data.astype(np.float64)

        sort: Literal["float", "integer"] = "float" if data.dtype.kind == "f" else "integer"
        return Tensor(data.dtype.name, shape, sort, read)

    def _too_large(self, path: str, what: str) -> Hdf5Error:
        return Hdf5Error(
            f"{path} claims {what}; the limit of lnn2loihi for all arrays of this file is "
            f"{self._largest} bytes ({LARGEST_RATIO} times the file's, or {SMALL}): save it "
            "without compression"
        )

    def _words(self, one: Any, path: str, shape: tuple[int, ...]) -> Tensor:
        if math.prod(shape) == 1 and self._is_honest(one, path):
            self.found.words[path] = self._text(one, f"the text {path}", shape)
        return _refusing("a text", shape, f"{path} is a text, not numbers")

    def _is_honest(self, one: Any, path: str) -> bool:
        """Whether an array of one text may be read: HDF5 allocates what a text claims to have."""
        if not one.get_type().is_variable_str():
            return True
        at = one.get_offset()  # None where it is not stored in one piece
        if at is not None and int.from_bytes(self._content[at : at + 4], "little") > self._longest:
            raise Hdf5Error(f"the text {path} claims more bytes than the file has")
        return at is not None

    def _attributes(self, holder: Any, path: str) -> None:
        """Attributes that hold one text; others are passed over."""
        for number in range(self._h5.h5a.get_num_attrs(holder)):
            self._count(0)
            one = self._h5.h5a.open(holder, index=number)
            name = one.name.decode()
            wanted = name in self._attributes_wanted and one.shape == ()
            if wanted and self._kind(one.get_type()) == "text":
                self.found.texts[path, name] = self._text(one, f"{path or '/'}: {name}", ())

    def _text(self, one: Any, what: str, shape: tuple[int, ...]) -> str:
        """What an attribute or an array of one text holds."""
        kind = one.get_type()
        if not kind.is_variable_str() and kind.get_size() > self._longest:
            raise Hdf5Error(f"{what} claims {kind.get_size()} bytes")
        data: npt.NDArray[Any] = np.empty(shape, one.dtype)
        if isinstance(one, self._h5.h5d.DatasetID):
            one.read(self._h5.h5s.ALL, self._h5.h5s.ALL, data)
        else:
            one.read(data)
        value = data.reshape(())[()]
        raw = value if isinstance(value, bytes) else str(value).encode()
        if len(raw) > LONGEST_TEXT:
            raise Hdf5Error(f"{what} has {len(raw)} bytes")
        return raw.rstrip(b"\0").decode()

    def _kind(self, kind: Any) -> Literal["number", "text", "other"]:
        """What a type of HDF5 is to us: numbers up to 64 bits, booleans of h5py among them."""
        types = self._h5.h5t
        if isinstance(kind, types.TypeStringID):
            return "text"
        if isinstance(kind, (types.TypeIntegerID, types.TypeFloatID, types.TypeEnumID)):
            return "number" if kind.get_size() <= 8 else "other"
        return "other"


def _check_collections(content: bytes) -> None:
    """Refuses collections of texts whose objects do not follow each other up to their end: in some
    of them HDF5 2.0.0 goes round for ever.

    Format: The HDF Group, HDF5 File Format Specification 3.0, III.E (the global heap).
    """
    version = content[8] if len(content) > 14 else 0
    offsets, lengths = (13, 14) if version < 2 else (9, 10)
    if content[offsets : offsets + 1] + content[lengths : lengths + 1] != b"\x08\x08":
        raise Hdf5Error("its addresses do not have 8 bytes")
    for found in _COLLECTION.finditer(content):
        at = found.start()
        size = int.from_bytes(content[at + 8 : at + 16], "little")
        at, end = at + 16, at + size
        while end - at >= 16:
            number = int.from_bytes(content[at : at + 2], "little")
            length = int.from_bytes(content[at + 8 : at + 16], "little")
            # What is free stands last, and reaches to the end.
            at += 16 + -(-length // 8) * 8 if number else max(length, 16)
            if number == 0 and at != end:
                break
        if not (0 <= end - at < 16) or end > len(content):
            raise Hdf5Error("it is truncated or damaged (a collection of texts)")


def _check_claims(content: bytes, name: str) -> None:
    """Refuses texts in attributes of a name that claim more bytes than the file has, which HDF5
    would allocate. The message of an attribute says how long its name, its type and its shape are,
    which stand behind it before its data; of a text these begin with its length.

    Format: The HDF Group, HDF5 File Format Specification 3.0, IV.A.2.m (the attribute message).
    """
    text = name.encode() + b"\0"
    at = content.find(text)
    while at >= 0:
        for version, head, unit in ((1, 8, 8), (2, 8, 1), (3, 9, 1)):
            begin = at - head
            if begin < 0 or content[begin] != version:
                continue
            lengths = struct.unpack("<HHH", content[begin + 2 : begin + 8])
            own, kind, shape = (-(-length // unit) * unit for length in lengths)
            if lengths[0] != len(text) or content[at + own : at + own + 1][-1:] not in _VARYING:
                continue
            data = at + own + kind + shape
            if int.from_bytes(content[data : data + 4], "little") > len(content):
                raise Hdf5Error(f"a text {name} claims more bytes than the file has")
        at = content.find(text, at + 1)


def _too_many() -> Hdf5Error:
    return Hdf5Error(f"it holds more than {MOST_OBJECTS} objects, or too deeply nested ones")


def _refusing(said: str, shape: tuple[int, ...], problem: str) -> Tensor:
    def refuse() -> FloatArray:
        raise Hdf5Error(problem)

    return Tensor(said, shape, "other", refuse)
