"""The examples 01 to 06 run with --quick, and say what their figures rest on."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from run_examples import EXAMPLES, run_example

import lnn2loihi as l2l

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not there")

CARTPOLE, QUADROTOR = "05_masked_control.py", "06_quadrotor.py"


def quick(
    name: str, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What an example prints with --quick."""
    code = run_example(monkeypatch, name, "--quick", "--out", out)
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert f"ritten to {out}" in printed or f"in {out}" in printed
    return printed


def programs(folder: Path) -> dict[str, l2l.LoihiProgram]:
    """What it has written, by name of the file."""
    found = {path.stem: l2l.load(path) for path in sorted(folder.glob("*.l2l"))}
    assert found
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("0[1-6]_*.py")))
def test_every_example_says_what_it_does(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.fullmatch(r"\d\d_[a-z0-9_]+\.py", name)
    assert run_example(monkeypatch, name, "--help") == 0
    printed = capsys.readouterr().out
    assert f"python examples/{name}" in printed and "--out" in printed


def test_your_own_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ncps")
    printed = quick("01_own_module.py", tmp_path, monkeypatch, capsys)
    assert "BIT EXACT" in printed and "your module in PyTorch" in printed
    assert set(programs(tmp_path)) == {"gauge"}
    assert (tmp_path / "gauge.html").stat().st_size > 10_000


def test_irregular_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ncps")
    printed = quick("02_irregular_time.py", tmp_path, monkeypatch, capsys)
    assert printed.count("BIT EXACT") == 3 and "difference quotient" in printed
    channels = {name: program.channels for name, program in programs(tmp_path).items()}
    assert channels == {
        "elapsed-time-in-its-cells": 4, "elapsed-time-as-an-input": 5, "not-told-the-time": 4,
    }  # fmt: skip


def test_training_to_4_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ncps")
    printed = quick("03_training_to_4_bits.py", tmp_path, monkeypatch, capsys)
    assert "trained for the chip" in printed and "rounded from float" in printed
    (program,) = programs(tmp_path).values()
    assert str(program.recipe).startswith("w4a8x12")


def test_cartpole_without_gymnasium_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    assert run_example(monkeypatch, CARTPOLE, "--quick", "--out", tmp_path) == 3
    assert "pip install gymnasium" in capsys.readouterr().out
    assert not any(tmp_path.iterdir())


def test_cartpole_in_gymnasium(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gymnasium")
    printed = quick(CARTPOLE, tmp_path, monkeypatch, capsys)
    assert printed.count("0 of 5 episodes have another action somewhere") == 3
    rows = dict(re.findall(r"^(\S.*?)  +(\d+\.\d) \(", printed, re.MULTILINE))
    assert float(rows["integers, w8a12"]) == 500.0
    assert float(rows["a network without memory"]) < 100.0


def test_quadrotors_fly_in_integers_and_in_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = quick(QUADROTOR, tmp_path, monkeypatch, capsys)
    assert printed.count("commands are those of the integers") == 2 or "not flown" in printed
    rows = dict(re.findall(r"^(\S.*?)  +(\d+)  +\d+\.\d %", printed, re.MULTILINE))
    assert int(rows["integers, w8a12"]) < 4 < 12 < int(rows["a network without memory"])
    assert (tmp_path / "net.h").is_file()


def test_the_c_that_is_flown_is_the_file_that_is_written(tmp_path: Path) -> None:
    from lnn2loihi.micro.driver import NET
    from lnn2loihi.micro.writing import writer
    from lnn2loihi.models import quadrotor

    program = l2l.load(quadrotor.FOLDER / "w4a8x12.l2l")
    l2l.export(program, tmp_path / f"{NET}.c", goal="speed")
    written = writer().write(program, NET, "speed")
    assert (tmp_path / f"{NET}.c").read_text() == written.source
    assert (tmp_path / f"{NET}.h").read_text() == written.header


def test_carts_and_poles_are_those_of_gymnasium() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    from lnn2loihi.models.cartpole.data import CartPoles

    world, own = gymnasium.make("CartPole-v1").unwrapped, CartPoles([0])
    world.reset(seed=0)
    own.state = np.array([world.state], np.float64)
    pushes = np.random.default_rng(0).integers(0, 2, 100)
    for push in pushes:
        failed = world.step(int(push))[2]
        own.act(np.array([[2.0 * push - 1.0]]))
        np.testing.assert_allclose(own.state[0], world.state, rtol=1e-9)
        assert bool(own.failed[0]) == failed
        if failed:
            break
    assert own.failed[0]


@pytest.mark.parametrize("name", ["cartpole", "quadrotor"])
def test_plants_follow_from_their_seeds_whoever_is_beside_them(name: str) -> None:
    from lnn2loihi.models.cartpole.data import CartPoles
    from lnn2loihi.models.imitation import watched
    from lnn2loihi.models.quadrotor.data import Quadrotors

    kind = {"cartpole": CartPoles, "quadrotor": Quadrotors}[name]
    many, taught = watched(kind(np.arange(5)), 60)
    alone, there = watched(kind([3]), 60)
    np.testing.assert_array_equal(many[3:4], alone)
    np.testing.assert_array_equal(taught[3:4], there)
    assert np.isfinite(taught).all() and np.abs(taught).max() <= 1.0


def test_what_is_lost_is_not_learned() -> None:
    """Beyond a crash nothing is taught, plants stay, and nothing of it counts in the loss."""
    torch = pytest.importorskip("torch")
    from lnn2loihi.models.imitation import loss, watched
    from lnn2loihi.models.quadrotor.data import Quadrotors

    plants = Quadrotors(np.arange(4))
    _, taught = watched(plants, 200, lambda seen: np.tile([1.0, -1.0], (len(seen), 1)))
    assert plants.crashed.all() and np.isnan(taught[:, -1]).all()
    assert np.isfinite(taught[:, 0]).all()
    found = loss(torch.zeros(4, 200, 2), torch.from_numpy(taught))
    assert found.item() == pytest.approx(float(np.nanmean(taught.astype(np.float64) ** 2)))


def test_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import intervals

    # Wilson's interval for 5 of 50, from Newcombe (1998), and the ends.
    low, high = intervals.wilson(5, 50)
    assert (round(low, 4), round(high, 4)) == (0.0435, 0.2136)
    assert intervals.wilson(0, 10)[0] == 0.0
    assert intervals.wilson(10, 10)[1] == pytest.approx(1.0)
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = intervals.bootstrap(values)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
