"""One stage with weights that train."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lnn2loihi.formats import FixedPoint
from lnn2loihi.layers.linear import Linear
from lnn2loihi.layers.stage import Stage
from lnn2loihi.qat.rounding import message, straight_through
from lnn2loihi.quantize.families import Lowering
from lnn2loihi.quantize.rows import LARGEST_SUM, Gate, Source, column_scales, quantize_gate


class TrainableStage(nn.Module):
    """The maps of a stage as parameters, and the integers that the chip would have of them.

    Weights that are zero in the network stay zero: their masks are kept.

    Args:
        stage: the float stage.
        sources: what it hears.
        lowering: how it becomes a population.
        exponents: left shift of each source's connection.
        moments: second moments of what it hears; see `quantize_rows`.
        weight_bits: width of the mantissas.
        form: format of its message; None for a readout, which is not rounded.
    """

    def __init__(
        self,
        stage: Stage,
        sources: list[Source],
        lowering: Lowering,
        exponents: tuple[int, ...],
        moments: np.ndarray,
        weight_bits: int,
        form: FixedPoint | None,
    ) -> None:
        super().__init__()
        self.stage, self.form, self.weight_bits = stage, form, weight_bits
        self._sources, self._units, self._moments = sources, lowering.units, moments
        self.memory_step = lowering.memory_step
        self.exponents = exponents
        self.vector = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(getattr(stage, name), dtype=torch.float32))
                for name in stage.vectors
            }
        )
        self.weight = nn.ParameterDict()
        self.bias = nn.ParameterDict()
        for name, gate in stage.gates.items():
            self.weight[name] = nn.Parameter(torch.tensor(gate.weight, dtype=torch.float32))
            self.bias[name] = nn.Parameter(torch.tensor(gate.bias, dtype=torch.float32))
            self.register_buffer(f"mask_{name}", (self.weight[name] != 0).detach().clone())

    @torch.no_grad()
    def start_corrected(self) -> None:
        """Begins where post-training quantization ends: with weights that make up for rounding."""
        for name in self.stage.gates:
            weight, bias = self._chip_values(name, "full")
            self.weight[name].copy_(torch.as_tensor(weight) * self.mask(name))
            self.bias[name].copy_(torch.as_tensor(bias))

    def mask(self, gate: str) -> Tensor:
        """Bool (units, columns): the synapses that exist."""
        return self.get_buffer(f"mask_{gate}")

    def set_mask(self, gate: str, mask: Tensor) -> None:
        """Takes synapses away; they stay away in training and in the program."""
        self.mask(gate).copy_(mask)
        with torch.no_grad():
            self.weight[gate].mul_(mask)

    def effective(self, gate: str) -> Tensor:
        """The masked weight."""
        return self.weight[gate] * self.mask(gate)

    def linear(self, gate: str) -> Linear:
        """The masked map in float64."""
        weight, bias = self.effective(gate), self.bias[gate]
        return Linear(gate, *(p.detach().cpu().numpy().astype(np.float64) for p in (weight, bias)))

    def vectors(self) -> dict[str, np.ndarray]:
        """The stage's vectors as float64 (units,)."""
        return {n: v.detach().cpu().numpy().astype(np.float64) for n, v in self.vector.items()}

    def maps(self) -> tuple[Tensor, Tensor]:
        """All gates, fused: weight (gates * units, columns) and bias (gates * units,), with the
        values that the chip's mantissas stand for.
        """
        weights, biases = [], []
        for name in self.stage.gates:
            effective = self.effective(name)
            weight, bias = (torch.as_tensor(v).to(effective) for v in self._chip_values(name))
            weights.append(straight_through(weight, effective))
            biases.append(straight_through(bias, self.bias[name]))
        return torch.cat(weights), torch.cat(biases)

    def _chip_values(self, name: str, correction: str = "none") -> tuple[np.ndarray, np.ndarray]:
        """Weight and bias of a gate as the chip's integers stand for them, in float64."""
        linear = self.linear(name)
        gate = Gate(name, linear.weight, linear.bias, self._units[name])
        rows = quantize_gate(
            gate, self._sources, self._moments, self.weight_bits, self.exponents, correction
        )
        scale, left = column_scales(self._sources, self.exponents)
        return rows.mantissas * (rows.unit[:, None] * left / scale), rows.bias * rows.unit

    def sent(self, value: Tensor) -> Tensor:
        """The message as others hear it."""
        if self.form is None:
            return value
        return message(value, self.form.step, self.form.low, self.form.high)

    def crowding(self) -> Tensor:
        """How far the 24-bit accumulator is from holding rows with all bits of their mantissas.

        For each row the ratio of the unit that the largest sum asks for to the one that the
        largest mantissa asks for; above 1, weight bits are lost. The sum over rows of what is
        above 1; differentiable, for a penalty in the loss.
        """
        reach = np.concatenate([source.reach for source in self._sources])
        scale, left = column_scales(self._sources, self.exponents)
        total = torch.zeros(())
        for name in self.stage.gates:
            weight = self.effective(name)
            largest = torch.as_tensor(reach).to(weight)
            factor = torch.as_tensor(scale / left).to(weight)
            by_sum = (weight.abs() @ largest + self.bias[name].abs()) / LARGEST_SUM
            most = (weight.abs() * factor).amax(dim=1) / (2.0 ** (self.weight_bits - 1) - 1)
            ratio = by_sum / most.clamp_min(torch.finfo(weight.dtype).tiny)
            total = total.to(weight) + torch.relu(ratio - 1.0).sum()
        return total
