"""One trained network of each family on each of two tasks, at 32 units, to compare families with.

`card.md` says what they were trained on and how well they do.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.artifact import load as load_program
from lnn2loihi.conversion import import_network
from lnn2loihi.errors import InputError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram

#: Folder with the shipped `<task>_<family>.toml` and `.safetensors`, the programs
#: `<task>_<family>_<recipe>.l2l`, and `card.md`.
FOLDER = Path(__file__).parent
#: Tasks, which are folders in models/ with the data's protocol, and families.
TASKS = ("occupancy", "halfcheetah")
FAMILIES = ("cfc", "ncp", "ltc", "gru", "lstm", "mingru", "minlstm")
#: The recipe that the networks were trained for the chip with.
QAT_RECIPE = "w4a8x12"


def load(task: str, family: str) -> LiquidNetwork:
    """A shipped network; needs no PyTorch.

    Raises:
        InputError: there is no such network.
        ImportNetworkError: a file of the package is damaged.
    """
    return import_network(_shipped(task, family, ".toml"))


def program(task: str, family: str) -> LoihiProgram:
    """The network after training for the chip with the recipe QAT_RECIPE.

    Raises:
        InputError: there is no such network.
        ArtifactError: the file of the package is damaged.
    """
    return load_program(_shipped(task, family, f"_{QAT_RECIPE}.l2l"))


def _shipped(task: str, family: str, ending: str) -> Path:
    path = FOLDER / f"{task}_{family}{ending}"
    if task not in TASKS or family not in FAMILIES or not path.is_file():
        raise InputError(
            f"network {task!r}, {family!r}",
            f"is not there; tasks are {', '.join(TASKS)}, families {', '.join(FAMILIES)}",
        )
    return path
