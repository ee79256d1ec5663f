"""The verb that turns programs and networks into other formats: export."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lnn2loihi import plugins
from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.errors import InputError, TargetError
from lnn2loihi.faults import described
from lnn2loihi.files import (
    why_no_folder,
    write_atomically,
    write_folder_atomically,
    write_together,
)
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.options import check_options, read_options, takes
from lnn2loihi.plugins import Exporter, FolderExporter, SeveralFilesExporter
from lnn2loihi.printable import kind_of_value
from lnn2loihi.program import LoihiProgram
from lnn2loihi.targets import Target, target_of

_log = logging.getLogger("lnn2loihi")


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

        export(program, "net.onnx")      # a file: the integers of the chip; floats of a network
        export(program, "net.c")         # files: C99, with net.h beside it
        export(program, "lava")          # in memory: a graph of Lava processes
        export(program, "board/", format="loihi2", target="stock")  # a folder

    Args:
        source: a program or a network.
        path: to write, of a file or a folder; or a format's name, for what it has in memory.
        format: name of the exporter; found from source and suffix where absent; else `path` is one.
        target: what to prepare the program for; its exporter is asked first.
        options: passed to the exporter.

    Returns:
        The path of the file or folder that was written, or what the exporter has made.

    Raises:
        InputError: no exporter fits, the folder is not there or not to be replaced, an option is
            unknown, the path is the file that was read, or a network is to be prepared.
        TargetError: the target cannot prepare the program, or names an exporter that is not there.
        BackendMissingError: the exporter needs a package that is not installed.
        PluginError: the exporter of another package fails.
    """
    return export_files(source, path, format, target, options)[0]


def export_files(
    source: LoihiProgram | LiquidNetwork,
    path: str | os.PathLike[str],
    format: str | None,
    target: str | Target,
    options: Mapping[str, Any],
) -> tuple[Any, list[Path]]:
    """As `export`, and all files that were written: none where it is made in memory."""
    aim = target_of(target)
    if isinstance(source, LoihiProgram):
        source = aim.prepare(source)
    elif aim.passes:
        raise InputError("target", f"{aim.name} prepares programs; quantize the network first")
    in_memory = format is None and isinstance(path, str) and path in plugins.EXPORTERS.names()
    exporter = _exporter(source, Path(path), str(path) if in_memory else format, aim)
    if not (in_memory or Path(path).parent.is_dir()):
        raise InputError(str(path), "its folder does not exist")
    if isinstance(exporter, FolderExporter) and not in_memory:
        _check_folder(exporter, Path(path))
    with plugins.EXPORTERS.naming(exporter, "export()"):
        check_options(exporter.export, options, InputError)
        made = exporter.export(source, **options)
    if in_memory:
        return made, []
    if isinstance(exporter, FolderExporter):
        folder = _write_folder(exporter, made, Path(path))
        return folder, [*folder.iterdir()]
    if isinstance(exporter, SeveralFilesExporter):
        return Path(path), _write_several(exporter, made, source, Path(path))
    with plugins.EXPORTERS.naming(exporter, "to_bytes()"):
        content = exporter.to_bytes(made)
        if not isinstance(content, bytes):
            raise TypeError(f"an answer of type {type(content).__name__}, not bytes")
    _check_not_source(source, Path(path))
    try:
        write_atomically(path, content)
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror}") from error
    return Path(path), [Path(path)]


def _check_folder(exporter: FolderExporter, path: Path) -> None:
    """Refuses a file, and a folder with files that are not the exporter's to replace."""
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(
            str(path), f"{why_no_folder(path)}, and what is exported is one: give a new folder"
        )
    has_written = getattr(exporter, "has_written", None)
    if has_written is None or not any(path.iterdir()):
        return
    with plugins.EXPORTERS.naming(exporter, "has_written()"):
        ours = has_written(path)
    if not ours:
        raise InputError(
            str(path),
            "holds files that were not exported by lnn2loihi, and would be lost: give a new "
            "folder, or an empty one",
        )


def export_takes(
    source: LoihiProgram | LiquidNetwork, path: Path, format: str | None, target: Target, name: str
) -> bool:
    """Whether the exporter of a file has an option of this name."""
    return takes(_exporter(source, path, format, target).export, name)


def _write_folder(exporter: FolderExporter, made: Any, path: Path) -> Path:
    with plugins.EXPORTERS.naming(exporter, "to_files()"):
        content = dict(exporter.to_files(made))
    try:
        return write_folder_atomically(path, content)
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror}") from error


def _write_several(
    exporter: SeveralFilesExporter, made: Any, source: LoihiProgram | LiquidNetwork, path: Path
) -> list[Path]:
    """Writes a file and those beside it, all or none; the one that was asked for comes first."""
    with plugins.EXPORTERS.naming(exporter, "to_files_beside()"):
        content = dict(exporter.to_files_beside(made, path.name))
        if path.name not in content:
            raise TypeError(f"no file {path.name!r} among those that it answers")
        if any(Path(name).name != name or not isinstance(c, bytes) for name, c in content.items()):
            raise TypeError("names of files in one folder and bytes are wanted")
    for name in content:
        _check_not_source(source, path.parent / name)
    try:
        write_together({path.parent / name: data for name, data in content.items()})
    except OSError as error:
        subject = str(error.filename2 or error.filename or path)
        raise InputError(subject, f"cannot be written: {error.strerror}") from error
    return [path, *(path.parent / name for name in content if name != path.name)]


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


def _accepts(exporter: Exporter, source: object) -> bool:
    """Whether an exporter takes a source; one that fails is named, and breaks no other."""
    try:
        return bool(exporter.accepts(source)) and isinstance(", ".join(exporter.suffixes), str)
    except Exception as error:  # a stranger's exporter, asked about something that is not its
        _log.warning(
            "exporter %s is left out: asked whether it accepts the source, it raised %s",
            type(exporter).__qualname__, described(error),
        )  # fmt: skip
        return False


def _exporter(source: object, path: Path, name: str | None, target: Target) -> Exporter:
    """The exporter of that name, or the first one that fits the source and the suffix; that of the
    target comes before all others.
    """
    if name is not None:
        named = plugins.EXPORTERS.get(name)
        with plugins.EXPORTERS.naming(named, "accepts()"):
            if named.accepts(source):
                return named
    registered = plugins.EXPORTERS.names()
    if target.exporter and target.exporter not in registered:
        raise TargetError(
            f"target {target.name!r}",
            f"its exporter {target.exporter!r} is not registered; there are "
            f"{', '.join(registered)}: name one of them, or install the package that has it",
        )
    fitting = [(key, one) for key, one in plugins.EXPORTERS.working() if _accepts(one, source)]
    fitting.sort(key=lambda known: known[0] != target.exporter)
    suffix = path.suffix.lower()
    for _, exporter in fitting:
        if name is None and suffix in exporter.suffixes:
            return exporter
    none = ("no file", "a folder")
    kinds = {n: ", ".join(e.suffixes) or none[isinstance(e, FolderExporter)] for n, e in fitting}
    known = [f"{key} ({kind})" for key, kind in kinds.items()]
    raise InputError(
        str(path) if name is None else f"format {name!r}",
        f"does not fit {kind_of_value(source)}; for it there are "
        f"{', '.join(known) or 'no exporters'}",
    )
