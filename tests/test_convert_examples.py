"""Other examples that `convert` compares with are of the kind of the one that is given, and what a
module itself does not take, or does otherwise with other lengths, is no fault of the conversion.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("ncps")
from convert_modules import B, T, r  # noqa: E402
from ncps.torch import CfC  # noqa: E402
from torch import nn  # noqa: E402

import lnn2loihi as l2l  # noqa: E402
from lnn2loihi.converters.trace.axes import BATCH, TIME  # noqa: E402
from lnn2loihi.converters.trace.likeness import may_be_wide, resized  # noqa: E402

AXES = (BATCH, TIME, None)
SIZES = st.tuples(st.integers(1, 4), st.integers(1, 30), st.integers(1, 9))


def another(tensor: Any, sizes: Any, axes: Any = AXES) -> Any:
    batch, time, seed = sizes
    found = resized(tensor, axes, {BATCH: batch, TIME: time}, seed)
    wanted = {BATCH: batch, TIME: time}
    assert found.dtype == tensor.dtype
    assert found.shape == tuple(
        wanted.get(label, size) for label, size in zip(axes, tensor.shape, strict=True)
    )
    return found


@settings(deadline=None, max_examples=20)
@given(sizes=SIZES)
def test_kinds_of_inputs_stay_of_their_kind(sizes: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    random = torch.rand(3, 7, 4, generator=generator, dtype=torch.float64) + 0.1
    mask = (random > 0.5).double()
    assert set(another(mask, sizes).unique().tolist()) <= {0.0, 1.0}
    times = another(random.cumsum(1), sizes)
    assert bool((times.diff(dim=1) > 0).all())
    assert bool((another(-random.cumsum(1), sizes).diff(dim=1) < 0).all())
    places = torch.arange(7)[None, :].expand(3, -1)
    assert bool((another(places, sizes, (BATCH, TIME)).diff(dim=1) == 1).all())
    valid = another(torch.arange(7)[None] < torch.tensor([[7], [3], [4]]), sizes, (BATCH, TIME))
    assert bool((valid.long().diff(dim=1) <= 0).all())
    sums = another(random.softmax(-1), sizes).sum(-1)
    assert torch.allclose(sums, torch.ones_like(sums))
    fixed = another(random[:, :1].expand(-1, 7, -1), sizes)
    assert bool((fixed == fixed[:, :1]).all())
    assert bool((another(random, sizes) > 0).all())
    tokens = torch.randint(2, 9, (3, 7), generator=generator)
    for order in (tokens.sort(1).values, tokens.sort(1, descending=True).values):
        assert set(another(order, sizes, (BATCH, TIME)).unique().tolist()) <= set(range(2, 9))
    assert set(another(tokens, sizes, (BATCH, TIME)).unique().tolist()) <= set(range(2, 9))


def test_only_what_has_no_kind_is_made_wide() -> None:
    random = torch.rand(3, 7, 4, generator=torch.Generator().manual_seed(0))
    assert may_be_wide(random - 0.5, AXES)
    assert not may_be_wide((random > 0.5).float(), AXES)
    assert not may_be_wide(random.cumsum(1), AXES)
    assert not may_be_wide(random.softmax(-1), AXES)
    assert not may_be_wide(torch.arange(7), (TIME,))


class Calls(nn.Module):
    """Calls a function of its parts with what it is given."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.gru, self.cfc = nn.GRU(4, 6, batch_first=True), CfC(10, 8)
        self.other = nn.GRU(4, 6, batch_first=True)
        self.linear, self.conv = nn.Linear(6, 4), nn.Conv1d(6, 6, 4, 2, 1)
        self.back = nn.ConvTranspose1d(6, 4, 4, 2, 1)
        self.embedding = nn.Embedding(5, 4)
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


def timestamps(m: Any, x: Any, times: Any) -> Any:
    between = torch.cat([torch.zeros_like(times[:, :1]), times.diff(dim=1)], dim=1)
    return m.gru(x * torch.log1p(between).unsqueeze(-1).sqrt())[0]


def lengths(m: Any, tokens: Any, count: Any) -> Any:
    y, _ = m.gru(m.embedding(tokens))
    return m.linear(y.gather(1, (count - 1).view(-1, 1, 1).expand(-1, 1, 6))[:, 0])


def two_rates(m: Any, x: Any) -> Any:
    slow, _ = m.gru(x[:, ::4])
    slow = slow.repeat_interleave(4, dim=1)[:, : x.shape[1]]
    return m.cfc(torch.cat([x, slow], dim=-1))[0]


def windows(m: Any, x: Any) -> Any:
    """Twice as many steps and half of them: as many as there were, with even lengths alone."""
    y = m.gru(x)[0].repeat_interleave(2, 1)[:, : x.shape[1] // 2 * 2]
    return m.linear(y)


def strided(m: Any, x: Any) -> Any:
    z = m.conv(m.gru(x)[0].transpose(1, 2)).relu()
    return x + m.back(z).transpose(1, 2)


def zeros(m: Any, x: Any) -> Any:
    _, h = m.gru(x)
    return m.linear(m.other(torch.zeros_like(x), h)[0])


def logarithm(m: Any, x: Any) -> Any:
    """Is not a number for what is negative."""
    return m.gru(x)[0], torch.log(m.linear(m.gru(x)[0][:, -1]))


VALID = torch.arange(12)[None] < torch.tensor([[12], [5], [7]])


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (timestamps, (r(1, T, 4), r(1, T).abs().cumsum(1))),
        (lengths, (torch.tensor([[1, 2, 3, 4], [0, 1, 2, 1]]), torch.tensor([4, 2]))),
        (two_rates, (r(B, 12, 4),)),
        (windows, (r(B, 12, 4),)),
        (strided, (r(B, 12, 4),)),
        (zeros, (r(B, T, 4),)),
        (logarithm, (r(B, T, 4),)),
        (lambda m, x, v: m.gru(torch.where(v[..., None], x, 0.0))[0], (r(B, 12, 4), VALID)),
    ],
)
def test_what_only_some_examples_may_be_is_converted(function: Any, args: Any) -> None:
    torch.manual_seed(0)
    module = Calls(function).eval()
    converted = l2l.convert(module, *args)
    assert not any("length" in note for note in converted.notes)
    longer = [
        resized(one, axes.axes, {TIME: 16 if function is strided else 17, BATCH: 2}, 3)
        for one, axes in zip(args, converted.inputs, strict=True)
    ]
    longer = [
        one if one.is_floating_point() else one.to(args[k].dtype) for k, one in enumerate(longer)
    ]
    own, right = converted.evaluate(*longer), module(*longer)
    own, right = (one if isinstance(one, tuple) else (one,) for one in (own, right))
    for a, b in zip(own, right, strict=True):
        assert torch.allclose(a, b.detach(), rtol=1e-3, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize(
    ("function", "args", "operators"),
    [
        (lambda m, x, k: m.gru(x * k)[0], (r(B, T, 4), (r(B, T, 4) > 0).float()), {"mul"}),
        (lambda m, x: m.gru((x - 1.0) ** 2)[0], (r(B, T, 4),), {"sub", "pow"}),
        (lambda m, x: (m.linear(m.gru(x)[0]) - x).abs(), (r(B, T, 4),), {"abs"}),
    ],
)
def test_what_is_made_of_numbers_of_the_host_alone_stays_there(
    function: Any, args: Any, operators: set[str]
) -> None:
    torch.manual_seed(0)
    converted = l2l.convert(Calls(function).eval(), *args)
    (part,) = converted.chip_parts
    assert [type(layer).__name__ for layer in part.float_network().layers] == ["GRULayer"]
    assert {name for own in converted.host_parts for name in own.operators} == operators
