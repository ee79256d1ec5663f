"""What a board has said, beside what is estimated: marked measured, and refused where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_lines import printed
from conftest import Run
from programs import Sizes, random_program
from stock_graphs import looped

import lnn2loihi as l2l
from lnn2loihi.artifact import fingerprint
from lnn2loihi.errors import InputError
from lnn2loihi.targets import target_of

X = np.random.default_rng(0).integers(-100, 101, (2, 10, 2)).astype(float)


def three(folder: Path) -> list[Path]:
    return [
        printed(folder / "run.json"),
        printed(folder / "time.json", avg_time_per_step=5.0),
        printed(folder / "energy.json", total_power=0.5, static_total_power=0.4),
    ]


def test_a_log_becomes_a_row_that_is_measured(tmp_path: Path) -> None:
    log = l2l.read_board_log(three(tmp_path))
    assert (log.step_time, log.total_power, log.static_power) == (5e-6, 0.5, 0.4)
    result = l2l.profile(looped(), X, against=(), frontier=False, board_log=log)
    (row,) = [row for row in result.rows if row.backend == "board"]
    assert (row.tier, row.energy_tier, row.status) == ("MEASURED", "MEASURED", "complete")
    assert row.throughput is not None and row.throughput.value == pytest.approx(1e5)
    assert row.total_energy is not None and row.total_energy.value == pytest.approx(5e-6)
    assert row.dynamic_energy is not None and row.dynamic_energy.value == pytest.approx(1e-6)
    assert row.total_energy_pro_rata is None and row.accuracy is None
    assert "ncl-1" in row.source and "2026-11-30" in row.source
    assert "ncl-1" in result.summary()
    assert {r.tier for r in result.rows if r.backend != "board"} == {"CALIBRATED-ESTIMATE"}
    page = l2l.report(result, looped(), tmp_path / "page.html")
    assert "ncl-1" in Path(page).read_text()
    again = l2l.load_profile(result.save(tmp_path / "a.profile.json"))
    assert [r for r in again.rows if r.backend == "board"] == [row]


def test_it_calibrates_a_device(tmp_path: Path) -> None:
    log = l2l.read_board_log(three(tmp_path))
    made = looped()
    counters = l2l.simulate(made, X).counters
    counts = l2l.workload(l2l.place(made, "loihi2-oheo-gulch"), counters)
    found = l2l.calibrate_profile("loihi2-oheo-gulch", [log.record(counts)])
    assert {r.quantity for r in found.residuals} == {"step time", "static power", "dynamic power"}
    with pytest.raises(InputError, match="nothing was measured"):
        l2l.read_board_log(tmp_path / "run.json").record(counts)


def test_a_log_may_be_of_any_target_that_is_named(tmp_path: Path) -> None:
    made = random_program(5, Sizes(layers=(3,), readout=1))
    split = target_of("split").prepare(made)
    path = printed(tmp_path / "a.json", program_sha256=fingerprint(split), avg_time_per_step=5.0)
    log = l2l.read_board_log(path)
    x = np.zeros((1, 3, made.channels))
    for names in (("split",), ("fused", "split"), ("split", "fused")):
        result = l2l.profile(
            made, x, against=(), frontier=False, target=names[0], beside=names[1:], board_log=log
        )
        (row,) = [row for row in result.rows if row.backend == "board"]
        step = row.avg_time_per_step
        assert step is not None and row.throughput is not None and step.value == 5e-6
        assert row.throughput.value == pytest.approx(1 / (5e-6 * split.steps_per_sample))
        assert any("through the host are included" in note for note in row.notes)
    with pytest.raises(InputError, match="prepared for fused it has .*for split_graph it has"):
        l2l.profile(made, x, against=(), frontier=False, beside="split_graph", board_log=log)


def test_what_was_not_measured_stays_open(tmp_path: Path) -> None:
    log = l2l.read_board_log(printed(tmp_path / "a.json", mismatches=3))
    result = l2l.profile(looped(), X, against=(), frontier=False, board_log=log)
    (row,) = [row for row in result.rows if row.backend == "board"]
    assert row.status == "partial" and "3 integers differ" in row.problems[0]
    assert row.throughput is None and row.total_energy is None and row.energy_tier is None


def test_logs_of_other_programs_are_refused(tmp_path: Path) -> None:
    log = l2l.read_board_log(printed(tmp_path / "a.json", program_sha256="b" * 64))
    with pytest.raises(InputError, match="give the program and the target that were exported"):
        l2l.profile(looped(), X, against=(), frontier=False, board_log=log)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"on": "simulator"}, "was printed in the simulator"),
        ({"on": None}, "was printed elsewhere"),
        ({"error": "RuntimeError('x')"}, "its run failed.*run it again"),
        ({"date": "yesterday"}, "date is 'yesterday', expected a day"),
        ({"date": "2026-13-01"}, "expected a day such as 2026-11-30"),
        ({"date": "20261130"}, "expected a day such as 2026-11-30"),
        ({"avg_time_per_step": 1e300}, "avg_time_per_step is 1e.300, expected a number from"),
        ({"avg_time_per_step": 1e-300}, "expected a number from 0.001 to 3.6e.09 .microseconds"),
        ({"avg_time_per_step": 10**400}, "expected a number from"),
        ({"total_power": 1e9}, "expected a number from 1e-06 to 1e.06 .watts"),
        ({"board": None}, "names neither a board nor a partition"),
        ({"board": "a\nb"}, "board is"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": True}, "steps is True"),
        ({"mismatches": -1}, "mismatches is -1"),
        ({"avg_time_per_step": float("nan")}, "avg_time_per_step is nan"),
        ({"avg_time_per_step": "5"}, "avg_time_per_step is '5'"),
        ({"total_power": 0.3, "static_total_power": 0.4}, "below the resolution"),
        ({"program_sha256": 5}, "program_sha256 is no line of text"),
    ],
)
def test_bad_lines_are_refused(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        l2l.read_board_log(printed(tmp_path / "a.json", **changes))


def test_files_that_are_no_logs_or_do_not_belong_together(tmp_path: Path) -> None:
    for number, content in enumerate(("", "[1]", "{", "[" * 100_000)):
        (tmp_path / f"{number}.json").write_text(content)
        with pytest.raises(InputError, match="no line that run.py|no JSON"):
            l2l.read_board_log(tmp_path / f"{number}.json")
    one = printed(tmp_path / "one.json", avg_time_per_step=1.0)
    other = printed(tmp_path / "other.json", board="ncl-2", avg_time_per_step=2.0)
    with pytest.raises(InputError, match="board is ncl-1, ncl-2(.|\n)*measured in several files"):
        l2l.read_board_log([one, other])
    with pytest.raises(InputError, match="there is no file"):
        l2l.read_board_log([])


def test_command_line(run: Run, tmp_path: Path) -> None:
    l2l.save(looped(), tmp_path / "net.l2l")
    np.save(tmp_path / "x.npy", X)
    options = [part for path in three(tmp_path) for part in ("--board-log", path)]
    code, out, err = run(
        "profile", tmp_path / "net.l2l", "-i", tmp_path / "x.npy", "--against", "none", *options
    )
    assert code == 0, err
    assert "ncl-1" in out and "MEASURED" in out
