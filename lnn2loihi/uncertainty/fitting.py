"""Fits the noise of observations to passes over a validation set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.arrays import as_array
from lnn2loihi.uncertainty.noise import FittedNoise, fitted_deviation
from lnn2loihi.uncertainty.result import MonteCarloResult


@checks_kinds()
def fit_noise(result: MonteCarloResult, y: npt.ArrayLike) -> FittedNoise:
    """The noise of each output under which a validation set is most likely.

    Args:
        result: passes over the validation samples; what noise they had counts nothing.
        y: what came, numbers (batch, time, outputs); of one output also (batch, time).

    Raises:
        InputError: shapes or numbers do not fit.
    """
    plain = result.with_noise(None)
    given = as_array(y, "fit_noise", "y")
    given = given.astype(np.float64) if given.dtype.kind in "iub" else given
    plain.scores(given)  # the same checks
    inside = np.arange(plain.samples.shape[2]) < plain.lengths[:, None]
    right = given.astype(np.float64).reshape(plain.mean.shape)[inside]
    left, spread = right - plain.mean[inside], plain.spread[inside]
    deviation = np.array([
        fitted_deviation(own, beside) for own, beside in zip(left.T, spread.T, strict=True)
    ])  # fmt: skip
    total = np.hypot(spread, deviation)
    far = np.where(np.abs(left) > 0.0, np.inf, 0.0)
    away = np.where(total > 0.0, np.abs(left) / np.where(total > 0.0, total, 1.0), far)
    return FittedNoise(deviation, np.sort(away.ravel()))
