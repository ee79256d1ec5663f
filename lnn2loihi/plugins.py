"""Finds importers and exporters through entry points.

Converters know the library, the library does not know them: a package that registers an entry
point in the group `lnn2loihi.importers` or `lnn2loihi.exporters` adds a format without a change
here.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lnn2loihi.errors import ImportNetworkError, InputError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram


@runtime_checkable
class Importer(Protocol):
    """What an entry point of the group `lnn2loihi.importers` must be an instance factory of."""

    def recognises(self, source: object) -> bool:
        """Whether this importer is the one for `source` (a path or a live object); fast, and
        without importing a framework that the caller has not imported.
        """
        ...

    def load(self, source: object, **options: Any) -> LiquidNetwork:
        """Turns `source` into a LiquidNetwork.

        Raises:
            ImportNetworkError: lists everything that does not fit.
        """
        ...


@runtime_checkable
class Exporter(Protocol):
    """What an entry point of the group `lnn2loihi.exporters` must be an instance factory of."""

    def export(self, program: LoihiProgram, **options: Any) -> Any:
        """Turns a LoihiProgram into another representation."""
        ...


def _registered(group: str) -> dict[str, Any]:
    return {point.name: point for point in sorted(entry_points(group=group), key=str)}


def importer_names() -> list[str]:
    """Names of all registered importers."""
    return list(_registered("lnn2loihi.importers"))


def exporter_names() -> list[str]:
    """Names of all registered exporters."""
    return list(_registered("lnn2loihi.exporters"))


def model_names() -> list[str]:
    """Names of all trained networks that are installed."""
    return list(_registered("lnn2loihi.models"))


def import_network(source: object, *, format: str | None = None, **options: Any) -> LiquidNetwork:
    """Makes a LiquidNetwork of a live module or of a checkpoint file.

    Args:
        source: a `torch.nn.Module`, or the path of a checkpoint or description.
        format: name of the importer; found from `source` where absent.
        options: passed to the importer; those of `ncps` are described in
            `lnn2loihi.converters.ncps.NcpsImporter.load`.

    Raises:
        ImportNetworkError: no importer recognises the source, or it lists what does not fit.
    """
    if isinstance(source, (str, os.PathLike)):
        source = Path(source)
        if not source.exists():
            raise ImportNetworkError(str(source), "there is no such file")
    found = _registered("lnn2loihi.importers")
    if format is not None:
        if format not in found:
            raise ImportNetworkError(
                f"format {format!r}", f"no such importer; registered are: {', '.join(found)}"
            )
        return found[format].load()().load(source, **options)
    for point in found.values():
        importer: Importer = point.load()()
        if importer.recognises(source):
            return importer.load(source, **options)
    what = str(source) if isinstance(source, Path) else f"a {type(source).__qualname__}"
    raise ImportNetworkError(
        what,
        "no importer recognises it; registered are: "
        f"{', '.join(found) or 'none (is lnn2loihi installed? run pip install .)'}. "
        "Give an ncps.torch.CfC, a module of such layers and dense ones, or a .pt or .safetensors "
        "checkpoint with its .toml description",
    )


def export(program: LoihiProgram, format: str, **options: Any) -> Any:
    """Turns a LoihiProgram into another representation through a registered exporter.

    Raises:
        InputError: no such exporter.
    """
    found = _registered("lnn2loihi.exporters")
    if format not in found:
        raise InputError(
            f"format {format!r}", f"no such exporter; registered are: {', '.join(found)}"
        )
    return found[format].load()().export(program, **options)


@runtime_checkable
class ShippedModel(Protocol):
    """What an entry point of the group `lnn2loihi.models` must be: a module with these two."""

    def load(self) -> LiquidNetwork:
        """The trained network."""
        ...

    def example(self, count: int, time: int, seed: int) -> tuple[Any, Any]:
        """Inputs (count, time, inputs) and targets (count, time, outputs) that fit it."""
        ...


def shipped_model(name: str) -> ShippedModel:
    """A trained network that is installed.

    Raises:
        InputError: no such model.
    """
    found = _registered("lnn2loihi.models")
    if name not in found:
        known = ", ".join(found) or "none (is lnn2loihi installed? run pip install .)"
        raise InputError(f"model {name!r}", f"is not there; installed are: {known}")
    return found[name].load()
