"""The sentences that an answer consists of."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.cost.basis import Basis
from lnn2loihi.cost.model import HOST, ON_BOARD
from lnn2loihi.cost.workload import PIPELINED
from lnn2loihi.devices import with_prefix
from lnn2loihi.errors import InputError
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.ratios import ratio
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import MICROCONTROLLER, ProfileRow
from lnn2loihi.profiling.speaking import (
    bounded_rival,
    fastest_measured,
    full_speed,
    measured_energy,
    rows_of_chips,
    surely_met,
)
from lnn2loihi.tables import percent

#: What of a total is so much that the rest needs no digits.
NEARLY_ALL = 0.999
#: What input and output go through, in words.
_THROUGH = {HOST: "a host", ON_BOARD: "the board"}
_STATIC_POWER = "static_power_per_chip"


def pace(row: ProfileRow) -> str:
    """`at full speed`, or the rate."""
    return "at full speed" if row.rate is None else row.pace


def sentence_case(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]


def who(row: ProfileRow) -> str:
    """What a row is of, in a sentence."""
    if row.kind != MICROCONTROLLER:
        return row.name
    several = f", {row.devices:,} of them" if row.devices > 1 else ""
    return f"a micro-controller ({row.title.partition(' (')[0]}{several})"


def how(row: ProfileRow) -> str:
    """How the network runs on a chip: placement, mode, input and output, copies."""
    through = f"input and output through {_THROUGH[row.io]}" if row.io in _THROUGH else ""
    copies = f"one of {row.copies:,} copies" if row.copies > 1 else ""
    return ", ".join(part for part in (row.placed, row.mode, through, copies) if part)


def odds(row: ProfileRow) -> str:
    """How probably the rate is met: a share of draws is neither certain nor impossible."""
    share = row.rate_met or 0.0
    if 0.01 <= share <= 0.99:
        return f"a probability of {100 * share:.0f} %"
    return f"a probability {'below 1' if share < 0.01 else 'above 99'} %"


def times(quotient: Quantity) -> str:
    """A quotient with its interval: `3,200 times (500 to 6,100)`, or the interval alone."""
    ends = f"{digits(quotient.low)} to {digits(quotient.high)}"
    if digits(quotient.low) == digits(quotient.high):
        return f"{digits(quotient.low)} times"
    return f"{ends} times" if quotient.value is None else f"{digits(quotient.value)} times ({ends})"


def digits(value: float) -> str:
    """Two significant digits: more say nothing in a quotient of estimates."""
    rounded = float(f"{value:.1e}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:.2g}"


def quotient(
    above: ProfileRow, below: ProfileRow, quantity: str, estimated: bool = False
) -> Quantity | None:
    """How many times what one row needs the other does; None where they must not be divided."""
    try:
        return ratio(above, below, quantity, allow_estimated=estimated)
    except InputError:
        return None


def cost(chip: ProfileRow) -> str:
    """What a sample takes, whose static power counts, and how that is known."""
    text = (
        f"{chip.title}, {how(chip)}, would take {chip.total_energy} a sample {pace(chip)}, with "
        "the static power of the whole chip"
    )
    share = chip.total_energy_pro_rata
    if share is not None:
        cores = f"{chip.cores:,} core{'s' * (chip.cores != 1)}" if chip.cores else "its cores"
        text += f"; {share} if only the share of {cores} counts"
    text += _with_board(chip)
    return f"{text}. This is a {chip.energy_tier}: nothing here ran on silicon."


def _with_board(row: ProfileRow) -> str:
    """What a sample takes with the chips of the board that idle, where there are some."""
    if row.total_energy_board is None:
        return ""
    idle = ""
    if isinstance(row.basis, Basis):
        count = row.basis.demand.board_chips - row.basis.demand.chips
        idle = f", of which {count:,} chip{'s idle' if count != 1 else ' idles'}"
    return f"; {row.total_energy_board} with the whole board{idle}"


def rate(chip: ProfileRow, result: ProfileResult) -> str:
    """In which mode the rate is met, and how surely."""
    text = ""
    if chip.rate is None or chip.latency is None:
        return text
    falling = next(
        (row for row in result.rows
         if (row.device, row.placement, row.rate) == (chip.device, chip.placement, chip.rate)
         and row.mode != chip.mode and row.backend == chip.backend), None
    )  # fmt: skip
    if chip.mode == PIPELINED and falling is not None:
        pipelined = "Only pipelined meets" if surely_met(chip) else "Pipelined is likelier to meet"
        text = (
            f"{pipelined} {with_prefix(chip.rate, 'Hz')}: a new sample enters while "
            f"others are under way, and an answer then takes {chip.latency}; falling through, on "
            f"the same cores, would meet it with {odds(falling)}."
        )
    if not surely_met(chip):
        text += " " * bool(text)
        text += (
            "The rate is met at the nominal figures, but not by the upper end of the interval: "
            f"with {odds(chip)}."
        )
    return text


def closed_loop(result: ProfileResult) -> str:
    """What a closed loop leaves out."""
    if not result.closed_loop:
        return ""
    return (
        "In a closed loop the next sample waits for the answer to this one, so nothing is "
        "pipelined (--closed-loop): rows of that are left out."
    )


def waiting(chip: ProfileRow, result: ProfileResult) -> str:
    """How much of it is static power, whose it is, and how well it is known."""
    if chip.static_energy is None or chip.total_energy is None or not chip.total_energy.value:
        return ""
    share = chip.static_energy.middle / chip.total_energy.value
    percentage = "More than 99.9 %" if share > NEARLY_ALL else f"{100 * share:.3g} %"
    text = f"{percentage} of that is static power, drawn whether the chip works or waits"
    full = full_speed(result, chip)
    if chip.rate is not None and full is not None and full.throughput is not None:
        needed, available = chip.copies / full.throughput.middle, 1.0 / chip.rate
        text += f": a sample needs {with_prefix(needed, 's')}"
        text += f" of the {with_prefix(available, 's')} it has"
    static = None if chip.basis is None else chip.basis.figures.get(_STATIC_POWER)
    if static is None or static.value <= 0.0 or share < 0.5:
        return f"{text}."
    factor = max(static.value / static.low, static.high / static.value)
    return (
        f"{text}. So it is the idle power of the chip ({with_prefix(static.value, 'W')}, in the "
        f"range of {with_prefix(static.low, 'W')} to {with_prefix(static.high, 'W')}, known to a "
        f"factor of {digits(factor)}) and no property of the network."
    )


def against(chip: ProfileRow, rival: ProfileRow | None, estimated: bool) -> str:
    """What the cheapest rival takes, and how many times that the chip does."""
    if rival is None:
        return ""
    text = (
        f"The cheapest that was found beside it, {who(rival)}"
        f"{f' on {rival.title}' * (rival.title not in (rival.name, ''))}, takes "
        f"{rival.total_energy} a sample {pace(rival)} ({rival.energy_tier}"
        f"{', without input and output' * (chip.io != rival.io)})"
    )
    found = quotient(chip, rival, "total_energy", estimated)
    if found is None:
        return f"{text}; the two are not of a kind that can be divided."
    if found.high < 1.0:
        inverse = quotient(rival, chip, "total_energy", estimated)
        assert inverse is not None
        return f"{text}: {times(inverse)} what the chip takes."
    unclear = ", which is no clear difference" * (found.low <= 1.0)
    return f"{text}: the chip takes {times(found)} as much{unclear}."


def too_slow(result: ProfileResult) -> str:
    """Which micro-controllers do not keep up."""
    names = [
        who(row)
        for row in result.rows
        if row.kind == MICROCONTROLLER and row.status == "failed" and row.rate == result.rate
    ]
    if not names or result.rate is None:
        return ""
    one = len(names) == 1
    return (
        f"{sentence_case(', '.join(names))} {'does' if one else 'do'} not keep up with "
        f"{result.rate:g} Hz, or {'has' if one else 'have'} no room for it: the remarks say why."
    )


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


def latency(chip: ProfileRow, result: ProfileResult) -> str:
    """How long an answer takes, on the chip and on what was fastest here."""
    if chip.latency is None:
        return ""
    text = f"An answer takes {chip.latency} on the chip, {how(chip)} ({chip.tier})"
    rival = fastest_measured(result)
    if rival is None or rival.latency is None:
        return f"{text}; nothing was measured here beside it."
    text += f"; the fastest measured here takes {rival.latency.text()} ({rival.name}, "
    text += f"{rival.measured_how})"
    found = quotient(chip, rival, "latency")
    if found is None:
        return f"{text}."
    if found.high < 1.0:
        inverse = quotient(rival, chip, "latency")
        assert inverse is not None
        return f"{text}, {times(inverse)} as long."
    unclear = ", which is no clear difference" * (found.low <= 1.0)
    return f"{text}: the chip takes {times(found)} as long{unclear}."


def placements(chips: Sequence[ProfileRow]) -> str:
    """How two placements of a chip compare, draw by draw."""
    if len(chips) < 2:
        return ""
    first, other = chips[0], chips[1]
    energies = quotient(first, other, "total_energy")
    latencies = quotient(first, other, "latency")
    if energies is None or latencies is None:
        return ""
    return (
        f"{sentence_case(first.placed)} it takes {times(energies)} the energy of {other.placed}, "
        f"and its answer {times(latencies)} as long; what both do not know in the same way falls "
        "out."
    )


def other_chips(chip: ProfileRow, result: ProfileResult) -> list[str]:
    """What the other chips take, draw by draw of what they share."""
    found: list[str] = []
    for device, rows in rows_of_chips(result).items():
        row = rows[0]
        energies = None if device == chip.device else quotient(row, chip, "total_energy")
        if energies is not None:
            found.append(
                f"{row.title}, {how(row)}, would take {row.total_energy} a sample {pace(row)}: "
                f"{times(energies)} that of {chip.title}{_with_board(row)}."
            )
    return found


def copies(result: ProfileResult) -> str:
    """What copies share, and what figures are of."""
    if result.copies == 1:
        return ""
    return (
        f"{result.copies:,} independent copies of the network share each device; every figure is "
        "of a sample of one of them, with its part of the static power."
    )


def input_and_output(result: ProfileResult) -> str:
    """Whether input and output are counted."""
    if result.io == HOST:
        return "Input and output through a host are counted, time and power (--io host)."
    if result.io == ON_BOARD:
        return "Input and output through the board beside the chip are counted (--io on-board)."
    return (
        "Input and output are not counted; where samples come from a host they can dominate "
        "(--io host), and the board's are counted by --io on-board."
    )


def accuracy(chip: ProfileRow) -> str:
    """How good the answers are."""
    if chip.accuracy is None:
        return ""
    if chip.accuracy.metric in ("mse", "accuracy"):
        return f"The integers reach {chip.accuracy} against the targets."
    worst = f", in {chip.accuracy.output}, the worst" if chip.accuracy.output else ""
    share = percent(chip.accuracy.value)
    return f"The integers are off by {share} of the float network's spread{worst}."
