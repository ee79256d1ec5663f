"""What forward does with the sizes of what it is given: one sequence, one step, numbers in its
answer, and constants in the shape of what depends on the input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import lnn2loihi as l2l  # noqa: E402
from lnn2loihi import InputError  # noqa: E402


class Net(nn.Module):
    """A GRU and a linear map, and what a function does with both."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn, self.out, self.function = (
            nn.GRU(4, 8, batch_first=True),
            nn.Linear(8, 2),
            function,
        )
        self.scale = nn.Parameter(torch.tensor([0.5, -1.0]))

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def converted(function: Any, *shape: int) -> tuple[Net, Any]:
    module = Net(function).eval()
    return module, l2l.convert(module, torch.randn(*(shape or (2, 6, 4))))


class TestNumbersInTheAnswer:
    @pytest.mark.parametrize(
        "numbers",
        [
            lambda x: x.shape[1],
            lambda x: x.shape,
            lambda x: {"half": x.shape[1] // 2, "all": [x.shape[0] * x.shape[1]]},
            lambda x: (1 / x.shape[1], True, 3),
        ],
    )
    def test_they_follow_the_sizes_also_from_a_file(self, numbers: Any, tmp_path: Path) -> None:
        module, made = converted(lambda s, x: (s.out(s.rnn(x)[0]), numbers(x)))
        loaded = l2l.load(made.save(tmp_path / "it.l2m"))
        for shape in ((2, 6, 4), (3, 9, 4), (1, 11, 4)):
            x = torch.randn(*shape)
            assert made.evaluate(x)[1] == module(x)[1]
            assert loaded.predict(x)[1] == module(x)[1]
        assert not made.notes

    def test_those_that_nobody_can_tell_are_noted(self) -> None:
        _, made = converted(lambda s, x: (s.out(s.rnn(x)[0]), x.shape[1] ** 3))
        assert "numbers in its answer may change with the sizes" in " ".join(made.notes)


@pytest.mark.parametrize(
    "constant",
    [
        lambda s, y: s.scale.exp().expand_as(y),
        lambda s, y: torch.zeros_like(y) + s.scale,
        lambda s, y: torch.tensor(y.size(1)),
        lambda s, y: s.scale * y.size(0),
    ],
)
def test_constants_of_the_sizes_are_made_anew(constant: Any) -> None:
    def both(s: Any, x: Any) -> Any:
        y = torch.tanh(s.out(s.rnn(x)[0]))
        return y, constant(s, y)

    module, made = converted(both)
    for shape in ((2, 6, 4), (3, 9, 4), (1, 1, 4)):
        x = torch.randn(*shape)
        answer, own = made.evaluate(x)[1], module(x)[1]
        assert answer.shape == own.shape
        torch.testing.assert_close(answer, own, check_dtype=False)


class TestOneAlone:
    @pytest.mark.parametrize(
        ("axis", "function"),
        [
            ("batch", lambda s, x: s.out(s.rnn(x)[1].squeeze())),
            ("batch", lambda s, x: s.out(s.rnn(x)[0]) * (2 if x.shape[0] == 1 else 1)),
            ("time", lambda s, x: s.out(s.rnn(x)[0]) * (2 if x.shape[1] == 1 else 1)),
            ("time", lambda s, x: s.out(s.rnn(x)[0]).squeeze(1)),
        ],
    )
    def test_what_is_something_else_is_refused_by_name(
        self, axis: str, function: Any, tmp_path: Path
    ) -> None:
        module, made = converted(function)
        shape = (1, 6, 4) if axis == "batch" else (2, 1, 4)
        loaded = l2l.load(made.save(tmp_path / "it.l2m"))
        for one in (made, loaded):
            with pytest.raises(InputError, match=f"x has 1 along {axis}, with which the module"):
                one.predict(torch.randn(*shape))
        assert "forward does something else with it" in " ".join(made.notes)
        x = torch.randn(3, 7, 4)
        torch.testing.assert_close(made.evaluate(x), module(x), atol=1e-5, rtol=0)

    def test_odd_lengths_are_tried(self) -> None:
        _, made = converted(lambda s, x: s.out(s.rnn(x)[0]) * (1 + x.shape[1] % 2))
        with pytest.raises(InputError, match="x has shape"):
            made.evaluate(torch.randn(2, 9, 4))

    def test_what_is_the_same_is_taken(self) -> None:
        module, made = converted(lambda s, x: s.out(s.rnn(x)[0].mean(1)))
        x = torch.randn(1, 1, 4)
        torch.testing.assert_close(made.evaluate(x), module(x), atol=1e-5, rtol=0)
        assert not made.notes


class TestSnapshot:
    """A module that goes on training changes nothing of what was converted."""

    @staticmethod
    def made() -> tuple[Any, Any, Any]:
        class Normal(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                torch.manual_seed(1)
                self.before = nn.Conv1d(4, 4, 3, padding=1)
                self.rnn, self.norm = nn.GRU(4, 8, batch_first=True), nn.LayerNorm(8)
                self.gain = nn.Parameter(torch.ones(8))
                self.register_buffer("shift", torch.zeros(8))

            def forward(self, x: Any) -> Any:
                x = self.before(x.transpose(1, 2)).transpose(1, 2)
                return torch.softmax(self.norm(self.rnn(x)[0]) * self.gain + self.shift, -1)

        module, x = Normal().eval(), torch.randn(2, 6, 4)
        return module, l2l.convert(module, x), x

    def test_it_is_what_the_module_was(self) -> None:
        module, made, x = self.made()
        before = module(x).detach()
        quantized = made.quantize(calibrate=x)
        integers = quantized.predict(x)
        with torch.no_grad():
            for held in (*module.parameters(), *module.buffers()):
                held.mul_(2).add_(0.5)
        torch.testing.assert_close(made.evaluate(x), before, atol=1e-5, rtol=0)
        assert torch.equal(quantized.predict(x), integers)
        assert not torch.allclose(module(x).detach(), before, atol=0.01)

    def test_training_it_leaves_the_module_alone(self) -> None:
        module, made, x = self.made()
        before = {name: held.clone() for name, held in module.state_dict().items()}
        trainable = l2l.qat.prepare(made, calibrate=x)
        assert not {id(p) for p in trainable.parameters()} & {id(p) for p in module.parameters()}
        trainable(x).square().sum().backward()
        with torch.no_grad():
            for held in trainable.parameters():
                held.sub_(held.grad if held.grad is not None else 0)
        for name, held in module.state_dict().items():
            assert torch.equal(held, before[name])
        exported = trainable.eval().export()
        np.testing.assert_array_equal(exported.predict(x), trainable(x).detach())


class Last(nn.Module):
    """The last valid step of sequences of given lengths."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.rnn, self.out = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Any, lengths: Any) -> Any:
        y, _ = self.rnn(x)
        place = (lengths - 1).view(-1, 1, 1).expand(-1, 1, y.size(2))
        return self.out(y.gather(1, place).squeeze(1))


class TestHostPartsInFiles:
    def test_lengths_are_places_in_shorter_sequences_too(self, tmp_path: Path) -> None:
        module, x, lengths = Last().eval(), torch.randn(2, 6, 4), torch.tensor([6, 4])
        made = l2l.convert(module, x, lengths).quantize(calibrate=[(x, lengths)])
        loaded = l2l.load(made.save(tmp_path / "it.l2m"))
        other, own = torch.randn(3, 9, 4), torch.tensor([1, 9, 3])
        torch.testing.assert_close(loaded.predict(other, own), made.predict(other, own))

    @pytest.mark.parametrize(
        "function",
        [
            lambda s, x: s.out(s.rnn(x)[0]).masked_fill(x[..., :2] > 0, 0.0),
            lambda s, x: (s.out(s.rnn(x)[0]) > 0.1, torch.argmax(s.out(s.rnn(x)[1][0]), -1)),
            lambda s, x: s.out(s.rnn(x)[0]) * torch.linspace(0, 1, x.size(1))[None, :, None],
        ],
    )
    def test_values_of_any_type_and_one_step(self, function: Any, tmp_path: Path) -> None:
        _, made = converted(function)
        quantized = made.quantize()
        loaded = l2l.load(quantized.save(tmp_path / "it.l2m"))
        for shape in ((3, 5, 4), (1, 1, 4)):
            x = torch.randn(*shape)
            answers, own = loaded.predict(x), quantized.predict(x)
            for one, other in zip(
                *((a,) if isinstance(a, torch.Tensor) else a for a in (answers, own)), strict=True
            ):
                assert one.dtype == other.dtype
                assert bool(torch.isfinite(one).all())
                torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
