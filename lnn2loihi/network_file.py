"""Saves and loads LiquidNetworks: one file of float arrays with a JSON manifest (`.l2n`).

What families say of their layers anyway is enough: a layer is a frozen dataclass, so its fields are
written one by one, and the classes that may stand in them are those that its annotations name.
Loading trusts nothing: sizes and the checksum are checked first (`sealed.py`), only classes of
registered families are made, nothing is unpickled, each array is used once, and layers and network
check themselves again.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.errors import ArtifactError, Problems
from lnn2loihi.family import families, full_name
from lnn2loihi.layers.linear import Linear
from lnn2loihi.manifest_values import text
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.printable import kind_of_value
from lnn2loihi.sealed import LARGEST_FILE, LARGEST_HEADER, NETWORKS, Arrays

SCHEMA = 1
FORMAT = NETWORKS.marked
#: Kinds of arrays that files hold: truth values, integers and floating point.
_KINDS = "biuf"


@checks_kinds()
def save(network: LiquidNetwork, path: str | os.PathLike[str]) -> Path:
    """Writes a float network; the file is whole or not there.

    Raises:
        ArtifactError: lists what no file can hold (a layer of a class that no family has, a field
            that is neither array, number nor text); the folder does not exist or cannot be
            written.
        InputError: an argument is of the wrong kind.
    """
    return NETWORKS.write(path, to_bytes(network))


def to_bytes(network: LiquidNetwork) -> bytes:
    """A network as `save` writes it; equal networks give equal bytes.

    Raises:
        ArtifactError: as `save`.
    """
    writer = _Writer(network.name)
    plain = writer.plain(network, "network")
    writer.problems.raise_if_any()
    manifest = {"format": FORMAT, "schema": SCHEMA, "network": plain}
    content = NETWORKS.to_bytes(json.dumps(manifest, sort_keys=True), writer.arrays)
    header = int.from_bytes(content[:8], "little")
    for what, size, most in (("file", len(content), LARGEST_FILE),
                             ("header", header, LARGEST_HEADER)):  # fmt: skip
        if size > most:
            raise ArtifactError(
                f"network {network.name!r}",
                f"its {what} would have {size:,} bytes; at most {most:,} are read",
            )
    return content


@checks_kinds()
def load(path: str | os.PathLike[str]) -> LiquidNetwork:
    """Reads a float network: what it answers is what the one that was saved answers, bit for bit.

    Raises:
        ArtifactError: the file is missing, truncated, altered, of an unknown version, no network,
            or holds layers of a family that is not installed.
        InputError: the path is none.
    """
    return from_bytes(NETWORKS.read(Path(path)), Path(path).name)


def from_bytes(content: bytes, name: str) -> LiquidNetwork:
    """The network that `to_bytes` has written.

    Args:
        content: its bytes.
        name: of the file, for errors.

    Raises:
        ArtifactError: as `load`.
    """
    written, arrays = NETWORKS.opened(content, name)
    with NETWORKS.interpreting(name):
        manifest = json.loads(written)
        if manifest.get("format") != FORMAT:
            what = f"its format is {manifest.get('format')!r:.60}, not {FORMAT!r}"
            raise ArtifactError(name, what)
        if type(manifest.get("schema")) is not int or manifest["schema"] != SCHEMA:
            raise ArtifactError(
                name,
                f"schema version {manifest.get('schema')!r:.60} is unknown; this lnn2loihi reads "
                f"version {SCHEMA}. Install the version that wrote it, or import the network again",
            )
        made = _Reader(arrays, name).value(manifest["network"])
        if not isinstance(made, LiquidNetwork):
            raise TypeError(f"it describes {kind_of_value(made)}")
        if arrays:
            raise ArtifactError(
                name, f"holds arrays that its manifest does not name: {sorted(arrays)}"
            )
    return made


class _Classes:
    """The dataclasses that files may hold, by the names that they have there: the network, the map,
    and for each registered family its layers and what the annotations of their fields name.
    """

    @cached_property
    def by_name(self) -> Mapping[str, type]:
        """For each name, such as "cfc:CfCLayer", the class."""
        found: dict[str, type] = {"LiquidNetwork": LiquidNetwork, "Linear": Linear}
        for family in families():
            for kind in _reached(family.layers):
                if kind not in found.values():
                    found.setdefault(f"{family.name}:{kind.__qualname__}", kind)
        return found

    @cached_property
    def names(self) -> Mapping[type, str]:
        """The same the other way round."""
        return {kind: name for name, kind in self.by_name.items()}


def _reached(kinds: tuple[type, ...]) -> Iterator[type]:
    """Classes, and the dataclasses that fields of theirs hold, but for those that nothing is of."""
    seen: list[type] = []
    waiting = [*kinds]
    while waiting:
        kind = waiting.pop(0)
        if kind in seen or not dataclasses.is_dataclass(kind) or inspect.isabstract(kind):
            continue
        seen.append(kind)
        for hint in _hints(kind).values():
            waiting += [leaf for leaf in _leaves(hint) if isinstance(leaf, type)]
    yield from seen


def _hints(kind: type) -> Mapping[str, Any]:
    """Annotations of a class; none where they speak of what is not there."""
    try:
        return get_type_hints(kind)
    except Exception:  # a stranger's annotations
        return {}


def _leaves(hint: Any) -> Iterator[Any]:
    parts = get_args(hint)
    if not parts:
        yield hint
    for part in parts:
        yield from _leaves(part)


def _fields(kind: type) -> list[str]:
    """Names of the fields that a class is made of."""
    return [field.name for field in dataclasses.fields(kind) if field.init]


class _Writer:
    """Makes plain values of a network, and keeps its arrays.

    Args:
        name: of the network, for errors.
    """

    def __init__(self, name: str) -> None:
        self.arrays: Arrays = {}
        self.problems = Problems(ArtifactError, f"network {name!r}")
        self._classes = _Classes()

    def plain(self, value: Any, place: str) -> Any:
        """A value as JSON has it; what cannot be written goes to the problems, with its place."""
        if isinstance(value, (np.bool_, np.integer, np.floating)):
            value = value.item()
        if value is None or isinstance(value, (str, bool, int)):
            return value
        if isinstance(value, float):
            if not np.isfinite(value):
                self.problems.add(f"{place} is {value}, which no file holds")
            return value
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in _KINDS or value.dtype.itemsize > 8:
                self.problems.add(f"{place} is an array of {value.dtype}; numbers are wanted")
            else:
                self.arrays[place] = np.array(value, order="C")
            return {"array": place}
        if isinstance(value, (tuple, list)):
            return [self.plain(part, f"{place}.{number}") for number, part in enumerate(value)]
        if isinstance(value, Mapping):
            if wrong := [key for key in value if not isinstance(key, str)]:
                self.problems.add(f"{place} has the key {wrong[0]!r:.60}; keys are text")
                return None
            return {"table": {k: self.plain(part, f"{place}.{k}") for k, part in value.items()}}
        name = self._classes.names.get(type(value))
        if name is None:
            self.problems.add(
                f"{place} is a {full_name(type(value))}, which no file holds: layers are of the "
                "classes that a registered family names (Family.layers), and their fields arrays, "
                "numbers, texts, tuples, and dataclasses that their annotations name"
            )
            return None
        parts = {part: getattr(value, part) for part in _fields(type(value))}
        if isinstance(value, LiquidNetwork) and not value.dropout:
            del parts["dropout"]  # files without are written as they always were
        plain = {part: self.plain(held, f"{place}.{part}") for part, held in parts.items()}
        return {"class": name, "fields": plain}


class _Reader:
    """Makes a network of plain values.

    Args:
        arrays: of the file; each is taken once, so that a small file cannot become a large network.
        name: of the file, for errors.
    """

    def __init__(self, arrays: Arrays, name: str) -> None:
        self._arrays, self._name = arrays, name
        self._classes = _Classes()

    def value(self, entry: Any) -> Any:
        """The value of an entry.

        Raises:
            KeyError, TypeError, ValueError: it is none.
            NetworkError: it is one, and contradicts itself.
        """
        if isinstance(entry, list):
            return tuple(self.value(part) for part in entry)
        if not isinstance(entry, dict):
            if isinstance(entry, float) and not np.isfinite(entry):
                raise ValueError(f"a number {entry}")
            return entry
        kind, *others = sorted(entry) or [""]
        if kind == "array" and not others:
            return self._array(entry["array"])
        if kind == "table" and not others:
            if not isinstance(entry["table"], dict):
                raise TypeError("a table that is none")
            return {key: self.value(part) for key, part in entry["table"].items()}
        if kind == "class" and others == ["fields"]:
            return self._made(text(entry["class"]), entry["fields"])
        raise ValueError(f"an entry of {', '.join(map(repr, sorted(entry)))[:100]}")

    def _array(self, place: Any) -> np.ndarray:
        array = self._arrays.pop(text(place))
        if array.dtype.kind not in _KINDS:
            raise ValueError(f"array {place!r:.100} is of {array.dtype}")
        return array

    def _made(self, name: str, fields: Any) -> Any:
        kind = self._classes.by_name.get(name)
        if kind is None:
            raise ArtifactError(
                self._name,
                f"holds a {name[:60]!r}, and no installed family has it: install the package that "
                "brings it (lnn2loihi doctor lists families), or the version that wrote the file",
            )
        if not isinstance(fields, dict):
            raise TypeError(f"a {name} whose fields are no table")
        if strange := sorted({*fields} - {*_fields(kind)}):
            raise ValueError(f"a {name} with fields: {strange[0]!r:.60} too")
        hints = _hints(kind)
        values = {key: self.value(part) for key, part in fields.items()}
        for key, held in values.items():
            if isinstance(held, np.ndarray):
                _check_type(held, hints.get(key), f"{name}.{key}")
        return kind(**values)


def _check_type(array: np.ndarray, hint: Any, place: str) -> None:
    """Refuses an array of another type than the annotation says, of which a larger one would be
    made.
    """
    wanted = [
        leaf for leaf in _leaves(hint) if isinstance(leaf, type) and issubclass(leaf, np.generic)
    ]
    if wanted and not any(np.issubdtype(array.dtype, one) for one in wanted):
        raise ValueError(f"{place} is an array of {array.dtype}, expected {wanted[0].__name__}")
