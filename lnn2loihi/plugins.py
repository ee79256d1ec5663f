"""What packages can bring (importers, exporters, executors, ...), and the verbs that use it.

Converters know the library, the library does not know them: a package that registers an entry
point in the group `lnn2loihi.importers`, `lnn2loihi.exporters` or `lnn2loihi.executors` adds a
format, or a place where programs run (`lnn2loihi.simulation.executor`), without a change here.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.devices import DEVICES
from lnn2loihi.errors import ImportNetworkError, InputError, Lnn2LoihiError, PluginError
from lnn2loihi.family import FAMILIES
from lnn2loihi.files import write_atomically
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.options import check_options, read_options
from lnn2loihi.program import LoihiProgram
from lnn2loihi.registry import PluginReport, Registry
from lnn2loihi.simulation.executor import EXECUTORS
from lnn2loihi.targets import TARGETS, Target, target_of


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
EXPORTERS = Registry("lnn2loihi.exporters", "exporter", Exporter)
MODELS = Registry("lnn2loihi.models", "model", ShippedModel, factory=False)
#: All that packages can bring.
REGISTRIES: tuple[Registry[Any], ...] = (
    FAMILIES, IMPORTERS, EXPORTERS, EXECUTORS, TARGETS, MODELS, DEVICES,
)  # fmt: skip


def plugin_reports() -> list[PluginReport]:
    """Every registered plug-in with its state; loads them all."""
    return [report for registry in REGISTRIES for report in registry.reports()]


@checks_kinds(ImportNetworkError)
def import_network(source: object, *, format: str | None = None, **options: Any) -> LiquidNetwork:
    """Makes a LiquidNetwork of a live module or of a checkpoint file.

    Args:
        source: a `torch.nn.Module`, or the path of a checkpoint or description.
        format: name of the importer, or of a family ("gru"); found from `source` where absent.
        options: passed to the importer; those of recurrent layers and checkpoints are described in
            `lnn2loihi.converters.recurrent.importer.FamiliesImporter.load`.

    Raises:
        ImportNetworkError: no importer recognises the source, or it lists what does not fit.
            The same where there is no importer of that name, or its package is broken.
    """
    source = Path(source) if isinstance(source, (str, os.PathLike)) else source
    importer = _importer(source, format)
    check_options(importer.load, options, ImportNetworkError)
    return importer.load(source, **options)


def import_options(source: Path, texts: Iterable[str]) -> dict[str, Any]:
    """Options of the importer of a file, of texts `name=value`: see `read_options`."""
    return read_options(_importer(source, None).load, texts, ImportNetworkError)


def _importer(source: object, format: str | None) -> Importer:
    """The importer of that name, or of a source."""
    if isinstance(source, Path) and not _exists(source):
        raise ImportNetworkError(str(source), "there is no such file")
    if format is not None:
        return _importer_named(format)
    importer = _importer_of(source)
    if importer is not None:
        return importer
    what = str(source) if isinstance(source, Path) else f"a {type(source).__qualname__}"
    raise ImportNetworkError(
        what,
        "no importer recognises it; registered are: "
        f"{', '.join(IMPORTERS.names()) or 'none (is lnn2loihi installed? run pip install .)'}. "
        "Give a recurrent layer (ncps.torch.CfC, torch.nn.GRU, ...), a module of such layers and "
        "dense ones, or a .pt or .safetensors checkpoint with its .toml description",
    )


def _importer_named(format: str) -> Importer:
    """The importer of that name, or the one for that name among those for several formats.

    Raises:
        ImportNetworkError: there is none, or its package is broken.
    """
    several: list[SeveralFormats] = []
    if format not in IMPORTERS.names():
        several = [one for _, one in IMPORTERS.working() if isinstance(one, SeveralFormats)]
    for importer in several:
        if (found := importer.named(format)) is not None:
            return found
    try:
        return IMPORTERS.get(format)
    except PluginError as error:
        names = ", ".join(name for importer in several for name in importer.names())
        also = f"; of families: {names}" if names else ""
        problems = [f"{problem}{also}" for problem in error.problems]
        raise ImportNetworkError(error.subject, problems) from error


def _importer_of(source: object) -> Importer | None:
    """The first importer that recognises a source; those that take anything are asked last."""

    def takes_anything(importer: Importer) -> bool:
        says = getattr(importer, "catch_all", False)
        try:
            return bool(says(source) if callable(says) else says)
        except Exception:  # a stranger's importer, asked about something that is not its
            return True

    for importer in sorted((one for _, one in IMPORTERS.working()), key=takes_anything):
        try:
            if importer.recognises(source):
                return importer
        except Lnn2LoihiError:
            raise
        except Exception as error:  # a stranger's importer, asked about something that is not its
            _log.warning(
                "importer %s is left out: asked whether it recognises the source, it raised %s: %s",
                type(importer).__qualname__, type(error).__name__, error,
            )  # fmt: skip
    return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name of a file: too long, or with characters that none has
        return False


@checks_kinds()
def export(
    source: LoihiProgram | LiquidNetwork,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    target: str | Target = DEFAULT_TARGET,
    **options: Any,
) -> Any:
    """Turns a program or a network into another representation.

        export(program, "net.onnx")      # a file: the integers of the chip
        export(network, "net.onnx")      # a file: floating point
        export(program, "lava")          # in memory: a graph of Lava processes

    Args:
        source: a program or a network.
        path: of the file to write; or the name of a format, which gives its representation in
            memory.
        format: name of the exporter; found from the source and the file's suffix where absent.
            With it, `path` is a path.
        target: what to prepare the program for; its exporter is asked first.
        options: passed to the exporter.

    Returns:
        The path of the file that was written, or what the exporter has made.

    Raises:
        InputError: no exporter fits, the folder does not exist, an option is unknown, the path is
            the file that the network was read from, or a network is to be prepared.
        TargetError: the target cannot prepare the program.
        BackendMissingError: the exporter needs a package that is not installed.
    """
    aim = target_of(target)
    if isinstance(source, LoihiProgram):
        source = aim.prepare(source)
    elif aim.passes:
        raise InputError("target", f"{aim.name} prepares programs; quantize the network first")
    in_memory = format is None and isinstance(path, str) and path in EXPORTERS.names()
    exporter = _exporter(source, Path(path), str(path) if in_memory else format, aim)
    if not (in_memory or Path(path).parent.is_dir()):
        raise InputError(str(path), "its folder does not exist")
    check_options(exporter.export, options, InputError)
    made = exporter.export(source, **options)
    if in_memory:
        return made
    content = exporter.to_bytes(made)
    _check_not_source(source, Path(path))
    try:
        return write_atomically(path, content)
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror}") from error


def export_options(
    source: LoihiProgram | LiquidNetwork,
    path: Path,
    format: str | None,
    target: Target,
    texts: Iterable[str],
) -> dict[str, Any]:
    """Options of the exporter of a file, of texts `name=value`: see `read_options`."""
    return read_options(_exporter(source, path, format, target).export, texts, InputError)


def _check_not_source(source: LoihiProgram | LiquidNetwork, path: Path) -> None:
    """Refuses to replace the file that a network was read from, if its importer noted its hash."""
    noted = source.source.get("file_sha256") if isinstance(source, LiquidNetwork) else None
    if noted is None or not path.is_file():
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() == noted:
        raise InputError(
            str(path),
            "is the file that the network was read from: writing would destroy it; give another",
        )


def _exporter(source: object, path: Path, name: str | None, target: Target) -> Exporter:
    """The exporter of that name, or the first one that fits the source and the suffix; that of the
    target comes before all others.
    """
    if name is not None and EXPORTERS.get(name).accepts(source):
        return EXPORTERS.get(name)
    fitting = [(key, one) for key, one in EXPORTERS.working() if one.accepts(source)]
    fitting.sort(key=lambda known: known[0] != target.exporter)
    suffix = path.suffix.lower()
    for _, exporter in fitting:
        if name is None and suffix in exporter.suffixes:
            return exporter
    known = [f"{key} ({', '.join(one.suffixes) or 'no file'})" for key, one in fitting]
    raise InputError(
        str(path) if name is None else f"format {name!r}",
        f"does not fit a {type(source).__qualname__}; for it there are "
        f"{', '.join(known) or 'no exporters'}",
    )


def shipped_model(name: str) -> ShippedModel:
    """A trained network that is installed.

    Raises:
        PluginError: no such model, or its package is broken.
    """
    return MODELS.get(name)
