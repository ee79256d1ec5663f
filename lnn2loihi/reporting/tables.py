"""Tables of the page: the rows of the profile, quantization, metrics, provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lnn2loihi.cost.basis import MET
from lnn2loihi.cost.model import NO_IO
from lnn2loihi.metrics import NeuroBenchMetrics
from lnn2loihi.precision import worst_text
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import ProfileResult, Provenance
from lnn2loihi.profiling.rows import MODEL, Accuracy, ProfileRow
from lnn2loihi.profiling.sentences import odds
from lnn2loihi.profiling.sides import HEADERS, Side
from lnn2loihi.reporting.axis import number_of, range_of, shown, typeset
from lnn2loihi.reporting.marks import badge
from lnn2loihi.reporting.markup import Markup, element, joined
from lnn2loihi.tables import decibel, percent
from lnn2loihi.targets.beside import CLAIMS

#: Lines of a table of provenance, and of one of the placement, that the page shows.
LONGEST_TABLE = 400


def table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], stacked: bool = False
) -> Markup:
    """A table in a box that scrolls by itself; numbers stand at the right.

    Args:
        headers: titles of the columns.
        rows: cells; None is a dash.
        stacked: whether a phone shows each row as a card instead of letting it scroll.
    """
    listed = [list(row) for row in rows]
    numeric = [
        bool(listed) and all(_is_number(row[i]) for row in listed) for i in range(len(headers))
    ]
    head = element("tr", *(element("th", h, scope="col", class_="n" if n else None)
                           for h, n in zip(headers, numeric, strict=True)))  # fmt: skip
    body = [
        element("tr", *(_cell(*cell) for cell in zip(row, headers, numeric, strict=True)))
        for row in listed
    ]
    class_ = "stacked" if stacked else None
    inside = element("table", element("thead", head), element("tbody", *body), class_=class_)
    return element("div", inside, class_="scroll")


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, (int, float, Quantity))


def _cell(value: object, header: str, numeric: bool) -> Markup:
    free = isinstance(value, str) and not isinstance(value, Markup) and len(value) > 30
    class_ = "n" if numeric else "none" if value is None else "free" if free else None
    return element("td", _inside(value), class_=class_, data_label=header)


def _inside(value: object) -> object:
    """What a cell shows of a value."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Quantity):
        if value.value is None and value.has_interval:
            low, high = (shown(end, value.unit) for end in (value.low, value.high))
            return joined(low, element("span", f"to {high}", class_="upto"))
        ends = range_of(value)
        return joined(number_of(value), element("span", ends, class_="range") if ends else None)
    if isinstance(value, (int, float)):
        return shown(float(value), "1")
    return value


#: The mode in which samples follow each other before they are answered.
PIPELINED = "pipelined"
#: Columns of the profile's table, and what each shows.
COLUMNS: Mapping[str, Callable[[ProfileRow], object]] = {
    "device": lambda row: _lines(row.name, row.backend if row.backend == MODEL else row.title),
    "tier": lambda row: _tiers(row),
    "precision": lambda row: _lines(row.precision, f"batch {row.batch:,}"),
    "mode": lambda row: _lines(row.mode, row.includes or None, _taken(row), *_shared(row)),
    "latency": lambda row: _latency(row),
    "throughput": lambda row: row.throughput,
    "dynamic": lambda row: row.dynamic_energy,
    "static": lambda row: row.static_energy,
    "total": lambda row: _total(row),
    "energy × delay": lambda row: row.energy_delay_product,
    "accuracy": lambda row: None if row.accuracy is None else _accuracy(row.accuracy),
}


def paces_of(result: ProfileResult) -> list[float | None]:
    """Rates of the rows, full speed last."""
    return sorted({row.rate for row in result.rows}, key=lambda rate: (rate is None, rate or 0.0))


def pace_title(result: ProfileResult, rate: float | None) -> str:
    """What a table of that rate is called, with its rows counted."""
    rows = [row for row in result.rows if row.rate == rate]
    words = typeset(rows[0].pace)
    return f"{words[0].upper()}{words[1:]}: {len(rows):,} row{'s' * (len(rows) != 1)}"


def profile_table(result: ProfileResult, rate: float | None) -> Markup:
    """Every row of a rate with its tiers. Where there is a rate, the answer that comes with its
    sample stands before the pipelined one of a device. On a phone each row is a card.
    """
    rows = [row for row in result.rows if row.rate == rate]
    if rate is not None:
        devices = list(dict.fromkeys(row.device for row in rows))
        rows.sort(key=lambda row: (devices.index(row.device), row.mode == PIPELINED))
    head = element("tr", *(element("th", name, scope="col") for name in COLUMNS))
    body = element("tbody", *map(_profile_row, rows))
    inside = element("table", element("thead", head), body, class_="rows stacked")
    return element("div", inside, class_="scroll")


def _profile_row(row: ProfileRow) -> Markup:
    cells: list[Markup] = []
    for name, value in COLUMNS.items():
        found = value(row)
        class_ = None if found is not None else "none"
        cells.append(element("td", _inside(found), data_label=name, class_=class_))
    return element("tr", *cells, class_=row.status)


def _accuracy(accuracy: Accuracy) -> Markup:
    """The metric, and below it the output that it is of, where there are several."""
    found, output = str(accuracy), accuracy.output
    return _lines(typeset(found.removesuffix(f" ({output})")), output or None)


def _tiers(row: ProfileRow) -> Markup:
    """One badge, or one for times and one for energies."""
    parts: list[object] = [badge(row.tier)]
    if row.energy_tier not in (None, row.tier):
        assert row.energy_tier is not None
        parts = [badge(row.tier), " time", element("br"), badge(row.energy_tier), " energy"]
    if row.state:
        parts += [element("br"), element("strong", row.state)]
    return joined(*parts)


def _lines(first: object, *others: str | None) -> Markup:
    """A cell of several lines, the first one in full size."""
    return joined(first, *(element("span", text, class_="range") for text in others if text))


def _taken(row: ProfileRow) -> str | None:
    """What of a device a row takes."""
    if row.cores is not None:
        chips = f" of {row.chips:,} chips" if row.chips and row.chips > 1 else ""
        return (row.placed or f"{row.cores:,} core{'s' * (row.cores != 1)}") + chips
    if row.threads is not None:
        return f"{row.threads:,} thread{'s' * (row.threads != 1)}"
    return None


def _shared(row: ProfileRow) -> Iterator[str]:
    """Where its samples come from, who shares the device, and how surely the rate is met."""
    if row.io != NO_IO:
        yield f"io {row.io}"
    if row.copies > 1:
        devices = f" on {row.devices:,} devices" if row.devices > 1 else ""
        yield f"{row.copies:,} copies{devices}"
    if row.rate_met is not None and row.rate_met < MET:
        yield f"meets the rate with {odds(row)}"


def _total(row: ProfileRow) -> object:
    """The total energy, and below it what it is with the network's share of the chip only, and
    with the whole board where chips of it idle.
    """
    beside = {"pro rata": row.total_energy_pro_rata, "whole board": row.total_energy_board}
    known = {words: quantity for words, quantity in beside.items() if quantity is not None}
    if row.total_energy is None or not known:
        return row.total_energy
    parts = [_inside(row.total_energy)]
    for words, quantity in known.items():
        parts.append(element("span", f"{words} {number_of(quantity)}", class_="range share"))
        parts.append(element("span", range_of(quantity), class_="range"))
    return joined(*parts)


def _latency(row: ProfileRow) -> object:
    if row.latency_p50 is None:
        return row.latency
    p99 = None if row.latency_p99 is None else f"p99 {shown(row.latency_p99, 's')}"
    return _lines(f"p50 {shown(row.latency_p50, 's')}", p99)


def remarks_list(result: ProfileResult) -> Markup | None:
    """What did not work, and what a reader should know."""
    items = [
        element("li", element("strong", typeset(f"{who}: ")), typeset(text))
        for who, text in result.remarks()
    ]
    return element("ul", *items, class_="small") if items else None


def quantization_table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """What quantization measured, stage by stage."""
    headers = ("stage", "family", "neurons", "synapses", "message", "weights", "accumulator",
               "range used", "saturated", "signal/noise", "worst unit", "instructions")  # fmt: skip
    return table(
        headers,
        [
            (
                row["stage"], row["family"], row["neurons"], row["synapses"], row["message"],
                row["weights"], row["accumulator"], percent(row["range_used"]),
                percent(row["saturated"]), decibel(row["signal_to_noise_db"]),
                worst_text(row["worst_db"], row["worst_unit"]), row["instructions"],
            )
            for row in rows
        ],
        stacked=True,
    )  # fmt: skip


def sides_table(sides: Sequence[Side]) -> Markup:
    """Targets side by side: what each makes of the program, and what that costs and answers."""
    cells = [side.cells() for side in sides]
    return joined(
        *(
            table(headers, [row[part] for row in cells], stacked=True)
            for part, headers in enumerate(HEADERS)
        )
    )


def claims_table(sides: Sequence[Side]) -> Markup:
    """What is proved of each, and what is not."""
    return table(CLAIMS, [side.claims.cells() for side in sides if side.neurons], stacked=True)


def metrics_table(metrics: Sequence[NeuroBenchMetrics]) -> Markup:
    """NeuroBench's metrics under its names, a column for each subject."""
    columns = [m.to_dict() for m in metrics]
    steps = [m.per_step for m in metrics]
    rows: list[list[object]] = []
    for name, unit in (
        ("Footprint", "B"), ("ConnectionSparsity", ""), ("ParameterCount", ""),
        ("ActivationSparsity", ""), ("MembraneUpdates", ""), ("ModelExecutionRate", "Hz"),
    ):  # fmt: skip
        values = [column[name] for column in columns]
        rows.append(
            [name, *(v if v is None or not unit else shown(float(v), unit) for v in values)]
        )
    for key in ("Effective_MACs", "Effective_ACs", "Dense"):
        rows.append([f"SynapticOperations {key}",
                     *(column["SynapticOperations"][key] for column in columns)])  # fmt: skip
        rows.append([f"the same per step: {key}", *(step[key] for step in steps)])
    for key in ("Effective Neuron Ops", "Neuron Dense Ops"):
        operations = [column["NeuronOperations"] or {} for column in columns]
        rows.append([f"NeuronOperations {key}", *(found.get(key) for found in operations)])
    return table(("metric", *(m.subject for m in metrics)), rows, stacked=True)


def provenance_table(entries: Sequence[Provenance]) -> Markup:
    """Where each number comes from."""
    return table(
        ("number", "value", "range", "grade or tier", "source"),
        [
            [typeset(text) or None for text in (p.number, p.value, p.range, p.grade, p.source)]
            for p in entries[:LONGEST_TABLE]
        ],
        stacked=True,
    )


def facts(entries: Mapping[str, object]) -> Markup:
    """Names and values, one under the other."""
    parts: list[Markup] = []
    for name, value in entries.items():
        parts += [element("dt", name), element("dd", value)]
    return element("dl", *parts, class_="facts")
