"""S4D and its liquid form as modules of PyTorch, for training. Needs PyTorch.

`S4D` has the parameters and the answers of src/models/s4/s4d.py of github.com/state-spaces/s4 (Gu
et al. 2022, arXiv:2206.11893), without its other packages. `LiquidS4D` is ours: a state space whose
modes what they hear makes faster or slower, as in Liquid-S4 (Hasani et al. 2022,
arXiv:2209.12951), but sample by sample, and by no more than keeps every mode stable whatever it
hears.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lnn2loihi.families.s4d.layer import LARGEST_SHARE


class S4DKernel(nn.Module):
    """Modes of a diagonal state space, half as many as states, with steps dt of their channel.

    Args:
        channels: H.
        states: N; each pair is one complex mode.
        least_step, largest_step: between which dt begins.
    """

    def __init__(
        self, channels: int, states: int, least_step: float = 0.001, largest_step: float = 0.1
    ) -> None:
        super().__init__()
        low, high = math.log(least_step), math.log(largest_step)
        modes = states // 2
        self.C = nn.Parameter(torch.randn(channels, modes, 2) * 0.5**0.5)
        self.log_dt = nn.Parameter(torch.rand(channels) * (high - low) + low)
        self.log_A_real = nn.Parameter(torch.full((channels, modes), math.log(0.5)))
        turns = math.pi * torch.arange(modes, dtype=self.C.dtype)
        self.A_imag = nn.Parameter(turns.repeat(channels, 1))

    def discrete(self) -> tuple[Tensor, Tensor, Tensor]:
        """What a mode is multiplied with in a sample, its weight and its input, (channels, modes)
        complex each.
        """
        rates = torch.complex(-torch.exp(self.log_A_real), self.A_imag)
        lam = torch.exp(rates * torch.exp(self.log_dt)[:, None])
        entering = (lam - 1.0) / rates
        return lam, torch.view_as_complex(self.C) * entering, entering

    def forward(self, steps: int) -> Tensor:
        """The kernel of so many samples, (channels, steps)."""
        lam, weight, _ = self.discrete()
        powers = lam[..., None] ** torch.arange(steps, device=lam.device)
        return 2.0 * torch.einsum("hn,hnl->hl", weight, powers).real


class S4D(nn.Module):
    """glu(map(gelu(kernel * u + D u))), channel by channel up to the map.

    Args:
        d_model: channels.
        d_state: states of each; d_state // 2 complex modes.
        dropout: of training.
        transposed: whether samples are (batch, channels, time), or (batch, time, channels).
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        dropout: float = 0.0,
        transposed: bool = True,
        least_step: float = 0.001,
        largest_step: float = 0.1,
    ) -> None:
        super().__init__()
        self.d_model, self.transposed = d_model, transposed
        self.D = nn.Parameter(torch.randn(d_model))
        self.kernel = S4DKernel(d_model, d_state, least_step, largest_step)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.output_linear = nn.Sequential(nn.Conv1d(d_model, 2 * d_model, 1), nn.GLU(dim=-2))

    def forward(self, u: Tensor) -> tuple[Tensor, None]:
        """Answers (batch, channels, time), or (batch, time, channels), and no state."""
        u = u if self.transposed else u.transpose(-1, -2)
        heard, said = self.spoken(u)
        y = self.output_linear(self.dropout(self.activation(said + heard * self.D[:, None])))
        return (y if self.transposed else y.transpose(-1, -2)), None

    def spoken(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """What modes hear of samples (batch, channels, time), and what they say to it."""
        steps = u.shape[-1]
        kernel = torch.fft.rfft(self.kernel(steps), n=2 * steps)
        heard = torch.fft.rfft(u, n=2 * steps)
        return u, torch.fft.irfft(heard * kernel, n=2 * steps)[..., :steps]


class LiquidS4D(S4D):
    """An S4D whose modes follow z' = (lam + beta u) z + u, with u = tanh(input_linear x).

    beta = share (1 - |lam|) in the direction of the mode's input, and share = LARGEST_SHARE
    sigmoid(kernel.liquid): |lam + beta u| is below 1 for every u, so that no input makes a mode
    grow. That is `lnn2loihi.families.s4d.layer.LiquidModesStage`, but for the size of z.

    Args as of `S4D`; `share` is what `share` begins with.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        dropout: float = 0.0,
        transposed: bool = True,
        least_step: float = 0.001,
        largest_step: float = 0.1,
        share: float = 0.9,
    ) -> None:
        super().__init__(d_model, d_state, dropout, transposed, least_step, largest_step)
        self.input_linear = nn.Linear(d_model, d_model)
        begin = math.log(share / (LARGEST_SHARE - share))
        liquid = nn.Parameter(torch.full((d_model, d_state // 2), begin))
        self.kernel.register_parameter("liquid", liquid)

    def spoken(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """See `S4D.spoken`."""
        heard = torch.tanh(self.input_linear(u.transpose(-1, -2)))
        lam, weight, entering = self.kernel.discrete()
        share = LARGEST_SHARE * torch.sigmoid(self.kernel.get_parameter("liquid"))
        beta = share * (1.0 - lam.abs()) * torch.sgn(entering)
        z = torch.zeros(*heard[:, 0].shape, lam.shape[-1], dtype=lam.dtype, device=lam.device)
        said = []
        for now in heard[..., None].unbind(1):
            z = (lam + beta * now) * z + now
            said.append(2.0 * (weight * z).sum(-1).real)
        return heard.transpose(-1, -2), torch.stack(said, dim=-1)


class S4Model(nn.Module):
    """Residual blocks of state spaces between two linear maps, and the mean over time: example.py
    of github.com/state-spaces/s4, where blocks may be liquid and need no norm.

    Args:
        d_input: inputs of a sample.
        d_output: outputs.
        d_model: channels.
        n_layers: blocks.
        d_state: states of each channel.
        dropout: of training.
        prenorm: whether blocks normalise what they hear, or what they answer.
        liquid: whether blocks are `LiquidS4D`.
        norm: makes the norm of so many channels, which takes (batch, channels, time); none where
            absent.
        least_step, largest_step: see `S4DKernel`.
    """

    def __init__(
        self,
        d_input: int,
        d_output: int,
        d_model: int = 64,
        n_layers: int = 4,
        d_state: int = 64,
        dropout: float = 0.0,
        prenorm: bool = False,
        liquid: bool = False,
        norm: Callable[[int], nn.Module] | None = None,
        least_step: float = 0.001,
        largest_step: float = 0.1,
    ) -> None:
        super().__init__()
        self.prenorm = prenorm
        kind = LiquidS4D if liquid else S4D
        self.encoder = nn.Linear(d_input, d_model)
        self.s4_layers = nn.ModuleList(
            kind(d_model, d_state, dropout, True, least_step, largest_step) for _ in range(n_layers)
        )
        self.norms = nn.ModuleList(
            nn.Identity() if norm is None else norm(d_model) for _ in range(n_layers)
        )
        self.decoder = nn.Linear(d_model, d_output)

    def steps(self, x: Tensor) -> Tensor:
        """The outputs of every step, (batch, time, outputs), of samples (batch, time, inputs)."""
        x = self.encoder(x).transpose(-1, -2)
        for block, norm in zip(self.s4_layers, self.norms, strict=True):
            heard = norm(x) if self.prenorm else x
            x = x + block(heard)[0]
            x = x if self.prenorm else norm(x)
        return self.decoder(x.transpose(-1, -2))

    def forward(self, x: Tensor) -> Tensor:
        """Their mean over time, (batch, outputs)."""
        return self.steps(x).mean(dim=1)
