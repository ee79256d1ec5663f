"""Modules as state-spaces/s4 has them, small and without its packages: the same names, the same
equations. S4D and S4Model are those of src/models/s4/s4d.py and example.py, `FrameworkS4` is the
layer of src/models/sequence/ss with the kernels of kernel.py, and `SequenceModel` its blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class S4DKernel(nn.Module):
    def __init__(self, channels: int, states: int) -> None:
        super().__init__()
        low, high = math.log(0.001), math.log(0.1)
        self.C = nn.Parameter(torch.view_as_real(torch.randn(channels, states // 2) * (1 + 0j)))
        with torch.no_grad():
            self.C.copy_(torch.randn(channels, states // 2, 2) * 0.5**0.5)
        self.log_dt = nn.Parameter(torch.rand(channels) * (high - low) + low)
        self.log_A_real = nn.Parameter(torch.full((channels, states // 2), math.log(0.5)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(states // 2).float().repeat(channels, 1))

    def forward(self, L: int) -> Tensor:
        dt = torch.exp(self.log_dt)
        C = torch.view_as_complex(self.C)
        A = -torch.exp(self.log_A_real) + 1j * self.A_imag
        dtA = A * dt.unsqueeze(-1)
        K = dtA.unsqueeze(-1) * torch.arange(L, device=A.device)
        C = C * (torch.exp(dtA) - 1.0) / A
        return 2 * torch.einsum("hn, hnl -> hl", C, torch.exp(K)).real


class S4D(nn.Module):
    def __init__(
        self, d_model: int, d_state: int = 64, dropout: float = 0.0, transposed: bool = True
    ) -> None:
        super().__init__()
        self.h, self.n, self.d_output, self.transposed = d_model, d_state, d_model, transposed
        self.D = nn.Parameter(torch.randn(self.h))
        self.kernel = S4DKernel(self.h, self.n)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout) if dropout > 0.0 else nn.Identity()
        self.output_linear = nn.Sequential(
            nn.Conv1d(self.h, 2 * self.h, kernel_size=1), nn.GLU(dim=-2)
        )

    def forward(self, u: Tensor, **kwargs: Any) -> tuple[Tensor, None]:
        if not self.transposed:
            u = u.transpose(-1, -2)
        L = u.size(-1)
        k_f = torch.fft.rfft(self.kernel(L=L), n=2 * L)
        u_f = torch.fft.rfft(u, n=2 * L)
        y = torch.fft.irfft(u_f * k_f, n=2 * L)[..., :L]
        y = y + u * self.D.unsqueeze(-1)
        y = self.dropout(self.activation(y))
        y = self.output_linear(y)
        if not self.transposed:
            y = y.transpose(-1, -2)
        return y, None


class S4Model(nn.Module):
    """A stack of residual blocks; `norm` is not in example.py, whose norms are LayerNorms."""

    def __init__(
        self, d_input: int, d_output: int = 10, d_model: int = 16, n_layers: int = 2,
        dropout: float = 0.0, prenorm: bool = False, d_state: int = 8, norm: type = nn.LayerNorm,
    ) -> None:  # fmt: skip
        super().__init__()
        self.prenorm = prenorm
        self.encoder = nn.Linear(d_input, d_model)
        self.s4_layers, self.norms, self.dropouts = (nn.ModuleList() for _ in range(3))
        for _ in range(n_layers):
            self.s4_layers.append(S4D(d_model, d_state, dropout=dropout, transposed=True))
            self.norms.append(norm(d_model))
            self.dropouts.append(nn.Dropout(dropout))
        self.decoder = nn.Linear(d_model, d_output)

    def _normed(self, norm: nn.Module, x: Tensor) -> Tensor:
        if isinstance(norm, nn.BatchNorm1d):
            return norm(x)
        return norm(x.transpose(-1, -2)).transpose(-1, -2)

    def features(self, x: Tensor) -> Tensor:
        x = self.encoder(x).transpose(-1, -2)
        for layer, norm, dropout in zip(self.s4_layers, self.norms, self.dropouts, strict=True):
            z = self._normed(norm, x) if self.prenorm else x
            z, _ = layer(z)
            x = dropout(z) + x
            if not self.prenorm:
                x = self._normed(norm, x)
        return x.transpose(-1, -2)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.features(x).mean(dim=1))


def _conj(x: Tensor) -> Tensor:
    return torch.cat([x, x.conj()], dim=-1)


class DiagonalKernel(nn.Module):
    """SSKernelDiag: `repeat` of n_ssm over the channels, discretization bilinear or zoh."""

    def __init__(
        self, channels: int, states: int, n_ssm: int = 1, disc: str = "bilinear", sides: int = 1
    ) -> None:
        super().__init__()
        half = states // 2
        self.disc, self.repeat = disc, channels // n_ssm
        self.C = nn.Parameter(torch.randn(sides, channels, half, 2) * 0.5**0.5)
        self.B = nn.Parameter(torch.randn(n_ssm, half, 2) * 0.2 + torch.tensor([1.0, 0.0]))
        self.A = nn.Parameter(torch.zeros(n_ssm, half, 2))
        self.log_dt = nn.Parameter(torch.rand(channels) * 3 - 5)
        self.inv_A_real = nn.Parameter(torch.log(0.5 + 0.2 * torch.rand(n_ssm, half)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(half).float().repeat(n_ssm, 1))

    def forward(self, L: int) -> Tensor:
        dt = torch.exp(self.log_dt)
        C = torch.view_as_complex(self.C)
        A = (-torch.exp(self.inv_A_real) + 1j * self.A_imag).repeat(self.repeat, 1)
        B = torch.view_as_complex(self.B).repeat(self.repeat, 1)
        dtA = A * dt.unsqueeze(-1)
        C = B[None] * C
        if self.disc == "zoh":
            C = C * (torch.exp(dtA) - 1.0) / A
            steps = dtA.exp()
        else:
            C = C * (1.0 - dtA / 2).reciprocal() * dt.unsqueeze(-1)
            steps = (1.0 + dtA / 2) / (1.0 - dtA / 2)
        powers = steps[..., None] ** torch.arange(L)
        return 2 * torch.einsum("chn, hnl -> chl", C, powers).real


class LowRankKernel(nn.Module):
    """SSKernelNPLR by its matrices, and C that is stored for L samples."""

    L: Any

    def __init__(self, channels: int, states: int, length: int = 0) -> None:
        super().__init__()
        w, P, B = hippo(states)
        half = len(w)
        self.C = nn.Parameter(torch.randn(1, channels, half, 2) * 0.5**0.5)
        self.B = nn.Parameter(torch.view_as_real(B)[None].clone())
        self.P = nn.Parameter(torch.view_as_real(P)[None, None].clone())
        self.log_dt = nn.Parameter(torch.rand(channels) * 3 - 5)
        self.inv_w_real = nn.Parameter(torch.log(-w.real)[None].clone())
        self.w_imag = nn.Parameter(w.imag[None].clone())
        self.register_buffer("L", torch.tensor(length))

    def step_matrices(self) -> tuple[Tensor, Tensor]:
        """A and B of a sample, (channels, states, states) and (channels, states)."""
        w = _conj(-torch.exp(self.inv_w_real) + 1j * self.w_imag)
        P, B = (_conj(torch.view_as_complex(x)) for x in (self.P[:, 0], self.B))
        dt = torch.exp(self.log_dt)[:, None, None]
        A = torch.diag_embed(w[0]) - P.T @ P.conj()
        one = torch.eye(len(w[0]), dtype=A.dtype)
        left = torch.linalg.inv(one - dt / 2 * A)
        return left @ (one + dt / 2 * A), (left @ (dt * B[0][None, :, None]))[..., 0]

    def forward(self, L: int) -> Tensor:
        A, B = self.step_matrices()
        C = _conj(torch.view_as_complex(self.C))[0]
        if int(self.L):
            whole = torch.linalg.matrix_power(A, int(self.L))
            one = torch.eye(A.shape[-1], dtype=A.dtype)
            C = torch.linalg.solve((one - whole).transpose(-1, -2), C[..., None])[..., 0]
        found, x = [], B
        for _ in range(L):
            found.append((C * x).sum(-1).real)
            x = (A @ x[..., None])[..., 0]
        return torch.stack(found, dim=-1)[None]


def hippo(states: int) -> tuple[Tensor, Tensor, Tensor]:
    """HiPPO-LegS as a normal matrix less one of rank 1: w, P and B, one of each pair."""
    q = torch.arange(states, dtype=torch.float64)
    r = 2 * q + 1
    M = -(torch.where(q[:, None] >= q[None], r[None], 0.0) - torch.diag(q))
    T = torch.sqrt(torch.diag(r))
    A = T @ M @ torch.linalg.inv(T)
    B = torch.diag(T).clone()
    P = torch.sqrt(0.5 + q)
    AP = A + P[:, None] * P[None]
    w, V = torch.linalg.eig(AP)
    order = torch.argsort(w.imag, descending=True)[: states // 2]
    w, V = w[order], V[:, order]
    return w, V.conj().T @ P.to(w), V.conj().T @ B.to(w)


class _Held(nn.Module):
    """SSKernel: it holds the kernel that is meant under the name `kernel`."""

    def __init__(self, kernel: nn.Module) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, L: int) -> Tensor:
        return self.kernel(L)


class FrameworkS4(nn.Module):
    """The layer S4 of the framework: channels first, D of (1, channels)."""

    def __init__(self, channels: int, kernel: nn.Module, gated: bool = True) -> None:
        super().__init__()
        self.h = channels
        self.D = nn.Parameter(torch.randn(1, channels))
        self.kernel = _Held(kernel)
        self.activation = nn.GELU()
        rows = 2 * channels if gated else channels
        self.output_linear = nn.Sequential(
            nn.Conv1d(channels, rows, 1), nn.GLU(dim=-2) if gated else nn.Identity()
        )

    def forward(self, u: Tensor) -> tuple[Tensor, None]:
        L = u.size(-1)
        k_f = torch.fft.rfft(self.kernel(L)[0], n=2 * L)
        y = torch.fft.irfft(torch.fft.rfft(u, n=2 * L) * k_f, n=2 * L)[..., :L]
        y = y + u * self.D[0].unsqueeze(-1)
        return self.output_linear(self.activation(y)), None


class _Norm(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.norm, nn.BatchNorm1d):
            return self.norm(x)
        return self.norm(x.transpose(-1, -2)).transpose(-1, -2)


class _Block(nn.Module):
    def __init__(self, layer: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.layer = layer
        if norm is not None:
            self.norm = _Norm(norm)


class SequenceModel(nn.Module):
    """encoder, blocks and decoder with the keys of a Lightning checkpoint of the framework."""

    model: Any
    encoder: Any
    decoder: Any

    def __init__(
        self, inputs: int, outputs: int, channels: int, layers: Sequence[nn.Module],
        norm: type | None = nn.BatchNorm1d, prenorm: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.prenorm = prenorm
        self.encoder = nn.ModuleList([nn.Linear(inputs, channels)])
        self.model = nn.Module()
        self.model.layers = nn.ModuleList(
            [_Block(layer, None if norm is None else norm(channels)) for layer in layers]
        )
        if prenorm and norm is not None:
            self.model.norm = _Norm(norm(channels))
        self.decoder = nn.ModuleList([nn.Module()])
        self.decoder[0].output_transform = nn.Linear(channels, outputs)

    def steps(self, x: Tensor) -> Tensor:
        x = self.encoder[0](x).transpose(-1, -2)
        for block in self.model.layers:
            norm = getattr(block, "norm", nn.Identity())
            z = norm(x) if self.prenorm else x
            x = x + block.layer(z)[0]
            x = x if self.prenorm else norm(x)
        x = getattr(self.model, "norm", nn.Identity())(x)
        return self.decoder[0].output_transform(x.transpose(-1, -2))

    def forward(self, x: Tensor) -> Tensor:
        return self.steps(x).mean(dim=1)
