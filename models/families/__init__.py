"""One trained network of each family on each of two tasks, at 32 units, to compare families with.

`card.md` says what they were trained on and how well they do.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.errors import InputError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.plugins import import_network

#: Folder with the shipped `<task>_<family>.toml` and `.safetensors`, and `card.md`.
FOLDER = Path(__file__).parent
#: Tasks, which are folders in models/ with the data's protocol, and families.
TASKS = ("occupancy", "halfcheetah")
FAMILIES = ("cfc", "ncp", "ltc", "gru", "lstm", "mingru", "minlstm")


def load(task: str, family: str) -> LiquidNetwork:
    """A shipped network; needs no PyTorch.

    Raises:
        InputError: there is no such network.
        ImportNetworkError: a file of the package is damaged.
    """
    path = FOLDER / f"{task}_{family}.toml"
    if task not in TASKS or family not in FAMILIES or not path.is_file():
        raise InputError(
            f"network {task!r}, {family!r}",
            f"is not there; tasks are {', '.join(TASKS)}, families {', '.join(FAMILIES)}",
        )
    return import_network(path)
