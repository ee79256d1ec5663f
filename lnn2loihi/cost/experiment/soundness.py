"""Logs that contradict the model: found and named before anything is concluded from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from lnn2loihi.cost.experiment.cases import THRESHOLD
from lnn2loihi.cost.experiment.lines import Measured
from lnn2loihi.cost.experiment.powers import Powers
from lnn2loihi.cost.interval import Z95, Interval
from lnn2loihi.devices import with_prefix

#: Standard errors by which something has to be wrong to be called so: one value of some twenty,
#: and a figure of the fit.
_CLEAR, _BELOW = 5.0, 3.0
#: Updates of a busiest core beside which several times as many are seen in the step.
_LEAST = 100


def contradictions(
    measured: Sequence[Measured], powers: Powers | None, error: float
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What contradicts the model in steps, and in powers, a sentence each that names the cases.

    Args:
        measured: what was measured.
        powers: what was fitted to the silent cases, if anything was.
        error: relative standard error of a measured value.
    """
    found = [*_falling(measured, error), *([] if powers is None else _unphysical(powers))]
    return tuple(_steps(measured, error)), tuple(found)


def _steps(measured: Sequence[Measured], error: float) -> Iterator[str]:
    """More updates on the busiest of as many cores or more take no longer."""
    silent = [one for one in measured
              if not one.case.active and not one.case.is_padded and one.step_time is not None
              and {kind for _, kind, _ in one.case.processes} == {THRESHOLD}]  # fmt: skip
    for many in silent:
        # More cores may take longer for their number.
        fewer = [
            few for few in silent if few.cores <= many.cores and _is_too_long(few, many, error)
        ]
        if fewer:
            few = max(fewer, key=lambda one: one.step_time or 0.0)
            yield (
                f"a step of {many.case.name} takes {with_prefix(many.step_time or 0.0, 's')}, no "
                f"longer than one of {few.case.name}, {with_prefix(few.step_time or 0.0, 's')}, "
                f"though its busiest core updates {_updates(many):,.0f} neurons, not "
                f"{_updates(few):,.0f}: were they exchanged?"
            )


def _is_too_long(few: Measured, many: Measured, error: float) -> bool:
    """Whether fewer updates take as long; a few more may hide behind what a step takes anyway."""
    assert few.step_time is not None and many.step_time is not None
    if _updates(few) >= _updates(many):
        return False
    seen = _updates(many) > 4 * _updates(few) >= 4 * _LEAST
    margin = 1.0 + (_CLEAR if seen else -_CLEAR) * 2.0**0.5 * error
    return many.step_time < few.step_time * margin


def _updates(one: Measured) -> float:
    return one.case.counts["busiest_neuron_updates"]


def _falling(measured: Sequence[Measured], error: float) -> Iterator[str]:
    """More cores with the same on each of them draw less."""
    alike = sorted((one for one in measured if one.case.alike and one.total_power is not None),
                   key=lambda one: one.cores)  # fmt: skip
    falls: list[tuple[float, Measured, Measured]] = []
    for few, many in combinations(alike, 2):
        assert few.total_power is not None and many.total_power is not None
        margin = _CLEAR * error * (few.total_power**2 + many.total_power**2) ** 0.5
        fall = few.total_power - many.total_power
        if few.cores < many.cores and fall > margin:
            falls.append((fall, few, many))
    if falls:
        _, few, many = max(falls, key=lambda one: one[0])
        less, more = (with_prefix(one.total_power or 0.0, "W") for one in (many, few))
        yield (
            f"{many.case.name}, on {many.cores} cores, draws {less}, less than {few.case.name}, on "
            f"{few.cores}, {more}: were they exchanged?"
        )


def _unphysical(powers: Powers) -> Iterator[str]:
    off = {name: each for name, each in powers.residuals.items() if abs(each) > _CLEAR}
    if off:
        each = ", ".join(f"{name} by {number:+.0f}" for name, number in off.items())
        yield (
            "no floor, cores and updates together draw what the silent cases do; off are, in "
            f"standard errors, {each}"
        )
    figures = {"a floor": powers.floor, "an allocated core": powers.core}
    figures |= {f"an update ({kind})": each for kind, each in powers.updates.items()}
    for name, figure in figures.items():
        if figure.value < -_BELOW * _deviation(figure):
            worst = sorted(powers.residuals, key=lambda case: -abs(powers.residuals[case]))[:3]
            yield (
                f"{name} would take -{with_prefix(-figure.value, figure.unit)}, less than nothing; "
                f"look at {', '.join(worst)}, which fit least"
            )


def _deviation(figure: Interval) -> float:
    return (figure.high - figure.low) / (2.0 * Z95)
