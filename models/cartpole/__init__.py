"""A trained network of 16 units that balances a pole without seeing speeds.

`card.md` says what it was trained on and how well it does; `data.py` has the cart and the pole.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.network import LiquidNetwork

#: Folder with the shipped files and `card.md`.
FOLDER = Path(__file__).parent


def load() -> LiquidNetwork:
    """The shipped network: 2 inputs, 1 output, one CfC layer with a backbone; needs no PyTorch.

    Raises:
        ImportNetworkError: a file of the package is damaged.
    """
    return FamiliesImporter().load(FOLDER / "network.toml")
