"""A trained CfC that names words of synthetic speech as they end, from bands of a spectrum.

`card.md` says what it was trained on and how well it does; `data.py` speaks the words again.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.artifact import load as load_program
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram

#: Folder with the shipped `network.toml`, `weights.safetensors`, `w4a8x12.l2l` and `card.md`.
FOLDER = Path(__file__).parent


def load() -> LiquidNetwork:
    """The shipped network: 40 inputs, an output for each class; needs no PyTorch.

    Raises:
        ImportNetworkError: a file of the package is damaged.
    """
    return FamiliesImporter().load(FOLDER / "network.toml")


def program() -> LoihiProgram:
    """The network after training for the chip with the recipe w4a8x12.

    Raises:
        ArtifactError: the file of the package is damaged.
    """
    return load_program(FOLDER / "w4a8x12.l2l")
