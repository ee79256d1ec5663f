"""Where labels stand on a chart: each beside what it belongs to, and on nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lnn2loihi.reporting.chart import CHARACTER, Area

#: Height of a label, and the distance to others from which on more of it is no better.
TALL, APART = 12.0, 8.0
#: Distances from an anchor at which a place is tried, near ones first.
RADII = (14.0, 21.0, 29.0, 38.0, 50.0, 64.0)
#: Distance of the places that are tried where none of those is free.
GRID = 12.0
#: Directions, those first in which no bar of an interval runs.
ANGLES = (45, 135, 315, 225, 0, 180, 20, 160, 340, 200, 90, 270)


@dataclass(frozen=True)
class Box:
    """What a label covers.

    Attributes:
        x, y: its middle.
        half_width, half_height: how far it reaches.
    """

    x: float
    y: float
    half_width: float = 0.0
    half_height: float = 0.0

    @classmethod
    def of(cls, x: float, y: float, words: str) -> Box:
        """The box of a text whose middle is there."""
        return cls(x, y, CHARACTER * len(words) / 2, TALL / 2)

    def distance(self, other: Box) -> float:
        """The room between two boxes, 0 where they touch, negative where they overlap."""
        dx = abs(self.x - other.x) - self.half_width - other.half_width
        dy = abs(self.y - other.y) - self.half_height - other.half_height
        return max(dx, dy) if dx < 0.0 or dy < 0.0 else math.hypot(dx, dy)

    def inside(self, area: Area) -> bool:
        """Whether all of it lies between the axes."""
        return (
            area.left < self.x - self.half_width and self.x + self.half_width < area.right
            and area.top < self.y - self.half_height and self.y + self.half_height < area.bottom
        )  # fmt: skip


def free_places(
    area: Area,
    anchors: Sequence[tuple[float, float]],
    labels: Sequence[str],
    taken: Sequence[tuple[float, float]] = (),
) -> list[tuple[float, float]]:
    """Middles of labels: each beside its anchor, inside the area, and on no anchor or label as
    long as there is such a place.

    Args:
        area: where they may stand.
        anchors: what they belong to.
        labels: their texts.
        taken: further points that they keep away from.
    """
    points = [Box(x, y) for x, y in (*anchors, *taken)]
    placed: list[Box] = []
    for anchor, words in zip(anchors, labels, strict=True):
        placed.append(_best(area, anchor, words, [*points, *placed]))
    return [(box.x, box.y) for box in placed]


def _best(area: Area, anchor: tuple[float, float], words: str, others: Sequence[Box]) -> Box:
    """The nearest place that is free, or the freest of all."""
    best, most = Box.of(*anchor, words), (False, -math.inf)
    for box in _candidates(area, anchor, words):
        near = min((box.distance(other) for other in others), default=APART)
        worth = box.inside(area), min(near, APART)
        if worth > most:
            best, most = box, worth
        if most == (True, APART):
            break
    return best


def _candidates(area: Area, anchor: tuple[float, float], words: str) -> Iterator[Box]:
    """Places around a point, near ones first, and then those of a grid over the area."""
    x, y = anchor
    aside = Box.of(x, y, words).half_width - CHARACTER / 2
    for radius in RADII:
        for angle in map(math.radians, ANGLES):
            far = radius * math.cos(angle)
            shift = math.copysign(aside, far) if abs(far) > 1.0 else 0.0
            yield Box.of(x + far + shift, y - radius * math.sin(angle), words)
    grid = [
        (area.left + GRID * i, area.top + GRID * j)
        for i in range(1, int(area.x.length / GRID))
        for j in range(1, int(area.y.length / GRID))
    ]
    for place in sorted(grid, key=lambda at: math.hypot(at[0] - x, at[1] - y)):
        yield Box.of(*place, words)
