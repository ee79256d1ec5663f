"""Noisy damped waves and their next samples: the data of this network, from a seed, with NumPy.

One sequence is s(k) = exp(-d t) sin(w t + phi) for t = 0.1 k, k = 0, 1, ..., with

    d    decay, uniform in [0.1, 0.5]
    w    angular frequency, uniform in [2 pi / 3, 2 pi], or for faster waves in [8 pi / 3, 4 pi]
    phi  phase, uniform in [0, 2 pi]

and Gaussian noise of standard deviation 0.1 on every sample. The input is a noisy sample, the
target the noisy sample after it: nobody can predict it better than by 0.1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

STEP, TIME = 0.1, 48
DECAY, FREQUENCY, FASTER = (0.1, 0.5), (1.0, 3.0), (4.0, 6.0)
NOISE = 0.1


def sequences(count: int, *, seed: int, faster: bool = False) -> tuple[Array, Array]:
    """Draws noisy waves and their next samples.

    Args:
        count: number of sequences.
        seed: seed of `numpy.random.default_rng`; the same seed gives the same data.
        faster: whether the waves are faster than any that the network was trained on.

    Returns:
        x, float32 (count, TIME, 1): samples; y, of the same shape: the sample after each.
    """
    generator = np.random.default_rng(seed)
    frequency = generator.uniform(*(FASTER if faster else FREQUENCY), size=(count, 1))
    decay = generator.uniform(*DECAY, size=(count, 1))
    phase = generator.uniform(0.0, 2.0 * np.pi, size=(count, 1))
    t = STEP * np.arange(TIME + 1)
    wave = np.exp(-decay * t) * np.sin(2.0 * np.pi / 3.0 * frequency * t + phase)
    noisy = (wave + generator.normal(0.0, NOISE, size=wave.shape))[..., None].astype(np.float32)
    return noisy[:, :-1], noisy[:, 1:]
