"""The verbs of files: save and load, of programs, of float networks and of converted modules.

What only networks and converted modules need is imported where one is met.
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
from lnn2loihi.replacing import MODULE, NETWORK, PROGRAM, check_suffix
from lnn2loihi.sealed import NETWORKS

__all__ = ["is_module_file", "is_network_file", "load", "save"]

#: How a saved module begins: the signature of a zip archive, and the name of its first entry.
_ZIP, _NAME_AT, MANIFEST = b"PK\x03\x04", 30, "module.json"


@checks_kinds()
def save(program: Any, path: str | os.PathLike[str]) -> Path:
    """Writes a program (`.l2l`), a float network (`.l2n`) or a converted module (`.l2m`); the file
    is whole or not there.

    Args:
        program: a LoihiProgram, a LiquidNetwork, or a ConvertedModule.
        path: the file. It may have any suffix but one that belongs to another kind of files.

    Raises:
        ArtifactError: the folder does not exist or cannot be written, or a network or a module
            holds what no file does.
        InputError: an argument is of the wrong kind, the suffix is that of another kind of files,
            or a file of another kind stands there (`lnn2loihi.replacing_files` replaces it).
        BackendMissingError: host parts cannot be written as ONNX here.
    """
    if isinstance(program, LoihiProgram):
        check_suffix(path, PROGRAM)
        return artifact.save(program, path)
    from lnn2loihi import network_file
    from lnn2loihi.converted.parts import ConvertedModule

    if isinstance(program, network_file.LiquidNetwork):
        check_suffix(path, NETWORK)
        return network_file.save(program, path)
    if isinstance(program, ConvertedModule):
        check_suffix(path, MODULE)
        return program.save(path)
    kind = kind_of(LoihiProgram | network_file.LiquidNetwork | ConvertedModule)
    raise InputError("save", kind.problem("program", program))


@checks_kinds()
def load(path: str | os.PathLike[str]) -> Any:
    """Reads a program, a float network or a converted module: whichever the file holds, whatever
    its name.

    Returns:
        A LoihiProgram, a LiquidNetwork, or a ConvertedModule without float networks.

    Raises:
        ArtifactError: the file is missing, truncated, altered, of an unknown version, or none of
            them.
        InputError: the path is none.
    """
    if is_network_file(path):
        from lnn2loihi import network_file

        return network_file.load(path)
    if not is_module_file(path):
        return artifact.load(path)
    from lnn2loihi.converted.storage import load as load_module

    return load_module(path)


def is_network_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a saved network by its suffix, or begins as one does."""
    named = str(path).lower().endswith(NETWORKS.suffix)
    return (named and Path(path).is_file()) or NETWORKS.begins(path)


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
