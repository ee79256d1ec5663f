"""measure.py of the experiment: in Lava's simulator, and on a board that stand-ins are."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lnn2loihi as l2l
from lnn2loihi.cost.experiment.cases import Case, cases
from lnn2loihi.cost.experiment.lines import read_experiment
from lnn2loihi.errors import InputError
from lnn2loihi.lava import lava_is_installed

needs_lava = pytest.mark.skipif(not lava_is_installed(), reason="lava-nc is not installed")
pytestmark = pytest.mark.slow

STAND_IN = str(Path(__file__).resolve().parent / "loihi2_stand_in")
#: What a board needs around it.
SLURM = {"SLURM": "1", "PARTITION": "oheogulch", "LOIHI_GEN": "N3B3"}
#: Runs the script with a run configuration of hardware that is the simulator's; Intel's compiler is
#: not there. What is done before and after is what a board has.
BOARD = """
import dataclasses, functools, runpy, sys
dataclasses.dataclass = functools.partial(dataclasses.dataclass, unsafe_hash=True)
import lava.magma.compiler.var_model
dataclasses.dataclass = dataclasses.dataclass.func
from lava.magma.core import run_configs
def made(callback_fxs, **further):
    assert len(callback_fxs) == 1 and not further
    return run_configs.Loihi2SimCfg(select_tag="fixed_pt")
run_configs.Loihi2HwCfg = made
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def ran(
    folder: Path, *arguments: str, board: bool = False, **environment: str
) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, lines of standard output, and standard error."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    start = ["-c", BOARD] if board else []
    if board:
        environment = {**SLURM, "PYTHONPATH": STAND_IN, **environment}
    made = subprocess.run(
        [sys.executable, "-W", "ignore", *start, str(folder / "measure.py"), *arguments],
        env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=300,
        cwd=folder.parent, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return made.returncode, [json.loads(line) for line in made.stdout.splitlines()], made.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return l2l.write_experiment(tmp_path / "experiment")


def different_ones(folder: Path) -> dict[str, Case]:
    """Leaves in a plan of small cases those that differ: they have at most three blocks, so that
    some that differ on a board are the same graph here.
    """
    graphs: dict[Any, Case] = {}
    for case in cases(small=True):
        first = graphs.setdefault((case.processes, case.wires), case)
        assert first.counts == case.counts, case.name
    small = {case.name: case for case in graphs.values()}
    plan = json.loads((folder / "plan.json").read_text())
    plan["small"] = [case for case in plan["small"] if case["name"] in small]
    rewrite(folder, plan)
    return small


def rewrite(folder: Path, plan: dict[str, Any]) -> None:
    """Writes another plan, with its fingerprint."""
    text = json.dumps([plan["cases"], plan["small"]], sort_keys=True, separators=(",", ":"))
    plan["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "plan.json").write_text(json.dumps(plan))


@needs_lava
class TestSimulator:
    def test_all_cases_send_as_planned_and_none_runs_twice(self, folder: Path) -> None:
        small = different_ones(folder)
        code, said, err = ran(folder, "--sim", "--case", "floor", "--case", "ring-004")
        assert code == 0 and [line["case"] for line in said] == ["floor", "ring-004"], err
        code, said, err = ran(folder, "--sim")  # as after an interruption
        assert code == 0, err
        assert [line["case"] for line in said] == [
            n for n in small if n not in ("floor", "ring-004")
        ]
        assert not (folder / "log.jsonl").exists()
        text = (folder / "simulator.jsonl").read_text()
        logged = [json.loads(line) for line in text.splitlines()]
        assert sorted(line["case"] for line in logged) == sorted(small)
        for line in logged:
            assert line["messages"] == small[line["case"]].counts["messages"], line["case"]
            assert (
                line["synaptic_operations"] == (small[line["case"]].counts["synaptic_operations"])
            ), line["case"]
        assert sum(line["messages"] > 0 for line in logged) == 8
        assert ran(folder, "--sim")[:2] == (0, [])
        with pytest.raises(InputError, match="logged in the simulator, where nothing is measured"):
            l2l.analyse_experiment("loihi2-oheo-gulch", folder / "simulator.jsonl")

    def test_a_plan_that_counts_otherwise(self, folder: Path, tmp_path: Path) -> None:
        """The plan itself is kept by its fingerprint; here both are others."""
        plan = json.loads((folder / "plan.json").read_text())
        case = next(c for c in plan["small"] if c["name"] == "fan-out-001")
        case["counts"]["messages"] += 1
        (folder / "plan.json").write_text(json.dumps(plan))
        arguments = "--sim", "--case", "fan-out-001"
        code, said, err = ran(folder, *arguments)
        assert (code, said) == (4, []) and "fingerprint" in err
        rewrite(folder, plan)
        assert ran(folder, *arguments)[0] == 1


@needs_lava
class TestBoard:
    def test_measures_resumes_and_is_read(self, folder: Path) -> None:
        one = "--case", "floor", "--steps", "10"
        code, said, err = ran(folder, "--measure", "time", *one, board=True)
        assert code == 0, err
        assert said[0]["avg_time_per_step"] == 12.5 and "total_power" not in said[0]
        assert (said[0]["on"], said[0]["partition"], said[0]["cores"]) == (
            "board", "oheogulch", None,
        )  # fmt: skip
        assert ran(folder, "--measure", "time", *one, board=True)[:2] == (0, [])
        code, said, _ = ran(folder, "--measure", "energy", *one, board=True)
        assert (said[0]["total_power"], said[0]["static_total_power"]) == (0.6, 0.4)
        log = read_experiment(
            [folder / "log.jsonl"], {"floor": 1}, l2l.load_device("loihi2-oheo-gulch")
        )
        (measured,) = log.measured
        assert measured.step_time == pytest.approx(12.5e-6) and measured.static_power == 0.4
        assert (log.board, log.generation) == ("oheogulch", "N3B3")

    def test_what_raises_is_logged_and_tried_again(self, folder: Path) -> None:
        broken = folder.parent / "broken" / "lava" / "utils"
        broken.mkdir(parents=True)
        (broken / "loihi2_profiler.py").write_text("raise RuntimeError('no board answers')\n")
        arguments = "--measure", "time", "--case", "floor", "--steps", "10"
        code, said, _ = ran(folder, *arguments, board=True, PYTHONPATH=str(broken.parent.parent))
        assert code == 5 and said[0]["error"] == "RuntimeError('no board answers')"
        code, said, _ = ran(folder, *arguments, board=True)
        assert code == 0 and "error" not in said[0]
        log = read_experiment(
            [folder / "log.jsonl"], {"floor": 1}, l2l.load_device("loihi2-oheo-gulch")
        )
        assert dict(log.failed) == {}

    def test_without_a_board_it_says_what_is_missing(self, folder: Path) -> None:
        code, said, err = ran(folder, "--measure", "time")
        assert (code, said) == (3, []) and "loihi2_profiler" in err and "LOIHI_GEN" in err
        code, _, err = ran(folder, "--measure", "time", PYTHONPATH=STAND_IN, SLURM="1")
        assert code == 3 and "loihi2_profiler" not in err and "PARTITION" in err
        assert not (folder / "log.jsonl").exists()

    def test_a_damaged_log_is_not_appended_to(self, folder: Path) -> None:
        log = folder / "log.jsonl"
        for content, text in (
            ('{"plan": ', "ends in half a line"), ("[]\n", "TypeError"), ("x\n", "JSONDecodeError"),
            ('{"plan": "a", "case": "floor", "measure": "time", "on": "board"}\n', "another plan"),
        ):  # fmt: skip
            log.write_text(content)
            code, said, err = ran(folder, "--measure", "time")
            assert (code, said) == (4, []) and text in err and log.read_text() == content
        log.unlink()
        (folder / "plan.json").write_text("{}")
        assert ran(folder, "--sim")[0] == 4
        (folder / "plan.json").unlink()
        assert ran(folder, "--sim")[0] == 4


@pytest.mark.parametrize(
    ("options", "name"), [(("--sim",), "simulator.jsonl"), (("--measure", "time"), "log.jsonl")]
)
def test_the_simulator_has_a_log_of_its_own(
    folder: Path, options: tuple[str, ...], name: str
) -> None:
    for each in ("simulator.jsonl", "log.jsonl"):
        (folder / each).write_text('{"plan": ')
    code, said, err = ran(folder, *options)
    assert (code, said) == (4, []) and f"{os.sep}{name} ends in half a line" in err
    chosen = folder.parent / "mine.jsonl"
    chosen.write_text('{"plan": ')
    assert f"{chosen} ends in half a line" in ran(folder, *options, "--log", str(chosen))[2]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "give --measure time"), (("--sim", "--measure", "time"), "simulator measures nothing"),
        (("--measure", "both"), "invalid choice"), (("--sim", "--steps", "1"), "10 or more"),
        (("--sim", "--case", "cores-999"), "the plan has floor"),
    ],
)  # fmt: skip
def test_wrong_options(folder: Path, options: tuple[str, ...], text: str) -> None:
    code, said, err = ran(folder, *options)
    assert (code, said) == (2, []) and text in err


def test_lists_all_cases_without_lava(folder: Path) -> None:
    made = subprocess.run(
        [sys.executable, folder / "measure.py", "--list"], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    names = [line.split("\t")[0] for line in made.stdout.splitlines()]
    assert names == [case.name for case in cases() if not case.is_padded]
