"""Whether the shortest step grows with cores, which no figure of a profile holds.

A line through the cases with the same block on every core. Where it rises, what it has above one
core is taken off the steps before figures are fitted to them, as a floor of power is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.cost.experiment.lines import Measured
from lnn2loihi.cost.interval import Z95, Interval

#: Standard deviations of the slope from which on growth is seen.
_SEEN = 3.0
#: Share of a measured step that is taken off at most.
_MOST = 0.95
#: Two ways in which a step may grow: by seconds a core, as its barrier would, or by a share of
#: itself. Cases of the same block cannot tell them apart; those of other steps do.
TERM, SHARE = "term", "share"


@dataclass(frozen=True)
class Growth:
    """What the cases with the same block on every core say.

    Attributes:
        interval: seconds by which a step is longer on the most cores than on one.
        cores: the most cores.
        base: seconds of a step on one core.
        slope, deviation: seconds for each further core, and its standard deviation.
    """

    interval: Interval
    cores: int
    base: float
    slope: float
    deviation: float

    @property
    def seen(self) -> bool:
        """Whether it is more than noise."""
        return self.slope > _SEEN * self.deviation

    def beyond(self, step: float, cores: int, way: str) -> tuple[float, float]:
        """Seconds of a measured step that are growth, and their standard error.

        Args:
            step: the measured step, seconds.
            cores: its cores.
            way: TERM or SHARE.
        """
        further, scale = cores - 1, 1.0
        if way == SHARE:
            scale = step / (self.base + further * self.slope)
        grown = further * scale
        return min(grown * self.slope, _MOST * step), grown * self.deviation


def growth_of(measured: Sequence[Measured], error: float) -> Growth | None:
    """The line, by least squares; None with fewer than two such cases.

    Args:
        measured: what was measured.
        error: relative standard error of a measured value.
    """
    alike = [one for one in measured if one.case.alike and one.step_time is not None]
    cores = np.array([one.cores for one in alike], float)
    if len(alike) < 2 or cores.max() == cores.min():
        return None
    times = np.array([one.step_time for one in alike], float)
    errors = error * times
    rows = np.stack([np.ones_like(cores), cores - 1.0], axis=1) / errors[:, None]
    covariance = np.linalg.inv(rows.T @ rows)
    base, slope = map(float, covariance @ (rows.T @ (times / errors)))
    most, spread = int(cores.max()), float(np.sqrt(covariance[1, 1]))
    ends = [(most - 1) * (slope + side * Z95 * spread) for side in (0.0, -1.0, 1.0)]
    return Growth(Interval(ends[0], ends[1], ends[2], "s"), most, base, slope, spread)
