"""Trains these networks: python -m lnn2loihi.models.cartpole.train --out FOLDER.

What is written: `lnn2loihi.models.imitated`.
"""

from __future__ import annotations

import numpy as np

from lnn2loihi.models.cartpole.data import CartPoles
from lnn2loihi.models.imitated import Imitated
from lnn2loihi.models.imitation import Course

#: Starts of training are farther from rest than those of Gymnasium, so that there is more to see.
START = 0.15


def drawn(count: int, first: int) -> CartPoles:
    """CartPoles with the seeds from `first` on."""
    return CartPoles(first + np.arange(count), START)


TASK = Imitated(
    "cartpole", drawn, inputs=2, outputs=1, units=16, backbone=24, hidden=32,
    course=Course(epochs=20, steps=200), tuning=256, tuning_epochs=10, tuning_rate=2e-3,
)  # fmt: skip

if __name__ == "__main__":
    TASK.main("balance a pole")
