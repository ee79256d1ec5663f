"""Who needs least energy of those that could run some copies of a network, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lnn2loihi.cost.interval import FloatArray
from lnn2loihi.profiling.crossing import Competitor, Crossings, Won, crossings, interval_of, won
from lnn2loihi.profiling.frontier import (
    EnergyCurve,
    FrontierRow,
    RivalCrossover,
    Stretch,
    Takeover,
    Way,
)


def verdict(
    copies: int,
    everybody: Sequence[Competitor],
    rates: Sequence[float],
    allow_estimated: bool = False,
) -> FrontierRow:
    """Who needs least energy a sample at each rate.

    Args:
        copies: independent copies of the network.
        everybody: the competitors, the chip first.
        rates: samples per second of each copy, ascending.
        allow_estimated: whether competitors with bounds alone may win, with the middle of them.
    """
    one, rivals = everybody[0], [rival for rival in everybody[1:] if not rival.bounds]
    able = [*everybody] if allow_estimated else [one, *rivals]
    found = won(able, rates[0])
    met = {rival.label: crossings(one, rival, rates[0]) for rival in rivals}
    return FrontierRow(
        copies,
        tuple(_curve(one, rates) for one in everybody),
        tuple(
            next((able[part.winner].label for part in found if rate <= part.high), "")
            for rate in rates
        ),
        tuple(
            _stretch(able, found[n - 1] if n else None, part, rates[0])
            for n, part in enumerate(found)
        ),
        tuple(_crossover(label, where) for label, where in met.items() if where is not None),
        _takeover(one, rivals, met, rates[0]),
    )


def _curve(one: Competitor, rates: Sequence[float]) -> EnergyCurve:
    met = [rate for rate in rates if rate <= one.fastest]
    return EnergyCurve(
        one.label,
        one.kind,
        one.tier,
        tuple(one.quantity(rate) for rate in met),
        one.fastest,
        tuple(one.piece(rate).parts for rate in met),
        tuple(Way(piece.how, piece.fastest) for piece in one.pieces if piece.how),
    )


def _stretch(able: Sequence[Competitor], before: Won | None, part: Won, lowest: float) -> Stretch:
    """Who wins from where to where, and how sure its beginning is."""
    winner = able[part.winner]
    plain = Stretch(winner.label, part.low, part.high)
    if before is None or winner.bounds or able[before.winner].bounds:
        return plain
    if part.low >= able[before.winner].fastest * (1.0 - 1e-12):
        return plain
    found = crossings(winner, able[before.winner], lowest)
    if found is None:
        return plain
    chosen = _drawn(found, True)
    begins = interval_of(chosen, part.low)
    return replace(plain, begins=begins, share=len(chosen) / (len(found.rates) - 1))


def _drawn(found: Crossings, first_above: bool) -> FloatArray:
    """The rates of the draws that cross in one direction."""
    rates, above = found.rates[1:], found.first_above[1:]
    return rates[~np.isnan(rates) & (above == first_above)]


def _crossover(rival: str, found: Crossings) -> RivalCrossover:
    rates, above = found.rates[1:], found.first_above[1:]
    never, draws = np.isnan(rates), len(rates)
    nominal = float(found.rates[0])
    crosses = not math.isnan(nominal)
    # Where nothing crosses with nominal figures, in the direction in which more draws do.
    up = len(_drawn(found, True)) >= len(_drawn(found, False))
    direction = bool(found.first_above[0]) if crosses else up
    chosen = _drawn(found, direction)
    counted = {
        "crossing": len(chosen),
        "otherwise": len(_drawn(found, not direction)),
        "chip": int((never & above).sum()),
        "rival_alone": int((never & ~above).sum()),
    }
    rate = interval_of(chosen, nominal if crosses else None)
    return RivalCrossover(
        rival, direction, rate, **{name: count / draws for name, count in counted.items()}
    )


def _takeover(
    one: Competitor,
    rivals: Sequence[Competitor],
    met: Mapping[str, Crossings | None],
    lowest: float,
) -> Takeover:
    """From which rate on the chip is the cheapest of those that meet the rate, in each draw."""
    draws = min(len(found.pieces[0].sample) for found in (one, *rivals))
    rates, alone = np.full(draws, lowest), np.zeros(draws, bool)
    for rival in rivals:
        found = met[rival.label]
        if found is None:  # not even at the lowest rates are both there
            late = np.full(draws, lowest if one.fastest > rival.fastest else np.inf)
            outlasts = np.zeros(draws, bool)
        else:
            above = found.first_above[:draws]
            faster = one.fastest > rival.fastest
            late = np.where(above, np.nan_to_num(found.rates[:draws], nan=lowest), np.inf)
            outlasts = ~above & faster
            late[outlasts] = rival.fastest
        alone = np.where(late > rates, outlasts, alone)
        rates = np.maximum(rates, late)
    ever = np.isfinite(rates)
    nominal = float(rates[0]) if ever[0] else None
    return Takeover(
        interval_of(rates[1:][ever[1:]], nominal),
        float(np.mean(~ever[1:])),
        float(np.mean(alone[1:] & ever[1:])),
    )
