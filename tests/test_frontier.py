"""Where the chip wins: crossings with closed forms, who takes part, words, chart and files."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_rows import X, bounded_row, example_program, example_result, measured_row
from test_report import Checker, checked

import lnn2loihi as l2l
from lnn2loihi.cost import estimate_microcontroller
from lnn2loihi.cost.interval import FloatArray
from lnn2loihi.devices import load_device
from lnn2loihi.placement.copying import copies_candidates
from lnn2loihi.profiling.answer import answer
from lnn2loihi.profiling.choice import Placed
from lnn2loihi.profiling.competitors import chip, measured, microcontroller, surely
from lnn2loihi.profiling.contest import Contest
from lnn2loihi.profiling.crossing import Competitor, Piece, crossings, won
from lnn2loihi.profiling.frontier import Frontier
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.request import ChipRequest
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.profiling.verdict import verdict
from lnn2loihi.reporting.frontier_chart import frontier_chart
from lnn2loihi.reporting.page import page
from lnn2loihi.targets import target_of
from lnn2loihi.tiers import CALIBRATED, ESTIMATED

PROGRAM = example_program()
COUNTERS = l2l.simulate(PROGRAM, X).counters
DEVICE = load_device("loihi2-oheo-gulch")
RATES = tuple(np.geomspace(1.0, 1e6, 25).tolist())
LARGE = settings(deadline=None, max_examples=60)
#: Joules of a sample, and watts meanwhile.
NUMBERS = st.floats(1e-9, 1e-3)


def line(
    label: str,
    sample: float | list[float],
    power: float | list[float],
    fastest: float = 1e6,
    kind: str = "mcu",
) -> Competitor:
    """A competitor that needs sample + power / rate joules: nominal values first, then draws."""
    numbers = [np.atleast_1d(np.array(v, float)) for v in (sample, power)]
    draws = max(len(v) for v in numbers)
    a, b = (np.broadcast_to(v, draws if draws > 1 else 500) for v in numbers)
    return Competitor(label, kind, CALIBRATED, (Piece(fastest, a, b),))


def asked(**changes: Any) -> ChipRequest:
    request = ChipRequest(PROGRAM, target_of("fused"), COUNTERS, None, "none", None)
    return dataclasses.replace(request, **changes)


def frontier_of(
    rows: tuple[ProfileRow, ...] = (),
    allowed: bool = False,
    numbers: tuple[int, ...] = (1, 10),
    **changes: Any,
) -> Any:
    controllers = [load_device("mcu-stm32u385")]
    request = asked(**changes)
    return Contest(PROGRAM, request, DEVICE, controllers, rows, allowed, numbers).frontier()


@pytest.fixture(scope="module")
def found() -> Frontier:
    return frontier_of((measured_row(), bounded_row()), numbers=(1, 10, 100, 1000))


class TestCrossings:
    @LARGE
    @given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS))
    def test_two_lines_cross_where_they_are_equal(self, numbers: tuple[float, ...]) -> None:
        a, b, c, d = numbers
        found = crossings(line("one", a, b), line("other", c, d), 1e-3)
        assert found is not None
        meeting = (d - b) / (a - c) if a != c else math.nan
        if 1e-3 < meeting < 1e6:
            assert found.rates == pytest.approx(meeting, rel=1e-6)
            assert (found.first_above == (a < c)).all()
        elif not math.isnan(meeting):
            assert np.isnan(found.rates).all() or meeting == pytest.approx(1e-3)
            assert (found.first_above == (a + b / 1e6 < c + d / 1e6)).all()

    def test_each_draw_has_its_own(self) -> None:
        chip = line("chip", 1e-7, [0.2, 0.1, 0.4, 0.2])
        rival = line("rival", [1e-6, 1e-6, 1e-6, 0.5e-7], 0.0)
        found = crossings(chip, rival, 1.0)
        assert found is not None
        expected = [0.2 / 9e-7, 0.1 / 9e-7, 0.4 / 9e-7, math.nan]
        assert found.rates == pytest.approx(expected, nan_ok=True)
        assert found.first_above.tolist() == [True, True, True, False]

    def test_who_is_compared_with_himself_crosses_nowhere(self) -> None:
        one = line("one", [1e-7, 2e-7], [0.1, 0.2])
        found = crossings(one, one, 1.0)
        assert found is not None and np.isnan(found.rates).all() and not found.first_above.any()

    def test_a_jump_to_another_way_counts(self) -> None:
        """One runs dearer above 1 kHz, which makes the other the cheaper one there."""
        cheap, dear = (np.full(2, v) for v in (1e-6, 1e-5))
        one = Competitor("one", "loihi", CALIBRATED, (
            Piece(1e3, cheap, np.zeros(2)), Piece(1e5, dear, np.zeros(2))))  # fmt: skip
        found = crossings(line("other", 3e-6, 0.0), one, 1.0)
        assert found is not None
        assert (found.rates == 1e3).all() and found.first_above.all()

    def test_without_a_rate_that_both_meet_there_is_none(self) -> None:
        assert crossings(line("a", 1e-6, 1.0, 10.0), line("b", 1e-6, 1.0), 10.0) is None

    @LARGE
    @given(st.lists(st.tuples(NUMBERS, NUMBERS, st.floats(10.0, 1e6)), min_size=1, max_size=6))
    def test_the_winner_is_the_cheapest_at_every_rate(
        self, numbers: list[tuple[float, float, float]]
    ) -> None:
        everybody = [line(str(n), a, 100 * b, f) for n, (a, b, f) in enumerate(numbers)]
        stretches = won(everybody, 1.0)
        assert stretches[0].low == 1.0
        assert stretches[-1].high == max(one.fastest for one in everybody)
        for before, after in zip(stretches, stretches[1:], strict=False):
            assert before.high == after.low and before.winner != after.winner
        for part in stretches:
            for rate in np.geomspace(part.low * (1 + 1e-9), part.high, 5):
                able = [c.piece(rate).nominal(rate) for c in everybody if rate <= c.fastest]
                best = everybody[part.winner].piece(rate).nominal(rate)
                assert best == pytest.approx(min(able), rel=1e-6)


class TestVerdict:
    def test_closed_form_of_chip_and_rival(self) -> None:
        powers = [0.2, *np.linspace(0.1, 0.3, 101).tolist()]
        chip = line("chip", 1e-7, powers, kind="loihi")
        row = verdict(10, [chip, line("rival", 1.1e-6, 0.0)], RATES)
        assert [one.winner for one in row.stretches] == ["rival", "chip"]
        assert row.stretches[1].low == pytest.approx(2e5)
        (one,) = row.crossovers
        assert one.chip_above and one.rate is not None and one.rate.value is not None
        ends = (one.rate.value, one.rate.low, one.rate.high)
        assert ends == pytest.approx((2e5, 1.1e5, 2.9e5))
        assert (one.crossing, one.otherwise, one.chip, one.rival_alone) == (1.0, 0.0, 0.0, 0.0)
        assert row.takeover.rate == one.rate and row.takeover.never == 0.0

    def test_draws_without_a_crossing_are_counted(self) -> None:
        """In 3 of 10 draws the rival is cheaper at every rate: they are in no interval."""
        samples = [1e-7] * 8 + [1.0] * 3
        chip = line("chip", samples, 0.1, kind="loihi")
        row = verdict(1, [chip, line("rival", 1.1e-6, 0.0)], RATES)
        (one,) = row.crossovers
        assert (one.crossing, one.rival_alone) == pytest.approx((0.7, 0.3))
        assert one.rate is not None and one.rate.value is not None
        assert (one.rate.value, one.rate.low, one.rate.high) == pytest.approx((1e5, 1e5, 1e5))
        assert row.takeover.never == pytest.approx(0.3)

    def test_a_rival_that_stops_leaves_the_chip_alone(self) -> None:
        chip = line("chip", 1e-7, [0.2, 0.1, 0.3], kind="loihi")
        row = verdict(1, [chip, line("rival", 1e-7, 0.0, 5e3)], RATES)
        assert row.stretches[1].begins is None and row.stretches[1].low == 5e3
        assert row.takeover.rate == Quantity.exact(5e3, "Hz")
        assert (row.takeover.never, row.takeover.unrivalled) == (0.0, 1.0)
        assert row.crossovers[0].rival_alone == 1.0

    def test_a_rival_that_is_faster_and_cheaper_leaves_it_no_rate(self) -> None:
        chip = line("chip", 1e-7, 0.2, 1e4, kind="loihi")
        row = verdict(1, [chip, line("rival", 1e-8, 0.0)], RATES)
        assert (row.takeover.rate, row.takeover.never) == (None, 1.0)
        assert row.winners == ("rival",) * len(RATES)

    def test_bounds_win_only_where_they_are_allowed_to(self) -> None:
        chip = line("chip", 1e-7, [0.2, 0.1, 0.3], kind="loihi")
        bound = dataclasses.replace(
            line("cpu", [1e-9, 1e-10, 1e-8], 0.0, kind="cpu"), bounds=True, tier=ESTIMATED
        )
        plain = verdict(1, [chip, bound], RATES)
        assert {one.winner for one in plain.stretches} == {"chip"}
        assert plain.crossovers == () and plain.curve("cpu").energies[0].value is None
        allowed = verdict(1, [chip, bound], RATES, allow_estimated=True)
        assert {one.winner for one in allowed.stretches} == {"cpu"}

    @LARGE
    @given(
        st.lists(st.tuples(NUMBERS, NUMBERS), min_size=4, max_size=9),
        st.lists(st.tuples(NUMBERS, NUMBERS), min_size=4, max_size=9),
        st.floats(1.0, 50.0),
    )
    def test_shares_add_up_and_more_power_wins_later(
        self, own: list[tuple[float, float]], other: list[tuple[float, float]], factor: float
    ) -> None:
        def row(times: float) -> Any:
            chip = line(
                "chip", [a for a, _ in own], [times * 1e3 * b for _, b in own], 1e5, "loihi"
            )
            rival = line("rival", [a for a, _ in other], [b for _, b in other])
            return verdict(1, [chip, rival], RATES)

        before, after = row(1.0), row(factor)
        for one in (*before.crossovers, *after.crossovers):
            assert one.crossing + one.otherwise + one.chip + one.rival_alone == pytest.approx(1.0)
        assert after.takeover.never >= before.takeover.never
        rates = [one.takeover.rate and one.takeover.rate.value for one in (before, after)]
        if all(rates):
            assert rates[1] >= rates[0] * (1 - 1e-9)


class TestCompetitors:
    @pytest.mark.parametrize("rate", [0.5, 40.0, 3e3])
    def test_a_chip_needs_what_its_estimate_says(self, rate: float) -> None:
        (first, *_) = copies_candidates(PROGRAM, DEVICE, 7, counters=COUNTERS)
        placed = Placed.of(first.place(), DEVICE, asked(copies=7))
        one = chip("chip", [placed])
        (way,) = [mode for mode in placed.full if one.piece(rate).how.endswith(mode)]
        expected = l2l.estimate(placed.counts, DEVICE, mode=way, rate=rate)
        total = expected.energy["total_full_chip"]
        energy = one.quantity(rate)
        assert (energy.value, energy.low, energy.high) == pytest.approx(
            (total.value, total.low, total.high), rel=1e-9
        )
        assert expected.rate_met is not None and expected.rate_met >= 0.95

    def test_a_chip_falls_through_before_it_pipelines(self) -> None:
        (first, *_) = copies_candidates(PROGRAM, DEVICE, 1, counters=COUNTERS)
        one = chip("chip", [Placed.of(first.place(), DEVICE, asked())])
        modes = [piece.how.rsplit(", ", 1)[1] for piece in one.pieces]
        assert modes == sorted(modes)  # fall-through, pipelined

    @pytest.mark.parametrize("copies", [1, 3, 250])
    @pytest.mark.parametrize("rate", [0.1, 90.0, 800.0])
    def test_a_microcontroller_needs_what_its_estimate_says(self, copies: int, rate: float) -> None:
        part = "mcu-stm32u385"
        one = microcontroller(part, estimate_microcontroller(PROGRAM, part, copies=copies))
        expected = estimate_microcontroller(PROGRAM, part, copies=copies, rate=rate)
        energy, total = one.quantity(rate), expected.energy["total"]
        assert one.piece(rate).parts == expected.parts
        assert energy.value == pytest.approx(total.value, rel=1e-9)
        assert (energy.low, energy.high) == pytest.approx((total.low, total.high), rel=1e-3)

    @LARGE
    @given(st.integers(1, 2000), st.floats(1.0, 4e4))
    def test_copies_on_processors_take_turns(self, copies: int, rate: float) -> None:
        """E + P (parts / (copies rate) - time), on the fewest parts that keep up."""
        row = measured_row()
        one = measured(row, row.name, copies, 100)
        assert one is not None and row.throughput and row.total_energy and row.idle_power
        longest = 1.0 / row.throughput.low
        if rate > row.throughput.low:
            assert rate > one.fastest
            return
        piece = one.piece(rate)
        assert -(-copies // piece.parts) * longest <= (1.0 + 1e-9) / rate
        if piece.parts > 1:
            assert -(-copies // (piece.parts - 1)) * longest > (1.0 - 1e-9) / rate
        wait = piece.parts / (copies * rate) - 1.0 / row.throughput.middle
        expected = row.total_energy.middle + row.idle_power.middle * wait
        assert piece.nominal(rate) == pytest.approx(expected)

    def test_very_many_copies_have_few_pieces(self) -> None:
        one = measured(measured_row(), "cpu", 10_000_000, 100)
        assert one is not None and len(one.pieces) <= 402
        assert one.pieces[0].parts == 1 and one.pieces[-1].parts == 10_000_000

    def test_who_has_no_idle_power_or_speed_takes_no_part(self) -> None:
        slow = Quantity(1e4, 0.0, 3e4, "Hz")
        for row in (measured_row(idle_power=None), measured_row(throughput=slow)):
            assert measured(row, "cpu", 1) is None
        left = frontier_of((measured_row(idle_power=None),), numbers=(1,)).left_out
        assert any("its idle power or its speed is not known" in text for text in left)

    def test_the_upper_end_is_met_in_95_of_100_draws(self) -> None:
        seconds: FloatArray = np.array([0.5, *np.arange(1.0, 101.0)])
        assert np.mean(seconds[1:] <= surely(seconds)) >= 0.95


class TestContest:
    def test_more_copies_share_the_static_power(self, found: Frontier) -> None:
        """At the lowest rate a sample of one of ten copies takes about a tenth."""
        energies = {row.copies: row.chip.energies[0].middle for row in found.rows}
        assert list(energies) == [1, 10, 100, 1000]
        assert energies[10] == pytest.approx(energies[1] / 10, rel=1e-3)
        assert energies[1000] < energies[100] < energies[10]

    def test_curves_are_of_rates_that_are_surely_met(self, found: Frontier) -> None:
        for row in found.rows:
            for curve in row.curves:
                met = [rate for rate in found.rates if rate <= curve.fastest]
                assert len(curve.energies) == len(met)

    def test_the_number_that_was_asked_for_is_one_of_them(self) -> None:
        found = frontier_of(copies=7)
        assert [row.copies for row in found.rows] == [1, 7, 10]
        assert found.telling.copies == 7 and "Each of 7 copies" in found.sentence

    def test_copies_stop_where_the_device_is_full(self) -> None:
        small = dataclasses.replace(
            DEVICE, figures={**DEVICE.figures, "cores_per_chip": dataclasses.replace(
                DEVICE.figure("cores_per_chip"), value=2.0, low=2.0, high=2.0)}
        )  # fmt: skip
        found = Contest(PROGRAM, asked(), small, [], ()).frontier()
        assert found is not None and found.rows[-1].copies < 1000
        assert any("and more are not in it: no room" in text for text in found.left_out)

    def test_without_room_for_one_copy_there_is_none(self) -> None:
        assert Contest(PROGRAM, asked(), load_device("loihi1"), [], ()).frontier() is None

    def test_a_closed_loop_pipelines_nothing(self) -> None:
        found = frontier_of(closed_loop=True)
        assert not any("pipelined" in way.how for row in found.rows for way in row.chip.ways)

    def test_the_placement_that_was_asked_for_stands_alone(self) -> None:
        found = frontier_of(placement="packed")
        assert all(way.how.startswith("packed") for row in found.rows for way in row.chip.ways)

    def test_bounds_are_said_and_allowed(self, found: Frontier) -> None:
        row = bounded_row()
        assert any(row.name in text and ESTIMATED in text for text in found.left_out)
        assert row.name not in {one.winner for r in found.rows for one in r.stretches}
        cheap = dataclasses.replace(row, total_energy=Quantity(None, 1e-12, 1e-11, "J"),
                                    idle_power=Quantity(None, 1e-12, 1e-11, "W"))  # fmt: skip
        plain, allowed = (frontier_of((cheap,), may, (1,)) for may in (False, True))
        assert f"The bounds of {row.name} (ESTIMATED) reach below that" in plain.sentence
        two = dataclasses.replace(plain, rows=(*plain.rows, dataclasses.replace(
            plain.rows[0], copies=2)))  # fmt: skip
        assert two.sentence.count("(ESTIMATED) reach below that") == 2  # of each number of copies
        assert f"on {row.name} (ESTIMATED) up to" in allowed.sentence


class TestWords:
    def test_the_sentence_says_who_wins_and_how_the_chip_runs(self, found: Frontier) -> None:
        text = found.sentence
        assert text.startswith("A single copy needs least energy a sample on ")
        assert f"Each of {found.telling.copies:,} copies on the chip" in text
        assert ("fall-through" in text or "pipelined" in text) and text.endswith(".")
        for one in (*found.rows[0].stretches, *found.telling.stretches):
            assert l2l.devices.with_prefix(one.high, "Hz") in text

    def test_where_the_chip_never_wins_it_says_so(self) -> None:
        chip = line("Loihi 2 (1 chip)", 1e-5, 0.2, 1e4, kind="loihi")
        rows = tuple(verdict(n, [chip, line("mcu", 1e-8, 0.0)], RATES) for n in (1, 10))
        text = Frontier("loihi2", "Loihi 2 (1 chip)", "none", RATES, rows).sentence
        assert "Loihi 2 is the cheapest at no rate" in text
        assert "Loihi 2 wins with no number of copies, up to 10 copies" in text

    def test_it_is_in_the_answer_and_what_is_left_out_in_the_text(self, found: Frontier) -> None:
        result = example_result(PROGRAM, frontier=found)
        assert found.sentence in str(answer(result))
        for text in found.left_out:
            assert text in result.summary()


def without_rivals(found: Frontier) -> Frontier:
    chips = [line("chip", 1e-7, 0.2, kind="loihi")]
    return dataclasses.replace(found, rates=RATES, rows=(verdict(1, chips, RATES),), named=())


def never_won(found: Frontier) -> Frontier:
    chip = line("chip", 1e-5, 0.2, 1e4, kind="loihi")
    rows = tuple(verdict(n, [chip, line("mcu", 1e-8, 0.0)], RATES) for n in (1, 10))
    return dataclasses.replace(found, rates=RATES, rows=rows, named=())


class TestChart:
    @pytest.mark.parametrize("change", [lambda f: f, without_rivals, never_won])
    def test_it_is_well_formed(
        self, found: Frontier, change: Callable[[Frontier], Frontier]
    ) -> None:
        drawn = str(frontier_chart(change(found)))
        checker = Checker()
        checker.feed(drawn)
        checker.close()
        assert checker.wrong == checker.open == [] and "nan" not in drawn and "inf" not in drawn
        assert drawn.count('class="chart"') == (2 if len(change(found).rows) == 1 else 3)

    def test_it_is_on_the_page_with_its_sentence(self, found: Frontier) -> None:
        drawn = page(example_result(PROGRAM, frontier=found), PROGRAM, None)
        assert checked(drawn).wrong == []
        assert "Where the chip wins" in drawn and "frontier-line" in drawn


class TestFiles:
    def test_nothing_is_lost(self, found: Frontier, tmp_path: Path) -> None:
        result = example_result(PROGRAM, frontier=found)
        again = l2l.load_profile(result.save(tmp_path / "net.profile.json"))
        assert again == result and again.frontier is not None
        assert again.frontier.sentence == found.sentence

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda f: f.update(rates=[]), "fewer than two rates"),
            (lambda f: f.update(rates=f["rates"][::-1]), "its rates do not ascend"),
            (lambda f: f.update(rates=[-1.0, *f["rates"][1:]]), "expected a number above 0"),
            (lambda f: f.update(rates=[1.0] * 300), "at most 200 are read"),
            (lambda f: f.update(asked=0), "0 copies were asked for"),
            (lambda f: f.update(rows=[]), "no number of copies"),
            (lambda f: f.update(rows=f["rows"][::-1]), "do not ascend"),
            (lambda f: f["rows"][0].update(copies=0), "do not ascend from 1 on"),
            (lambda f: f["rows"][0].update(curves=f["rows"][0]["curves"][1:]), "of the chip"),
            (lambda f: f["rows"][0]["curves"][1].update(label="x"), "has no curve"),
            (lambda f: f["rows"][0]["curves"][1].update(kind="toaster"), "toaster"),
            (lambda f: f["rows"][0]["curves"][1].update(tier="GUESSED"), "GUESSED"),
            (lambda f: f["rows"][0]["curves"][0]["energies"][0].update(value=-1.0), "above 0"),
            (lambda f: f["rows"][0]["curves"][0]["energies"][0].update(value=None), "bounds alone"),
            (lambda f: f["rows"][0]["curves"][0]["energies"][0].update(unit="V"), "than J"),
            (lambda f: f["rows"][0]["curves"][0]["parts"].pop(), "numbers of parts"),
            (lambda f: f["rows"][0].update(winners=["nobody"]), "winners at"),
            (lambda f: f["rows"][0].update(stretches=[]), "nobody wins"),
            (lambda f: f["rows"][0]["stretches"][0].update(high=1e-3), "does not ascend"),
            (lambda f: f["rows"][0]["stretches"][0].update(winner="nobody"), "has no curve"),
            (lambda f: f["rows"][0]["crossovers"][0].update(crossing=0.9), "add up to 1"),
            (lambda f: f["rows"][0]["takeover"].update(never=1.5), "from 0 to 1"),
            (lambda f: f["rows"][0]["takeover"]["rate"].update(unit="s"), "than Hz"),
            (lambda f: f["rows"][0]["takeover"].update(rate="soon"), "expected a table"),
            (lambda f: f.update(sentence="Loihi always wins"), "unknown entry 'sentence'"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, found: Frontier, tmp_path: Path, change: Callable[[Any], Any], words: str
    ) -> None:
        file = example_result(PROGRAM, frontier=found).save(tmp_path / "net.profile.json")
        document = json.loads(file.read_text())
        change(document["profile"]["frontier"])
        file.write_text(json.dumps(document))
        with pytest.raises(l2l.InputError, match=words):
            l2l.load_profile(file)

    def test_a_profile_without_one_is_read(self, found: Frontier, tmp_path: Path) -> None:
        file = example_result(PROGRAM, frontier=found).save(tmp_path / "net.profile.json")
        document = copy.deepcopy(json.loads(file.read_text()))
        del document["profile"]["frontier"]
        file.write_text(json.dumps(document))
        assert l2l.load_profile(file).frontier is None
