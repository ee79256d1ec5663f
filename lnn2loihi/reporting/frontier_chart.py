"""Where the chip wins: energy against rate for few and for many copies, and the map of winners."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.profiling.frontier import EnergyCurve, Frontier, FrontierRow, Stretch, Takeover
from lnn2loihi.profiling.frontier_words import copies_text, names_of, share_text
from lnn2loihi.profiling.rows import MICROCONTROLLER
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
    ticks_below,
)
from lnn2loihi.reporting.energy_charts import BOTTOM, HEIGHT, RIGHT, TOP, area_for
from lnn2loihi.reporting.marks import TIER_CLASS, line_key
from lnn2loihi.reporting.markup import Markup, element, joined
from lnn2loihi.reporting.placing import free_places

#: CPUs and GPUs that are drawn beside those that win somewhere or were asked for.
DRAWN = 4
#: Height of a number of copies on the map.
ROW = 40.0
#: What the axis of rates shows.
RATE = "samples per second of a copy"
#: Shades of winners of one kind of devices in the style sheet.
SHADES = 4


def frontier_chart(frontier: Frontier) -> Markup:
    """Two drawings of energy against rate, for one copy and the most telling number of copies, and
    the map of who wins, with the names of all that is drawn.
    """
    labels = _drawn(frontier)
    rows = list({row.copies: row for row in (frontier.rows[0], frontier.telling)}.values())
    curves = [curve for row in rows for curve in row.curves if curve.label in labels]
    energies = [
        end for curve in curves for q in curve.energies for end in (q.low, q.high, q.middle)
    ]
    x = Axis(frontier.rates[0], frontier.rates[-1], 1, True, "Hz", "samples per second of a copy")
    y = Axis.around(energies, 1, True, unit="J", label="total energy per sample")
    area = area_for(x, y)
    panels = [_panel(area, frontier, row, labels) for row in rows]
    first = {curve.label: curve for row in rows for curve in reversed(row.curves)}
    names = names_of(frontier.rows[0].curves)
    keys = legend(
        [
            (line_key(_line_class(first[label])),
             typeset(f"{letter(n)}  {names.get(label, label)} ({first[label].tier})"))
            for n, label in enumerate(labels)
        ]
    )  # fmt: skip
    return joined(element("div", *panels, _map(frontier, labels), class_="grid panels"), keys)


def not_drawn(frontier: Frontier) -> list[str]:
    """Short names of the competitors that the drawings leave out."""
    names = names_of(frontier.rows[0].curves)
    kept = set(_drawn(frontier))
    return [name for label, name in names.items() if label not in kept]


def _drawn(frontier: Frontier) -> list[str]:
    """The chip, who wins somewhere, who was asked for, and then those that were measured."""
    curves = frontier.rows[0].curves
    winners = (one.winner for row in frontier.rows for one in row.stretches)
    processors = [curve.label for curve in curves[1:] if curve.kind != MICROCONTROLLER]
    wanted = (curves[0].label, *winners, *frontier.named, *processors[:DRAWN])
    there = {curve.label for row in frontier.rows for curve in row.curves}
    return [label for label in dict.fromkeys(wanted) if label in there]


def _line_class(curve: EnergyCurve) -> str:
    return f"curve {TIER_CLASS[curve.tier]} {curve.kind}"


def _panel(area: Area, frontier: Frontier, row: FrontierRow, labels: Sequence[str]) -> Markup:
    """Energy against rate for one number of copies, with the rate from which on the chip wins."""
    kept = [(n, row.curve(label)) for n, label in enumerate(labels)
            if label in {curve.label for curve in row.curves}]  # fmt: skip
    kept = [(n, curve) for n, curve in kept if curve.energies]
    mark, taken = _taken_over(area, row.takeover)
    parts: list[object] = [frame(area), mark]
    places: list[list[tuple[float, float]]] = []
    for _, curve in kept:
        pairs = list(zip(frontier.rates, curve.energies, strict=False))
        upper = [area.at(rate, q.high) for rate, q in pairs]
        lower = [area.at(rate, q.low) for rate, q in reversed(pairs)]
        parts.append(path(upper + lower, f"band {TIER_CLASS[curve.tier]} {curve.kind}", close=True))
        places.append([area.at(rate, q.middle) for rate, q in pairs])
    for (_, curve), at in zip(kept, places, strict=True):
        if curve.energies[0].value is not None:
            parts.append(path(at, _line_class(curve)))
    ends = [at[-1] for at in places]
    letters = [letter(n) for n, _ in kept]
    spots = free_places(area, ends, letters, taken)
    for (n, curve), (cx, cy) in zip(kept, spots, strict=True):
        parts.append(text(cx, cy + 4, letter(n), "middle", f"t number halo {curve.kind}"))
    title = copies_text(row.copies)
    parts.append(text(area.right, area.top - 8, title, "end", "t strong"))
    return drawing(TOP + HEIGHT + BOTTOM, f"Energy against sample rate, {title}", *parts)


def _taken_over(area: Area, found: Takeover) -> tuple[Markup, list[tuple[float, float]]]:
    """The rate from which on the chip is the cheapest, its interval, and what its text covers."""
    if found.rate is None:
        return _note(area, "the chip is cheapest at no rate")
    (low, _), (high, _) = (area.at(rate, area.y.low) for rate in (found.rate.low, found.rate.high))
    band = rectangle(low, area.top, high - low, area.y.length, "frontier-band")
    if found.rate.value is None:
        note, taken = _note(area, f"cheapest in {share_text(1.0 - found.never)} of the draws")
        return joined(band, note), taken
    x, _ = area.at(found.rate.value, area.y.low)
    words = f"chip cheapest from {shown(found.rate.value, 'Hz')}"
    room = CHARACTER * len(words)
    anchor, place = ("start", x + 4.0) if x + room + 4.0 < area.right else ("end", x - 4.0)
    if anchor == "end" and place - room < area.left:
        anchor, place = "end", area.right - 2.0
    baseline = area.bottom - 6.0
    drawn = joined(
        band,
        line(x, area.top, x, area.bottom, "marked"),
        text(place, baseline, words, anchor, "t halo"),
    )
    return drawn, covered(place, baseline, words, anchor)


def _note(area: Area, words: str) -> tuple[Markup, list[tuple[float, float]]]:
    place = area.left + 6.0, area.bottom - 6.0
    return text(*place, words, class_="t halo"), covered(*place, words)


def _map(frontier: Frontier, labels: Sequence[str]) -> Markup:
    """Who wins, by rate and number of copies, with the frontier of the chip and its interval."""
    rows = frontier.rows[::-1]  # few copies at the bottom
    names = [(0.0, f"{row.copies:,}") for row in rows]
    left = max(margin_for(names), 44.0)
    x = Axis(frontier.rates[0], frontier.rates[-1], WIDTH - left - RIGHT, True, "Hz")
    area = Area(left, TOP, x, Axis(0.0, float(len(rows)), ROW * len(rows)))
    shades = _shades(frontier)
    parts: list[object] = [ticks_below(area, 5)]
    for place, row in enumerate(rows):
        top = area.top + ROW * place
        parts.append(text(left - 6, top + ROW / 2 + 4, names[place][1], "end", "t tick"))
        parts += [_won(area, top, row, one, shades, labels) for one in row.stretches]
    parts += _edge(area, rows)
    parts.append(
        text(area.right, area.bottom + 30, "samples per second of a copy", "end", "t label")
    )
    parts.append(text(2, area.top - 8, "copies: who needs least energy", "start", "t label"))
    parts.append(path([(left, area.top), (left, area.bottom), (area.right, area.bottom)], "axis"))
    return drawing(area.bottom + BOTTOM, "Who needs least energy, by rate and copies", *parts)


def _shades(frontier: Frontier) -> dict[str, int]:
    """A shade for each winner, apart from those of other winners of its kind."""
    found: dict[str, int] = {}
    seen: dict[str, int] = {}
    for row in frontier.rows:
        for one in row.stretches:
            kind = row.curve(one.winner).kind
            if one.winner not in found:
                found[one.winner] = seen.get(kind, 0) % SHADES
                seen[kind] = seen.get(kind, 0) + 1
    return found


def _won(
    area: Area,
    top: float,
    row: FrontierRow,
    one: Stretch,
    shades: dict[str, int],
    labels: Sequence[str],
) -> Markup:
    """The rates at which one wins, with its letter where there is room."""
    (low, _), (high, _) = (area.at(rate, 0.0) for rate in (one.low, one.high))
    kind = row.curve(one.winner).kind
    words = f"{one.winner}: {shown(one.low, 'Hz')} to {shown(one.high, 'Hz')}"
    box = rectangle(low, top + 2, high - low, ROW - 4, f"won {kind} s{shades[one.winner]}")
    parts: list[Markup] = [element("title", words), box]
    if one.winner in labels and high - low > 2 * CHARACTER:
        name = letter(labels.index(one.winner))
        parts.append(text((low + high) / 2, top + 16, name, "middle", "t strong"))
    return element("g", *parts)


def _edge(area: Area, rows: Sequence[FrontierRow]) -> list[Markup]:
    """From which rate on the chip wins: a line through all numbers of copies, and its intervals as
    bars and as a band.
    """
    parts: list[Markup] = []
    points: list[tuple[float, float]] = []
    ends: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for place, row in enumerate(rows):
        rate, y = row.takeover.rate, area.top + ROW * place + 28.0
        if rate is None:
            continue
        (low, _), (high, _) = (area.at(end, 0.0) for end in (rate.low, rate.high))
        ends.append(((low, y), (high, y)))
        parts.append(line(low, y, high, y, "frontier-range"))
        parts += [line(x, y - 3, x, y + 3, "frontier-range") for x in (low, high)]
        if rate.value is not None:
            points.append((area.at(rate.value, 0.0)[0], y))
    around = [low for low, _ in ends] + [high for _, high in reversed(ends)]
    parts.insert(0, path(around, "frontier-band", close=True))
    parts.append(path(points, "frontier-line"))
    parts += [element("circle", cx=x, cy=y, r=3.5, class_="frontier-point") for x, y in points]
    return parts
