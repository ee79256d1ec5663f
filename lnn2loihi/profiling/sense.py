"""What no profile says: found in files before anything divides by it or takes its logarithm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lnn2loihi.kinds import RATE_TEXT, RATES
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import ProfileResult, RatePoint

#: Quantities of a row that are above 0.
_ABOVE_ZERO = (
    "avg_time_per_step", "latency", "throughput", "total_energy", "total_energy_pro_rata",
)  # fmt: skip


def nonsense(result: ProfileResult) -> Iterator[str]:
    """Each value that cannot be, by its place in the file."""
    yield from _no_rate("profile.rate", result.rate)
    for number, row in enumerate(result.rows):
        place = f"profile.rows[{number}]"
        yield from _no_rate(f"{place}.rate", row.rate)
        yield from _not_above(f"{place}.batch", row.batch)
        for name in _ABOVE_ZERO:
            yield from _not_above(f"{place}.{name}", getattr(row, name))
        if row.idle_power is not None and row.idle_power.middle < 0.0:
            yield f"{place}.idle_power is {row.idle_power.middle:g}, expected 0 or more"
        for at, point in enumerate(row.batch_search):
            yield from _not_above(f"{place}.batch_search[{at}].batch", point.batch)
            yield from _not_above(f"{place}.batch_search[{at}].throughput", point.throughput)
    for number, chip in enumerate(result.chips):
        yield from _curve_problems(f"profile.chips[{number}].rate_curve", chip.rate_curve)


def _no_rate(place: str, rate: float | None) -> Iterator[str]:
    if rate is not None and not RATES.holds(rate):
        yield f"{place} is {rate:g}, expected {RATE_TEXT}"


def _curve_problems(place: str, points: Sequence[RatePoint]) -> Iterator[str]:
    for number, point in enumerate(points):
        for name in ("rate", "total_energy", "total_energy_pro_rata"):
            yield from _not_above(f"{place}[{number}].{name}", getattr(point, name))
    rates = [point.rate for point in points]
    if any(after <= before for before, after in zip(rates, rates[1:], strict=False)):
        yield f"{place}: its rates do not ascend"


def _not_above(place: str, value: float | Quantity | None) -> Iterator[str]:
    number = value.middle if isinstance(value, Quantity) else value
    if number is not None and not number > 0.0:
        yield f"{place} is {number:g}, expected a number above 0"
