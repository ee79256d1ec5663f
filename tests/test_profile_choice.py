"""Placements, modes, copies and rates of a profile: as asked for, named, never in silence."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_rows import NETWORK, RATE, X, example_program, measured_row

import lnn2loihi as l2l
from lnn2loihi.devices import Figure
from lnn2loihi.models import damped_sine
from lnn2loihi.profiling.answer import answer
from lnn2loihi.profiling.measured import paced, taking_turns
from lnn2loihi.profiling.ratios import ESTIMATED_NAMES
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.speaking import chip_rows
from lnn2loihi.reporting.page import page
from lnn2loihi.tables import percent_met

PROGRAM = example_program()
DEVICE = "loihi2-oheo-gulch"
SHIPPED = l2l.load(damped_sine.FOLDER / "w4a8x12.l2l")
SAMPLES = damped_sine.example(4, 20, 1)[0]


@functools.cache
def found(**options: Any) -> ProfileResult:
    """A profile of damped_sine with nothing measured."""
    return l2l.profile(SHIPPED, SAMPLES, against=(), frontier=False, **options)


class TestPlacement:
    def test_without_a_rate_both_are_there_and_said(self) -> None:
        result = found()
        assert [(row.placement, row.mode) for row in result.rows[:4]] == [
            ("packed", "fall-through"), ("packed", "pipelined"), ("fast", "fall-through"),
            ("fast", "pipelined"),
        ]  # fmt: skip
        title = answer(result).title
        assert "packed on 1 core, pipelined, is" in title and "fast on 32 cores, pipe" in title
        assert len(result.chips) == 2

    @pytest.mark.parametrize("placement", ["packed", "fast"])
    @pytest.mark.parametrize("rate", [None, 100.0])
    def test_the_one_that_is_asked_for(self, placement: str, rate: float | None) -> None:
        result = found(placement=placement, rate=rate)
        chips = [row for row in result.rows if row.kind == "loihi"]
        assert {row.placement for row in chips} == {placement}
        for row in chips:
            assert f"{placement} on {row.cores} core" in row.label and row.mode in row.label
        assert f"{placement} on " in answer(result).title
        assert placement in page(result, SHIPPED, None)

    def test_at_100_hertz_it_is_packed_and_what_a_micro_controller_takes_is_said(self) -> None:
        result = found(rate=100.0)
        text = answer(result)
        assert text.title.startswith(
            "At 100 Hz, Loihi 2, Oheo Gulch (1 chip), packed on 1 core, fall-through, is estimated "
            "to take 2.30 mJ ("
        )
        assert "; a micro-controller (GAP9) " in text.title and "nJ" in text.title
        assert "A micro-controller (STM32U385) takes 727 nJ" in str(text)
        row = chip_rows(result)[0]
        assert row.total_energy is not None
        assert 0.9e-3 < row.total_energy.low < 1.1e-3 and 2.7e-3 < row.total_energy.high < 2.9e-3
        assert "known to a factor of 2.3) and no property of the network" in str(text)

    def test_what_is_neither_is_named(self) -> None:
        result = found(rate=176e3)
        assert "between packed and fast on 3 cores, pipelined" in answer(result).title

    def test_the_cheapest_that_meets_a_rate_meets_it_by_the_upper_end(self) -> None:
        before = 0
        for rate in (1e3, 40e3, 80e3, 100e3):
            (row,) = chip_rows(found(rate=rate))
            assert row.mode == "fall-through" and row.rate_met is not None
            assert row.rate_met >= 0.95 and row.cores is not None and row.cores >= before
            before = row.cores
            assert row.basis is not None
            interval = row.basis.results["sample_time"][1:]
            assert (interval <= 1.0 / rate).mean() >= 0.95
        assert before > 1

    def test_no_core_more_for_nothing(self) -> None:
        """Where static power is all, cuts on more cores are as cheap, and are not taken."""
        for copies in (1, 10, 100):
            packed = chip_rows(found(rate=10.0, copies=copies, placement="packed"))[0]
            assert chip_rows(found(rate=10.0, copies=copies))[0].cores == packed.cores

    def test_where_one_is_both_it_says_so(self) -> None:
        layer = dataclasses.replace(NETWORK, layers=NETWORK.layers[:1], readout=None)
        program = l2l.quantize(layer, calibrate=X)
        device = l2l.load_device(DEVICE)
        figures = dict(device.figures) | {"cores_per_chip": Figure(1, 1, 1, "1", "t", "assumed")}
        one = dataclasses.replace(device, name="one", figures=figures)
        result = l2l.profile(program, X, one, against=(), frontier=False)
        assert {row.placement for row in result.rows if row.kind == "loihi"} == {"packed"}
        assert "the placement that is packed is the fast one too" in result.summary()

    def test_side_by_side_they_are_placed_as_the_answer_says(self) -> None:
        for rate, words in ((100.0, "packed"), (None, "fast")):
            result = l2l.profile(PROGRAM, X, against=(), frontier=False, rate=rate, beside="split")
            assert {side.placement for side in result.sides} == {words}
            assert f"(estimates of one copy, {words}, pipelined at full speed)" in result.summary()


class TestRates:
    @staticmethod
    def _edge(met: Callable[[float], bool]) -> tuple[float, float]:
        """A rate for which something holds and a slightly higher one for which it does not."""
        low, high = 1e3, 1e6
        while high / low > 1.002:
            middle = (low * high) ** 0.5
            low, high = (middle, high) if met(middle) else (low, middle)
        return low, high

    def test_a_change_of_the_mode_is_never_silent(self) -> None:
        """Up to some rate a sample falls through; above it only the pipeline keeps up."""

        def falls(rate: float) -> bool:
            try:
                return chip_rows(found(rate=rate))[0].mode == "fall-through"
            except l2l.RateError:
                return False

        low, high = self._edge(falls)
        below, above = answer(found(rate=low)), answer(found(rate=high))
        assert "fall-through" in below.title and "pipelined" not in str(below)
        assert "pipelined, is estimated" in above.title
        assert "Only pipelined meets" in str(above) and "an answer then takes" in str(above)
        assert "falling through, on the same cores, would meet it with a probability" in str(above)

    def test_a_rate_that_is_met_by_chance_says_the_odds(self) -> None:
        def surely(rate: float) -> bool:
            try:
                return (chip_rows(found(rate=rate))[0].rate_met or 0.0) >= 0.95
            except l2l.RateError:
                return False

        _, high = self._edge(surely)
        result = found(rate=high)
        assert "Only pipelined meets" not in str(answer(result))
        assert "Pipelined is likelier to meet" in str(answer(result))
        (row,) = chip_rows(result)
        assert row.rate_met is not None and row.rate_met < 0.95
        assert f"meets the rate with a probability of {percent_met(row.rate_met)} only" in (
            answer(result).title
        )
        assert "not by the upper end of the interval" in str(answer(result))
        assert "meets the rate with a probability" in page(result, SHIPPED, None)

    def test_one_that_nothing_meets_says_whose_the_longest_term_is(self) -> None:
        with pytest.raises(l2l.RateError) as raised:
            found(rate=1e6)
        assert "pipelined" in str(raised.value)
        assert "time_per_step of loihi2-oheo-gulch, 1.30 us, measured" in str(raised.value)

    def test_input_and_output_that_take_longest_are_named(self) -> None:
        for rate in (10.0, 100.0):
            text = answer(found(rate=rate, io="host"))
            assert "input and output through a host" in text.title
            uncounted = "its input and output not counted, those of the chip counted"
            assert f"(CALIBRATED-ESTIMATE, {uncounted}): the chip takes" in str(text)
            assert text.title.endswith(uncounted)
        with pytest.raises(l2l.RateError, match="input and output take longest, 4.26 ms a sample"):
            found(rate=500.0, io="host")

    def test_a_closed_loop_is_never_pipelined(self) -> None:
        for rate in (None, 100.0):
            result = found(rate=rate, closed_loop=True)
            chips = [row for row in result.rows if row.kind == "loihi"]
            assert {row.mode for row in chips} == {"fall-through"}
            assert "(--closed-loop): rows of that are left out" in str(answer(result))
            assert "pipelined rows are left out" in result.summary()
            assert {chip.mode for chip in result.chips} == {"fall-through"}
        with pytest.raises(l2l.RateError, match=r"forbids pipelining .*, and falling through rea"):
            found(rate=250e3, closed_loop=True)

    def test_a_micro_controller_that_is_too_slow_is_named(self) -> None:
        result = found(rate=50e3)
        assert "A micro-controller (STM32U385) does not keep up with 50.0 kHz" in str(
            answer(result)
        )
        row = result.row("mcu-stm32u385", rate=50e3)
        assert row.status == "failed" and "take longest" in row.problems[0]


class TestBoards:
    def test_chips_that_idle_are_charged_to_the_board(self) -> None:
        result = found(rate=100.0, devices=("loihi2-kapoho-point",))
        (row,) = chip_rows(result)
        assert row.total_energy is not None and row.total_energy_board is not None
        assert row.total_energy_board.middle == pytest.approx(8 * row.total_energy.middle, rel=1e-3)
        assert "with the whole board, of which 7 chips idle" in str(answer(result))
        assert "total, board" in result.summary() and "whole board" in page(result, SHIPPED, None)

    def test_chips_are_compared_draw_by_draw(self) -> None:
        devices = (DEVICE, "loihi2-kapoho-point")
        text = str(answer(found(rate=100.0, devices=devices)))
        assert ": 1 times that of Loihi 2, Oheo Gulch (1 chip); 18.4 mJ (" in text
        assert text.count("of which 7 chips idle") == 1

    def test_one_chip_has_no_idle_ones(self) -> None:
        result = found(rate=100.0)
        assert all(row.total_energy_board is None for row in result.rows)
        assert "whole board" not in str(answer(result))

    def test_notes_of_a_device_are_said_once(self) -> None:
        result = found()
        said = result.remarks()
        for title, notes in result.notes.items():
            for note in notes:
                (who,) = (who for who, text in said if text == note)
                assert title in who and result.summary().count(note) == 1


class TestCopies:
    def test_they_share_the_chip(self) -> None:
        one, many = found(rate=100.0), found(rate=100.0, copies=100)
        first, shared = chip_rows(one)[0], chip_rows(many)[0]
        assert first.total_energy is not None and shared.total_energy is not None
        assert shared.copies == 100 and "one of 100 copies" in answer(many).title
        assert shared.total_energy.middle == pytest.approx(
            first.total_energy.middle / 100, rel=0.05
        )
        assert "100 copies" in shared.label and "of a sample of one of them" in str(answer(many))
        (chip,) = many.chips
        assert chip.copies == 100
        assert sum(core.neurons for core in chip.cores) == 100 * SHIPPED.neurons

    def test_micro_controllers_share_them_too(self) -> None:
        row = found(rate=100.0, copies=1000).row("mcu-stm32u385", rate=100.0)
        assert row.copies == 1000 and row.devices > 1
        assert f"{row.devices} devices" in row.label

    def test_a_processor_that_keeps_up_serves_them_in_turns(self) -> None:
        row = paced(measured_row(), RATE, copies=100)  # 25 us each, 40 kHz
        assert (row.devices, row.copies, row.status) == (1, 100, "complete")
        assert row.latency is not None and row.latency.middle == pytest.approx(100 * 2.5e-5)
        alone = paced(measured_row(), 100 * RATE)
        assert alone.total_energy == row.total_energy
        assert taking_turns(measured_row(), 1) == measured_row()

    def test_one_that_does_not_says_how_many_it_would_take(self) -> None:
        row = paced(measured_row(), RATE, copies=1000)
        assert row.devices == 3 and "it takes 3 such devices" in row.notes[0]
        assert paced(measured_row(seconds=0.02), RATE, copies=9).status == "failed"

    @given(copies=st.integers(1, 10**6), rate=st.floats(1.0, 4e4))
    def test_as_many_devices_as_are_needed(self, copies: int, rate: float) -> None:
        row = paced(measured_row(), rate, copies)
        each = -(-copies // row.devices)
        assert each * rate <= 4e4 * (1 + 1e-9)
        assert row.devices == 1 or -(-copies // (row.devices - 1)) * rate > 4e4 * (1 - 1e-9)

    def test_too_many_say_what_fits(self) -> None:
        result = found(copies=10**6)
        failed = [row for row in result.rows if row.status == "failed"]
        assert failed and "What fits: " in failed[0].problems[0] and "copies" in str(result)
        with pytest.raises(l2l.InputError, match="copies is 0"):
            l2l.profile(PROGRAM, X, against=(), copies=0)

    def test_a_rate_that_copies_do_not_meet(self) -> None:
        with pytest.raises(l2l.RateError, match=r"1,000 copies.* takes? longest"):
            found(rate=1e5, copies=1000)


class TestBasis:
    """Rows of a file say what their basis gives."""

    RESULT = l2l.profile(
        PROGRAM, X, (DEVICE, "mcu-stm32u385"), against=(), frontier=False, rate=RATE
    )

    def test_nothing_is_lost(self, tmp_path: Path) -> None:
        again = l2l.load_profile(self.RESULT.save(tmp_path / "a.profile.json"))
        assert again == self.RESULT
        for row in again.rows:
            assert row.basis is not None and l2l.ratio(row, row).value == 1.0

    @settings(max_examples=40, deadline=None)
    @given(number=st.integers(0, len(RESULT.rows) - 1), data=st.data())
    def test_a_number_that_is_not_of_its_basis_is_refused_by_name(
        self, tmp_path_factory: pytest.TempPathFactory, number: int, data: st.DataObject
    ) -> None:
        document = {"format": "lnn2loihi profile", "schema": 2, "profile": self.RESULT.to_dict()}
        document = copy.deepcopy(json.loads(json.dumps(document)))
        row = document["profile"]["rows"][number]
        there = [name for name in ESTIMATED_NAMES if row[name] is not None and row[name]["value"]]
        name = data.draw(st.sampled_from(there))
        end = data.draw(st.sampled_from(("value", "low", "high")))
        row[name][end] *= data.draw(st.sampled_from((0.5, 0.99, 1.01, 3.0)))
        path = tmp_path_factory.getbasetemp() / "other.profile.json"
        path.write_text(json.dumps(document))
        with pytest.raises(
            l2l.InputError, match=rf"rows\[{number}\].{name} is .*not what its basis"
        ):
            l2l.load_profile(path)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda row: row.update(mode="pipelined"), "mode is 'pipelined', its basis says"),
            (lambda row: row.update(cores=7), "cores is 7, its basis says 1"),
            (lambda row: row.update(copies=7), "copies is 7, its basis says 1"),
            (lambda row: row.update(io="host"), "io is 'host', its basis says 'none'"),
            (lambda row: row.update(rate_met=0.5), "rate_met is 0.5, which is not what"),
            (lambda row: row.update(rate_met=1.5), "rate_met is 1.5, expected a share"),
            (lambda row: row["basis"].update(draws=10**6), "takes too much to draw it"),
            (lambda row: row["basis"].update(draws=10**9), "draws"),
            (lambda row: row["basis"]["figures"].pop("time_per_step"), "its figures are"),
            (lambda row: row["basis"]["demand"].update(steps=0), "takes no step"),
            (lambda row: row.update(basis={}), "has no demand"),
            (lambda row: row.update(basis=3), "expected a table"),
        ],
    )
    def test_what_does_not_fit_its_basis(
        self, tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
    ) -> None:
        document = {"format": "lnn2loihi profile", "schema": 2, "profile": self.RESULT.to_dict()}
        document = copy.deepcopy(json.loads(json.dumps(document)))
        change(document["profile"]["rows"][2])
        path = tmp_path / "other.profile.json"
        path.write_text(json.dumps(document))
        with pytest.raises(l2l.InputError, match=words):
            l2l.load_profile(path)
