"""A trained CfC with dropout that predicts the next noisy sample of a damped wave, and how surely.

`card.md` says what it was trained on and what its intervals cover; `data.py` makes the data again.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.models.noisy_waves.data import Array, sequences
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.network_file import load as load_network
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize

#: Folder with the shipped `network.l2n` and `card.md`.
FOLDER = Path(__file__).parent
#: Sequences that `program` is calibrated on, and their seed.
CALIBRATION = (128, 5_000_000)


def load() -> LiquidNetwork:
    """The shipped network: 1 input, 1 output, dropout behind its 32 units; needs no PyTorch.

    Raises:
        ArtifactError: the file of the package is damaged.
    """
    return load_network(FOLDER / "network.l2n")


def program() -> LoihiProgram:
    """The network with the recipe w8a12 and masks, for `lnn2loihi.monte_carlo`.

    Raises:
        ArtifactError: the file of the package is damaged.
    """
    count, seed = CALIBRATION
    return quantize(load(), sequences(count, seed=seed)[0], "w8a12", dropout=True)


def example(count: int, seed: int, faster: bool = False) -> tuple[Array, Array]:
    """Sequences that fit the network, as `data.sequences` makes them."""
    return sequences(count, seed=seed, faster=faster)
