"""The CfC of ncps.keras and ncps.tf as a module of PyTorch, for training. Needs PyTorch.

Its heads are linear, where those of ncps.torch have a tanh, and its gate is
sigmoid(-time_a * elapsed + time_b). The names of the parameters are those of ncps.torch, but for
that of the cell, `linear_cell`, which tells the files of the two apart.

Source: ncps 1.0.1, keras/cfc.py and keras/cfc_cell.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lnn2loihi.errors import InputError
from lnn2loihi.families.cfc.layer import MODES
from lnn2loihi.layers.activations import LECUN_INPUT, LECUN_OUTPUT


class LeCun(nn.Module):
    """LeCun's tanh, 1.7159 tanh(0.666 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Of each element."""
        return LECUN_OUTPUT * torch.tanh(LECUN_INPUT * x)


#: Activations of a backbone.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "lecun_tanh": LeCun, "silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU,
}  # fmt: skip


class LinearCfCCell(nn.Module):
    """One step: with z = [x; h], passed through the backbone if there is one,
    h' = f1 (1 - g) + g f2 with f1 = ff1 z, f2 = ff2 z; see `LinearCfC`.
    """

    def __init__(
        self,
        input_size: int,
        units: int,
        mode: str,
        activation: str,
        backbone_units: int,
        backbone_layers: int,
    ) -> None:
        super().__init__()
        self.mode, columns = mode, input_size + units
        parts: list[nn.Module] = []
        for _ in range(backbone_layers):
            parts += [nn.Linear(columns, backbone_units), ACTIVATIONS[activation]()]
            columns = backbone_units
        self.backbone = nn.Sequential(*parts)
        self.backbone_layers = backbone_layers
        self.ff1 = nn.Linear(columns, units)
        if mode == "pure":
            self.w_tau = nn.Parameter(torch.zeros(1, units))
            self.A = nn.Parameter(torch.ones(1, units))
        else:
            self.ff2 = nn.Linear(columns, units)
            self.time_a, self.time_b = (nn.Linear(columns, units) for _ in range(2))
        for part in self.modules():
            if isinstance(part, nn.Linear):  # as Keras begins
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)

    def forward(self, x: Tensor, h: Tensor, elapsed: Any = 1.0) -> tuple[Tensor, Tensor]:
        """The answer and the new state, which are the same.

        Args:
            x: (batch, inputs).
            h: (batch, units).
            elapsed: a number, or (batch, 1).
        """
        z = self.backbone(torch.cat([x, h], -1))
        f1 = self.ff1(z)
        if self.mode == "pure":
            rate = self.w_tau.abs() + f1.abs()
            h = self.A - self.A * torch.exp(-elapsed * rate) * f1
            return h, h
        f2, gate = self.ff2(z), torch.sigmoid(self.time_b(z) - self.time_a(z) * elapsed)
        h = f1 + gate * f2 if self.mode == "no_gate" else f1 + gate * (f2 - f1)
        return h, h


class LinearCfC(nn.Module):
    """A CfC whose heads are linear, called as an ncps.torch.CfC is.

    Args:
        input_size: number of inputs.
        units: number of units.
        proj_size: outputs of a linear map after it; None for none.
        mode: "default", "no_gate", or "pure", which is the same in ncps.torch.
        activation: of the backbone, one of ACTIVATIONS.
        backbone_units: units of each layer of the backbone.
        backbone_layers: layers of the backbone.

    Raises:
        InputError: a mode or an activation is not known.
    """

    use_mixed, return_sequences, batch_first = False, True, True

    def __init__(
        self,
        input_size: int,
        units: int,
        proj_size: int | None = None,
        mode: str = "default",
        activation: str = "lecun_tanh",
        backbone_units: int = 128,
        backbone_layers: int = 0,
    ) -> None:
        super().__init__()
        for name, given, known in (("mode", mode, MODES), ("activation", activation, ACTIVATIONS)):
            if given not in known:
                raise InputError(name, f"is {given!r:.60}; there are {', '.join(known)}")
        self.input_size, self.state_size, self.activation = input_size, units, activation
        self.linear_cell = LinearCfCCell(
            input_size, units, mode, activation, backbone_units, backbone_layers
        )
        self.fc: nn.Module = nn.Identity() if proj_size is None else nn.Linear(units, proj_size)
        self.proj_size = proj_size

    @property
    def rnn_cell(self) -> LinearCfCCell:
        """The cell, as an ncps.torch.CfC calls it."""
        return self.linear_cell

    def forward(
        self, x: Tensor, hx: Tensor | None = None, timespans: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The answers of all steps and the last state.

        Args:
            x: (batch, time, inputs).
            hx: the state before, (batch, units); zeros where absent.
            timespans: elapsed times (batch, time); 1 where absent.

        Returns:
            (batch, time, outputs) and (batch, units).
        """
        h = x.new_zeros(len(x), self.state_size) if hx is None else hx
        states: list[Tensor] = []
        for step in range(x.shape[1]):
            elapsed = 1.0 if timespans is None else timespans[:, step : step + 1]
            states.append(self.linear_cell(x[:, step], h, elapsed)[0])
            h = states[-1]
        return self.fc(torch.stack(states, 1)), h
