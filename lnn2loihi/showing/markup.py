"""The parts of a result as HTML for a notebook, in its own colours whether it is dark or light."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lnn2loihi.reporting.markup import Markup, element, escaped
from lnn2loihi.showing.parts import Said, Table, Verbatim
from lnn2loihi.tables import cell_text, is_number

#: Most rows of a table; what is left out is counted.
MOST_ROWS = 200
# Styles stand at every element: a notebook takes a style sheet out, or applies it to all cells.
# Colours are the notebook's; lines are a grey that can be seen on white and on black.
_LINE = "1px solid rgba(128,128,128,0.45)"
_BOX = "max-width:100%;font-size:13px;line-height:1.5;color:inherit"
_SCROLLED = "max-width:100%;overflow-x:auto;margin:0.4em 0"
_TABLE = (
    "border-collapse:collapse;border:none;margin:0;font-size:12px;color:inherit;"
    "background:transparent;font-variant-numeric:tabular-nums"
)
_TEXT = "white-space:pre-wrap;overflow-wrap:anywhere"
_WARNING = f"{_TEXT};border-left:3px solid #c8811a;padding-left:0.6em"
_VERBATIM = (
    "max-width:100%;overflow-x:auto;margin:0.4em 0;font-size:12px;color:inherit;"
    "background:transparent"
)
#: How a line begins that warns.
_WARNS = ("warning:", "- warning:", "- Warning:", "Warning:")
#: A cell longer than this may break, and a column of such is not made narrow.
_LONG = 28


def as_html(parts: Iterable[Said]) -> str:
    """One element that holds all parts; the first line is its title.

    Everything is escaped: names come from files.
    """
    children: list[Markup] = []
    for part in parts:
        if isinstance(part, Table):
            children.append(_table(part))
        elif isinstance(part, Verbatim):
            text = Markup("\n".join(map(escaped, part.text.splitlines())))
            children.append(element("pre", text, style=_VERBATIM))
        else:
            for line in part.splitlines():
                children.append(_line(line, first=not children))
    return str(element("div", *children, style=_BOX))


def _line(line: str, first: bool) -> Markup:
    if not line.strip():
        return element("div", style="height:0.6em")
    if line.startswith(_WARNS):
        return element("div", line, style=_WARNING)
    return element("div", line, style=f"{_TEXT};font-weight:600" if first else _TEXT)


def _table(table: Table) -> Markup:
    rows = table.rows[:MOST_ROWS]
    right = [
        bool(rows) and all(is_number(row[place]) for row in rows)
        for place in range(len(table.headers))
    ]
    head = element("tr", *_cells("th", table.headers, right))
    body = [element("tr", *_cells("td", [*map(cell_text, row)], right)) for row in rows]
    shown = element("table", element("thead", head), element("tbody", *body), style=_TABLE)
    left = len(table.rows) - len(rows)
    more = [element("div", f"{left:,} more rows are not shown here")] if left > 0 else []
    return element("div", shown, *more, style=_SCROLLED)


def _cells(name: str, texts: Sequence[str], right: Sequence[bool]) -> list[Markup]:
    return [
        element(name, text, style=_cell_style(name, text, to_right))
        for text, to_right in zip(texts, right, strict=True)
    ]


def _cell_style(name: str, text: str, right: bool) -> str:
    style = f"text-align:{'right' if right else 'left'};padding:2px 10px 2px 0;border:none;"
    style += "vertical-align:top;background:transparent;"
    style += f"border-bottom:{_LINE};font-weight:600;" if name == "th" else ""
    if len(text) <= _LONG:
        return style + "white-space:nowrap"
    return f"{style}min-width:14em;max-width:36em;overflow-wrap:anywhere"
