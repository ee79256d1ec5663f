"""What a result says, as data: lines and tables, of which text and HTML are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lnn2loihi.tables import text_table, wrapped

if TYPE_CHECKING:
    import numpy.typing as npt

#: Most outputs whose range is printed.
MOST_OUTPUTS = 32


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        headers: titles of the columns.
        rows: cells, as `lnn2loihi.tables.text_table` takes them.
        text: how it is printed, where that is something else.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    text: str | None = None

    def __str__(self) -> str:
        """The table in columns."""
        if self.text is not None:
            return self.text
        return text_table(self.headers, self.rows)


@dataclass(frozen=True)
class Verbatim:
    """Text whose columns have a meaning, such as a file.

    Attributes:
        text: the lines.
    """

    text: str

    def __str__(self) -> str:
        """The lines."""
        return self.text


#: One or several lines, empty for a gap; or a table; or text that keeps its columns.
Said = str | Table | Verbatim


def as_text(parts: Iterable[Said], *, folded: bool = False) -> str:
    """The parts, one below the other.

    Args:
        parts: what is said.
        folded: whether sentences that are wider than a table may be go on in the next line.
    """
    if folded:
        parts = (wrapped(part) if isinstance(part, str) else part for part in parts)
    return "\n".join(map(str, parts))


def ranges(values: npt.NDArray[Any]) -> list[Said]:
    """The range of each output of a run, (batch, time, outputs), and how many are not listed."""
    if not values.size:
        return []
    columns = values.reshape(-1, values.shape[-1]).T
    rows = [
        (place, float(own.min()), float(own.mean()), float(own.max()), float(own.std()))
        for place, own in enumerate(columns[:MOST_OUTPUTS])
    ]
    table = Table(("output", "lowest", "mean", "highest", "deviation"), rows)
    left = len(columns) - len(rows)
    return [table, *([f"{left:,} more outputs are not listed"] if left else [])]


def headed(head: str, parts: Sequence[Said]) -> list[Said]:
    """Parts of something else with words before its first line."""
    first, *others = parts
    return [f"{head}{first}", *others] if isinstance(first, str) else [head, *parts]
