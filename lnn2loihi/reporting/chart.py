"""The frame of a chart, as SVG that a style sheet colours: it follows dark mode and paper.

A drawing is WIDTH units wide and as wide as its column on the page, a phone's column included, so
that its texts are readable on both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lnn2loihi.reporting.axis import Axis
from lnn2loihi.reporting.markup import Markup, element, joined

#: Width of a drawing, and of a character of its text, in its own units.
WIDTH = 380.0
CHARACTER = 6.1


@dataclass(frozen=True)
class Area:
    """The rectangle between the axes.

    Attributes:
        left, top: its corner.
        x, y: its axes.
    """

    left: float
    top: float
    x: Axis
    y: Axis

    @property
    def right(self) -> float:
        """Right end."""
        return self.left + self.x.length

    @property
    def bottom(self) -> float:
        """Lower end."""
        return self.top + self.y.length

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pair of values stands."""
        return self.left + self.x.place(x), self.bottom - self.y.place(y)


def drawing(height: float, title: str, *parts: object, width: float = WIDTH) -> Markup:
    """A drawing with its title for people who hear the page."""
    return element(
        "svg", element("title", title), *parts, viewBox=f"0 0 {width:g} {height:g}",
        role="img", class_="chart", style=f"--w:{width:g}",
    )  # fmt: skip


def text(x: float, y: float, words: object, anchor: str = "start", class_: str = "t") -> Markup:
    """A text, its baseline at y."""
    place = None if anchor == "start" else anchor
    return element("text", words, x=x, y=y, text_anchor=place, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path(points: Iterable[tuple[float, float]], class_: str, close: bool = False) -> Markup:
    """A line through points."""
    places = [f"{x:.1f} {y:.1f}" for x, y in points]
    if not places:
        return Markup()
    return element("path", d="M" + "L".join(places) + ("Z" if close else ""), class_=class_)


def steps(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A line that keeps each value until the next."""
    if not points:
        return Markup()
    (x, y), rest = points[0], points[1:]
    return element(
        "path", d=f"M{x:.1f} {y:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in rest), class_=class_
    )


def rectangle(x: float, y: float, width: float, height: float, class_: str) -> Markup:
    """A rectangle."""
    return element("rect", x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), class_=class_)


def frame(area: Area, ticks_x: int = 5, ticks_y: int = 5) -> Markup:
    """Grid, ticks and labels of both axes; the label of y stands above it, so it is read level."""
    parts: list[Markup] = []
    parts += [ticks_below(area, ticks_x)] if ticks_x else []
    for value, words in area.y.ticks(ticks_y) if ticks_y else ():
        _, y = area.at(area.x.low, value)
        parts.append(line(area.left, y, area.right, y, "grid"))
        parts.append(text(area.left - 5, y + 4, words, "end", "t tick"))
    parts.append(path([(area.left, area.top), (area.left, area.bottom), (area.right, area.bottom)],
                      "axis"))  # fmt: skip
    if area.x.label:
        parts.append(text(area.right, area.bottom + 30, area.x.label, "end", "t label"))
    if area.y.label:
        parts.append(text(2, area.top - 8, area.y.label, "start", "t label"))
    return joined(*parts)


def ticks_below(area: Area, most: int) -> Markup:
    """Upright lines with their values below, which stay inside the drawing."""
    parts: list[Markup] = []
    for value, words in _apart(area.x, most):
        x = area.left + area.x.place(value)
        half = 0.5 * CHARACTER * len(words) + 4.0  # some fonts are wide
        parts.append(line(x, area.top, x, area.bottom, "grid"))
        centre = min(max(x, half), area.right + 10.0 - half)
        parts.append(text(centre, area.bottom + 14, words, "middle", "t tick"))
    return joined(*parts)


def _apart(axis: Axis, most: int) -> list[tuple[float, str]]:
    """As many ticks as have room beside each other."""
    for count in range(most, 0, -1):
        ticks = axis.ticks(count)
        places = [(axis.place(value), 0.5 * CHARACTER * len(words)) for value, words in ticks]
        if all(b - a >= wa + wb + 6 for (a, wa), (b, wb) in zip(places, places[1:], strict=False)):
            return ticks
    return axis.ticks(1)[:1]


def covered(x: float, y: float, words: str, anchor: str = "start") -> list[tuple[float, float]]:
    """Points that a text lies on, for labels that keep away from it."""
    room = CHARACTER * len(words)
    left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * room
    return [(left + room * i / 6, y - 4.0) for i in range(7)]


def margin_for(ticks: Iterable[tuple[float, str]]) -> float:
    """Room that the texts of a vertical axis take."""
    return 10.0 + max((CHARACTER * len(words) for _, words in ticks), default=20.0)


def letter(place: int) -> str:
    """A, B, ... Z, AA, ...: what stands at a line and in its legend."""
    first = letter(place // 26 - 1) if place >= 26 else ""
    return first + chr(ord("A") + place % 26)


def legend(entries: Iterable[tuple[Markup, str]], one_a_line: bool = False) -> Markup:
    """Keys and what they mean, below a drawing; it breaks into lines as the page asks."""
    items = [element("li", key, element("span", words)) for key, words in entries]
    class_ = "legend lines" if one_a_line else "legend"
    return element("ul", *items, class_=class_) if items else Markup()


def key(shape: Markup) -> Markup:
    """A small drawing for a legend; shapes are drawn in 22 by 14 units."""
    return element("svg", shape, viewBox="0 0 22 14", class_="key", aria_hidden="true")


def figure(caption: str, body: Markup, note: object = None, wide: bool = False) -> Markup:
    """A card with a chart and a sentence that says what it shows."""
    return element(
        "figure", element("figcaption", caption), body,
        element("p", note, class_="note") if note else None,
        class_="card wide" if wide else "card",
    )  # fmt: skip


def folded(caption: object, *content: object, class_: str = "card wide breakable") -> Markup:
    """A card of which only the caption is seen until it is opened, or printed."""
    return element("details", element("summary", caption), *content, class_=class_)
