"""Who could run copies of a network, as competitors in energy a sample: chips, micro-controllers,
and what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from lnn2loihi.cost import MicrocontrollerEstimate
from lnn2loihi.cost.basis import MET, Basis, Range, drawn
from lnn2loihi.cost.interval import FloatArray
from lnn2loihi.cost.workload import FALL_THROUGH
from lnn2loihi.profiling.choice import Placed
from lnn2loihi.profiling.crossing import Competitor, Piece
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import CHIP, MICROCONTROLLER, ProfileRow, placed_on
from lnn2loihi.tiers import CALIBRATED, ESTIMATED

#: Draws of what was measured, as many as estimates have.
DRAWN = 2000
#: Pieces of a competitor whose number of parts depends on the rate: as many numbers of parts.
MOST_PIECES = 400


def surely(seconds: FloatArray) -> float:
    """The time in which a sample is done by the upper end of its interval.

    Args:
        seconds: float64 (1 + draws,).
    """
    return float(np.quantile(seconds[1:], MET, method="higher"))


def chip(title: str, placed: Sequence[Placed]) -> Competitor:
    """Copies on a chip, placed in one of several ways.

    At each rate it is the cheapest way that meets the rate by the upper end of its interval:
    falling through, if any does so, and otherwise pipelined.
    """
    falling: list[Piece] = []
    others: list[Piece] = []
    for one in placed:
        for mode, cost in one.full.items():
            cores = placed_on(one.objective, cost.cores)
            piece = _placed_piece(cost.basis, cost.chips, f"{cores}, {mode}")
            (falling if mode == FALL_THROUGH else others).append(piece)
    pieces = _cheapest(falling, 0.0)
    pieces += _cheapest(others, pieces[-1].fastest if pieces else 0.0)
    return Competitor(title, CHIP, CALIBRATED, tuple(pieces))


def _placed_piece(basis: Basis, chips: int, how: str) -> Piece:
    """What a placement costs in a mode: E = dynamic + (static power + input and output) T."""
    found = replace(basis, rate=None).results
    time = found["sample_time"]
    power = (found["static_full_chip"] + found["io"]) / time
    return Piece(1.0 / surely(time), found["dynamic"], power, chips, how, time)


def _cheapest(ways: Sequence[Piece], lowest: float) -> list[Piece]:
    """The cheapest way at each rate above the lowest one, nominal, of those that meet it."""
    meetings = {
        (b.power[0] - a.power[0]) / (a.sample[0] - b.sample[0])
        for a in ways
        for b in ways
        if _differ(a.sample[0], b.sample[0]) and _differ(a.power[0], b.power[0])
    }
    fastest = max((way.fastest for way in ways), default=0.0)
    edges = {float(r) for r in meetings} | {way.fastest for way in ways}
    found: list[Piece] = []
    for high in sorted(rate for rate in edges if lowest < rate <= fastest):
        middle = 0.5 * (lowest + high)
        able = [way for way in ways if high <= way.fastest]
        best = min(able, key=lambda way: way.nominal(middle))
        if found and found[-1].how == best.how:
            found.pop()
        found.append(replace(best, fastest=high))
        lowest = high
    return found


def _differ(one: float, other: float) -> bool:
    """Whether two numbers differ by more than rounding."""
    return abs(one - other) > 1e-9 * max(abs(one), abs(other))


def microcontroller(title: str, found: MicrocontrollerEstimate) -> Competitor:
    """Copies that take turns on as few parts as have room for them and meet the rate.

    Args:
        title: of the part.
        found: its estimate at full speed, of all copies.
    """
    basis = replace(found.basis, rate=None, copies=1, parts=1)
    time, energy = basis.results["sample_time"], basis.results["total"]
    sleep = basis.parameters["sleep_power"]
    pieces = _taking_turns((found.copies, found.parts), surely(time), time, energy, sleep)
    return Competitor(title, MICROCONTROLLER, found.tier, tuple(pieces))


def measured(row: ProfileRow, label: str, copies: int, draws: int = DRAWN) -> Competitor | None:
    """Copies that a processor serves one after the other, as many processors as keep up.

    Args:
        row: what was measured at full speed with one copy, sample by sample; its intervals are
            drawn as ranges of figures are.
        label: its name.
        copies: number of copies.
        draws: draws of its numbers.

    Returns:
        None where it has no energy, idle power or speed.
    """
    if not (row.total_energy and row.idle_power and row.throughput) or row.energy_tier is None:
        return None
    if not row.throughput.low > 0.0:
        return None
    bounds = row.energy_tier == ESTIMATED
    quantities = {
        f"energy of {label}": row.total_energy,
        f"idle power of {label}": row.idle_power,
        f"samples per second of {label}": row.throughput,
    }
    if bounds:
        energy, idle = _ends(row.total_energy), _ends(row.idle_power)
        busy = np.full_like(energy, 1.0 / row.throughput.middle)
    else:
        energy, idle, speed = _draws(quantities, draws)
        busy = 1.0 / speed
    pieces = _taking_turns((copies, 1), 1.0 / row.throughput.low, busy, energy, idle)
    tier = ESTIMATED if bounds else CALIBRATED
    return Competitor(label, row.kind, tier, tuple(pieces), bounds)


def _ends(quantity: Quantity) -> FloatArray:
    return np.array([quantity.middle, quantity.low, quantity.high])


def _draws(quantities: dict[str, Quantity], draws: int) -> Iterator[FloatArray]:
    """Nominal values and draws. An interval of few repeats may reach below 0: what is drawn then
    spreads as far below, in quotients, as above.
    """
    ranges: dict[str, Range] = {}
    for name, q in quantities.items():
        value = q.middle
        low = q.low if q.low > 0.0 or value == 0.0 else value * value / q.high
        ranges[name] = Range(value, min(low, value), max(q.high, value))
    yield from drawn(ranges, draws, 0).values()


def _taking_turns(
    copies: tuple[int, int],
    longest: float,
    busy: FloatArray,
    energy: FloatArray,
    waiting: FloatArray,
) -> Iterator[Piece]:
    """E = energy + waiting power (parts / copies T - busy), on as few parts as keep up.

    Args:
        copies: how many there are, and the fewest parts that have room for them.
        longest: s that a sample takes by the upper end, which decides who keeps up.
        busy: s that a part is busy with a sample.
        energy: J of a sample, without waiting for the next.
        waiting: W of a part that waits.
    """
    number, fastest = copies[0], 0.0
    for turns in _turns(*copies):
        parts, before, fastest = -(-number // turns), fastest, 1.0 / (turns * longest)
        if fastest > before:
            yield Piece(fastest, energy - waiting * busy, waiting * (parts / number), parts)


def _turns(copies: int, fewest: int) -> list[int]:
    """Copies that take turns on a part, descending; each the most for as many parts. Of very many
    numbers of parts some are passed over: parts are then a few more than needed.
    """
    most = -(-copies // fewest)
    parts = {-(-copies // turns) for turns in range(1, most + 1)} if copies <= 1 << 16 else set()
    if not parts or len(parts) > MOST_PIECES:
        grid = np.geomspace(fewest, copies, MOST_PIECES)
        parts = {int(round(p)) for p in grid} | {copies, fewest}
    # The most copies on a part, where they are spread evenly over so many.
    return sorted({-(-copies // p) for p in parts}, reverse=True)
