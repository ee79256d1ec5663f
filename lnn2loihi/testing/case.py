"""A layer that is tried, and what is made of it when a rule asks for it first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.recipe import Recipe
from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.result import SimulationResult

#: How far two renderings of one equation in double precision may be apart, of the largest number.
SAME = 1e-9


class NotHereError(Exception):
    """A rule cannot be tried in this environment; says what is missing."""


@dataclass
class Case:
    """A layer, and how it is tried.

    Attributes:
        layer: the layer.
        x: float64 (batch, time, inputs).
        timespans: float64 (batch, time), where time is irregular.
        timespan: constant elapsed time; None where it comes with the samples.
        recipe: of the integers.
        chosen: executors that are compared.
        executors: those that ran, when they have.
        notes: what a rule could not try, beside what it did.
    """

    layer: Layer
    x: FloatArray
    timespans: FloatArray | None
    timespan: float | None
    recipe: Recipe
    chosen: str | tuple[str, ...]
    executors: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @cached_property
    def network(self) -> LiquidNetwork:
        """The layer with a readout, so that its answer is heard."""
        rng, units = np.random.default_rng(0), self.layer.units
        weight = rng.normal(size=(2, units)) / np.sqrt(units)
        readout = Linear("readout", weight, rng.normal(size=2) / 4)
        return LiquidNetwork("checked", (self.layer,), readout, self.timespan)

    @cached_property
    def bare(self) -> LiquidNetwork:
        """The layer alone, so that it is the last one."""
        return LiquidNetwork("checked", (self.layer,), None, self.timespan)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The layer's stages."""
        return self.network.stages_by_layer[0][1]

    @cached_property
    def program(self) -> LoihiProgram:
        """The integers."""
        times = self.timespans
        return quantize(self.network, self.x, self.recipe, calibrate_timespans=times)

    @cached_property
    def answered(self) -> SimulationResult:
        """What they answer."""
        return simulate(self.program, self.x, timespans=self.timespans)

    @cached_property
    def outputs(self) -> FloatArray:
        """What the float network answers, (batch, time, outputs)."""
        return self.evaluated(self.network)

    def evaluated(self, network: LiquidNetwork, x: FloatArray | None = None) -> FloatArray:
        """What another float network answers, or to other samples."""
        return network.evaluate(self.x if x is None else x, timespans=self.timespans).outputs


#: What is wrong by a rule, and what to do.
Problems = Iterator[str]
Rule = Callable[[Case], Problems]


def apart(found: FloatArray, expected: FloatArray, what: str, advice: str) -> Problems:
    """A problem where numbers differ by more than rounding; NaN only where NaN is expected."""
    largest = max(float(np.abs(expected[np.isfinite(expected)]).max(initial=1.0)), 1.0)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        worst = float(np.where(same, 0.0, np.abs(found - expected)).max(initial=0.0))
    if not worst <= SAME * largest:  # true for NaN
        yield f"{what} by {worst:.3g} (the largest is {largest:.3g}); {advice}"


def arguments(stage: Stage, rng: np.random.Generator, far: float = 0.0) -> tuple[Any, ...]:
    """Sums, memory and elapsed time of a stage, as of `Stage.answer`.

    Args:
        stage: the stage.
        rng: what draws them.
        far: a magnitude that sums have, of either sign; 0 for all within (-2, 2).
    """
    low = dict.fromkeys(stage.positive, 0.05)
    shape = (5 if not far else 24, stage.units)
    if far:
        sums = {g: rng.choice([-far, far, far / 3.0], shape) for g in stage.gates}
        sums = {g: np.abs(values) if g in low else values for g, values in sums.items()}
    else:
        sums = {g: rng.uniform(low.get(g, -2.0), 2.0, shape) for g in stage.gates}
    most = stage.bound if far and np.isfinite(stage.bound) else 1.0
    memory = {word: rng.uniform(-most, most, shape) for word in stage.memory}
    if far:
        memory = {word: np.where(rng.random(shape) < 0.5, np.sign(v) * most, v)
                  for word, v in memory.items()}  # fmt: skip
    return sums, memory, rng.uniform(0.1, 2.0, (shape[0], 1)) if stage.timed else None
