"""Digits of eight by eight pixels, one pixel a step: scikit-learn's `load_digits`.

Data: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, 1998 (CC BY 4.0), as scikit-learn ships them. They are read from a file that
scikit-learn makes; the model card has the lines.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError

Array = npt.NDArray[np.float64]

STEPS, CLASSES, IMAGES = 64, 10, 1797
#: How many are for training and for validation; the others are the test.
TRAINING, VALIDATION = 1200, 200
PERMUTATION_SEED = 0


@dataclass(frozen=True)
class Digits:
    """Pixels from -1 to 1, float64 (images, 64, 1), and digits, int64 (images,)."""

    x_train: Array
    y_train: npt.NDArray[np.int64]
    x_validation: Array
    y_validation: npt.NDArray[np.int64]
    x_test: Array
    y_test: npt.NDArray[np.int64]


def load(path: str | os.PathLike[str]) -> Digits:
    """Reads the file.

    Raises:
        InputError: it cannot be read, or is not as expected.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            x, y = np.asarray(file["x"], np.float64), np.asarray(file["y"], np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(str(path), f"it cannot be read as digits ({error})") from error
    if x.shape != (IMAGES, STEPS, 1) or y.shape != (IMAGES,):
        raise InputError(
            str(path),
            f"x has shape {x.shape} and y {y.shape}; expected {(IMAGES, STEPS, 1)} and {(IMAGES,)}",
        )
    order = np.random.RandomState(PERMUTATION_SEED).permutation(IMAGES)
    x, y = x[order], y[order]
    test = TRAINING + VALIDATION
    return Digits(
        x[:TRAINING], y[:TRAINING], x[TRAINING:test], y[TRAINING:test], x[test:], y[test:]
    )


def accuracy(outputs: Array, digits: npt.NDArray[np.int64]) -> float:
    """Share of the images whose logits, the mean over time of (images, 64, 10), are largest at
    their digit.
    """
    return float((outputs.mean(axis=1).argmax(axis=-1) == digits).mean())
