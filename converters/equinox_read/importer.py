"""Imports modules of equinox, alive or from files that it has written
(`equinox.tree_serialise_leaves`), which are read without equinox and JAX.

A file holds arrays one after the other, and no names: what it is follows from their shapes.
Known are those of the families that read them: the cell and the network of
github.com/MoniFarsang/LrcSSM. What the arrays do not say stands in a short TOML file beside it::

    [network]
    module = "LrcSSM"
    checkpoint = "best_model.pkl"    # absent where the path is given
    activation = "relu"              # of the maps between the layers
    map_depth = 1                    # hidden layers of each of these maps
    classifier_depth = 1             # and of the classifier
    name = "my net"

All keys but `module` are optional. The names that the source gives to its files say the last ones,
too, and are read where there is no such file.
"""

from __future__ import annotations

import io
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.equinox_read.file import begins_as_leaves, leaves_of, read_leaves
from lnn2loihi.converters.files.description import (
    SIZE_LIMIT,
    Description,
    description_beside,
    description_of,
    read_table,
)
from lnn2loihi.converters.provenance import with_source
from lnn2loihi.errors import ImportNetworkError, NetworkError
from lnn2loihi.family import importers
from lnn2loihi.network import LiquidNetwork

#: Suffix of files that equinox's documents write; the source of LrcSSM calls them .pkl.
SUFFIX = ".eqx"
#: A description that names such a file.
_NAMES_LEAVES = re.compile(rb"""^\s*checkpoint\s*=\s*["'][^"'\n]*\.(eqx|pkl)["']""", re.M | re.I)


class EquinoxImporter:
    """Entry point `equinox` of the group `lnn2loihi.importers`."""

    def recognises(self, source: object) -> bool:
        """Whether it is a live module of equinox, the path of such a file, or of a description that
        names one; imports neither.
        """
        if not isinstance(source, (str, os.PathLike)):
            return _is_live(source)
        path = Path(source)
        if path.suffix.lower() == SUFFIX:
            return True
        if path.suffix.lower() != ".toml":
            return path.suffix.lower() != ".npy" and begins_as_leaves(path)
        if not path.is_file():
            return False
        # It is parsed once, by whoever loads it.
        with path.open("rb") as file:
            return _NAMES_LEAVES.search(file.read(SIZE_LIMIT)) is not None

    @checks_kinds(ImportNetworkError)
    def load(
        self,
        source: object,
        *,
        description: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> LiquidNetwork:
        """Turns a file or a live module of equinox into a LiquidNetwork.

        Args:
            source: a module, the path of a file, or that of a description that names it.
            description: path of the TOML file.
            name: name of the network; else the description's, else the file's.

        Raises:
            ImportNetworkError: lists everything that is not supported, damaged or contradictory.
        """
        if isinstance(source, (str, os.PathLike)):
            path, toml = _paths(Path(source), description)
        elif _is_live(source):
            path, toml = Path(type(source).__name__), None
            path = path if description is None else _refused(path)
        else:
            raise ImportNetworkError(type(source).__name__, "it is no module of equinox")
        table = {} if toml is None else read_table(toml)
        readers = [one for _, one in importers() if one.equinox is not None]
        named = table.get("module")
        for reader in readers:
            if toml is not None and named not in (*reader.modules, *reader.aliases):
                continue
            kind = reader.equinox
            said: Description = (
                kind(origin=path.name, module=reader.modules[0])
                if toml is None
                else description_of(toml, {**table, "module": reader.modules[0]}, kind, {})
            )
            leaves = leaves_of(_written(source), path) if _is_live(source) else read_leaves(path)
            said = _of_module(source, said) if _is_live(source) else said
            parts, problems = reader.from_equinox(leaves, said, path.stem)
            if problems:
                raise ImportNetworkError(str(path), problems)
            if parts is None:
                continue
            try:
                network = LiquidNetwork(
                    name or said.name or path.stem, parts.layers, parts.readout, hears=parts.hears
                )
            except NetworkError as error:
                raise ImportNetworkError(str(path), error.problems) from error
            return with_source(
                network, {"importer": "equinox", "file": path.name, **dict(parts.notes)}
            )
        known = ", ".join(word for one in readers for word in one.modules) or "none"
        if toml is not None:
            raise ImportNetworkError(
                str(toml),
                f"module is {named!r:.80}, of which no file of equinox is read; there are {known}",
            )
        raise ImportNetworkError(
            str(path),
            "its arrays are those of no network that is known (their count and shapes tell); "
            f"there are {known}",
        )


def _is_live(source: object) -> bool:
    """Whether it is a module of equinox, which whoever made it has imported."""
    return any(kind.__module__.startswith("equinox.") for kind in type(source).__mro__)


def _written(module: object) -> bytes:
    """What equinox would write of a live module."""
    content = io.BytesIO()
    sys.modules["equinox"].tree_serialise_leaves(content, module)
    return content.getvalue()


def _of_module(module: object, said: Description) -> Description:
    """What a live module says beside its arrays."""
    activation = getattr(module, "activation", None)
    if isinstance(activation, str) and hasattr(said, "activation"):
        return replace(said, **{"activation": activation})
    return said


def _refused(path: Path) -> Path:
    raise ImportNetworkError(
        str(path), "a live module says itself what it is; leave description out"
    )


def _paths(path: Path, toml: str | os.PathLike[str] | None) -> tuple[Path, Path | None]:
    """The file, and its description; from the path of either."""
    if path.suffix.lower() != ".toml":
        beside = description_beside(path)
        found = Path(toml) if toml is not None else beside if beside.is_file() else None
        return path, found
    if toml is not None:
        raise ImportNetworkError(
            str(path), f"it is a description itself; do not give {toml} as well"
        )
    checkpoint = read_table(path).get("checkpoint")
    if not isinstance(checkpoint, str):
        raise ImportNetworkError(
            str(path), 'it names no checkpoint; add checkpoint = "net.eqx" to [network]'
        )
    return path.parent / checkpoint, path
