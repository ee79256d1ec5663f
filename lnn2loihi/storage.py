"""The verbs of files: save and load, of programs and of converted modules.

What only converted modules need is imported where one is met.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lnn2loihi import artifact
from lnn2loihi.arguments import checks_kinds
from lnn2loihi.errors import InputError
from lnn2loihi.kinds import kind_of
from lnn2loihi.program import LoihiProgram

__all__ = ["is_module_file", "load", "save"]

#: How a saved module begins: the signature of a zip archive, and the name of its first entry.
_ZIP, _NAME_AT, MANIFEST = b"PK\x03\x04", 30, "module.json"


@checks_kinds()
def save(program: Any, path: str | os.PathLike[str]) -> Path:
    """Writes a program (`.l2l`) or a converted module (`.l2m`); the file is whole or not there.

    Args:
        program: a LoihiProgram, or a ConvertedModule.
        path: the file.

    Raises:
        ArtifactError: the folder does not exist or cannot be written, or a module holds what no
            file does.
        InputError: an argument is of the wrong kind.
        BackendMissingError: host parts cannot be written as ONNX here.
    """
    if isinstance(program, LoihiProgram):
        return artifact.save(program, path)
    from lnn2loihi.converted.parts import ConvertedModule

    if isinstance(program, ConvertedModule):
        return program.save(path)
    kind = kind_of(LoihiProgram | ConvertedModule)
    raise InputError("save", kind.problem("program", program))


@checks_kinds()
def load(path: str | os.PathLike[str]) -> Any:
    """Reads a program, or a converted module: whichever the file holds, whatever its name.

    Returns:
        A LoihiProgram, or a ConvertedModule without float networks.

    Raises:
        ArtifactError: the file is missing, truncated, altered, of an unknown version, or neither.
        InputError: the path is none.
    """
    if not is_module_file(path):
        return artifact.load(path)
    from lnn2loihi.converted.storage import load as load_module

    return load_module(path)


def is_module_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as a saved module does; false for what cannot be read."""
    try:
        if not Path(path).is_file():
            return False
        with open(path, "rb") as file:
            begin = file.read(_NAME_AT + len(MANIFEST))
    except (OSError, ValueError):
        return False
    return begin.startswith(_ZIP) and begin[_NAME_AT:] == MANIFEST.encode()
