"""LrcSSM as modules of PyTorch, for training. Needs PyTorch.

Source: github.com/MoniFarsang/LrcSSM, experiments/lrc_ssm (commit 5581972), arXiv:2505.21717. The
names of the parameters are those of its cell, without `weight_elastance_shift`, which that never
uses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lnn2loihi.errors import InputError


class LrcSSM(nn.Module):
    """A layer of liquid-resistance liquid-capacitance units, each of which hears itself alone.

    With the inputs x::

        q = sigmoid(sensory_sigma (x - sensory_mu))    p = sigmoid(sigma (h - mu))
        f = gleak + sensory_w q + w p                  g = gleak + sensory_h q + h p
        e = sigmoid(elastance_kernel h + elastance_bias)
        h' = h + e (vleak tanh(g) - h sigmoid(f))

    As in the source, all parameters begin evenly spread within 1 / sqrt(hidden_size); what its
    gates tell apart of inputs of size 1 is little then, so that `spread` multiplies the first range
    of vleak, and `opened` is added to that of sensory_sigma.

    Args:
        input_size: number of inputs.
        hidden_size: number of units.
        spread: by how much larger vleak begins than in the source.
        opened: what is added to sensory_sigma.
    """

    def __init__(
        self, input_size: int, hidden_size: int, spread: float = 1.0, opened: float = 0.0
    ) -> None:
        super().__init__()
        if input_size < 1 or hidden_size < 1:
            raise InputError("LrcSSM", f"has {input_size} inputs and {hidden_size} units; give 1")
        self.input_size, self.hidden_size = input_size, hidden_size
        limit = hidden_size**-0.5

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape).uniform_(-limit, limit))

        self.weight_sensory_mu, self.weight_sensory_sigma = drawn(input_size), drawn(input_size)
        self.weight_sensory_w = drawn(hidden_size, input_size)
        self.weight_sensory_h = drawn(hidden_size, input_size)
        self.weight_mu, self.weight_sigma = drawn(hidden_size), drawn(hidden_size)
        self.weight_w, self.weight_h = drawn(hidden_size), drawn(hidden_size)
        self.weight_gleak, self.weight_vleak = drawn(hidden_size), drawn(hidden_size)
        self.weight_elastance_kernel = drawn(hidden_size)
        self.weight_elastance_bias = drawn(hidden_size)
        with torch.no_grad():
            self.weight_vleak.mul_(spread)
            self.weight_sensory_sigma.add_(opened)

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The states in all steps and the last one.

        Args:
            x: (batch, time, inputs).
            hx: the state before, (batch, units); zeros where absent.

        Returns:
            (batch, time, units) and (batch, units).
        """
        heard = torch.sigmoid(self.weight_sensory_sigma * (x - self.weight_sensory_mu))
        forgotten = self.weight_gleak + heard @ self.weight_sensory_w.T
        updated = self.weight_gleak + heard @ self.weight_sensory_h.T
        h = x.new_zeros(len(x), self.hidden_size) if hx is None else hx
        states = []
        for f, g in zip(forgotten.unbind(1), updated.unbind(1), strict=True):
            opened = torch.sigmoid(self.weight_sigma * (h - self.weight_mu))
            kept = torch.sigmoid(f + self.weight_w * opened)
            target = self.weight_vleak * torch.tanh(g + self.weight_h * opened)
            elastance = torch.sigmoid(self.weight_elastance_kernel * h + self.weight_elastance_bias)
            h = h + elastance * (target - h * kept)
            states.append(h)
        return torch.stack(states, dim=1), h


class LrcSSMNetwork(nn.Module):
    """The network of the source: an encoder, layers of LrcSSM with norms and residual maps, and a
    classifier, whose answers to all samples are returned.

    The source averages them over the sequence; that is left to the caller, and to the host of a
    chip.

    Args:
        input_size: number of inputs.
        encoded_size: features of the encoder, and of all that passes between the layers.
        hidden_size: units of each layer.
        num_layers: number of layers.
        output_size: number of outputs.
        norm: whether features are normalised, by LayerNorm without gain and shift.
    """

    def __init__(
        self,
        input_size: int,
        encoded_size: int,
        hidden_size: int,
        num_layers: int,
        output_size: int,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.residual = hidden_size == encoded_size
        self.encoder = _perceptron(input_size, encoded_size, encoded_size)
        self.cells = nn.ModuleList(LrcSSM(encoded_size, hidden_size) for _ in range(num_layers))
        self.maps = nn.ModuleList(
            _perceptron(hidden_size, encoded_size, encoded_size) for _ in range(num_layers)
        )
        self.classifier = _perceptron(encoded_size, encoded_size, output_size)
        self.norm = nn.LayerNorm(encoded_size, elementwise_affine=False) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The answers to all samples, (batch, time, outputs), of samples (batch, time, inputs)."""
        x = self.encoder(x)
        for cell, own in zip(self.cells, self.maps, strict=True):
            before = self.norm(x)
            states = cell(before)[0]
            x = self.norm((states if self.residual else own(states)) + before)
            if self.residual:
                x = own(x) + x
        return self.classifier(x)


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
