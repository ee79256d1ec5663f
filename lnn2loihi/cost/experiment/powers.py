"""What silent cores draw, as sums of few terms: a floor, the cores themselves, and their updates.

Linear least squares on the cases in which nobody sends. It knows nothing of the profile but the
range of the energy of a step: what it says of cores and updates rests on the logs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.cost.experiment.cases import INSTRUCTIONS, SOURCE
from lnn2loihi.cost.experiment.lines import Measured
from lnn2loihi.cost.interval import Z95, FloatArray, Interval
from lnn2loihi.devices import Device
from lnn2loihi.showing import Brief

#: Draws from the fit, for shares of it.
_DRAWS = 4000
#: Kinds of neurons whose energy of an update is fitted.
KINDS = tuple(kind for kind in INSTRUCTIONS if kind != SOURCE)
#: Standard deviations of what nothing is known of: a watt, a watt for each core, and a microjoule
#: for each update.
_UNKNOWN = 1.0, 1.0, 1e-6
#: What cannot be told from nothing: a floor below so many standard deviations, or watts.
_SEEN, _LEAST = 3.0, 0.01


@dataclass(frozen=True)
class Powers(Brief):
    """What silent cores draw.

    Attributes:
        floor: watts above the static power, whatever the number of cores and the length of a step.
        floor_seen: whether it is more than noise.
        core: watts of a core that is allocated.
        updates: for each kind of neuron joules of an update, all its instructions included; of
            kinds that were measured.
        share: of what the cores of the largest allocation draw, the part that they draw for being
            there; None where there is none, or no power of it.
        cores: of that allocation.
        residuals: by silent case how far it is above the fit, in standard errors.
    """

    floor: Interval
    floor_seen: bool
    core: Interval
    updates: dict[str, Interval]
    share: Interval | None
    cores: int
    residuals: dict[str, float]


def powers_of(
    measured: Sequence[Measured], static: float, error: float, device: Device
) -> Powers | None:
    """Fits them; None where no silent case has both time and power.

    Args:
        measured: what was measured.
        static: watts of the board that idles.
        error: relative standard error of a measured value.
        device: its profile, for the energy of a step.
    """
    silent = [
        one for one in measured
        if one.case.power and not one.case.active and not one.case.is_padded
        and one.step_time is not None and one.total_power is not None
    ]  # fmt: skip
    if not silent:
        return None
    kinds = [k for k in KINDS if any(k in {kind for _, kind, _ in one.case.processes}
                                     for one in silent)]  # fmt: skip
    rows = np.array([_row(one, kinds) for one in silent])
    total = np.array([one.total_power for one in silent])
    dynamic = total - static
    errors = error * np.sqrt(total**2 + static**2 / len(silent) + dynamic**2)
    step = device.get("energy_per_step")
    known = (0.0, 1e-6) if step is None else (step.value, (step.high - step.low) / (2 * Z95))
    prior = np.array([0.0, known[0], *[0.0] * (1 + len(kinds))])
    width = np.array([_UNKNOWN[0], max(known[1], 1e-12), _UNKNOWN[1], *[_UNKNOWN[2]] * len(kinds)])
    # In units of what is not known, so that watts and picojoules stand beside each other.
    weighted = rows * width / errors[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted + np.eye(len(width)))
    found = covariance @ (weighted.T @ ((dynamic - rows @ prior) / errors))
    mean, spread = prior + width * found, width * np.sqrt(np.diag(covariance))
    floor, _, core, *updates = (
        Interval(float(m), float(m - Z95 * s), float(m + Z95 * s), unit)
        for m, s, unit in zip(mean, spread, ("W", "J", "W", *["J"] * len(kinds)), strict=True)
    )
    draws = prior + width * np.random.default_rng(0).multivariate_normal(
        found, covariance, _DRAWS, method="cholesky"
    )
    largest = max((one for one in silent if one.case.alike), key=lambda one: one.cores,
                  default=None)  # fmt: skip
    share = None
    if largest is not None:
        share = _share(np.vstack([mean, draws]), _row(largest, kinds))
    off = (dynamic - rows @ mean) / errors
    seen = floor.value > max(_SEEN * float(spread[0]), _LEAST)
    return Powers(
        floor, seen, core, dict(zip(kinds, updates, strict=True)), share,
        largest.cores if largest is not None else 0,
        {one.case.name: float(r) for one, r in zip(silent, off, strict=True)},
    )  # fmt: skip


def _row(one: Measured, kinds: Sequence[str]) -> list[float]:
    """Floor, steps a second, cores, and updates of each kind a second."""
    assert one.step_time is not None
    updates = [
        sum(size for _, of, size in one.case.processes if of == kind) / one.step_time
        for kind in kinds
    ]
    return [1.0, 1.0 / one.step_time, float(one.cores), *updates]


def _share(sets: FloatArray, row: Sequence[float]) -> Interval:
    """What cores draw for being there, of that and what their updates take; neither below 0."""
    parts = np.maximum(sets[:, 2:] * np.array(row[2:]), 0.0)
    together = parts.sum(axis=1)
    share = np.divide(parts[:, 0], together, out=np.full(len(parts), 0.5), where=together > 0.0)
    return Interval.of(share, "1")
