"""HalfCheetah data: traces 15..24 train, 5..14 test, 0..4 validation, sequences of 32 samples.

Protocol of Hasani et al. 2021 (LTC, AAAI), code experiments_with_ltcs/cheetah.py: windows of 32
with stride 10, the target is the state one step later, the metric is the mean squared error.
Data: raminmh/liquid_time_constant_networks (Apache-2.0), as `halfcheetah.npz` with x float32
(31, 1000, 17). States are standardised with the training traces' mean and standard deviation;
errors are reported in the original units.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError

Array = npt.NDArray[np.float64]

TIME, STRIDE, CHANNELS = 32, 10, 17
TRAIN, TEST, VALIDATION = slice(15, 25), slice(5, 15), slice(0, 5)


@dataclass(frozen=True)
class HalfCheetah:
    """Standardised sequences, float64 (sequences, 32, 17); y is x one step later.

    Attributes:
        mean, deviation: of the training traces, (17,), in the original units.
    """

    x_train: Array
    y_train: Array
    x_validation: Array
    y_validation: Array
    x_test: Array
    y_test: Array
    mean: Array
    deviation: Array

    def squared_error(self, predictions: Array, targets: Array) -> float:
        """Mean squared error in the original units of standardised arrays."""
        return float(np.mean(((predictions - targets) * self.deviation) ** 2))


def load(path: str | os.PathLike[str], training_stride: int = STRIDE) -> HalfCheetah:
    """Reads `halfcheetah.npz`.

    Args:
        path: the file.
        training_stride: samples from the beginning of a training sequence to that of the next one;
            those of the paper by default. Validation and test are always those of the paper.

    Raises:
        InputError: the file is not there or does not hold x (31, 1000, 17).
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            traces = np.asarray(file["x"], np.float64)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(str(path), f"is not halfcheetah.npz with the array x ({error})") from error
    if traces.ndim != 3 or traces.shape[0] < 25 or traces.shape[2] != CHANNELS:
        raise InputError(str(path), f"x has shape {traces.shape}, expected (31, 1000, {CHANNELS})")
    mean, deviation = traces[TRAIN].mean(axis=(0, 1)), traces[TRAIN].std(axis=(0, 1))
    scaled = (traces - mean) / deviation
    train = _windows(scaled[TRAIN], training_stride)
    held_out, test = (_windows(scaled[part], STRIDE) for part in (VALIDATION, TEST))
    return HalfCheetah(*train, *held_out, *test, mean, deviation)


def _windows(traces: Array, stride: int) -> tuple[Array, Array]:
    starts = range(0, traces.shape[1] - TIME - 1, stride)
    x = [trace[s : s + TIME] for trace in traces for s in starts]
    y = [trace[s + 1 : s + 1 + TIME] for trace in traces for s in starts]
    return np.stack(x), np.stack(y)
