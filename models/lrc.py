"""Liquid-resistance liquid-capacitance units as modules of PyTorch, for training. Needs PyTorch.

Equations and initial values: MoniFarsang/LRC (MIT), classification/lrc_cell.py; Farsang et al.
2024, arXiv:2403.08791. The parameters have the names and the orientation (source, target) of the
original, but for `elastance_mapping`, which is a torch.nn.Linear.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lnn2loihi.errors import InputError, Problems
from lnn2loihi.families.lrc.stage import (
    ELASTANCES,
    EXPLICIT,
    HYBRID,
    NONE,
    SOLVERS,
    SYMMETRIC,
)

#: Ranges of initial values.
_RANGES = {"gleak": (0.001, 1.0), "vleak": (-0.2, 0.2), "w": (0.001, 1.0), "sigma": (3.0, 8.0),
           "mu": (0.3, 0.8)}  # fmt: skip
#: Parameters that stay at 0 or above, where there are any.
_POSITIVE = ("gleak", "w", "sensory_w", "tau", "distr_shift")


class LRC(nn.Module):
    """One layer of LRC units, whose answer is output_w v + output_b of all potentials v.

    With the mapped inputs i = input_w x + input_b, and for each of the unfolds, which takes the
    time t = elapsed / ode_unfolds::

        u = gleak + sum_k h_k sigmoid(sigma_k (v_k - mu_k)) + the same of the inputs (sensory_)
        f = gleak + sum_k w_k sigmoid(sigma_k (v_k - mu_k)) + the same of the inputs
        v' = v + t e (vleak tanh(u) - sigmoid(f) v)

    with the elastance e = sigmoid(z), or sigmoid(z + distr_shift) - sigmoid(z - distr_shift), of
    the sum z = elastance_mapping([i; v]), or 1.

    Call `constrain` after each step of the optimiser, as Keras does with its constraints.

    Args:
        input_size: number of inputs.
        units: number of units.
        elastance_type: "asymmetric", "symmetric" or "none", with which it is a saturated LTC (STC).
        forget_gate: whether sigmoid(f) is what leaks; else the parameter tau.
        ode_solver: "explicit", or "hybrid", which takes the leak at the end of each step.
        ode_unfolds: steps for each sample.

    Raises:
        InputError: lists arguments that are out of range, or do not go together.
    """

    gleak: nn.Parameter
    vleak: nn.Parameter
    tau: nn.Parameter
    distr_shift: nn.Parameter
    input_w: nn.Parameter
    input_b: nn.Parameter
    output_w: nn.Parameter
    output_b: nn.Parameter

    def __init__(
        self,
        input_size: int,
        units: int,
        *,
        elastance_type: str = SYMMETRIC,
        forget_gate: bool = True,
        ode_solver: str = EXPLICIT,
        ode_unfolds: int = 1,
    ) -> None:
        super().__init__()
        problems = Problems(InputError, "LRC")
        for name, value, words in (
            ("elastance_type", elastance_type, ELASTANCES), ("ode_solver", ode_solver, SOLVERS),
        ):  # fmt: skip
            if value not in words:
                problems.add(f"{name} is {value!r:.60}; there are {', '.join(words)}")
        for name, size in (("input_size", input_size), ("units", units), ("unfolds", ode_unfolds)):
            if size < 1:
                problems.add(f"{name} is {size}; give a number from 1 on")
        if ode_solver == HYBRID and not forget_gate:
            problems.add("the hybrid solver needs a forget gate")
        problems.raise_if_any()
        self.input_size, self.units, self.elastance_type = input_size, units, elastance_type
        self.forget_gate, self.ode_solver, self.ode_unfolds = forget_gate, ode_solver, ode_unfolds
        for name in ("gleak", "vleak"):
            self._add(name, (units,), *_RANGES[name])
        for before, sources in (("", units), ("sensory_", input_size)):
            shape = (sources, units)
            for name in ("sigma", "mu", *(("w",) if forget_gate else ())):
                self._add(before + name, shape, *_RANGES[name])
            orthogonal = nn.init.orthogonal_(torch.empty(shape))
            self.register_parameter(f"{before}h", nn.Parameter(orthogonal))
        if not forget_gate:
            self._add("tau", (units,), 1.0, 1.0)
        if elastance_type != NONE:
            self.elastance_mapping = nn.Linear(input_size + units, units)
            nn.init.xavier_uniform_(self.elastance_mapping.weight)
            nn.init.zeros_(self.elastance_mapping.bias)
        if elastance_type == SYMMETRIC:
            self._add("distr_shift", (units,), 1.0, 1.0)
        for name, size in (("input", input_size), ("output", units)):
            self._add(f"{name}_w", (size,), 1.0, 1.0)
            self._add(f"{name}_b", (size,), 0.0, 0.0)

    def _add(self, name: str, shape: tuple[int, ...], low: float, high: float) -> None:
        values = torch.empty(shape).uniform_(low, high) if low < high else torch.full(shape, low)
        self.register_parameter(name, nn.Parameter(values))

    @torch.no_grad()
    def constrain(self) -> None:
        """Brings parameters that fell below 0 and may not be there back to 0."""
        for name, parameter in self.named_parameters(recurse=False):
            if name in _POSITIVE:
                parameter.clamp_(min=0.0)

    def forward(
        self, x: Tensor, hx: Tensor | None = None, timespans: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The answers in all steps and the last potentials.

        Args:
            x: (batch, time, inputs).
            hx: the potentials before, (batch, units); zeros where absent.
            timespans: elapsed time before each sample, (batch, time); 1.0 where absent.

        Returns:
            (batch, time, units) and (batch, units).
        """
        heard = x * self.input_w + self.input_b
        fixed = self._summed("sensory_", heard)
        mapped = None
        if self.elastance_type != NONE:
            weight = self.elastance_mapping.weight
            bias = self.elastance_mapping.bias
            mapped = nn.functional.linear(heard, weight[:, : self.input_size], bias)
        v = x.new_zeros(len(x), self.units) if hx is None else hx
        answers = []
        for step in range(x.shape[1]):
            time = 1.0 if timespans is None else timespans[:, step, None]
            here = None if mapped is None else mapped[:, step]
            for _ in range(self.ode_unfolds):
                v = self._unfolded(v, fixed[:, step], here, time)
            answers.append(v * self.output_w + self.output_b)
        return torch.stack(answers, dim=1), v

    def _summed(self, before: str, z: Tensor) -> Tensor:
        """What synapses add to u, and to f where there is one, side by side, (..., units)."""
        sigma, mu, h = (getattr(self, before + name) for name in ("sigma", "mu", "h"))
        opened = torch.sigmoid(torch.addcmul(-sigma * mu, sigma, z[..., None]))
        weights = [h, getattr(self, f"{before}w")] if self.forget_gate else [h]
        sums = [torch.einsum("...kj,kj->...j", opened, weight) for weight in weights]
        return torch.cat(sums, dim=-1)

    def _unfolded(
        self, v: Tensor, fixed: Tensor, mapped: Tensor | None, time: Tensor | float
    ) -> Tensor:
        """The potentials after one unfold."""
        sums = (fixed + self._summed("", v)).split(self.units, dim=-1)
        drive = self.vleak * torch.tanh(self.gleak + sums[0])
        leak = torch.sigmoid(self.gleak + sums[1]) if self.forget_gate else self.tau
        rate: Tensor | float = time / self.ode_unfolds
        if mapped is not None:
            z = mapped + v @ self.elastance_mapping.weight[:, self.input_size :].T
            if self.elastance_type == SYMMETRIC:
                shift = self.distr_shift
                rate = rate * (torch.sigmoid(z + shift) - torch.sigmoid(z - shift))
            else:
                rate = rate * torch.sigmoid(z)
        if self.ode_solver == HYBRID:
            return (v + rate * drive) / (1.0 + rate * leak)
        return v + rate * (drive - leak * v)


class LRCU(LRC):
    """The LRC unit of the paper: one explicit step for each sample.

    Args:
        input_size, units, elastance_type: see LRC.
    """

    def __init__(self, input_size: int, units: int, *, elastance_type: str = SYMMETRIC) -> None:
        super().__init__(input_size, units, elastance_type=elastance_type)


class STC(LRC):
    """A saturated LTC: an LRC without elastance.

    Args:
        input_size, units, ode_unfolds: see LRC.
    """

    def __init__(self, input_size: int, units: int, *, ode_unfolds: int = 1) -> None:
        super().__init__(input_size, units, elastance_type=NONE, ode_unfolds=ode_unfolds)
