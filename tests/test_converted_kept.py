"""Live modules that keep their state from call to call, as streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import Tensor, nn  # noqa: E402  needs PyTorch

import lnn2loihi as l2l  # noqa: E402


class Keeping(nn.Module):
    """A frame a call; the state of the GRU stays in the module."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(5)
        self.rnn = nn.GRU(5, 6, batch_first=True)
        self.head = nn.Linear(6, 2)
        self.hidden: Tensor | None = None

    def forward(self, frame: Tensor) -> Tensor:
        y, hidden = self.rnn(self.norm(frame)[:, None], self.hidden)
        self.hidden = self.kept(hidden)
        return self.head(y[:, 0])

    def kept(self, hidden: Tensor) -> Any:
        return hidden


class Halving(Keeping):
    """What is kept is not the state itself."""

    def kept(self, hidden: Tensor) -> Any:
        return 0.5 * hidden


class OfTwo(Keeping):
    """One of two layers begins anew with each call."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.GRU(5, 2, batch_first=True)

    def forward(self, frame: Tensor) -> Tensor:
        return super().forward(frame) + self.other(frame[:, None])[0][:, 0]


class Chunks(Keeping):
    """Sequences, of which the mean is answered: of each call's own steps."""

    def forward(self, frame: Tensor) -> Tensor:
        y, self.hidden = self.rnn(frame, self.hidden)
        return self.head(y.mean(1))


def made(kind: type[Keeping]) -> Keeping:
    torch.manual_seed(3)
    return kind().eval()


def frames(count: int, *shape: int) -> list[Tensor]:
    torch.manual_seed(4)
    return [torch.randn(*shape) for _ in range(count)]


def test_a_frame_a_call_is_the_sequence() -> None:
    module = made(Keeping)
    xs = frames(8, 3, 5)
    quantized = l2l.convert(module, xs[0]).quantize(calibrate=[(x,) for x in xs])
    assert quantized.kept == ("hidden",)
    assert any("open_stream() gives calls that go on" in note for note in quantized.notes)
    stream = quantized.open_stream()
    assert stream.notes == ()  # compared with the module, which has not been called
    answers = [stream.predict(x).numpy() for x in xs]
    (part,) = quantized.chip_parts
    heard = np.stack([nn.functional.layer_norm(x, (5,)).numpy() for x in xs], 1)
    expected = l2l.simulate(part.quantized(), heard).outputs
    assert np.array_equal(np.stack(answers, 1), expected.astype(np.float32))
    with torch.no_grad():
        true = np.stack([module(x).numpy() for x in xs], 1)
    assert np.abs(true - np.stack(answers, 1)).max() < 0.02 * np.ptp(true)
    assert not np.array_equal(quantized.predict(xs[1]).numpy(), answers[1])


def test_what_is_kept_beside_the_state_is_refused() -> None:
    (x,) = frames(1, 3, 5)
    for kind in (Halving, OfTwo):
        converted = l2l.convert(made(kind), x)
        with pytest.raises(l2l.InputError, match="call 2 of the module answers otherwise than its "
                           "parts do .*: hidden is something else than these states"):  # fmt: skip
            converted.open_stream()


def test_steps_of_a_call_may_be_mixed_by_a_module_that_keeps_states() -> None:
    module = made(Chunks)
    xs = frames(4, 2, 6, 5)
    quantized = l2l.convert(module, xs[0]).quantize(calibrate=[(x,) for x in xs])
    stream = quantized.open_stream()
    with torch.no_grad():
        true = np.stack([module(x).numpy() for x in xs], 1)
    found = np.stack([stream.predict(x).numpy() for x in xs], 1)
    assert np.abs(true - found).max() < 0.03 * np.ptp(true)


def test_a_module_that_was_called_since_is_said_and_can_be_compared() -> None:
    """With what its call left in it, graph of gradients and all."""
    module = made(Keeping)
    (x,) = frames(1, 3, 5)
    converted = l2l.convert(module, x)
    module(2.0 * x)
    left = module.hidden
    assert left is not None and left.grad_fn is not None
    (note,) = converted.open_stream().notes
    assert "the module has been called since it was converted, and keeps hidden" in note
    assert converted.compare(x).against == "module"
    assert module.hidden is left
    method = l2l.convert(module.forward, x)
    assert method.compare(x).float_answer[0].largest < 1e-6
    assert module.hidden is left
