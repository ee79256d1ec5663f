"""Answers in objects of the user's own: dataclasses, dicts of their own classes, what torch.max and
torch.sort give; and sequences that are packed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from convert_modules import B, T, r  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence  # noqa: E402

import lnn2loihi as l2l  # noqa: E402
from lnn2loihi import ArtifactError, ImportNetworkError  # noqa: E402


@dataclass
class Forecast:
    """Looks at what it is given."""

    mean: Any
    state: Any = None
    name: str = "forecast"

    def __post_init__(self) -> None:
        assert hasattr(self.mean, "shape")


@dataclass
class ModelOutput(OrderedDict[str, Any]):
    """Like the answers of transformers: entries are attributes too, and `update` is forbidden."""

    logits: Any = None
    states: Any = None

    def __post_init__(self) -> None:
        for name in ("logits", "states"):
            if getattr(self, name) is not None:
                self[name] = getattr(self, name)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        object.__setattr__(self, key, value)

    def update(self, *_: Any, **__: Any) -> None:
        raise TypeError("forbidden")

    def __reduce__(self) -> Any:
        return type(self), (self.logits, self.states)


class Answers(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.gru, self.function = nn.GRU(4, 6, batch_first=True), function

    def forward(self, x: Any) -> Any:
        return self.function(*self.gru(x))


def converted(function: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    module = Answers(function).eval()
    return module, l2l.convert(module, r(B, T, 4))


@pytest.mark.parametrize(
    ("function", "read", "kept"),
    [
        (lambda y, h: Forecast(y, (h,)), lambda a: (a.mean, a.state[0]), "Forecast"),
        (lambda y, h: {"a": [Forecast(y)]}, lambda a: (a["a"][0].mean,), "Forecast"),
        (lambda y, h: ModelOutput(y, h), lambda a: (a.logits, a["states"]), "ModelOutput"),
        (lambda y, h: ModelOutput(y), lambda a: (a["logits"], a.logits), "ModelOutput"),
        (lambda y, h: OrderedDict(y=y, h=h), lambda a: (a["y"], a["h"]), "OrderedDict"),
    ],
)
def test_objects_of_the_module_s_own_come_back(
    function: Any, read: Any, kept: str, tmp_path: Any
) -> None:
    module, whole = converted(function)
    own, right = whole.evaluate(r(B, T, 4)), module(r(B, T, 4))
    assert type(own) is type(right)
    for a, b in zip(read(own), read(right), strict=True):
        assert torch.allclose(a, b.detach(), rtol=1e-3, atol=1e-4)
    quantized = whole.quantize()
    assert not quantized.compare(r(B, T, 4)).warnings
    if kept == "OrderedDict":
        assert (
            l2l.load(quantized.save(tmp_path / "net.l2m")).predict(r(B, T, 4)).keys() == own.keys()
        )
        return
    with pytest.raises(ArtifactError, match=kept):
        quantized.save(tmp_path / "net.l2m")


@pytest.mark.parametrize(
    "function",
    [
        lambda y, h: y.max(-1).values,
        lambda y, h: torch.sort(y, dim=-1).values[..., :2],
        lambda y, h: y.topk(2, dim=-1).values.sum(1),
        lambda y, h: y.max(dim=1).indices,
    ],
)
def test_pairs_that_torch_answers_with_keep_their_names(function: Any) -> None:
    module, whole = converted(function)
    own, right = whole.evaluate(r(B, T, 4)), module(r(B, T, 4))
    assert torch.allclose(own.double(), right.detach().double(), rtol=1e-3, atol=1e-4)


def test_pairs_of_torch_are_answers_too() -> None:
    module, whole = converted(lambda y, h: torch.max(y, dim=1))
    own, right = whole.evaluate(r(B, T, 4)), module(r(B, T, 4))
    assert type(own) is type(right)
    assert torch.allclose(own.values, right.values.detach(), rtol=1e-3, atol=1e-4)


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)

    def forward(self, x: Any, lengths: Any) -> Any:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]


def test_packed_sequences_are_refused_with_what_to_do() -> None:
    with pytest.raises(ImportNetworkError, match=r"PackedSequence.*lengths - 1"):
        l2l.convert(Packed().eval(), r(B, T, 4), torch.tensor([6, 4, 3]))
