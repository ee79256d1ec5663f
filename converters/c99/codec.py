"""Encoder and decoder in C, in files of their own: the network itself stays in integers."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from lnn2loihi.converters.c99.fixed_range import LARGEST_FRACTION, FixedRange, fixed_ranges
from lnn2loihi.converters.c99.text import comment_lines, indented
from lnn2loihi.converters.c99.types import end_literal
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.program import LoihiProgram
from lnn2loihi.version import VERSION

#: What samples and answers are: no codec, floats, or integers with fraction bits.
Codec = Literal["none", "float", "fixed"]
_log = logging.getLogger("lnn2loihi")
#: Fraction bits of samples and answers in fixed point, where nothing else is said.
FRACTION_BITS = 16
#: Bits of a factor, so that its product with 32 bits and what is added fit 64 bits.
_FACTOR_BITS = 30
_SUM_BITS = 62
_WORD = (-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True)
class Lines:
    """Straight lines (value * factor + added) >> shift, one for each channel.

    Attributes:
        factor, added, shift: whole numbers of each.
        error: how far a line is from its exact one at most, in units of what it gives.
    """

    factor: tuple[int, ...]
    added: tuple[int, ...]
    shift: tuple[int, ...]
    error: float


def codec_source(
    program: LoihiProgram,
    prefix: str,
    kind: Codec,
    fraction_bits: int,
    header: str,
    counting: bool = False,
) -> tuple[str, str]:
    """Header and C file of a codec.

    Args:
        program: whose input port and output population.
        prefix: of its names.
        kind: "float" or "fixed".
        fraction_bits: of samples and answers in fixed point.
        header: name of the header file of the network.
        counting: whether messages beyond the range of the input are handed on as they are, because
            the network counts them before it holds them.

    Raises:
        InputError: fraction bits out of range, or a channel whose gain, offset or scale leaves no
            room for them.
    """
    upper, stem = prefix.upper(), header.removesuffix(".h")
    told = f"Encoder and decoder of {prefix}: written by lnn2loihi {VERSION}."
    if kind == "float":
        head = _FLOAT_HEADER.format(
            upper=upper, prefix=prefix, told=told, header=header,
            within=comment_lines(_FLOAT_WITHIN + _held(prefix, counting) + _FLOAT_SAME),
        )  # fmt: skip
        return head, _float_text(program, prefix, f"{stem}_codec.h", _ends(program, counting))
    if not 0 <= fraction_bits <= LARGEST_FRACTION:
        raise InputError(
            "fraction_bits", f"{fraction_bits} is outside 0..{LARGEST_FRACTION}: give another"
        )
    encoder, decoder = encoder_lines(program, fraction_bits), _decoder(program, fraction_bits)
    head = _FIXED_HEADER.format(
        upper=upper, prefix=prefix, told=told, header=header, bits=fraction_bits,
        decoded=f"{decoder.error:.3g}",
        ranges=_ranges(fixed_ranges(program, fraction_bits), fraction_bits),
        within=comment_lines(
            f"Samples of {upper}_INPUTS channels as the messages of {prefix}_step: the nearest "
            f"ones, halves upwards, {_held(prefix, counting)}. Factors are rounded: before it is "
            f"rounded, a message is off by at most {encoder.error:.3g}, so that only samples as "
            "near to a half become another one."
        ),
    )  # fmt: skip
    ends = _ends(program, counting)
    return head, _fixed_text(program, prefix, f"{stem}_codec.h", encoder, decoder, ends)


def _ends(program: LoihiProgram, counting: bool) -> list[tuple[int, int]]:
    """The lowest and the highest message of each channel that an encoder makes."""
    if counting:
        return [_WORD] * program.input.size
    ends = zip(program.input.low, program.input.high, strict=True)
    return [(int(low), int(high)) for low, high in ends]


def _held(prefix: str, counting: bool) -> str:
    """Where an encoder's messages end, as a phrase."""
    return (
        f"held within 32 bits: {prefix}_step counts those beyond the range of the input, and holds "
        "them within it"
        if counting
        else "held within the range of the input"
    )


def _ranges(channels: list[FixedRange], fraction_bits: int) -> str:
    """A comment on what each channel reaches, after a warning of those that it does not serve."""
    faulty = [channel.sentence() for channel in channels if channel.fault]
    if faulty:
        _log.warning(
            "the codec in fixed point with %d fraction bits does not serve %d of %d channels: %s",
            fraction_bits, len(faulty), len(channels), "; ".join(faulty),
        )  # fmt: skip
    told = [f"{channel.sentence()}." for channel in channels]
    return comment_lines(
        "What the channels stand for, from the lowest message to the highest.", *told
    )


def _float_text(
    program: LoihiProgram, prefix: str, header: str, ends: list[tuple[int, int]]
) -> str:
    port, out = program.input, program.output_population
    inputs = [
        f"{{{float(o).hex()}, {float(g).hex()}, {end_literal(low)}, {end_literal(high)}}}"
        for o, g, (low, high) in zip(port.offset, port.gain, ends, strict=True)
    ]
    outputs = [
        f"{{{float(s).hex()}, {float(o).hex()}}}"
        for s, o in zip(out.scale, out.offset, strict=True)
    ]
    return _FLOAT.format(
        prefix=prefix, upper=prefix.upper(), header=header, inputs=",\n".join(
            indented([one]) for one in inputs
        ), outputs=",\n".join(indented([one]) for one in outputs),
    )  # fmt: skip


def encoder_lines(program: LoihiProgram, fraction_bits: int) -> Lines:
    """floor((q 2**-f - offset) gain + 1/2), as lines in q."""
    port = program.input
    one = Fraction(1, 1 << fraction_bits)
    wanted = [
        (Fraction(float(g)) * one, Fraction(1, 2) - Fraction(float(o)) * Fraction(float(g)))
        for g, o in zip(port.gain, port.offset, strict=True)
    ]
    return _lines(wanted, f"input {port.name!r}", "gain and offset", 31)


def _decoder(program: LoihiProgram, fraction_bits: int) -> Lines:
    """floor((message scale + offset) 2**f + 1/2), as lines in the message."""
    out = program.output_population
    one = 1 << fraction_bits
    wanted = [
        (Fraction(float(s)) * one, Fraction(float(o)) * one + Fraction(1, 2))
        for s, o in zip(out.scale, out.offset, strict=True)
    ]
    return _lines(wanted, f"population {out.name!r}", "scale and offset", out.message.bits - 1)


def _lines(
    wanted: list[tuple[Fraction, Fraction]], subject: str, what: str, value_bits: int
) -> Lines:
    problems = Problems(InputError, subject)
    found: list[tuple[int, int, int]] = []
    errors: list[Fraction] = []
    for channel, (slope, start) in enumerate(wanted):
        # The largest shift that leaves room for the factor and for what is added.
        shift = min(_room(slope, _FACTOR_BITS), _room(start, _SUM_BITS - 1), _SUM_BITS)
        factor, added = _rounded(slope, shift), _rounded(start, shift)
        if shift < 0 or factor == 0:
            problems.add(
                f"{what} of channel {channel} leave no room in 64 bits for samples of so many "
                "fraction bits: give others, or a codec of floats"
            )
            continue
        while shift and not (factor | added) & 1:  # the same line with smaller numbers
            factor, added, shift = factor >> 1, added >> 1, shift - 1
        found.append((factor, added, shift))
        miss = abs(slope - Fraction(factor, 1 << shift)) * (1 << value_bits)
        errors.append(miss + abs(start - Fraction(added, 1 << shift)))
    problems.raise_if_any()
    factors, addeds, shifts = zip(*found, strict=True)
    return Lines(factors, addeds, shifts, float(max(errors)))


def _room(value: Fraction, bits: int) -> int:
    """The largest shift by which a number stays below 2**bits; any for 0."""
    if not value:
        return _SUM_BITS
    # A quotient is below 2**(difference of lengths + 1).
    return bits - (abs(value.numerator).bit_length() - value.denominator.bit_length() + 1)


def _rounded(value: Fraction, shift: int) -> int:
    return round(value * Fraction(2) ** shift)


def _fixed_text(
    program: LoihiProgram,
    prefix: str,
    header: str,
    encoder: Lines,
    decoder: Lines,
    ends: list[tuple[int, int]],
) -> str:
    tables = []
    for lines, limits in ((encoder, ends), (decoder, [_WORD] * len(decoder.factor))):
        rows = [
            f"    {{{factor}, INT64_C({added}), {shift}, {end_literal(low)}, {end_literal(high)}}}"
            for factor, added, shift, (low, high) in zip(
                lines.factor, lines.added, lines.shift, limits, strict=True
            )
        ]
        tables.append(",\n".join(rows))
    return _FIXED.format(
        prefix=prefix, upper=prefix.upper(), header=header, inputs=tables[0], outputs=tables[1]
    )


_OPEN = """\
/* {told} */
#ifndef {upper}_CODEC_H
#define {upper}_CODEC_H

#include "{header}"

#ifdef __cplusplus
extern "C" {{
#endif

"""
_CLOSE = """
#ifdef __cplusplus
}}
#endif

#endif
"""
_FLOAT_WITHIN = (
    "Samples as the messages of the network: the nearest ones, halves upwards (NaN becomes the "
    "lowest one), "
)
_FLOAT_SAME = (
    ". They are those of lnn2loihi for the same floats, since what is between is in double "
    "precision."
)
_FLOAT_HEADER = (
    _OPEN
    + """\
{within}
void {prefix}_encode_float(const float *sample, int32_t *input);

/* What {upper}_OUTPUTS messages stand for: the floats that are nearest to lnn2loihi's answers. */
void {prefix}_decode_float(const int32_t *output, float *answer);
"""
    + _CLOSE
)
_FIXED_HEADER = (
    _OPEN
    + """\
/* Samples and answers are integers with so many fraction bits. */
#define {upper}_FRACTION_BITS {bits}

{ranges}

{within}
void {prefix}_encode_fixed(const int32_t *sample, int32_t *input);

/* What {upper}_OUTPUTS messages stand for, held within 32 bits; before it is rounded, an answer is
   off by at most {decoded} of its last bit. */
void {prefix}_decode_fixed(const int32_t *output, int32_t *answer);
"""
    + _CLOSE
)
_FLOAT = """\
#include "{header}"

static const struct {{
    double offset;
    double gain;
    int32_t low;
    int32_t high;
}} inputs[{upper}_INPUTS] = {{
{inputs}
}};

static const struct {{
    double scale;
    double offset;
}} outputs[{upper}_OUTPUTS] = {{
{outputs}
}};

void {prefix}_encode_float(const float *sample, int32_t *input)
{{
    int32_t i;
    for (i = 0; i < {upper}_INPUTS; i++) {{
        /* Rounded after each operation: no compiler makes one of a product and a sum. */
        volatile double value = (double)sample[i] - inputs[i].offset;
        int32_t whole;
        value = value * inputs[i].gain;
        value = value + 0.5;
        if (!(value > (double)inputs[i].low)) {{
            whole = inputs[i].low;
        }} else if (value >= (double)inputs[i].high) {{
            whole = inputs[i].high;
        }} else {{
            whole = (int32_t)value;
            if ((double)whole > value) {{
                whole--;
            }}
        }}
        input[i] = whole;
    }}
}}

void {prefix}_decode_float(const int32_t *output, float *answer)
{{
    int32_t i;
    for (i = 0; i < {upper}_OUTPUTS; i++) {{
        volatile double value = (double)output[i] * outputs[i].scale;
        value = value + outputs[i].offset;
        answer[i] = (float)value;
    }}
}}
"""
_FIXED = """\
#include "{header}"

/* (value * factor + added) >> shift, held between low and high. */
typedef struct {{
    int32_t factor;
    int64_t added;
    int32_t shift;
    int32_t low;
    int32_t high;
}} line;

static const line inputs[{upper}_INPUTS] = {{
{inputs}
}};

static const line outputs[{upper}_OUTPUTS] = {{
{outputs}
}};

static int32_t on_line(int32_t value, const line *one)
{{
    const int64_t sum = ((int64_t)value * one->factor) + one->added;
    const int64_t whole = (sum < 0) ? ~(~sum >> one->shift) : (sum >> one->shift);
    const int64_t raised = (whole < one->low) ? one->low : whole;
    return (int32_t)((raised > one->high) ? one->high : raised);
}}

void {prefix}_encode_fixed(const int32_t *sample, int32_t *input)
{{
    int32_t i;
    for (i = 0; i < {upper}_INPUTS; i++) {{
        input[i] = on_line(sample[i], &inputs[i]);
    }}
}}

void {prefix}_decode_fixed(const int32_t *output, int32_t *answer)
{{
    int32_t i;
    for (i = 0; i < {upper}_OUTPUTS; i++) {{
        answer[i] = on_line(output[i], &outputs[i]);
    }}
}}
"""
