"""A trained NCP that tells from room sensors, at every step, whether the room is occupied.

`card.md` says what it was trained on and how well it does; `data.py` reads the data, which is not
part of the package.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.artifact import load as load_program
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram

#: Folder with the shipped `network.toml`, `weights.safetensors`, `w4a8.l2l` and `card.md`.
FOLDER = Path(__file__).parent


def load() -> LiquidNetwork:
    """The shipped network: 5 inputs, 1 logit, three layers of CfC units; needs no PyTorch.

    Raises:
        ImportNetworkError: a file of the package is damaged.
    """
    return FamiliesImporter().load(FOLDER / "network.toml")


def program() -> LoihiProgram:
    """The network after training for the chip with the recipe w4a8.

    Raises:
        ArtifactError: the file of the package is damaged.
    """
    return load_program(FOLDER / "w4a8.l2l")
