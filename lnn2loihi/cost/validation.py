"""Runs the model on published measurements: hardware_profiles/validation.toml.

A case is in-sample where it set some of the figures, and the table says so; the misses that are
known are in it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from lnn2loihi.tables import text_table

#: Largest relative error of a power or an energy, and largest factor of a time, of V1 to V4.
POWER_TARGET, TIME_TARGET = 0.30, 2.0
#: Counts that `counter_factor` scales: neuron updates are known from the network itself.
_COUNTED = ("synaptic_operations", "busiest_synaptic_operations", "messages",
            "busiest_messages_in", "hops")  # fmt: skip
_QUANTITIES: Mapping[str, Callable[[CostEstimate], Interval]] = {
    "step time": lambda found: found.step_time,
    "latency": lambda found: found.latency,
    "energy": lambda found: found.energy["total_full_chip"],
    "dynamic energy": lambda found: found.energy["dynamic"],
    "static energy": lambda found: found.energy["static_full_chip"],
    "power": lambda found: found.power["total_full_chip"],
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
        measured_low, measured_high: in the unit; equal where one value was published.
        model: the model's value with its 90 % interval.
        lower_bound: lower bound of a step time; None for other quantities.
        error: relative error of the model against the measured range; 0 inside it; None where
            the measurement is below its own resolution.
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
    measured_low: float
    measured_high: float
    model: Interval
    lower_bound: Interval | None
    error: float | None
    verdict: str
    source: str

    @property
    def met(self) -> bool:
        """Whether it is within the targets: 30 % in power and energy; in time a factor 2, or
        between the two bounds.
        """
        return "miss" not in self.verdict

    @property
    def measured_text(self) -> str:
        """What was measured, with a suitable prefix."""
        low, high = (
            with_prefix(n, self.model.unit) for n in (self.measured_low, self.measured_high)
        )
        return low if low == high else f"{low} to {high}"

    @property
    def model_text(self) -> str:
        """What the model says: for a step time the pair of bounds."""
        value = with_prefix(self.model.value, self.model.unit)
        if self.lower_bound is None:
            return value
        return f"{with_prefix(self.lower_bound.value, self.model.unit)} to {value}"

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


def validation_table() -> tuple[ValidationRow, ...]:
    """Every measured quantity of every case of hardware_profiles/validation.toml."""
    rows: list[ValidationRow] = []
    for case in validation_cases():
        found = _estimate_case(case)
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
    case: Mapping[str, Any], measured: Mapping[str, Any], found: CostEstimate
) -> ValidationRow:
    quantity, unit = measured["quantity"], measured["unit"]
    low, high = to_base(measured["low"], unit), to_base(measured["high"], unit)
    model = _QUANTITIES[quantity](found)
    assert dimension_of(unit) == model.unit, f"{case['name']}: {quantity} in {unit}"
    bound = found.step_time_lower_bound if quantity == "step time" else None
    resolution = to_base(measured["resolution"], unit) if "resolution" in measured else None
    error, verdict = _judge(model, bound, (low, high), resolution)
    if verdict == "miss" and measured.get("known_miss", False):
        verdict = "known miss"
    return ValidationRow(
        case["name"], case["title"], measured.get("split", case["split"]),
        tuple(case.get("sets", ())), case["stated"], case["device"], quantity, low, high, model,
        bound, error, verdict, case["source"],
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
        return None, f"below resolution (+-{with_prefix(resolution, model.unit)})"
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


def validation_summary(rows: Sequence[ValidationRow]) -> str:
    """The table as text."""
    headers = ("case", "network", "split", "quantity", "measured", "model", "error", "verdict")
    cells = [
        (r.case, r.title, r.split, r.quantity, r.measured_text, r.model_text, r.error_text,
         r.verdict)
        for r in rows
    ]  # fmt: skip
    return text_table(headers, cells)
