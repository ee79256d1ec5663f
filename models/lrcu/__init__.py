"""Trained LRC units with asymmetric elastance that predict a HalfCheetah.

`card.md` says what they were trained on and how well they do; the data are those of
`lnn2loihi.models.halfcheetah`.
"""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.artifact import load as load_program
from lnn2loihi.conversion import import_network
from lnn2loihi.errors import InputError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram

#: Folder with the shipped `<kind>.toml` and `.safetensors`, the programs `<kind>_<recipe>.l2l`, and
#: `card.md`.
FOLDER = Path(__file__).parent
#: What can be trained, and its elastance.
KINDS = {"asymmetric": "asymmetric", "symmetric": "symmetric", "stc": "none"}
#: Those of them whose weights are here.
SHIPPED = ("asymmetric",)
#: The recipe that they were trained for the chip with.
QAT_RECIPE = "w4a8x12"


def load(kind: str = "asymmetric") -> LiquidNetwork:
    """A shipped network: 17 inputs and outputs, 32 units; needs no PyTorch.

    Args:
        kind: one of SHIPPED.

    Raises:
        InputError: there is no such network.
        ImportNetworkError: a file of the package is damaged.
    """
    return import_network(_shipped(kind, ".toml"))


def program(kind: str = "asymmetric") -> LoihiProgram:
    """The network after training for the chip with the recipe QAT_RECIPE.

    Args:
        kind: one of SHIPPED.

    Raises:
        InputError: there is no such network.
        ArtifactError: the file of the package is damaged.
    """
    return load_program(_shipped(kind, f"_{QAT_RECIPE}.l2l"))


def _shipped(kind: str, ending: str) -> Path:
    if kind not in SHIPPED:
        raise InputError("kind", f"is {kind!r:.60}; there are {', '.join(SHIPPED)}")
    return FOLDER / f"{kind}{ending}"
