"""A trained network that follows a ball through pictures: convolutions of lava-dl, and a CfC.

`card.md` says what it was trained on and how well it does; `data.py` renders the pictures.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.conversion import import_program
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram

#: Folder with the shipped `front.net`, `network.toml`, `weights.safetensors` and `card.md`.
FOLDER = Path(__file__).parent


def front() -> LoihiProgram:
    """The shipped front: pictures of 256 pixels, 3 answers; needs h5py.

    Raises:
        BackendMissingError: h5py is not installed.
        ImportNetworkError: the file of the package is damaged.
    """
    return import_program(FOLDER / "front.net")


def load() -> LiquidNetwork:
    """The shipped core: 3 inputs, 4 outputs, three layers of CfC units; needs no PyTorch.

    Raises:
        ImportNetworkError: a file of the package is damaged.
    """
    return FamiliesImporter().load(FOLDER / "network.toml")
