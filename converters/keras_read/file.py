"""Opens what Keras has saved: `.keras`, `.weights.h5`, `.h5`, and `.npz` of its variables."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.converters.files.checkpoint import MOST_TENSORS, too_many
from lnn2loihi.converters.files.hdf5 import SIGNATURE, Hdf5Error, read_hdf5
from lnn2loihi.converters.files.npz import read_npz
from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.converters.keras_read.names import positioned
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
        order: these paths in the order of the model, where the file tells it; else empty.
    """

    arrays: Mapping[str, Tensor]
    config: Mapping[str, Any] | None
    named: bool
    names: Mapping[str, str]
    order: tuple[str, ...] = ()


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
    if path.suffix.lower() == ".npz":
        tensors, _ = read_npz(path)
        return _by_names(path, {key.replace(".", "/"): one for key, one in tensors.items()})
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
    if not named and config is None and not any(key.startswith("layers/") for key in found.arrays):
        return _by_names(path, found.arrays)
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


def has_variables(path: Path) -> bool:
    """Whether an `.npz` holds variables of layers of Keras, all of which are known."""
    try:
        return bool(read_keras(path).arrays)
    except ImportNetworkError:
        return False


def _by_names(path: Path, arrays: Mapping[str, Tensor]) -> KerasFile:
    """Weights that are known by the names of their variables alone.

    Raises:
        ImportNetworkError: nobody knows what some of them are.
    """
    found = positioned(arrays)
    if not arrays:
        raise ImportNetworkError(str(path), "it holds no arrays; save the model again")
    if found.unknown or not found.arrays:
        named = ", ".join(f"{name:.80}" for name in (found.unknown or tuple(arrays))[:8])
        more = f" and {len(found.unknown) - 8} more" if len(found.unknown) > 8 else ""
        raise ImportNetworkError(
            str(path),
            f"its arrays {named}{more} are of no layer of Keras that is known by the names of its "
            "variables; save the model as .keras or .weights.h5, or name its module in a "
            "description",
        )
    return KerasFile(found.arrays, None, False, found.names, found.order)


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
