"""The tables of docs/cost.md, generated: parameters from the profile, validation from the model."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.cost.validation import ValidationRow
from lnn2loihi.devices import Device, device_tables
from lnn2loihi.tables import markdown_table


def parameter_markdown(device: Device) -> str:
    """The costs of a device with their ranges, grades and sources, as a Markdown table."""
    titles = ("figure", "symbol", "what it is the cost of", "value", "5 to 95 %", "grade", "source")
    rows: list[tuple[str, ...]] = []
    for what in device_tables().kinds[device.kind].figures:
        figure = device.get(what.name)
        if what.role == "cost" and figure is not None:
            rows.append((f"`{what.name}`", what.symbol, what.meaning, str(figure),
                         figure.range_text, figure.grade, figure.source))  # fmt: skip
    return markdown_table(titles, rows)


def validation_markdown(rows: Sequence[ValidationRow]) -> str:
    """Measurements and what the model makes of them, as a Markdown table, with what was stated and
    which figures each case set below it.
    """
    titles = ("case", "network", "split", "quantity", "measured", "model", "90 % interval",
              "in it", "error", "verdict")  # fmt: skip
    lines: list[tuple[str, ...]] = []
    seen: dict[str, ValidationRow] = {}
    for row in rows:
        first = row.case not in seen
        seen.setdefault(row.case, row)
        lines.append((row.case if first else "", row.title if first else "", row.split,
                      row.quantity, row.measured_text, row.model_text, row.range_text,
                      row.covered_text, row.error_text, row.verdict))  # fmt: skip
    cases = []
    for row in seen.values():
        used = f" It set {', '.join(f'`{name}`' for name in row.sets)}." if row.sets else ""
        cases.append(f"- **{row.case}**: {row.source}. Fixed: {row.stated}.{used}")
    return "\n".join([markdown_table(titles, lines), "", *cases])
