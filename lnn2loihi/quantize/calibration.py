"""What calibration data say about a network: ranges and second moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lnn2loihi.network import FloatArray, FloatResult, LiquidNetwork


@dataclass(frozen=True)
class Calibration:
    """Measurements on calibration data.

    Attributes:
        x: the data, float64 (batch, time, inputs).
        result: the float network's answer to them.
        input_low, input_high: smallest and largest value of each channel, (inputs,).
        moments: for each stage name E[z z^T] with z = [inputs; own state before; 1],
            float64 (n, n): what a weight error costs.
    """

    x: FloatArray
    result: FloatResult
    input_low: FloatArray
    input_high: FloatArray
    moments: Mapping[str, FloatArray]


def measure(network: LiquidNetwork, x: FloatArray) -> Calibration:
    """Runs the float network on calibration data.

    Args:
        network: the network.
        x: float64 (batch, time, inputs), finite and not empty.
    """
    result = network.evaluate(x)
    moments: dict[str, FloatArray] = {}
    entering = x
    for layer in network.layers:
        states = result.states[layer.name]
        before = np.concatenate([np.zeros_like(states[:, :1]), states[:, :-1]], axis=1)
        moments[layer.name] = _second_moments(np.concatenate([entering, before], axis=-1))
        entering = states
    if network.readout is not None:
        moments[network.readout.name] = _second_moments(entering)
    return Calibration(x, result, x.min(axis=(0, 1)), x.max(axis=(0, 1)), moments)


def _second_moments(z: FloatArray) -> FloatArray:
    flat = z.reshape(-1, z.shape[-1])
    flat = np.concatenate([flat, np.ones((flat.shape[0], 1))], axis=1)
    return flat.T @ flat / flat.shape[0]
