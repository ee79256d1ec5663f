"""Sizes of sections and symbols of a program in ELF with 32 bits, little-endian.

The layout is that of the System V ABI, chapter 4 (Elf32_Ehdr, Elf32_Shdr, Elf32_Sym).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lnn2loihi.errors import CompiledRunError

_WRITE, _ALLOCATE, _EXECUTE = 1, 2, 4  # sh_flags
_SYMBOLS, _NO_BITS = 2, 8  # sh_type


@dataclass(frozen=True)
class Symbol:
    """A symbol: its address, with Arm's mark of Thumb code taken away, and its bytes."""

    address: int
    size: int


@dataclass(frozen=True)
class Elf:
    """What a linked program holds.

    Attributes:
        code: bytes of instructions.
        constant: bytes of constants; they stay in flash as the code does.
        written: bytes of variables that begin with other values than 0: in flash and in RAM.
        zeroed: bytes of variables that begin with 0.
        variables: bytes of the symbols in these two, without what the linker aligns them by.
        symbols: all that have a name.
    """

    code: int
    constant: int
    written: int
    zeroed: int
    variables: int
    symbols: dict[str, Symbol]

    def symbol(self, name: str) -> Symbol:
        """The symbol of that name.

        Raises:
            CompiledRunError: there is none.
        """
        if name not in self.symbols:
            raise CompiledRunError("compiled program", f"has no symbol {name!r}")
        return self.symbols[name]


def read_elf(content: bytes) -> Elf:
    """Reads a linked program.

    Raises:
        CompiledRunError: it is no such file, or is cut off.
    """
    try:
        if content[:6] != b"\x7fELF\x01\x01":
            raise ValueError("it is no ELF with 32 bits, little-endian")
        return _read(content)
    except (ValueError, struct.error, IndexError) as error:
        raise CompiledRunError("compiled program", f"cannot be read: {error}") from error


def _read(content: bytes) -> Elf:
    (start,) = struct.unpack_from("<I", content, 32)
    width, count = struct.unpack_from("<HH", content, 46)
    headers = [struct.unpack_from("<10I", content, start + width * i) for i in range(count)]
    sizes = dict.fromkeys(("code", "constant", "written", "zeroed"), 0)
    symbols: dict[str, Symbol] = {}
    variables: set[tuple[int, int]] = set()  # a variable may have several names
    writable = {i for i, one in enumerate(headers) if one[2] & _ALLOCATE and one[2] & _WRITE}
    thumb = struct.unpack_from("<H", content, 18)[0] == _ARM
    for _, kind, flags, _, offset, size, link, _, _, entry in headers:
        if flags & _ALLOCATE:
            kept = "code" if flags & _EXECUTE else "written" if flags & _WRITE else "constant"
            sizes["zeroed" if kind == _NO_BITS else kept] += size
        if kind == _SYMBOLS:
            names = headers[link][4]
            for at in range(offset, offset + size, entry):
                name, value, length, info = struct.unpack_from("<IIIB", content, at)
                (section,) = struct.unpack_from("<H", content, at + 14)
                begin = names + name
                text = content[begin : content.index(b"\0", begin)].decode(errors="replace")
                if section in writable:
                    variables.add((value, length))
                function = info & 15 == _FUNCTION
                symbols[text] = Symbol(value & ~1 if thumb and function else value, length)
    return Elf(**sizes, variables=sum(size for _, size in variables), symbols=symbols)


_ARM, _FUNCTION = 40, 2  # e_machine; type of a symbol
