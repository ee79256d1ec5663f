"""Regularised least squares in the logarithms of parameters (maximum a posteriori)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.cost.interval import Z95, FloatArray

#: Maps shifts of the parameters' logarithms, (sets, parameters), to residuals, (sets, residuals).
Residuals = Callable[[FloatArray], FloatArray]

_ROUNDS = 200
_DIFFERENCE = 1e-5
_SMALLEST_STEP = 1e-8
#: By how much the cost of another minimum has to be lower, to be more than noise (three standard
#: deviations), and after how many rounds that is looked at.
_BETTER, _FEWER_ROUNDS = 9.0, 10


@dataclass(frozen=True)
class Fit:
    """What a fit found.

    Attributes:
        shifts: logarithm of new over old value, (parameters,).
        deviations: standard deviations of the logarithms after the fit, (parameters,).
    """

    shifts: FloatArray
    deviations: FloatArray


def fit(
    residuals: Residuals,
    below: FloatArray,
    above: FloatArray,
    free: npt.NDArray[np.bool_] | None = None,
) -> Fit:
    """Fits shifts to residuals, each pulled towards 0 by its prior (Levenberg-Marquardt).

    Args:
        residuals: in units of their standard errors; evaluated for many sets at once.
        below: prior standard deviations of negative shifts, (parameters,); 0 holds a parameter
            where it is.
        above: the same of positive shifts.
        free: parameters that may move, (parameters,); deviations are computed for all whose prior
            leaves them free.
    """
    open_ones = (below > 0.0) & (above > 0.0)
    moving = open_ones if free is None else open_ones & free
    shifts, cost = _descended(residuals, np.zeros(below.size), moving, below, above)
    # The largest of several times counts in a step: of those that are not the largest at first the
    # slopes say nothing, so what they would do at their upper end is tried too.
    for hidden in _without_slope(residuals, moving):
        start = np.zeros(below.size)
        start[hidden] = Z95 * above[hidden]
        other, its_cost = _descended(residuals, start, moving, below, above, _FEWER_ROUNDS)
        if its_cost < cost - _BETTER:
            shifts, cost = _descended(residuals, other, moving, below, above)
    jacobian = _jacobian(residuals, shifts, open_ones)
    prior = np.sqrt(below * above)[open_ones]
    deviations = np.zeros(below.size)
    covariance = np.linalg.inv(jacobian.T @ jacobian + np.diag(prior**-2.0))
    deviations[open_ones] = np.sqrt(np.diag(covariance))
    return Fit(shifts, deviations)


def _descended(
    residuals: Residuals,
    shifts: FloatArray,
    moving: npt.NDArray[np.bool_],
    below: FloatArray,
    above: FloatArray,
    rounds: int = _ROUNDS,
) -> tuple[FloatArray, float]:
    """The nearest minimum from some shifts on, and its cost."""
    damping, cost = 1e-3, float(_cost(residuals, shifts[None], below, above)[0])
    for _ in range(rounds):
        jacobian = _jacobian(residuals, shifts, moving)
        prior = np.where(shifts[moving] < 0.0, below[moving], above[moving])
        gradient = jacobian.T @ residuals(shifts[None])[0] + shifts[moving] / prior**2
        curvature = jacobian.T @ jacobian + np.diag(prior**-2.0)
        ladder = damping * 10.0 ** np.arange(-1, 8)
        trials = np.repeat(shifts[None], ladder.size, axis=0)
        for row, factor in enumerate(ladder):
            damped = curvature + factor * np.diag(np.diag(curvature))
            trials[row, moving] -= np.linalg.solve(damped, gradient)
        costs = _cost(residuals, trials, below, above)
        best = int(np.argmin(costs))
        if not costs[best] < cost:
            break
        step = float(np.abs(trials[best] - shifts).max())
        shifts, cost, damping = trials[best], float(costs[best]), float(max(ladder[best], 1e-9))
        if step < _SMALLEST_STEP:
            break
    return shifts, cost


def _without_slope(residuals: Residuals, moving: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Parameters that no residual depends on at first: times that hide behind longer ones, say."""
    slopes = _jacobian(residuals, np.zeros(moving.size), moving)
    return np.flatnonzero(moving)[(slopes == 0.0).all(axis=0)]


def _cost(
    residuals: Residuals, shifts: FloatArray, below: FloatArray, above: FloatArray
) -> FloatArray:
    scale = np.where(shifts < 0.0, below, above)
    prior = np.divide(shifts, scale, out=np.zeros_like(shifts), where=scale > 0.0)
    return (residuals(shifts) ** 2).sum(axis=1) + (prior**2).sum(axis=1)


def _jacobian(
    residuals: Residuals, shifts: FloatArray, moving: npt.NDArray[np.bool_]
) -> FloatArray:
    """Derivatives by central differences, (residuals, moving parameters)."""
    steps = _DIFFERENCE * np.eye(shifts.size)[moving]
    values = residuals(np.concatenate([shifts + steps, shifts - steps]))
    return (values[: len(steps)] - values[len(steps) :]).T / (2.0 * _DIFFERENCE)
