"""A CfC without wiring in plain PyTorch that trains faster than the one of ncps. Needs PyTorch.

It has the keys and shapes of `ncps.torch.CfC(..., mode="default")`, so that `load_state_dict` moves
weights in both directions, and gives the same values, with these differences in how:

- The input part of the first matrix is multiplied for all time steps at once.
- So are, on the way back, the gradients of all matrices, and the slopes of all functions: what is
  left to do step by step is one product per matrix (`_Recurrence`).
- The heads ff1, ff2, time_a and time_b are one matrix product, and with a constant elapsed time the
  two of time are merged into one.
- The factors of LeCun's tanh are folded into the matrices on its two sides.
- Every sequence of a batch has its own timespans; ncps 1.0.1 fails on them, or is wrong without a
  word where there are as many sequences as units.

With `form="hard"` it trains for the chip's clipped lines in place of tanh (recipes such as
`w8a12-hard`), which ncps does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lnn2loihi.errors import InputError, Problems
from lnn2loihi.neurons.activations import HARD_KNOT

#: LeCun's tanh is OUTER * tanh(INNER * x).
INNER, OUTER = 0.666, 1.7159

#: Activations of a backbone that are the form's tanh; the first stands without its factors.
SQUASHED = ("lecun_tanh", "tanh")


@dataclass(frozen=True)
class Function:
    """A function between the matrices.

    Attributes:
        compute: its value; in place where `slope` is known.
        slope: its derivative by its value; None where that needs the sums too.
    """

    compute: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Form:
    """What tanh and the logistic function are.

    Attributes:
        squash: stands for tanh, from -1 to 1.
        share: stands for the logistic function, from 0 to 1.
    """

    squash: Function
    share: Function


#: Activations of a backbone that are the same in every form.
OTHERS = {
    "silu": Function(functional.silu),
    "relu": Function(torch.relu_, lambda value: (value > 0).to(value.dtype)),
    "gelu": Function(functional.gelu),
}
#: `hard` is what the chip computes with a recipe of that form: clamp(x / HARD_KNOT, -1, 1) for tanh
#: and, by tanh, (1 + clamp(x / (2 HARD_KNOT), -1, 1)) / 2 for the logistic function.
FORMS = {
    "tanh": Form(
        Function(torch.tanh_, lambda value: 1 - value * value),
        Function(torch.sigmoid_, lambda value: value * (1 - value)),
    ),
    "hard": Form(
        Function(
            lambda sums: sums.div_(HARD_KNOT).clamp_(-1, 1),
            lambda value: (value.abs() < 1).to(value.dtype).div_(HARD_KNOT),
        ),
        Function(
            lambda sums: sums.div_(4 * HARD_KNOT).add_(0.5).clamp_(0, 1),
            lambda value: ((value > 0) & (value < 1)).to(value.dtype).div_(4 * HARD_KNOT),
        ),
    ),
}
HEADS = ("ff1", "ff2", "time_a", "time_b")


class FastCfC(nn.Module):
    """A CfC of mode "default" with a dense backbone and, if asked for, a linear readout.

    With the same seed of PyTorch its first weights are those of `ncps.torch.CfC`.

    Args:
        input_size: channels of the input.
        units: units of the state.
        proj_size: outputs of the readout; without it the output is the state.
        activation: name of the function after each layer of the backbone.
        backbone_units: units of each layer of the backbone.
        backbone_layers: layers of the backbone, 0 or more.
        form: key of FORMS, for every tanh and logistic function. The weights of one form load into
            a model of another one, which computes something else with them.

    Raises:
        InputError: the activation or the form is unknown.
    """

    def __init__(
        self,
        input_size: int,
        units: int,
        proj_size: int | None = None,
        *,
        activation: str = "lecun_tanh",
        backbone_units: int = 128,
        backbone_layers: int = 1,
        form: str = "tanh",
    ) -> None:
        super().__init__()
        problems = Problems(InputError, "the model")
        for what, given, known in (
            ("activation", activation, (*SQUASHED, *OTHERS)),
            ("form", form, FORMS),
        ):
            if given not in known:
                problems.add(f"{what} {given!r} is not known; known are {', '.join(known)}")
        problems.raise_if_any()
        self.input_size, self.units = input_size, units
        self.activation, self.form = activation, form
        widths = [input_size + units] + backbone_layers * [backbone_units]
        # Every second key, since in ncps the activations are modules in between.
        backbone = {
            str(2 * layer): nn.Linear(widths[layer], widths[layer + 1])
            for layer in range(backbone_layers)
        }
        heads = {name: nn.Linear(widths[-1], units) for name in HEADS}
        self.rnn_cell = nn.ModuleDict({"backbone": nn.ModuleDict(backbone), **heads})
        for parameter in self.rnn_cell.parameters():
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
        self.fc = nn.Identity() if proj_size is None else nn.Linear(units, proj_size)

    def begin_to_remember(self, gain: float, bias: float = -2.0) -> None:
        """First weights, before training, with which a unit keeps what it had: without them
        a network without backbone takes long to learn what lies more than some steps back.

        The recurrent weights of ff1 become the identity, the gate leans towards ff1, and the
        weights of the inputs, which are often small numbers, grow.

        Args:
            gain: by how much the weights of the inputs grow.
            bias: of the gate; below 0 it leans towards ff1.

        Raises:
            InputError: there is a backbone.
        """
        if len(cast("nn.ModuleDict", self.rnn_cell["backbone"])):
            raise InputError("the model", "has a backbone, whose heads do not hear the state")
        with torch.no_grad():
            for name in HEADS:
                cast("nn.Linear", self.rnn_cell[name]).weight[:, : self.input_size] *= gain
            first = cast("nn.Linear", self.rnn_cell["ff1"])
            first.weight[:, self.input_size :] = torch.eye(self.units)
            cast("nn.Linear", self.rnn_cell["time_b"]).bias.fill_(bias)

    def forward(
        self, x: Tensor, hx: Tensor | None = None, timespans: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Runs over sequences.

        Args:
            x: (batch, time, input_size).
            hx: the state before, (batch, units); zeros if it is None.
            timespans: elapsed time before each sample, (batch, time), in the unit of training; 1.0
                everywhere if it is None.

        Returns:
            Outputs (batch, time, proj_size), or (batch, time, units) without a readout, and the
            state after, (batch, units).

        Raises:
            InputError: the shapes do not fit.
        """
        self._check(x, timespans)
        maps = self._maps(merged=timespans is None)
        elapsed = None if timespans is None else timespans.t().unsqueeze(-1).to(x.dtype)
        start = x.new_zeros(x.shape[0], self.units) if hx is None else hx
        flat = [part for pair in maps for part in pair]
        form = FORMS[self.form]
        between = form.squash if self.activation in SQUASHED else OTHERS[self.activation]
        states = _Recurrence.apply(between, form, elapsed, x.transpose(0, 1), start, *flat)
        return self.fc(states.transpose(0, 1)), states[-1]

    def _maps(self, merged: bool) -> list[tuple[Tensor, Tensor]]:
        """Weights and biases of the backbone and of all heads, factors of tanh folded in.

        Args:
            merged: whether time_a and time_b are added, for an elapsed time of 1.0.
        """
        backbone = cast("nn.ModuleDict", self.rnn_cell["backbone"])
        maps = [_weight_and_bias(layer) for layer in backbone.values()]
        parts = [_weight_and_bias(self.rnn_cell[name]) for name in HEADS]
        if merged:
            (weight_a, bias_a), (weight_b, bias_b) = parts[2:]
            parts[2:] = [(weight_a + weight_b, bias_a + bias_b)]
        weights, biases = zip(*parts, strict=True)
        maps.append((torch.cat(weights), torch.cat(biases)))
        if self.activation != "lecun_tanh":
            return maps
        before = [1.0] + (len(maps) - 1) * [OUTER]
        after = (len(maps) - 1) * [INNER] + [1.0]
        return [
            (weight * (outer * inner), bias * inner)
            for (weight, bias), outer, inner in zip(maps, before, after, strict=True)
        ]

    def _check(self, x: Tensor, timespans: Tensor | None) -> None:
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise InputError(
                "x", f"has shape {tuple(x.shape)}, expected (batch, time, {self.input_size})"
            )
        if timespans is None:
            return
        if timespans.shape != x.shape[:2]:
            raise InputError(
                "timespans",
                f"have shape {tuple(timespans.shape)}, expected {tuple(x.shape[:2])}",
            )
        if timespans.requires_grad:
            raise InputError("timespans", "have no gradient here; step through ncps for one")


def _weight_and_bias(linear: nn.Module) -> tuple[Tensor, Tensor]:
    return cast("Tensor", linear.weight), cast("Tensor", linear.bias)


class _Recurrence(torch.autograd.Function):
    """All steps of the state, with what does not depend on the order of steps outside the loops.

    Shapes: T steps, B sequences, I inputs, H units; the k-th layer of the backbone has C_k units,
    and the last matrix is that of the 3 H or 4 H heads.
    """

    @staticmethod
    def forward(
        ctx: Any,
        activation: Function,
        form: Form,
        elapsed: Tensor | None,
        x: Tensor,
        start: Tensor,
        *maps: Tensor,
    ) -> Tensor:
        """States after each step, (T, B, H).

        Args:
            ctx: what the way back needs.
            activation: the function after each layer of the backbone.
            form: the functions of the heads.
            elapsed: (T, B, 1), or None where the two heads of time are one.
            x: (T, B, I).
            start: (B, H).
            maps: weight and bias of each matrix; the first has I + H columns.
        """
        weights, biases = maps[::2], maps[1::2]
        inputs, units = x.shape[2], start.shape[1]
        # The first sums begin as what the inputs give; the others get their memory here.
        sums = [functional.linear(x, weights[0][:, :inputs], biases[0])]
        sums += [x.new_empty(*x.shape[:2], len(bias)) for bias in biases[1:]]
        active = [part if activation.slope else torch.empty_like(part) for part in sums[:-1]]
        states = torch.cat([start.unsqueeze(0), x.new_empty(*x.shape[:2], units)])
        turned = [weights[0][:, inputs:].t(), *(part.t() for part in weights[1:])]
        first, second, gate, *offset = sums[-1].split(units, 2)
        for t in range(len(x)):
            sums[0][t].addmm_(states[t], turned[0])
            for k, value in enumerate(active):
                value[t] = activation.compute(sums[k][t])
                torch.addmm(biases[k + 1], value[t], turned[k + 1], out=sums[k + 1][t])
            # The sums of the heads make room for the two values and the share of the second.
            form.squash.compute(sums[-1][t, :, : 2 * units])
            if elapsed is not None:
                gate[t].mul_(elapsed[t]).add_(offset[0][t])
            form.share.compute(gate[t])
            torch.lerp(first[t], second[t], gate[t], out=states[t + 1])
        ctx.activation, ctx.form, ctx.elapsed, ctx.layers = activation, form, elapsed, len(active)
        # Memory that the caller gets must not change under what the way back keeps.
        ctx.save_for_backward(x, states, *weights, *sums, *active)
        return states[1:].clone()

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  (of the decorator)
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Gradients of the arguments of `forward`, from that of the states (T, B, H)."""
        (outer,) = gradients
        x, states, *rest = ctx.saved_tensors
        count = ctx.layers + 1
        weights, sums, active = rest[:count], rest[count : 2 * count], rest[2 * count :]
        # Slopes of all steps; the loop turns them into the gradients of the sums, in place.
        slopes = [
            _slope(ctx.activation, before, after)
            for before, after in zip(sums[:-1], active, strict=True)
        ]
        slopes.append(_slope_of_heads(ctx.form, sums[-1], states.shape[2], ctx.elapsed))
        heads = slopes[-1].unflatten(2, (-1, states.shape[2]))
        from_state = weights[0][:, x.shape[2] :]
        inner = torch.zeros_like(states[0])
        for t in range(len(x) - 1, -1, -1):
            inner += outer[t]
            heads[t].mul_(inner.unsqueeze(1))
            for k in range(ctx.layers, 0, -1):
                slopes[k - 1][t].mul_(slopes[k][t] @ weights[k])
            torch.mm(slopes[0][t], from_state, out=inner)
        found: list[Tensor] = []
        for slope, value in zip(slopes, (torch.cat([x, states[:-1]], 2), *active), strict=True):
            flat = slope.flatten(0, 1)
            found += [flat.t() @ value.flatten(0, 1), flat.sum(0)]
        of_inputs = slopes[0] @ weights[0][:, : x.shape[2]] if ctx.needs_input_grad[3] else None
        return None, None, None, of_inputs, inner, *found


def _slope(activation: Function, sums: Tensor, values: Tensor) -> Tensor:
    """The derivative of an activation by its sums, which are gone where its slope is known."""
    if activation.slope is not None:
        return activation.slope(values)
    with torch.enable_grad():
        points = sums.detach().requires_grad_()
        again = activation.compute(points)
        return torch.autograd.grad(again, points, torch.ones_like(again))[0]


def _slope_of_heads(form: Form, heads: Tensor, units: int, elapsed: Tensor | None) -> Tensor:
    """The derivative of the next state by the sums of each head, (T, B, 3 H or 4 H).

    Args:
        form: their functions.
        heads: (T, B, 3 H or more), the two values and the share of the second.
        units: H.
        elapsed: (T, B, 1), or None where the two heads of time are one.
    """
    first, second, gate, *_ = heads.split(units, 2)
    slopes = torch.empty_like(heads)
    of_first, of_second, *of_time = slopes.split(units, 2)
    assert form.squash.slope is not None and form.share.slope is not None
    torch.mul(1 - gate, form.squash.slope(first), out=of_first)
    torch.mul(gate, form.squash.slope(second), out=of_second)
    torch.mul(second - first, form.share.slope(gate), out=of_time[-1])
    if elapsed is not None:
        torch.mul(of_time[-1], elapsed, out=of_time[0])
    return slopes
