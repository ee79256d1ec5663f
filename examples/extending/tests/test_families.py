"""What docs/extending.md promises of a family in a package, tried as a user would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from example_families.light_gate import LightGateLayer
from example_families.modules import LightGate, Oscillator
from example_families.oscillator import OscillatorLayer
from torch import nn

import lnn2loihi as l2l
from lnn2loihi import qat
from lnn2loihi.converters.normalise import Normalise
from lnn2loihi.testing import ContractError, check_family, check_importer

X = np.random.default_rng(0).normal(size=(4, 24, 3))
KINDS = {LightGate: LightGateLayer, Oscillator: OscillatorLayer}


class Whole(nn.Module):
    """A module of somebody's own around one of the cells."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.normalise = Normalise([0.1, -0.2, 0.3], [1.0, 2.0, 0.5])
        self.cell = cell
        self.out = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer = self.cell(self.normalise(x))
        return self.out(answer[0] if isinstance(answer, tuple) else answer)


def made(kind: type[nn.Module]) -> Any:
    torch.manual_seed(3)
    return kind(3, 5).double()


def said(module: nn.Module) -> np.ndarray:
    with torch.no_grad():
        answer = module(torch.tensor(X))
    return np.asarray(answer[0] if isinstance(answer, tuple) else answer)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kit(kind: type[nn.Module]) -> None:
    (layer,) = l2l.import_network(made(kind)).layers
    assert isinstance(layer, KINDS[kind])
    report = check_family(layer, X, executors=("reference", "blas"))
    assert not report.skipped.keys() - {"float ONNX"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_importer(kind: type[nn.Module]) -> None:
    report = check_importer(made(kind), X)
    assert set(report.checked) == {
        "alive", "checkpoint", "inside a Sequential", "trained alone", "trained inside a module"
    }  # fmt: skip
    assert l2l.import_network(made(kind)).source["importer"] in ("light_gate", "oscillator")


def test_what_its_arrays_do_not_hold() -> None:
    torch.manual_seed(3)
    module = Oscillator(3, 5, step=0.125)
    assert "checkpoint" in check_importer(module, X, description="step = 0.125").checked
    with pytest.raises(ContractError, match="checkpoint: the network differs from the module's"):
        check_importer(module, X)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_training_for_the_chip(kind: type[nn.Module], whole: bool) -> None:
    source = Whole(made(kind)).double() if whole else made(kind)
    module = qat.prepare(source, "w8a12", calibrate=X)
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    x = torch.tensor(X, dtype=torch.float32)
    target = torch.zeros(4, 24, 2 if whole else 5)
    losses: list[float] = []
    module.train()
    for _ in range(8):
        answer = module(x)
        output = answer[0] if isinstance(answer, tuple) else answer
        loss = (output - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    module.eval()
    answer = module(x)
    # As the module answers: a pair where it answers a pair.
    assert isinstance(answer, tuple) == isinstance(source(torch.tensor(X)), tuple)
    output = answer[0] if isinstance(answer, tuple) else answer
    integers = l2l.simulate(module.export(), np.float64(np.float32(X))).outputs
    np.testing.assert_array_equal(output.numpy(), np.float32(integers))


@pytest.mark.parametrize("kind", KINDS)
def test_the_road_to_the_end(kind: type[nn.Module], tmp_path: Path) -> None:
    program = l2l.quantize(l2l.import_network(made(kind)), X)
    l2l.save(program, tmp_path / "net.l2l")
    # A saved program needs no family.
    code = (
        "import sys; sys.modules['example_families'] = None\n"
        "import lnn2loihi as l2l, numpy as np\n"
        "x = np.random.default_rng(0).normal(size=(4, 24, 3))\n"
        "print(l2l.verify(l2l.load(sys.argv[1]), x, 'reference,blas').bit_exact)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "net.l2l")], capture_output=True, text=True
    )
    assert done.stdout.strip() == "True", done.stderr
    assert l2l.place(program).cores
