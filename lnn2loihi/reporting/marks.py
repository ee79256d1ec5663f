"""How tiers and devices look: what was measured is filled, what was estimated is hollow;
micro-controllers are squares.
"""

from __future__ import annotations

from lnn2loihi.profiling.rows import MICROCONTROLLER
from lnn2loihi.reporting.chart import key, line, rectangle
from lnn2loihi.reporting.markup import Markup, element, joined
from lnn2loihi.tiers import BOUND, CALIBRATED, ESTIMATED, MEASURED, TIERS

#: Class of a tier in the style sheet.
TIER_CLASS = {
    MEASURED: "measured",
    CALIBRATED: "calibrated",
    ESTIMATED: "estimated",
    BOUND: "bound",
}


def badge(tier: str) -> Markup:
    """The tier as a label."""
    return element("span", tier, class_=f"badge {TIER_CLASS[tier]}", title=TIERS[tier])


def point(x: float, y: float, tier: str, kind: str, size: float = 5.0) -> Markup:
    """A point: filled where measured, a ring where calibrated, a diamond where estimated; a square
    for a micro-controller.
    """
    classes = f"mark {TIER_CLASS[tier]} {kind}"
    if kind == MICROCONTROLLER:
        side = 1.8 * size
        return rectangle(x - side / 2, y - side / 2, side, side, classes)
    if tier in (MEASURED, CALIBRATED):
        return element("circle", cx=x, cy=y, r=size, class_=classes)
    s = size * 1.25
    d = f"M{x:.1f} {y - s:.1f}l{s:.1f} {s:.1f}l{-s:.1f} {s:.1f}l{-s:.1f} {-s:.1f}Z"
    return element("path", d=d, class_=classes)


def span(x1: float, y1: float, x2: float, y2: float, tier: str, kind: str) -> Markup:
    """The bar of an interval, horizontal or vertical, with its ends."""
    classes = f"span {TIER_CLASS[tier]} {kind}"
    ends = ((0.0, 3.0) if y1 == y2 else (3.0, 0.0)) if (x1, y1) != (x2, y2) else (0.0, 0.0)
    return joined(
        line(x1, y1, x2, y2, classes),
        *(line(x - ends[0], y - ends[1], x + ends[0], y + ends[1], f"end {kind}")
          for x, y in ((x1, y1), (x2, y2))),
    )  # fmt: skip


def point_key(tier: str, kind: str) -> Markup:
    """A point for a legend."""
    return key(point(11, 7, tier, kind))


def line_key(class_: str) -> Markup:
    """A line for a legend."""
    return key(line(1, 7, 21, 7, class_))


def box_key(class_: str) -> Markup:
    """A box for a legend."""
    return key(rectangle(3, 1, 16, 12, class_))
