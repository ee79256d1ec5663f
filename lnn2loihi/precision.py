"""How much of a signal is left: signal to noise around the mean, unit by unit.

The mean of a signal says nothing about how well it is followed, and units of other size say
nothing about this one. So signals are measured around the mean of each unit, and errors against
the variation of the unit that makes them; the worst unit counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.tables import decibel

FloatArray = npt.NDArray[np.float64]

#: A float unit that moves less than this share of its largest magnitude is called constant: float32
#: numbers, which networks are trained in, are no finer.
CONSTANT = 2.0**-24
#: An output whose variation is not this much stronger than its error is named, in decibels; then
#: units of stages before it are, too.
POOR_DB = 15.0
#: Units that a sentence names.
LISTED = 8
#: Values that are looked at together: populations may have many units.
VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Precision:
    """How well some values follow others, unit by unit.

    Attributes:
        variance: of each unit's true values around their mean, float64 (units,); 0 where the unit
            is constant.
        error: mean squared difference of each unit, float64 (units,).
        unchanging: units that never change although the true ones do, int64.
    """

    variance: FloatArray
    error: FloatArray
    unchanging: npt.NDArray[np.int64]

    @property
    def poor(self) -> IntegerArray:
        """Units whose variation is less than POOR_DB above their error, int64."""
        return np.flatnonzero(self.decibels < POOR_DB)

    @cached_property
    def decibels(self) -> FloatArray:
        """Signal to noise of each unit, float64 (units,): NaN where the true unit is constant,
        infinite where nothing differs.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = 10.0 * (np.log10(self.variance) - np.log10(self.error))
        return np.where(self.variance > 0.0, ratio, np.nan)

    @property
    def overall_db(self) -> float | None:
        """Variance of all units over the mean squared difference of all, in decibels; None where
        nothing moves or nothing differs.
        """
        variance, error = float(self.variance.sum()), float(self.error.sum())
        return float(10.0 * np.log10(variance / error)) if variance > 0.0 < error else None

    @property
    def relative_error(self) -> float | None:
        """Mean squared difference over variance, of all units; None where nothing moves."""
        variance = float(self.variance.sum())
        return float(self.error.sum()) / variance if variance > 0.0 else None

    @property
    def worst_unit(self) -> int | None:
        """The unit with the least signal to noise; None where nothing moves or nothing differs."""
        known = np.where(np.isnan(self.decibels), np.inf, self.decibels)
        worst = int(known.argmin())
        return worst if np.isfinite(known[worst]) else None

    @property
    def worst_db(self) -> float | None:
        """Signal to noise of the worst unit; None where there is none."""
        worst = self.worst_unit
        return None if worst is None else float(self.decibels[worst])


def precision_of(truth: FloatArray, found: FloatArray) -> Precision:
    """Measures how well `found` follows `truth`.

    Args:
        truth: what is right, float64 (..., units), such as (batch, time, units); only what counts.
        found: what is measured, the same shape.
    """
    units = truth.shape[-1]
    true, other = truth.reshape(-1, units), found.reshape(-1, units)
    variance, error, still = np.zeros(units), np.zeros(units), np.zeros(units, bool)
    at_once = max(VALUES_AT_ONCE // max(len(true), 1), 1)
    for begin in range(0, units if len(true) else 0, at_once):
        block = slice(begin, begin + at_once)
        right, answered = true[:, block], other[:, block]
        moving = np.ptp(right, axis=0) > CONSTANT * np.abs(right).max(axis=0)
        variance[block] = np.where(moving, right.var(axis=0), 0.0)
        error[block] = np.mean((answered - right) ** 2, axis=0)
        still[block] = np.ptp(answered, axis=0) == 0.0
    return Precision(variance, error, np.flatnonzero(still & (variance > 0.0)))


def units_text(units: npt.NDArray[Any]) -> str:
    """Numbers of units, of many the first ones and how many more."""
    listed = ", ".join(str(unit) for unit in units[:LISTED])
    return listed if units.size <= LISTED else f"{listed} and {units.size - LISTED} more"


def poor_text(precision: Precision, what: str, where: str = "") -> str:
    """How close the error of the worst unit is to its variation, and of which units that is true.

    Args:
        precision: of a population with a poor unit.
        what: `output` or `unit`.
        where: on what, such as ` on the calibration data`.
    """
    every = precision.decibels.size
    of_all = f" ({what}s {units_text(precision.poor)} of {every} are within {POOR_DB:g} dB)"
    return (
        f"the error is within {precision.worst_db:.1f} dB of how {what} {precision.worst_unit} "
        f"varies{where}{of_all * (every > 1)}"
    )


def poor_outputs_text(precision: Precision) -> str:
    """Which outputs are poor on samples of the user's, and how; empty where none is."""
    return poor_text(precision, "output", " on these samples") if precision.poor.size else ""


def worst_text(worst_db: float | None, worst_unit: int | None) -> str | None:
    """The worst unit as one cell of a table: `41.2 dB (3)`."""
    return None if worst_db is None else f"{decibel(worst_db)} ({worst_unit})"
