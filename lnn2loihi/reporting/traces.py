"""Traces: what the float network answers, what the integers answer, and the difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.precision import precision_of
from lnn2loihi.reporting.axis import Axis
from lnn2loihi.reporting.chart import (
    WIDTH,
    Area,
    drawing,
    frame,
    legend,
    margin_for,
    steps,
    text,
)
from lnn2loihi.reporting.marks import line_key
from lnn2loihi.reporting.markup import Markup, joined

#: Output channels and samples that are drawn.
CHANNELS, SAMPLES = 3, 200


@dataclass(frozen=True, eq=False)
class Traces:
    """Answers of the same sequences.

    Attributes:
        expected: of the float network, float64 (batch, time, outputs).
        found: of the integers, decoded, the same shape.
    """

    expected: npt.NDArray[np.float64]
    found: npt.NDArray[np.float64]

    def channels(self) -> list[int]:
        """The outputs that are followed least well, measured by how they vary."""
        decibels = precision_of(self.expected, self.found).decibels
        known = np.where(np.isnan(decibels), np.inf, decibels)
        return sorted(np.argsort(known, kind="stable")[:CHANNELS].tolist())

    def worst_error(self, channel: int) -> float:
        """Largest difference of a channel in the part that is drawn."""
        return float(np.abs(self.found - self.expected)[0, :SAMPLES, channel].max())


def traces_chart(traces: Traces) -> Markup:
    """For each channel the two answers, and below them their difference."""
    parts: list[object] = []
    y = 0.0
    channels = traces.channels()
    for channel in channels:
        expected = traces.expected[0, :SAMPLES, channel]
        found = traces.found[0, :SAMPLES, channel]
        parts.append(_pair(y, channel, expected, found))
        y += 232.0
    keys = legend(
        [(line_key("trace float"), "float network"), (line_key("trace integer"), "integers"),
         (line_key("trace error"), "difference (own scale)")]
    )  # fmt: skip
    return joined(drawing(y, "Float against integers", *parts), keys)


def _pair(
    top: float, channel: int, expected: npt.NDArray[np.float64], found: npt.NDArray[np.float64]
) -> Markup:
    difference = found - expected
    values = Axis.around([*expected, *found], 112)
    extent = float(np.abs(difference).max()) or 1.0
    errors = Axis(-1.15 * extent, 1.15 * extent, 44)
    left = max(margin_for(values.ticks(4)), margin_for(errors.ticks(3)))
    time = Axis(0.0, max(len(expected) - 1.0, 1.0), WIDTH - left - 10.0, label="sample")
    above = Area(left, top + 20, time, values)
    below = Area(left, top + 20 + 112 + 10, time, errors)
    both = {
        "trace float": steps(_points(above, expected), "trace float"),
        "trace integer": steps(_points(above, found), "trace integer"),
        "trace error": steps(_points(below, difference), "trace error"),
    }
    return joined(
        text(0, top + 12, f"output {channel}", class_="t strong"),
        frame(Area(left, above.top, Axis(0.0, time.high, time.length), values), 0, 4),
        frame(below, 5, 3),
        *both.values(),
    )


def _points(area: Area, values: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
    return [area.at(float(i), float(value)) for i, value in enumerate(values)]
