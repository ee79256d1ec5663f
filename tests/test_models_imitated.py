"""Scripts that train what imitates a teacher write networks that load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lnn2loihi as l2l
from lnn2loihi.models import imitation
from lnn2loihi.models.imitation import Course

torch = pytest.importorskip("torch")
pytest.importorskip("ncps")

SHORT = Course(epochs=1, steps=6, alone=0, added=8, batches=1, batch=4)


@pytest.mark.parametrize("name", ["cartpole", "quadrotor"])
def test_training_writes_networks_that_load(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = pytest.importorskip(f"lnn2loihi.models.{name}.train")
    task = replace(module.TASK, course=SHORT, tuning=64, tuning_epochs=1)
    task.main("are tried", ["--out", str(tmp_path), "--epochs", "2"])
    assert "written: networks and w4a8x12.l2l" in " ".join(capsys.readouterr().out.split())
    network = l2l.import_network(tmp_path / "network.toml")
    program = l2l.load(tmp_path / "w4a8x12.l2l")
    assert (network.name, network.input_size) == (name, task.inputs) and network.units == 16
    assert str(program.recipe) == "w4a8x12-ramp12"
    x, _ = imitation.watched(task.plants(2, 0), 5)
    assert l2l.simulate(program, x).outputs.shape == (2, 5, task.outputs)
    policy = imitation.load_memoryless(tmp_path / "memoryless.safetensors")
    assert policy(x[:, 0].astype(np.float64)).shape == (2, task.outputs)
