"""Macros of the header: ranges of the input, and where saturations are counted."""

from __future__ import annotations

from collections.abc import Iterable

from lnn2loihi.converters.c99.names import Names
from lnn2loihi.converters.c99.state import StateStruct
from lnn2loihi.converters.c99.text import COLUMNS, comment_lines
from lnn2loihi.converters.c99.types import end_literal
from lnn2loihi.program import LoihiProgram


def range_macros(program: LoihiProgram, upper: str) -> str:
    """The range of each channel of the input, as messages and as what these stand for.

    They are macros with which a host initializes arrays of its own: they take no flash where nobody
    asks, and files that take no floats see none.
    """
    port = program.input
    told = (
        "The lowest and the highest message of each channel: {a, b, ...} to initialize arrays of "
        f"{upper}_INPUTS numbers with. What is beyond them saturates. REAL is what they stand for: "
        "samples beyond it by less than half a message are rounded to it."
    )
    macros = [comment_lines(told)]
    for side, messages in (("LOW", port.low), ("HIGH", port.high)):
        macros.append(_listed(f"{upper}_INPUT_{side}", (end_literal(int(m)) for m in messages)))
    for side, messages in (("LOW", port.low), ("HIGH", port.high)):
        real = port.decode(messages)
        macros.append(_listed(f"{upper}_INPUT_REAL_{side}", (repr(float(one)) for one in real)))
    return "\n".join(macros)


def count_macros(state: StateStruct, upper: str) -> str:
    """What the counts of the struct mean, and their places; nothing where nothing is counted."""
    if state.saturated_inputs is None:
        return ""
    told = (
        "What saturates is counted in the state from a reset on, modulo 2**32: in "
        f"{state.saturated_inputs.name} samples of each channel beyond its range"
    )
    if state.saturated_words is None:
        return "\n" + comment_lines(f"{told}. No word inside of neurons can saturate.") + "\n"
    told += (
        f", in {state.saturated_words.name} updates in which a word lost what does not fit it, of "
        "all neurons of a population together, at these places."
    )
    names, lines = Names(), [comment_lines(told)]
    for (population, word), place in state.saturations.items():
        name = names.give(f"{population}_{word}").upper()
        lines.append(f"#define {upper}_SATURATED_{name} {place}")
    return "\n" + "\n".join(lines) + "\n"


def _listed(name: str, numbers: Iterable[str]) -> str:
    """A macro that is a list in braces, on as many lines as it needs."""
    lines = [f"#define {name} {{"]
    for place, number in enumerate(numbers):
        text = f", {number}" if place else number
        if len(lines[-1]) + len(text) > COLUMNS - 3:  # a bracket or a comma, and a backslash
            lines[-1] += ","
            lines.append(f"    {number}")
        else:
            lines[-1] += text
    return " \\\n".join(lines) + "}"
