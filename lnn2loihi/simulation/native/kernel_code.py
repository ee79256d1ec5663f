"""Generates the C text of the matrix kernels for one instruction-set level.

Messages of a block of LANES sequences (a constant of the text) lie as pairs of int16 rows,
[pair][lane][2], so that one multiply-add of 16-bit pairs takes two columns of a weight row.
Accumulators are named variables: compilers spill arrays of vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Sequences of a block where there are enough, and of narrower ones.
LANES = 64
NARROW = (32, 16, 8)
#: Blocks of so many lanes or fewer update all neurons of a population as one array. Wider ones hide
#: what an operation takes by lanes of their own, and have constants where these have arrays.
FLAT_LANES = 16
#: Blocks of so many lanes or fewer multiply two tiles of dense rows at once.
TWIN_LANES = 8


@dataclass(frozen=True)
class Level:
    """An instruction-set level.

    Attributes:
        name: its name.
        flags: compiler flags.
        needs: CPU flags as Linux names them.
        vector: whether it has vectors; else all is plain C.
        lanes: 32-bit lanes of a vector.
        vectors: vectors of a row that a tile keeps in registers.
    """

    name: str
    flags: tuple[str, ...]
    needs: frozenset[str]
    vector: bool
    lanes: int
    vectors: int


#: Best first.
LEVELS = (
    Level(
        "avx512vnni",
        ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mfma",
         "-mprefer-vector-width=512"),
        frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"}),
        True, 16, 4,
    ),
    Level("avx2", ("-mavx2", "-mfma"), frozenset({"avx2", "fma"}), True, 8, 4),
    Level("plain", (), frozenset(), False, 1, 1),
)  # fmt: skip
#: Vectors of rows that the kernel for single sequences keeps in registers.
ROW_VECTORS = (1, 2, 3, 4, 5, 6, 7, 8)
#: Neurons are padded to this number in the layout for single sequences.
ROW_LANES = 16
#: Rows of a tile. Three gates of two neurons fill the registers of AVX-512, one neuron AVX2's.
TILE_ROWS = (1, 2, 3, 4, 5, 6)


@dataclass(frozen=True)
class _Vectors:
    """A type of vectors and what is done with them; `multiply_add` adds products of pairs."""

    type: str
    lanes: int
    multiply_add: str

    @property
    def _prefix(self) -> str:
        return f"_mm{32 * self.lanes}"

    def load(self, place: str) -> str:
        """The vector that lies there."""
        return f"{self._prefix}_loadu_si{32 * self.lanes}((const void *)({place}))"

    def store(self, place: str, value: str) -> str:
        """Puts a vector there."""
        return f"{self._prefix}_storeu_si{32 * self.lanes}((void *)({place}), {value})"

    def broadcast(self, value: str) -> str:
        """A vector of one value."""
        return f"{self._prefix}_set1_epi32({value})"

    def add(self, a: str, b: str) -> str:
        """The sum of two."""
        return f"{self._prefix}_add_epi32({a}, {b})"

    @property
    def zero(self) -> str:
        """A vector of zeros."""
        return f"{self._prefix}_setzero_si{32 * self.lanes}()"


_VECTORS = {
    "avx512vnni": _Vectors("__m512i", 16, "_mm512_dpwssd_epi32({0}, {1}, {2})"),
    "avx2": _Vectors("__m256i", 8, "_mm256_add_epi32({0}, _mm256_madd_epi16({1}, {2}))"),
}
#: For blocks that are narrower than a vector of the level.
_HALF_VECTORS = {"avx512vnni": _Vectors("__m256i", 8, "_mm256_dpwssd_epi32({0}, {1}, {2})")}
#: Accumulators that hide the latency of a multiply-add; with fewer, two pairs take turns.
_ENOUGH = 8

_PLAIN = """\
static void tile_{rows}(const int32_t *restrict weights, const int32_t *restrict columns,
                        int pairs, const int16_t *restrict messages, int32_t *restrict sums,
                        const int64_t *restrict to)
{{
    for (int row = 0; row < {rows}; row++)
        memset(sums + to[row], 0, LANES * sizeof *sums);
    for (int k = 0; k < pairs; k++) {{
        const int16_t *restrict m = messages + (size_t)columns[k] * 2 * LANES;
        for (int row = 0; row < {rows}; row++) {{
            const int32_t w0 = (int16_t)(weights[k * {rows} + row] & 0xffff);
            const int32_t w1 = weights[k * {rows} + row] >> 16;
            int32_t *restrict sum = sums + to[row];
            for (int lane = 0; lane < LANES; lane++)
                sum[lane] += w0 * m[2 * lane] + w1 * m[2 * lane + 1];
        }}
    }}
}}
"""


def has_twins(level: Level, lanes: int) -> bool:
    """Whether two tiles of the same columns are multiplied at once: where the accumulators of one
    leave most registers free, messages are then loaded half as often.
    """
    return level.vector and lanes <= TWIN_LANES


def tile_function(level: Level, rows: int, lanes: int, tiles: int = 1) -> str:
    """C text of `tile_<rows>`, or `twin_<rows>` for two tiles one after the other: the sums of
    their rows over listed pairs of columns, each row's lanes from sums + to[row] on.
    """
    if not level.vector:
        return _PLAIN.format(rows=rows)
    known = _VECTORS if lanes >= level.lanes else _HALF_VECTORS
    vector = known[level.name]
    vectors = min(level.vectors, lanes // vector.lanes)
    width = vector.lanes * vectors
    names = [(r, v) for r in range(rows * tiles) for v in range(vectors)]
    turns = ("", "_odd") if len(names) <= _ENOUGH else ("",)

    def pair(offset: int, turn: str) -> list[str]:
        """One pair of columns, the one at k + offset, added to the accumulators of a turn."""
        lines = [
            "            {",
            f"            const int16_t *m = messages + (size_t)columns[k + {offset}] * 2 * LANES;",
            "            m += 2 * first;",
        ]
        for tile in range(tiles):
            place = f"{tile} * (size_t)pairs + k + {offset}"
            lines.append(f"            const int32_t *t{tile} = weights + ({place}) * {rows};")
        for v in range(vectors):
            value = vector.load(f"m + {2 * v * vector.lanes}")
            lines.append(f"            const {vector.type} m{v} = {value};")
        for r in range(rows * tiles):
            value = vector.broadcast(f"t{r // rows}[{r % rows}]")
            lines.append(f"            const {vector.type} w{r} = {value};")
            for v in range(vectors):
                to = f"a{r}_{v}{turn}"
                value = vector.multiply_add.format(to, f"m{v}", f"w{r}")
                lines.append(f"            {to} = {value};")
        return [*lines, "            }"]

    lines = [
        f"static void {('tile', 'twin')[tiles - 1]}_{rows}(const int32_t *restrict weights,",
        "    const int32_t *restrict columns, int pairs, const int16_t *restrict messages,",
        "    int32_t *restrict sums, const int64_t *restrict to)",
        "{",
        f"    for (int group = 0; group < {lanes // width}; group++) {{",
        f"        const int first = group * {width};",
        "        int k = 0;",
    ]
    lines += [
        f"        {vector.type} a{r}_{v}{turn} = {vector.zero};" for r, v in names for turn in turns
    ]
    if len(turns) > 1:
        lines += ["        for (; k + 1 < pairs; k += 2) {", *pair(0, ""), *pair(1, "_odd")]
        lines.append("        }")
    lines += ["        for (; k < pairs; k++) {", *pair(0, ""), "        }"]
    for r, v in names:
        place = f"sums + to[{r}] + first + {v * vector.lanes}"
        total = f"a{r}_{v}"
        total = vector.add(total, f"{total}_odd") if len(turns) > 1 else total
        lines.append(f"        {vector.store(place, total)};")
    return "\n".join([*lines, "    }", "}", ""])


_PLAIN_ROWS = """\
static void rows_{vectors}(const int32_t *restrict weights, const int32_t *restrict columns,
                           int pairs, const int16_t *restrict messages, int32_t *restrict sums)
{{
    memset(sums, 0, {rows} * sizeof *sums);
    for (int k = 0; k < pairs; k++) {{
        const int16_t *restrict m = messages + 2 * (size_t)columns[k];
        for (int row = 0; row < {rows}; row++) {{
            const int32_t w = weights[(size_t)k * {rows} + row];
            sums[row] += (int32_t)(int16_t)(w & 0xffff) * m[0] + (w >> 16) * m[1];
        }}
    }}
}}
"""


def rows_function(level: Level, vectors: int) -> str:
    """C text of `rows_<vectors>`: sums of `vectors` vectors of rows for one sequence."""
    if not level.vector:
        return _PLAIN_ROWS.format(vectors=vectors, rows=vectors * row_vector_lanes(level))
    vector = _VECTORS[level.name]
    signature = (
        f"static void rows_{vectors}(const int32_t *restrict weights, "
        "const int32_t *restrict columns,\n                   int pairs, "
        "const int16_t *restrict messages, int32_t *restrict sums)"
    )
    lines = [signature, "{"]
    lines += [f"    {vector.type} a{v} = {vector.zero};" for v in range(vectors)]
    lines += [
        "    for (int k = 0; k < pairs; k++) {",
        "        int32_t pair;",
        "        memcpy(&pair, messages + 2 * (size_t)columns[k], sizeof pair);",
        f"        const {vector.type} m = {vector.broadcast('pair')};",
        f"        const int32_t *w = weights + (size_t)k * {vectors * vector.lanes};",
    ]
    for v in range(vectors):
        loaded = vector.load(f"w + {v * vector.lanes}")
        lines.append(f"        a{v} = {vector.multiply_add.format(f'a{v}', loaded, 'm')};")
    lines.append("    }")
    lines += [f"    {vector.store(f'sums + {v * vector.lanes}', f'a{v}')};" for v in range(vectors)]
    return "\n".join([*lines, "}", ""])


def row_vector_lanes(level: Level) -> int:
    """Rows of one vector of the kernel for single sequences."""
    return level.lanes if level.vector else ROW_LANES
