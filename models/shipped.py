"""Programs that are shipped beside a trained network, one file for each recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lnn2loihi.artifact import load
from lnn2loihi.errors import InputError
from lnn2loihi.program import LoihiProgram


def shipped_program(folder: Path, recipe: str, recipes: Sequence[str]) -> LoihiProgram:
    """The program of a recipe, from the file `<recipe>.l2l`.

    Args:
        folder: where the files are.
        recipe: the one that is wanted.
        recipes: those that are there.

    Raises:
        InputError: there is no program with this recipe.
        ArtifactError: the file is damaged.
    """
    if recipe not in recipes:
        raise InputError("recipe", f"{recipe!r} is not shipped; there are {', '.join(recipes)}")
    return load(folder / f"{recipe}.l2l")
