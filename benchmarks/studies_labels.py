"""Two tasks with one label for a sequence: parity of bits as events, and digits pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from studies_tasks import Array, Part, StudyTask

from lnn2loihi.errors import Lnn2LoihiError


class Labels(StudyTask):
    """A class for each sequence; `weight` says which of its answers counts, or by how much."""

    main = "NLL"
    #: Classes; 1 for a single logit.
    classes: int

    def loss(self, answer: Any, y: Any, weight: Any) -> Any:
        import torch

        said = (answer * weight).sum(dim=1)
        if self.classes == 1:
            return torch.nn.functional.binary_cross_entropy_with_logits(said, y[:, 0])
        return torch.nn.functional.cross_entropy(said, y[:, 0].argmax(dim=1))

    def figures(self, answer: Array, part: Part) -> dict[str, float]:
        said = (answer * part.weight).sum(axis=1).astype(float)
        if self.classes == 1:
            said = np.concatenate([np.zeros_like(said), said], axis=1)
            label = part.y[:, 0, 0].astype(int)
        else:
            label = part.y[:, 0].argmax(axis=1)
        likely = said - np.logaddexp.reduce(said, axis=1, keepdims=True)
        rows = np.arange(len(label))
        return {
            "accuracy [%]": 100.0 * float(np.mean(said.argmax(axis=1) == label)),
            self.main: -float(likely[rows, label].mean()),
        }

    def trivial(self, part: Part) -> Array:
        """The commonest class."""
        counts = self.train.y[:, 0].mean(axis=0)
        return np.zeros(part.y.shape) + (counts if self.classes > 1 else counts - 0.5)


class EventXor(Labels):
    """Whether the number of ones is odd: up to 32 bits, told as events when they change, with the
    time since the last one. The generator and its seeds are those of raminmh/CfC (Lechner and
    Hasani 2020, "1-32"), of whose 100,000 training sequences this takes the first ones.
    """

    name = "xor"
    parameters, epochs, batch, classes = 5000, 20, 64, 1
    longest, train_seed, test_seed = 32, 1234984, 48736

    def __init__(self, folder: Path, seed: int, counts: tuple[int, int, int] = (8000, 1000, 2000)):
        drawn = self._drawn(counts[0] + counts[1], self.train_seed)
        self.train, self.validation = (
            Part(*(a[rows] for a in drawn))
            for rows in (slice(counts[0]), slice(counts[0], None))
        )  # fmt: skip
        self.test = Part(*self._drawn(counts[2], self.test_seed))

    def _drawn(self, count: int, seed: int) -> tuple[Array, Array, Array, Array]:
        rng = np.random.RandomState(seed)
        size = (count, self.longest, 1)
        x, y, weight = (np.zeros(size, np.float32) for _ in range(3))
        elapsed = np.zeros(size[:2], np.float32)
        for row in range(count):
            ones, passed, last, events = 0, 0, -1, 0
            for _ in range(rng.randint(2, self.longest)):
                bit = rng.randint(0, 2)
                passed += 1
                ones += bit
                if bit != last:
                    x[row, events], elapsed[row, events] = bit, passed
                    events, passed = events + 1, 0
                last = bit
                if events >= self.longest - 1:
                    break
            if passed > 0:
                x[row, events], elapsed[row, events] = last, passed
                events += 1
            y[row], weight[row, events - 1] = ones % 2, 1.0
        return x, elapsed / self.longest, y, weight


class Digits(Labels):
    """Handwritten digits of scikit-learn, 64 pixels in a row; the mean of all answers."""

    name = "digits"
    parameters, epochs, batch, classes = 5000, 40, 32, 10
    counts = (1200, 200)

    def __init__(self, folder: Path, seed: int) -> None:
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise Lnn2LoihiError(
                "digits", "needs scikit-learn: pip install scikit-learn"
            ) from error
        images, labels = load_digits(return_X_y=True)
        order = np.random.RandomState(0).permutation(len(labels))
        x = (images[order, :, None] / 8.0 - 1.0).astype(np.float32)
        y = np.eye(10, dtype=np.float32)[labels[order]][:, None]
        y = np.broadcast_to(y, (len(y), x.shape[1], 10))
        first, second = np.cumsum(self.counts)
        self.train, self.validation, self.test = (
            Part(x[rows], np.ones(x[rows].shape[:2], np.float32), y[rows],
                 np.full_like(y[rows], 1.0 / x.shape[1]))
            for rows in (slice(first), slice(first, second), slice(second, None))
        )  # fmt: skip
