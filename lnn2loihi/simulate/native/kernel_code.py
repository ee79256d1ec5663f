"""Generates the C text of the matrix kernels for one instruction-set level.

Messages of a block of LANES sequences lie as pairs of int16 rows, [pair][lane][2], so that one
multiply-add of 16-bit pairs takes two columns of a weight row. Accumulators are named variables:
compilers spill arrays of vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Sequences of a block.
LANES = 64


@dataclass(frozen=True)
class Level:
    """An instruction-set level.

    Attributes:
        name: its name.
        flags: compiler flags.
        needs: CPU flags as Linux names them.
        vector: C type of a vector, or "" for plain C.
        lanes: 32-bit lanes of a vector.
        vectors: vectors of a row that a tile keeps in registers.
    """

    name: str
    flags: tuple[str, ...]
    needs: frozenset[str]
    vector: str
    lanes: int
    vectors: int


#: Best first.
LEVELS = (
    Level(
        "avx512vnni",
        ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mfma",
         "-mprefer-vector-width=512"),
        frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"}),
        "__m512i", 16, 4,
    ),
    Level("avx2", ("-mavx2", "-mfma"), frozenset({"avx2", "fma"}), "__m256i", 8, 4),
    Level("plain", (), frozenset(), "", 1, 1),
)  # fmt: skip
#: Vectors of rows that the kernel for single sequences keeps in registers.
ROW_VECTORS = (1, 2, 3, 4, 5, 6, 7, 8)
#: Neurons are padded to this number in the layout for single sequences.
ROW_LANES = 16
#: Rows of a tile. Three gates of two neurons fill the registers of AVX-512, one neuron AVX2's.
TILE_ROWS = (1, 2, 3, 4, 5, 6)

_OPERATIONS = {
    "avx512vnni": (
        "_mm512_loadu_si512((const void *)({0}))",
        "_mm512_storeu_si512((void *)({0}), {1})",
        "_mm512_set1_epi32({0})",
        "_mm512_setzero_si512()",
        "_mm512_dpwssd_epi32({0}, {1}, {2})",
    ),
    "avx2": (
        "_mm256_loadu_si256((const __m256i *)({0}))",
        "_mm256_storeu_si256((__m256i *)({0}), {1})",
        "_mm256_set1_epi32({0})",
        "_mm256_setzero_si256()",
        "_mm256_add_epi32({0}, _mm256_madd_epi16({1}, {2}))",
    ),
}

_PLAIN = """\
static void tile_{rows}(const int32_t *restrict weights, const int32_t *restrict columns,
                        int pairs, const int16_t *restrict messages, int32_t *restrict sums)
{{
    memset(sums, 0, {rows} * LANES * sizeof *sums);
    for (int k = 0; k < pairs; k++) {{
        const int16_t *restrict m = messages + (size_t)columns[k] * 2 * LANES;
        for (int row = 0; row < {rows}; row++) {{
            const int32_t w0 = (int16_t)(weights[k * {rows} + row] & 0xffff);
            const int32_t w1 = weights[k * {rows} + row] >> 16;
            int32_t *restrict to = sums + row * LANES;
            for (int lane = 0; lane < LANES; lane++)
                to[lane] += w0 * m[2 * lane] + w1 * m[2 * lane + 1];
        }}
    }}
}}
"""


def tile_function(level: Level, rows: int) -> str:
    """C text of `tile_<rows>`: sums[row][lane] of `rows` rows over listed pairs of columns."""
    if not level.vector:
        return _PLAIN.format(rows=rows)
    load, store, broadcast, zero, multiply_add = _OPERATIONS[level.name]
    groups = LANES // (level.lanes * level.vectors)
    names = [(r, v) for r in range(rows) for v in range(level.vectors)]
    lines = [
        f"static void tile_{rows}(const int32_t *restrict weights,",
        "    const int32_t *restrict columns, int pairs, const int16_t *restrict messages,",
        "    int32_t *restrict sums)",
        "{",
        f"    for (int group = 0; group < {groups}; group++) {{",
        f"        const int first = group * {level.lanes * level.vectors};",
    ]
    lines += [f"        {level.vector} a{r}_{v} = {zero};" for r, v in names]
    lines += [
        "        for (int k = 0; k < pairs; k++) {",
        "            const int16_t *m = messages + (size_t)columns[k] * (2 * LANES) + 2 * first;",
        f"            const int32_t *w = weights + (size_t)k * {rows};",
    ]
    for v in range(level.vectors):
        lines.append(
            f"            const {level.vector} m{v} = {load.format(f'm + {2 * v * level.lanes}')};"
        )
    for r in range(rows):
        lines.append(f"            const {level.vector} w{r} = {broadcast.format(f'w[{r}]')};")
        for v in range(level.vectors):
            value = multiply_add.format(f"a{r}_{v}", f"m{v}", f"w{r}")
            lines.append(f"            a{r}_{v} = {value};")
    lines.append("        }")
    for r, v in names:
        place = f"sums + {r} * LANES + first + {v * level.lanes}"
        lines.append(f"        {store.format(place, f'a{r}_{v}')};")
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
    load, store, broadcast, zero, multiply_add = _OPERATIONS[level.name]
    signature = (
        f"static void rows_{vectors}(const int32_t *restrict weights, "
        "const int32_t *restrict columns,\n                   int pairs, "
        "const int16_t *restrict messages, int32_t *restrict sums)"
    )
    lines = [signature, "{"]
    lines += [f"    {level.vector} a{v} = {zero};" for v in range(vectors)]
    lines += [
        "    for (int k = 0; k < pairs; k++) {",
        "        int32_t pair;",
        "        memcpy(&pair, messages + 2 * (size_t)columns[k], sizeof pair);",
        f"        const {level.vector} m = {broadcast.format('pair')};",
        f"        const int32_t *w = weights + (size_t)k * {vectors * level.lanes};",
    ]
    for v in range(vectors):
        value = multiply_add.format(f"a{v}", load.format(f"w + {v * level.lanes}"), "m")
        lines.append(f"        a{v} = {value};")
    lines.append("    }")
    lines += [f"    {store.format(f'sums + {v * level.lanes}', f'a{v}')};" for v in range(vectors)]
    return "\n".join([*lines, "}", ""])


def row_vector_lanes(level: Level) -> int:
    """Rows of one vector of the kernel for single sequences."""
    return level.lanes if level.vector else ROW_LANES
