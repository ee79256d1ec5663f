"""Total energy against sample rate, and the rates at which two devices need the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lnn2loihi.devices import with_prefix
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import ChipProfile, ProfileResult
from lnn2loihi.profiling.rows import CHIP, ProfileRow
from lnn2loihi.tiers import CALIBRATED, ESTIMATED

#: Points of a curve that is computed from a row.
POINTS = 25


@dataclass(frozen=True)
class Curve:
    """Energy per sample against rate.

    Attributes:
        label: of what.
        kind: `loihi`, `cpu`, `gpu` or `mcu`.
        tier: how it is known.
        rates: samples per second, rising.
        energies: joules per sample at each.
        pro_rata: whether the static energy is the network's share of a chip only.
    """

    label: str
    kind: str
    tier: str
    rates: tuple[float, ...]
    energies: tuple[Quantity, ...]
    pro_rata: bool = False


@dataclass(frozen=True)
class Crossover:
    """Where two curves meet.

    Attributes:
        rate: samples per second.
        energy: joules per sample there.
        cheaper_above: label of the curve that needs less at higher rates.
        other: label of the other one.
    """

    rate: float
    energy: float
    cheaper_above: str
    other: str


def curves_of(result: ProfileResult) -> list[Curve]:
    """All curves of a profile: of the chips, and of the rows that have an idle power."""
    found = [curve for chip in result.chips for curve in _chip_curves(chip)]
    starts = [curve.rates[0] for curve in found]
    lowest = min(starts, default=1.0)
    for row in result.rows:
        if row.kind != CHIP and row.rate is None and row.batch == 1:
            found += _row_curve(row, lowest)
    return found


def _chip_curves(chip: ChipProfile) -> list[Curve]:
    if not chip.rate_curve:
        return []
    rates = tuple(point.rate for point in chip.rate_curve)
    tier = CALIBRATED
    full = tuple(point.total_energy for point in chip.rate_curve)
    share = tuple(point.total_energy_pro_rata for point in chip.rate_curve)
    return [
        Curve(chip.placed, CHIP, tier, rates, full),
        Curve(f"{chip.placed}, pro rata", CHIP, tier, rates, share, pro_rata=True),
    ]


def _row_curve(row: ProfileRow, lowest: float) -> list[Curve]:
    """Energy at full speed plus idle power until the next sample, up to the rate it reaches."""
    if not (row.energy_tier and row.idle_power and row.throughput and row.total_energy):
        return []
    highest = row.throughput.middle / row.copies
    if not 0.0 < lowest < highest:
        return []
    rates = tuple(lowest * (highest / lowest) ** (i / (POINTS - 1)) for i in range(POINTS))
    energies = tuple(paced_energy(row, rate * row.copies) for rate in rates)
    return [Curve(row.name, row.kind, paced_tier(row), rates, energies)]


def paced_energy(row: ProfileRow, rate: float) -> Quantity:
    """Total energy per sample of a row at full speed that has an idle power, at samples per second
    of the device; of copies they are those of all of them.
    """
    assert row.total_energy is not None and row.idle_power is not None
    assert row.throughput is not None
    waiting = max(1.0 / rate - 1.0 / row.throughput.middle, 0.0)
    return row.total_energy.plus(row.idle_power.times(waiting, "J"))


def paced_tier(row: ProfileRow) -> str:
    """How a paced energy is known: it is computed, also where dynamic energy and idle power were
    measured.
    """
    return ESTIMATED if row.energy_tier == ESTIMATED else CALIBRATED


def crossovers(curves: Sequence[Curve], allow_estimated: bool = False) -> list[Crossover]:
    """Rates at which a chip and another device need the same, by their nominal values.

    ESTIMATED curves have no value, only an interval; they take part with its middle where
    `allow_estimated` says so.
    """
    chips = [curve for curve in curves if curve.kind == CHIP and not curve.pro_rata]
    others = [c for c in curves if c.kind != CHIP and (allow_estimated or c.tier != ESTIMATED)]
    return [found for a in chips for b in others for found in _meetings(a, b)]


def _meetings(a: Curve, b: Curve) -> list[Crossover]:
    low, high = max(a.rates[0], b.rates[0]), min(a.rates[-1], b.rates[-1])
    if not low < high:
        return []
    rates = sorted({low, high, *(r for r in (*a.rates, *b.rates) if low < r < high)})
    gaps = [_log_energy(a, rate) - _log_energy(b, rate) for rate in rates]
    found: list[Crossover] = []
    for i, (before, after) in enumerate(zip(gaps, gaps[1:], strict=False)):
        if before * after >= 0.0:
            continue
        share = before / (before - after)
        rate = rates[i] * (rates[i + 1] / rates[i]) ** share
        cheaper, other = (a, b) if after < 0.0 else (b, a)
        energy = math.exp(_log_energy(a, rate))
        found.append(Crossover(rate, energy, cheaper.label, other.label))
    return found


def _log_energy(curve: Curve, rate: float) -> float:
    """Logarithm of the energy, straight between two points on logarithmic axes."""
    rates = curve.rates
    i = next((i for i in range(1, len(rates)) if rate <= rates[i]), len(rates) - 1)
    ends = [math.log(curve.energies[j].middle) for j in (i - 1, i)]
    share = math.log(rate / rates[i - 1]) / math.log(rates[i] / rates[i - 1])
    return ends[0] + share * (ends[1] - ends[0])


def crossover_text(found: Sequence[Crossover]) -> str:
    """The rates at which curves cross as sentences: one for each curve that gets cheaper."""
    cheaper: dict[str, list[str]] = {}
    for crossing in found:
        above = f"than {crossing.other} above {with_prefix(crossing.rate, 'Hz')}"
        cheaper.setdefault(crossing.cheaper_above, []).append(above)
    return " ".join(f"{label} needs less energy {', '.join(a)}." for label, a in cheaper.items())
