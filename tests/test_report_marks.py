"""What the page says at its top, and how kinds of devices differ on it."""

from __future__ import annotations

import dataclasses
import re

import pytest
from profile_rows import RATE, chip_row, example_program, example_result, measured_row
from test_report import checked

from lnn2loihi.devices import load_device
from lnn2loihi.graph.precedent import NO_PRECEDENT
from lnn2loihi.profiling.microcontrollers import microcontroller_rows
from lnn2loihi.reporting.batch_chart import energy_against_batch
from lnn2loihi.reporting.chart import CHARACTER, WIDTH
from lnn2loihi.reporting.energy_charts import energy_against_latency, energy_by_cause
from lnn2loihi.reporting.page import LEADING, page

PROGRAM = example_program()
CONTROLLERS = microcontroller_rows(PROGRAM, [load_device("mcu-stm32u385")], RATE, 1, None)


def top(document: str) -> str:
    """What stands above the answer in words."""
    return document[document.index("<h1>") : document.index('class="answer"')]


class TestWarnings:
    def test_clipped_inputs_and_words_stand_above_the_answer(self) -> None:
        result = example_result(PROGRAM)
        subject = dataclasses.replace(
            result.subject, saturated=7, input_values=240, saturated_words={"a.state": 3, "b": 0}
        )
        drawn = page(dataclasses.replace(result, subject=subject), PROGRAM, None)
        assert checked(drawn).wrong == []
        assert "7 of 240 input values" in top(drawn)
        assert "saturated words: a.state 3" in top(drawn) and "b 0" not in top(drawn)
        assert "Warning: " not in drawn

    def test_load_is_one_of_them(self) -> None:
        busy = "other processes kept 2 of 2 CPUs busy"
        drawn = page(example_result(PROGRAM, (chip_row(), measured_row(under_load=busy))),
                     PROGRAM, None)  # fmt: skip
        assert busy in top(drawn)

    def test_what_has_no_precedent_comes_first_and_the_rest_is_counted(self) -> None:
        texts = (*(f"weights of map {n} are coarse" for n in range(LEADING)), f"{NO_PRECEDENT}: x")
        program = dataclasses.replace(PROGRAM)
        object.__setattr__(program, "warnings", texts)
        drawn = top(page(example_result(PROGRAM), program, None))
        assert drawn.index(NO_PRECEDENT) < drawn.index("map 0") and "map 3" not in drawn
        assert "1 more warning of the program" in drawn

    def test_without_any_there_is_no_block(self) -> None:
        program = dataclasses.replace(PROGRAM)
        object.__setattr__(program, "warnings", ())
        assert "Warnings" not in top(page(example_result(PROGRAM), program, None))


def test_microcontrollers_are_squares_of_their_own() -> None:
    drawn = str(energy_against_latency([chip_row(), *CONTROLLERS]))
    assert re.search(r'<rect [^>]*class="mark calibrated mcu"', drawn)
    assert re.search(r'<circle [^>]*class="mark calibrated loihi"', drawn)


def test_who_takes_no_batches_is_not_among_them() -> None:
    assert energy_against_batch([chip_row(None, "pipelined"), *CONTROLLERS]) is None
    drawn = str(energy_against_batch([measured_row(), *CONTROLLERS]))
    assert "mcu" not in drawn


@pytest.mark.parametrize("copies", [1, 1000])
def test_titles_of_bars_fit_the_drawing(copies: int) -> None:
    """However much is said of a row: placement, mode, input and output, copies and pace."""
    row = chip_row(
        123456.0, placement="fast", cores=112, copies=copies, io="on-board", title="Loihi " * 20
    )
    drawn = str(energy_by_cause([row]))
    for words in re.findall(r"<text [^>]*>([^<]*)</text>", drawn):
        assert CHARACTER * len(words) <= WIDTH
    text = re.sub(r"<[^>]*>", " ", drawn).replace("\u00a0", " ")
    for part in ("fast on", "fall-through", "on-board", "123.456 kHz"):
        assert part in " ".join(text.split())
