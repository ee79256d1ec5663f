"""Where the chip wins, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lnn2loihi.cost.model import NO_IO
from lnn2loihi.devices import with_prefix
from lnn2loihi.profiling.frontier import EnergyCurve, Frontier, FrontierRow, Stretch
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import CHIP
from lnn2loihi.tables import percent_met
from lnn2loihi.tiers import ESTIMATED

#: How near two rates are the same one.
_SAME = 1e-6


def short(label: str) -> str:
    """The name of a device without what its title says in brackets."""
    return label.partition(" (")[0]


def names_of(curves: Sequence[EnergyCurve]) -> dict[str, str]:
    """Short names by label, of the chip without its board; the whole label where two would be
    alike.
    """
    found = {curve.label: short(curve.label) for curve in curves}
    found |= {c.label: found[c.label].partition(", ")[0] for c in curves if c.kind == CHIP}
    names = list(found.values())
    return {label: name if names.count(name) == 1 else label for label, name in found.items()}


def share_text(share: float) -> str:
    """A share of draws, which is neither all nor none of them."""
    return percent_met(min(max(share, 1e-9), 1.0 - 1e-9))


def copies_text(copies: int) -> str:
    """`1 copy`, or how many."""
    return f"{copies:,} cop{'y' if copies == 1 else 'ies'}"


def how_text(how: str) -> str:
    """How copies run, without that they are placed between packed and fast."""
    return how.removeprefix("between packed and fast on ")


def sentence_of(frontier: Frontier) -> str:
    """Who needs least energy a sample, for one copy and for the most telling number of them: a
    sentence for each, and what has to be said beside.
    """
    rows = [frontier.rows[0]]
    if frontier.telling is not rows[0]:
        rows.append(frontier.telling)
    texts = [text for row in rows for text in _row_texts(frontier, row)]
    last, names = rows[-1], names_of(rows[-1].curves)
    texts += _named(frontier, last, names)
    if len(frontier.rows) > 1 and not any(_wins(row) for row in frontier.rows):
        most = copies_text(frontier.rows[-1].copies)
        texts.append(f"{names[last.chip.label]} wins with no number of copies, up to {most}")
    texts[0] = (f"with io {frontier.io} " if frontier.io != NO_IO else "") + texts[0]
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in texts)


def _wins(row: FrontierRow) -> bool:
    return any(one.winner == row.chip.label for one in row.stretches)


def _row_texts(frontier: Frontier, row: FrontierRow) -> Iterator[str]:
    names = names_of(row.curves)
    whose = "a single copy" if row.copies == 1 else f"each of {row.copies:,} copies on the chip"
    parts = [
        f"on {_winner(row, one, names)} up to {_end(row, number)}"
        for number, one in enumerate(row.stretches)
    ]
    listed = ", ".join(parts[:-1]) + (", and " if len(parts) > 1 else "") + parts[-1]
    yield f"{whose} needs least energy a sample {listed}"
    yield from _bounded(frontier, row, names)
    chip, never = names[row.chip.label], row.takeover.never
    if _wins(row) and never > 0.0:
        yield f"in {share_text(never)} of the draws somebody is cheaper than {chip} at its fastest"
    if not _wins(row):
        yield _beaten(row, names)
        if never < 1.0:
            yield f"in {share_text(1.0 - never)} of the draws it is the cheapest at its fastest"


def _winner(row: FrontierRow, one: Stretch, names: dict[str, str]) -> str:
    """Who wins, and how the chip runs there: from its lowest rate to its highest one."""
    curve, name = row.curve(one.winner), names[one.winner]
    if curve.tier == ESTIMATED:
        return f"{name} ({ESTIMATED})"
    ends = (one.low * (1.0 + _SAME), one.high * (1.0 - _SAME))
    first, last = (how_text(curve.how(rate)) for rate in ends)
    ways = first if first == last else f"{first}, to {last}"
    return f"{name} ({ways})" if ways else name


def _end(row: FrontierRow, number: int) -> str:
    """Where a stretch ends, with the interval of that, and why."""
    one, rest = row.stretches[number], row.stretches[number + 1 :]
    rate = with_prefix(one.high, "Hz")
    if not rest:
        faster = any(curve.fastest > one.high * (1.0 + _SAME) for curve in row.curves)
        return f"{rate}, the fastest {'whose energy is known' if faster else 'of all'}"
    if rest[0].begins is None:
        tired = row.curve(one.winner).fastest <= one.high * (1.0 + _SAME)
        return f"{rate}, where it is no longer fast enough" if tired else rate
    ends = rest[0].begins.range_text()
    unsure = f" in {share_text(rest[0].share)} of the draws" if rest[0].share < 1.0 else ""
    return f"{rate} ({ends}{unsure})" if ends else rate


def _beaten(row: FrontierRow, names: dict[str, str]) -> str:
    """By how much the chip is beaten at its fastest."""
    chip, place = row.chip, len(row.chip.energies) - 1
    text = f"{names[chip.label]} is the cheapest at no rate"
    rivals = [c for c in row.curves[1:] if len(c.energies) > place and c.tier != ESTIMATED]
    if place < 0 or not rivals:
        return text
    best = min(rivals, key=lambda c: c.energies[place].middle)
    return (
        f"{text}: at the fastest that was looked at ({how_text(chip.how(chip.fastest))}) it takes "
        f"{chip.energies[place]}, {names[best.label]} {best.energies[place]}"
    )


def _named(frontier: Frontier, row: FrontierRow, names: dict[str, str]) -> Iterator[str]:
    """From where on the chip needs less than the rivals that were asked for."""
    for one in row.crossovers:
        if one.rival not in frontier.named:
            continue
        chip, rival = names[row.chip.label], names[one.rival]
        who = (chip, rival) if one.chip_above else (rival, chip)
        share = share_text(one.crossing) if one.crossing < 1.0 else ""
        if one.rate is not None and one.rate.value is not None:
            ends = one.rate.range_text() or one.rate.text()
            ends += f" in {share} of the draws" if share else ""
            yield f"{who[0]} needs less than {who[1]} above {one.rate.text()} ({ends})"
            continue
        always = (chip, rival) if one.chip > one.rival_alone else (rival, chip)
        but = f", but in {share} of the draws" if one.crossing else ""
        yield f"{always[0]} needs less than {always[1]} at all rates that both meet{but}"


def _bounded(frontier: Frontier, row: FrontierRow, names: dict[str, str]) -> Iterator[str]:
    """Where bounds of what nobody measured reach below the cheapest."""
    for curve in row.curves:
        if curve.tier != ESTIMATED or curve.label in row.winners:
            continue
        least = zip(frontier.rates, _cheapest(row), curve.energies, strict=False)
        below = [rate for rate, energy, bound in least if energy and bound.low < energy.middle]
        if below:
            ends = f"{with_prefix(below[0], 'Hz')} to {with_prefix(below[-1], 'Hz')}"
            yield f"the bounds of {names[curve.label]} ({ESTIMATED}) reach below that, {ends}"


def _cheapest(row: FrontierRow) -> Iterator[Quantity | None]:
    """Energy of the winner at each rate."""
    for place, winner in enumerate(row.winners):
        energies = row.curve(winner).energies if winner else ()
        yield energies[place] if place < len(energies) else None
