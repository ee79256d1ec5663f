"""What a convolution adds to the sums of a neuron, in C: loops over its window."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lnn2loihi.converters.c99.rows import Summing
from lnn2loihi.converters.c99.state import Member
from lnn2loihi.converters.c99.tables import Tables
from lnn2loihi.program import Convolution

_SUM = """\
/* {label}: the sum below a kernel of {height} x {width}, of one channel, row and column. */
static int32_t {name}(const {kind} *messages, int32_t channel, int32_t down, int32_t across)
{{
    const int8_t *weights = &{table}[channel * {size}];
    const int32_t first = {first};
    int32_t sum = 0;
    int32_t inner;
    int32_t row;
    int32_t column;
    for (inner = 0; inner < {inner}; inner++) {{
        for (row = 0; row < {height}; row++) {{
            const int32_t y = (down * {stride_down}) + (row * {dilation_down}) - {padding_down};
            for (column = 0; column < {width}; column++) {{
                const int32_t x =
                    (across * {stride_across}) + (column * {dilation_across}) - {padding_across};
                if ((y >= 0) && (y < {rows}) && (x >= 0) && (x < {columns})) {{
                    sum += (int32_t)*weights
                        * messages[((((first + inner) * {rows}) + y) * {columns}) + x];
                }}
                weights++;
            }}
        }}
    }}
    return sum;
}}
"""


def write_kernel(
    c: Convolution,
    label: str,
    source: Member,
    place: str,
    position: tuple[str, str, str],
    tables: Tables,
    name: str,
) -> Summing:
    """The text of one convolution.

    Args:
        c: the convolution.
        label: what its tables are called.
        source: the member that holds the messages that it hears.
        place: the place of the sum.
        position: variables that hold channel, row and column of neuron i.
        tables: of the file.
        name: of its function.
    """
    channels, inner, height, width = c.kernel.shape
    told = f"{label}: kernel (channel, channel of the source, row, column)"
    table = tables.add_bytes(f"{label}_kernel", "int8_t", c.kernel.astype(np.int64).ravel(), told)
    first = "0"
    if c.groups > 1:
        # From a table, since parts without a divider have a library for channel / own.
        groups = np.arange(channels) // (channels // c.groups) * inner
        told = f"{label}: first channel that a channel hears"
        first = tables.add(f"{label}_group", groups, told).at("channel")
    numbers: Mapping[str, int] = {
        "height": height, "width": width, "inner": inner, "size": inner * height * width,
        "rows": c.source_shape[1], "columns": c.source_shape[2],
    } | {
        f"{what}_{side}": pair[place]
        for what, pair in (("stride", c.stride), ("padding", c.padding), ("dilation", c.dilation))
        for place, side in enumerate(("down", "across"))
    }  # fmt: skip
    text = _SUM.format(
        label=label, name=name, kind=source.kind, table=table, first=first, **numbers
    )
    power = f" * {1 << c.exponent}" if c.exponent else ""
    call = f"{name}(net->{source.name}, {', '.join(position)})"
    return Summing([], [f"{place} += {call}{power};"], {name: text})
