"""Which rows of a profile speak in its answer: for the chip, and for what stands beside it."""

from __future__ import annotations

from lnn2loihi.cost.basis import MET
from lnn2loihi.cost.workload import FALL_THROUGH, PIPELINED
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import CHIP, MICROCONTROLLER, MODEL, ProfileRow
from lnn2loihi.tiers import ESTIMATED, MEASURED


def chip_rows(result: ProfileResult) -> list[ProfileRow]:
    """The rows that speak for the first chip that has estimates, one for each placement."""
    return next(iter(rows_of_chips(result).values()), [])


def rows_of_chips(result: ProfileResult) -> dict[str, list[ProfileRow]]:
    """By device the rows that speak for it, one for each placement.

    At the asked rate a sample falls through, since a pipeline would hold it back until the next
    ones push it on; only if that does not meet the rate surely, the pipeline speaks. At full speed
    it is the pipeline, unless there is none.
    """
    found: dict[str, dict[str, list[ProfileRow]]] = {}
    for row in result.rows:
        estimated = row.kind == CHIP and row.backend == MODEL and row.total_energy is not None
        if estimated and row.rate == result.rate:
            found.setdefault(row.device, {}).setdefault(row.placement, []).append(row)
    return {
        device: [_speaking(rows, result.rate) for rows in placements.values()]
        for device, placements in found.items()
    }


def _speaking(rows: list[ProfileRow], rate: float | None) -> ProfileRow:
    falling = next((row for row in rows if row.mode == FALL_THROUGH), None)
    pipelined = next((row for row in rows if row.mode == PIPELINED), None)
    if falling is None or pipelined is None:
        return falling or pipelined or rows[0]
    return falling if rate is not None and surely_met(falling) else pipelined


def surely_met(row: ProfileRow) -> bool:
    """Whether the upper end of the interval meets the rate, or nothing says otherwise."""
    return row.rate_met is None or row.rate_met >= MET


def cheapest_rival(result: ProfileResult, estimated: bool) -> ProfileRow | None:
    """The row of another device that takes least energy at the same pace, of those that meet the
    rate surely.

    Args:
        result: the profile.
        estimated: whether ESTIMATED energies, which are bounds, take part.
    """
    rows = [
        row
        for row in result.rows
        if row.kind != CHIP
        and row.total_energy is not None
        and row.rate == result.rate
        and (estimated or row.energy_tier != ESTIMATED)
        and surely_met(row)
        and keeps_up(result, row)
    ]
    return min(rows, key=lambda row: row.total_energy.middle, default=None)  # pyright: ignore[reportOptionalMemberAccess]


def keeps_up(result: ProfileResult, row: ProfileRow) -> bool:
    """Whether what was measured meets the rate at the low end of its speed too; of an estimate
    `surely_met` says it.
    """
    full = None if row.rate is None or row.basis is not None else full_speed(result, row)
    if full is None or full.throughput is None or row.rate is None:
        return True
    return full.throughput.low >= row.rate * -(-row.copies // row.devices) * (1.0 - 1e-9)


def controllers(result: ProfileResult) -> list[ProfileRow]:
    """The rows of micro-controllers at the pace that was asked for, whatever became of them."""
    return [r for r in result.rows if r.kind == MICROCONTROLLER and r.rate == result.rate]


def measured_energy(result: ProfileResult) -> bool:
    """Whether the energy of a CPU or GPU was measured at this pace, or computed from such a one."""
    return any(
        row.kind not in (CHIP, MICROCONTROLLER)
        and row.rate == result.rate
        and row.total_energy is not None
        and row.energy_tier != ESTIMATED
        for row in result.rows
    )


def bounded_rival(result: ProfileResult) -> ProfileRow | None:
    """The row of a CPU or GPU whose energy is only bounded, with the lowest bounds."""
    rows = [
        row
        for row in result.rows
        if row.rate == result.rate and row.energy_tier == ESTIMATED and row.total_energy is not None
    ]
    return min(rows, key=lambda row: row.total_energy.middle, default=None)  # pyright: ignore[reportOptionalMemberAccess]


def fastest_measured(result: ProfileResult) -> ProfileRow | None:
    """The row of a CPU or GPU that answered fastest here."""
    rows = [
        row
        for row in result.rows
        if row.kind not in (CHIP, MICROCONTROLLER)
        and row.tier == MEASURED
        and row.latency is not None
    ]
    return min(rows, key=lambda row: row.latency.middle, default=None)  # pyright: ignore[reportOptionalMemberAccess]


def full_speed(result: ProfileResult, row: ProfileRow) -> ProfileRow | None:
    """The same at full speed."""
    return next(
        (
            other
            for other in result.rows
            if other.rate is None
            and (other.device, other.backend, other.placement, other.mode, other.batch)
            == (row.device, row.backend, row.placement, row.mode, row.batch)
        ),
        None,
    )
