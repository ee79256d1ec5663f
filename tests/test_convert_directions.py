"""Recurrent layers that run in both directions of time: two parts on the chip, one of which hears
the samples from the last one on.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ncps")
from convert_modules import B, T, r  # noqa: E402
from torch import nn  # noqa: E402

import lnn2loihi as l2l  # noqa: E402


def layers_of(converted: Any) -> list[str]:
    return [
        type(layer).__name__.removesuffix("Layer")
        for part in converted.chip_parts
        for layer in part.float_network().layers
    ]


def assert_same(module: Any, converted: Any, *args: Any) -> None:
    own, right = converted.evaluate(*args), module(*args)
    own, right = ((one if isinstance(one, tuple) else (one,)) for one in (own, right))
    own, right = (
        [t for one in answer for t in (one if isinstance(one, tuple) else (one,))]
        for answer in (own, right)
    )
    for a, b in zip(own, right, strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b.detach(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"batch_first": True}, (B, T, 3)),
        ({"bias": False}, (T, B, 3)),
        ({"batch_first": True}, (T, 3)),
    ],
)
def test_both_directions_run_on_the_chip(kind: Any, layers: int, options: Any, shape: Any) -> None:
    torch.manual_seed(0)
    module = kind(3, 4, layers, bidirectional=True, **options).eval()
    converted = l2l.convert(module, r(*shape))
    assert layers_of(converted) == [kind.__name__] * 2 * layers
    assert {name for part in converted.host_parts for name in part.operators} == {"flip", "cat"}
    assert_same(module, converted, r(*shape))
    quantized = converted.quantize()
    answers = [quantized.predict(r(*shape), executor=name)[0] for name in ("reference", "blas")]
    assert torch.equal(*answers)


class States(nn.Module):
    """Initial states that are given, and what a head makes of the last ones."""

    def __init__(self, learned: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(8, 2)
        self.start = nn.Parameter(0.3 * r(4, 1, 4)) if learned else None

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        if self.start is not None:
            h = self.start.expand(-1, len(x), -1)
        y, (h, c) = self.lstm(x, (h, c))
        return self.head(torch.cat([h[-2], h[-1]], dim=-1)), c, y


@pytest.mark.parametrize("learned", [False, True])
def test_states_are_given_to_each_direction_and_answered(learned: bool) -> None:
    torch.manual_seed(0)
    module = States(learned).eval()
    args = (r(B, T, 3), 0.3 * r(4, B, 4), 0.3 * r(4, B, 4))
    converted = l2l.convert(module, *args)
    assert layers_of(converted) == ["LSTM"] * 4
    assert sum(len(part.initial) for part in converted.chip_parts) == 8
    assert_same(module, converted, *args)
    others = (r(2, 9, 3), 0.2 * r(4, 2, 4), 0.2 * r(4, 2, 4))
    assert_same(module, converted, *others)


def test_a_head_of_the_last_states_of_both_directions_is_on_the_chip() -> None:
    torch.manual_seed(0)
    converted = l2l.convert(States().eval(), r(B, T, 3), r(4, B, 4), r(4, B, 4))
    after = converted.parts[-1]
    assert "Linear" not in after.operators  # pyright: ignore[reportAttributeAccessIssue]


class Again(nn.Module):
    """A layer that is called again and again with what the host makes of its answers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.GRU(3, 3, batch_first=True)
        self.both = nn.GRU(3, 3, bidirectional=True, batch_first=True)

    def forward(self, x: Any) -> Any:
        x, _ = self.first(x)
        for _ in range(9):
            x = self.both(x.softmax(-1))[0][..., :3]
        return x


def test_a_layer_whose_directions_the_chip_does_not_take_stays_whole_on_the_host() -> None:
    torch.manual_seed(0)
    module = Again().eval()
    converted = l2l.convert(module, r(B, T, 3))
    assert layers_of(converted) == ["GRU"]
    assert "GRU" in converted.parts[-1].operators  # pyright: ignore[reportAttributeAccessIssue]
    assert_same(module, converted, r(B, T, 3))


def test_weights_that_are_normed_are_those_of_the_moment() -> None:
    torch.manual_seed(0)
    module = nn.LSTM(3, 4, bidirectional=True, batch_first=True)
    nn.utils.parametrizations.weight_norm(module, "weight_hh_l0_reverse")
    module.eval()
    assert_same(module, l2l.convert(module, r(B, T, 3)), r(B, T, 3))


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
def test_projected_states_are_maps_of_what_a_layer_says(layers: int, both: bool) -> None:
    torch.manual_seed(0)
    module = nn.LSTM(3, 6, layers, batch_first=True, proj_size=2, bidirectional=both).eval()
    converted = l2l.convert(module, r(B, T, 3))
    found = [name for name in layers_of(converted) if name != "Dense"]
    assert found == ["LSTM"] * layers * (1 + both)
    assert not any("LSTM" in part.operators for part in converted.host_parts)
    assert_same(module, converted, r(B, T, 3))


class Begun(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 6, batch_first=True, proj_size=2)
        self.gru = nn.GRU(2, 4, batch_first=True)

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        return self.gru(self.lstm(x, (h, c))[0])[0]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_a_state_behind_a_projection_cannot_be_begun_with() -> None:
    torch.manual_seed(0)
    module, args = Begun().eval(), (r(B, T, 3), r(1, B, 2), r(1, B, 6))
    converted = l2l.convert(module, *args)
    assert layers_of(converted) == ["GRU"]
    assert any(
        "behind its projection" in own for part in converted.host_parts for own in part.reasons
    )
    assert_same(module, converted, *args)
