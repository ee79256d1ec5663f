"""Energies of a sample against its rate, draw by draw, and the rates at which two are the same.

Whatever runs at a rate needs a + b / r joules a sample: what a sample causes, and what is drawn
meanwhile, shared by the samples of a second. Both are known as draws. A competitor is a row of such
pieces, since it may run otherwise at other rates; so crossings have a closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.cost.interval import FloatArray
from lnn2loihi.profiling.quantity import Quantity

#: Quantiles that are the ends of an interval.
ENDS = (0.05, 0.95)


@dataclass(frozen=True, eq=False)
class Piece:
    """How a competitor runs up to a rate.

    Attributes:
        fastest: highest rate, in samples per second of each copy, at which it runs so.
        sample: J of a sample of one copy whatever the rate, float64 (1 + draws,), nominal first.
        power: W that are drawn meanwhile, of one copy, (1 + draws,).
        parts: how many of it the copies take.
        how: how they run, in words.
        shortest: s in which a sample is done, (1 + draws,), or None: in draws that miss the rate
            the next sample comes so late.
    """

    fastest: float
    sample: FloatArray
    power: FloatArray
    parts: int = 1
    how: str = ""
    shortest: FloatArray | None = None

    def energy(self, rate: float) -> FloatArray:
        """J of a sample at a rate, float64 (1 + draws,)."""
        if self.shortest is None:
            return self.sample + self.power / rate
        return self.sample + self.power * np.maximum(1.0 / rate, self.shortest)

    def nominal(self, rate: float) -> float:
        """The same with nominal figures."""
        return float(self.sample[0] + self.power[0] / rate)


@dataclass(frozen=True, eq=False)
class Competitor:
    """What could run the network, and what a sample takes there at each rate.

    Attributes:
        label: its name.
        kind: `loihi`, `mcu`, `cpu` or `gpu`.
        tier: how its energies are known.
        pieces: how it runs, by their highest rates, ascending: one or more.
        bounds: whether only bounds are known: the draws are their middle, low and high end.
    """

    label: str
    kind: str
    tier: str
    pieces: tuple[Piece, ...]
    bounds: bool = False

    @property
    def fastest(self) -> float:
        """The highest rate that it meets."""
        return self.pieces[-1].fastest

    def piece(self, rate: float) -> Piece:
        """How it runs at a rate that it meets."""
        return next(piece for piece in self.pieces if rate <= piece.fastest)

    def quantity(self, rate: float) -> Quantity:
        """J of a sample at a rate that it meets."""
        energy = self.piece(rate).energy(rate)
        middle = float(energy[0])
        if self.bounds:
            return Quantity(None, float(energy[1]), float(energy[2]), "J")
        low, high = np.quantile(energy[1:], ENDS)
        return Quantity(middle, min(float(low), middle), max(float(high), middle), "J")


@dataclass(frozen=True, eq=False)
class Crossings:
    """Where two competitors need the same, for each draw.

    Attributes:
        rates: highest rate at which they need the same, float64 (1 + draws,); NaN in draws in which
            one is the cheaper at every rate.
        first_above: bool (1 + draws,): whether the first is the cheaper above, or everywhere.
    """

    rates: FloatArray
    first_above: npt.NDArray[np.bool_]


def crossings(first: Competitor, second: Competitor, lowest: float) -> Crossings | None:
    """The highest rate at which two competitors need the same energy, in each draw.

    Looked for from `lowest` to the highest rate that both meet. Where one begins to run otherwise
    its energy jumps, and that rate counts if it makes it the cheaper or the dearer one. In draws
    that miss a rate that is met by the upper end, energies are those as if it were met.

    Args:
        first: a competitor.
        second: another; of draws the fewer count.
        lowest: lowest rate that is looked at.

    Returns:
        None where there is no rate that both meet.
    """
    highest = min(first.fastest, second.fastest)
    if not lowest < highest:
        return None
    ends = {p.fastest for c in (first, second) for p in c.pieces if lowest < p.fastest < highest}
    edges = sorted({lowest, highest, *ends})
    draws = min(len(c.pieces[0].sample) for c in (first, second))
    rates = np.full(draws, np.nan)
    above: npt.NDArray[np.bool_] | None = None
    for low, high in zip(edges[-2::-1], edges[:0:-1], strict=True):
        # A piece holds up to its highest rate, and just above it the next one.
        a, b = first.piece(high), second.piece(high)
        sample, power = a.sample[:draws] - b.sample[:draws], a.power[:draws] - b.power[:draws]
        at_high, at_low = sample + power / high < 0.0, sample + power / low < 0.0
        if above is None:
            above = at_high
        open_ = np.isnan(rates)
        rates[open_ & (at_high != above)] = high
        between = np.isnan(rates) & (at_low != above)
        with np.errstate(divide="ignore", invalid="ignore"):
            meeting = np.clip(np.nan_to_num(-power / sample, nan=low), low, high)
        rates[between] = meeting[between]
    assert above is not None
    return Crossings(rates, above)


def interval_of(rates: FloatArray, nominal: float | None) -> Quantity | None:
    """The 5 % and 95 % quantiles of some draws of a rate; None where there are none."""
    if not rates.size:
        return None if nominal is None else Quantity.exact(nominal, "Hz")
    low, high = (float(end) for end in np.quantile(rates, ENDS))
    if nominal is not None:
        low, high = min(low, nominal), max(high, nominal)
    return Quantity(nominal, low, high, "Hz")


@dataclass(frozen=True)
class Won:
    """Rates at which one competitor is the cheapest, with nominal figures.

    Attributes:
        winner: its place in the list of competitors.
        low, high: ends, in samples per second.
    """

    winner: int
    low: float
    high: float


def won(competitors: Sequence[Competitor], lowest: float) -> list[Won]:
    """Who is the cheapest from the lowest rate on, to the highest that anybody meets.

    Args:
        competitors: those that take part; none with bounds alone, unless their middle is to count.
        lowest: lowest rate.
    """
    edges = sorted({p.fastest for c in competitors for p in c.pieces if p.fastest > lowest})
    found: list[Won] = []
    low = lowest
    for high in edges:
        pieces = {i: c.piece(high) for i, c in enumerate(competitors) if high <= c.fastest}
        lines = {i: (float(p.sample[0]), float(p.power[0])) for i, p in pieces.items()}
        for part in _lowest_lines(lines, low, high):
            if found and found[-1].winner == part.winner:
                part = Won(part.winner, found.pop().low, part.high)
            found.append(part)
        low = high
    return found


def _lowest_lines(lines: dict[int, tuple[float, float]], low: float, high: float) -> list[Won]:
    """Which of a + b / r is the lowest, from one rate to another."""
    found: list[Won] = []
    # At equal energies the one that falls faster is the lower one from here on.
    best = min(lines, key=lambda i: (lines[i][0] + lines[i][1] / low, -lines[i][1]))
    while low < high:
        a, b = lines[best]
        lower = [
            (max((power - b) / (a - sample), low), sample, i)
            for i, (sample, power) in lines.items()
            if sample < a and power > b
        ]
        end, _, after = min(lower, default=(high, a, best))
        end = min(end, high)
        if end > low:
            found.append(Won(best, low, end))
        low, best = end, after
    return found
