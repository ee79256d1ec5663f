"""Instructions of a sample on Cortex-M4: damped_sine in integers beside a float LSTM of its units.

    pip install "lnn2loihi[micro]" && apt-get install qemu-user
    python benchmarks/c99_lstm.py [--samples 8]

onnx2c has no wheel, and that of tflite-micro has libraries for x86-64 alone: neither can be built
for a Cortex-M from the package registries. In their place stands an LSTM of 32 units and a linear
readout in float32, written here by hand as such generators write it: loops of products, weights
in flash, and exp as a polynomial of degree 5, which is shorter than that of C libraries and so
favours the LSTM. It is compiled with the floating-point unit of a Cortex-M4F, and without one, as
an M0+, an M3 and many an M33 are; functions in its place are those of the compiler (zig's are not
written by hand for the part, as GCC's are). Weights are random: no instruction but the ends of exp
depends on them. Both are counted by `lnn2loihi.micro.counting`, one instruction after the other in
qemu, from the call of the step to its return, encoding and decoding left out. Exit code 3 if a tool
is not here.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.micro.counting import Counts, count
from lnn2loihi.micro.driver import NET, Goal, Source
from lnn2loihi.micro.parts import PARTS
from lnn2loihi.micro.room import FLAGS
from lnn2loihi.micro.tools import cross_compiler, emulator, version_line
from lnn2loihi.micro.writing import writer
from lnn2loihi.models import damped_sine
from lnn2loihi.tables import text_table

CORE = PARTS["cortex-m4"]
#: The same core, where float operations are functions of the compiler's run-time library.
SOFT = replace(CORE, zig=(*CORE.zig, "-lcompiler_rt"))
#: The same core with its floating-point unit.
HARD = replace(
    CORE,
    name="cortex-m4f",
    zig=("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4+vfp4d16sp"),
    gcc=("-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
)
UNITS = 32


@dataclass(frozen=True)
class Written:
    """C text, as what is counted has it."""

    header: str
    source: str


def lstm(units: int) -> Written:
    """An LSTM of one input and one output in float32, behind the functions of a program in C."""
    rng = np.random.default_rng(0)

    def table(name: str, *shape: int) -> str:
        values = rng.normal(0.0, 0.3, int(np.prod(shape))).astype(np.float32)
        sizes = "".join(f"[{size}]" for size in shape)
        rows = ", ".join(f"{float(v)!r}f" for v in values)
        return f"static const float {name}{sizes} = {{{rows}}};"

    tables = [
        table("input_weight", 4 * units), table("bias", 4 * units), table("readout", units),
        table("weight", 4 * units * units),
    ]  # fmt: skip
    return Written(
        _HEADER.format(net=NET, units=units),
        "\n".join([f'#include "{NET}.h"', *tables, _SOURCE.format(net=NET, units=units)]),
    )


_HEADER = """\
#include <stdint.h>
typedef struct {{ float h[{units}], c[{units}]; }} {net}_state;
void {net}_reset({net}_state *net);
void {net}_step({net}_state *net, const int32_t *input, int32_t *output);
"""
_SOURCE = """\
/* 2**x, by a polynomial of degree 5 and the exponent's bits. */
static float power(float x)
{{
    union {{ float real; int32_t bits; }} scale;
    float f;
    int32_t whole;
    if (x > 126.0f) x = 126.0f;
    if (x < -126.0f) x = -126.0f;
    whole = (int32_t)x;
    if ((float)whole > x) whole--;
    f = x - (float)whole;
    scale.bits = (whole + 127) * (1 << 23);
    return scale.real * (1.0f + f * (0.6931472f + f * (0.2402265f + f * (0.0555041f
        + f * (0.0096181f + f * 0.0013334f)))));
}}
static float sigmoid(float x) {{ return 1.0f / (1.0f + power(-1.442695f * x)); }}
static float hyperbolic(float x) {{ return 1.0f - 2.0f / (1.0f + power(2.885390f * x)); }}
void {net}_reset({net}_state *net)
{{
    int32_t i;
    for (i = 0; i < {units}; i++) {{ net->h[i] = 0.0f; net->c[i] = 0.0f; }}
}}
void {net}_step({net}_state *net, const int32_t *input, int32_t *output)
{{
    float gate[4 * {units}], y = 0.0f;
    const float x = (float)input[0] * 0.0009765625f, *w = weight;
    int32_t i, j;
    for (i = 0; i < 4 * {units}; i++) {{
        float sum = bias[i] + input_weight[i] * x;
        for (j = 0; j < {units}; j++) sum += *w++ * net->h[j];
        gate[i] = sum;
    }}
    for (i = 0; i < {units}; i++) {{
        const float c = sigmoid(gate[{units} + i]) * net->c[i]
            + sigmoid(gate[i]) * hyperbolic(gate[2 * {units} + i]);
        net->c[i] = c;
        net->h[i] = sigmoid(gate[3 * {units} + i]) * hyperbolic(c);
        y += readout[i] * net->h[i];
    }}
    output[0] = (int32_t)(y * 1024.0f);
}}
"""


def main() -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=int, default=8)
    given = parser.parse_args()
    program = damped_sine.program()
    port = program.input
    inputs = np.random.default_rng(0).integers(port.low, port.high + 1, (given.samples, port.size))
    rows: list[tuple[str, str, Counts]] = []
    try:
        tool = cross_compiler(CORE)
        print(version_line(tool[: tool.index("cc")] if "cc" in tool else tool[:1]))
        print(version_line(emulator(CORE.emulator)))
        for goal in ("size", "speed"):
            flags = FLAGS[goal]
            own = writer().write(program, NET, cast(Goal, goal))
            rival = cast(Source, lstm(UNITS))
            for what, source, part in (
                (f"damped_sine, {program.recipe}, integers", own, CORE),
                (f"LSTM of {UNITS} units, float32, floating-point unit", rival, HARD),
                (f"LSTM of {UNITS} units, float32, in software", rival, SOFT),
            ):
                rows.append((goal, what, count(program, source, part, flags, inputs)))
    except BackendMissingError as error:
        print(error, file=sys.stderr)
        return 3
    least = {g: np.median(c.instructions) for g, _, c in reversed(rows)}
    print(text_table(
        ("compiled for", "what", "instructions a sample", "of integers"),
        [
            (" ".join((goal, FLAGS[goal][-1])), what, f"{np.median(c.instructions):,.0f}",
             f"{np.median(c.instructions) / least[goal]:.2f}")
            for goal, what, c in rows
        ],
    ))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
