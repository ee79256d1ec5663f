"""Fits the constants of lnn2loihi/targets/stock/lines.py and prints them with their errors.

    python benchmarks/fit_stock.py

For each form of tanh and each number of rectifiers: least squares against tanh of free slopes and
knots, then of knots for whole slopes near them, then whole knots whose ends meet exactly where they
can. Pre-activations are weighted by exp(-2 |z|), and 1 % of them evenly up to 8: networks whose
units hardly saturate ask for the slope around 0, and there are few beyond. Needs scipy.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.optimize import minimize

from lnn2loihi.neurons.activations import ACTIVATIONS

Z = np.linspace(0, 8, 641)
TANH = np.tanh(Z)
WEIGHTS = np.exp(-2 * Z)
WEIGHTS = 0.99 * WEIGHTS / WEIGHTS.sum() + 0.01 / Z.size
#: What ends meet at, and where a search begins: slopes and knots.
FULL = 1 << 13
STARTS = {
    2: ((0.83,), (1.2,)),
    4: ((0.615, 0.307), (0.71, 1.83)),
    6: ((0.28, 0.41, 0.28), (0.42, 0.9, 1.85)),
    8: ((0.24, 0.36, 0.24, 0.12), (0.395, 0.82, 1.355, 2.3)),
}
#: Steps of an argument per 1.0 from which on slopes are fine enough, and how often they double.
COARSEST, TIMES = 420, 2
#: Whole knots that are tried on both sides of the best ones.
NEAR = 4

Array = np.ndarray


def error(slopes: Array, knots: Array) -> float:
    """Weighted rms distance from tanh."""
    y = Z[:, None]
    values = (slopes * (np.maximum(y + knots, 0) - np.maximum(y - knots, 0))).sum(axis=1)
    return float(np.sqrt((WEIGHTS * (values - (slopes * knots).sum() - TANH) ** 2).sum()))


def free(count: int) -> tuple[Array, Array]:
    """Slopes and knots of any size, whose ends are at 1."""
    slopes, knots = (np.array(part) for part in STARTS[count])
    n = count // 2

    def of(p: Array) -> tuple[Array, Array]:
        found, places = np.exp(p[:n]), np.cumsum(np.exp(p[n:]))
        return found / (found * places).sum(), places

    start = np.log(np.concatenate([slopes, np.diff(np.append(0, knots))]))
    options = {"maxiter": 6000, "maxfev": 6000, "xatol": 1e-6, "fatol": 1e-9}
    return of(minimize(lambda p: error(*of(p)), start, method="Nelder-Mead", options=options).x)


def whole(count: int, unit: float) -> tuple[float, tuple[int, ...], tuple[int, ...]]:
    """Error, whole changes of slope and whole knots, in steps of 1 / unit."""
    slopes, knots = free(count)
    found = []
    for up in product((0, 1) if len(slopes) > 1 else range(-1, 3), repeat=len(slopes)):
        changes = np.floor(slopes * FULL / unit).astype(int) + np.array(up)
        if changes.min() > 0:
            found += list(_knots(changes, knots * unit, unit))
    # Those first whose ends meet exactly, or nearly so where there is one knot.
    return min(found)[1:]


def _knots(changes: Array, start: Array, unit: float):
    def complete(p: Array) -> Array:
        return np.append(p, (FULL - (changes[:-1] * p).sum()) / changes[-1])

    def of(p: Array) -> float:
        own = complete(p)
        return error(changes * unit / FULL, own / unit) if own[-1] > 0 else 9.0

    best = start[:-1]
    if best.size:
        best = minimize(of, best, method="Nelder-Mead", options={"xatol": 0.1, "fatol": 1e-9}).x
    near = [range(int(round(v)) - NEAR, int(round(v)) + NEAR + 1) for v in best]
    for p in product(*near):
        own = np.floor(complete(np.array(p, int))).astype(int)
        rest = FULL - int((changes * own).sum())
        if own.min() > 0:
            value = error(changes * unit / FULL, own / unit)
            yield rest > (8 if len(own) == 1 else 0), value, tuple(changes), tuple(own)


def main() -> None:
    """Prints them all."""
    for form in ACTIVATIONS.values():
        if form.knot:
            continue
        first = int(np.ceil(np.log2(form.unit / COARSEST)))
        for count in STARTS:
            for shift in range(first, first + TIMES):
                rms, changes, knots = whole(count, form.unit / 2**shift)
                c, t = ([int(v) for v in part] for part in (changes, knots))
                total = sum(a * b for a, b in zip(c, t, strict=True))
                print(
                    f"{form.name} {count} shift {shift}: {c} {t} T {total} rms {rms:.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
