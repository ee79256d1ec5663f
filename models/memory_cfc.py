"""An `ncps.torch.CfC` with mixed memory that hears elapsed times. Needs PyTorch and ncps.

It has the arrays of that of ncps, so that `load_state_dict` moves weights in both directions, and
the same first weights and answers. Every sequence of a batch may have timespans of its own; ncps
1.0.1 is wrong there. What the samples add to all sums is computed for all steps at once, and the
four heads are one matrix product.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from ncps.torch import CfC
from torch import Tensor, nn

from lnn2loihi.errors import InputError
from lnn2loihi.models.fast_cfc import HEADS, INNER, OUTER

#: Functions of a backbone, by their names in ncps.
ACTIVATIONS = {
    "lecun_tanh": lambda sums: OUTER * torch.tanh(INNER * sums),
    "tanh": torch.tanh,
    "silu": nn.functional.silu,
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
}


class MemoryCfC(CfC):
    """A dense CfC of mode "default" whose state passes an LSTM in every step.

    Args:
        input_size: channels of the input.
        units: units of the state, and of the LSTM.
        proj_size: outputs of the readout.
        activation: name of the function after each layer of the backbone.
        backbone_units: units of each layer of the backbone.
        backbone_layers: layers of the backbone, 1 or more.

    Raises:
        InputError: the activation is unknown, or there is no backbone.
    """

    def __init__(
        self,
        input_size: int,
        units: int,
        proj_size: int,
        *,
        activation: str = "lecun_tanh",
        backbone_units: int = 128,
        backbone_layers: int = 1,
    ) -> None:
        if activation not in ACTIVATIONS or backbone_layers < 1:
            known = ", ".join(ACTIVATIONS)
            raise InputError("the model", f"takes a backbone with one of {known}")
        super().__init__(
            input_size,
            units,
            proj_size=proj_size,
            mixed_memory=True,
            activation=activation,
            backbone_units=backbone_units,
            backbone_layers=backbone_layers,
        )
        self._inputs, self._units = input_size, units
        self._function = ACTIVATIONS[activation]

    def forward(
        self, input: Tensor, hx: Any = None, timespans: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Runs over sequences.

        Args:
            input: (batch, time, inputs).
            hx: the state and that of the LSTM before, (batch, units) each; zeros where absent.
            timespans: (batch, time); 1.0 where absent.

        Returns:
            Outputs (batch, time, outputs), and the two states after.
        """
        cell: Any = self.rnn_cell
        lstm = cast("Any", self.lstm)
        to_memory = lstm.input_map(input).unbind(1)
        first, *others = [layer for layer in cell.backbone if isinstance(layer, nn.Linear)]
        of_samples, of_state = first.weight[:, : self._inputs], first.weight[:, self._inputs :].t()
        heard = nn.functional.linear(input, of_samples, first.bias).unbind(1)
        weight = torch.cat([getattr(cell, name).weight for name in HEADS]).t()
        bias = torch.cat([getattr(cell, name).bias for name in HEADS])
        recurrent = lstm.recurrent_map.weight.t()
        elapsed = (
            torch.ones_like(input[..., :1]) if timespans is None else timespans.unsqueeze(-1)
        ).unbind(1)
        state = input.new_zeros(len(input), self._units)
        state, memory = (state, state) if hx is None else hx
        units = self._units
        found = []
        for into, sums, time in zip(to_memory, heard, elapsed, strict=True):
            gates = torch.addmm(into, state, recurrent)
            value, opened = torch.tanh(gates[:, :units]), torch.sigmoid(gates[:, units:])
            # As in ncps, the gate that keeps leans towards keeping.
            kept = torch.sigmoid(gates[:, 2 * units : 3 * units] + 1.0)
            memory = memory * kept + value * opened[:, :units]
            shown = torch.tanh(memory) * opened[:, 2 * units :]
            active = self._function(torch.addmm(sums, shown, of_state))
            for layer in others:
                active = self._function(layer(active))
            answer = torch.addmm(bias, active, weight)
            both = torch.tanh(answer[:, : 2 * units])
            slope, offset = answer[:, 2 * units : 3 * units], answer[:, 3 * units :]
            gate = torch.sigmoid(slope * time + offset)
            state = torch.lerp(both[:, :units], both[:, units:], gate)
            found.append(state)
        return self.fc(torch.stack(found, 1)), (state, memory)
