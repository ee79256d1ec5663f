"""Noise of the observations, which no mask can find: fitted to what a validation set has left.

Passes of dropout say how much a network doubts its weights. What is measured has noise beside that,
so intervals of passes alone are too narrow; with the noise of validation residuals they cover what
they say, on data like those, and how much they have covered there is told with each interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError
from lnn2loihi.frozen import ContentEquality
from lnn2loihi.kinds import Share
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.showing import Said, Shown, Table
from lnn2loihi.tables import percent
from lnn2loihi.uncertainty.scores import LEVELS, reach_of

#: Variances that are tried first, as shares of the largest squared residual; and halvings after.
_TRIED, _SMALLEST, _HALVINGS = 65, 1e-12, 60
#: (sqrt(5) - 1) / 2, of the search by golden sections.
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, eq=False)
class FittedNoise(Shown, ContentEquality):
    """Noise of each output, and what intervals with it have covered.

    Attributes:
        deviation: standard deviation of the noise, float64 (outputs,), in the unit of the answer.
        away: how many standard deviations (of passes and noise together) each validation value lies
            away from the mean, sorted, float64 (values,).
    """

    deviation: FloatArray
    away: FloatArray

    @property
    def values(self) -> int:
        """Validation values that it was fitted to."""
        return self.away.size

    @checks_kinds()
    def coverage(self, level: Share) -> float:
        """The share of the validation values within the central interval of a level, 0 to 1.

        Args:
            level: the share that the interval is meant to cover, below 1.

        Raises:
            InputError: the level is out of range.
        """
        if level >= 1.0:
            raise InputError("level", "is 1; no interval of a Gaussian covers everything")
        return float(np.searchsorted(self.away, reach_of(level), side="right") / self.away.size)

    def to_dict(self) -> dict[str, Any]:
        """Deviation and coverage as plain values."""
        return {
            "deviation": self.deviation.tolist(),
            "values": self.values,
            "coverage": {f"{level:g}": self.coverage(level) for level in LEVELS},
        }

    def _headline(self) -> str:
        largest = float(self.deviation.max())
        return f"up to {largest:.4g}, fitted to {self.values:,} values"

    def _shown(self) -> list[Said]:
        """The noise, and a line for each interval."""
        listed = ", ".join(f"{value:.4g}" for value in self.deviation[:8])
        more = "" if self.deviation.size <= 8 else f" and {self.deviation.size - 8} more"
        rows = [(percent(level), percent(self.coverage(level))) for level in LEVELS]
        return [
            f"noise of the outputs: {listed}{more}, fitted to {self.values:,} validation values",
            Table(("interval", "covered there"), rows),
        ]


def fitted_deviation(residual: FloatArray, spread: FloatArray) -> float:
    """The standard deviation of the noise under which residuals are most likely, next to a spread
    of their own: the maximum of sum log N(residual; 0, spread^2 + noise^2).

    Args:
        residual: what is left of each value, float64 (values,), not empty.
        spread: standard deviation of the passes at each value, (values,).
    """
    squared, own = residual**2, spread**2
    most = float(squared.max())
    if most == 0.0:
        return 0.0

    def cost(variance: float) -> float:
        total = own + variance
        if (total <= 0.0).any():
            return math.inf
        return float((np.log(total) + squared / total).mean())

    tried = np.geomspace(_SMALLEST * most, most, _TRIED)
    best = int(np.argmin([cost(float(variance)) for variance in tried]))
    low, high = (math.log(tried[min(max(n, 0), _TRIED - 1)]) for n in (best - 1, best + 1))
    for _ in range(_HALVINGS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if cost(math.exp(left)) <= cost(math.exp(right)):
            high = right
        else:
            low = left
    found = math.exp((low + high) / 2.0)
    return 0.0 if cost(0.0) <= cost(found) else math.sqrt(found)


def checked_noise(
    noise: FittedNoise | npt.ArrayLike | None, outputs: int
) -> tuple[FloatArray | None, FittedNoise | None]:
    """Noise as a deviation for each output, and what it was fitted to.

    Raises:
        InputError: it does not fit the outputs.
    """
    if noise is None:
        return None, None
    fitted = noise if isinstance(noise, FittedNoise) else None
    found = as_array(noise.deviation if fitted is not None else noise, "noise", "noise")  # type: ignore[union-attr]
    if found.dtype.kind not in "iuf" or found.shape not in ((), (1,), (outputs,)):
        raise InputError(
            "noise",
            f"is {found.dtype} {found.shape}; give a standard deviation for all outputs or for "
            f"each of {outputs}, or what fit_noise returns",
        )
    if not (np.isfinite(found).all() and (found >= 0).all()):
        raise InputError(
            "noise", "holds NaN, infinite or negative values; a deviation is 0 or more"
        )
    return np.broadcast_to(found.astype(np.float64), (outputs,)).copy(), fitted
