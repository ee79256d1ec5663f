"""Noisy damped sine waves: the data of this network, from a seed, with NumPy alone.

One sequence is s(k) = A exp(-d k) sin(w k + phi) for samples k = 0, 1, ..., with

    A    amplitude, uniform in [0.5, 1]
    d    decay, uniform in [0.005, 0.03] per sample
    w    angular frequency, uniform in [0.15, 0.6] rad per sample (10 to 42 samples a period)
    phi  phase, uniform in [0, 2 pi]

The input is s(k) plus Gaussian noise of standard deviation 0.1; the target is the clean value of
the next sample, s(k + 1). So a network has to find the frequency and to remove the noise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

AMPLITUDE = (0.5, 1.0)
DECAY = (0.005, 0.03)
FREQUENCY = (0.15, 0.6)
NOISE = 0.1


def sequences(count: int, time: int, seed: int) -> tuple[Array, Array]:
    """Draws noisy damped sine waves and their clean next values.

    Args:
        count: number of sequences.
        time: samples of each.
        seed: seed of `numpy.random.default_rng`; the same seed gives the same data.

    Returns:
        x, float32 (count, time, 1): noisy samples; y, float32 (count, time, 1): the clean value
        of the sample after each.
    """
    generator = np.random.default_rng(seed)
    amplitude = generator.uniform(*AMPLITUDE, size=(count, 1))
    decay = generator.uniform(*DECAY, size=(count, 1))
    frequency = generator.uniform(*FREQUENCY, size=(count, 1))
    phase = generator.uniform(0.0, 2.0 * np.pi, size=(count, 1))
    k = np.arange(time + 1)
    clean = amplitude * np.exp(-decay * k) * np.sin(frequency * k + phase)
    noisy = clean[:, :-1] + generator.normal(0.0, NOISE, size=(count, time))
    return noisy[..., None].astype(np.float32), clean[:, 1:, None].astype(np.float32)


def last_sample(x: Array) -> Array:
    """The trivial prediction: the next value is the noisy sample just seen; shape as x."""
    return x


def linear_prediction(x_train: Array, y_train: Array, x: Array, taps: int) -> Array:
    """The best linear prediction from the last samples, by least squares.

    Args:
        x_train: float32 (count, time, 1), what the coefficients are fitted on.
        y_train: float32 (count, time, 1), its targets.
        x: float32 (count, time, 1), what is predicted.
        taps: number of last samples used; zeros stand before the first.

    Returns:
        float32, shape as x.
    """
    coefficients, *_ = np.linalg.lstsq(
        _windows(x_train, taps).reshape(-1, taps), y_train.ravel(), rcond=None
    )
    return (_windows(x, taps) @ coefficients)[..., None].astype(np.float32)


def _windows(x: Array, taps: int) -> npt.NDArray[np.float64]:
    """The last `taps` samples at each step, float64 (count, time, taps)."""
    padded = np.pad(x[..., 0].astype(np.float64), ((0, 0), (taps - 1, 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, taps, axis=1)
