"""Small modules of every kind that `convert` is tried on, each with an example."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from ncps.torch import LTC, CfC, CfCCell
from ncps.wirings import AutoNCP
from torch import nn

#: For each module its class, and the arguments and keywords of an example.
CASES: dict[str, tuple[type[nn.Module], tuple[Any, ...], dict[str, Any]]] = {}
B, T = 3, 6


def case(*args: Any, **keywords: Any) -> Callable[[type[nn.Module]], type[nn.Module]]:
    def add(cls: type[nn.Module]) -> type[nn.Module]:
        CASES[cls.__name__] = (cls, args, keywords)
        return cls

    return add


def r(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return CASES[name][0]().eval()


@case(r(B, T, 4))
class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.i = nn.Linear(4, 8)
        self.g = nn.GRU(8, 8, batch_first=True)
        self.o = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        h = self.i(x)
        y, _ = self.g(h)
        return self.o(h + y)


@case(r(B, T, 4))
class SliceMulti(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.GRU(2, 5, batch_first=True)
        self.b = nn.LSTM(2, 5, batch_first=True)
        self.o = nn.Linear(10, 2)

    def forward(self, x: Any) -> Any:
        a, _ = self.a(x[..., :2])
        b, (h, c) = self.b(x[..., -2:])
        return self.o(torch.cat([a, b], -1)), h, c


@case(r(B, T, 4))
class LoopGru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.GRUCell(4, 6)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        h = torch.zeros(x.shape[0], 6, dtype=x.dtype)
        out = []
        for t in range(x.shape[1]):
            h = self.c(x[:, t], h)
            out.append(self.o(h))
        return torch.stack(out, 1), h


@case(r(B, T, 4))
class LoopSet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.LSTMCell(4, 6)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        h = x.new_zeros(x.shape[0], 6)
        c = torch.zeros_like(h)
        out = torch.zeros(x.shape[0], x.shape[1], 2, dtype=x.dtype)
        for t in range(x.size(1)):
            h, c = self.c(x[:, t, :], (h, c))
            out[:, t] = torch.tanh(self.o(h))
        return out, (h, c)


@case(r(B, T, 4))
class LoopLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = CfCCell(4, 6)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        h = torch.zeros(x.shape[0], 6, dtype=x.dtype)
        for xt in x.unbind(1):
            y, h = self.c(xt, h, 1.0)
        return self.o(h)


@case(r(B, T, 4))
class TwoCells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.GRUCell(4, 6)
        self.d = nn.GRUCell(6, 5)

    def forward(self, x: Any) -> Any:
        h = None
        g = None
        out = []
        for t in range(x.shape[1]):
            h = self.c(x[:, t], h)
            g = self.d(h, g)
            out.append(g)
        return torch.stack(out, dim=1)


@case(r(1, T, 4), torch.rand(1, T) + 0.1)
class DeltaT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = CfC(4, AutoNCP(12, 2))
        self.o = nn.Linear(2, 2)

    def forward(self, x: Any, dt: Any) -> Any:
        return self.o(self.c(x, timespans=dt)[0])


@case(r(1, T, 4), torch.cumsum(torch.rand(1, T) + 0.1, 1))
class Times(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = CfC(4, AutoNCP(12, 2))

    def forward(self, x: Any, stamps: Any) -> Any:
        d = stamps[:, 1:] - stamps[:, :-1]
        d = torch.cat([torch.ones_like(d[:, :1]), d], 1)
        return self.c(x, timespans=d)[0]


@case(r(B, T, 4))
class Learned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = CfC(4, 6)
        self.h0 = nn.Parameter(torch.randn(1, 6) * 0.5)
        self.l = nn.GRU(6, 5, batch_first=True)
        self.g0 = nn.Parameter(torch.randn(1, 1, 5))

    def forward(self, x: Any) -> Any:
        y, _ = self.c(x, self.h0.expand(len(x), -1))
        return self.l(y, self.g0.repeat(1, x.shape[0], 1))[0]


@case(r(B, T, 4), 0.3 * r(1, B, 5))
class GivenState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 5, batch_first=True)

    def forward(self, x: Any, h: Any = None) -> Any:
        y, h = self.g(x, h)
        return {"y": y, "h": h}


@case(r(B, T, 4), (0.3 * r(2, B, 5), 0.2 * r(2, B, 5)))
class LstmState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.LSTM(4, 5, 2, batch_first=True)
        self.o = nn.Linear(5, 3)

    def forward(self, x: Any, state: Any) -> Any:
        y, (h, c) = self.g(x, state)
        return self.o(y[:, -1]), h[-1], (h, c)


@case(r(B, T, 4))
class Seq2Seq(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e = nn.LSTM(4, 5, batch_first=True)
        self.d = nn.LSTM(5, 5, batch_first=True)
        self.o = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        y, (h, c) = self.e(x)
        z = y[:, -1:].expand(-1, x.shape[1], -1)
        d, _ = self.d(z, (h, c))
        return self.o(d)


@case(r(T, B, 4))
class TimeFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 5)
        self.o = nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        y, _ = self.g(x)
        return self.o(y[-1])


@case(r(B, T, 4))
class Swapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 5)
        self.o = nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        y, _ = self.g(x.transpose(0, 1))
        return self.o(y.reshape(-1, 5)).view(x.shape[1], x.shape[0], 3).permute(1, 0, 2)


@case(r(B, T, 4))
class Norms(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("m", torch.tensor([1.0, 20.0, 101325.0, 0.0]))
        self.register_buffer("d", torch.tensor([2.0, 5.0, 50.0, -1.0]))
        self.g = nn.GRU(4, 5, batch_first=True)
        self.bn = nn.BatchNorm1d(5)
        self.o = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        y, _ = self.g((x - self.m) / self.d)
        return self.o(self.bn(y.transpose(1, 2)).transpose(1, 2)) * 10 + 5


@case(r(B, T, 4))
class Glu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)
        self.l = nn.Linear(6, 8)

    def forward(self, x: Any) -> Any:
        y, _ = self.g(x)
        z = F.glu(self.l(y), -1)
        return z * y[..., :4] + z**2 - z.mean(-1, keepdim=True)


@case(r(B, T, 4))
class SharedTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(2, 5, batch_first=True)
        self.o = nn.Linear(10, 2)

    def forward(self, x: Any) -> Any:
        return self.o(torch.cat([self.g(x[..., :2])[0], self.g(x[..., 2:])[0]], -1))


@case(r(B, T, 4))
class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 5, batch_first=True)
        self.z = nn.GRU(4, 3, batch_first=True)
        self.o = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        self.z(x)
        y, _ = self.g(x)
        F.relu(y)
        return self.o(F.dropout(y, 0.5, self.training))


Out = collections.namedtuple("Out", "mean scale state")


@case(x=r(B, T, 4))
class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 5, batch_first=True)
        self.a = nn.Linear(5, 2)
        self.b = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        y, h = self.g(x)
        return Out(self.a(y), F.softplus(self.b(y)) + 1e-3, h)


@case(r(B, T, 4))
class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)
        self.w = nn.Linear(6, 1)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        y, _ = self.g(x)
        a = torch.softmax(self.w(y), 1)
        return self.o((a * y).sum(1))


@case(r(B, T, 4), r(B, 3))
class Static(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)
        self.o = nn.Linear(9, 2)

    def forward(self, x: Any, c: Any) -> Any:
        y, _ = self.g(x)
        return self.o(torch.cat([y[:, -1], c], -1))


@case(r(B, T, 4), r(B, 3))
class StaticAll(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(7, 6, batch_first=True)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any, c: Any) -> Any:
        y, _ = self.g(torch.cat([x, c.unsqueeze(1).expand(-1, x.shape[1], -1)], -1))
        return self.o(y)


@case(r(B, 10, 4))
class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.i = nn.Linear(4, 5)
        self.g = nn.GRU(5, 6, batch_first=True)
        self.o = nn.Linear(60, 2)

    def forward(self, x: Any) -> Any:
        y, _ = self.g(torch.relu(self.i(x)))
        return self.o(y.flatten(1))


@case(r(B, T, 3, 4))
class PerSensor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        b, t, n, f = x.shape
        y, _ = self.g(x.permute(0, 2, 1, 3).reshape(b * n, t, f))
        return self.o(y[:, -1]).view(b, n, 2)


@case(r(B, T, 4))
class BiGru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True, bidirectional=True)
        self.c = CfC(12, 8)
        self.o = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.o(self.c(self.g(x)[0])[0])


@case(r(B, T, 4))
class ConvTime(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.k = nn.Conv1d(4, 6, 3, padding=1)
        self.g = nn.GRU(6, 5, batch_first=True)
        self.o = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        return self.o(self.g(F.relu(self.k(x.transpose(1, 2))).transpose(1, 2))[0])


@case(r(B, T, 4))
class LoopNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.GRUCell(4, 6)
        self.n = nn.LayerNorm(6)
        self.o = nn.Linear(6, 2)
        self.g = nn.GRU(4, 5, batch_first=True)
        self.p = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        h = torch.zeros(len(x), 6, dtype=x.dtype)
        for t in range(x.shape[1]):
            h = self.n(self.c(x[:, t], h))
        return self.o(h) + self.p(self.g(x)[0][:, -1])


@case(r(B, T, 3, 8, 8))
class LoopConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.k = nn.Conv2d(3, 4, 3)
        self.c = nn.GRUCell(4, 6)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        h = torch.zeros(len(x), 6, dtype=x.dtype)
        out = []
        for t in range(x.shape[1]):
            f = self.k(x[:, t]).mean((2, 3))
            h = self.c(f, h)
            out.append(self.o(h))
        return torch.stack(out, 1)


@case(r(B, 4))
class Auto(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.GRUCell(4, 6)
        self.o = nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        h = torch.zeros(len(x), 6, dtype=x.dtype)
        out = []
        for _ in range(4):
            h = self.c(x, h)
            x = self.o(h)
            out.append(x)
        return torch.stack(out, 1)


@case(r(B, T, 4))
class Inplace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)

    def forward(self, x: Any) -> Any:
        x = x.clone()
        x[..., 0] *= 2
        x[..., 1] = 0.5
        y, _ = self.g(x)
        y = y + 1
        y.clamp_(0, 1)
        return y


@case(r(B, T, 4))
class Weird(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)
        self.W = nn.Parameter(torch.randn(6, 3))
        self.b = nn.Parameter(torch.randn(3))

    def forward(self, x: Any) -> Any:
        y = self.g(x.float())[0]
        z = y @ self.W + self.b
        a, b = torch.split(z, [1, 2], -1)
        idx = torch.tensor([2, 0])
        return (
            torch.maximum(a, b),
            y[..., idx],
            torch.where(y[..., :3] > 0, z, -z),
            z.max(-1)[0],
        )


@case(r(B, T, 4))
class LtcPar(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = LTC(4, AutoNCP(8, 2))
        self.b = CfC(4, 6)
        self.o = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.o(torch.cat([self.a(x)[0], self.b(x)[0]], -1))


@case(r(B, T, 4))
class LtcH(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = LTC(4, AutoNCP(8, 2), mixed_memory=True)
        self.p = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        y, (h, c) = self.a(x)
        return self.p(h), c, y


@case(r(T, 4))
class Unbatched(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        return self.o(self.g(x)[0])


@case(r(B, T, 4))
class Kept(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = CfC(4, AutoNCP(16, 2))
        self.h = None

    def forward(self, x: Any) -> Any:
        o, self.h = self.rnn(x, self.h)
        return o


@case(r(B, T, 4))
class Weights3(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)
        self.a = nn.Parameter(torch.tensor(0.3))
        self.o = nn.Linear(4, 6)

    def forward(self, x: Any) -> Any:
        y = self.g(x)[0]
        k = torch.sigmoid(self.a)
        return k * y + (1 - k) * self.o(x)


@case(r(B, T, 4))
class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.ModuleList([nn.GRU(4 if i == 0 else 6, 6, batch_first=True) for i in range(3)])
        self.o = nn.Linear(18, 2)

    def forward(self, x: Any) -> Any:
        o = []
        for g in self.g:
            y, h = g(x)
            x = y if x.shape[-1] != 6 else x + y
            o.append(h)
        return self.o(torch.cat(list(torch.stack([k.squeeze(0) for k in o], 1).unbind(1)), -1))


@case(r(B, T, 4), r(B, 9, 3))
class EncDec2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e = nn.GRU(4, 5, batch_first=True)
        self.d = nn.GRU(3, 5, batch_first=True)
        self.o = nn.Linear(5, 2)

    def forward(self, x: Any, y: Any) -> Any:
        _, h = self.e(x)
        return self.o(self.d(y, h)[0])


@case(r(B, T, 4))
class WNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.i = nn.utils.parametrizations.weight_norm(nn.Linear(4, 5))
        self.g = nn.GRU(5, 6, batch_first=True)
        self.o = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 2))

    def forward(self, x: Any) -> Any:
        return self.o(self.g(torch.selu(self.i(x)))[0])


@case(r(B, T, 4), (r(B, T) > 0).float())
class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any, mask: Any) -> Any:
        return self.o(self.g(x * mask.unsqueeze(-1))[0]) * mask[..., None]


@case(r(B, T, 4))
class Mid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        y, h = self.g(x)
        return self.o(y[:, x.shape[1] // 2]), y[:, 0], y[:, -2:]


@case(r(B, T, 4), (0.1 * r(B, 16), 0.2 * r(B, 16)))
class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = CfC(4, AutoNCP(16, 3), mixed_memory=True)

    def forward(self, x: Any, hx: Any) -> Any:
        return self.c(x, hx)


@case(r(B, T, 4))
class SkipHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)
        self.q = nn.LSTM(6, 6, 2, batch_first=True)
        self.o = nn.Linear(16, 2)

    def forward(self, x: Any) -> Any:
        a, _ = self.g(x)
        b, (h, c) = self.q(F.gelu(a) + a)
        z = torch.cat([x, a, b], -1)
        return self.o(z), self.o(z[:, -1]).argmax(-1), h.permute(1, 0, 2).reshape(len(x), -1)


@case(r(B, T, 4))
class Hook(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 6, batch_first=True)
        self.o = nn.Linear(6, 2)
        self.g.register_forward_hook(lambda m, i, o: (o[0] * 0.5, o[1]))
        self.o.register_forward_pre_hook(lambda m, i: (i[0] + 1,))

    def forward(self, x: Any) -> Any:
        return self.o(self.g(x)[0])


@case(r(B, T, 4))
class InnerHook(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = CfC(4, 6)
        sigmoid: Any = self.c.rnn_cell.sigmoid
        sigmoid.register_forward_hook(lambda m, i, o: o * 0.5)
        self.g = nn.GRU(6, 4, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.g(self.c(x)[0])[0]


@case(r(B, T, 4))
class NoGradNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.b = nn.BatchNorm1d(4, affine=True)
        self.g = nn.GRU(4, 6, batch_first=True)
        self.o = nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        b, t, f = x.shape
        return self.o(self.g(self.b(x.reshape(b * t, f)).reshape(b, t, f))[0])


@case(r(B, T, 4))
class Hist(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.GRU(4, 4, batch_first=True)
        self.o = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        for _ in range(3):
            x = x + torch.tanh(self.o(self.g(x)[0]))
        return x.cumsum(1)[:, -1], x
