"""What the parts of a profile say of each other: found in files where they contradict.

Everything that has been computed from something else in the same file is compared with it, where
that is cheap. What nobody can compare (a title, who measured, a device under another name all
through) is left, and docs/profile.md says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lnn2loihi.cost import Interval
from lnn2loihi.cost.basis import Basis
from lnn2loihi.cost.workload import PIPELINED
from lnn2loihi.defaults import AUTO
from lnn2loihi.devices import with_prefix
from lnn2loihi.devices.figures import DEFINITIONS
from lnn2loihi.profiling.frontier import EnergyCurve, Frontier, FrontierRow
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import CHIP, MODEL, ProfileRow
from lnn2loihi.tiers import CALIBRATED

#: How placements are named; nothing where nobody says.
OBJECTIVES = ("packed", "fast", "between", "")
#: Relative difference that another machine's last digits make.
SAME = 1e-6


def contradictions(result: ProfileResult) -> Iterator[str]:
    """Each value that another one of the profile contradicts, by its place in the file."""
    models = [row for row in result.rows if row.backend == MODEL and row.status == "complete"]
    has_basis = any(row.basis is not None for row in models)
    for number, row in enumerate(result.rows):
        place = f"profile.rows[{number}]"
        yield from (f"{place}.{text}" for text in _of_request(row, result))
        if row.backend == MODEL:
            yield from (f"{place}.{text}" for text in _of_model(row, has_basis))
        elif row.basis is not None:
            yield f"{place}.basis is there, and {row.backend!r:.40} is no {MODEL}"
        if row.kind == CHIP and row.backend == MODEL and row.status == "complete":
            yield from (f"{place}.{text}" for text in _of_placement(row, result))
    yield from _of_devices(result)
    yield from _of_chips(result)
    if result.frontier is not None:
        for number, one in enumerate(result.frontier.rows):
            place = f"profile.frontier.rows[{number}]"
            yield from (f"{place}{text}" for text in _winners(one, result))
        yield from _frontier_request(result, result.frontier)


def _of_request(row: ProfileRow, result: ProfileResult) -> Iterator[str]:
    if row.rate is not None and row.rate != result.rate:
        yield f"rate is {row.rate:g}, the profile asks for {_rate_text(result.rate)}"
    if row.kind != CHIP or row.backend != MODEL:
        return  # a board runs as its owner ran it
    if row.copies != result.copies:
        yield f"copies is {row.copies}, the profile is of {result.copies}"
    if row.io != result.io:
        yield f"io is {row.io!r:.40}, the profile is of {result.io!r:.40}"
    if result.closed_loop and row.mode == PIPELINED:
        yield f"mode is {PIPELINED!r}, and nothing is pipelined in a closed loop"
    if row.placement not in OBJECTIVES:
        yield f"placement is {row.placement!r:.40}, expected one of {', '.join(OBJECTIVES[:-1])}"
    elif result.placement != AUTO and row.placement not in (result.placement, ""):
        yield f"placement is {row.placement!r:.40}, the profile is of {result.placement!r:.40}"
    elif row.placement == "between" and result.rate is None:
        yield "placement is 'between', which is chosen for a rate, and the profile has none"


def _rate_text(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:g}"


def _of_model(row: ProfileRow, has_basis: bool) -> Iterator[str]:
    for name in ("tier", "energy_tier"):
        if getattr(row, name) not in (CALIBRATED, None):
            yield f"{name} is {getattr(row, name)}, a {MODEL} gives {CALIBRATED}"
    if has_basis and row.status == "complete" and row.basis is None:
        yield f"basis is null, other rows of the {MODEL} have one; without it nothing is checked"


def _of_placement(row: ProfileRow, result: ProfileResult) -> Iterator[str]:
    """A row and the placements that the page draws."""
    drawn = [chip for chip in result.chips if chip.device == row.device and chip.objective]
    if not drawn or not row.placement:
        return
    sizes = {chip.objective: len(chip.cores) for chip in drawn}
    if row.placement not in sizes:
        yield f"placement is {row.placement!r}, on the chip it is {' and '.join(sizes)}"
    elif row.cores is not None and row.cores != sizes[row.placement]:
        yield (
            f"cores is {row.cores}, the placement that is {row.placement} takes "
            f"{sizes[row.placement]}"
        )


def _of_devices(result: ProfileResult) -> Iterator[str]:
    """One device has one title, and one set of figures, which stands in the sources too."""
    titles = {chip.device: chip.title for chip in result.chips}
    known = {one.number: one.value for one in result.provenance}
    figures: dict[str, dict[str, object]] = {}
    for number, row in enumerate(result.rows):
        place = f"profile.rows[{number}]"
        if row.backend == MODEL:
            title = titles.setdefault(row.device, row.title)
            if title != row.title:
                yield f"{place}.title is {row.title!r:.60}, {row.device!r:.40} is {title!r:.60} too"
        if row.basis is None:
            continue
        of = figures.setdefault(row.device, {})
        for name, figure in row.basis.figures.items():
            if of.setdefault(name, figure) != figure:
                yield f"{place}.basis.figures.{name:.40} is another than in a row before it"
            said = known.get(f"{row.device}: {name}")
            text = with_prefix(figure.value, DEFINITIONS[name].unit)
            if said is not None and said != text:
                yield f"{place}.basis.figures.{name:.40} is {text}, its source has {said:.40}"
        sourced = not known or any(one.startswith(f"{row.device}: ") for one in known)
        if row.kind == CHIP and not sourced:
            yield f"{place}.device is {row.device!r:.40}, whose figures have no source in the file"


def _of_chips(result: ProfileResult) -> Iterator[str]:
    """Curves of energy against rate: their ends, drawn again from the row at full speed."""
    rows = {
        (row.device, row.placement, row.mode, row.copies): row.basis
        for row in result.rows
        if row.kind == CHIP and row.rate is None and isinstance(row.basis, Basis)
    }
    for number, chip in enumerate(result.chips):
        place = f"profile.chips[{number}]"
        if result.closed_loop and chip.mode == PIPELINED and chip.objective:
            yield f"{place}.mode is {PIPELINED!r}, and nothing is pipelined in a closed loop"
        basis = rows.get((chip.device, chip.objective, chip.mode, chip.copies))
        if basis is None or not chip.rate_curve:
            continue
        for at in (0, len(chip.rate_curve) - 1):
            point = chip.rate_curve[at]
            if not _gives(basis, point.rate, point.total_energy):
                yield f"{place}.rate_curve[{at}] is not what the basis of its row gives"


def _gives(basis: Basis, rate: float, energy: Quantity) -> bool:
    with np.errstate(all="ignore"):
        drawn = replace(basis, rate=rate).results["total_full_chip"]
    ends = Interval.of(drawn, "J")
    return all(
        a is not None and math.isclose(a, b, rel_tol=SAME)
        for a, b in ((energy.value, ends.value), (energy.low, ends.low), (energy.high, ends.high))
    )


def _winners(row: FrontierRow, result: ProfileResult) -> Iterator[str]:
    """Who wins follows from the curves at each rate, and who wins from where to where from that."""
    assert result.frontier is not None
    rates = result.frontier.rates
    for curve in row.curves:
        met = sum(rate <= curve.fastest * (1.0 + SAME) for rate in rates)
        if not met - 1 <= len(curve.energies) <= met:
            yield (
                f": {curve.label!r:.60} has energies at {len(curve.energies)} rates, and meets "
                f"{met} of them"
            )
    able = [
        curve
        for curve in row.curves
        if result.allow_estimated or all(energy.value is not None for energy in curve.energies)
    ]
    for number, (rate, winner) in enumerate(zip(rates, row.winners, strict=True)):
        energies = {curve.label: curve.energies[number].middle
                    for curve in able if number < len(curve.energies)}  # fmt: skip
        least = min(energies.values(), default=0.0)
        cheapest = [name for name, each in energies.items() if each <= least * (1.0 + SAME)]
        if winner not in (cheapest or [""]):
            yield (
                f".winners[{number}] is {winner!r:.60}, by the curves it is "
                f"{(cheapest or ['nobody'])[0]!r:.60}"
            )
            return
        there = {one.winner for one in row.stretches
                 if one.low * (1.0 - SAME) <= rate <= one.high * (1.0 + SAME)}  # fmt: skip
        if winner not in (there or {""}):
            yield f".stretches: at {rate:g} Hz none is of {winner!r:.60}, who wins there"
            return
    for number, (one, after) in enumerate(zip(row.stretches, row.stretches[1:], strict=False)):
        if one.winner == after.winner or not math.isclose(one.high, after.low, rel_tol=SAME):
            yield f".stretches[{number + 1}] does not begin where the one before it ends"


def _frontier_request(result: ProfileResult, frontier: Frontier) -> Iterator[str]:
    """The frontier is of the same chip as the rows, and its curve runs through them."""
    place = "profile.frontier"
    rows = [row for row in result.rows if row.kind == CHIP and row.device == frontier.device
            and isinstance(row.basis, Basis) and row.rate is None]  # fmt: skip
    if not rows:
        return
    for name, expected in (("io", result.io), ("asked", result.copies), ("title", rows[0].title)):
        found = getattr(frontier, name)
        if found != expected:
            yield f"{place}.{name} is {found!r:.60}, its rows say {expected!r:.60}"
    for number, one in enumerate(frontier.rows):
        if one.copies == result.copies:
            yield from (
                f"{place}.rows[{number}].curves[0].energies[{at}] is not what the basis of its row "
                "gives"
                for at in _wrong_points(one.chip, frontier.rates, rows)
            )


def _wrong_points(
    curve: EnergyCurve, rates: tuple[float, ...], rows: list[ProfileRow]
) -> Iterator[int]:
    """The first and the last rate at which the chip runs as a row does, drawn again."""
    for row in rows:
        how = f"{row.placed}, {row.mode}"
        same = [at for at in range(len(curve.energies)) if curve.how(rates[at]) == how]
        for at in sorted({*same[:1], *same[-1:]}):
            assert isinstance(row.basis, Basis)
            if not _gives(row.basis, rates[at], curve.energies[at]):
                yield at
