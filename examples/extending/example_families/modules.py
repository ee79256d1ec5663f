"""The cells as somebody trains them, in PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LightGate(nn.Module):
    """h' = h + sigmoid(a) (hard_tanh(b) - h) with [a; b] = gates [x; h]; answers (outputs, h)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.gates = nn.Linear(input_size + hidden_size, 2 * hidden_size)

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Samples (batch, time, inputs)."""
        h = x.new_zeros(len(x), self.hidden_size) if h is None else h
        answers: list[Tensor] = []
        for sample in x.unbind(1):
            a, b = self.gates(torch.cat([sample, h], -1)).chunk(2, -1)
            h = h + torch.sigmoid(a) * (nn.functional.hardtanh(b) - h)
            answers.append(h)
        return torch.stack(answers, 1), h


class Oscillator(nn.Module):
    """z' = z + step (tanh(drive [x; y]) - stiffness y - damping z), y' = y + step z'; answers y."""

    def __init__(self, input_size: int, hidden_size: int, step: float = 0.25) -> None:
        super().__init__()
        self.hidden_size, self.step = hidden_size, step
        self.drive = nn.Linear(input_size + hidden_size, hidden_size)
        self.stiffness = nn.Parameter(torch.empty(hidden_size).uniform_(0.5, 1.5))
        self.damping = nn.Parameter(torch.empty(hidden_size).uniform_(0.5, 1.5))

    def forward(self, x: Tensor) -> Tensor:
        """Samples (batch, time, inputs)."""
        y = z = x.new_zeros(len(x), self.hidden_size)
        answers: list[Tensor] = []
        for sample in x.unbind(1):
            force = torch.tanh(self.drive(torch.cat([sample, y], -1)))
            z = z + self.step * (force - self.stiffness * y - self.damping * z)
            y = y + self.step * z
            answers.append(y)
        return torch.stack(answers, 1)
