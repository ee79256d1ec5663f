"""What no profile says: found in files before anything divides by it or takes its logarithm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from lnn2loihi.cost import Interval
from lnn2loihi.cost.basis import Basis
from lnn2loihi.cost.microcontroller_model import MicrocontrollerBasis
from lnn2loihi.defaults import IO, PLACEMENTS
from lnn2loihi.kinds import RATE_TEXT, RATES
from lnn2loihi.profiling.consistency import contradictions
from lnn2loihi.profiling.frontier import Frontier
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.ratios import ESTIMATED_NAMES
from lnn2loihi.profiling.result import ProfileResult, RatePoint
from lnn2loihi.profiling.rows import CHIP, MICROCONTROLLER, ProfileRow

#: Numbers that are drawn again, at most, to check the rows of a file (a limit of this library:
#: some seconds; a row of Hala Point takes 10**6).
LARGEST_DRAWS = 1 << 24

TOO_MUCH = "it takes too much to draw it and those before it again"

#: Quantities of a row that are above 0.
_ABOVE_ZERO = (
    "avg_time_per_step", "latency", "throughput", "total_energy", "total_energy_pro_rata",
)  # fmt: skip


def nonsense(result: ProfileResult) -> Iterator[str]:
    """Each value that cannot be, by its place in the file."""
    yield from _no_rate("profile.rate", result.rate)
    yield from _not_above("profile.copies", result.copies)
    for name, value, words in (("io", result.io, IO), ("placement", result.placement, PLACEMENTS)):
        if value not in words:
            yield f"profile.{name} is {value!r:.40}, expected one of {', '.join(words)}"
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
    found = [*_basis_problems(result.rows)]
    yield from found
    for number, chip in enumerate(result.chips):
        yield from _curve_problems(f"profile.chips[{number}].rate_curve", chip.rate_curve)
    if result.frontier is not None:
        yield from _frontier_problems("profile.frontier", result.frontier)
    if not any(problem.endswith(TOO_MUCH) for problem in found):
        yield from contradictions(result)


def _frontier_problems(place: str, frontier: Frontier) -> Iterator[str]:
    for number, rate in enumerate(frontier.rates):
        yield from _not_above(f"{place}.rates[{number}]", rate)
    if any(b <= a for a, b in zip(frontier.rates, frontier.rates[1:], strict=False)):
        yield f"{place}: its rates do not ascend"
    for number, row in enumerate(frontier.rows):
        here = f"{place}.rows[{number}]"
        for at, curve in enumerate(row.curves):
            yield from _not_above(f"{here}.curves[{at}].fastest", curve.fastest)
            for n, energy in enumerate(curve.energies):
                yield from _not_above(f"{here}.curves[{at}].energies[{n}]", energy)
            for n, parts in enumerate(curve.parts):
                yield from _not_above(f"{here}.curves[{at}].parts[{n}]", parts)
        for at, one in enumerate(row.stretches):
            for name in ("low", "high", "begins"):
                yield from _not_above(f"{here}.stretches[{at}].{name}", getattr(one, name))
        for at, one in enumerate(row.crossovers):
            yield from _not_above(f"{here}.crossovers[{at}].rate", one.rate)
        yield from _not_above(f"{here}.takeover.rate", row.takeover.rate)


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


def _basis_problems(rows: Sequence[ProfileRow]) -> Iterator[str]:
    """Rows whose numbers are not those that their basis gives, computed again."""
    left = LARGEST_DRAWS
    for number, row in enumerate(rows):
        place = f"profile.rows[{number}]"
        if row.basis is None:
            continue
        left -= _draws_of(row.basis)
        if left < 0:
            yield f"{place}.basis: {TOO_MUCH}"
            return
        yield from (f"{place}.{problem}" for problem in _disagreements(row, row.basis))


def _draws_of(basis: Basis | MicrocontrollerBasis) -> int:
    """Numbers that are drawn and multiplied for it, about."""
    counts = len(basis.figures)
    if isinstance(basis, Basis):
        counts += sum(map(len, basis.demand.loads)) + len(basis.demand.link_messages)
    return (1 + basis.draws) * counts


def _disagreements(row: ProfileRow, basis: Basis | MicrocontrollerBasis) -> Iterator[str]:
    if isinstance(basis, Basis):
        demand = basis.demand
        named = {"kind": CHIP, "mode": demand.mode, "chips": demand.chips, "cores": demand.cores,
                 "io": basis.io, "copies": demand.copies, "rate": basis.rate}  # fmt: skip
    else:
        named = {"kind": MICROCONTROLLER, "copies": basis.copies, "devices": basis.parts,
                 "rate": basis.rate}  # fmt: skip
    for name, expected in named.items():
        if getattr(row, name) != expected:
            yield f"{name} is {getattr(row, name)!r:.40}, its basis says {expected!r:.40}"
    with np.errstate(all="ignore"):
        results, met = basis.results, basis.rate_met
        for name, known in ESTIMATED_NAMES.items():
            found = getattr(row, name)
            if found is None:
                continue
            if known not in results or not _alike(found, Interval.of(results[known], found.unit)):
                yield f"{name} is {found}, which is not what its basis gives"
    if row.rate_met is not None and (met is None or abs(row.rate_met - met) > 1e-9):
        yield f"rate_met is {row.rate_met:g}, which is not what its basis gives"


def _alike(found: Quantity, computed: Interval) -> bool:
    """Whether they are the same, but for the last digits of another machine."""
    ends = zip(
        (found.value, found.low, found.high),
        (computed.value, computed.low, computed.high),
        strict=True,
    )
    return all(
        a is not None and math.isfinite(b) and math.isclose(a, b, rel_tol=1e-6) for a, b in ends
    )
