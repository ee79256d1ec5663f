"""A trained CfC that predicts the next state of a HalfCheetah, in the protocol of the LTC paper.

`card.md` says what it was trained on and how well it does; `data.py` reads the data, which is not
part of the package.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.models.shipped import shipped_program
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram

#: Folder with the shipped `network.toml`, `weights.safetensors`, programs (`*.l2l`) and `card.md`.
FOLDER = Path(__file__).parent
#: Recipes that it was trained for the chip with.
RECIPES = ("w4a8x12", "w8a12-hard")


def load() -> LiquidNetwork:
    """The shipped network: 17 inputs and outputs, one layer of 32 CfC units; needs no PyTorch.

    Raises:
        ImportNetworkError: a file of the package is damaged.
    """
    return FamiliesImporter().load(FOLDER / "network.toml")


def program(recipe: str = RECIPES[0]) -> LoihiProgram:
    """The network after training for the chip.

    Args:
        recipe: one of RECIPES.

    Raises:
        InputError: there is no program with this recipe.
        ArtifactError: the file of the package is damaged.
    """
    return shipped_program(FOLDER, recipe, RECIPES)
