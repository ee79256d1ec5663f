"""A trained CfC that predicts the next state of a Walker2d from irregular samples.

`card.md` says what it was trained on and how well it does; `data.py` reads the data, which is not
part of the package.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.artifact import load as load_program
from lnn2loihi.converters.ncps import NcpsImporter
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram

#: Folder with the shipped `network.toml`, `weights.safetensors`, `w8a12.l2l` and `card.md`.
FOLDER = Path(__file__).parent


def load() -> LiquidNetwork:
    """The shipped network: 17 inputs and outputs, 64 units, irregular timespans; without PyTorch.

    Raises:
        ImportNetworkError: a file of the package is damaged.
    """
    return NcpsImporter().load(FOLDER / "network.toml")


def program() -> LoihiProgram:
    """The network after training for the chip with the recipe w8a12.

    Raises:
        ArtifactError: the file of the package is damaged.
    """
    return load_program(FOLDER / "w8a12.l2l")
