"""Modules of other types than float32, whose weights or whose forward are not as their class has
them, and what stands in the way of a call.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import lnn2loihi as l2l  # noqa: E402
from lnn2loihi import ImportNetworkError  # noqa: E402


class Net(nn.Module):
    """A GRU, and a softmax that stays on the host."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn, self.out = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return torch.softmax(self.out(self.rnn(x)[0]), -1)


class TestTypes:
    @pytest.mark.parametrize("name", ["bfloat16", "float16", "float64"])
    def test_answers_have_the_type_of_the_modules(self, name: str, tmp_path: Path) -> None:
        kind = getattr(torch, name)
        module, x = Net().to(kind).eval(), torch.randn(2, 6, 4, dtype=kind)
        made = l2l.convert(module, x)
        quantized = made.quantize(calibrate=x)
        loaded = l2l.load(quantized.save(tmp_path / "it.l2m"))
        exact = module.double()(x.double())
        for answer in (made.evaluate(x), quantized.predict(x), loaded.predict(x)):
            assert answer.dtype == kind
            torch.testing.assert_close(answer.double(), exact, atol=0.02, rtol=0)
        assert f"answers are {name}" in " ".join(made.notes)
        array = loaded.predict(x.float().numpy())
        assert array.dtype == ("float32" if name == "bfloat16" else name)
        assert all(p.dtype != kind for p in module.parameters()) or name == "float64"

    def test_a_type_that_forward_asks_for(self) -> None:
        class Doubled(Net):
            def forward(self, x: Any) -> Any:
                return super().forward(x).double(), self.rnn(x)[0]

        made, x = l2l.convert(Doubled().eval(), torch.randn(2, 6, 4)), torch.randn(3, 5, 4)
        assert [answer.dtype for answer in made.evaluate(x)] == [torch.float64, torch.float32]


def test_a_parametrized_layer_has_the_weights_that_it_computes() -> None:
    gru = nn.GRU(4, 8, batch_first=True)
    module = nn.utils.parametrizations.orthogonal(gru, "weight_hh_l0").eval()
    x = torch.randn(2, 6, 4)
    made = l2l.convert(module, x)
    torch.testing.assert_close(made.evaluate(x)[0], module(x)[0], atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore")
def test_what_pytorch_has_quantized_is_refused_as_that() -> None:
    module = torch.ao.quantization.quantize_dynamic(Net().eval(), {nn.GRU, nn.Linear})
    with pytest.raises(ImportNetworkError, match="PyTorch has quantized parts of it .rnn"):
        l2l.convert(module, torch.randn(2, 6, 4))


class TestForwardThatWasReplaced:
    def test_by_what_calls_the_old_one(self) -> None:
        module, x = Net().eval(), torch.randn(2, 6, 4)
        old = module.forward

        def twice(x: Any, *, factor: float = 2.0) -> Any:
            return old(x) * factor

        module.forward = twice
        made, other = l2l.convert(module, x), torch.randn(3, 9, 4)
        torch.testing.assert_close(made.evaluate(other), module(other), atol=1e-5, rtol=0)

    def test_by_one_that_reads_the_module(self) -> None:
        module, x = Net().eval(), torch.randn(2, 6, 4)

        def wrapped(inner: Any) -> Any:
            return lambda x: inner(x) + module.out.bias.sum()

        module.forward = wrapped(module.forward)
        made, other = l2l.convert(module, x), torch.randn(3, 9, 4)
        torch.testing.assert_close(made.evaluate(other), module(other), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["executor", "module"])
def test_a_keyword_that_is_an_option_of_predict_is_refused(name: str) -> None:
    with pytest.raises(ImportNetworkError, match=f"its argument {name} is called like an option"):
        l2l.convert(Net().eval(), torch.randn(2, 6, 4), **{name: torch.randn(2, 6, 4)})


def test_states_that_no_word_holds_are_named() -> None:
    class Begun(nn.Module):
        def __init__(self, size: float) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.rnn, self.h0 = nn.GRU(4, 8, batch_first=True), nn.Parameter(torch.ones(8) * size)

        def forward(self, x: Any) -> Any:
            return self.rnn(x, self.h0.expand(1, x.size(0), -1).contiguous())[0]

    x = np.random.default_rng(0).normal(size=(2, 6, 4))
    large = l2l.convert(Begun(3.0).eval(), x.astype(np.float32)).quantize()
    assert "16 of 16 numbers of the calibration data are larger" in " ".join(large.notes)
    small = l2l.convert(Begun(0.1).eval(), x.astype(np.float32)).quantize()
    assert not small.notes


def test_a_number_alone_stays_one(tmp_path: Path) -> None:
    class Picked(Net):
        def forward(self, x: Any, k: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return self.rnn(x)[0][:, k]

    module, x, k = Picked().eval(), torch.randn(2, 6, 4), torch.tensor(2)
    made = l2l.convert(module, x, k)
    loaded = l2l.load(made.save(tmp_path / "it.l2m"))
    for number in (k, torch.tensor(4), np.array(3)):
        own = module(x, torch.as_tensor(number))
        torch.testing.assert_close(made.evaluate(x, number), own, atol=1e-5, rtol=0)
        assert loaded.predict(x, number).shape == own.shape


@pytest.mark.parametrize(
    "function",
    [
        lambda y, x: torch.softmax(y + torch.finfo(x.dtype).min * (x[..., :2] > 0), -1),
        lambda y, x: torch.log(y.abs() + torch.finfo(x.dtype).tiny),
        lambda y, x: y.clamp(max=torch.finfo(y.dtype).eps * 1e6),
    ],
)
def test_limits_of_numbers_are_those_of_float32(function: Any) -> None:
    class Masked(Net):
        def forward(self, x: Any) -> Any:
            return function(self.out(self.rnn(x)[0]), x)

    finfo, module = torch.finfo, Masked().eval()
    made, x = l2l.convert(module, torch.randn(2, 6, 4)), torch.randn(3, 5, 4)
    torch.testing.assert_close(made.evaluate(x), module(x), atol=1e-4, rtol=1e-4)
    assert torch.finfo is finfo
