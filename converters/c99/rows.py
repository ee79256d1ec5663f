"""What connections add to the sums of a neuron, in C: rows of weights that lie side by side.

Rows are held in one of two forms, whichever takes fewer bytes (goal "size") or less work ("speed").
In windows, each neuron hears sources that follow each other, from its own first one on, and 0
stands where there is no synapse: a dense matrix is one window over all sources, what hears its own
block or one source alone a narrow one. In lists, each synapse names its source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lnn2loihi.converters.c99.names import Names
from lnn2loihi.converters.c99.state import Member
from lnn2loihi.converters.c99.tables import PACKING_PAYS, Tables, side_by_side
from lnn2loihi.converters.c99.text import KEPT_LOOP, SHORT
from lnn2loihi.converters.c99.types import BYTES, type_of
from lnn2loihi.formats import IntegerArray, bits_needed
from lnn2loihi.program import Connection

#: Largest matrix that is looked at as windows.
_LARGEST = 1 << 24
#: How many weights of a window are multiplied while one of a list is, and how many more a row
#: costs: vectors against single numbers.
_LANES, _ROW = 6, 6
#: Sources of a vector, to multiples of which a window is filled up if it has more than a few.
_VECTOR, _FEW = 16, 4


@dataclass
class Summing:
    """C text that adds what one connection brings to the sums of neuron i.

    Attributes:
        before: statements before the loop over neurons.
        lines: statements for neuron i.
        functions: functions of the file that they call, by name.
        arrays: declarations of arrays on the stack, each with its bytes.
    """

    before: list[str]
    lines: list[str]
    functions: dict[str, str]
    arrays: list[tuple[str, int]] = field(default_factory=list)


class RowWriter:
    """Writes the sums of connections.

    Args:
        tables: of the file.
        speed: whether loops stand in place and unpacked, instead of in functions that all share.
    """

    def __init__(self, tables: Tables, speed: bool) -> None:
        self._tables, self._speed = tables, speed

    def write(
        self, c: Connection, label: str, source: Member, sums: Mapping[str, str], names: Names
    ) -> Summing:
        """The text of one connection.

        Args:
            c: the connection.
            label: what its tables are called.
            source: the member that holds the messages that it carries.
            sums: for each accumulator that is wanted the place of its sum.
            names: of the function.
        """
        rows = _Rows.of(c, [a for a in c.accumulators if a in sums])
        if not rows.weights.size:
            return Summing([], [], {})
        windows = _Windows.of(rows)
        if windows is not None and self._prefers(windows, rows):
            return self._windowed(windows, rows, label, source, sums, names)
        return self._listed(rows, label, source, sums, names)

    def _prefers(self, windows: _Windows, rows: _Rows) -> bool:
        if self._speed:
            count = len(rows.counts)
            return count * windows.width <= _LANES * rows.weights.size + _ROW * count
        first = windows.first
        tabled = np.unique(np.diff(first)).size > 1
        starts = first.size * BYTES[type_of(0, int(first.max()))] * tabled
        bits = rows.bits if rows.bits < 8 else 8
        dense = rows.counts.size * -(-windows.width * bits // 8) + starts
        most = max(int(rows.counts.max()), 1).bit_length()
        column = max(int(rows.columns.max()), 1).bit_length()
        listed = (rows.counts.size * most + rows.weights.size * (rows.bits + column)) // 8
        return dense <= listed + 32  # the loop of a list stands in place

    def _windowed(
        self, windows: _Windows, rows: _Rows, label: str, source: Member,
        sums: Mapping[str, str], names: Names,
    ) -> Summing:  # fmt: skip
        width, gates = windows.width, rows.accumulators
        heard = f"net->{source.name}"
        heard = self._first_heard(windows.first, heard, label)
        power = f" * {1 << rows.exponent}" if rows.exponent else ""
        if self._speed:
            return self._fused(windows, rows, label, source, heard, sums, names)
        dense = windows.weights.reshape(-1, width)
        told = f"{label}: for each neuron a row of {width} weights of each of {', '.join(gates)}"
        bits = rows.bits
        packed = side_by_side(dense + (1 << (bits - 1)), bits) if bits < 8 else dense
        pays = bits < 8 and dense.size - packed.size > PACKING_PAYS
        length = packed.shape[1] if pays else width
        if pays:
            told += f", plus {1 << (bits - 1)}, {bits} bits each"
            table = self._tables.add_bytes(f"{label}_weights", "uint8_t", packed, told)
        else:
            table = self._tables.add_bytes(f"{label}_weights", "int8_t", dense, told)
        way = ("nibbles_" if bits == 4 else "packed_") * pays
        name = f"sum_{way}{source.kind[:-2]}"
        more = f", {bits}" if way == "packed_" else ""
        lines = []
        for place, gate in enumerate(gates):
            row = f"({len(gates)} * i) + {place}" if place else f"{len(gates)} * i"
            row = "i" if len(gates) == 1 else row
            start = f"&{table}[({row}) * {length}]" if " " in row else f"&{table}[{row} * {length}]"
            lines.append(f"{sums[gate]} += {name}({start}, {heard}, {width}{more}){power};")
        text = _SUMS[way].format(name=name, kind=source.kind)
        return Summing([], lines, {name: text})

    def _first_heard(self, first: IntegerArray, heard: str, label: str) -> str:
        """The expression of where a neuron's window begins."""
        start, steps = int(first[0]), np.unique(np.diff(first))
        if steps.size > 1 or (steps < 0).any():
            table = self._tables.add(f"{label}_first", first, f"{label}: first source")
            return f"&{heard}[{table.at('i')}]"
        step = int(steps[0]) if steps.size else 0
        if step > 0:
            moving = "i" if step == 1 else f"i * {step}"
            return f"&{heard}[{moving}]" if not start else f"&{heard}[({moving}) + {start}]"
        return f"&{heard}[{start}]" if start else heard

    def _fused(
        self, windows: _Windows, rows: _Rows, label: str, source: Member, heard: str,
        sums: Mapping[str, str], names: Names,
    ) -> Summing:  # fmt: skip
        """One loop over a neuron's sources for all its accumulators. What all neurons hear is
        copied first, as 16 bits and filled up with zeros to whole vectors.
        """
        width, gates = windows.width, rows.accumulators
        dense = windows.weights.reshape(-1, width)
        before, arrays, kind = list[str](), list[tuple[str, int]](), source.kind
        copies = (windows.first == windows.first[0]).all() and BYTES[kind] <= 2
        if copies and kind != "uint16_t" and width > _FEW:
            wide = -(-width // _VECTOR) * _VECTOR
            dense = np.pad(dense, ((0, 0), (0, wide - width)))
            name, kind = names.give(f"{source.name}_heard"), "int16_t"
            arrays.append((f"int16_t {name}[{wide}]", 2 * wide))
            start = int(windows.first[0])
            shifted = f"j + {start}" if start else "j"
            before = [
                "{",
                "    int32_t j;",
                f"    for (j = 0; j < {width}; j++) {{",
                f"        {name}[j] = net->{source.name}[{shifted}];",
                "    }",
            ]
            if wide > width:
                before += [
                    f"    for (j = {width}; j < {wide}; j++) {{",
                    f"        {name}[j] = 0;",
                    "    }",
                ]
            before, heard, width = [*before, "}"], name, wide
        told = f"{label}: for each neuron {width} weights of each of {', '.join(gates)}"
        table = self._tables.add_bytes(f"{label}_weights", "int8_t", dense, told)
        parts = [names.give(f"part_{gate}") for gate in gates]
        lines = [
            "{",
            f"    const int8_t *const weights = &{table}[i * {len(gates) * width}];",
            f"    const {kind} *const heard = {heard};",
            *(f"    int32_t {part} = 0;" for part in parts),
            "    int32_t j;",
            *[f"    {KEPT_LOOP}"] * (_FEW < width <= SHORT),
            f"    for (j = 0; j < {width}; j++) {{",
        ]
        for place, part in enumerate(parts):
            index = f"j + {place * width}" if place else "j"
            lines.append(f"        {part} += (int32_t)weights[{index}] * heard[j];")
        power = f" * {1 << rows.exponent}" if rows.exponent else ""
        lines += ["    }"]
        lines += [f"    {sums[g]} += {part}{power};" for g, part in zip(gates, parts, strict=True)]
        return Summing(before, [*lines, "}"], {}, arrays)

    def _listed(
        self, rows: _Rows, label: str, source: Member, sums: Mapping[str, str], names: Names
    ) -> Summing:
        """A loop over the synapses of a row; rows follow each other neuron by neuron."""
        gates = rows.accumulators
        column = self._tables.add(f"{label}_source", rows.columns, f"{label}: source of a synapse")
        weight = self._tables.add(f"{label}_weights", rows.weights, f"{label}: its weight")
        power = f" * {1 << rows.exponent}" if rows.exponent else ""
        at = names.give(f"{label}_synapse")
        told = f"{label}: synapses of each row, neuron by neuron ({', '.join(gates)})"
        count = self._tables.add(f"{label}_count", rows.counts, told)
        lines: list[str] = []
        for place, gate in enumerate(gates):
            row = "i" if len(gates) == 1 else f"({len(gates)} * i) + {place}"
            lines += [
                "{",
                f"    const int32_t end = {at} + (int32_t){count.at(row)};",
                "    int32_t part = 0;",
                f"    while ({at} < end) {{",
                f"        part += (int32_t){weight.at(at)} * net->{source.name}[{column.at(at)}];",
                f"        {at}++;",
                "    }",
                f"    {sums[gate]} += part{power};",
                "}",
            ]
        return Summing([f"int32_t {at} = 0;"], lines, {})


@dataclass(frozen=True)
class _Rows:
    """Rows of the accumulators that are wanted, neuron by neuron: (neuron, accumulator) in order.

    Attributes:
        accumulators: the accumulators, in row order.
        counts: synapses of each row, int64 (neurons * accumulators,).
        columns, weights: source and mantissa of each synapse, int64.
        bits: width of the widest weight.
        exponent: left shift of their sums.
        source_size: number of sources.
    """

    accumulators: tuple[str, ...]
    counts: IntegerArray
    columns: IntegerArray
    weights: IntegerArray
    bits: int
    exponent: int
    source_size: int

    @classmethod
    def of(cls, c: Connection, wanted: Sequence[str]) -> _Rows:
        size = c.rows // len(c.accumulators)
        places = [c.accumulators.index(a) for a in wanted]
        # Row of the connection of each row here.
        order = (np.arange(size)[:, None] + size * np.array(places, np.int64)).ravel()
        starts, lengths = c.row_starts[:-1].astype(np.int64), np.diff(c.row_starts)
        counts = lengths[order].astype(np.int64)
        begins = np.cumsum(counts) - counts
        chosen = np.repeat(starts[order] - begins, counts) + np.arange(counts.sum())
        weights = c.mantissas[chosen].astype(np.int64)
        bits = max(bits_needed(int(weights.min()), int(weights.max())), 2) if weights.size else 2
        return cls(
            tuple(wanted), counts, c.columns[chosen].astype(np.int64), weights, bits, c.exponent,
            c.source_size,
        )  # fmt: skip


@dataclass(frozen=True)
class _Windows:
    """The sources of each neuron as one window.

    Attributes:
        first: first source of each neuron, int64 (neurons,).
        width: sources of a window.
        weights: int64 (neurons * accumulators * width,).
    """

    first: IntegerArray
    width: int
    weights: IntegerArray

    @classmethod
    def of(cls, rows: _Rows) -> _Windows | None:
        """None where they would be too large to be looked at."""
        gates = len(rows.accumulators)
        neurons = rows.counts.size // gates
        row = np.repeat(np.arange(rows.counts.size), rows.counts)
        low = np.full(neurons, rows.source_size, np.int64)
        high = np.zeros(neurons, np.int64)
        np.minimum.at(low, row // gates, rows.columns)
        np.maximum.at(high, row // gates, rows.columns)
        width = max(int((high - low).max()) + 1, 1)
        if rows.counts.size * width > _LARGEST:
            return None
        if 4 * width > 3 * rows.source_size:  # nearly all: no table says where each one begins
            width = rows.source_size
        first = np.minimum(low, rows.source_size - width)
        weights = np.zeros((rows.counts.size, width), np.int64)
        weights[row, rows.columns - first[row // gates]] = rows.weights
        return cls(first, width, weights.ravel())


_SUM = """\
/* The sum of weights times messages. */
static int32_t {name}(const int8_t *weights, const {kind} *messages, int32_t count)
{{
    int32_t sum = 0;
    int32_t j;
    for (j = 0; j < count; j++) {{
        sum += (int32_t)weights[j] * messages[j];
    }}
    return sum;
}}
"""
_SUM_PACKED = """\
/* The same of weights of `width` bits that lie side by side, each plus half its range. */
static int32_t {name}(
    const uint8_t *weights, const {kind} *messages, int32_t count, int32_t width)
{{
    const int32_t half = (int32_t)((uint32_t)1U << (width - 1));
    const uint32_t mask = ((uint32_t)1U << width) - 1U;
    uint32_t bits = 0U;
    int32_t held = 0;
    int32_t sum = 0;
    int32_t j;
    for (j = 0; j < count; j++) {{
        if (held < width) {{
            bits |= (uint32_t)*weights << held;
            weights++;
            held += 8;
        }}
        sum += ((int32_t)(bits & mask) - half) * messages[j];
        bits >>= width;
        held -= width;
    }}
    return sum;
}}
"""
_SUM_NIBBLES = """\
/* The same of weights of 4 bits, two in a byte, the first one in its lower half, each plus 8. */
static int32_t {name}(const uint8_t *weights, const {kind} *messages, int32_t count)
{{
    int32_t sum = 0;
    int32_t j;
    for (j = 1; j < count; j += 2) {{
        const int32_t pair = *weights;
        sum += ((pair & 15) - 8) * messages[0];
        sum += ((pair >> 4) - 8) * messages[1];
        weights++;
        messages += 2;
    }}
    if (j == count) {{
        sum += ((int32_t)(*weights & 15U) - 8) * messages[0];
    }}
    return sum;
}}
"""
_SUMS = {"": _SUM, "packed_": _SUM_PACKED, "nibbles_": _SUM_NIBBLES}
