"""A trained CfC that tells where a noisy sensor with gaps is going, from uneven samples.

`card.md` says what it was trained on and how well it does; `data.py` makes the data again.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.models.gappy_sensor.data import Array, sequences
from lnn2loihi.network import LiquidNetwork

#: Folder with the shipped `network.toml`, `weights.safetensors` and `card.md`.
FOLDER = Path(__file__).parent


def load() -> LiquidNetwork:
    """The shipped network: 1 input with irregular time, 1 output; needs no PyTorch.

    Raises:
        ImportNetworkError: a file of the package is damaged.
    """
    return FamiliesImporter().load(FOLDER / "network.toml")


def example(count: int, time: int, seed: int) -> tuple[Array, Array, Array]:
    """Sequences that fit the network, as `data.sequences` makes them."""
    return sequences(count, time, seed)
