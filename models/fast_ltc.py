"""An `ncps.torch.LTC` that trains faster. Needs PyTorch and ncps.

It has the arrays of the LTC of ncps, so that `load_state_dict` moves weights in both directions,
and gives the same values and gradients, with these differences in how: only synapses that the
wiring has are computed, those of the inputs for all samples at once, and both sums over synapses
are one matrix product. Every sequence of a batch may have timespans of its own; ncps 1.0.1 is
wrong there.
"""

from __future__ import annotations

from typing import Any

import torch
from ncps.torch import LTC
from torch import Tensor

from lnn2loihi.errors import InputError


class FastLTC(LTC):
    """An `ncps.torch.LTC` without mixed memory, for batches (batch, time, inputs)."""

    def forward(
        self, input: Tensor, hx: Tensor | None = None, timespans: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Outputs and last potentials.

        Args:
            input: (batch, time, inputs).
            hx: potentials before the first sample, (batch, units); zeros where absent.
            timespans: (batch, time); 1.0 where absent.

        Returns:
            Outputs (batch, time, outputs), or the last ones where `return_sequences` is off, and
            (batch, units).

        Raises:
            InputError: the input has no batch or comes time first, or there is a mixed memory.
        """
        if self.use_mixed or not self.batch_first or input.dim() != 3:
            raise InputError(
                "FastLTC", "takes (batch, time, inputs) and no mixed memory; train with ncps's own"
            )
        outputs, v = _run(self.rnn_cell, input, hx, timespans)
        return outputs if self.return_sequences else outputs[:, -1], v


def _run(
    cell: Any, x: Tensor, hx: Tensor | None, timespans: Tensor | None
) -> tuple[Tensor, Tensor]:
    own, positive = cell._params, cell.make_positive_fn
    inside = _Synapses(own, "", positive)
    inputs = _Synapses(own, "sensory_", positive)(cell._map_inputs(x))
    leak = positive(own["gleak"])
    current, conductance = inputs.chunk(2, dim=-1)
    current = current + leak * own["vleak"]
    conductance = conductance + leak + cell._epsilon
    fixed = torch.cat([current, conductance], dim=-1)
    kept = positive(own["cm"]) * cell._ode_unfolds
    v = x.new_zeros(len(x), leak.numel()) if hx is None else hx
    answers = []
    for step in range(x.shape[1]):
        capacitance = kept if timespans is None else kept / timespans[:, step, None]
        for _ in range(cell._ode_unfolds):
            drawn, total = (fixed[:, step] + inside(v)).chunk(2, dim=-1)
            v = (capacitance * v + drawn) / (capacitance + total)
        answers.append(cell._map_outputs(v))
    return torch.stack(answers, dim=1), v


class _Synapses:
    """The synapses of a block that exist; answers current and conductance side by side."""

    def __init__(self, own: Any, block: str, positive: Any) -> None:
        mask = own[f"{block}sparsity_mask"]
        self._before, after = torch.nonzero(mask, as_tuple=True)
        live = self._before, after
        self._slope = own[f"{block}sigma"][live]
        self._offset = -self._slope * own[f"{block}mu"][live]
        weight = positive(own[f"{block}w"][live]) * mask[live]
        place = torch.nn.functional.one_hot(after, mask.shape[1]).to(weight)
        both = (weight * own[f"{block}erev"][live], weight)
        self._sums = torch.cat([place * values[:, None] for values in both], dim=1)

    def __call__(self, z: Tensor) -> Tensor:
        opened = torch.sigmoid(torch.addcmul(self._offset, self._slope, z[..., self._before]))
        return opened @ self._sums
