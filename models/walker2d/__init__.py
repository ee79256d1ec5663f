"""A trained CfC that predicts the next state of a Walker2d from irregular samples.

`card.md` says what it was trained on and how well it does; `data.py` reads the data, which is not
part of the package.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.errors import InputError
from lnn2loihi.models.shipped import shipped_program
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram

#: Folder with the shipped descriptions (`*.toml`), weights (`*.safetensors`), programs (`*.l2l`)
#: and `card.md`.
FOLDER = Path(__file__).parent
#: Recipes that it was trained for the chip with, and the program of the network with a memory.
RECIPES = ("w8a12", "w4a8x12", "w8a12-hard", "memory-w8a12")
#: Descriptions, by the form of tanh that the weights were trained with; `memory` is another
#: network.
FORMS = {"tanh": "network.toml", "hard": "hard.toml", "memory": "memory.toml"}


def load(form: str = "tanh") -> LiquidNetwork:
    """The shipped network: 17 inputs and outputs, 64 units, irregular timespans; without PyTorch.

    Args:
        form: key of FORMS. The state of `memory` passes an LSTM in every step. Weights of the form
            `hard` are for recipes of that form, which compute clipped lines in place of tanh;
            `evaluate` of this network, which has tanh, answers otherwise.

    Raises:
        InputError: there are no weights of this form.
        ImportNetworkError: a file of the package is damaged.
    """
    if form not in FORMS:
        raise InputError("form", f"{form!r} is not shipped; there are {', '.join(FORMS)}")
    return FamiliesImporter().load(FOLDER / FORMS[form])


def program(recipe: str = RECIPES[0]) -> LoihiProgram:
    """The network after training for the chip.

    Args:
        recipe: one of RECIPES.

    Raises:
        InputError: there is no program with this recipe.
        ArtifactError: the file of the package is damaged.
    """
    return shipped_program(FOLDER, recipe, RECIPES)
