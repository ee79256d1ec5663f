"""Opens what Keras has saved: `.keras`, `.weights.h5`, `.h5`."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.converters.files.checkpoint import MOST_TENSORS, too_many
from lnn2loihi.converters.files.hdf5 import SIGNATURE, Hdf5Error, read_hdf5
from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.files import note_input, why_no_file

#: Suffixes of files that Keras writes.
KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
#: Largest file of weights, and largest configuration.
LARGEST_FILE, LARGEST_CONFIG = 1 << 30, 16 << 20
#: By how much a member of an archive may be larger than its compressed bytes: weights do not
#: compress, and Keras does not compress them.
LARGEST_RATIO = 16
_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"


@dataclass(frozen=True)
class KerasFile:
    """What a file holds.

    Attributes:
        arrays: by path, from the folder of the layers on.
        config: the configuration of the model; None where the file has none.
        named: whether the paths end in names (files of old), and not in positions.
        names: names of layers, by the path of the group of their arrays.
    """

    arrays: Mapping[str, Tensor]
    config: Mapping[str, Any] | None
    named: bool
    names: Mapping[str, str]


def read_keras(path: Path) -> KerasFile:
    """Opens a file.

    Raises:
        ImportNetworkError: it is absent, damaged, hostile, of another kind, or too large.
        BackendMissingError: h5py is not installed.
    """
    if not path.is_file():
        raise ImportNetworkError(str(path), why_no_file(path))
    note_input(path)
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ImportNetworkError(
            str(path), f"it has {size} bytes, the limit of lnn2loihi is {LARGEST_FILE}"
        )
    with path.open("rb") as file:
        head = file.read(8)
    config: Any = None
    if head[:4] == b"PK\x03\x04":
        content, config = _members(path)
    elif head == SIGNATURE:
        content = path.read_bytes()
    else:
        raise ImportNetworkError(
            str(path),
            "it is neither an archive of Keras nor an HDF5 file; save it again with "
            'model.save("net.keras")',
        )
    try:
        found = read_hdf5(content, str(path), ("model_config", "name"))
    except Hdf5Error as error:
        raise ImportNetworkError(str(path), str(error)) from error
    if len(found.arrays) > MOST_TENSORS:
        raise too_many(path, len(found.arrays))
    if config is None and ("", "model_config") in found.texts:
        config = _parsed(found.texts["", "model_config"], path)
    legacy = "model_weights/"
    named = any(key.startswith(legacy) for key in found.arrays)
    begin = legacy if named else "layers/"
    return KerasFile(
        {k[len(begin) :]: tensor for k, tensor in found.arrays.items() if k.startswith(begin)},
        config,
        named,
        {
            place[len(begin) : -len("/vars")]: text
            for (place, key), text in found.texts.items()
            if key == "name" and place.startswith(begin) and place.endswith("/vars")
        },
    )


def _members(path: Path) -> tuple[bytes, Any]:
    """The weights and the configuration in an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            absent = [name for name in (_WEIGHTS, _CONFIG) if name not in members]
            if absent:
                raise ImportNetworkError(
                    str(path), f"it holds no {' and no '.join(absent)}; it is no file of Keras 3"
                )
            for name, most in ((_WEIGHTS, LARGEST_FILE), (_CONFIG, LARGEST_CONFIG)):
                member = members[name]
                large = member.file_size > max(LARGEST_RATIO * member.compress_size, 1 << 20)
                if member.file_size > most or large:
                    raise ImportNetworkError(
                        str(path),
                        f"{name} in it claims {member.file_size} bytes, of {member.compress_size} "
                        f"in the archive; the limit of lnn2loihi is {most}, and {LARGEST_RATIO} "
                        "times its compressed bytes",
                    )
            return archive.read(_WEIGHTS), _parsed(archive.read(_CONFIG), path)
    except ImportNetworkError:
        raise
    except Exception as error:  # zipfile lets several kinds through for hostile archives
        raise ImportNetworkError(
            str(path), f"its archive is damaged ({error}); save or copy it again"
        ) from error


def _parsed(text: str | bytes, path: Path) -> Mapping[str, Any]:
    try:
        if len(text) > LARGEST_CONFIG:
            raise ValueError(f"it has {len(text)} bytes")
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("it is no table")
    except (ValueError, RecursionError) as error:
        raise ImportNetworkError(
            str(path), f"its configuration is no JSON of a model ({error!s:.120})"
        ) from error
    return found
