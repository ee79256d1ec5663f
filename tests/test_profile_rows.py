"""Rows, ratios, curves and the answer in words, on profiles made by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_rows import (
    CPU_IDLE_WATTS,
    RATE,
    STATIC_WATTS,
    around,
    bounded_row,
    chip_profile,
    chip_row,
    example_program,
    example_result,
    failed_row,
    measured_row,
)

import lnn2loihi as l2l
from lnn2loihi.profiling.answer import answer
from lnn2loihi.profiling.curves import crossovers, curves_of, paced_energy
from lnn2loihi.profiling.measured import paced
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.ratios import DIVISIBLE, difference, ratio
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.row_tables import row_table


@pytest.fixture(scope="module")
def program() -> l2l.LoihiProgram:
    return example_program()


@pytest.fixture(scope="module")
def result(program: l2l.LoihiProgram) -> ProfileResult:
    return example_result(program)


class TestQuantity:
    @given(st.floats(1e-12, 1e6), st.floats(1e-12, 1e6))
    def test_a_quotient_holds_every_pair_of_its_intervals(self, a: float, b: float) -> None:
        over = Quantity(a, 0.5 * a, 2 * a, "J").over(Quantity(b, 0.8 * b, 1.5 * b, "J"))
        assert over.value == a / b and over.unit == "1"
        for x in (0.5 * a, a, 2 * a):
            for y in (0.8 * b, b, 1.5 * b):
                assert over.low * 0.999999 <= x / y <= over.high * 1.000001

    def test_texts(self) -> None:
        assert str(Quantity(2.3e-6, 2.1e-6, 2.8e-6, "J")) == "2.30 uJ (2.10 to 2.80 uJ)"
        assert str(Quantity(None, 9e-7, 2e-6, "J")) == "900 nJ to 2.00 uJ"
        assert str(Quantity.exact(1.0, "s")) == "1.00 s"
        assert str(Quantity(7.0, 6.9999, 7.0001, "s")) == "7.00 s"

    def test_an_interval_without_a_number_stays_one(self) -> None:
        bound = Quantity(None, 0.0, 2.0, "J")
        assert bound.plus(Quantity.exact(1.0, "J")) == Quantity(None, 1.0, 3.0, "J")
        assert bound.times(3.0).value is None and bound.middle == 1.0
        assert bound.over(Quantity.exact(4.0, "J")) == Quantity(None, 0.0, 0.5, "1")


class TestRatio:
    def test_total_over_total(self) -> None:
        slow, chip = paced(measured_row(), RATE), chip_row()
        found = ratio(slow, chip, "energy")
        assert slow.total_energy is not None and chip.total_energy is not None
        assert found.value == slow.total_energy.middle / chip.total_energy.middle
        assert found.value is not None and found.low < found.value < found.high

    @pytest.mark.parametrize(
        ("quantity", "words"),
        [
            (("dynamic_energy", "total_energy"), "not the same kind"),
            (("total_energy", "dynamic_energy"), "not the same kind"),
            (("total_energy", "total_energy_pro_rata"), "not the same kind"),
            (("energy", "static_energy"), "not the same kind"),
            ("colour", "no such quantity"),
        ],
    )
    def test_what_is_not_of_a_kind_is_refused(
        self, quantity: str | tuple[str, str], words: str
    ) -> None:
        with pytest.raises(l2l.InputError, match=words):
            ratio(measured_row(), chip_row(None), quantity)

    def test_a_row_with_dynamic_energy_alone_has_no_energy_to_divide(self) -> None:
        bare = measured_row(total_energy=None)
        with pytest.raises(l2l.InputError, match=r"has no total energy .*; it has dynamic energy"):
            ratio(bare, chip_row(None), "energy")

    def test_different_paces_are_refused(self) -> None:
        with pytest.raises(l2l.InputError, match="one runs full speed, the other at 100 Hz"):
            ratio(measured_row(), chip_row())

    def test_estimated_energies_stay_out_unless_asked_for(self) -> None:
        with pytest.raises(l2l.InputError, match="ESTIMATED, nobody measured it"):
            ratio(bounded_row(), chip_row(None))
        found = ratio(bounded_row(), chip_row(None), allow_estimated=True)
        assert found.value is None and found.high > 0
        # Its times were measured.
        assert ratio(bounded_row(), chip_row(None), "latency").value == pytest.approx(
            2.5e-5 / 1.5e-5
        )

    def test_all_reasons_at_once(self) -> None:
        with pytest.raises(l2l.InputError) as caught:
            ratio(bounded_row(), failed_row(rate=RATE))
        assert len(caught.value.problems) == 3

    @pytest.mark.parametrize("quantity", DIVISIBLE)
    def test_every_quantity_divides_itself(self, quantity: str) -> None:
        row = chip_row(total_energy_board=around(1.0, "J"))
        assert ratio(row, row, quantity) == Quantity.exact(1.0, "1")
        assert difference(row, row, quantity).high == 0.0

    def test_nothing_is_divided_by_zero(self) -> None:
        bare = chip_row(static_energy=Quantity.exact(0.0, "J"))
        with pytest.raises(l2l.InputError, match="static energy .* of the second is 0"):
            ratio(chip_row(), bare, "static_energy")


class TestRows:
    def test_a_row_says_what_it_is_in_known_words(self) -> None:
        changes: tuple[dict[str, Any], ...] = (
            {"tier": "GUESSED"}, {"energy_tier": "?"}, {"kind": "tpu"}, {"status": "fine"},
            {"energy_tier": None},
        )  # fmt: skip
        for change in changes:
            with pytest.raises(l2l.InputError):
                chip_row(**change)

    def test_tiers_of_time_and_energy(self) -> None:
        assert measured_row().tiers == "MEASURED"
        assert bounded_row().tiers == "MEASURED (time), ESTIMATED (energy)"

    def test_the_summary_has_every_row_with_its_tier(self, result: ProfileResult) -> None:
        text = result.summary()
        for row in result.rows:
            assert all(word in text for word in (*row.tiers.split(), *row.backend.split()))
        assert "9,000 neurons, the limit is 8,192" in text and "[failed]" in text
        assert "not measured: onnxruntime on GPU: no GPU" in text

    def test_partial_results_are_marked(self, result: ProfileResult) -> None:
        assert not result.complete
        whole = tuple(row for row in result.rows if row.status == "complete")
        assert dataclasses.replace(result, rows=whole).complete

    def test_rows_are_found_by_device_or_backend(self, result: ProfileResult) -> None:
        assert result.row("loihi2-oheo-gulch", mode="fall-through").rate == RATE
        assert result.row("PyTorch on GPU").status == "partial"
        with pytest.raises(l2l.InputError, match=r"no row of 'tpu'.*there are: Loihi 2"):
            result.row("tpu")

    def test_fields_of_lavas_profiler_keep_their_names(self, result: ProfileResult) -> None:
        first = result.to_dict()["rows"][0]
        for name in ("total_energy", "static_energy", "dynamic_energy", "avg_time_per_step"):
            assert first[name]["unit"] in ("J", "s")


class TestPace:
    def test_idle_power_counts_until_the_next_sample(self) -> None:
        full = measured_row()
        row = paced(full, RATE)
        assert full.total_energy is not None and row.total_energy is not None
        waiting = 1 / RATE - 2.5e-5
        expected = full.total_energy.middle + CPU_IDLE_WATTS * waiting
        assert row.total_energy.value == pytest.approx(expected)
        assert (row.rate, row.energy_tier, row.tier) == (RATE, "CALIBRATED-ESTIMATE", "MEASURED")
        assert "computed" in row.source

    def test_a_bound_stays_a_bound(self) -> None:
        row = paced(bounded_row(), RATE)
        assert row.total_energy is not None and row.total_energy.value is None
        assert row.energy_tier == "ESTIMATED"
        assert row.total_energy.high == pytest.approx(3e-4 + 9.0 * (1 / RATE - 2.5e-5))

    def test_a_rate_that_cannot_be_met_is_said_in_words(self) -> None:
        row = paced(measured_row(seconds=0.02), RATE)
        assert row.status == "failed" and row.total_energy is None and row.latency is None
        assert row.problems == ("cannot keep up with 100 Hz: a sample needs 20.0 ms, has 10.0 ms",)


class TestCurves:
    def test_they_meet_where_the_energies_are_equal(self, program: l2l.LoihiProgram) -> None:
        # The CPU's idle power is lower and its work costs more: it is cheaper when it waits.
        cpu = measured_row(
            total_energy=Quantity.exact(1e-3, "J"), idle_power=Quantity.exact(0.1, "W")
        )
        result = example_result(program, (chip_row(None, "pipelined"), cpu), rate=None)
        (found,) = crossovers(curves_of(result))
        expected = (STATIC_WATTS - 0.1) / (1e-3 - 2.5e-5 * 0.1 - 2e-7)
        assert found.rate == pytest.approx(expected, rel=0.05)  # straight between points
        assert found.cheaper_above.startswith("Loihi 2") and found.other == cpu.name
        words = f"needs less energy than {cpu.name} above {found.rate:.0f} Hz."
        assert words in str(answer(result))

    def test_estimated_curves_take_part_when_asked_for(self, program: l2l.LoihiProgram) -> None:
        rows = (
            chip_row(None),
            bounded_row(throughput=Quantity.exact(4e4, "Hz")),
        )
        bound = dataclasses.replace(rows[1], idle_power=Quantity(None, 0.01, 0.02, "W"))
        curves = curves_of(example_result(program, (rows[0], bound)))
        assert not crossovers(curves) and crossovers(curves, allow_estimated=True)

    def test_rows_that_are_too_slow_or_have_no_idle_power_have_none(
        self, program: l2l.LoihiProgram
    ) -> None:
        rows = (measured_row(idle_power=None), measured_row(seconds=2.0),
                measured_row(batch=8), failed_row())  # fmt: skip
        found = curves_of(example_result(program, rows))
        assert {curve.kind for curve in found} == {"loihi"}

    def test_a_curve_ends_at_full_speed(self) -> None:
        row = measured_row()
        assert row.total_energy is not None
        assert paced_energy(row, 4e4).middle == pytest.approx(row.total_energy.middle)


class TestAnswer:
    def test_the_chip_its_rival_and_their_ratio(self, program: l2l.LoihiProgram) -> None:
        rows = (chip_row(None), chip_row(), measured_row(), paced(measured_row(), RATE))
        found = answer(example_result(program, rows))
        assert found.title == (
            "At 100 Hz, Loihi 2, Oheo Gulch (1 chip), packed on 2 cores, fall-through, is "
            "estimated to take 2.30 mJ (1.84 to 2.76 mJ) a sample; onnxruntime on CPU, 1 thread "
            "70.1 mJ (68.7 to 71.5 mJ)"
        )
        assert "70.1 mJ (68.7 to 71.5 mJ) a sample at 100 Hz (CALIBRATED-ESTIMATE): 30 times " in (
            str(found)
        )
        assert [figure.tier for figure in found.figures] == [
            *(["CALIBRATED-ESTIMATE"] * 4), "MEASURED",
        ]  # fmt: skip

    def test_more_energy(self, program: l2l.LoihiProgram) -> None:
        cheap = paced(measured_row(idle_power=Quantity.exact(1e-3, "W")), RATE)
        found = answer(example_result(program, (chip_row(None), chip_row(), cheap)))
        assert "the chip takes 7.4 times (5.7 to 9.4) as much." in str(found)

    def test_no_clear_difference(self, program: l2l.LoihiProgram) -> None:
        same = measured_row(rate=RATE, total_energy=chip_row().total_energy)
        text = str(answer(example_result(program, (chip_row(), same))))
        assert "1 times (0.67 to 1.5) as much, which is no clear difference." in text

    def test_the_cheapest_rival_decides_energy_and_the_fastest_measured_one_latency(
        self, program: l2l.LoihiProgram
    ) -> None:
        mcu = measured_row("cost model", kind="mcu", title="STM32 (Cortex)", rate=RATE,
                           total_energy=Quantity.exact(1e-6, "J"), tier="CALIBRATED-ESTIMATE",
                           latency=Quantity.exact(1e-9, "s"))  # fmt: skip
        slow = paced(measured_row("slow one", seconds=1e-3), RATE)
        rows = (chip_row(), slow, paced(measured_row(), RATE), mcu)
        found = answer(example_result(program, rows))
        assert found.title.endswith("; a micro-controller (STM32) 1.00 uJ")
        assert "the fastest measured here takes 25.0 us (onnxruntime" in str(found)

    def test_no_ratio_with_a_bound(self, program: l2l.LoihiProgram) -> None:
        rows = (chip_row(), paced(bounded_row(), RATE))
        text = str(answer(example_result(program, rows)))
        assert "No energy of a CPU or GPU was measured" in text and "as much" not in text
        asked = str(answer(example_result(program, rows, allow_estimated=True)))
        assert "ESTIMATED" in asked and "as much" in asked

    def test_no_chip(self, program: l2l.LoihiProgram) -> None:
        found = answer(example_result(program, (failed_row(),), chips=()))
        assert found.title == "No estimate for a Loihi chip"
        assert "9,000 neurons" in found.sentences[0] and not found.figures

    def test_input_and_output(self, program: l2l.LoihiProgram) -> None:
        rows = (chip_row(None),)
        assert "not counted" in str(answer(example_result(program, rows, rate=None)))
        counted = example_result(program, rows, rate=None, io="host")
        assert "are counted, time and power (--io host)" in str(answer(counted))


@given(
    names=st.lists(st.text(max_size=150), min_size=1, max_size=4),
    backend=st.text(max_size=150),
    rates=st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=4),
)
def test_tables_are_as_wide_as_a_page(names: list[str], backend: str, rates: list[float]) -> None:
    rows = [chip_row(rate, title=name, backend=backend) for name, rate in zip(names, rates)]  # noqa: B905
    shown = row_table([*rows, measured_row(), bounded_row(), failed_row()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        lines = str(shown).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("row")


def test_a_chip_profile_checks_itself() -> None:
    for change, words in (
        ({"mesh_columns": 10**9}, "mesh_columns is 1000000000"),
        ({"bottleneck": 7}, "bottleneck is core 7 of 2"),
        ({"mesh_columns": 1}, "1 cores stand beside its mesh"),
    ):
        with pytest.raises(l2l.InputError, match=words):
            chip_profile(**change)
