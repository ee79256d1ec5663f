"""A trained network of 16 units that flies a quadrotor whose airframe it does not know.

`card.md` says what it was trained on and how well it does; `data.py` has the quadrotor.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.network import LiquidNetwork

#: Folder with the shipped files and `card.md`.
FOLDER = Path(__file__).parent


def load() -> LiquidNetwork:
    """The shipped network: 3 inputs, 2 outputs, one CfC layer with a backbone; needs no PyTorch.

    Raises:
        ImportNetworkError: a file of the package is damaged.
    """
    return FamiliesImporter().load(FOLDER / "network.toml")
