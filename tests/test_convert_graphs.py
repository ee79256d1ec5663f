"""`convert` of random modules: whatever is put together of these pieces, its parts answer the same.

`convert` compares both in double precision, on the example, on wide inputs and on 300 steps, and
refuses what differs; so what is tested here is that nothing is refused, and what ends up where.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("ncps")
from ncps.torch import CfC  # noqa: E402
from ncps.wirings import AutoNCP  # noqa: E402
from torch import nn  # noqa: E402

import lnn2loihi as l2l  # noqa: E402
from lnn2loihi.converted.parts import ChipPart, HostPart  # noqa: E402

WIDTH, BATCH, TIME = 4, 2, 5

#: What the chip takes: of one or two tensors (batch, time, WIDTH).
CHIP: dict[str, Callable[..., Any]] = {
    "relu": lambda m, a, b: torch.relu(a),
    "tanh": lambda m, a, b: a.tanh(),
    "leaky": lambda m, a, b: nn.functional.leaky_relu(a, 0.1),
    "clamp": lambda m, a, b: a.clamp(-1, 1),
    "sum": lambda m, a, b: a + b,
    "difference": lambda m, a, b: 2 * a - b / 3,
    "product": lambda m, a, b: a * torch.sigmoid(b),
    "square": lambda m, a, b: (a / 2) ** 2,
    "halves": lambda m, a, b: torch.cat([a[..., :2], b[..., 2:]], dim=-1),
    "turned": lambda m, a, b: a[..., [3, 0, 1, 1]] - 1.5,
    "stacked": lambda m, a, b: torch.stack([a[..., 0], b[..., 1], a[..., 2], b[..., 3]], -1),
    "mean": lambda m, a, b: a - a.mean(-1, keepdim=True),
    "merged": lambda m, a, b: m.linear(a.reshape(-1, WIDTH)).view(a.shape),
    "larger": lambda m, a, b: torch.maximum(a, b),
    "linear": lambda m, a, b: m.other(a),
    "norm": lambda m, a, b: m.other(m.norm(m.linear(a))),
    "gru": lambda m, a, b: m.gru(a)[0],
    "cfc": lambda m, a, b: m.cfc(a)[0],
    "steps": lambda m, a, b: _stepwise(m.cell, a),
}
#: What the host keeps.
HOST: dict[str, Callable[..., Any]] = {
    "softmax": lambda m, a, b: a.softmax(-1),
    "flip": lambda m, a, b: a.flip(1),
    "over time": lambda m, a, b: a - a.mean(1, keepdim=True),
    "lag": lambda m, a, b: torch.cat([b[:, :1], a[:, :-1]], dim=1),
}
#: What becomes of the last tensor.
ANSWERS: dict[str, Callable[..., Any]] = {
    "all": lambda y: y,
    "last": lambda y: y[:, -1],
    "both": lambda y: {"all": y, "ends": (y[:, -1, :2], y[..., 3])},
    "time first": lambda y: [y.transpose(0, 1)],
}


def _stepwise(cell: nn.Module, x: Any) -> Any:
    h, found = None, []
    for t in range(x.shape[1]):
        h = cell(x[:, t], h)
        found.append(h)
    return torch.stack(found, dim=1)


class Graph(nn.Module):
    """A graph of pieces, each of tensors before it.

    Args:
        pieces: for each its name and the places of the two tensors that it is made of.
        answer: key of ANSWERS.
        seed: of the weights.
    """

    def __init__(self, pieces: list[tuple[str, int, int]], answer: str, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.linear, self.other = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.cell = nn.GRUCell(WIDTH, WIDTH)
        self.cfc = CfC(WIDTH, AutoNCP(10, WIDTH, seed=1))
        self.pieces, self.answer = pieces, answer

    def forward(self, x: Any) -> Any:
        """The answer to samples (batch, time, WIDTH)."""
        found = [x, self.gru(x)[0]]
        for name, a, b in self.pieces:
            piece = CHIP.get(name) or HOST[name]
            found.append(piece(self, found[a % len(found)], found[b % len(found)]))
        return ANSWERS[self.answer](found[-1] + found[1])


def pieces(names: list[str]) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    places = st.integers(0, 9)
    return st.lists(st.tuples(st.sampled_from(names), places, places), max_size=5)


def example(seed: int) -> Any:
    return torch.randn(BATCH, TIME, WIDTH, generator=torch.Generator().manual_seed(seed))


def tensors(answer: Any) -> list[Any]:
    if isinstance(answer, dict):
        return [t for one in answer.values() for t in tensors(one)]
    if isinstance(answer, (tuple, list)):
        return [t for one in answer for t in tensors(one)]
    return [answer]


SLOW = settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@SLOW
@given(pieces([*CHIP]), st.sampled_from([*ANSWERS]), st.integers(0, 99))
def test_what_the_chip_takes_is_one_part_on_the_chip(
    chosen: list[tuple[str, int, int]], answer: str, seed: int
) -> None:
    module, x = Graph(chosen, answer, seed).eval(), example(seed)
    converted = l2l.convert(module, x)
    # Activations and products of the samples themselves are the host's, before it.
    *before, chip = converted.parts
    assert isinstance(chip, ChipPart), converted.parts
    assert all(isinstance(part, HostPart) for part in before), converted.parts
    found = tensors(converted.evaluate(x))
    for own, right in zip(found, tensors(module(x)), strict=True):
        assert torch.allclose(own, right, rtol=1e-3, atol=1e-4)


@SLOW
@given(pieces([*CHIP, *HOST]), st.sampled_from([*ANSWERS]), st.integers(0, 99))
def test_whatever_stands_between_stays_on_the_host(
    chosen: list[tuple[str, int, int]], answer: str, seed: int
) -> None:
    module, x = Graph(chosen, answer, seed).eval(), example(seed)
    converted = l2l.convert(module, x)
    general = "time" in converted.inputs[0].axes
    longer = torch.cat([x, example(seed + 1)], dim=1) if general else x
    given_answer = converted.evaluate(longer)
    assert type(given_answer) is type(module(longer))
    for own, right in zip(tensors(given_answer), tensors(module(longer)), strict=True):
        assert own.shape == right.shape
        assert np.allclose(own.detach(), right.detach(), rtol=1e-3, atol=1e-4)
    assert all(part.reasons for part in converted.host_parts)
