"""A check that an owner of any part runs in a minute: recorded answers, and what compares them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from lnn2loihi.converters.c99.state import StateStruct
from lnn2loihi.converters.c99.text import comment, indented
from lnn2loihi.converters.c99.types import literal, type_of
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import simulate

#: What a self-test holds beside hashes: nothing, or inputs and outputs.
SelfTest = Literal["none", "hash", "vectors"]
#: Samples of a self-test.
SAMPLES = 64
#: Where the generator of inputs begins (xorshift32: G. Marsaglia, "Xorshift RNGs", 2003).
_SEED = 2463534242
_WORD = 0xFFFFFFFF
#: The offset and the prime of 32-bit FNV-1 (Fowler, Noll, Vo), and of a second hash beside it,
#: which turns before it multiplies (by 2**32 / golden ratio).
_HASHES = (2166136261, 0x9E3779B9)
_PRIMES = (16777619, 0x9E3779B1)
_NUMBERS_A_LINE = 8


def selftest_source(
    program: LoihiProgram, state: StateStruct, prefix: str, kind: SelfTest, header: str
) -> str:
    """The C file of a self-test, recorded on the reference executor.

    Args:
        program: what is tested.
        state: the struct of its state.
        prefix: of its names.
        kind: "hash", or "vectors" where inputs and outputs are recorded too.
        header: name of the header file that it includes.

    Raises:
        InputError: the program is too large for the reference executor.
    """
    samples = _inputs(program)
    given: dict[str, Any] = {"timespans": samples[None, :, -1]} if program.timed else {}
    x = samples[None, :, : program.channels]
    run = simulate(program, x, "reference", encoded=True, return_states=True, **given)
    outputs, states = run.integers[0], run.states
    assert states is not None
    words = [states[population][word][0] for population, word in state.words]
    hashes = _hashes(np.concatenate([*words, outputs], axis=1))
    loops = [
        line
        for (population, word), member in state.words.items()
        for line in (
            f"/* {comment(f'{population}: {word}')} */",
            f"for (i = 0; i < {member.size}; i++) {{",
            f"    mix(hash, (uint32_t)(int32_t)net->{member.name}[i]);",
            "}",
        )
    ]
    upper = prefix.upper()
    recorded = kind == "vectors"
    return _SOURCE.format(
        prefix=prefix, upper=upper, header=header, samples=SAMPLES, loops=indented(loops),
        first=literal_unsigned(_HASHES[0]), second=literal_unsigned(_HASHES[1]),
        prime=literal_unsigned(_PRIMES[0]), other=literal_unsigned(_PRIMES[1]),
        expected=_numbers([f"{literal_unsigned(int(one))}" for one in hashes[:, 0]]),
        last=literal_unsigned(int(hashes[-1, 1])),
        vectors=_vectors(prefix, samples, outputs) if recorded else _generator(program, upper),
        take="taken(sample, input);" if recorded else "draw(&random, input);",
        random="" if recorded else f"    uint32_t random = {literal_unsigned(_SEED)};\n",
        compare=_COMPARE.format(upper=upper) if recorded else "",
    )  # fmt: skip


def literal_unsigned(value: int) -> str:
    """A constant of 32 bits without a sign, of which `long` may be the type that holds it."""
    return f"0x{value:08X}UL"


def _inputs(program: LoihiProgram) -> IntegerArray:
    """Inputs (samples, channels) as the generator in C draws them."""
    low, high = (
        np.asarray(end, np.int64).tolist() for end in (program.input.low, program.input.high)
    )
    random, drawn = _SEED, list[list[int]]()
    for _ in range(SAMPLES):
        row: list[int] = []
        for least, most in zip(low, high, strict=True):
            random ^= (random << 13) & _WORD
            random ^= random >> 17
            random ^= (random << 5) & _WORD
            mask = (1 << (most - least).bit_length()) - 1
            value = least + ((random >> 3) & mask)
            row.append(least if not random & 7 else min(value, most))
        drawn.append(row)
    return np.array(drawn, np.int64)


def _hashes(values: IntegerArray) -> IntegerArray:
    """Both hashes after each sample, (samples, 2), of words (samples, words)."""
    first, second = _HASHES
    found: list[tuple[int, int]] = []
    for row in (values & _WORD).tolist():
        for word in row:
            first = ((first ^ word) * _PRIMES[0]) & _WORD
            turned = ((second << 5) & _WORD) | (second >> 27)
            second = ((turned ^ word) * _PRIMES[1]) & _WORD
        found.append((first, second))
    return np.array(found, np.int64)


def _numbers(texts: list[str]) -> str:
    lines = [
        "    " + ", ".join(texts[at : at + _NUMBERS_A_LINE])
        for at in range(0, len(texts), _NUMBERS_A_LINE)
    ]
    return ",\n".join(lines)


def _generator(program: LoihiProgram, upper: str) -> str:
    port = program.input
    masks = [(1 << int(n).bit_length()) - 1 for n in port.high.astype(np.int64) - port.low]
    return _GENERATOR.format(
        upper=upper,
        low=_numbers([literal(int(n)) for n in port.low]),
        high=_numbers([literal(int(n)) for n in port.high]),
        mask=_numbers([f"{mask}UL" for mask in masks]),
    )


def _vectors(prefix: str, samples: IntegerArray, outputs: IntegerArray) -> str:
    tables = [
        _TABLE.format(
            kind=type_of(int(values.min()), int(values.max())), name=name, count=values.size,
            numbers=_numbers([literal(int(n)) for n in values.ravel()]),
        )
        for name, values in (("inputs", samples), ("outputs", outputs))
    ]  # fmt: skip
    return "\n".join([*tables, _TAKEN.format(upper=prefix.upper())])


_TABLE = "static const {kind} {name}[{count}] = {{\n{numbers}\n}};\n"
_TAKEN = """\
static void taken(int32_t sample, int32_t *input)
{{
    int32_t i;
    for (i = 0; i < {upper}_INPUTS; i++) {{
        input[i] = inputs[(sample * {upper}_INPUTS) + i];
    }}
}}
"""
_COMPARE = """\
        for (i = 0; i < {upper}_OUTPUTS; i++) {{
            if (output[i] != outputs[(sample * {upper}_OUTPUTS) + i]) {{
                return (int)sample + 1;
            }}
        }}
"""
_GENERATOR = """\
static const int32_t lowest[{upper}_INPUTS] = {{
{low}
}};
static const int32_t highest[{upper}_INPUTS] = {{
{high}
}};
static const uint32_t masks[{upper}_INPUTS] = {{
{mask}
}};

/* Inputs from their whole range, its ends more often than others (xorshift32). */
static void draw(uint32_t *random, int32_t *input)
{{
    int32_t i;
    for (i = 0; i < {upper}_INPUTS; i++) {{
        int32_t value;
        *random ^= *random << 13;
        *random ^= *random >> 17;
        *random ^= *random << 5;
        value = lowest[i] + (int32_t)((*random >> 3) & masks[i]);
        if ((*random & 7U) == 0U) {{
            value = lowest[i];
        }}
        input[i] = (value > highest[i]) ? highest[i] : value;
    }}
}}
"""
_SOURCE = """\
/* Compares {samples} samples with what lnn2loihi's reference executor answered: outputs, and every
   word of the state. {prefix}_selftest() returns 0 where all are equal, else the number of the
   first sample that differs, counted from 1. With {upper}_SELFTEST_MAIN defined, main() does so. */
#include "{header}"

int {prefix}_selftest(void);

{vectors}
/* What the first hash is after each sample, and the second one at the end. */
static const uint32_t expected[{samples}] = {{
{expected}
}};
static const uint32_t expected_last = {last};

static void mix(uint32_t *hash, uint32_t word)
{{
    hash[0] = (uint32_t)((hash[0] ^ word) * {prime});
    hash[1] = (uint32_t)((hash[1] << 5) | (hash[1] >> 27));
    hash[1] = (uint32_t)((hash[1] ^ word) * {other});
}}

static void mix_state(uint32_t *hash, const {prefix}_state *net)
{{
    int32_t i;
{loops}
}}

int {prefix}_selftest(void)
{{
    static {prefix}_state net;
    static int32_t input[{upper}_INPUTS];
    static int32_t output[{upper}_OUTPUTS];
    uint32_t hash[2] = {{{first}, {second}}};
{random}    int32_t sample;
    int32_t i;
    {prefix}_reset(&net);
    for (sample = 0; sample < {samples}; sample++) {{
        {take}
        {prefix}_step(&net, input, output);
        mix_state(hash, &net);
        for (i = 0; i < {upper}_OUTPUTS; i++) {{
            mix(hash, (uint32_t)output[i]);
        }}
{compare}        if (hash[0] != expected[sample]) {{
            return (int)sample + 1;
        }}
    }}
    return (hash[1] != expected_last) ? {samples} : 0;
}}

#ifdef {upper}_SELFTEST_MAIN
#include <stdio.h>

int main(void)
{{
    const int first = {prefix}_selftest();
    if (first == 0) {{
        (void)printf("{prefix}: {samples} samples, 0 differ\\n");
    }} else {{
        (void)printf("{prefix}: sample %d differs\\n", first);
    }}
    return (first == 0) ? 0 : 1;
}}
#endif
"""
