"""Calls of a converted module that come from files, and answers that go to them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.converted.pieces import AnyArray
from lnn2loihi.converted.running import given_example
from lnn2loihi.converted.structure import tensors_at, with_tensors
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.samples import read_named_arrays

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

#: A call: positional arguments and keywords.
Call = tuple[tuple[Any, ...], dict[str, Any]]


def read_call(converted: ConvertedModule, path: str | os.PathLike[str] | None) -> Call:
    """The arguments that a file holds.

    Args:
        converted: the module.
        path: `.npz` with an array for each input, by its name; `.npy` or `.csv` where it has one
            input. None for the example.

    Raises:
        InputError: the file is no good, or lists arrays that are missing or unknown.
    """
    if path is None:
        return example_call(converted)
    found = read_named_arrays(path)
    names = [one.name for one in converted.inputs]
    if set(found) == {""}:
        if len(names) != 1:
            raise InputError(
                str(path), f"holds one array, and the module takes {', '.join(names) or 'none'}; "
                "give an .npz file with an array for each, by its name"
            )  # fmt: skip
        found = {names[0]: found[""]}
    problems = Problems(InputError, str(path))
    listed = ", ".join(found) or "none"
    for name in names:
        if name not in found:
            problems.add(f"no array named {name!r}; there are {listed}")
    for name in found:
        if name not in names:
            problems.add(
                f"array {name!r} is no input of the module, which takes {', '.join(names)}"
            )
    problems.raise_if_any()
    args, keywords = with_tensors(converted.arguments, found.__getitem__)
    return args, keywords


def example_call(converted: ConvertedModule) -> Call:
    """The arguments of the example.

    Raises:
        InputError: it was too large to be saved.
    """
    given_example(converted)
    args, keywords = with_tensors(converted.arguments, converted.example.__getitem__)
    return args, keywords


def answer_arrays(converted: ConvertedModule, answer: Any) -> dict[str, AnyArray]:
    """The arrays of an answer, by their place in it: "answer", "answer[0]", "answer['mean']"."""
    found = tensors_at(converted.answer, answer, "answer")
    return {place: np.asarray(value) for place, value in found}
