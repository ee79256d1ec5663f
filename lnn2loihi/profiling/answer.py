"""The answer in words: what the chip costs, against what was measured, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

from lnn2loihi.cost.model import HOST, ON_BOARD
from lnn2loihi.cost.workload import FALL_THROUGH, PIPELINED
from lnn2loihi.devices import with_prefix
from lnn2loihi.errors import InputError
from lnn2loihi.profiling.curves import crossover_text, crossovers, curves_of
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.ratios import ratio
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import CHIP, ProfileRow
from lnn2loihi.tables import percent
from lnn2loihi.tiers import ESTIMATED


@dataclass(frozen=True)
class KeyFigure:
    """One number that the answer rests on.

    Attributes:
        what: what it is.
        quantity: the number.
        of: what it belongs to.
        tier: how it is known.
    """

    what: str
    quantity: Quantity
    of: str
    tier: str


@dataclass(frozen=True)
class Answer:
    """The answer of a profile.

    Attributes:
        title: one sentence.
        sentences: what it rests on.
        figures: the numbers behind it.
    """

    title: str
    sentences: tuple[str, ...]
    figures: tuple[KeyFigure, ...]

    def __str__(self) -> str:
        """The sentences, one a line."""
        return "\n".join([self.title, *(f"- {sentence}" for sentence in self.sentences)])


def chip_row(result: ProfileResult) -> ProfileRow | None:
    """The row that speaks for the chip: at the asked rate a sample falls through, since a pipeline
    would hold it back until the next ones push it on; at full speed the pipeline.
    """
    mode = PIPELINED if result.rate is None else FALL_THROUGH
    chips = [
        row for row in result.rows
        if row.kind == CHIP and row.rate == result.rate and row.total_energy is not None
    ]  # fmt: skip
    return next((row for row in chips if row.mode == mode), chips[0] if chips else None)


def best_other(result: ProfileResult, quantity: str, estimated: bool) -> ProfileRow | None:
    """The best row of a CPU or GPU at the same pace; ESTIMATED energies only if asked for."""
    rows = [
        row for row in result.rows
        if row.kind != CHIP and getattr(row, quantity) is not None
        and (quantity == "latency" or row.rate == result.rate)
        and (quantity == "latency" or estimated or row.energy_tier != ESTIMATED)
    ]  # fmt: skip
    return min(rows, key=lambda row: getattr(row, quantity).middle, default=None)


def answer(result: ProfileResult) -> Answer:
    """The answer of a profile."""
    chip = chip_row(result)
    if chip is None or chip.total_energy is None:
        return Answer(
            "No estimate for a Loihi chip",
            tuple(result.problems)
            + tuple(f"{row.label}: {text}" for row in result.rows for text in row.problems),
            (),
        )
    other = best_other(result, "total_energy", result.allow_estimated)
    quotient = _quotient(chip, other, "total_energy", result.allow_estimated)
    sentences = [_cost(chip), *(f"Warning: {text}." for text in result.warnings)]
    sentences += [_waiting(chip, result)]
    sentences += [_against(other, quotient) if other else _unmeasured(result)]
    sentences += [_latency(chip, result), _crossing(result), _host(result), _accuracy(chip)]
    return Answer(
        _title(chip, other, quotient),
        tuple(sentence for sentence in sentences if sentence),
        _figures(chip, result),
    )


def _quotient(
    chip: ProfileRow, other: ProfileRow | None, quantity: str, estimated: bool
) -> Quantity | None:
    """How many times what the chip needs the other one needs."""
    if other is None:
        return None
    try:
        return ratio(other, chip, quantity, allow_estimated=estimated)
    except InputError:
        return None


def _title(chip: ProfileRow, other: ProfileRow | None, quotient: Quantity | None) -> str:
    pace = "At full speed" if chip.rate is None else f"At {chip.rate:g} Hz"
    assert chip.total_energy is not None
    if other is None or quotient is None:
        energy = chip.total_energy.text()
        return f"{pace}, {chip.title} is estimated to take {energy} a sample"
    if quotient.low > 1.0:
        return (
            f"{pace}, {chip.title} is estimated to need {_times(quotient)} less energy than "
            f"{other.name}"
        )
    if quotient.high < 1.0:
        more = _times(Quantity.exact(1.0, "1").over(quotient))
        return f"{pace}, {chip.title} is estimated to need {more} more energy than {other.name}"
    return f"{pace}, no clear difference between {chip.title} and {other.name}"


def _times(quotient: Quantity) -> str:
    ends = f"{_digits(quotient.low)} to {_digits(quotient.high)}"
    return f"{ends} times" if quotient.value is None else f"{_digits(quotient.value)} times"


def _digits(value: float) -> str:
    """Two significant digits: more say nothing in a quotient of estimates."""
    rounded = float(f"{value:.1e}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:.2g}"


def _cost(chip: ProfileRow) -> str:
    assert chip.total_energy is not None
    text = (
        f"{chip.title} would take {chip.total_energy} a sample {chip.pace}, with the "
        "static power of the whole chip"
    )
    share = chip.total_energy_pro_rata
    if share is not None:
        cores = f"{chip.cores:,} core{'s' * (chip.cores != 1)}" if chip.cores else "its cores"
        text += f"; {share} if only the share of {cores} counts"
    return f"{text}. This is a {chip.energy_tier}: nothing here ran on silicon."


def _waiting(chip: ProfileRow, result: ProfileResult) -> str:
    if chip.static_energy is None or chip.total_energy is None or not chip.total_energy.value:
        return ""
    share = chip.static_energy.middle / chip.total_energy.value
    percentage = "More than 99.9 %" if share > 0.999 else f"{100 * share:.3g} %"
    text = f"{percentage} of that is static power, drawn whether the chip works or waits"
    full = next(
        (row for row in result.rows
         if (row.device, row.mode, row.rate) == (chip.device, chip.mode, None)), None
    )  # fmt: skip
    if chip.rate is not None and full is not None and full.throughput is not None:
        needed, available = 1.0 / full.throughput.middle, 1.0 / chip.rate
        text += f": a sample needs {with_prefix(needed, 's')}"
        text += f" of the {with_prefix(available, 's')} it has"
    return f"{text}."


def _against(other: ProfileRow, quotient: Quantity | None) -> str:
    assert other.total_energy is not None
    text = (
        f"The best that was found beside it, {other.name} on {other.title}, takes "
        f"{other.total_energy} a sample {other.pace} ({other.energy_tier})"
    )
    if quotient is None:
        return f"{text}; the two are not of a kind that can be divided."
    return f"{text}: {_digits(quotient.low)} to {_digits(quotient.high)} times what the chip takes."


def _unmeasured(result: ProfileResult) -> str:
    bounds = best_other(result, "total_energy", True)
    text = "No energy of a CPU or GPU was measured here"
    if bounds is None or bounds.total_energy is None:
        return f"{text}, so there is no ratio of energies."
    return (
        f"{text}. Its data sheet only bounds it: {bounds.total_energy} a sample for "
        f"{bounds.name} on {bounds.title} (ESTIMATED), which takes part in no ratio unless asked "
        "for (--allow-estimated)."
    )


def _latency(chip: ProfileRow, result: ProfileResult) -> str:
    if chip.latency is None:
        return ""
    text = f"An answer takes {chip.latency} on the chip, {chip.tier}"
    other = best_other(result, "latency", True)
    if other is not None and other.latency is not None:
        text += f"; the fastest measured here is {other.latency.text()} ({other.name}, "
        text += f"{other.measured_how})"
    return f"{text}."


def _crossing(result: ProfileResult) -> str:
    return crossover_text(crossovers(curves_of(result), result.allow_estimated))


def _host(result: ProfileResult) -> str:
    if result.io == HOST:
        return "Input and output through a host are counted, time and power (--io host)."
    if result.io == ON_BOARD:
        return "Input and output through the board beside the chip are counted (--io on-board)."
    return (
        "Input and output are not counted; where samples come from a host they can dominate "
        "(--io host), and the board's are counted by --io on-board."
    )


def _accuracy(chip: ProfileRow) -> str:
    if chip.accuracy is None:
        return ""
    if chip.accuracy.metric in ("mse", "accuracy"):
        return f"The integers reach {chip.accuracy} against the targets."
    worst = f", in {chip.accuracy.output}, the worst" if chip.accuracy.output else ""
    share = percent(chip.accuracy.value)
    return f"The integers are off by {share} of the float network's spread{worst}."


def _figures(chip: ProfileRow, result: ProfileResult) -> tuple[KeyFigure, ...]:
    assert chip.total_energy is not None
    where = f"{chip.title}, {chip.pace}"
    found = [_figure("Energy a sample, chip", chip, chip.total_energy, where)]
    other = best_other(result, "total_energy", True)
    if other is not None and other.total_energy is not None:
        where = f"{other.name}, {other.pace}"
        found.append(_figure("Energy a sample, beside it", other, other.total_energy, where))
    if chip.latency is not None:
        found.append(KeyFigure("Latency, chip", chip.latency, chip.mode, chip.tier))
    fastest = best_other(result, "latency", True)
    if fastest is not None and fastest.latency is not None:
        where = fastest.name
        if fastest.latency_p99 is not None:
            where += f", p99 {with_prefix(fastest.latency_p99, 's')}"
        found.append(KeyFigure("Latency, beside it", fastest.latency, where, fastest.tier))
    return tuple(found)


def _figure(what: str, row: ProfileRow, quantity: Quantity, of: str) -> KeyFigure:
    return KeyFigure(what, quantity, of, row.energy_tier or row.tier)
