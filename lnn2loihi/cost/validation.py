"""Runs the model on published measurements: hardware_profiles/validation.toml.

A case is in-sample where it set some of the figures, and the table says so; the misses that are
known are in it too, and measurements that cannot be computed, with the reason in words.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lnn2loihi.cost.estimate import estimate
from lnn2loihi.cost.interval import Interval
from lnn2loihi.cost.model import NO_IO
from lnn2loihi.cost.result import CostEstimate
from lnn2loihi.cost.totals import workload_of_totals
from lnn2loihi.cost.workload import PIPELINED
from lnn2loihi.devices import with_prefix
from lnn2loihi.devices.reader import shipped_text
from lnn2loihi.devices.units import dimension_of, to_base
from lnn2loihi.errors import InputError
from lnn2loihi.files import parse_toml
from lnn2loihi.tables import WIDTH, paragraph, text_table, width

#: Largest relative error of a power or an energy, and largest factor of a time, of V1 to V4.
POWER_TARGET, TIME_TARGET = 0.30, 2.0
#: Counts that `counter_factor` scales: neuron updates are known from the network itself.
_COUNTED = ("synaptic_operations", "busiest_synaptic_operations", "messages", "spikes",
            "busiest_messages_in", "busiest_messages_out", "link_messages", "hops")  # fmt: skip
_QUANTITIES: Mapping[str, Callable[[CostEstimate], Interval]] = {
    "step time": lambda found: found.step_time,
    "latency": lambda found: found.latency,
    "energy": lambda found: found.energy["total_full_chip"],
    "dynamic energy": lambda found: found.energy["dynamic"],
    "static energy": lambda found: found.energy["static_full_chip"],
    "power": lambda found: found.power["total_full_chip"],
    "static power": lambda found: found.power["static_full_chip"],
    "dynamic power": lambda found: found.power["dynamic"],
}


@dataclass(frozen=True)
class ValidationRow:
    """One measured quantity of one case, and what the model says.

    Attributes:
        case: name of the case.
        title: the network.
        split: `in-sample`, `semi-held-out`, `consistency check`, `negative control`, ...
        sets: figures of the profile that the case was used to set.
        stated: what no publication gives and was fixed.
        device: the profile.
        quantity: what was measured.
        unit: its SI unit.
        measured_low, measured_high: ends of what was measured; equal where one value was published.
        measured_error: how far a measured value may be off, in the unit; 0 where nobody says.
        model: the model's value with its 90 % interval; None where nothing can be computed, which
            the verdict explains.
        lower_bound: lower bound of a step time; None for other quantities.
        error: relative error of the model against the measured range; 0 inside it; None where
            the measurement is below its own resolution, and without a model value.
        verdict: in words.
        source: where the measurement was published.
    """

    case: str
    title: str
    split: str
    sets: tuple[str, ...]
    stated: str
    device: str
    quantity: str
    unit: str
    measured_low: float
    measured_high: float
    measured_error: float
    model: Interval | None
    lower_bound: Interval | None
    error: float | None
    verdict: str
    source: str

    @property
    def met(self) -> bool:
        """Whether it is within the targets: 30 % in power and energy; in time a factor 2, or
        between the two bounds. What is not computed meets none.
        """
        return self.model is not None and "miss" not in self.verdict

    @property
    def covered(self) -> bool | None:
        """Whether the model's 90 % interval covers what was measured: a value, or a range as a
        whole; a value with an error where both overlap. None without a model value.
        """
        if self.model is None:
            return None
        low, high = self.measured_low, self.measured_high
        if self.measured_error:
            low, high = high - self.measured_error, low + self.measured_error
            return self.model.low <= high and low <= self.model.high
        return self.model.low <= low and high <= self.model.high

    @property
    def covered_text(self) -> str:
        """The same in a word."""
        return {True: "yes", False: "no", None: ""}[self.covered]

    @property
    def measured_text(self) -> str:
        """What was measured, with a suitable prefix."""
        text = _span(self.measured_low, self.measured_high, self.unit)
        error = self.measured_error
        return f"{text} +- {with_prefix(error, self.unit)}" if error else text

    @property
    def model_text(self) -> str:
        """What the model says: for a step time the pair of bounds."""
        if self.model is None:
            return ""
        bound = self.model if self.lower_bound is None else self.lower_bound
        return _span(bound.value, self.model.value, self.unit)

    @property
    def range_text(self) -> str:
        """The 90 % interval of the model."""
        return "" if self.model is None else _span(self.model.low, self.model.high, self.unit)

    @property
    def error_text(self) -> str:
        """The error in percent, or as a factor where it is large."""
        if self.error is None:
            return ""
        if self.error <= -0.9:
            return f"1/{1.0 / (1.0 + self.error):,.0f}"
        if self.error == 0.0:
            return "inside"
        return "0 %" if abs(self.error) < 0.005 else f"{100.0 * self.error:+.0f} %"


def _span(low: float, high: float, unit: str) -> str:
    """A range with its unit once; a single value where both ends print alike."""
    first, last = with_prefix(low, unit), with_prefix(high, unit)
    if first == last:
        return last
    number, prefixed = first.split(" ")
    return f"{number} to {last}" if last.endswith(f" {prefixed}") else f"{first} to {last}"


def validation_table() -> tuple[ValidationRow, ...]:
    """Every measured quantity of every case of hardware_profiles/validation.toml."""
    rows: list[ValidationRow] = []
    for case in validation_cases():
        found = None if "words" in case else _estimate_case(case)
        rows += [_row(case, measured, found) for measured in case["measured"]]
    return tuple(rows)


def validation_cases() -> list[dict[str, Any]]:
    """The cases as they stand in the file, each complete."""
    content = parse_toml(
        shipped_text("validation"), "hardware_profiles/validation.toml", InputError
    )
    complete: dict[str, dict[str, Any]] = {}
    for case in content["case"]:
        base = complete.get(case.get("like", ""), {})
        counts = {**base.get("counts", {}), **case.get("counts", {})}
        complete[case["name"]] = {**base, **case, "counts": counts}
    return list(complete.values())


def _estimate_case(case: Mapping[str, Any]) -> CostEstimate:
    factor = case.get("counter_factor", 1.0)
    counts = {
        name: value * factor if name in _COUNTED else value
        for name, value in case["counts"].items()
    }
    return estimate(
        workload_of_totals(case["name"], counts, case["source"]),
        case["device"],
        rate=case.get("rate"),
        mode=case.get("mode", PIPELINED),
        io=case.get("io", NO_IO),
        step_time=case.get("step_time"),
    )


def _row(
    case: Mapping[str, Any], measured: Mapping[str, Any], found: CostEstimate | None
) -> ValidationRow:
    quantity, unit = measured["quantity"], measured["unit"]
    low, high = to_base(measured["low"], unit), to_base(measured["high"], unit)
    resolution = to_base(measured["resolution"], unit) if "resolution" in measured else None
    model = bound = error = None
    verdict = measured.get("words", case.get("words"))
    if verdict is None:
        assert found is not None
        model = _QUANTITIES[quantity](found)
        assert dimension_of(unit) == model.unit, f"{case['name']}: {quantity} in {unit}"
        bound = found.step_time_lower_bound if quantity == "step time" else None
        error, verdict = _judge(model, bound, (low, high), resolution)
        if verdict == "miss" and measured.get("known_miss", False):
            verdict = "known miss"
    return ValidationRow(
        case["name"], case["title"], measured.get("split", case["split"]),
        tuple(case.get("sets", ())), case["stated"], case["device"], quantity,
        dimension_of(unit) or "", low, high, resolution or to_base(measured.get("error", 0), unit),
        model, bound, error, verdict, case["source"],
    )  # fmt: skip


def _judge(
    model: Interval,
    bound: Interval | None,
    measured: tuple[float, float],
    resolution: float | None,
) -> tuple[float | None, str]:
    """The relative error, and a verdict in words."""
    if resolution is not None and abs(model.value) < resolution:
        # The measured value is noise there, whatever its sign; so is any error against it.
        return None, "below resolution"
    low, high = measured
    nearest = min(max(model.value, low), high)
    error = model.value / nearest - 1.0
    if model.unit != "s":
        return error, "within 30 %" if abs(error) <= POWER_TARGET else "miss"
    if bound is not None and bound.value <= high and low <= model.value:
        return error, "between the bounds"
    if 1.0 / TIME_TARGET <= model.value / nearest <= TIME_TARGET:
        return error, "within a factor 2"
    return error, "miss"


def coverage(rows: Sequence[ValidationRow]) -> str:
    """What intervals are, and how many of the measured values they cover, as a phrase."""
    computed = [row for row in rows if row.covered is not None]
    return (
        f"parameter interval, covers {sum(row.covered is True for row in computed)} of "
        f"{len(computed)} points"
    )


def validation_summary(rows: Sequence[ValidationRow]) -> str:
    """The table as text, no wider than a paragraph: a heading for each case and split."""
    headers = ("  quantity", "measured", "model", "90 % interval", "in it", "error, verdict")
    cells = [
        (f"  {r.quantity}", r.measured_text, r.model_text, r.range_text, r.covered_text,
         ", ".join(filter(None, (r.error_text, r.verdict))))
        for r in rows
    ]  # fmt: skip
    if width() < WIDTH:
        return _narrow_summary(rows, headers, cells)
    widths = [max(map(len, column)) for column in [*zip(headers, *cells, strict=True)][:-1]]
    rules = ["-" * width for width in (*widths, len(headers[-1]))]
    text = text_table(headers, [rules]).splitlines()[::2]
    for (case, title, split), group in groupby(
        zip(rows, cells, strict=True), lambda pair: (pair[0].case, pair[0].title, pair[0].split)
    ):
        text.append(paragraph("", f"{case}: {title} ({split})"))
        for row, cell in group:
            # Words of what is not computed begin where the model's columns would.
            told = cell[:2] if row.model is None else cell[:-1]
            head = "  ".join([*(c.ljust(w) for c, w in zip(told, widths, strict=False)), ""])
            text.append(textwrap.fill(cell[-1], WIDTH, initial_indent=head,
                                      subsequent_indent=" " * len(head)))  # fmt: skip
    return "\n".join([*text, *_covered_text(rows)])


def _narrow_summary(
    rows: Sequence[ValidationRow], headers: Sequence[str], cells: Sequence[Sequence[str]]
) -> str:
    """The same with a table for each case, which fits by itself."""
    text: list[str] = []
    for (case, title, split), group in groupby(
        zip(rows, cells, strict=True), lambda pair: (pair[0].case, pair[0].title, pair[0].split)
    ):
        text += [paragraph("", f"{case}: {title} ({split})")]
        text += [text_table(headers, [cell for _, cell in group]), ""]
    return "\n".join([*text[:-1], *_covered_text(rows)])


def _covered_text(rows: Sequence[ValidationRow]) -> list[str]:
    """How many points intervals cover, as lines below a table."""
    in_sample = [row for row in rows if row.split == "in-sample"]
    others = [row for row in rows if row.split != "in-sample"]
    summary = (
        f"In-sample, where a case set figures: {coverage(in_sample)}; all others: "
        f"{coverage(others)}. A 90 % interval is one of the parameters, not of predictions."
    )
    return ["", paragraph("", summary), f"In all: {coverage(rows)}"]
