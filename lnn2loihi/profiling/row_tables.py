"""The rows of a profile as tables of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.showing import Table
from lnn2loihi.tables import paragraph, percent_met


def _latency(row: ProfileRow) -> str | None:
    if row.latency_p50 is None or row.latency_p99 is None:
        return _shown(row.latency)
    p50, p99 = (Quantity.exact(v, "s").text() for v in (row.latency_p50, row.latency_p99))
    return f"p50 {p50}, p99 {p99}"


def _shown(quantity: Quantity | None) -> str | None:
    return None if quantity is None else str(quantity)


#: Columns, and what each shows of a row; without those that no row has anything for.
COLUMNS: Mapping[str, Callable[[ProfileRow], object]] = {
    "device": lambda row: row.title,
    "backend": lambda row: row.backend,
    "tier": lambda row: f"{row.tiers} [{row.state}]" if row.state else row.tiers,
    "precision": lambda row: row.precision,
    "batch": lambda row: row.batch,
    "accuracy": lambda row: None if row.accuracy is None else str(row.accuracy),
    "placement": lambda row: row.placement or None,
    "cores": lambda row: row.cores,
    "mode": lambda row: f"{row.mode} ({row.includes})" if row.includes else row.mode,
    "pace": lambda row: row.pace,
    "copies": lambda row: row.copies,
    "devices": lambda row: row.devices,
    "io": lambda row: row.io,
    "rate met": lambda row: None if row.rate_met is None else percent_met(row.rate_met),
    "latency": _latency,
    "throughput": lambda row: _shown(row.throughput),
    "dynamic": lambda row: _shown(row.dynamic_energy),
    "static": lambda row: _shown(row.static_energy),
    "total": lambda row: _shown(row.total_energy),
    "total, pro rata": lambda row: _shown(row.total_energy_pro_rata),
    "total, board": lambda row: _shown(row.total_energy_board),
    "energy x delay": lambda row: _shown(row.energy_delay_product),
}


#: Columns that text shows where all of them are too wide to stand side by side.
FEW = ("device", "backend", "mode", "pace", "latency", "total", "tier")


def row_table(rows: Sequence[ProfileRow]) -> Table:
    """The table, whose rows have numbers; where it is too wide, text has the columns of FEW, and
    says which are left out.
    """
    columns = {name: [of(row) for row in rows] for name, of in COLUMNS.items()}
    kept = {name: cells for name, cells in columns.items() if any(c is not None for c in cells)}
    whole = _numbered(rows, kept)
    few = {name: kept[name] for name in FEW if name in kept}
    if len(few) == len(kept) or str(whole).startswith("row  "):
        return whole
    left = ", ".join(name for name in kept if name not in few)
    note = paragraph("", f"left out at this width, and in to_dict() and --json: {left}")
    return replace(whole, text=f"{_numbered(rows, few)}\n{note}")


def _numbered(rows: Sequence[ProfileRow], columns: Mapping[str, Sequence[object]]) -> Table:
    numbers = range(1, len(rows) + 1)
    return Table(("row", *columns), list(zip(numbers, *columns.values(), strict=True)))
