"""Plain text tables, as every result prints them."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Sequence

from lnn2loihi.printable import printable

#: Columns where there is neither a terminal nor a word about it, and most columns of a paragraph.
WIDTH = 100
#: Fewest and most columns that are made use of.
NARROWEST, WIDEST = 40, 250
#: Columns between two of a table.
_GAP = 2
#: A text in a cell that is shorter, a value with its unit, stays in one line.
_SHORT_TEXT = 12
#: A word in a cell that is longer may be broken where a table has no other way to become narrower.
_LONG_WORD = 20
#: Most columns whose texts go on within their cells; more are more than an eye can follow.
_MOST_COLUMNS = 12
#: Most lines of one row, and of one that shows a column; what would have more is shown as records.
_TALLEST, _TALLEST_TURNED = 16, 4


def width() -> int:
    """Columns that text may take: those that COLUMNS says, else those of the terminal, else WIDTH;
    at least NARROWEST and at most WIDEST.
    """
    found = shutil.get_terminal_size((WIDTH, 24)).columns
    return min(max(found, NARROWEST), WIDEST)


def text_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table with aligned columns, numbers to the right, text to the left, that is no wider than
    `width()`.

    Where it would be wider, it is what has the fewest lines of three: texts go on within their
    cells; rows and columns are exchanged, and texts go on too; or each row becomes a record: what
    its first column holds, and below it a line for each of the others.

    Args:
        headers: column titles.
        rows: cells; None prints as a dash, floats with three significant digits, what is not
            printable as an escape.
    """
    cells = [[cell_text(value) for value in row] for row in rows]
    columns = [*zip(headers, *cells, strict=True)]
    right = [bool(rows) and all(is_number(row[i]) for row in rows) for i in range(len(headers))]
    widths = [max(map(len, column)) for column in columns]
    if sum(widths) <= width() - _GAP * (len(headers) - 1):
        return "\n".join(_lines(headers, cells, widths, right))
    left = [False] * (len(rows) + 1)
    first, *others = columns
    ways = [
        _narrow_lines(headers, cells, right, _TALLEST),
        _narrow_lines(first, others, left, _TALLEST_TURNED),
        _records(headers, rows, cells),
    ]
    return "\n".join(min((lines for lines in ways if lines), key=len, default=[]))


def _narrow_lines(
    headers: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool], tallest: int
) -> list[str]:
    """The lines of a table whose texts go on within their cells; none where that does not do."""
    columns = [*zip(headers, *cells, strict=True)]
    room = width() - _GAP * (len(headers) - 1)
    few = bool(cells) and len(columns) <= _MOST_COLUMNS
    widths = _narrowed(columns, right, room) if few else None
    if widths is None or max(_height(row, widths) for row in cells) > tallest:
        return []
    return _lines(headers, cells, widths, right)


def _narrowed(
    columns: Sequence[Sequence[str]], right: Sequence[bool], room: int
) -> list[int] | None:
    """Widths with which a table takes the room that there is; None where it cannot."""
    widths = [max(map(len, column)) for column in columns]
    for longest in (width(), _LONG_WORD):  # whole words where they fit
        least = [
            max([_least(column[:1], longest), *map(len, column[1:])])
            if number
            else _least(column, longest)
            for column, number in zip(columns, right, strict=True)
        ]
        if sum(least) <= room:
            break
    else:
        return None
    found = widths
    while sum(found) > room:
        widest = max(
            (place for place in range(len(found)) if found[place] > least[place]),
            key=lambda place: found[place],
        )
        found[widest] -= 1
    return found


def _least(column: Sequence[str], longest: int) -> int:
    """The fewest columns that texts take, whose words are broken where they are longer."""
    words = [min(len(word), longest) for text in column for word in text.split()]
    return max([1, *words, *(len(text) for text in column[1:] if len(text) <= _SHORT_TEXT)])


def _folded(text: str, most: int) -> list[str]:
    """A cell in lines of a width at most; blanks in front of it stay."""
    if len(text) <= most:
        return [text]
    before = text[: len(text) - len(text.lstrip())][: most // 2]
    return textwrap.wrap(
        text.strip(), most, initial_indent=before, subsequent_indent=before,
        break_on_hyphens=False,
    ) or [""]  # fmt: skip


def _height(row: Sequence[str], widths: Sequence[int]) -> int:
    return max(len(_folded(text, most)) for text, most in zip(row, widths, strict=True))


def _lines(
    headers: Sequence[str],
    cells: Sequence[Sequence[str]],
    widths: Sequence[int],
    right: Sequence[bool],
) -> list[str]:
    """The lines of a table whose columns have these widths."""

    def line(values: Sequence[str]) -> str:
        parts = [
            value.rjust(width) if to_right else value.ljust(width)
            for value, width, to_right in zip(values, widths, right, strict=True)
        ]
        return (" " * _GAP).join(parts).rstrip()

    def folded(row: Sequence[str], at_end: bool = False) -> list[str]:
        parts = [_folded(text, most) for text, most in zip(row, widths, strict=True)]
        height = max(map(len, parts))
        blank = [[""] * (height - len(part)) for part in parts]
        full = [
            [*more, *part] if at_end else [*part, *more]
            for part, more in zip(parts, blank, strict=True)
        ]
        return [line(values) for values in zip(*full, strict=True)]

    rule = (" " * _GAP).join("-" * width for width in widths)
    return [*folded(headers, at_end=True), rule, *(one for row in cells for one in folded(row))]


def _records(
    headers: Sequence[str], rows: Sequence[Sequence[object]], cells: Sequence[Sequence[str]]
) -> list[str]:
    """Each row as a record: its first cell, and a line for each other that holds something."""
    room = width()
    label = min(max((len(header) for header in headers[1:]), default=0), room // 3)
    lines: list[str] = []
    for row, texts in zip(rows, cells, strict=True):
        lines += _folded(f"{headers[0]} {texts[0]}".strip(), room)
        for header, value, text in zip(headers[1:], row[1:], texts[1:], strict=True):
            if value is None or not text:
                continue
            names = _folded(header, label)
            values = _folded(text.strip(), room - label - 2 * _GAP)
            for place in range(max(len(names), len(values))):
                name = names[place] if place < len(names) else ""
                shown = values[place] if place < len(values) else ""
                lines.append(f"{'':{_GAP}}{name:{label}}{'':{_GAP}}{shown}".rstrip())
    return lines or textwrap.wrap(", ".join(headers), room)


def paragraph(head: str, text: str) -> str:
    """A head and a text in lines of at most WIDTH columns, and no more than there are; those after
    the first are indented.
    """
    return textwrap.fill(
        printable(text), min(WIDTH, width()), initial_indent=head, subsequent_indent=" " * 4,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def wrapped(text: str) -> str:
    """A text whose lines have at most as many columns as there are; what continues one is indented.

    Lines of tables in Markdown, and words that are wider (names of files), stay as they are.
    """
    return "\n".join(_wrapped(line, width()) for line in text.splitlines())


def _wrapped(line: str, most: int) -> str:
    if len(line) <= most or line.startswith("|"):
        return line
    indent = " " * min(len(line) - len(line.lstrip()) + 2, most // 2)
    if line.lstrip().startswith("#") or "  # " in line:
        indent = "# "  # what goes on is a comment too: TOML and commands can still be copied
    return textwrap.fill(
        line, most, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


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
