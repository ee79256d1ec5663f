"""The sentences of an answer about what stands beside the chip."""

from __future__ import annotations

from lnn2loihi.devices import rate_text
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.profiling.sentences import (
    boards_quotient,
    odds,
    pace,
    quotient,
    sentence_case,
    times,
    who,
)
from lnn2loihi.profiling.speaking import (
    bounded_rival,
    controllers,
    full_speed,
    measured_energy,
    surely_met,
)


def uncounted(chip: ProfileRow, rival: ProfileRow) -> str:
    """That input and output are counted on the chip and not beside it."""
    if chip.io == rival.io:
        return ""
    return ", its input and output not counted, those of the chip counted"


def against(chip: ProfileRow, rival: ProfileRow | None, estimated: bool) -> str:
    """What the cheapest rival takes, and how many times that the chip does."""
    if rival is None:
        return ""
    able = " and meets the rate" if chip.rate is not None else ""
    text = (
        f"The cheapest that was found beside it{able}, {who(rival)}"
        f"{f' on {rival.title}' * (rival.title not in (rival.name, ''))}, takes "
        f"{rival.total_energy} a sample {pace(rival)} ({rival.energy_tier}"
        f"{uncounted(chip, rival)})"
    )
    return f"{text}{_compared(chip, rival, estimated)}"


def _compared(chip: ProfileRow, rival: ProfileRow, estimated: bool = False) -> str:
    """How many times what a rival takes the chip does, draw by draw: the end of a sentence."""
    found = quotient(chip, rival, "total_energy", estimated)
    if found is None:
        return "; the two are not of a kind that can be divided."
    if found.high < 1.0:
        inverse = quotient(rival, chip, "total_energy", estimated)
        assert inverse is not None
        boards = boards_quotient(rival, chip)
        whole = "" if boards is None else f", and {times(boards)} what its whole board does"
        return f": {times(inverse)} what the chip takes{whole}."
    boards = boards_quotient(chip, rival)
    whole = "" if boards is None else f", and {times(boards)} with the whole board"
    unclear = ", which is no clear difference" * (found.low <= 1.0)
    return f": the chip takes {times(found)} as much{unclear}{whole}."


def other_controllers(
    chip: ProfileRow, rival: ProfileRow | None, result: ProfileResult
) -> list[str]:
    """What the other micro-controllers take, and how probably they meet the rate."""
    found: list[str] = []
    for row in controllers(result):
        if row is rival or row.total_energy is None:
            continue
        sure = "" if surely_met(row) else f", but meets the rate with {odds(row)} only"
        found.append(
            f"{sentence_case(who(row))} takes {row.total_energy} a sample {pace(row)}"
            f" ({row.energy_tier}{uncounted(chip, row)}){sure}{_compared(chip, row)}"
        )
    return found


def too_slow(result: ProfileResult) -> str:
    """Which micro-controllers do not keep up."""
    rows = controllers(result)
    failed = [row for row in rows if row.status == "failed"]
    if not failed or result.rate is None:
        return ""
    names, one = [who(row) for row in failed], len(failed) == 1
    text = (
        f"{sentence_case(', '.join(names))} {'does' if one else 'do'} not keep up with "
        f"{rate_text(result.rate)}, or {'has' if one else 'have'} no room for it: the remarks say "
        "why."
    )
    speeds = [
        (full.throughput, row)
        for row in rows
        if (full := full_speed(result, row)) is not None and full.throughput is not None
    ]
    if speeds and not any(row.total_energy is not None and surely_met(row) for row in rows):
        speed, fastest = max(speeds, key=lambda pair: pair[0].middle)
        text += (
            f" No micro-controller of those that were compared does surely; the fastest, "
            f"{fastest.title.partition(' (')[0]}, reaches {speed.times(1.0 / result.copies)}."
        )
    return text


def unmeasured(result: ProfileResult) -> str:
    """That no joules were measured, and what bounds there are instead."""
    if measured_energy(result):
        return ""
    bounds = bounded_rival(result)
    text = "No energy of a CPU or GPU was measured here"
    if bounds is None:
        return f"{text}."
    return (
        f"{text}. Its data sheet only bounds it: {bounds.total_energy} a sample for "
        f"{bounds.name} on {bounds.title} (ESTIMATED), which takes part in no ratio unless asked "
        "for (--allow-estimated)."
    )
