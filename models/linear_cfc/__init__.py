"""A trained CfC with linear heads, the function of ncps.keras and ncps.tf, that predicts the next
state of a HalfCheetah.

`card.md` says what it was trained on and how well it does; `module.py` is the module to train, and
`lnn2loihi.models.halfcheetah.data` reads the data, which is not part of the package.
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
    """The shipped network: 17 inputs and outputs, 32 units; needs no PyTorch.

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
