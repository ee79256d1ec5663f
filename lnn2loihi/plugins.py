"""What packages can bring: families, importers, exporters, executors, targets, devices, models.

Converters know the library, the library does not know them: a package that registers an entry
point in the group `lnn2loihi.importers`, `lnn2loihi.exporters` or `lnn2loihi.executors` adds a
format, or a place where programs run (`lnn2loihi.simulation.executor`), without a change here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from lnn2loihi.devices import DEVICES
from lnn2loihi.family import FAMILIES
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.registry import PluginReport, Registry
from lnn2loihi.simulation.executor import EXECUTORS
from lnn2loihi.targets import TARGETS

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule


@runtime_checkable
class Importer(Protocol):
    """What an entry point of the group `lnn2loihi.importers` must be an instance factory of.

    One that takes whatever no other importer takes, so that it can say what is accepted, has an
    attribute `catch_all` that is true, or a method `catch_all(source)` that says so of a source: it
    is asked after all others.
    """

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
class Converter(Protocol):
    """What an importer has beside, that takes modules whole, with an example."""

    def converts(self, source: object) -> bool:
        """Whether it takes a live object; fast, and without importing a framework that the caller
        has not imported.
        """
        ...

    def convert(
        self, source: object, args: Sequence[Any], keywords: Mapping[str, Any]
    ) -> ConvertedModule:
        """What `lnn2loihi.convert` answers.

        Raises:
            ImportNetworkError: lists everything that does not fit.
        """
        ...


@runtime_checkable
class ProgramImporter(Protocol):
    """What an entry point of the group `lnn2loihi.program_importers` must be an instance factory
    of: it reads what holds integers already, so that there is nothing to quantize.
    """

    def recognises(self, source: object) -> bool:
        """As that of an `Importer`."""
        ...

    def load_program(self, source: str | os.PathLike[str], **options: Any) -> LoihiProgram:
        """Turns a file into a LoihiProgram.

        Raises:
            ImportNetworkError: lists everything that does not fit.
        """
        ...


@runtime_checkable
class SeveralFormats(Protocol):
    """What an importer has beside, that is one for several names of `format=`."""

    def names(self) -> list[str]:
        """These names."""
        ...

    def named(self, name: str) -> Importer | None:
        """The importer of that name; None where there is none."""
        ...


@runtime_checkable
class Exporter(Protocol):
    """What an entry point of the group `lnn2loihi.exporters` must be an instance factory of.

    Attributes:
        suffixes: of the files that it writes, with their dots; none if it writes no files.
    """

    suffixes: tuple[str, ...]

    def accepts(self, source: object) -> bool:
        """Whether it exports things of this kind: a LoihiProgram or a LiquidNetwork."""
        ...

    def export(self, source: Any, **options: Any) -> Any:
        """Turns the source into another representation, in memory."""
        ...

    def to_bytes(self, made: Any) -> bytes:
        """The content of a file, from what `export` has made."""
        ...


@runtime_checkable
class FolderExporter(Protocol):
    """What an exporter has beside, that writes a folder in place of a file.

    It may also have `has_written(folder: Path) -> bool`: whether it has written a folder that is
    there, so that another export may replace it. Without one, a folder is replaced that holds
    nothing but files of the names that are written.
    """

    def to_files(self, made: Any) -> Mapping[str, bytes]:
        """The files of the folder by their names, from what `export` has made."""
        ...


@runtime_checkable
class SeveralFilesExporter(Protocol):
    """What an exporter has beside, that writes further files beside the one that was named, such
    as a header. All are written, or none.
    """

    def to_files_beside(self, made: Any, name: str) -> Mapping[str, bytes]:
        """All files by their names, which lie in one folder.

        Args:
            made: what `export` has made.
            name: of the file that was asked for, which is one of them.
        """
        ...


@runtime_checkable
class ShippedModel(Protocol):
    """What an entry point of the group `lnn2loihi.models` must be: a module with these two."""

    def load(self) -> LiquidNetwork:
        """The trained network."""
        ...

    def example(self, count: int, time: int, seed: int) -> tuple[Any, Any]:
        """Inputs (count, time, inputs) and targets (count, time, outputs) that fit it."""
        ...


_log = logging.getLogger("lnn2loihi")
IMPORTERS = Registry("lnn2loihi.importers", "importer", Importer)
PROGRAM_IMPORTERS = Registry("lnn2loihi.program_importers", "program importer", ProgramImporter)
EXPORTERS = Registry("lnn2loihi.exporters", "exporter", Exporter)
MODELS = Registry("lnn2loihi.models", "model", ShippedModel, factory=False)
#: All that packages can bring.
REGISTRIES: tuple[Registry[Any], ...] = (
    FAMILIES, IMPORTERS, PROGRAM_IMPORTERS, EXPORTERS, EXECUTORS, TARGETS, MODELS, DEVICES,
)  # fmt: skip


def plugin_reports() -> list[PluginReport]:
    """Every registered plug-in with its state; loads them all."""
    return [report for registry in REGISTRIES for report in registry.reports()]


def shipped_model(name: str) -> ShippedModel:
    """A trained network that is installed.

    Raises:
        PluginError: no such model, or its package is broken.
    """
    return MODELS.get(name)
