"""Random networks of complex modes, gated units and skips."""

from __future__ import annotations

from typing import Any

import numpy as np

from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.s4d.glu import GLULayer
from lnn2loihi.families.s4d.layer import LiquidS4DLayer, S4DLayer
from lnn2loihi.layers.linear import SUM, Linear
from lnn2loihi.network import LiquidNetwork


def linear(rng: np.random.Generator, name: str, outputs: int, inputs: int) -> Linear:
    weight = rng.normal(0, 1 / np.sqrt(inputs), (outputs, inputs))
    return Linear(name, weight, rng.normal(0, 0.3, outputs))


def state_space(
    name: str, channels: int = 3, modes: int = 4, *, inputs: int | None = None,
    liquid: bool = False, steps: tuple[float, float] = (0.001, 0.1), seed: int = 0,
    activation: str = "gelu",
) -> S4DLayer:  # fmt: skip
    """A layer that begins as S4D-Lin does; of other inputs than its channels, one of dense maps."""
    rng = np.random.default_rng(seed)
    count = channels * modes
    spread = np.repeat(np.eye(channels), modes, axis=0)
    if inputs is None or inputs == channels:
        drive = Linear("drive", spread, np.zeros(count))
        mix = np.hstack([np.diag(rng.normal(size=channels)), spread.T])
    else:
        drive = linear(rng, "drive", count, inputs)
        mix = np.hstack([rng.normal(size=(channels, inputs)), spread.T])
    dt = np.repeat(np.exp(rng.uniform(np.log(steps[0]), np.log(steps[1]), channels)), modes)
    turns = np.tile(np.pi * np.arange(modes), channels) * dt
    more: dict[str, Any] = {}
    if liquid:
        more = {"share": rng.uniform(0, 0.95, count), "direction": rng.uniform(-3, 3, count)}
    kind = LiquidS4DLayer if liquid else S4DLayer
    return kind(
        name, drive, Linear(SUM, mix, rng.normal(0, 0.1, channels)), np.log(0.5 * dt), turns,
        rng.normal(size=count), rng.normal(size=count), activation=activation, **more,
    )  # fmt: skip


def gated(name: str, inputs: int = 4, units: int = 3, skip: bool = True, seed: int = 0) -> GLULayer:
    """A gated layer with dense maps."""
    rng = np.random.default_rng(seed)
    maps = [linear(rng, part, units, inputs) for part in ("value", "gate", "skip")]
    return GLULayer(name, maps[0], maps[1], maps[2] if skip else None)


def network(
    seed: int = 0, inputs: int = 2, channels: int = 4, modes: int = 3, blocks: int = 2,
    liquid: bool = False,
) -> LiquidNetwork:  # fmt: skip
    """Blocks with residual connections between two maps."""
    rng = np.random.default_rng(seed)
    function = "tanh" if liquid else "identity"
    layers: list[Any] = [DenseLayer("encoder", linear(rng, SUM, channels, inputs), function)]
    hears: dict[str, tuple[str, ...]] = {}
    for number in range(blocks):
        before = layers[-1].name
        if liquid and number:
            layers.append(DenseLayer(f"in_{number}", linear(rng, SUM, channels, channels), "tanh"))
        space = state_space(
            f"space_{number}", channels, modes, liquid=liquid, seed=seed + 7 * number,
            steps=(0.01, 0.5),
        )  # fmt: skip
        own = gated(f"glu_{number}", 2 * channels, channels, seed=seed + number)
        layers += [space, own]
        hears[own.name] = (space.name, before)
    return LiquidNetwork("space", tuple(layers), linear(rng, "readout", 2, channels), hears=hears)
