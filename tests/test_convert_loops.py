"""Loops over cells that go through the host at each step are the host's as a whole; those that are
a layer are one on the chip, whatever the host computes of each step before them.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ncps")
from convert_modules import B, T, r  # noqa: E402
from ncps.torch import CfCCell  # noqa: E402
from torch import nn  # noqa: E402

import lnn2loihi as l2l  # noqa: E402
from lnn2loihi import ImportNetworkError  # noqa: E402


class Calls(nn.Module):
    """Calls a function of its parts."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.cell, self.norm = nn.GRUCell(4, 6), nn.LayerNorm(6)
        self.layer = nn.GRU(4, 6, batch_first=True)
        self.cfc = CfCCell(4, 6, backbone_units=8)
        self.encoder, self.out = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 4)
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def normed(m: Any, x: Any) -> Any:
    h, found = x.new_zeros(len(x), 6), []
    for t in range(x.shape[1]):
        h = m.norm(m.cell(x[:, t], h))
        found.append(h)
    return torch.stack(found, dim=1)


def rollout(m: Any, x: Any) -> Any:
    h, y, found = m.encoder(x)[1][0][0], x[:, -1], []
    for _ in range(4):
        h = m.cell(y, h)
        y = y + m.out(h)
        found.append(y)
    return torch.stack(found, dim=1)


def of_layer(m: Any, x: Any) -> Any:
    """A decoder that is a layer, called with one step at a time."""
    _, (h, _) = m.encoder(x)
    y, found = x[:, -1:], []
    for _ in range(3):
        z, h = m.layer(y, h)
        y = m.out(z).softmax(-1)
        found.append(y)
    return torch.cat(found, dim=1)


def encoded(m: Any, x: Any) -> Any:
    """The same cell hears the sequence first, and then itself."""
    h = x.new_zeros(len(x), 6)
    for t in range(x.shape[1]):
        h = m.cell(x[:, t], h)
    y, found = x[:, -1], []
    for _ in range(4):
        h = m.cell(y, h)
        y = m.out(h).softmax(-1)
        found.append(y)
    return torch.stack(found, dim=1)


def beside(m: Any, x: Any) -> Any:
    h, found = x.new_zeros(len(x), 6), []
    for t in range(x.shape[1]):
        h = m.cell(x[:, t], h)
        found.append(h)
    return torch.stack(found, dim=1) + m.layer(x)[0]


def of_each(m: Any, x: Any) -> Any:
    h = x.new_zeros(len(x), 6)
    for t in range(x.shape[1]):
        h = m.cell(x[:, t].softmax(-1), h)
    return h


@pytest.mark.parametrize(
    ("function", "layers"),
    [
        (lambda m, x: m.encoder(m.out(normed(m, x)))[0], ["LSTM"]),
        (rollout, ["LSTM"]),
        (of_layer, ["LSTM"]),
        (encoded, ["GRU"]),
        (beside, ["GRU", "GRU"]),
        (of_each, ["GRU"]),
    ],
)
def test_a_loop_is_a_layer_or_the_host_s(function: Any, layers: list[str]) -> None:
    torch.manual_seed(0)
    module = Calls(function).eval()
    converted = l2l.convert(module, r(B, T, 4))
    found = [
        type(layer).__name__.removesuffix("Layer")
        for part in converted.chip_parts
        for layer in part.float_network().layers
    ]
    assert [name for name in found if name != "Dense"] == layers
    own, right = converted.evaluate(r(B, T, 4)), module(r(B, T, 4))
    assert torch.allclose(own, right.detach(), rtol=1e-3, atol=1e-4)
    on_host = [reason for part in converted.host_parts for reason in part.reasons]
    assert any("step by step" in reason for reason in on_host) == (
        function not in (beside, of_each)
    )


def test_a_cell_beside_a_layer_keeps_the_time() -> None:
    torch.manual_seed(0)
    module = Calls(beside).eval()
    converted = l2l.convert(module, r(B, T, 4))
    assert converted.inputs[0].axes == ("batch", "time", None)
    assert not converted.notes
    own, right = converted.evaluate(r(2, 11, 4)), module(r(2, 11, 4))
    assert torch.allclose(own, right.detach(), rtol=1e-3, atol=1e-4)


def test_a_loop_with_nothing_beside_it_for_the_chip_is_refused_by_its_reason() -> None:
    with pytest.raises(ImportNetworkError, match="step by step"):
        l2l.convert(Calls(normed).eval(), r(B, T, 4))


@pytest.mark.parametrize("function", [of_each, lambda m, x: m.encoder(m.out(normed(m, x)))[0]])
def test_loops_of_the_host_are_saved_for_their_length(function: Any, tmp_path: Any) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    quantized = l2l.convert(Calls(function).eval(), r(B, T, 4)).quantize()
    loaded = l2l.load(quantized.save(tmp_path / "net.l2m"))
    for x in (r(B, T, 4), r(2, T, 4)):
        assert torch.allclose(loaded.predict(x), quantized.predict(x), atol=1e-2)
    assert any("only sequences of the example's length" in note for note in loaded.notes)
    with pytest.raises(l2l.InputError):
        loaded.predict(r(B, T + 1, 4))


@pytest.mark.parametrize(
    ("function", "layers"),
    [
        (lambda m, x: m.out(m.layer(x)[0][:, x.shape[1] // 2]), "GRU"),
        (lambda m, x: m.out(m.layer(x)[0][:, -2]), "GRU"),
        (lambda m, x: m.out(m.layer(x)[0].select(1, 3)), "GRU"),
        (lambda m, x: m.out(m.layer(x)[0][:, 0]), "GRU + readout"),
        (lambda m, x: m.out(m.layer(x)[0][:, x.shape[1] - 1]), "GRU + readout"),
        (lambda m, x: m.out(m.layer(x)[0][:, -2:]), "GRU"),
        (lambda m, x: m.out(m.layer(x)[0][:, ::2]), "GRU"),
        (lambda m, x: torch.stack([m.layer(x)[0], m.encoder(x)[0]]).mean(0), "GRU LSTM + readout"),
    ],
)
def test_steps_that_are_taken_are_those_of_every_length(function: Any, layers: str) -> None:
    torch.manual_seed(0)
    module = Calls(function).eval()
    converted = l2l.convert(module, r(B, T, 4))
    (part,) = converted.chip_parts
    network = part.float_network()
    found = " ".join(sorted(type(layer).__name__.removesuffix("Layer") for layer in network.layers))
    assert found + (" + readout" if network.readout else "") == layers
    assert converted.inputs[0].axes == ("batch", "time", None)
    own, right = converted.evaluate(r(2, 11, 4)), module(r(2, 11, 4))
    assert torch.allclose(own, right.detach(), rtol=1e-3, atol=1e-4)
