"""A trained network that swings up an inverted pendulum, and holds it, without seeing its speed.

`card.md` says what it was trained on and how well it does; `data.py` has the pendulum.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.models.pendulum.data import Array, teaching
from lnn2loihi.network import LiquidNetwork

#: Folder with the shipped `network.toml`, `weights.safetensors` and `card.md`.
FOLDER = Path(__file__).parent


def load() -> LiquidNetwork:
    """The shipped network: 2 inputs, 1 output, three layers of CfC units; needs no PyTorch.

    Raises:
        ImportNetworkError: a file of the package is damaged.
    """
    return FamiliesImporter().load(FOLDER / "network.toml")


def example(count: int, time: int, seed: int) -> tuple[Array, Array]:
    """Sequences that fit the network, as `data.teaching` makes them."""
    return teaching(count, time, seed)
