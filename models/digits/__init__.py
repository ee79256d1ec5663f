"""Trained networks that read a digit pixel by pixel: S4D, and its liquid form.

`card.md` says what they were trained on and how well they do; `data.py` reads the data, which are
not part of the package.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.artifact import load as load_program
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.errors import InputError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram

#: Folder with the shipped files and `card.md`.
FOLDER = Path(__file__).parent
#: The networks, by the names of their files.
NETWORKS = ("s4d", "liquid_s4d")
#: Widths that they were trained for the chip with.
RECIPE = "w4a8x12"


def load(network: str = "s4d") -> LiquidNetwork:
    """A shipped network: 1 input, 10 logits in every step, whose mean over time is the answer.

    Args:
        network: one of NETWORKS.

    Raises:
        InputError: it is none of these.
        ImportNetworkError: a file of the package is damaged.
    """
    return FamiliesImporter().load(FOLDER / f"{_checked(network)}.toml")


def program(network: str = "s4d") -> LoihiProgram:
    """The network after training for the chip with the recipe RECIPE.

    Args:
        network: one of NETWORKS.

    Raises:
        InputError: it is none of these.
        ArtifactError: the file of the package is damaged.
    """
    return load_program(FOLDER / f"{_checked(network)}_{RECIPE}.l2l")


def _checked(network: str) -> str:
    if network not in NETWORKS:
        raise InputError("network", f"is {network!r:.60}; there are {', '.join(NETWORKS)}")
    return network
