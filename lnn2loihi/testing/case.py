"""A layer that is tried, and what is made of it when a rule asks for it first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

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
    """

    layer: Layer
    x: FloatArray
    timespans: FloatArray | None
    timespan: float | None
    recipe: Recipe
    chosen: str | tuple[str, ...]
    executors: tuple[str, ...] = ()

    @cached_property
    def network(self) -> LiquidNetwork:
        """The layer with a readout, so that its answer is heard."""
        rng, units = np.random.default_rng(0), self.layer.units
        weight = rng.normal(size=(2, units)) / np.sqrt(units)
        readout = Linear("readout", weight, rng.normal(size=2) / 4)
        return LiquidNetwork("checked", (self.layer,), readout, self.timespan)

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
    """A problem where numbers differ by more than rounding."""
    largest = max(float(np.abs(expected).max()), 1.0)
    worst = float(np.abs(found - expected).max())
    if not worst <= SAME * largest:  # true for NaN
        yield f"{what} by {worst:.3g} (the largest is {largest:.3g}); {advice}"
