"""A reader of HDF5 files as Keras writes them: groups, plain arrays and texts in attributes.

h5py reads more, through a C library that trusts its files; this one reads what h5py writes by
default, which is all that Keras asks it for, and refuses by name whatever else a file may hold:
chunks, compression, data and links in other files. Nothing of a file is believed: every address is
compared with the file's length, and objects are counted.

Format: The HDF Group, HDF5 File Format Specification 3.0 (superblocks 0 to 3, B-trees 1).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lnn2loihi.converters.files.tensor import FloatArray, Tensor

SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Most groups and arrays of a file, deepest nesting, longest text.
MOST_OBJECTS = 1 << 13
DEEPEST = 24
LONGEST_TEXT = 1 << 24
_NONE = (1 << 64) - 1


class Hdf5Error(ValueError):
    """What a file holds is damaged, or nothing that is read here."""


@dataclass
class Contents:
    """What a file holds.

    Attributes:
        arrays: by path, without a slash at the beginning.
        texts: texts in attributes, by the path of the group and their name.
    """

    arrays: dict[str, Tensor] = field(default_factory=dict)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)


def read_hdf5(content: bytes) -> Contents:
    """Reads a file.

    Raises:
        Hdf5Error: it is damaged, or holds what is not read here.
    """
    reader = _Reader(content)
    try:
        reader.group(reader.root(), "", 0)
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise Hdf5Error(f"it is damaged ({error})") from error
    return reader.found


class _Reader:
    """Follows the addresses of a file."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._objects = 0
        self._open: set[int] = set()
        self.found = Contents()

    def root(self) -> int:
        """Address of the object that the file begins with."""
        if self._content[:8] != SIGNATURE:
            raise Hdf5Error("it is no HDF5 file")
        version = self._content[8]
        offsets, lengths = (13, 14) if version < 2 else (9, 10)
        if self._content[offsets] != 8 or self._content[lengths] != 8:
            raise Hdf5Error("its addresses do not have 8 bytes")
        if version in (0, 1):
            begin = 24 if version == 0 else 28
            return self._number(begin + 32 + 8)
        if version in (2, 3):
            return self._number(12 + 24)
        raise Hdf5Error(f"its superblock has version {version}, which is not read")

    def group(self, address: int, path: str, depth: int) -> None:
        """All that an object holds, if it is a group; or its data."""
        self._objects += 1
        if self._objects > MOST_OBJECTS or depth > DEEPEST:
            raise Hdf5Error(f"it holds more than {MOST_OBJECTS} objects, or too deeply nested ones")
        if address in self._open:
            raise Hdf5Error(f"{path or '/'} holds itself")
        self._open.add(address)
        messages = list(self._messages(address))
        kinds = {kind for kind, _ in messages}
        for kind, body in messages:
            if kind == 0x0C:
                self._attribute(body, path)
        if 0x08 in kinds:
            self.found.arrays[path] = self._array(messages, path)
        for name, inside in self._links(messages, path):
            self.group(inside, f"{path}/{name}" if path else name, depth + 1)
        self._open.discard(address)

    # ------------------------------------------------------------ bytes

    def _bytes(self, begin: int, count: int) -> bytes:
        if begin < 0 or count < 0 or begin + count > len(self._content):
            raise Hdf5Error(
                f"it is truncated or damaged: bytes {begin} to {begin + count} of "
                f"{len(self._content)} are asked for"
            )
        return self._content[begin : begin + count]

    def _number(self, begin: int, count: int = 8) -> int:
        return int.from_bytes(self._bytes(begin, count), "little")

    def _messages(self, address: int) -> Iterator[tuple[int, bytes]]:
        """Kinds and bodies of the messages of an object header, of either version."""
        newer = self._bytes(address, 4) == b"OHDR"
        if newer:
            flags = self._number(address + 5, 1)
            at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            blocks = [(at + width, self._number(at, width))]
            head = 6 if flags & 4 else 4
        else:
            if self._number(address, 1) != 1:
                raise Hdf5Error(f"there is no object at byte {address}")
            blocks, head = [(address + 16, self._number(address + 8, 4))], 8
        seen = 0
        while blocks:
            at, left = blocks.pop(0)
            end = at + left
            while at + head <= end:
                kind = self._number(at, 1 if newer else 2)
                size = self._number(at + (1 if newer else 2), 2)
                body = self._bytes(at + head, size)
                at += head + size
                seen += 1
                if seen > MOST_OBJECTS:
                    raise Hdf5Error("an object has too many messages")
                if kind == 0x10:
                    begin, length = struct.unpack("<QQ", body[:16])
                    # Those of version 2 have a signature before and a checksum after them.
                    blocks.append((begin + 4, length - 8) if newer else (begin, length))
                else:
                    yield kind, body

    # ------------------------------------------------------------ groups

    def _links(self, messages: list[tuple[int, bytes]], path: str) -> Iterator[tuple[str, int]]:
        for kind, body in messages:
            if kind == 0x11:
                tree, heap = struct.unpack("<QQ", body[:16])
                if self._bytes(heap, 4) != b"HEAP":
                    raise Hdf5Error(f"the names of {path or '/'} are damaged")
                yield from self._tree(tree, self._number(heap + 24), path, 0)
            elif kind == 0x06:
                yield self._link(body, path)
            elif kind == 0x02:
                begin = 2 + (8 if body[1] & 1 else 0)
                if struct.unpack("<Q", body[begin : begin + 8])[0] != _NONE:
                    raise Hdf5Error(f"{path or '/'} holds too many links for a file of Keras")

    def _tree(self, address: int, names: int, path: str, depth: int) -> Iterator[tuple[str, int]]:
        if self._bytes(address, 4) != b"TREE" or depth > DEEPEST:
            raise Hdf5Error(f"the tree of {path or '/'} is damaged")
        level, entries = self._number(address + 5, 1), self._number(address + 6, 2)
        for number in range(entries):
            child = self._number(address + 24 + 16 * number + 8)
            if level:
                if self._number(child + 5, 1) >= level:
                    raise Hdf5Error(f"the tree of {path or '/'} is damaged")
                yield from self._tree(child, names, path, depth + 1)
            else:
                yield from self._leaf(child, names, path)

    def _leaf(self, address: int, names: int, path: str) -> Iterator[tuple[str, int]]:
        if self._bytes(address, 4) != b"SNOD":
            raise Hdf5Error(f"the tree of {path or '/'} is damaged")
        for number in range(self._number(address + 6, 2)):
            at = address + 8 + 40 * number
            name = self._text(names + self._number(at))
            if self._number(at + 16, 4) == 2:
                raise Hdf5Error(f"{path}/{name} is a link, which is not followed")
            yield name, self._number(at + 8)

    def _link(self, body: bytes, path: str) -> tuple[str, int]:
        flags, at = body[1], 2
        kind = body[at] if flags & 8 else 0
        at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        length = int.from_bytes(body[at : at + width], "little")
        name = body[at + width : at + width + length].decode()
        if kind != 0:
            raise Hdf5Error(f"{path}/{name} is a link to elsewhere, which is not followed")
        at += width + length
        return name, int.from_bytes(body[at : at + 8], "little")

    def _text(self, begin: int) -> str:
        end = self._content.find(b"\0", begin, begin + 4096)
        return self._bytes(begin, (end if end >= 0 else begin) - begin).decode()

    # ------------------------------------------------------------ data

    def _array(self, messages: list[tuple[int, bytes]], path: str) -> Tensor:
        bodies = dict(messages)
        if 0x07 in bodies:
            raise Hdf5Error(f"the data of {path} stand in another file, which is not opened")
        if 0x0B in bodies:
            raise Hdf5Error(f"{path} is compressed, which is not read; save it without")
        if not {0x01, 0x03} <= bodies.keys():
            raise Hdf5Error(f"{path} has no shape or no type")
        shape = _shape(bodies[0x01])
        dtype, layout = _dtype(bodies[0x03]), bodies[0x08]
        if layout[0] not in (3, 4) or layout[1] > 1:
            raise Hdf5Error(f"{path} is stored in chunks or virtually, which is not read")
        if dtype is None:
            said = "a text" if bodies[0x03][0] & 15 in (3, 9) else "of another type"

            def refuse() -> FloatArray:
                raise Hdf5Error(f"{path} is {said}, not numbers")

            return Tensor(said, shape, "other", refuse)
        count = math.prod(shape) * dtype.itemsize
        if layout[1] == 0:
            data = layout[4 : 4 + struct.unpack("<H", layout[2:4])[0]]
        else:
            begin, size = struct.unpack("<QQ", layout[2:18])
            data = self._bytes(begin, size) if begin != _NONE else b""
        if len(data) < count:
            raise Hdf5Error(f"{path} claims shape {shape}, but has {len(data)} bytes of data")
        kind: Literal["float", "integer"] = "float" if dtype.kind == "f" else "integer"

        def read() -> FloatArray:
            return np.frombuffer(data[:count], dtype).astype(np.float64).reshape(shape)

        return Tensor(dtype.name, shape, kind, read)

    def _attribute(self, body: bytes, path: str) -> None:
        """An attribute that holds one text; others are passed over."""
        version = body[0]
        sizes = struct.unpack("<HHH", body[2:8])
        at = 9 if version == 3 else 8
        pieces: list[bytes] = []
        for size in sizes:
            pieces.append(body[at : at + size])
            at += -(-size // 8) * 8 if version == 1 else size
        name, kind, space = pieces
        if not kind or _shape(space) != ():
            return
        if kind[0] & 15 == 3:
            raw = body[at : at + struct.unpack("<I", kind[4:8])[0]]
        elif kind[0] & 15 == 9 and kind[1] & 15 == 1:
            length, heap, index = struct.unpack("<IQI", body[at : at + 16])
            raw = self._from_heap(heap, index, length)
        else:
            return
        key = name.split(b"\0")[0].decode()
        self.found.texts[path, key] = raw.rstrip(b"\0").decode()

    def _from_heap(self, address: int, index: int, length: int) -> bytes:
        """A text of varying length, from a collection of them."""
        if length > LONGEST_TEXT or self._bytes(address, 4) != b"GCOL":
            raise Hdf5Error("a text is damaged")
        at, end = address + 16, address + self._number(address + 8)
        while at + 16 <= end:
            number, size = self._number(at, 2), self._number(at + 8)
            if number == index:
                return self._bytes(at + 16, min(length, size))
            if number == 0:
                break
            at += 16 + -(-size // 8) * 8
        raise Hdf5Error("a text is missing")


def _shape(body: bytes) -> tuple[int, ...]:
    version, rank = body[0], body[1]
    begin = 8 if version == 1 else 4
    if version not in (1, 2) or rank > 32:
        raise Hdf5Error("a shape is damaged")
    if version == 2 and body[3] == 2:
        return (0,)
    return struct.unpack(f"<{rank}Q", body[begin : begin + 8 * rank])


def _dtype(body: bytes) -> np.dtype | None:
    """The type of numbers that NumPy has; None for all others."""
    kind, bits, size = body[0] & 15, body[1], struct.unpack("<I", body[4:8])[0]
    order = ">" if bits & 1 else "<"
    if kind == 1 and (size, body[13], body[15]) in ((2, 5, 10), (4, 8, 23), (8, 11, 52)):
        return np.dtype(f"{order}f{size}")
    if kind == 0 and size in (1, 2, 4, 8):
        return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}")
    return None
