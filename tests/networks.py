"""Random float networks, made without PyTorch."""

from __future__ import annotations

import numpy as np

from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.ltc.layer import LTCLayer
from lnn2loihi.network import Linear, LiquidNetwork


def random_network(
    seed: int,
    inputs: int = 3,
    layers: tuple[int, ...] = (6, 4),
    outputs: int = 2,
    scale: float = 1.5,
    density: float = 1.0,
    timespan: float = 1.0,
) -> LiquidNetwork:
    """A network with normal weights of standard deviation scale / sqrt(fan-in)."""
    rng = np.random.default_rng(seed)
    made, columns = [], inputs
    for place, units in enumerate(layers):
        shape = (units, columns + units)
        gates = []
        for name in CfCLayer.gates:
            weight = rng.normal(0.0, scale / np.sqrt(shape[1]), shape)
            keep = rng.random(shape) < density
            gates.append(Linear(name, weight * keep, rng.normal(0.0, 0.3, units)))
        made.append(CfCLayer(f"layer_{place}", *gates))
        columns = units
    readout = None
    if outputs:
        weight = rng.normal(0.0, scale / np.sqrt(columns), (outputs, columns))
        readout = Linear("readout", weight, rng.normal(0.0, 0.1, outputs))
    return LiquidNetwork(f"random {seed}", tuple(made), readout, timespan)


def random_ltc(
    seed: int,
    inputs: int = 3,
    units: int = 5,
    outputs: int = 2,
    unfolds: int = 4,
    density: float = 0.8,
    timespan: float | None = 0.7,
) -> LiquidNetwork:
    """An LTC layer with a readout; irregular time where the timespan is None."""
    rng = np.random.default_rng(seed)
    shape = (units, inputs + units)
    conductance = Linear("conductance", rng.uniform(0.1, 1.0, shape), rng.uniform(0.1, 1.0, units))
    current = Linear(
        "current", conductance.weight * rng.choice([-1, 1], shape), 0.3 * conductance.bias
    )
    wiring = rng.random(shape) < density
    wiring[:, 0] = True
    layer = LTCLayer(
        "ltc", rng.normal(0.0, 3.0, shape), rng.normal(0.0, 1.0, shape), conductance, current,
        rng.uniform(0.3, 1.0, units), wiring, unfolds=unfolds,
    )  # fmt: skip
    readout = Linear("readout", rng.normal(size=(outputs, units)), np.zeros(outputs))
    return LiquidNetwork(f"ltc {seed}", (layer,), readout, timespan)


def random_samples(
    seed: int, batch: int, time: int, channels: int, scale: float = 1.0
) -> np.ndarray:
    """Normal samples (batch, time, channels)."""
    return np.random.default_rng(seed).normal(0.0, scale, (batch, time, channels))
