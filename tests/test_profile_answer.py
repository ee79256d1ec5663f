"""The answer of a profile: who is compared with whom, and what is said of it."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import pytest
from converted_modules import sandwich
from profile_rows import NETWORK, RATE, X, chip_row, example_program, example_result, measured_row

import lnn2loihi as l2l
from lnn2loihi.devices import Figure, rate_text
from lnn2loihi.models import damped_sine
from lnn2loihi.profiling.answer import answer
from lnn2loihi.profiling.measured import paced
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.profiling.sentences import odds
from lnn2loihi.profiling.speaking import cheapest_rival, chip_rows, controllers
from lnn2loihi.tables import percent_met

DEVICE = "loihi2-oheo-gulch"
SHIPPED = l2l.load(damped_sine.FOLDER / "w4a8x12.l2l")
SAMPLES = damped_sine.example(4, 20, 1)[0]


@functools.cache
def found(**options: Any) -> ProfileResult:
    """A profile of damped_sine with nothing measured."""
    return l2l.profile(SHIPPED, SAMPLES, against=(), frontier=False, **options)


def rival(result: ProfileResult) -> ProfileRow:
    row = cheapest_rival(result, False)
    assert row is not None
    return row


def device_with(name: str, **figures: Figure) -> l2l.Device:
    device = l2l.load_device(DEVICE)
    return dataclasses.replace(device, name=name, figures=dict(device.figures) | figures)


class TestRivals:
    def test_the_cheapest_of_all_known_parts_is_the_rival_and_the_named_one_is_said_too(
        self,
    ) -> None:
        for rate, copies in ((100.0, 1), (2e3, 1000)):
            result = found(rate=rate, copies=copies)
            best = rival(result)
            assert best.device == "mcu-gap9"
            text = answer(result)
            assert "a micro-controller (GAP9" in text.title
            assert "A micro-controller (STM32U385" in str(text)
            (tile,) = (f for f in text.figures if f.what == "Energy a sample, competitor")
            assert tile.quantity == best.total_energy
            assert any("the one that needs least energy" in note for note in best.notes)
            for row in controllers(result):
                assert row.total_energy is not None and best.total_energy is not None
                assert best.total_energy.middle <= row.total_energy.middle

    def test_a_named_one_that_is_the_cheapest_stands_alone(self) -> None:
        result = found(rate=100.0, devices=("mcu-gap9",))
        assert {row.device for row in controllers(result)} == {"mcu-gap9"}

    def test_one_that_meets_the_rate_by_chance_is_no_rival(self) -> None:
        result = found(rate=9.3e3)
        row = result.row("mcu-stm32u385", rate=9.3e3)
        assert row.rate_met is not None and 0.0 < row.rate_met < 0.95
        assert rival(result).device == "mcu-gap9"
        chance = re.escape(f"but meets the rate with {odds(row)} only")
        assert re.search(rf"\(STM32U385\) takes .*, {chance}", str(answer(result)))

    def test_where_none_keeps_up_the_fastest_is_named(self) -> None:
        result = found(rate=50e3)
        assert cheapest_rival(result, False) is None
        text = answer(result)
        assert text.title.endswith("; no micro-controller surely keeps up")
        assert (
            "No micro-controller of those that were compared does surely; the fastest, GAP9, "
            in (str(text))
        )
        assert result.row("mcu-gap9", rate=50e3).rate_met is not None

    def test_what_was_measured_meets_it_by_the_low_end_of_its_speed(self) -> None:
        slow = measured_row(throughput=Quantity(1.05 * RATE, 0.9 * RATE, 1.2 * RATE, "Hz"))
        program = example_program()
        rows = (chip_row(None), chip_row(), slow, paced(slow, RATE))
        assert cheapest_rival(example_result(program, rows), False) is None
        sure = (*rows[:2], measured_row(), paced(measured_row(), RATE))
        assert cheapest_rival(example_result(program, sure), False) is not None


class TestDevices:
    @pytest.mark.parametrize(
        ("devices", "there"),
        [
            ("loihi2-kapoho-point", {"loihi2-kapoho-point", "mcu-stm32u385", "mcu-gap9"}),
            (("mcu-stm32u575",), {DEVICE, "mcu-stm32u575", "mcu-gap9"}),
        ],
    )
    def test_a_loihi_and_a_micro_controller_are_always_there(
        self, devices: Any, there: set[str]
    ) -> None:
        assert {row.device for row in found(rate=100.0, devices=devices).rows} == there

    def test_a_file_of_a_loihi_has_them_too(self) -> None:
        own = l2l.profile(SHIPPED, SAMPLES, device_with("own"), against=(), frontier=False)
        assert {row.device for row in own.rows} == {"own", "mcu-stm32u385", "mcu-gap9"}


class TestWords:
    def test_static_power_is_no_property_of_the_network_only_where_it_is_nearly_all(self) -> None:
        for rate, copies in ((100.0, 1), (50e3, 1), (2e3, 1000)):
            result = found(rate=rate, copies=copies)
            row = chip_rows(result)[0]
            assert row.static_energy is not None and row.total_energy is not None
            share = row.static_energy.middle / row.total_energy.middle
            text = str(answer(result))
            assert ("no property of the network" in text) == (share >= 0.95)
            assert ("is what the sample itself causes" in text) == (share < 0.95)

    def test_input_and_output_are_a_share_of_their_own(self) -> None:
        text = str(answer(found(rate=100.0, io="host")))
        assert re.search(r"9\d\.\d % is input and output, and the rest, ", text)
        assert "no property of the network" not in text

    def test_a_pipeline_that_is_cheaper_is_named_with_what_an_answer_takes(self) -> None:
        result = found(rate=80e3)
        (row,) = chip_rows(result)
        assert row.mode == "fall-through"
        other = next(r for r in result.rows if r.mode == "pipelined" and r.rate == 80e3)
        assert f"Pipelined, on the same cores, it would take {other.total_energy} a sample" in str(
            answer(result)
        )
        assert f"an answer would take {other.latency} in place of {row.latency}" in str(
            answer(result)
        )
        assert "it would take" not in str(answer(found(rate=80e3, closed_loop=True)))
        assert "Pipelined" not in str(answer(found(rate=100.0)))  # as dear

    def test_the_whole_board_stands_beside_every_quotient_and_in_the_title(self) -> None:
        result = found(rate=100.0, devices="loihi2-kapoho-point")
        row, text = chip_rows(result)[0], answer(result)
        assert f"a sample ({row.total_energy_board} with the whole board)" in text.title
        assert str(text).count(" times (") == str(text).count(" with the whole board.") * 2
        assert "3,800 times (340 to 14,000) as much, and 31,000 times (2,800 to 110,000) with" in (
            str(text)
        )
        assert "whole board" not in answer(found(rate=100.0)).title

    def test_figures_without_a_range_say_so(self) -> None:
        power = Figure(0.25, 0.25, 0.25, "W", "t", "assumed")
        one = l2l.profile(
            SHIPPED, SAMPLES, device_with("one", static_power_per_chip=power), against=(),
            frontier=False, rate=100.0,
        )  # fmt: skip
        assert "(250 mW, whose range nobody has given)" in str(answer(one))
        none = Figure(0.0, 0.0, 0.0, "W", "t", "assumed")
        zero = l2l.profile(
            SHIPPED, SAMPLES, device_with("zero", static_power_per_chip=none), against=(),
            frontier=False, rate=100.0,
        )  # fmt: skip
        assert "None of that is static power" in str(answer(zero))
        assert "no property" not in str(answer(zero)) and "0 % of that" not in str(answer(zero))

    def test_one_sample_is_one(self) -> None:
        result = l2l.profile(SHIPPED, SAMPLES[:1, :1], against=(), frontier=False)
        assert "counted on 1 sample in 1 sequence by" in result.summary()

    @pytest.mark.parametrize(
        ("share", "text"),
        [(0.949, "94 %"), (0.9495, "94 %"), (0.95, "95 %"), (0.29, "29 %"), (0.0, "0 %"),
         (0.0005, "less than 1 %"), (0.9995, "more than 99 %"), (1.0, "100 %")],
    )  # fmt: skip
    def test_what_is_short_of_a_threshold_never_prints_as_it(self, share: float, text: str) -> None:
        assert percent_met(share) == text
        if 0.0 < share < 1.0:
            assert odds(chip_row(rate_met=share)) == f"a probability of {text}"

    @pytest.mark.parametrize(
        ("rate", "text"),
        [(100.0, "100 Hz"), (176e3, "176 kHz"), (12345.0, "12.345 kHz"), (1e-6, "1.00 uHz"),
         (1 / 3, "333.333 mHz"), (1e15, "1.00e+15 Hz")],
    )  # fmt: skip
    def test_rates_print_in_one_way(self, rate: float, text: str) -> None:
        assert rate_text(rate) == text and chip_row(rate).pace == f"at {text}"


class TestAdvice:
    """An error advises nothing that cannot help."""

    def refused(self, program: l2l.LoihiProgram = SHIPPED, **options: Any) -> str:
        x = SAMPLES if program is SHIPPED else X
        with pytest.raises(l2l.RateError) as caught:
            l2l.profile(program, x, against=(), frontier=False, rate=2e6, **options)
        return str(caught.value)

    def test_more_cores_only_where_a_faster_cut_exists(self) -> None:
        assert "place on more cores" in self.refused(placement="packed")
        for placement in ("auto", "fast"):
            assert "place on more cores" not in self.refused(placement=placement)
        layer = dataclasses.replace(NETWORK, layers=NETWORK.layers[:1], readout=None)
        one = device_with("one", cores_per_chip=Figure(1, 1, 1, "1", "t", "assumed"))
        text = self.refused(l2l.quantize(layer, X), placement="packed", devices=one)
        assert "place on more cores" not in text and "is the fast one too" in text

    def test_pipelining_only_where_it_is_allowed_and_shorter(self) -> None:
        for placement in ("auto", "packed", "fast"):
            text = self.refused(placement=placement, closed_loop=True)
            assert "pipelined mode takes" not in text and "forbids pipelining" in text
        layer = dataclasses.replace(NETWORK, layers=NETWORK.layers[:1], readout=None)
        assert "pipelined mode takes" not in self.refused(l2l.quantize(layer, X))


def test_every_chip_part_of_a_module_has_its_answer(tmp_path: Path) -> None:
    module = sandwich().quantize()
    options = {"against": (), "rate": 100.0}
    result = module.profile(module.example["x"], options=options)
    (part,) = result.parts.values()
    text = answer(part)
    assert text.title in result.summary() and part.frontier is not None
    assert all(f"- {sentence}" in result.summary() for sentence in text.sentences)
    (plain,) = result.to_dict()["parts"].values()
    assert plain["answer"] == str(text)
    assert plain["where_the_chip_wins"] == part.frontier.sentence
    page = module.report(tmp_path / "a.html", options={**options, "frontier": False}).read_text()
    assert "Energy a sample, competitor" in page and 'href="#network"' not in page
    assert "The cheapest that was found beside it" in page.replace("\u00a0", " ")
