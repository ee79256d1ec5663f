"""Plain text tables, as every result prints them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from lnn2loihi.printable import printable

#: Columns of a paragraph, and of a table that has to fit.
WIDTH = 100
#: Columns between two of a table.
_GAP = 2


def text_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table with aligned columns; numbers to the right, text to the left.

    Args:
        headers: column titles.
        rows: cells; None prints as a dash, floats with three significant digits, what is not
            printable as an escape.
    """
    cells = [[cell_text(value) for value in row] for row in rows]
    widths = [
        max(len(header), *(len(row[i]) for row in cells)) if cells else len(header)
        for i, header in enumerate(headers)
    ]
    right = [bool(rows) and all(is_number(row[i]) for row in rows) for i in range(len(headers))]

    def line(values: Sequence[str]) -> str:
        parts = [
            value.rjust(width) if to_right else value.ljust(width)
            for value, width, to_right in zip(values, widths, right, strict=True)
        ]
        return "  ".join(parts).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(headers), rule, *(line(row) for row in cells)])


def fitted_tables(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """The same as several tables that are at most WIDTH wide each, where one would be wider.

    The first column, which says which row it is, stands in each of them. Columns keep their order;
    a cell that is too wide by itself goes on in the next line.

    Args:
        headers: column titles.
        rows: cells, as for `text_table`.
    """
    cells = [[cell_text(value) for value in row] for row in rows]
    columns = zip(headers, *cells, strict=True)
    widths = [max(map(len, column)) for column in columns]
    room = WIDTH - widths[0]
    parts: list[list[int]] = []
    left = 0
    for place, width in enumerate(widths[1:], 1):
        needed = min(width, room - _GAP) + _GAP
        if not parts or needed > left:
            parts.append([])
            left = room
        parts[-1].append(place)
        left -= needed
    return [_wrapped_table(headers, rows, [0, *part], room - _GAP) for part in parts]


def _wrapped_table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], columns: Sequence[int], most: int
) -> str:
    """Some columns of a table, texts in lines of a width at most."""
    lines: list[list[object]] = []
    for row in rows:
        shown = [row[place] for place in columns]
        folded = [
            textwrap.wrap(printable(value), most) or [""] if isinstance(value, str) else [value]
            for value in shown
        ]
        height = max(map(len, folded))
        lines += [[cell[at] if at < len(cell) else "" for cell in folded] for at in range(height)]
    return text_table([headers[place] for place in columns], lines)


def paragraph(head: str, text: str) -> str:
    """A head and a text in lines of at most WIDTH columns; those after the first are indented."""
    return textwrap.fill(
        printable(text), WIDTH, initial_indent=head, subsequent_indent=" " * 4,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def wrapped(text: str) -> str:
    """A text whose lines have at most WIDTH columns; what continues one is indented."""
    return "\n".join(
        line if len(line) <= WIDTH else textwrap.fill(
            line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for line in text.splitlines()
    )  # fmt: skip


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown, for pages that hold what a command prints.

    Args:
        headers: column titles.
        rows: cells, printed as in `text_table`.
    """
    lines = [headers, *([cell_text(value) for value in row] for row in rows)]
    first, *others = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
                      for line in lines)  # fmt: skip
    return "\n".join([first, "|---" * len(headers) + "|", *others])


def cell_text(value: object) -> str:
    """What a cell holds: None is a dash, a float has three significant digits."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return printable(str(value))


def is_number(value: object) -> bool:
    """Whether a cell stands to the right: a column of such is one of numbers."""
    return isinstance(value, (int, float, type(None)))


def percent_met(share: float) -> str:
    """A share of draws in whole percent, rounded down, so that what is short of a threshold never
    prints as the threshold; it is neither all of them nor none unless it is.
    """
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    if 0.01 <= share <= 0.99:
        return f"{math.floor(100.0 * share + 1e-9)} %"
    return "less than 1 %" if share < 0.01 else "more than 99 %"


def counted(count: int, one: str, several: str = "") -> str:
    """A count with its noun: `1 sample`, `2 samples`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def percent(share: float) -> str:
    """A share as text in percent; a small share that is not zero does not print as zero."""
    if 0.0 < abs(share) < 0.00005:
        return "<0.01 %" if share > 0 else ">-0.01 %"
    return f"{100 * share:.2f} %"


def decibel(value: float | None) -> str | None:
    """A ratio in decibels as text."""
    return None if value is None else f"{value:.1f} dB"
