"""Where the chip wins: who needs least energy a sample, by sample rate and number of copies.

What is found, as plain values; `contest.py` finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lnn2loihi.errors import InputError, Problems
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import CHIP, ROW_KINDS
from lnn2loihi.showing import Brief, Drawn, Shown
from lnn2loihi.tiers import ESTIMATED, TIERS

#: Most rates, numbers of copies and competitors of a frontier that is read.
MOST = {"rates": 200, "rows": 24, "competitors": 400}
#: Numbers of copies that share the chip.
COPIES = (1, 10, 100, 1000)


@dataclass(frozen=True)
class Way(Brief):
    """How copies run on the chip up to a rate.

    Attributes:
        how: placement and mode: `packed on 1 core, fall-through`.
        fastest: samples per second of each copy.
    """

    how: str
    fastest: float


@dataclass(frozen=True)
class EnergyCurve(Brief):
    """What a sample of one copy takes on one competitor.

    Attributes:
        label: the competitor.
        kind: `loihi`, `mcu`, `cpu` or `gpu`.
        tier: how energies are known, one of TIERS; ESTIMATED ones are bounds.
        energies: J at the first rates of the frontier: those that are met by the upper end of the
            interval.
        fastest: the highest rate that is so met, of each copy.
        parts: how many of it the copies take at each of these rates.
        ways: of the chip, how they run, from low rates to high ones.
    """

    label: str
    kind: str
    tier: str
    energies: tuple[Quantity, ...]
    fastest: float
    parts: tuple[int, ...] = ()
    ways: tuple[Way, ...] = ()

    def how(self, rate: float) -> str:
        """How copies run at a rate, where that is known."""
        return next((way.how for way in self.ways if rate <= way.fastest), "")


@dataclass(frozen=True)
class Stretch(Brief):
    """Rates at which one competitor is the cheapest, with nominal figures.

    Attributes:
        winner: its label.
        low, high: ends, in samples per second of each copy.
        begins: where it begins to be cheaper than the one before, with its interval over the draws
            in which it does; None for the first one, and where the one before it is no longer fast
            enough.
        share: share of the draws in which it does; 1 without `begins`.
    """

    winner: str
    low: float
    high: float
    begins: Quantity | None = None
    share: float = 1.0


@dataclass(frozen=True)
class RivalCrossover(Brief):
    """Where the chip and a rival need the same, at rates that both meet.

    The shares of the draws add up to 1.

    Attributes:
        rival: label of the rival.
        chip_above: whether it is the chip that is cheaper above.
        rate: samples per second of each copy; 5 % to 95 % of the draws in which they cross this
            way. Its value is None where they do not cross with nominal figures. None where no draw
            crosses.
        crossing: share of the draws in which they cross this way.
        otherwise: share in which they cross the other way.
        chip, rival_alone: shares in which the chip, or the rival, is cheaper at every rate.
    """

    rival: str
    chip_above: bool
    rate: Quantity | None
    crossing: float
    otherwise: float
    chip: float
    rival_alone: float


@dataclass(frozen=True)
class Takeover(Brief):
    """From which rate on the chip is the cheapest of all.

    Attributes:
        rate: samples per second of each copy; 5 % to 95 % of the draws in which there is one. Its
            value is None where there is none with nominal figures. None where no draw has one.
        never: share of the draws in which somebody is cheaper than the chip also at the highest
            rate that the chip meets.
        unrivalled: share in which the chip takes over only where no rival is fast enough.
    """

    rate: Quantity | None
    never: float
    unrivalled: float


@dataclass(frozen=True)
class FrontierRow(Brief):
    """Who needs least energy where so many copies are to run.

    Attributes:
        copies: independent copies of the network.
        curves: the competitors, the chip first; those with bounds alone too.
        winners: label of the cheapest at each rate of the frontier; empty where nobody is fast
            enough.
        stretches: who is the cheapest from which rate to which.
        crossovers: of the chip and each rival that is not known by bounds alone.
        takeover: from which rate on the chip is the cheapest.
    """

    copies: int
    curves: tuple[EnergyCurve, ...]
    winners: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    crossovers: tuple[RivalCrossover, ...]
    takeover: Takeover

    @property
    def chip(self) -> EnergyCurve:
        """The curve of the chip."""
        return self.curves[0]

    def curve(self, label: str) -> EnergyCurve:
        """The curve of a competitor."""
        return next(curve for curve in self.curves if curve.label == label)


@dataclass(frozen=True)
class Frontier(Drawn, Shown):
    """Where the winner changes.

    Attributes:
        device, title: the chip.
        asked: number of copies that the profile was asked for.
        named: labels of the rivals that it was asked for.
        io: where samples of the chip come from, as for `estimate`.
        rates: samples per second of each copy, ascending.
        rows: one for each number of copies that the chip has room for, ascending.
        left_out: numbers of copies and competitors that are not in it, and why; a sentence each.
    """

    device: str
    title: str
    io: str
    rates: tuple[float, ...]
    rows: tuple[FrontierRow, ...]
    asked: int = 1
    named: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        found = Problems(InputError, f"frontier of {self.device!r:.60}")
        sizes = {"rates": len(self.rates), "rows": len(self.rows),
                 "competitors": max((len(row.curves) for row in self.rows), default=0)}  # fmt: skip
        found.extend(
            f"it has {size:,} {name}, at most {MOST[name]:,} are read"
            for name, size in sizes.items()
            if size > MOST[name]
        )
        if len(self.rates) < 2 or not self.rows:
            found.add("it has fewer than two rates, or no number of copies")
        found.raise_if_any()
        copies = [row.copies for row in self.rows]
        if copies != sorted({max(n, 1) for n in copies}):
            found.add("its numbers of copies do not ascend from 1 on")
        if self.asked < 1:
            found.add(f"{self.asked} copies were asked for")
        for row in self.rows:
            found.extend(f"{row.copies:,} copies: {text}" for text in _wrong(row, len(self.rates)))
        found.raise_if_any()

    @property
    def telling(self) -> FrontierRow:
        """The number of copies that was asked for. Where that is one: the number of more than one
        with which the chip is the cheapest from the lowest rate on, or may be; the largest one
        where that helps nothing.
        """
        wanted = next((row for row in self.rows if row.copies == self.asked), self.rows[0])
        if wanted.copies > 1:
            return wanted
        several = [row for row in self.rows if row.copies > 1] or list(self.rows)
        won = [row for row in several if row.takeover.rate and row.takeover.rate.value]
        if not won:
            return several[-1]
        return min(won, key=lambda row: (*_ends(row.takeover.rate), row.copies))

    @property
    def sentence(self) -> str:
        """Where the chip wins, in words."""
        from lnn2loihi.profiling.frontier_words import sentence_of

        return sentence_of(self)


def _ends(rate: Quantity | None) -> tuple[float, float]:
    assert rate is not None and rate.value is not None
    return rate.value, rate.low


def _wrong(row: FrontierRow, rates: int) -> Iterator[str]:
    """What does not fit together in a row."""
    labels = [curve.label for curve in row.curves]
    if not row.curves or row.curves[0].kind != CHIP:
        yield "the first curve is not that of the chip"
    if len(set(labels)) < len(labels) or "" in labels:
        yield "two competitors have one name, or one has none"
    for curve in row.curves:
        if curve.kind not in ROW_KINDS or curve.tier not in TIERS:
            yield f"{curve.label!r:.60} has kind {curve.kind!r:.40} and tier {curve.tier!r:.40}"
        if not len(curve.parts) == len(curve.energies) <= rates:
            yield (
                f"{curve.label!r:.60} has {len(curve.energies)} energies and {len(curve.parts)} "
                f"numbers of parts at {rates} rates"
            )
        if any(energy.unit != "J" for energy in curve.energies):
            yield f"{curve.label!r:.60} has energies in other units than J"
        if any(energy.value is None for energy in curve.energies) and curve.tier != ESTIMATED:
            yield f"{curve.label!r:.60} has bounds alone, and is not {ESTIMATED}"
    if len(row.winners) != rates:
        yield f"it has {len(row.winners)} winners at {rates} rates"
    named = {*row.winners, *(one.winner for one in row.stretches)} - {""}
    named |= {one.rival for one in row.crossovers}
    yield from (f"{name!r:.60} has no curve" for name in sorted(named - set(labels)))
    if not row.stretches:
        yield "nobody wins at any rate"
    ends = [end for one in row.stretches for end in (one.low, one.high)]
    if any(not a <= b for a, b in zip(ends, ends[1:], strict=False)):
        yield "who wins from which rate to which does not ascend"
    takeover = row.takeover
    found = [takeover.rate, *(one.rate for one in row.crossovers)]
    found += [one.begins for one in row.stretches]
    if any(rate is not None and rate.unit != "Hz" for rate in found):
        yield "a rate is in other units than Hz"
    shares = [takeover.never, takeover.unrivalled, *(one.share for one in row.stretches)]
    for one in row.crossovers:
        parts = [one.crossing, one.otherwise, one.chip, one.rival_alone]
        shares += parts
        if abs(sum(parts) - 1.0) > 1e-6:
            yield f"shares of the crossover with {one.rival!r:.60} do not add up to 1"
    if not all(0.0 <= share <= 1.0 for share in shares):
        yield "a share of the draws is not from 0 to 1"
