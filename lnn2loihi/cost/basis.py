"""What an estimate rests on, small enough to be kept, and what is computed from two of them.

Two estimates that share a figure share its draws, so their ratio and their difference are computed
draw by draw: what both do not know in the same way falls out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.cost.demand import Demand
from lnn2loihi.cost.interval import FloatArray, Interval, sample
from lnn2loihi.cost.model import Operation, Parameters, evaluate
from lnn2loihi.defaults import IO
from lnn2loihi.devices import COST_PARAMETERS, Figure
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.kinds import RATE_TEXT, RATES
from lnn2loihi.showing import Brief

if TYPE_CHECKING:
    from lnn2loihi.cost.microcontroller_model import MicrocontrollerBasis

#: Fewest draws that give 5 % and 95 % quantiles, and most.
DRAWS = (100, 1_000_000)
#: Share of the draws that have to meet a rate: the upper end of the 90 % interval is its 95 %
#: quantile.
MET = 0.95


@dataclass(frozen=True)
class Range:
    """A parameter: its nominal value, and the ends of its range."""

    value: float
    low: float
    high: float


@checks_fields(InputError)
@dataclass(frozen=True)
class Basis(Brief):
    """All that is needed to compute an estimate again.

    Attributes:
        demand: what a sample demands, in the mode of the estimate.
        figures: the parameters by name, in SI units.
        rate: samples per second; None at full speed.
        io: where samples come from.
        step_time: a measured step time in s, or None.
        draws, seed: of the sampling.

    Raises:
        InputError: lists what makes no sense.
    """

    demand: Demand
    figures: Mapping[str, Range]
    rate: float | None = None
    io: str = IO[0]
    step_time: float | None = None
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", read_only_mapping(self.figures))
        problems = Problems(InputError, "basis of an estimate")
        problems.extend(range_problems(self.figures, COST_PARAMETERS))
        if self.io not in IO:
            problems.add(f"io is {self.io!r:.40}, expected one of {', '.join(IO)}")
        if not DRAWS[0] <= self.draws <= DRAWS[1] or self.seed < 0:
            problems.add(f"it has {self.draws} draws of seed {self.seed}")
        if self.rate is not None and not RATES.holds(self.rate):
            problems.add(f"its rate is {self.rate:g}; give {RATE_TEXT}")
        if self.step_time is not None and not 0.0 < self.step_time < np.inf:
            problems.add(f"its step time is {self.step_time:g}; give seconds, above 0")
        problems.raise_if_any()

    @property
    def operation(self) -> Operation:
        """How the chip is run."""
        return Operation(self.rate, self.io, self.step_time)

    @cached_property
    def parameters(self) -> Parameters:
        """The figures: their nominal values first, then their draws, float64 (1 + draws,) each."""
        return drawn(self.figures, self.draws, self.seed)

    @cached_property
    def results(self) -> Mapping[str, FloatArray]:
        """What `evaluate` gives, at the nominal figures and at each draw, (1 + draws,) each."""
        return evaluate(self.demand, self.parameters, self.operation)

    def at_ends(self) -> Mapping[str, FloatArray]:
        """The same with one figure after the other at its low and its high end, all others at
        their nominal values: float64 (2 * figures,) each.
        """
        return evaluate(self.demand, one_at_its_ends(self.figures), self.operation)

    @property
    def rate_met(self) -> float | None:
        """Share of the draws in which the rate is met; None at full speed. A rate counts as met
        from MET on.
        """
        if self.rate is None:
            return None
        return float(np.mean(self.results["sample_time"][1:] <= 1.0 / self.rate))


def range_problems(figures: Mapping[str, Range], expected: Collection[str]) -> Iterator[str]:
    """What is wrong with the figures of a basis."""
    if set(figures) != set(expected):
        yield f"its figures are {', '.join(figures) or 'none'}, expected {', '.join(expected)}"
    for name, one in figures.items():
        if not (one.low <= one.value <= one.high and one.low >= 0.0) or (
            one.low == 0.0 < one.value
        ):
            yield f"{name} is {one.value:g} in {one.low:g} to {one.high:g}"


def drawn(figures: Mapping[str, Range], draws: int, seed: int) -> Parameters:
    """Their nominal values first, then their draws, float64 (1 + draws,) each."""
    known = {n: Figure(r.value, r.low, r.high, "1", "", "") for n, r in figures.items()}
    nominal = np.array([[r.value for r in figures.values()]])
    values = np.concatenate([nominal, sample(known, draws, seed)])
    return dict(zip(figures, values.T, strict=True))


def one_at_its_ends(figures: Mapping[str, Range]) -> Parameters:
    """One figure after the other at its low and its high end, all others at their nominal values:
    float64 (2 * figures,) each.
    """
    ranges = list(figures.values())
    ends = np.repeat(np.array([[r.value for r in ranges]]), 2 * len(ranges), axis=0)
    places = np.arange(len(ranges))
    ends[2 * places, places] = [r.low for r in ranges]
    ends[2 * places + 1, places] = [r.high for r in ranges]
    return dict(zip(figures, ends.T, strict=True))


def ratio_of(
    numerator: Basis | MicrocontrollerBasis, denominator: Basis | MicrocontrollerBasis, name: str
) -> Interval:
    """One estimate's quantity over another's, draw by draw.

    Args:
        numerator: what the estimate above rests on.
        denominator: what the one below rests on.
        name: a quantity of `Basis.results`.
    """
    return _combined(numerator, denominator, name, np.divide, "1")


def difference_of(
    first: Basis | MicrocontrollerBasis, second: Basis | MicrocontrollerBasis, name: str, unit: str
) -> Interval:
    """One estimate's quantity less another's, draw by draw; the unit is that of both."""
    return _combined(first, second, name, np.subtract, unit)


def _combined(
    first: Basis | MicrocontrollerBasis,
    second: Basis | MicrocontrollerBasis,
    name: str,
    operation: Callable[[FloatArray, FloatArray], FloatArray],
    unit: str,
) -> Interval:
    """Draws of both are paired one by one, as many as the one with fewer has."""
    draws = 1 + min(first.draws, second.draws)
    return Interval.of(operation(first.results[name][:draws], second.results[name][:draws]), unit)
