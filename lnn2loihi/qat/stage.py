"""One stage with weights that train."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from lnn2loihi.errors import QuantizationError
from lnn2loihi.formats import FixedPoint, signed_range
from lnn2loihi.layers.linear import Linear
from lnn2loihi.layers.stage import Stage
from lnn2loihi.lowering import Lowering
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.qat.rounding import message, straight_through
from lnn2loihi.quantization.moments import Moments
from lnn2loihi.quantization.rounding import (
    LARGEST_MULTIPLIER,
    LARGEST_SUM,
    Gate,
    RoundedGate,
    Sender,
    column_scales,
    round_gate,
)
from lnn2loihi.recipe import Recipe

#: Share that a step may miss a multiplier by, so that float32 does not round it to the next.
SLACK = 1e-4


class TrainableStage(nn.Module):
    """The maps of a stage as parameters, and the integers that the chip would have of them.

    Weights that are zero in the network stay zero: their masks are kept. The step of every row,
    the real value of one unit of its mantissas, is learned (Esser et al. 2020, arXiv:1902.08153):
    `stretch` is the logarithm of its ratio to the step that the row began with.

    Args:
        stage: the float stage.
        sources: what it hears.
        lowering: how it becomes a population.
        exponents: left shift of each source's connection.
        moments: second moments of what it hears, None where its gates only pick columns; see
            `quantize_rows`.
        recipe: the width of the mantissas, and the form of tanh that training hears.
        keep: probability that a unit's message is kept in training; None without dropout.
        form: format of its message; None for a readout, which is not rounded.
        message_steps: real value of one unit of each unit's message, (units,); None for a readout.
    """

    def __init__(
        self,
        stage: Stage,
        sources: list[Sender],
        lowering: Lowering,
        exponents: tuple[int, ...],
        moments: Moments | None,
        recipe: Recipe,
        form: FixedPoint | None,
        message_steps: np.ndarray | None,
        keep: float | None = None,
    ) -> None:
        super().__init__()
        self.keep = keep
        #: What a mask leaves of the messages of each sequence, (batch, units).
        self._mask: Tensor | None = None
        self.stage, self.form, self.weight_bits = stage, form, recipe.weight_bits
        #: Whether the chip has clipped lines in place of tanh and the logistic function.
        self.clipped = bool(ACTIVATIONS[recipe.activation].knot)
        # Follows from the formats, which a module's state carries already.
        steps = torch.tensor([1.0] if message_steps is None else np.array(message_steps))
        self.register_buffer("message_steps", steps, persistent=False)
        #: The step of all units, where they share one: a number is less work than a tensor.
        self._shared_step = float(steps[0]) if len(set(steps.tolist())) == 1 else None
        self._sources, self._units, self._moments = sources, lowering.units, moments
        self.memory_steps = lowering.memory_steps
        self._held = frozenset(lowering.held)
        self._sum_steps = {name: lowering.steps_of(name, stage.units) for name in stage.gates}
        self._offset = np.zeros(stage.units) if lowering.offset is None else lowering.offset
        self.register_buffer("hardening", torch.tensor(False))
        self.register_buffer("left_shifts", torch.tensor(exponents, dtype=torch.int64))
        self.vector = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(getattr(stage, name), dtype=torch.float32))
                for name in stage.vectors
            }
        )
        self.weight = nn.ParameterDict()
        self.bias = nn.ParameterDict()
        self.stretch = nn.ParameterDict()
        for name, gate in self.trained.items():
            self.weight[name] = nn.Parameter(torch.tensor(gate.weight, dtype=torch.float32))
            self.bias[name] = nn.Parameter(torch.tensor(gate.bias, dtype=torch.float32))
            self.stretch[name] = nn.Parameter(torch.zeros(len(gate.bias)))
            for part in (self.weight, self.bias, self.stretch):
                part[name].requires_grad_(name not in stage.fixed)
            self.register_buffer(f"mask_{name}", (self.weight[name] != 0).detach().clone())
            self.register_buffer(f"fixed_{name}", torch.zeros(gate.weight.shape, dtype=torch.bool))
            self.register_buffer(f"fixed_mantissa_{name}", torch.zeros(gate.weight.shape))
            self.register_buffer(f"first_step_{name}", torch.ones(len(gate.bias)))
            self.register_buffer(f"finest_step_{name}", torch.ones(len(gate.bias)))

        if stage.selects:
            wires = np.concatenate([gate.weight for gate in stage.gates.values()])
            self.register_buffer("wires", torch.tensor(wires, dtype=torch.float32))
            self.register_buffer("no_bias", torch.zeros(len(wires)))

    @property
    def exponents(self) -> tuple[int, ...]:
        """Left shift of each source's connection."""
        return tuple(self.get_buffer("left_shifts").tolist())

    @property
    def trained(self) -> Mapping[str, Linear]:
        """The gates with weights of their own: all, or none where they only pick columns; those
        that are fixed do not train.
        """
        return {} if self.stage.selects else self.stage.gates

    @torch.no_grad()
    def start_corrected(self) -> None:
        """Begins where post-training quantization ends: with weights that make up for rounding."""
        self._shift_left(self._exponents_with_room())
        for name in self.trained:
            if name in self.stage.fixed:
                self._start_step(name, self._rows(name, None))
                continue
            rows = self._rows(name, None, "full")
            weight, bias = self._chip_values(rows)
            self.weight[name].copy_(torch.as_tensor(weight) * self.mask(name))
            self.bias[name].copy_(torch.as_tensor(bias))
            self._start_step(name, rows)

    def _exponents_with_room(self) -> tuple[int, ...]:
        """Left shifts that are lower where weights with all bits of their width could leave the
        accumulator, as far as shifts go: else its bound would keep steps from becoming smaller.
        """
        if not self.trained:
            return self.exponents
        _, left = column_scales(self._sources, self.exponents)
        ends = [np.maximum(np.abs(source.low), np.abs(source.high)) for source in self._sources]
        largest = 2.0 ** (self.weight_bits - 1) * float(left @ np.concatenate(ends))
        # Each bit less on the left is one less to shift the pre-activation to the right by.
        right = min(self._rows(name, None).shift for name in self.trained)
        needed = max(int(np.ceil(np.log2(largest / LARGEST_SUM))), 0)
        lower = max(min(needed, right, min(self.exponents)), 0)
        return tuple(exponent - lower for exponent in self.exponents)

    def change_exponents(self, exponents: tuple[int, ...]) -> None:
        """Other left shifts; the steps begin anew, as those that hold the largest weights."""
        self._shift_left(exponents)
        for name in self.trained:
            self._start_step(name, self._rows(name, None))

    def _shift_left(self, exponents: tuple[int, ...]) -> None:
        self.get_buffer("left_shifts").copy_(torch.tensor(exponents, dtype=torch.int64))

    @torch.no_grad()
    def _start_step(self, name: str, rows: RoundedGate) -> None:
        """Begins with the steps of these rows. None will outgrow their shift, since all multipliers
        of the gate would change with it.
        """
        self.stretch[name].zero_()
        self.get_buffer(f"first_step_{name}").copy_(torch.as_tensor(rows.unit))
        finest = torch.as_tensor(rows.unit / rows.multiplier)
        self.get_buffer(f"finest_step_{name}").copy_(finest)

    def step(self, gate: str) -> Tensor:
        """The learned real value of one unit of each row's sum, (units,): a multiplier's."""
        learned = self.get_buffer(f"first_step_{gate}") * self.stretch[gate].exp()
        finest = self.get_buffer(f"finest_step_{gate}")
        multiplier = torch.ceil(learned / finest * (1 - SLACK)).clamp(1, LARGEST_MULTIPLIER)
        return straight_through(multiplier * finest, learned)

    def steps(self) -> dict[str, np.ndarray]:
        """The steps of all gates in float64, to be rounded up to multipliers."""
        return {name: (1 - SLACK) * _float64(self.step(name)) for name in self.trained}

    def _values(self, gate: str) -> Tensor:
        """Real value of one unit of each mantissa, (units, columns)."""
        scale, left = column_scales(self._sources, self.exponents)
        step = self.step(gate)
        return step[:, None] * torch.as_tensor(left / scale).to(step)

    def mask(self, gate: str) -> Tensor:
        """Bool (units, columns): the synapses that exist."""
        return self.get_buffer(f"mask_{gate}")

    def set_mask(self, gate: str, mask: Tensor) -> None:
        """Takes synapses away; they stay away in training and in the program."""
        self.mask(gate).copy_(mask)
        self.get_buffer(f"fixed_{gate}").logical_and_(mask)
        with torch.no_grad():
            self.weight[gate].mul_(mask)

    def effective(self, gate: str) -> Tensor:
        """The masked weight within what mantissas can hold, not below zero in gates that have to be
        positive.
        """
        values = self._values(gate)
        low, high = (end * values for end in signed_range(self.weight_bits))
        free = self._signed(gate, torch.clamp(self.weight[gate], low, high))
        fixed = self.get_buffer(f"fixed_mantissa_{gate}") * values
        return torch.where(self.get_buffer(f"fixed_{gate}"), fixed, free) * self.mask(gate)

    def _unclipped(self, gate: str) -> Tensor:
        """The effective weight without the limits of mantissas."""
        return self._signed(gate, self.weight[gate]) * self.mask(gate)

    def effective_bias(self, gate: str) -> Tensor:
        """The bias, not below zero in gates that have to be positive."""
        return self._signed(gate, self.bias[gate])

    def effective_vectors(self) -> dict[str, Tensor]:
        """The stage's vectors, (units,) each, within their limits, and not below zero where they
        have to be positive.
        """
        return {name: self._signed(name, vector) for name, vector in self.vector.items()}

    def _signed(self, name: str, values: Tensor) -> Tensor:
        """What is below zero, or outside of its limits, and may not be stands at the end, with its
        gradient: it may come back.
        """
        if name in self.stage.limits:
            values = straight_through(values.clamp(*self.stage.limits[name]), values)
        if name not in self.stage.positive:
            return values
        return straight_through(values.clamp_min(0.0), values)

    def linear(self, gate: str) -> Linear:
        """The masked map in float64."""
        if self.stage.selects or gate in self.stage.fixed:
            return self.stage.gates[gate]
        return Linear(gate, _float64(self.effective(gate)), _float64(self.effective_bias(gate)))

    def vectors(self) -> dict[str, np.ndarray]:
        """The stage's vectors as float64 (units,)."""
        return {name: _float64(vector) for name, vector in self.effective_vectors().items()}

    def maps(self) -> tuple[Tensor, Tensor]:
        """All gates, fused: weight (gates * units, columns) and bias (gates * units,), with the
        values that the chip's mantissas stand for.
        """
        weights, biases = [], []
        if self.stage.selects:
            return self.get_buffer("wires"), self.get_buffer("no_bias")
        for name in self.trained:
            effective, values = self.effective(name), self._values(name)
            if self.hardening:
                weights.append(effective)
                biases.append(self.effective_bias(name))
                continue
            rows = self._rows(name, self.steps()[name])
            weight, bias = (torch.as_tensor(v).to(effective) for v in self._chip_values(rows))
            # The gradient of a step: what rounding moves each weight by, or the mantissa's end.
            mantissas = torch.as_tensor(rows.mantissas).to(effective)
            learned = values * straight_through(mantissas, effective / values)
            weights.append(straight_through(weight, learned))
            biases.append(straight_through(bias, self.effective_bias(name)))
        return torch.cat(weights), torch.cat(biases)

    @torch.no_grad()
    def harden(self, share: float) -> None:
        """Fixes the mantissas of so many weights of each gate; see `TrainableNetwork.harden`."""
        self.get_buffer("hardening").fill_(True)
        for name in self.trained:
            fixed, mask = self.get_buffer(f"fixed_{name}"), self.mask(name)
            count = int(share * int(mask.sum())) - int(fixed.sum())
            if count <= 0:
                continue
            units = self.effective(name) / self._values(name)
            mantissas = torch.floor(units + 0.5).clamp(*signed_range(self.weight_bits))
            moved = (units - mantissas).abs()
            moved.masked_fill_(fixed | ~mask, torch.inf)
            nearest = moved.flatten().topk(count, largest=False).indices
            fixed.view(-1)[nearest] = True
            known = self.get_buffer(f"fixed_mantissa_{name}")
            known.view(-1)[nearest] = mantissas.flatten()[nearest]

    def _rows(self, name: str, step: np.ndarray | None, correction: str = "none") -> RoundedGate:
        """The chip's integers of a gate, with these steps, or with those that hold all weights."""
        weight = self.effective(name) if step is not None else self._unclipped(name)
        weight, bias = (_float64(v) for v in (weight, self.effective_bias(name)))
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise QuantizationError(
                f"layer {self.stage.name}, gate {name}",
                "its weights are NaN or infinite: training has diverged; lower the learning rate, "
                "or clip gradients",
            )
        positive = name in self.stage.positive
        step = self._sum_steps[name] if step is None else step
        gate = Gate(
            name, weight, bias - self._offset, self._units[name], positive, step,
            name in self._held,
        )  # fmt: skip
        assert self._moments is not None
        return round_gate(
            gate, self._sources, self._moments, self.weight_bits, self.exponents, correction
        )

    def _chip_values(self, rows: RoundedGate) -> tuple[np.ndarray, np.ndarray]:
        """Weight and bias of a gate as the chip's integers stand for them, in float64."""
        return rows.mantissas * rows.values, rows.bias * rows.unit + self._offset

    def sent(self, value: Tensor) -> Tensor:
        """The message as it is sent."""
        if self.form is None:
            return value
        step = self._shared_step
        if step is None:
            step = self.get_buffer("message_steps").to(value)
        return message(value, step, self.form.low, self.form.high)

    def draw(self, like: Tensor) -> None:
        """Draws the masks of so many sequences as `like` has, if there is dropout: each holds from
        the first sample to the last one.
        """
        if self.keep is not None:
            chances = torch.full((len(like), self.stage.units), self.keep, device=like.device)
            self._mask = torch.bernoulli(chances).to(like) / self.keep

    def heard(self, value: Tensor) -> Tensor:
        """The message, (batch, units) or (batch, steps, units), as others hear it in training."""
        sent, mask = self.sent(value), self._mask
        if mask is None:
            return sent
        return sent * (mask if sent.dim() == 2 else mask[:, None])

    def crowding(self) -> Tensor:
        """How far the 24-bit accumulator is from holding rows with all bits of their mantissas.

        For each row the ratio of the unit that the largest sum asks for to the one that it has
        learned; above 1, weight bits are lost. The sum over rows of what is
        above 1; differentiable, for a penalty in the loss.
        """
        reach = np.concatenate([source.reach for source in self._sources])
        total = torch.zeros(())
        for name in self.trained:
            weight = self.effective(name)
            largest = torch.as_tensor(reach).to(weight)
            bias = self.bias[name] - torch.as_tensor(self._offset).to(weight)
            by_sum = (weight.abs() @ largest + bias.abs()) / LARGEST_SUM
            ratio = by_sum / self.step(name)
            total = total.to(weight) + torch.relu(ratio - 1.0).sum()
        return total


def _float64(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float64)
