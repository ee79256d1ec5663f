"""Charts of energy: against latency, by cause, against sample rate and against batch."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lnn2loihi.measure.meter import DEVICE_KINDS
from lnn2loihi.profiling.curves import Crossover, Curve, crossovers
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.reporting.axis import Axis, shown, typeset
from lnn2loihi.reporting.chart import (
    CHARACTER,
    WIDTH,
    Area,
    covered,
    drawing,
    frame,
    legend,
    letter,
    line,
    margin_for,
    path,
    rectangle,
    text,
)
from lnn2loihi.reporting.marks import TIER_CLASS, box_key, line_key, point, point_key, span
from lnn2loihi.reporting.markup import Markup, element, joined
from lnn2loihi.reporting.placing import free_places
from lnn2loihi.tiers import ESTIMATED

HEIGHT = 250.0
TOP, BOTTOM, RIGHT = 26.0, 40.0, 10.0
#: Order and names of the causes of energy, and their colours in the style sheet.
CAUSES = {
    "active_cores": "active cores",
    "synapses": "synapses",
    "neurons": "neurons",
    "spikes": "spikes",
    "messages": "messages",
    "hops": "hops",
    "steps": "steps",
    "io": "in and out",
    "static": "static",
}
#: Distance below which two marks are seen as one.
ON_EACH_OTHER = 3.0
#: Least distance of a text on a line from points and their intervals.
_APART = 14.0
#: Rows that the scatter numbers.
NUMBERED = 24


@dataclass(frozen=True)
class Dot:
    """A row on the scatter.

    Attributes:
        number: its number in the list below.
        row: the row.
        latency, energy: where it stands.
    """

    number: int
    row: ProfileRow
    latency: Quantity
    energy: Quantity


def area_for(x: Axis, y: Axis, height: float = HEIGHT) -> Area:
    """The area whose left margin is as wide as the texts of its vertical axis."""
    left = margin_for(y.ticks(5))
    wide = Axis(x.low, x.high, WIDTH - left - RIGHT, x.log, x.unit, x.label)
    return Area(left, TOP, wide, Axis(y.low, y.high, height, y.log, y.unit, y.label))


def _ends(quantities: Sequence[Quantity]) -> list[float]:
    return [v for q in quantities for v in (q.low, q.high, q.middle)]


def dots(rows: Sequence[ProfileRow]) -> list[Dot]:
    """The rows that have a latency and a total energy, numbered."""
    found: list[Dot] = []
    for row in rows:
        if row.latency is None or row.total_energy is None or len(found) == NUMBERED:
            continue
        if min(*_ends([row.latency, row.total_energy])) > 0.0:
            found.append(Dot(len(found) + 1, row, row.latency, row.total_energy))
    return found


def energy_against_latency(rows: Sequence[ProfileRow]) -> Markup | None:
    """Energy per sample against latency, with lines of equal energy-delay product."""
    points = dots(rows)
    if not points:
        return None
    shares = [p.row.total_energy_pro_rata for p in points if p.row.total_energy_pro_rata]
    x = Axis.around(_ends([p.latency for p in points]), 1, True, unit="s",
                    label="latency of a sample")  # fmt: skip
    y = Axis.around(_ends([p.energy for p in points]) + [s.middle for s in shares], 1, True,
                    unit="J", label="total energy per sample")  # fmt: skip
    area = area_for(x, y)
    places = [area.at(p.latency.middle, p.energy.middle) for p in points]
    products, taken = _equal_products(area, [*places, *_along_bars(area, points)])
    # Texts on lines of equal product lie above the grid, which would strike them through.
    parts: list[object] = [frame(area), products, *(_dot(area, p) for p in points)]
    stacks = _stacks(points, places)
    numbers = [", ".join(str(p.number) for p in stack) for stack in stacks]
    anchors = [places[stack[0].number - 1] for stack in stacks]
    spots = free_places(area, anchors, numbers, taken)
    for stack, words, (cx, cy) in zip(stacks, numbers, spots, strict=True):
        parts.append(text(cx, cy + 4, words, "middle", f"t number halo {stack[0].row.kind}"))
    names = legend(
        [
            (
                point_key(p.row.energy_tier or p.row.tier, p.row.kind),
                typeset(f"{p.number}  {p.row.label}"),
            )
            for p in points
        ],
        one_a_line=True,
    )
    title = "Energy per sample against latency"
    return joined(drawing(TOP + HEIGHT + BOTTOM, title, *parts), names)


def _stacks(points: Sequence[Dot], places: Sequence[tuple[float, float]]) -> list[list[Dot]]:
    """Dots of a kind that lie on each other share a label."""
    found: list[list[Dot]] = []
    for p, (x, y) in zip(points, places, strict=True):
        for stack in found:
            a, b = places[stack[0].number - 1]
            if math.hypot(x - a, y - b) < ON_EACH_OTHER and stack[0].row.kind == p.row.kind:
                stack.append(p)
                break
        else:
            found.append([p])
    return found


def _dot(area: Area, p: Dot) -> Markup:
    tier, kind = p.row.energy_tier or p.row.tier, p.row.kind
    cx, cy = area.at(p.latency.middle, p.energy.middle)
    parts: list[Markup] = []
    if p.energy.has_interval:
        (_, y1), (_, y2) = (area.at(p.latency.middle, v) for v in (p.energy.low, p.energy.high))
        parts.append(span(cx, y1, cx, y2, tier, kind))
    if p.latency.has_interval:
        (x1, _), (x2, _) = (area.at(v, p.energy.middle) for v in (p.latency.low, p.latency.high))
        parts.append(span(x1, cy, x2, cy, p.row.tier, kind))
    share = p.row.total_energy_pro_rata
    if share is not None and share.middle > 0:
        _, below = area.at(p.latency.middle, share.middle)
        parts.append(line(cx, cy, cx, below, f"share {kind}"))
        parts.append(line(cx - 4, below, cx + 4, below, f"share {kind}"))
    return joined(*parts, point(cx, cy, tier, kind))


def _along_bars(area: Area, points: Sequence[Dot]) -> Iterator[tuple[float, float]]:
    """Places on the intervals of points, so close that no text fits between them."""
    for p in points:
        bars = [
            (p.energy, [area.at(p.latency.middle, v) for v in (p.energy.low, p.energy.high)]),
            (p.latency, [area.at(v, p.energy.middle) for v in (p.latency.low, p.latency.high)]),
        ]
        for quantity, ((x1, y1), (x2, y2)) in bars:
            for step in range(25) if quantity.has_interval else ():
                yield x1 + (x2 - x1) * step / 24, y1 + (y2 - y1) * step / 24


def _equal_products(
    area: Area, points: Sequence[tuple[float, float]]
) -> tuple[Markup, list[tuple[float, float]]]:
    """Lines on which energy times latency is the same, at powers of ten, and where their texts
    stand: away from the points, those of intervals included.
    """
    first = math.ceil(math.log10(area.x.low * area.y.low))
    last = math.floor(math.log10(area.x.high * area.y.high))
    stride = max(1, math.ceil((last - first + 1) / 6))
    parts: list[Markup] = []
    taken: list[tuple[float, float]] = []
    for exponent in range(first, last + 1, stride):
        product = 10.0**exponent
        latencies = (max(area.x.low, product / area.y.high), min(area.x.high, product / area.y.low))
        (x1, y1), (x2, y2) = (area.at(t, product / t) for t in latencies)
        words = shown(product, "J*s")
        room = CHARACTER * len(words)
        if x2 - x1 < room + 12.0:
            continue
        parts.append(path([(x1, y1), (x2, y2)], "iso"))
        shares = (0.04, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
        choices = [(x1 + s * (x2 - x1), y1 + s * (y2 - y1)) for s in shares]
        choices = [(x, y) for x, y in choices if x + room < area.right and y < area.bottom - 12]
        if choices:
            distances = [min(_distance(c, room, p) for p in points) for c in choices]
            # The first that is far enough; else the farthest.
            far = [place for place, distance in enumerate(distances) if distance > _APART]
            x, y = choices[far[0] if far else distances.index(max(distances))]
            parts.append(text(x + 4, y + 3, words, class_="t iso-label halo"))
            taken += [(x + 10, y), (x + room / 2, y), (x + room - 6, y)]
    return joined(*parts), taken


def _distance(corner: tuple[float, float], room: float, point: tuple[float, float]) -> float:
    """From a text that begins at a corner to a point."""
    x = min(max(point[0], corner[0]), corner[0] + room)
    return math.hypot(point[0] - x, point[1] - corner[1])


def _parts(row: ProfileRow) -> Iterator[tuple[str, Quantity]]:
    for cause in CAUSES:
        if cause in row.energy_parts:
            yield cause, row.energy_parts[cause]


def energy_by_cause(rows: Sequence[ProfileRow]) -> Markup | None:
    """Bars of one length: the shares of static and dynamic energy, and of the dynamic causes."""
    chosen = [row for row in rows if row.energy_parts and row.total_energy]
    if not chosen:
        return None
    parts: list[object] = []
    y, seen = 4.0, dict[str, None]()
    for row in chosen:
        assert row.total_energy is not None
        dynamic = {cause: q.middle for cause, q in _parts(row)}
        whole = dict(dynamic)
        if row.static_energy is not None:
            whole["static"] = row.static_energy.middle
        words, y = _title(row, y)
        parts.append(words)
        for words, shares in (("total", whole), ("of it dynamic", dynamic)):
            parts.append(_shares(y + 16, words, shares))
            y += 30.0
            seen |= dict.fromkeys(cause for cause, value in shares.items() if value > 0)
        y += 28.0
    keys = legend((box_key(f"cause {c}"), words) for c, words in CAUSES.items() if c in seen)
    return joined(drawing(y - 8, "Energy per sample by cause", *parts), keys)


def _title(row: ProfileRow, y: float) -> tuple[Markup, float]:
    """What a bar is of and how that runs, as lines, and where the last of them stands."""
    most = int(WIDTH / CHARACTER) - 8
    # Strong letters are wider by a fifth.
    lines = [(part, "t strong") for part in textwrap.wrap(row.name, 5 * most // 6)]
    lines += [(part, "t") for part in textwrap.wrap(f"{row.how}, {row.pace}", most)]
    drawn = [
        text(0, y + 10 + 15 * n, typeset(words), class_=class_)
        for n, (words, class_) in enumerate(lines)
    ]
    return joined(*drawn), y + 15 * (len(lines) - 1)


def _shares(y: float, words: str, shares: dict[str, float]) -> Markup:
    """One bar of shares, with its amount at the right."""
    total = sum(shares.values())
    left, length = 82.0, WIDTH - 82.0 - 68.0
    parts = [text(left - 6, y + 15, words, "end")]
    parts.append(text(WIDTH, y + 15, shown(total, "J"), "end", "t strong"))
    x = left
    for cause, value in shares.items():
        width = length * value / total if total > 0 else 0.0
        parts.append(rectangle(x, y, width, 22, f"cause {cause}"))
        label = f"{100 * value / total:.0f} %" if total > 0 else ""
        if width > CHARACTER * len(label) + 6:
            parts.append(text(x + width / 2, y + 15, label, "middle", f"t on {cause}"))
        x += width
    parts.append(rectangle(left, y, length, 22, "estimate-outline"))
    return joined(*parts)


def energy_against_rate(
    curves: Sequence[Curve], rate: float | None, allow_estimated: bool
) -> Markup | None:
    """Energy per sample against sample rate, with the rates at which two curves cross."""
    drawn = [c for c in _without_slow_bounds(curves) if len(c.rates) > 1]
    drawn, names = _without_twins(drawn)
    if not drawn:
        return None
    rates = [r for c in drawn for r in c.rates] + ([rate] if rate else [])
    energies = [v for c in drawn for q in c.energies for v in (q.low, q.high)]
    x = Axis.around(rates, 1, True, unit="Hz", label="samples per second")
    y = Axis.around(energies, 1, True, unit="J", label="total energy per sample")
    area = area_for(x, y)
    parts: list[object] = [frame(area)]
    for curve in drawn:
        parts.append(_band(area, curve))
    for curve in drawn:
        if curve.energies[0].value is not None:
            at = [area.at(r, q.middle) for r, q in zip(curve.rates, curve.energies, strict=True)]
            parts.append(path(at, _line_class(curve)))
    taken: list[tuple[float, float]] = []
    if rate:
        mark, at = _marked(area, rate, f"your rate, {shown(rate, 'Hz')}")
        parts.append(mark)
        taken += at
    said: set[str] = set()
    for crossing in crossovers(drawn, allow_estimated):
        words = f"crossover {shown(crossing.rate, 'Hz')}"
        mark, at = _crossing(area, crossing, "" if words in said else words, taken)
        said.add(words)
        parts.append(mark)
        taken += at
    ends = [area.at(c.rates[-1], c.energies[-1].middle) for c in drawn]
    letters = [letter(place) for place in range(len(drawn))]
    for place, (cx, cy) in enumerate(free_places(area, ends, letters, taken)):
        class_ = f"t number halo {drawn[place].kind}"
        parts.append(text(cx, cy + 4, letters[place], "middle", class_))
    keys = legend(
        [(line_key(_line_class(c)), f"{letter(i)}  {names[i]} ({c.tier})")
         for i, c in enumerate(drawn)], one_a_line=True,
    )  # fmt: skip
    return joined(drawing(TOP + HEIGHT + BOTTOM, "Energy against sample rate", *parts), keys)


def _without_slow_bounds(curves: Sequence[Curve]) -> list[Curve]:
    """The curves, and of those that are bounds only the fastest of each kind of device: bounds of
    one machine lie on each other.
    """
    fastest = {
        kind: max(
            (c for c in curves if c.kind == kind and c.tier == ESTIMATED),
            key=lambda c: c.rates[-1], default=None,
        )
        for kind in DEVICE_KINDS.values()
    }  # fmt: skip
    return [c for c in curves if c.tier != ESTIMATED or c is fastest[c.kind]]


def _without_twins(curves: Sequence[Curve]) -> tuple[list[Curve], list[str]]:
    """Curves, and their names: of those that are the same, such as of two boards with one chip at
    work, one is drawn, with all names.
    """
    found: dict[object, list[Curve]] = {}
    for curve in curves:
        same = (curve.kind, curve.tier, curve.pro_rata, tuple(curve.rates), tuple(curve.energies))
        found.setdefault(same, []).append(curve)
    return [same[0] for same in found.values()], [
        " and ".join(curve.label for curve in same) for same in found.values()
    ]


def _line_class(curve: Curve) -> str:
    return f"curve {TIER_CLASS[curve.tier]} {curve.kind}" + (" prorata" if curve.pro_rata else "")


def _band(area: Area, curve: Curve) -> Markup:
    if not any(q.has_interval for q in curve.energies) or curve.pro_rata:
        return Markup()
    pairs = list(zip(curve.rates, curve.energies, strict=True))
    upper = [area.at(r, q.high) for r, q in pairs]
    lower = [area.at(r, q.low) for r, q in reversed(pairs)]
    return path(upper + lower, f"band {TIER_CLASS[curve.tier]} {curve.kind}", close=True)


def _marked(area: Area, value: float, words: str) -> tuple[Markup, list[tuple[float, float]]]:
    """An upright line with its text, on the side that has room, and what the text covers."""
    x, _ = area.at(value, area.y.low)
    room = CHARACTER * len(words)
    anchor, shift = ("start", 4.0) if x + room + 4 < area.right else ("end", -4.0)
    place = x + shift, area.bottom - 6
    drawn = joined(
        line(x, area.top, x, area.bottom, "marked"),
        text(*place, words, anchor, "t halo"),
    )
    return drawn, covered(*place, words, anchor)


def _crossing(
    area: Area, crossing: Crossover, words: str, taken: Sequence[tuple[float, float]]
) -> tuple[Markup, list[tuple[float, float]]]:
    """A ring where two curves meet, with its rate where there is room for it: rates are also said
    in words.
    """
    cx, cy = area.at(crossing.rate, crossing.energy)
    ring = element("circle", cx=cx, cy=cy, r=6.0, class_="crossing")
    if not words:
        return ring, []
    for anchor, dx, dy in (
        ("start", 10, -8),
        ("end", -10, -8),
        ("start", 10, 16),
        ("end", -10, 16),
        ("start", 10, -24),
        ("end", -10, -24),
        ("start", 10, 32),
        ("end", -10, 32),
    ):
        points = covered(cx + dx, cy + dy, words, anchor)
        inside = area.left < points[0][0] and points[-1][0] < area.right
        if inside and all(math.hypot(x - a, y - b) > 15.0 for x, y in points for a, b in taken):
            return joined(ring, text(cx + dx, cy + dy, words, anchor, "t strong halo")), points
    return ring, []
