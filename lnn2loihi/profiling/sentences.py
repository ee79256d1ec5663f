"""The sentences that an answer consists of."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lnn2loihi.cost.basis import Basis, Range, ratio_of
from lnn2loihi.cost.model import HOST, ON_BOARD
from lnn2loihi.cost.workload import PIPELINED
from lnn2loihi.devices import rate_text, with_prefix
from lnn2loihi.errors import InputError
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.ratios import ratio
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import MICROCONTROLLER, ProfileRow
from lnn2loihi.profiling.speaking import (
    fastest_measured,
    full_speed,
    rows_of_chips,
    surely_met,
)
from lnn2loihi.tables import percent, percent_met

#: What of a total is so much that the rest needs no digits.
NEARLY_ALL = 0.999
#: From which share of static power on an energy says nothing of the network: what the network
#: causes is then less than a twentieth, far less than what the idle power is not known to.
NO_PROPERTY = 0.95
#: What of an energy a mode has to save to be spoken of, as for placements (choice.NO_DIFFERENCE);
#: and by how much the whole board has to need more than the chip to stand in the title.
WORTH_SAYING, BOARD_MATTERS = 0.01, 1.1
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
    share = min(max(row.rate_met or 0.0, 1e-9), 1.0 - 1e-9)
    return f"a probability of {percent_met(share)}"


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


def board_beside(row: ProfileRow) -> str:
    """What the whole board takes, where that is clearly more than the chip: for the title."""
    board, total = row.total_energy_board, row.total_energy
    if board is None or total is None or board.middle <= BOARD_MATTERS * total.middle:
        return ""
    return f" ({board} with the whole board)"


def rate(chip: ProfileRow, result: ProfileResult) -> str:
    """In which mode the rate is met, and how surely."""
    text = ""
    if chip.rate is None or chip.latency is None:
        return text
    falling = next((row for row in _other_modes(chip, result) if row.placement == chip.placement),
                   None)  # fmt: skip
    if chip.mode == PIPELINED and falling is not None:
        pipelined = "Only pipelined meets" if surely_met(chip) else "Pipelined is likelier to meet"
        text = (
            f"{pipelined} {rate_text(chip.rate)}: a new sample enters while "
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


def _other_modes(chip: ProfileRow, result: ProfileResult) -> list[ProfileRow]:
    """The rows of the same chip at the same rate in the other mode."""
    return [
        row
        for row in result.rows
        if (row.device, row.rate, row.backend) == (chip.device, chip.rate, chip.backend)
        and row.mode != chip.mode
    ]


def cheaper_pipelined(chip: ProfileRow, result: ProfileResult) -> str:
    """That a pipeline takes less at the same rate, and how long an answer then takes."""
    pipelined = [
        row
        for row in _other_modes(chip, result)
        if row.mode == PIPELINED and row.total_energy is not None and surely_met(row)
    ]
    least = min(pipelined, key=lambda row: row.total_energy.middle, default=None)  # pyright: ignore[reportOptionalMemberAccess]
    if chip.rate is None or chip.total_energy is None or least is None:
        return ""
    assert least.total_energy is not None
    if least.total_energy.middle > (1.0 - WORTH_SAYING) * chip.total_energy.middle:
        return ""
    found = quotient(least, chip, "total_energy")
    where = "on the same cores" if least.placed == chip.placed else least.placed
    much = "" if found is None else f", {times(found)} that"
    return (
        f"Pipelined, {where}, it would take {least.total_energy} a sample{much}, and an answer "
        f"would take {least.latency} in place of {chip.latency}: where the next sample does not "
        "wait for the answer, that is cheaper."
    )


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
    static = None if chip.basis is None else chip.basis.figures.get(_STATIC_POWER)
    if chip.static_energy.middle <= 0.0:
        return (
            "None of that is static power, because the device is said to draw none while it waits."
        )
    share = chip.static_energy.middle / chip.total_energy.value
    text = f"{_share(share)} of that is static power, drawn whether the chip works or waits"
    full = full_speed(result, chip)
    if chip.rate is not None and full is not None and full.throughput is not None:
        needed, available = chip.copies / full.throughput.middle, 1.0 / chip.rate
        text += f": a sample needs {with_prefix(needed, 's')}"
        text += f" of the {with_prefix(available, 's')} it has"
    if share < NO_PROPERTY:
        return f"{text}. {_rest(chip, share)}"
    if static is None or static.value <= 0.0:
        return f"{text}."
    return (
        f"{text}. So it is the idle power of the chip ({_known(static)}) and no property of the "
        "network."
    )


def _share(share: float) -> str:
    """A share of an energy, rounded down."""
    if share > NEARLY_ALL:
        return "More than 99.9 %"
    return f"{math.floor(1000.0 * share) / 10.0:g} %" if share >= 0.001 else "Less than 0.1 %"


def _rest(chip: ProfileRow, share: float) -> str:
    """What is not static power."""
    assert chip.total_energy is not None and chip.total_energy.value
    through = chip.energy_parts.get("io")
    outside = 0.0 if through is None else through.middle / chip.total_energy.value
    own = max(1.0 - share - outside, 0.0)
    rest = "The rest"
    if outside > 0.0:
        passing = _share(outside)
        rest = f"{passing} is input and output, and the rest"
    return (
        f"{rest}, {with_prefix(own * chip.total_energy.value, 'J')} or "
        f"{100.0 * own:.2g} %, is what the sample itself causes on the chip: a property of the "
        "network."
    )


def _known(figure: Range) -> str:
    """A power and how well it is known: `230 mW, in the range of 100 mW to 280 mW, ...`."""
    value, low, high = (with_prefix(w, "W") for w in (figure.value, figure.low, figure.high))
    if low == high:
        return f"{value}, whose range nobody has given"
    factor = max(figure.value / figure.low, figure.high / figure.value) if figure.low else math.inf
    known = f", known to a factor of {digits(factor)}" if math.isfinite(factor) else ""
    return f"{value}, in the range of {low} to {high}{known}"


def boards_quotient(above: ProfileRow, below: ProfileRow) -> Quantity | None:
    """How many times what one row needs the other does with the whole board of each, where chips
    of one idle.
    """
    if above.total_energy_board is None and below.total_energy_board is None:
        return None
    if above.basis is not None and below.basis is not None:
        return Quantity.of(ratio_of(above.basis, below.basis, "total_board"))
    totals = [row.total_energy_board or row.total_energy for row in (above, below)]
    return None if None in totals else totals[0].over(totals[1])  # pyright: ignore[reportOptionalMemberAccess, reportArgumentType]


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
            boards = boards_quotient(row, chip)
            whole = "" if boards is None else f", {times(boards)} that of the other board"
            found.append(
                f"{row.title}, {how(row)}, would take {row.total_energy} a sample {pace(row)}: "
                f"{times(energies)} that of {chip.title}{_with_board(row)}{whole}."
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
