"""A whole module: what runs on the chip, what stays on the host, and both together.

    python examples/12_whole_module.py

A convolution over a spectrum, a CfC, and the softmax of two heads: converted by one call,
quantized, compared, saved, and loaded again. Needs PyTorch, ncps and onnxruntime; takes seconds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from ncps.torch import CfC
from torch import nn

import lnn2loihi as l2l


class Listener(nn.Module):
    """Says what it hears, and how loud it is."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Conv1d(1, 6, kernel_size=4, stride=4)
        self.rnn = CfC(24, 16)
        self.kind, self.level = nn.Linear(16, 3), nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Spectra (batch, time, 16) to probabilities and levels of the last one."""
        batch, time, _ = x.shape
        heard = self.front(x.reshape(batch * time, 1, 16)).reshape(batch, time, 24)
        last = self.rnn(heard)[0][:, -1]
        return {"kind": torch.softmax(self.kind(last), dim=-1), "level": self.level(last)}


def main() -> None:
    """Prints what becomes of it."""
    torch.manual_seed(0)
    module, x = Listener().eval(), torch.randn(8, 20, 16)
    converted: Any = l2l.convert(module, x)
    quantized = converted.quantize("w8a12", calibrate=x)
    print(quantized)
    print(quantized.compare(x))
    answer = quantized.predict(x)
    with tempfile.TemporaryDirectory() as folder:
        loaded = l2l.load(quantized.save(Path(folder) / "listener.l2m"))
        again = loaded.predict(x)
    for name, value in answer.items():
        print(f"{name}: loaded again it differs by {(value - again[name]).abs().max():.1e}")


if __name__ == "__main__":
    main()
