"""The answer in words: what the chip costs, against what stands beside it, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lnn2loihi.devices import with_prefix
from lnn2loihi.profiling import rival_sentences, sentences
from lnn2loihi.profiling.curves import crossover_text, crossovers, curves_of
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.profiling.speaking import (
    bounded_rival,
    cheapest_rival,
    chip_rows,
    controllers,
    fastest_measured,
    surely_met,
)
from lnn2loihi.showing import Brief, Said, Shown

#: How a sentence begins that warns.
WARNING = "Warning: "


@dataclass(frozen=True)
class KeyFigure(Brief):
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
class Answer(Shown):
    """The answer of a profile.

    Attributes:
        title: one sentence.
        sentences: what it rests on.
        figures: the numbers behind it.
    """

    _folds: ClassVar[bool] = False

    title: str
    sentences: tuple[str, ...]
    figures: tuple[KeyFigure, ...]

    def _shown(self) -> list[Said]:
        """The sentences, one a line."""
        return [self.title, *(f"- {sentence}" for sentence in self.sentences)]

    def _headline(self) -> str:
        return self.title


def answer(result: ProfileResult) -> Answer:
    """The answer of a profile."""
    chips = chip_rows(result)
    if not chips:
        return Answer(
            "No estimate for a Loihi chip",
            tuple(result.problems)
            + tuple(f"{row.label}: {text}" for row in result.rows for text in row.problems),
            (),
        )
    chip, rival = chips[0], cheapest_rival(result, result.allow_estimated)
    found = [sentences.cost(chip), *(f"{WARNING}{text}." for text in result.warnings)]
    found += [sentences.rate(chip, result), sentences.cheaper_pipelined(chip, result)]
    found += [sentences.closed_loop(result)]
    found += [sentences.waiting(chip, result), *map(sentences.cost, chips[1:])]
    found += [sentences.placements(chips)]
    found += [rival_sentences.against(chip, rival, result.allow_estimated)]
    found += rival_sentences.other_controllers(chip, rival, result)
    found += [rival_sentences.too_slow(result), rival_sentences.unmeasured(result)]
    found += [sentences.latency(chip, result), *sentences.other_chips(chip, result)]
    if result.frontier is not None:
        found += [result.frontier.sentence]
    else:
        found += [crossover_text(crossovers(curves_of(result), result.allow_estimated))]
    found += [sentences.copies(result), sentences.input_and_output(result)]
    found += [sentences.accuracy(chip)]
    return Answer(
        _title(chips, rival, result),
        tuple(sentence for sentence in found if sentence),
        _figures(chip, result),
    )


def words_of(result: ProfileResult) -> dict[str, Any]:
    """The answer, what warns and where the chip wins, for JSON beside the profile itself."""
    found: dict[str, Any] = {"answer": str(answer(result)), "warnings": list(result.warnings)}
    if result.frontier is not None:
        found["where_the_chip_wins"] = result.frontier.sentence
    return found


def _title(chips: Sequence[ProfileRow], rival: ProfileRow | None, result: ProfileResult) -> str:
    """One sentence: what a sample takes on the chip, placed and run how, and on its rival."""
    first = chips[0]
    text = sentences.sentence_case(sentences.pace(first))
    text += f", {first.title}, {sentences.how(first)}, is estimated to take {first.total_energy}"
    text += f" a sample{sentences.board_beside(first)}"
    for other in chips[1:]:
        text += f", or {other.total_energy} {sentences.how(other)}{sentences.board_beside(other)}"
    if not surely_met(first):
        text += f", and meets the rate with {sentences.odds(first)} only"
    if rival is not None:
        text += f"; {sentences.who(rival)} {rival.total_energy}"
        text += rival_sentences.uncounted(first, rival)
    elif controllers(result) and result.rate is not None:
        text += "; no micro-controller surely keeps up"
    return text


def _figures(chip: ProfileRow, result: ProfileResult) -> tuple[KeyFigure, ...]:
    assert chip.total_energy is not None
    where = f"{chip.title}, {sentences.how(chip)}, {chip.pace}"
    found = [_figure("Energy a sample, chip", chip, chip.total_energy, where)]
    if chip.throughput is not None:
        power = chip.total_energy.times(chip.throughput.middle, "W")
        of = "energy a sample times samples per second" + (", all copies" * (chip.copies > 1))
        found.append(_figure("Power, chip", chip, power, of))
    other = cheapest_rival(result, result.allow_estimated) or bounded_rival(result)
    if other is not None and other.total_energy is not None:
        where = f"{other.name}, {other.pace}"
        found.append(_figure("Energy a sample, competitor", other, other.total_energy, where))
    if chip.latency is not None:
        found.append(KeyFigure("Latency, chip", chip.latency, sentences.how(chip), chip.tier))
    fastest = fastest_measured(result)
    if fastest is not None and fastest.latency is not None:
        where = fastest.name
        if fastest.latency_p99 is not None:
            where += f", p99 {with_prefix(fastest.latency_p99, 's')}"
        if fastest.under_load:
            where += ", measured under load"
        found.append(KeyFigure("Latency, competitor", fastest.latency, where, fastest.tier))
    return tuple(found)


def _figure(what: str, row: ProfileRow, quantity: Quantity, of: str) -> KeyFigure:
    return KeyFigure(what, quantity, of, row.energy_tier or row.tier)
