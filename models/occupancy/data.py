"""Occupancy data in the protocol of the LTC paper's code.

Five features (temperature, humidity, light, CO2, humidity ratio), standardised with the training
file's mean and population standard deviation; windows of 16, stride 1 in training and 8 in both
test files; a seeded permutation of the training windows, whose first tenth is validation. Data:
Candanedo and Feldheim, Energy and Buildings 112:28-39, 2016 (please cite), as datatraining.txt,
datatest.txt and datatest2.txt.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError, Problems

Array = npt.NDArray[np.float64]

TIME, FEATURES, LIGHT = 16, 5, 2
PERMUTATION_SEED = 893429


@dataclass(frozen=True)
class Occupancy:
    """Windows, float64 (windows, 16, 5), and labels 0 or 1, int64 (windows, 16)."""

    x_train: Array
    y_train: npt.NDArray[np.int64]
    x_validation: Array
    y_validation: npt.NDArray[np.int64]
    x_test: Array
    y_test: npt.NDArray[np.int64]

    def light_threshold(self) -> float:
        """The threshold on standardised light with the best accuracy on the training windows."""
        light, occupied = self.x_train[..., LIGHT].ravel(), self.y_train.ravel()
        order = np.argsort(light)
        light, occupied = light[order], occupied[order]
        below_free = np.cumsum(occupied == 0)
        correct = below_free + occupied.sum() - np.cumsum(occupied)
        best = int(np.argmax(correct))
        return float(light[best] + light[min(best + 1, light.size - 1)]) / 2


@dataclass(frozen=True)
class Scores:
    """Scores of per-step labels.

    Attributes:
        accuracy, balanced_accuracy, f1: shares between 0 and 1; f1 of the class "occupied".
    """

    accuracy: float
    balanced_accuracy: float
    f1: float


def scores(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> Scores:
    """Scores of predicted labels, arrays of the same shape."""
    hit = np.count_nonzero((predicted == 1) & (labels == 1))
    false_alarm = np.count_nonzero((predicted == 1) & (labels == 0))
    missed = np.count_nonzero((predicted == 0) & (labels == 1))
    quiet = np.count_nonzero((predicted == 0) & (labels == 0))
    return Scores(
        accuracy=(hit + quiet) / labels.size,
        balanced_accuracy=0.5 * (hit / (hit + missed) + quiet / (quiet + false_alarm)),
        f1=2 * hit / (2 * hit + false_alarm + missed),
    )


def load(folder: str | os.PathLike[str]) -> Occupancy:
    """Reads the three files.

    Raises:
        InputError: lists the files that are missing or are not as expected.
    """
    problems = Problems(InputError, str(folder))
    files = [_read(Path(folder) / f"{name}.txt", problems) for name in
             ("datatraining", "datatest", "datatest2")]  # fmt: skip
    problems.raise_if_any()
    train = files[0]
    mean, deviation = train[:, :FEATURES].mean(axis=0), train[:, :FEATURES].std(axis=0)
    x, y = _windows(train, mean, deviation, 1)
    order = np.random.RandomState(PERMUTATION_SEED).permutation(len(x))
    held_out, kept = order[: len(x) // 10], order[len(x) // 10 :]
    tests = [_windows(file, mean, deviation, 8) for file in files[1:]]
    x_test, y_test = (np.concatenate(parts) for parts in zip(*tests, strict=True))
    return Occupancy(x[kept], y[kept], x[held_out], y[held_out], x_test, y_test)


def _read(path: Path, problems: Problems) -> Array:
    """Features and label of every row, (rows, 6); rows have an unnamed number and a date first."""
    try:
        rows = [line.rstrip("\n").split(",") for line in path.read_text().splitlines()[1:]]
        return np.array([[float(value) for value in row[2:]] for row in rows]).reshape(-1, 6)
    except OSError as error:
        problems.add(f"{path.name} cannot be read ({error.strerror})")
    except ValueError as error:
        problems.add(f"{path.name} is not as expected ({error})")
    return np.zeros((0, 6))


def _windows(
    rows: Array, mean: Array, deviation: Array, stride: int
) -> tuple[Array, npt.NDArray[np.int64]]:
    x = (rows[:, :FEATURES] - mean) / deviation
    starts = range(0, len(rows) - TIME, stride)
    labels = rows[:, FEATURES].astype(np.int64)
    return np.stack([x[s : s + TIME] for s in starts]), np.stack(
        [labels[s : s + TIME] for s in starts]
    )
