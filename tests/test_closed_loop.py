"""The pendulum: its data, its network, and the example that moves it with compiled C."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_examples import run_example

import lnn2loihi as l2l
from lnn2loihi.micro.loop import CompiledLoop
from lnn2loihi.models import pendulum
from lnn2loihi.models.pendulum import data

EXAMPLE = "04_closed_loop_in_c.py"

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="needs a C compiler"
)


def test_pendulums_follow_from_their_seeds_whoever_is_beside_them() -> None:
    x, y = data.teaching(3, 20, 7)
    alone, taught = data.teaching(1, 20, 8)
    np.testing.assert_array_equal(x[1:2], alone)
    np.testing.assert_array_equal(y[1:2], taught)
    assert x.dtype == y.dtype == np.float32 and np.abs(y).max() <= 1.0
    assert not np.array_equal(x[0], x[1])


def test_the_motor_is_too_weak_and_the_teacher_is_not() -> None:
    """Full torque, and none, hold nothing up; the teacher brings every pendulum to the top."""
    rewards = []
    for act in (lambda p: np.ones(32), lambda p: np.zeros(32), lambda p: p.taught()):
        pendulums = data.Pendulums(np.arange(32))
        rewards.append(np.array([pendulums.act(act(pendulums)) for _ in range(150)]))
    assert data.TORQUE < data.GRAVITY
    assert [int((r[-25:] > 0.9).all(axis=0).sum()) for r in rewards] == [0, 0, 32]


def test_the_network_holds_pendulums_up_that_it_cannot_without_memory() -> None:
    network = pendulum.load()
    x, taught = pendulum.example(2, 5, 1)
    assert network.evaluate(x).outputs.shape == taught.shape
    standing = []
    for remembers in (True, False):
        pendulums, state, rewards = data.Pendulums(np.arange(32)), None, []
        for _ in range(150):
            result = network.evaluate(pendulums.seen()[:, None], state)
            state = result.final_state if remembers else None
            rewards.append(pendulums.act(result.outputs[:, 0]))
        standing.append(int((np.array(rewards)[-25:] > 0.9).all(axis=0).sum()))
    assert standing == [32, 0]


@needs_compiler
def test_the_example_finds_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_example(monkeypatch, EXAMPLE, "--out", tmp_path, "--episodes", 4)
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "0 of 600 actions differ" in printed
    assert printed.count("4 of 4 pendulums stand") == 3
    assert "of 1,200 input values" in printed
    assert {"policy.c", "policy.h", "policy.l2l", "policy"} <= {p.name for p in tmp_path.iterdir()}


@needs_compiler
def test_other_answers_are_found_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A C program of other weights: what is compared are the actions, not the files."""
    original = l2l.export

    def changed(program: l2l.LoihiProgram, path: Path, **options: Any) -> object:
        made = original(program, path, **options)
        text = path.read_text().replace("output[i] = net->", "output[i] = 1 ^ net->")
        path.write_text(text)
        return made

    monkeypatch.setattr(l2l, "export", changed)
    code = run_example(monkeypatch, EXAMPLE, "--out", tmp_path, "--episodes", 2, "--steps", 5)
    printed = capsys.readouterr().out
    assert code == 2, printed
    assert "10 of 10 actions differ" in printed and "episode 0, step 0" in printed


@needs_compiler
def test_a_process_that_ends_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and nothing waits for an answer."""
    from lnn2loihi.micro import processes

    original = processes.started

    def ended(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        child = original(*arguments, **options)
        os.kill(child.pid, signal.SIGKILL)
        return child

    monkeypatch.setattr(processes, "started", ended)
    code = run_example(monkeypatch, EXAMPLE, "--out", tmp_path, "--episodes", 1, "--steps", 2)
    assert code == 1 and "was ended by signal 9" in " ".join(capsys.readouterr().out.split())


@needs_compiler
def test_an_interruption_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lnn2loihi.micro import processes

    children: list[subprocess.Popen[bytes]] = []
    original = processes.started

    def noted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        children.append(original(*arguments, **options))
        return children[-1]

    def interrupted(self: data.Pendulums) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "started", noted)
    monkeypatch.setattr(data.Pendulums, "seen", interrupted)
    monkeypatch.setattr(
        data, "teaching", lambda count, time, seed: (np.zeros((count, time, 2)), None)
    )
    assert run_example(monkeypatch, EXAMPLE, "--out", tmp_path, "--episodes", 1) == 130
    assert [child.returncode for child in children] == [-signal.SIGKILL]


def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_example(monkeypatch, EXAMPLE, "--out", tmp_path) == 3
    assert "apt-get install gcc" in capsys.readouterr().out


@pytest.mark.parametrize("episodes", ["0", "-1", "two", "1.5"])
def test_episodes_are_whole_numbers(
    episodes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_example(monkeypatch, EXAMPLE, f"--episodes={episodes}") == 2
    assert "is no whole number of at least 1" in capsys.readouterr().err


@needs_compiler
def test_states_run_side_by_side_and_go_on() -> None:
    """A loop over pieces is one over the whole, whatever another state does in between."""
    x = pendulum.example(2, 40, 3)[0].astype(np.float64)
    program = l2l.quantize(pendulum.load(), x)
    loop = CompiledLoop(program)
    wanted = l2l.simulate(program, x).integers
    states, found = [loop.state(), loop.state()], [[], []]
    for piece in np.split(x, [1, 7, 30], axis=1):
        for state, answers, samples in zip(states, found, piece, strict=True):
            answers.append(loop.run(state, np.ascontiguousarray(samples)))
    np.testing.assert_array_equal(np.stack([np.concatenate(f) for f in found]), wanted)
