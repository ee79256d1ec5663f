"""Estimates of micro-controllers from instructions that were counted, and rows of profiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from placing import dense_program

import lnn2loihi as l2l
from lnn2loihi.cost import CountedInstructions
from lnn2loihi.cost.basis import Range, ratio_of
from lnn2loihi.devices import Figure
from lnn2loihi.errors import BackendMissingError, CompiledRunError
from lnn2loihi.micro.footprint import Footprint
from lnn2loihi.micro.parts import ARM, PARTS, RISCV, core_of
from lnn2loihi.profiling import microcontrollers
from lnn2loihi.profiling.microcontrollers import known_controllers

PROGRAM = dense_program(12, 4)
X = np.zeros((1, 3, PROGRAM.channels))
U385 = l2l.load_device("mcu-stm32u385")
COUNTED = CountedInstructions(12_000, Range(1.5, 1.0, 2.0), "by hand")


def test_time_is_instructions_times_cycles_over_the_clock() -> None:
    found = l2l.estimate_microcontroller(PROGRAM, U385, counted=COUNTED)
    clock, power = U385.value("clock"), U385.value("active_power")
    assert found.sample_time.value == pytest.approx(12_000 * 1.5 / clock)
    assert found.energy["instructions"].value == pytest.approx(12_000 * 1.5 / clock * power)
    assert list(found.energy) == ["instructions", "sleep", "total"] == list(found.power)
    low, high = (12_000 * cycles / clock for cycles in (1.0, 2.0))
    assert low < found.sample_time.low < found.sample_time.high < high * 1.3
    effects = {effect.parameter: effect.grade for effect in found.sensitivity}
    assert effects["time_per_instruction"] == "assumed"
    assert "time_per_multiply_accumulate" not in effects
    note = next(note for note in found.notes if "were counted" in note)
    assert "12,000 instructions" in note and "(by hand)" in note and "1.5 [1, 2]" in note
    assert "96.0 MHz" in note and found.summary() and found.to_dict()
    # The same draws: what is left of a ratio of two of them is the count alone.
    more = replace(COUNTED, instructions=24_000)
    twice = l2l.estimate_microcontroller(PROGRAM, U385, counted=more)
    ratio = ratio_of(twice.basis, found.basis, "sample_time")
    assert (ratio.low, ratio.high) == pytest.approx((2.0, 2.0))


def test_a_rate_that_counted_instructions_do_not_meet() -> None:
    with pytest.raises(l2l.RateError) as caught:
        l2l.estimate_microcontroller(PROGRAM, U385, rate=1e6, counted=COUNTED)
    assert "for 12,000 counted instructions" in str(caught.value)
    assert "at the clock of mcu-stm32u385, and cycles that are assumed" in str(caught.value)


def test_counts_and_clocks_that_make_no_sense() -> None:
    with pytest.raises(l2l.InputError, match="there are 0, expected 1 or more"):
        CountedInstructions(0, Range(1.0, 1.0, 1.0))
    for one in (Range(1.0, 2.0, 3.0), Range(0.0, 0.0, 0.0), Range(1.0, 1.0, float("inf"))):
        with pytest.raises(l2l.InputError, match="cycles are"):
            CountedInstructions(5, one)
    figures = {name: figure for name, figure in U385.figures.items() if name != "clock"}
    with pytest.raises(l2l.DeviceError, match="has no clock, which counted instructions need"):
        l2l.estimate_microcontroller(PROGRAM, replace(U385, figures=figures), counted=COUNTED)


@pytest.mark.parametrize(
    ("core", "part", "emulator"),
    [
        ("cortex-m33", "cortex-m33", ARM), ("Cortex-M0plus", "cortex-m0plus", ARM),
        ("rv32imc", "rv32imc", RISCV), ("riscv32", None, RISCV), ("rv32imafc", None, RISCV),
        ("cortex-m85", None, ARM), ("xtensa-lx7", None, None), ("", None, None),
    ],
)  # fmt: skip
def test_the_core_is_that_of_the_profile(core: str, part: str | None, emulator: str | None) -> None:
    found = core_of(replace(U385, core=core, title="a Cortex-M4"))
    assert (found.part.name if found.part else None, found.emulator) == (part, emulator)


def test_all_of_ours_name_a_core_and_titles_do_not_contradict_it() -> None:
    for device in known_controllers():
        assert core_of(device).emulator, device.name
        if (part := core_of(device).part) is not None:
            assert part.name.lower() in device.title.lower()
    assert core_of(U385).part is PARTS["cortex-m33"]


def test_profiles_of_ones_own_inherit_the_core_or_name_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "Mine"\nextends = "mcu-stm32u385"\n')
    assert l2l.load_device(path).core == "cortex-m33"
    path.write_text('title = "Mine"\nextends = "mcu-stm32u385"\ncore = "cortex-m4"\n')
    assert l2l.load_device(path).core == "cortex-m4" and "core cortex-m4" in str(
        l2l.load_device(path).summary()
    )
    path.write_text('title = "Mine"\nextends = "loihi2-oheo-gulch"\ncore = "cortex-m4"\n')
    with pytest.raises(l2l.DeviceError, match="core is that of a mcu, this is a loihi"):
        l2l.load_device(path)
    path.write_text('title = "Mine"\nextends = "mcu-stm32u385"\ncore = 4\n')
    with pytest.raises(l2l.DeviceError, match="core is a whole number, expected text"):
        l2l.load_device(path)


def test_cycles_are_ranges() -> None:
    for part in PARTS.values():
        assert CountedInstructions(1, Range(*part.cycles))


def rows(monkeypatch: pytest.MonkeyPatch, answer: Any, *devices: Any) -> list[Any]:
    """Rows of micro-controllers where `footprint` answers, or raises, that."""

    def fake(program: l2l.LoihiProgram, part: str, *, goal: str, device: Any) -> Footprint:
        found = answer(part, goal)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(microcontrollers, "footprint", fake)
    result = l2l.profile(
        PROGRAM, X, devices=["loihi2-oheo-gulch", *(devices or (U385,))], against=(),
        frontier=False, rate=10.0, count_instructions=True,
    )  # fmt: skip
    return [row for row in result.rows if row.kind == "mcu"]


def made(part: str, goal: Any) -> Footprint:
    return Footprint("x", part, goal, "a compiler", 5000, 40, 412, (900, 1000, 1100), 4)


def test_rows_say_what_was_counted_and_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = rows(monkeypatch, made)
    assert [row.rate for row in found] == [None, 10.0]
    for row in found:
        assert row.status == "complete"
        assert row.source == "instructions counted in an emulator; mcu-stm32u385"
        assert "5,000 B of flash, 40 B of RAM and 412 B of stack; 900 to 1,100" in row.notes[0]
        assert "1,000 instructions a sample were counted (cortex-m33 in qemu" in row.notes[1]
    result = l2l.profile(
        PROGRAM,
        X,
        devices=["loihi2-oheo-gulch", U385],
        against=(),
        frontier=False,
        count_instructions=True,
    )
    path = tmp_path / "a.profile.json"
    result.save(path)
    assert l2l.load_profile(path).rows == result.rows


def test_without_tools_the_operations_stay_and_the_row_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = l2l.estimate_microcontroller(PROGRAM, U385)
    for error in (
        BackendMissingError("qemu-arm", "was not found: apt-get install qemu-user"),
        CompiledRunError("count", "hangs"),
    ):
        row = rows(monkeypatch, lambda part, goal, error=error: error)[0]
        assert row.latency.value == plain.latency.value and row.status == "complete"
        assert row.source.startswith("operations of the program")
        assert "instructions were not counted" in row.notes[0] and str(error) in row.notes[0]


def test_a_device_whose_core_is_not_known_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    row = rows(monkeypatch, made, "mcu-gap9")[0]
    assert row.status == "complete" and "names no core" in row.notes[0]


def test_what_has_no_room_for_speed_is_compiled_for_size_and_else_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def small(part: str, goal: str) -> Any:
        return l2l.DeviceError("footprint", "too large") if goal == "speed" else made(part, goal)

    row = rows(monkeypatch, small)[0]
    assert row.status == "complete" and "compiled for size" in row.notes[0]
    found = rows(monkeypatch, lambda part, goal: l2l.DeviceError("footprint", "needs 9 B, has 8"))
    assert [row.status for row in found] == ["failed", "failed"]
    assert found[0].problems == ("needs 9 B, has 8",)


def test_a_part_that_is_too_small_says_what_would_fit() -> None:
    """With the tools that are here; where they are not, the estimate's own rule refuses."""
    small = replace(
        U385, figures={**U385.figures, "flash_memory": Figure(64, 64, 64, "B", "test", "assumed")}
    )
    result = l2l.profile(
        PROGRAM,
        X,
        devices=["loihi2-oheo-gulch", small],
        against=(),
        frontier=False,
        count_instructions=True,
    )
    (row,) = (row for row in result.rows if row.device == small.name)
    assert row.status == "failed" and "64 B" in " ".join(row.problems)
