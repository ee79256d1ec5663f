"""Trains these networks: python -m lnn2loihi.models.quadrotor.train --out FOLDER.

What is written: `lnn2loihi.models.imitated`.
"""

from __future__ import annotations

import numpy as np

from lnn2loihi.models.imitated import Imitated
from lnn2loihi.models.imitation import Course
from lnn2loihi.models.quadrotor.data import Quadrotors


def drawn(count: int, first: int) -> Quadrotors:
    """Quadrotors with the seeds from `first` on."""
    return Quadrotors(first + np.arange(count))


TASK = Imitated(
    "quadrotor", drawn, inputs=3, outputs=2, units=16, backbone=24, hidden=32,
    course=Course(epochs=60, steps=200), tuning=512, tuning_epochs=10, tuning_rate=6e-4,
)  # fmt: skip

if __name__ == "__main__":
    TASK.main("fly a quadrotor")
