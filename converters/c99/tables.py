"""Tables of constants: the narrowest type, bits side by side where that pays, equal ones once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.c99.names import Names
from lnn2loihi.converters.c99.text import comment as harmless
from lnn2loihi.converters.c99.types import BYTES, type_of
from lnn2loihi.formats import IntegerArray

#: Numbers in a line of a table.
_LINE = 16
#: What packing has to save before it pays: about what its accesses cost in Thumb code, measured.
PACKING_PAYS = 96

#: Reads one number of a table whose numbers lie side by side, bit by bit.
FIELD = """\
/* Number `index` of a table whose numbers of `width` bits (at most 25) lie side by side. */
static int32_t field(const uint8_t *table, int32_t index, int32_t width)
{
    const uint32_t bit = (uint32_t)index * (uint32_t)width;
    const uint8_t *const byte = &table[bit >> 3];
    const uint32_t word = (uint32_t)byte[0] | ((uint32_t)byte[1] << 8)
        | ((uint32_t)byte[2] << 16) | ((uint32_t)byte[3] << 24);
    return (int32_t)((word >> (bit & 7U)) & (((uint32_t)1U << width) - 1U));
}
"""


@dataclass(frozen=True)
class Table:
    """A table that C code reads.

    Attributes:
        name: of the table.
        width: bits of a number where they lie side by side; 0 where each has a word of its own.
        low: what is added to such a number.
    """

    name: str
    width: int = 0
    low: int = 0

    def at(self, index: str) -> str:
        """The expression of one number."""
        if not self.width:
            return f"{self.name}[{index}]"
        added = f" + {self.low}" if self.low > 0 else f" - {-self.low}" if self.low < 0 else ""
        return f"(field({self.name}, {index}, {self.width}){added})"


class Tables:
    """All tables of a file.

    Args:
        names: of the file's scope.
        packing: whether numbers may lie side by side.
    """

    def __init__(self, names: Names, packing: bool) -> None:
        self._names, self._packing = names, packing
        self._known: dict[tuple[Any, ...], Table] = {}
        self._texts: list[str] = []
        #: Whether `field` is called.
        self.reads_fields = False

    def add(
        self, name: str, values: npt.ArrayLike, comment: str = "", at_least: str = "int8_t"
    ) -> Table:
        """A table of whole numbers, (n,), each as wide as a type at least where they are not
        packed.
        """
        numbers = np.asarray(values, np.int64)
        low, high = int(numbers.min()), int(numbers.max())
        width = max((high - low).bit_length(), 1)
        plain, packed = numbers.size * BYTES[type_of(low, high)], -(-numbers.size * width // 8) + 3
        pays = self._packing and width <= 25 and plain - packed > PACKING_PAYS
        kind = max(type_of(low, high), at_least, key=BYTES.__getitem__)  # signs as they are
        key = (pays, kind, numbers.tobytes())
        if key not in self._known:
            given = self._names.give(name)
            if pays:
                self.reads_fields = True
                told = f"{comment or name}: less {low}, {width} bits each"
                content = side_by_side(numbers - low, width, padding=3)
                self._write(given, "uint8_t", content.tolist(), told)
                self._known[key] = Table(given, width, low)
            else:
                self._write(given, kind, numbers.tolist(), comment)
                self._known[key] = Table(given)
        return self._known[key]

    def add_bytes(self, name: str, kind: str, values: npt.ArrayLike, comment: str) -> str:
        """The name of a table of a given type."""
        numbers = np.asarray(values, np.int64)
        key = (kind, numbers.tobytes())
        if key not in self._known:
            given = self._names.give(name)
            self._write(given, kind, numbers.ravel().tolist(), comment)
            self._known[key] = Table(given)
        return self._known[key].name

    def _write(self, name: str, kind: str, numbers: Sequence[int], comment: str) -> None:
        lines = [
            "    " + ", ".join(map(str, numbers[at : at + _LINE]))
            for at in range(0, len(numbers), _LINE)
        ]
        head = f"/* {harmless(comment)} */\n" if comment else ""
        self._texts.append(
            f"{head}static const {kind} {name}[{len(numbers)}] = {{\n" + ",\n".join(lines) + "\n};"
        )

    def texts(self) -> list[str]:
        """The definitions."""
        return list(self._texts)


def side_by_side(numbers: IntegerArray, width: int, padding: int = 0) -> IntegerArray:
    """Numbers from 0 below 2**width, (..., n), as bytes, (..., bytes): the first number in the
    lowest bits, so many bytes of padding at the end.
    """
    bits = (numbers[..., None] >> np.arange(width)) & 1
    stream = bits.reshape(*numbers.shape[:-1], -1)
    rest = -stream.shape[-1] % 8 + 8 * padding
    stream = np.pad(stream, [(0, 0)] * (numbers.ndim - 1) + [(0, rest)])
    return np.packbits(stream.astype(np.uint8), axis=-1, bitorder="little").astype(np.int64)
