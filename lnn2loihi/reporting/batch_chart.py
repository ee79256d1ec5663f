"""Energy, or else time, of a sample against the batch."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.cost.workload import PIPELINED
from lnn2loihi.measure.meter import DEVICE_KINDS
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import CHIP, ProfileRow
from lnn2loihi.reporting.axis import Axis
from lnn2loihi.reporting.chart import (
    Area,
    drawing,
    frame,
    legend,
    letter,
    line,
    path,
    text,
)
from lnn2loihi.reporting.energy_charts import BOTTOM, HEIGHT, TOP, area_for
from lnn2loihi.reporting.marks import TIER_CLASS, line_key, point, span
from lnn2loihi.reporting.markup import Markup, joined
from lnn2loihi.reporting.placing import free_places


def energy_against_batch(rows: Sequence[ProfileRow]) -> Markup | None:
    """Energy per sample of each backend at its batches, and the chip as a level line."""
    found: dict[str, list[ProfileRow]] = {}
    for row in rows:
        batched = row.kind in DEVICE_KINDS.values()
        if batched and row.rate is None and row.total_energy is not None:
            found.setdefault(row.name, []).append(row)
    if not found:
        return None
    chips = [row for row in rows
             if row.kind == CHIP and row.rate is None and row.mode == PIPELINED
             and row.total_energy is not None]  # fmt: skip
    everyone = [row for group in found.values() for row in group]
    energies = [v for row in (*everyone, *chips) for v in _ends(row)]
    batches = [float(row.batch) for row in everyone]
    x = Axis.around([1.0, *batches], 1, True, label="batch")
    y = Axis.around(energies, 1, True, unit="J", label="total energy per sample")
    area = area_for(x, y)
    parts: list[object] = [frame(area)]
    for chip in chips:
        parts.append(_level(area, chip))
    for group in found.values():
        parts.append(_series(area, sorted(group, key=lambda row: row.batch)))
    named = [*chips, *(max(group, key=lambda row: row.batch) for group in found.values())]
    ends = [(area.right - 8 if row.kind == CHIP else x, y)
            for row in named for x, y in [area.at(row.batch, _energy(row).middle)]]  # fmt: skip
    letters = [letter(place) for place in range(len(ends))]
    for place, (x_at, y_at) in enumerate(free_places(area, ends, letters)):
        kind = f"t number halo {named[place].kind}"
        parts.append(text(x_at, y_at + 4, letter(place), "middle", kind))
    keys = [(line_key(f"curve {_tier(row)} {row.kind}"),
             f"{letter(place)}  {row.name} ({row.energy_tier})")
            for place, row in enumerate(named)]  # fmt: skip
    picture = drawing(TOP + HEIGHT + BOTTOM, "Energy against batch", *parts)
    return joined(picture, legend(keys, one_a_line=True))


def _energy(row: ProfileRow) -> Quantity:
    assert row.total_energy is not None
    return row.total_energy


def _ends(row: ProfileRow) -> tuple[float, ...]:
    energy = _energy(row)
    return energy.low, energy.high, energy.middle


def _tier(row: ProfileRow) -> str:
    return TIER_CLASS[row.energy_tier or row.tier]


def _level(area: Area, row: ProfileRow) -> Markup:
    _, y = area.at(area.x.low, _energy(row).middle)
    return line(area.left, y, area.right, y, f"curve {_tier(row)} {row.kind}")


def _series(area: Area, group: Sequence[ProfileRow]) -> Markup:
    parts: list[Markup] = []
    places = [area.at(float(row.batch), _energy(row).middle) for row in group]
    parts.append(path(places, f"curve {_tier(group[0])} {group[0].kind}"))
    for row, (x, y) in zip(group, places, strict=True):
        tier, energy = row.energy_tier or row.tier, _energy(row)
        if energy.has_interval:
            (_, y1), (_, y2) = (area.at(row.batch, v) for v in (energy.low, energy.high))
            parts.append(span(x, y1, x, y2, tier, row.kind))
        parts.append(point(x, y, tier, row.kind, 4.0))
    return joined(*parts)
