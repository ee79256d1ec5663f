"""minGRU and minLSTM as modules of PyTorch, for training. Needs PyTorch.

Equations: Feng et al. 2024, arXiv:2410.01201. The names of the parameters are those of the public
implementation, github.com/lucidrains/minGRU-pytorch.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from lnn2loihi.errors import InputError
from lnn2loihi.families.minimal.layer import FORMS


class _Minimal(nn.Module):
    """A layer whose state moves towards a candidate by a share that the inputs alone determine.

    Args:
        input_size: number of inputs.
        hidden_size: number of units.
        bias: whether the maps have biases.
        form: "log": a candidate is a + 0.5 where its sum a is at least 0 and sigmoid(a) elsewhere,
            so that states stay positive; "linear": it is a itself.

    Raises:
        InputError: the form is not known.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = False, form: str = "log"
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise InputError("form", f"is {form!r}; there are {', '.join(FORMS)}")
        self.input_size, self.hidden_size, self.form = input_size, hidden_size, form
        self.register_gates(bias)

    @abstractmethod
    def register_gates(self, bias: bool) -> None:
        """Makes the map that stacks the gates."""

    @abstractmethod
    def sums(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The candidate's sum, and the share of the candidate, (batch, time, units) each."""

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The states in all steps and the last one.

        Args:
            x: (batch, time, inputs).
            hx: the state before, (batch, units); zeros where absent.

        Returns:
            (batch, time, units) and (batch, units).
        """
        total, share = self.sums(x)
        if self.form == "log":
            total = torch.relu(total) + torch.sigmoid(total.clamp(max=0.0))
        h = total.new_zeros(total[:, 0].shape) if hx is None else hx
        states = []
        for candidate, part in zip(total.unbind(1), share.unbind(1), strict=True):
            h = torch.lerp(h, candidate, part)
            states.append(h)
        return torch.stack(states, dim=1), h


class MinGRU(_Minimal):
    """h' = (1 - u) h + u candidate, with u = sigmoid of a map of x."""

    def register_gates(self, bias: bool) -> None:
        """See `_Minimal`."""
        self.to_hidden_and_gate = nn.Linear(self.input_size, 2 * self.hidden_size, bias=bias)

    def sums(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `_Minimal`."""
        total, gate = self.to_hidden_and_gate(x).chunk(2, dim=-1)
        return total, torch.sigmoid(gate)


class MinLSTM(_Minimal):
    """h' = (1 - s) h + s candidate, with s = i / (f + i) and gates i, f that depend on x alone."""

    def register_gates(self, bias: bool) -> None:
        """See `_Minimal`."""
        self.to_hidden_and_f_i_gate = nn.Linear(self.input_size, 3 * self.hidden_size, bias=bias)

    def sums(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `_Minimal`."""
        total, forget, taken = self.to_hidden_and_f_i_gate(x).chunk(3, dim=-1)
        logs = nn.functional.logsigmoid(taken), nn.functional.logsigmoid(forget)
        return total, torch.sigmoid(logs[0] - logs[1])
