"""The membranes of liquid-resistance liquid-capacitance units (LRC), and how far they can go.

Sources: MoniFarsang/LRC (MIT), classification/lrc_cell.py; Farsang et al. 2024, arXiv:2403.08791.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.layers.stage import Stage, State

#: The sums of a membrane.
FORGET, UPDATE, ELASTANCE = "forget_gate", "update_gate", "elastance"
#: What a membrane keeps.
POTENTIAL = "v"
#: Steps of the solver, by their names in the original.
EXPLICIT, HYBRID = "explicit", "hybrid"
SOLVERS = (EXPLICIT, HYBRID)
#: What the elastance is made of its sum z, by the names in the original: sigmoid(z),
#: sigmoid(z + shift) - sigmoid(z - shift), or 1 (a saturated LTC, STC).
ASYMMETRIC, SYMMETRIC, NONE = "asymmetric", "symmetric", "none"
ELASTANCES = (ASYMMETRIC, SYMMETRIC, NONE)


@dataclass(frozen=True, eq=False)
class LRCStage(Stage):
    """The membranes: one step of v' = e (vleak tanh(update_gate) - s v).

    Gates: update_gate, forget_gate (where there is no tau) and elastance (where it is not 1).

    Attributes:
        vleak: float64 (units,); what tanh(update_gate) is multiplied by.
        unfolds: steps in which a sample's elapsed time is passed.
        timespan: the constant elapsed time of a sample; None if timed.
        shift: of a symmetric elastance, float64 (units,); None for others.
        tau: the constant conductance s, float64 (units,); None where s = sigmoid(forget_gate).
        hybrid: whether the leak is taken at the end of a step, so that none overshoots, and not at
            its beginning.
    """

    family: ClassVar[str] = "lrc"
    memory: ClassVar[tuple[str, ...]] = (POTENTIAL,)

    vleak: FloatArray
    unfolds: int
    timespan: float | None
    shift: FloatArray | None = None
    tau: FloatArray | None = None
    hybrid: bool = False

    @property
    def vectors(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those that it has."""
        own = ("vleak", "shift", "tau")
        return tuple(name for name in own if getattr(self, name) is not None)

    @property
    def positive(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Weights w and leaks gleak of the forget gate, tau and shift, which the original keeps
        from falling below zero; those that somebody has trained otherwise stay free.
        """
        found: list[str] = []
        if FORGET in self.gates:
            gate = self.gates[FORGET]
            found += [FORGET] if min(gate.weight.min(), gate.bias.min()) >= 0.0 else []
        for name in ("tau", "shift"):
            values = getattr(self, name)
            if isinstance(values, np.ndarray) and bool((values >= 0.0).all()):
                found.append(name)
        return tuple(found)

    @property
    def logistic(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The forget gate, and an elastance that opens and shuts."""
        open_by = (FORGET,) if self.shift is not None else (FORGET, ELASTANCE)
        return tuple(name for name in open_by if name in self.gates)

    @property
    def elastance(self) -> str:
        """One of ELASTANCES."""
        if ELASTANCE not in self.gates:
            return NONE
        return ASYMMETRIC if self.shift is None else SYMMETRIC

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The potential after one unfold."""
        time = self.timespan if elapsed is None else elapsed
        assert time is not None
        rate = time / self.unfolds
        if self.shift is not None:
            z = sums[ELASTANCE]
            rate = (sigmoid(z + self.shift) - sigmoid(z - self.shift)) * rate
        elif ELASTANCE in self.gates:
            rate = sigmoid(sums[ELASTANCE]) * rate
        conductance = sigmoid(sums[FORGET]) if self.tau is None else self.tau
        pull = self.vleak * np.tanh(sums[UPDATE]) - conductance * state[POTENTIAL]
        if self.hybrid:
            rate = rate / (1.0 + rate * conductance)
        v = state[POTENTIAL] + rate * pull
        return v, {POTENTIAL: v}

    @property
    def bound(self) -> float:
        """The largest of `bounds`; infinite where the elapsed time is not known, but for hybrid
        steps, whose bound does not depend on it.
        """
        if self.timed and not self.hybrid:
            return math.inf
        longest = self.timespan or 0.0
        return max(float(self.bounds(longest).max()), float(np.finfo(np.float64).tiny))

    @property
    def resting(self) -> FloatArray:
        """The farthest from 0 that each potential can rest, (units,): |vleak| tanh of the largest
        update over the least conductance; infinite where that can be 0.
        """
        gate = self.gates[UPDATE]
        most = np.abs(np.stack(_ends(gate.weight, gate.bias))).max(axis=0)
        drive = np.abs(self.vleak) * np.tanh(most)
        least = self._conductances[0]
        resting = np.full(self.units, math.inf)
        resting[drive == 0.0] = 0.0
        live = (least > 0.0) & (drive > 0.0)
        resting[live] = drive[live] / least[live]
        return resting

    def steps(self, longest: float) -> FloatArray:
        """The largest share of the way to its resting place that each potential moves in a step,
        (units,), for elapsed times of a sample up to `longest`. An explicit one above 1 overshoots;
        from 2 on it can swing to infinity.
        """
        opened = np.ones(self.units)
        if self.shift is not None:
            # sigmoid(z + k) - sigmoid(z - k) is largest at 0; below 0 it pushes away.
            opened = np.where(self.shift >= 0.0, np.tanh(0.5 * np.abs(self.shift)), math.inf)
        with np.errstate(invalid="ignore"):
            share = opened * self._conductances[1] * (longest / self.unfolds)
            share = share / (1.0 + share) if self.hybrid else share
        return np.where(np.isnan(share), math.inf, share)

    def bounds(self, longest: float) -> FloatArray:
        """A magnitude that each potential cannot leave, (units,), infinite without one.

        With the share a of `steps`, v' = (1 - a) v + a r, where r is a place to rest. For a <= 1
        that is between the two; for a < 2 it is at most (a - 1) |v| + a |r|.

        Args:
            longest: the longest elapsed time of a sample.
        """
        share, resting = self.steps(longest), self.resting
        grown = np.full(self.units, math.inf)
        over = (share > 1.0) & (share < 2.0)
        grown[over] = share[over] / (2.0 - share[over])
        grown[share <= 1.0] = 1.0
        bounds = np.full(self.units, math.inf)
        live = np.isfinite(grown) & np.isfinite(resting)
        bounds[live] = grown[live] * resting[live]
        return bounds

    @property
    def _conductances(self) -> tuple[FloatArray, FloatArray]:
        """The least and the largest conductance of each unit, (units,)."""
        if self.tau is not None:
            return self.tau, self.tau
        gate = self.gates[FORGET]
        least, most = _ends(gate.weight, gate.bias)
        return sigmoid(least), sigmoid(most)


def _ends(weight: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The least and the largest sum over synapses that are open by 0 to 1."""
    least, most = np.minimum(weight, 0.0).sum(axis=1), np.maximum(weight, 0.0).sum(axis=1)
    return bias + least, bias + most
