"""Verbs that prepare a program, and verbs on what was prepared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from networks import random_network, random_samples

import lnn2loihi as l2l
from lnn2loihi.errors import InputError, TargetError
from lnn2loihi.models import damped_sine
from lnn2loihi.precision import precision_of
from lnn2loihi.targets import target_of
from lnn2loihi.targets.stock.form import FLAVOURS, FORMS, RECTIFIERS
from lnn2loihi.targets.target import TARGETS

DESCRIPTION = damped_sine.FOLDER / "network.toml"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A program, and samples of one sequence."""
    folder = tmp_path_factory.mktemp("prepared")
    x = random_samples(1, 4, 20, 1)
    l2l.save(l2l.quantize(damped_sine.load(), calibrate=x), folder / "net.l2l")
    np.save(folder / "x.npy", x[:1])
    return folder / "net.l2l", folder / "x.npy"


@pytest.fixture(scope="module")
def pair() -> Any:
    """A float network and its program."""
    made = random_network(0)
    return made, l2l.quantize(made, random_samples(0, 2, 5, 3))


class TestPrepare:
    @pytest.mark.parametrize("target", ["stock:pre-6", "split"])
    def test_it_writes_what_the_target_makes(
        self, run: Run, tmp_path: Path, files: Any, target: str
    ) -> None:
        path, output = files[0], tmp_path / "made.l2l"
        code, out, err = run("prepare", path, "--target", target, "-o", output)
        assert code == 0, err
        made = target_of(target).prepare(l2l.load(path))
        assert l2l.load(output) == made
        assert f"target: {target}, neurons: {made.neurons}" in out
        assert ("6 rectifiers here" in out) == (target != "split")

    def test_what_is_prepared_already_is_left(self, run: Run, tmp_path: Path, files: Any) -> None:
        once, twice = tmp_path / "once.l2l", tmp_path / "twice.l2l"
        assert run("prepare", files[0], "--target", "stock", "-o", once)[0] == 0
        code, out, _ = run("prepare", once, "--target", "stock:fold", "-o", twice, "--json")
        assert code == 0 and json.loads(out)["unchanged"]
        assert l2l.load(once) == l2l.load(twice)

    def test_what_cannot_be(self, run: Run, tmp_path: Path, files: Any) -> None:
        for args, said in (
            (("--target", "moon"), "'moon' does not exist"),
            (("--target", "stock:7"), "'7' is none of its words"),
        ):
            code, _, err = run("prepare", files[0], *args, "-o", tmp_path / "made.l2l")
            assert code == 1 and said in err
        code, _, err = run("prepare", files[0], "--target", "stock", "-o", files[0])
        assert code == 1 and not (tmp_path / "made.l2l").exists()


class TestOtherVerbs:
    def test_simulate(self, run: Run, tmp_path: Path, files: Any) -> None:
        program, x = files
        code, out, err = run(
            "simulate", program, "-i", x, "--target", "stock", "-o", tmp_path / "a.npz"
        )
        assert code == 0, err
        assert "prepared for stock, which approximates the program" in out
        assert "warning: " in out and "4 rectifiers here" in out
        wanted = l2l.simulate(target_of("stock").prepare(l2l.load(program)), np.load(x))
        assert np.array_equal(np.load(tmp_path / "a.npz")["integers"], wanted.integers)

    def test_compare(self, run: Run, tmp_path: Path, files: Any) -> None:
        program, x = files
        code, out, err = run("compare", DESCRIPTION, program, "-i", x, "--target", "stock")
        assert code == 0, err
        assert "stages are not comparable, only the answers are" in out
        saved = tmp_path / "stock.l2l"
        assert run("prepare", program, "--target", "stock", "-o", saved)[0] == 0
        assert run("compare", DESCRIPTION, saved, "-i", x)[1] == out

    @pytest.mark.parametrize("verb", ["verify", "place", "profile", "simulate", "compare"])
    def test_help_names_every_target_and_its_words(self, run: Run, verb: str) -> None:
        out = " ".join(run(verb, "--help")[1].replace("│", " ").split())
        for word in (*TARGETS.names(), *FORMS, *FLAVOURS, *map(str, RECTIFIERS)):
            assert f" {word} " in out.replace(",", " ").replace(".", " ").replace(";", " ")

    def test_export_says_how_far_answers_are(self, run: Run, tmp_path: Path, files: Any) -> None:
        code, out, err = run(
            "export", files[0], "-o", tmp_path / "board", "--format", "loihi2", "--target",
            "stock:fold", "--samples", files[1], "--json",
        )  # fmt: skip
        assert code == 0, err
        first, *_, last = json.loads(out)["warnings"]
        assert "rectifiers here" in first or "whole steps" in first
        assert last.startswith("target stock:fold: the error is within")


class TestExitCodes:
    """3 says that something is missing here; a program that runs nowhere so is a wrong argument."""

    def test_programs_that_an_executor_cannot_run(self, run: Run, files: Any) -> None:
        program, x = files
        for executor in ("lava-stock", "loihi2"):
            code, _, err = run("simulate", program, "-i", x, "--executor", executor)
            assert code == 1 and "none of Lava's own neurons" in err and "stock" in err
        code, _, err = run("verify", program, "-i", x, "--executors", "reference,loihi2")
        assert code == 1 and "executors that are here" in err

    def test_what_is_missing_is_still_3(self, run: Run, files: Any) -> None:
        program, x = files
        code, _, err = run(
            "simulate", program, "-i", x, "--target", "stock", "--executor", "loihi2"
        )
        assert code == 3 and ("is missing" in err or "pip install" in err)


class TestCompare:
    """Of a float network and what became of its program."""

    @pytest.mark.parametrize("target", ["stock", "split_graph"])
    def test_answers_alone(self, pair: Any, target: str) -> None:
        network, program = pair
        x = random_samples(1, 2, 6, 3)
        found = l2l.compare(network, program, x, target=target)
        made = target_of(target).prepare(program)
        assert l2l.compare(network, made, x) == found
        assert [stage.stage for stage in found.stages] == ["input", "readout"]
        assert found.incomparable in found.summary() and found.incomparable
        wanted = precision_of(network.evaluate(x).outputs, l2l.simulate(made, x).outputs)
        assert found.output.signal_to_noise_db == pytest.approx(wanted.overall_db)
        assert found.output.worst_db == pytest.approx(wanted.worst_db)

    def test_stages_that_stay_are_compared(self, pair: Any) -> None:
        network, program = pair
        x = random_samples(1, 2, 6, 3)
        split = l2l.compare(network, program, x, target="split")
        assert not split.incomparable and len(split.stages) == 1 + len(network.stages)
        assert split.output == l2l.compare(network, program, x).output

    def test_those_of_another_network_are_refused(self, pair: Any) -> None:
        made = target_of("stock").prepare(pair[1])
        with pytest.raises(InputError, match="they are no pair"):
            l2l.compare(random_network(5), made, random_samples(1, 2, 6, 3))

    def test_what_the_target_cannot_take(self, pair: Any) -> None:
        network, program = pair
        with pytest.raises(TargetError, match="split"):
            l2l.compare(
                network, program.interleaved(1), random_samples(1, 2, 6, 3), target=_refusing()
            )


def _refusing() -> l2l.Target:
    def never(program: l2l.LoihiProgram) -> l2l.LoihiProgram:
        raise l2l.ProgramError(program.name, "cannot be split")

    return l2l.Target("mine", passes=(never,))
