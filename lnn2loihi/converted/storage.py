"""Saves and loads converted modules: one file (`.l2m`), a zip archive that stores and does not
compress.

It holds a manifest (`module.json`, always the first entry), each program as `.l2l`, each host part
as `.onnx`, and arrays as `arrays.safetensors`: the example, constants, scales of states. Loading
trusts nothing: what the archive claims is compared with its size before anything is read, every
entry with its SHA-256 before it is interpreted, nothing is unpickled, and programs prove themselves
again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from lnn2loihi import artifact
from lnn2loihi.converted.manifest import Arrays, module_of, plain_module
from lnn2loihi.converted.pieces import HostPart
from lnn2loihi.defaults import MODULE_SUFFIX as SUFFIX
from lnn2loihi.errors import ArtifactError, Lnn2LoihiError, Problems
from lnn2loihi.files import note_input, why_no_file, write_atomically
from lnn2loihi.program import LoihiProgram
from lnn2loihi.storage import MANIFEST

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

SCHEMA = 1
FORMAT = "lnn2loihi module"
ARRAYS = "arrays.safetensors"
#: Largest file, largest manifest and most entries that are read: limits of this library.
LARGEST_FILE, LARGEST_MANIFEST, MOST_ENTRIES = 1 << 30, 1 << 24, 4096
#: Bytes of an example that is saved with the module; a larger one is left out.
LARGEST_EXAMPLE = 1 << 24
#: Date of all entries: equal modules give equal bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


def save(converted: ConvertedModule, path: str | os.PathLike[str]) -> Path:
    """See `ConvertedModule.save`."""
    ready = converted.ready
    problems = Problems(ArtifactError, f"module {ready.name!r}")
    found: list[str] = []
    arrays: Arrays = {}
    size = sum(array.nbytes for array in ready.example.values())
    plain = plain_module(ready, arrays, found, with_example=size <= LARGEST_EXAMPLE)
    problems.extend(found)
    entries: dict[str, bytes] = {}
    for number, part in enumerate(ready.parts):
        if isinstance(part, HostPart):
            try:
                entries[host_entry(number)] = part.function.onnx()
            except Lnn2LoihiError as error:
                problems.extend(
                    f"host part {part.name!r} has no ONNX form: {problem}"
                    for problem in (error.problems or (error.subject,))
                )
        else:
            entries[program_entry(number)] = artifact.to_bytes(part.quantized())
    problems.raise_if_any()
    entries[ARRAYS] = save_safetensors(dict(sorted(arrays.items())))
    manifest = {
        "format": FORMAT,
        "schema": SCHEMA,
        "entries": {name: hashlib.sha256(held).hexdigest() for name, held in entries.items()},
        **plain,
    }
    text = json.dumps(manifest, sort_keys=True, allow_nan=False).encode()
    if len(text) > LARGEST_MANIFEST:
        raise ArtifactError(str(path), f"its manifest would have {len(text):,} bytes; at most "
                            f"{LARGEST_MANIFEST:,} are read")  # fmt: skip
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, held in {MANIFEST: text, **entries}.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), held)
    if len(content.getvalue()) > LARGEST_FILE:
        raise ArtifactError(str(path), f"it would have {len(content.getvalue()):,} bytes; at most "
                            f"{LARGEST_FILE:,} are read")  # fmt: skip
    try:
        return write_atomically(path, content.getvalue())
    except OSError as error:
        raise ArtifactError(str(path), f"cannot be written: {error.strerror}") from error


def host_entry(number: int) -> str:
    """Name of the entry of a host part, by its place among the parts."""
    return f"parts/{number}.onnx"


def program_entry(number: int) -> str:
    """Name of the entry of a chip part."""
    return f"parts/{number}.l2l"


def load(path: str | os.PathLike[str]) -> ConvertedModule:
    """Reads a converted module.

    Raises:
        ArtifactError: the file is missing, truncated, altered, of an unknown version, or no saved
            module.
    """
    file = Path(path)
    name = file.name
    manifest, entries = _read(file)
    if manifest.get("format") != FORMAT:
        raise ArtifactError(name, f"its format is {manifest.get('format')!r:.60}, not {FORMAT!r}")
    if type(manifest.get("schema")) is not int or manifest["schema"] != SCHEMA:
        raise ArtifactError(
            name,
            f"schema version {manifest.get('schema')!r:.60} is unknown; this lnn2loihi reads "
            f"version {SCHEMA}. Install the version that wrote it, or convert the module again",
        )
    _check_sums(manifest.get("entries"), entries, name)
    try:
        arrays: Arrays = load_safetensors(entries.pop(ARRAYS))
        programs: dict[int, LoihiProgram] = {}
        models: dict[int, bytes] = {}
        for entry, content in entries.items():
            number = int(Path(entry).stem)
            if entry == program_entry(number):
                programs[number] = artifact.from_bytes(content, f"{name}/{entry}")
            elif entry == host_entry(number):
                models[number] = content
            else:
                raise ValueError(f"an entry {entry!r:.60}")
        return module_of(manifest, arrays, programs, models)
    except ArtifactError:
        raise
    except Lnn2LoihiError as error:
        problems = [f"{error.subject}: {problem}" for problem in error.problems]
        raise ArtifactError(name, problems or error.subject) from error
    except (
        KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, OverflowError,
        SafetensorError,
    ) as error:  # fmt: skip
        what = f"{type(error).__name__}: {error}"
        raise ArtifactError(name, f"its manifest is not a module's ({what:.300})") from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest and all other entries, after a look at what the archive claims."""
    name = path.name
    try:
        if not path.is_file():
            raise ArtifactError(name, why_no_file(path))
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ArtifactError(name, f"has {size:,} bytes; modules have at most {LARGEST_FILE:,}")
        note_input(path)
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            listed = archive.infolist()
            _check_archive(listed, size, name)
            manifest = archive.read(listed[0])
            entries = {info.filename: archive.read(info) for info in listed[1:]}
        found = json.loads(manifest)
    except ArtifactError:
        raise
    except OSError as error:
        raise ArtifactError(name, f"cannot be read: {error.strerror or error}") from error
    except (
        ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, RecursionError,
        OverflowError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        what = f"{type(error).__name__}: {error}"
        raise ArtifactError(name, f"is damaged or no {SUFFIX} file ({what:.200})") from error
    if not isinstance(found, dict):
        raise ArtifactError(name, "its manifest is no table: the file is damaged")
    return found, entries


def _check_archive(listed: list[zipfile.ZipInfo], size: int, name: str) -> None:
    """Refuses an archive that is none of ours, before any entry is read."""
    problems = Problems(ArtifactError, name)
    if not listed or listed[0].filename != MANIFEST:
        raise ArtifactError(name, f"is no {SUFFIX} file: its first entry is not {MANIFEST}")
    if len(listed) > MOST_ENTRIES:
        raise ArtifactError(name, f"has {len(listed):,} entries; at most {MOST_ENTRIES:,} are read")
    if len({info.filename for info in listed}) < len(listed):
        problems.add("has two entries of one name")
    if listed[0].file_size > LARGEST_MANIFEST:
        problems.add(f"its manifest claims {listed[0].file_size:,} bytes; at most "
                     f"{LARGEST_MANIFEST:,} are read")  # fmt: skip
    for info in listed:
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        if not stored or info.flag_bits & 1:
            problems.add(f"{info.filename!r:.60} is compressed or encrypted; modules are stored")
    if sum(info.file_size for info in listed) > size:
        problems.add(f"its entries claim more than the {size:,} bytes of the file")
    problems.raise_if_any()


def _check_sums(sums: Any, entries: Mapping[str, bytes], name: str) -> None:
    if not isinstance(sums, dict) or set(sums) != set(entries):
        raise ArtifactError(name, "its entries are not those that its manifest names")
    for entry, content in entries.items():
        if hashlib.sha256(content).hexdigest() != sums[entry]:
            raise ArtifactError(
                name, f"the checksum of {entry} does not match: the file was altered or damaged"
            )
    if ARRAYS not in entries:
        raise ArtifactError(name, f"has no {ARRAYS}: the file is damaged")
