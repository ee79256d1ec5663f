"""Kinds of modules as people write them, converted live: training for the chip, and Lava."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("ncps", reason="the modules are of ncps")

from ncps.torch import LTC, CfC  # noqa: E402  needs PyTorch
from ncps.wirings import AutoNCP  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import lnn2loihi as l2l  # noqa: E402
from lnn2loihi import qat  # noqa: E402
from lnn2loihi.lava import lava_is_installed  # noqa: E402


class FrontEnd(nn.Module):
    """Pictures, one a step."""

    def __init__(self) -> None:
        super().__init__()
        self.eye, self.rnn = nn.Conv2d(1, 4, 3, 2), CfC(4, 6, backbone_units=8, proj_size=2)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.eye(x.reshape(-1, 1, 6, 6)).relu().mean((2, 3))
        return self.rnn(seen.reshape(x.shape[0], x.shape[1], 4))[0]


class Heads(nn.Module):
    """Two answers by name."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.mean = nn.GRU(3, 6, batch_first=True), nn.Linear(6, 2)
        self.critic = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.rnn(x)[0]
        return {"mean": self.mean(y), "value": self.critic(y[:, -1])}


class TwoLtc(nn.Module):
    """A chip part that hears another one."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = LTC(3, 4, ode_unfolds=2), LTC(4, AutoNCP(5, 1), ode_unfolds=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x)[0])[0]


class NormedHead(nn.Module):
    """A norm and a map behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.norm = CfC(3, 6, backbone_units=8), nn.LayerNorm(6)
        self.out = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.rnn(x)[0]))


class Residual(nn.Module):
    """A sum of what goes in and what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.LSTM(3, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x + self.rnn(x)[0])


KINDS: dict[str, tuple[type[nn.Module], tuple[int, ...], set[str]]] = {
    "front end": (FrontEnd, (2, 5, 6, 6), {"host", "chip"}),
    "heads": (Heads, (3, 5, 3), {"chip"}),
    "LTC after LTC": (TwoLtc, (3, 5, 3), {"chip"}),
    "normed head": (NormedHead, (3, 5, 3), {"chip"}),
    "residual": (Residual, (3, 5, 3), {"chip"}),
}


def made(name: str) -> tuple[nn.Module, Tensor]:
    kind, shape, _ = KINDS[name]
    torch.manual_seed(2)
    module = kind().eval()
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            if "bias" in key or key.endswith(("output_w", "output_b")):
                parameter += 0.2 * torch.randn_like(parameter)
    return module, torch.randn(*shape)


def flat(answer: Any) -> Tensor:
    """All numbers of an answer."""
    parts = list(answer.values()) if isinstance(answer, dict) else [answer]
    return torch.cat([part.reshape(-1) for part in parts])


@pytest.mark.parametrize("name", KINDS)
def test_it_learns_and_evaluates_as_the_exported_module_predicts(name: str) -> None:
    module, x = made(name)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    trained = qat.prepare(module, "w6a10", calibrate=None, example=(x,))
    assert {part["on"] for part in trained.converted.to_dict()["parts"]} == KINDS[name][2]
    with torch.no_grad():
        target = 0.5 * flat(module(x)) + 0.3
    optimizer = torch.optim.Adam(trained.parameters(), 1e-2)
    losses: list[float] = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = ((flat(trained(x)) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    trained.eval()
    with torch.no_grad():
        assert torch.equal(flat(trained(x)), flat(trained.export().predict(x)))
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.skipif(not lava_is_installed(), reason="Lava is not installed")
@pytest.mark.parametrize("name", ["front end", "LTC after LTC", "residual"])
def test_lava_answers_the_same(name: str) -> None:
    module, x = made(name)
    quantized = l2l.convert(module, x).quantize(calibrate=x)
    short = x[:1, :3]
    expected = flat(quantized.predict(short))
    assert torch.equal(flat(quantized.predict(short, executor="lava")), expected)
    found = quantized.verify(short, executors="all")
    assert found.bit_exact, found.summary()
    stream = quantized.open_stream("lava")
    pieces = [stream.predict(short[:, :1]), stream.predict(short[:, 1:])]
    whole = quantized.predict(short)
    assert np.array_equal(torch.cat(pieces, 1).numpy(), whole.numpy())
