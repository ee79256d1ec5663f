"""Activations in ONNX files: as PyTorch's exporters write them, and as we do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_samples
from onnx_exports import written
from variants import gated_layer

import lnn2loihi as l2l
from lnn2loihi.converters.onnx_read.activations import of_layer
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.layers.activations import function_of

pytest.importorskip("onnx", reason="needs onnx: pip install onnx")
torch = pytest.importorskip("torch", reason="needs torch: pip install torch")
nn, functional = torch.nn, torch.nn.functional
load = l2l.import_network


def last_layer(network: l2l.LiquidNetwork) -> l2l.DenseLayer:
    layer = network.layers[-1]
    assert isinstance(layer, l2l.DenseLayer)
    return layer


class Stack(nn.Module):
    """A GRU, a map and an activation."""

    def __init__(self, activation: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gru, self.map = nn.GRU(3, 5, batch_first=True), nn.Linear(5, 4)
        self.activation, self.head = activation, nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.activation(self.map(self.gru(x)[0])))


TORCH: dict[str, tuple[Any, str]] = {
    "LeakyReLU": (nn.LeakyReLU(), "leaky_relu(0.01)"),
    "LeakyReLU above 1": (nn.LeakyReLU(2.0), "leaky_relu(2)"),
    "PReLU": (nn.PReLU(), "leaky_relu(0.25)"),
    "ELU": (nn.ELU(0.7), "elu(0.7)"),
    "CELU": (nn.CELU(2.0), "celu(2)"),
    "SELU": (nn.SELU(), "selu"),
    "Softplus": (nn.Softplus(), "softplus(1)"),
    "Softplus, steeper": (nn.Softplus(4.0), "softplus(4)"),
    "LogSigmoid": (nn.LogSigmoid(), "log_sigmoid"),
    "Hardtanh": (nn.Hardtanh(-0.5, 0.25), "clamp(-0.5,0.25)"),
    "ReLU6": (nn.ReLU6(), "clamp(0,6)"),
    "Hardsigmoid": (nn.Hardsigmoid(), "clamp(0,1)"),
    "Hardswish": (nn.Hardswish(), "hard_swish"),
    "clamp from below": (lambda x: x.clamp(min=-0.1), "clamp(-0.1,inf)"),
    "clamp from above": (lambda x: x.clamp(max=0.1), "clamp(-inf,0.1)"),
    "abs": (torch.abs, "abs"),
    "square": (lambda x: x * x, "square"),
    "power": (lambda x: x**2, "square"),
}


@pytest.mark.parametrize("name", TORCH)
def test_files_of_pytorch_are_read(name: str, tmp_path: Path) -> None:
    activation, text = TORCH[name]
    module = Stack(activation).eval()
    network = load(written(tmp_path / "net.onnx", module, torch.randn(1, 6, 3)))
    assert last_layer(network).activation == text
    x = random_samples(0, 2, 9, 3).astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(network.evaluate(x).outputs, wanted, rtol=0, atol=2e-5)


OURS = (
    "leaky_relu(0.01)", "leaky_relu(3)", "leaky_relu(-0.4)", "abs", "square", "elu(0.5)", "selu",
    "celu(2)", "softplus(1)", "softplus(4)", "log_sigmoid", "clamp(-0.5,0.25)", "clamp(-inf,0.1)",
    "hard_sigmoid", "hard_swish",
)  # fmt: skip


def of_ours(activation: str) -> l2l.LiquidNetwork:
    rng = np.random.default_rng(0)

    def linear(name: str, outputs: int, inputs: int) -> l2l.Linear:
        return l2l.Linear(name, rng.normal(size=(outputs, inputs)), rng.normal(size=outputs))

    gru = gated_layer("gru", "gru", 3, 5, linear)
    dense = l2l.DenseLayer("dense", linear("linear", 4, 5), activation)
    return l2l.LiquidNetwork("ours", (gru, dense), linear("readout", 2, 4))


@pytest.mark.parametrize("activation", OURS)
def test_our_float_files_are_read_again(activation: str, tmp_path: Path) -> None:
    network, path = of_ours(activation), tmp_path / "ours.onnx"
    l2l.export(network, path, dtype="float32")
    again = load(path)
    x = random_samples(0, 2, 9, 3)
    wanted = network.evaluate(x).outputs
    np.testing.assert_allclose(again.evaluate(x).outputs, wanted, rtol=0, atol=1e-5)
    assert len(again.layers) == 2


@pytest.mark.parametrize(
    ("activation", "reason"),
    [
        (torch.sin, "Sin): liquid networks have no such operation"),
        (lambda x: functional.prelu(x, torch.arange(6.0)), "it is not one number for all units"),
        (lambda x: x**3, "a power of data; expected a square"),
        (lambda x: torch.maximum(x, x.flip(-1)), "expected data and numbers"),
    ],
)
def test_others_are_refused_by_their_node(activation: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ImportNetworkError) as caught:
        load(written(tmp_path / "net.onnx", Stack(activation).eval(), torch.randn(1, 6, 3)))
    assert reason in str(caught.value)


@pytest.mark.parametrize("factor", [0.5, 3.0])
@pytest.mark.parametrize(
    "activation", ["relu", "leaky_relu(0.1)", "abs", "clamp(-1,2)", "softplus(1)", "elu(1)"]
)
def test_factors_become_parameters_and_weights(activation: str, factor: float) -> None:
    found, inner, left = of_layer(activation, factor, 1e-5)
    x = np.linspace(-4.0, 4.0, 99)
    assert left == 1.0
    wanted = factor * function_of(activation)(x)
    np.testing.assert_allclose(function_of(found)(x / inner), wanted, rtol=1e-6, atol=1e-7)
