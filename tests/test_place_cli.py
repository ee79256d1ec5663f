"""The verb place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from placing import dense_program

import lnn2loihi as l2l

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(name="run")
def place_run(run: Run) -> Run:
    """Runs `place` in this process: exit code, standard output, standard error."""
    return lambda *arguments: run("place", *arguments)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "net.l2l"
    l2l.save(dense_program(40), path)
    return path


def test_table(run: Run, program: Path) -> None:
    code, out, err = run(program)
    assert (code, err) == (0, "")
    assert out == f"{l2l.place(l2l.load(program))}\n"


def test_json_with_samples(run: Run, program: Path, tmp_path: Path) -> None:
    samples = tmp_path / "x.npy"
    np.save(samples, np.random.default_rng(0).normal(size=(2, 9, 4)))
    code, out, err = run(program, "-i", samples, "--objective", "packed", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found.pop("schema") == {"name": "lnn2loihi.place", "version": 1}
    counters = l2l.simulate(l2l.load(program), np.load(samples)).counters
    placement = l2l.place(l2l.load(program), objective="packed", counters=counters)
    assert found == json.loads(json.dumps(placement.to_dict()))
    assert found["activity"] == "exact counters of 18 simulated samples"


def test_a_device_of_ones_own_and_what_does_not_fit(
    run: Run, program: Path, tmp_path: Path
) -> None:
    own = tmp_path / "small.toml"
    own.write_text(
        'title = "small"\nextends = "loihi2-oheo-gulch"\n[figures.synaptic_memory_per_core]\n'
        'value = 500\nlow = 500\nhigh = 500\nunit = "B"\ngrade = "assumed"\nsource = "a guess"\n'
    )
    code, out, err = run(program, "--device", own)
    assert (code, out) == (1, "")
    assert "a neuron of layer_0, 40 of them" in err and "(a guess; assumed). What fits: " in err
    code, out, _ = run(program, "-d", "loihi2-kapoho-point", "--chips", "2")
    assert code == 0 and "loihi2-kapoho-point, fast" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "loihi9"), "is unknown"),
        (("--objective", "dense"), "is none of fast, packed"),
        (("--objective", "balanced"), "'balanced' is called 'fast' now"),
        (("--chips", "3"), "has 1 to 1"),
        (("--input", "missing.npy"), "missing.npy"),
    ],
)
def test_bad_arguments(run: Run, program: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(program, *arguments)
    assert (code, out) == (1, "")
    assert message in err and "Traceback" not in err
