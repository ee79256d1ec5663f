"""What was built, of what: the manifest of a build, by which steps are not done twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lnn2loihi.building.steps import Step
from lnn2loihi.errors import InputError
from lnn2loihi.files import write_atomically
from lnn2loihi.json_values import json_value
from lnn2loihi.measure.conditions import read_conditions
from lnn2loihi.replacing import replacing_files
from lnn2loihi.version import VERSION

MANIFEST = "manifest.json"
SCHEMA = {"name": "lnn2loihi.build", "version": 1}
#: Packages that answers of steps depend on which run or measure what is installed.
PACKAGES = ("numpy", "torch", "onnx", "onnxruntime", "lava-nc", "ziglang")
#: Bytes that are read at once, and of the largest manifest.
_BLOCK, _LARGEST = 1 << 20, 1 << 24


@dataclass(frozen=True)
class Record:
    """What a step has done.

    Attributes:
        asked: its options, the version, and where it matters packages and processor.
        inputs: SHA-256 of each file that it read, by its path from the folder of the build file.
        outputs: SHA-256 of each file that it wrote, likewise.
        command: what does it alone.
        text: what there was to say.
        exit_code: 0, or 2 where a check failed.
    """

    asked: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    text: str = ""
    exit_code: int = 0


class Manifest:
    """The records of all steps, in a file of the folder of what is built.

    Args:
        root: the folder of the build file.
        folder: the folder of what is built.

    Raises:
        InputError: the folder holds other files, and no manifest.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root, self._file = root, folder / MANIFEST
        self.note = ""
        self.records: dict[str, Record] = {}
        if folder.exists() and not folder.is_dir():
            raise InputError(str(folder), "is no folder; give another name in [build] folder")
        if not self._file.exists():
            if folder.is_dir() and any(not one.name.startswith(".") for one in folder.iterdir()):
                raise InputError(
                    str(folder),
                    "holds files that lnn2loihi build has not written, and no manifest.json: give "
                    "another name in [build] folder, or move them away",
                )
            return
        try:
            # It is written again, and so no input as others are.
            with self._file.open("rb") as file:
                self.records = _read(file.read(_LARGEST).decode())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.note = f"{MANIFEST} cannot be read, so that everything is done again"

    def why(self, step: Step) -> str:
        """Why a step has to be done; "" where it need not be."""
        known = self.records.get(step.name)
        if known is None:
            return "it was never done"
        if known.exit_code:
            return "its check failed"
        if known.asked != (asked := asked_of(step)):
            return _difference(known.asked, asked)
        declared = {self._place(path) for path in step.inputs}
        if not declared <= set(known.inputs):
            return "it reads other files"
        for kind, files in (("changed", known.inputs), ("is missing or altered", known.outputs)):
            for place, digest in files.items():
                if digest_of(self._root / place) != digest:
                    return f"{place} {'has ' * (kind == 'changed')}{kind}"
        return ""

    def note_done(
        self, step: Step, read: Iterable[str | os.PathLike[str]], written: Iterable[Path],
        text: str, exit_code: int,
    ) -> None:  # fmt: skip
        """Writes down what a step has done, at once: an interrupt loses one step at most."""
        ours = Path(__file__).resolve().parent.parent
        outputs = [*written]
        inputs = {
            self._place(Path(one)): digest_of(Path(one))
            for one in (*step.inputs, *read)
            if ours not in Path(one).resolve().parents
        }
        own = {self._place(one) for one in outputs}
        self.records[step.name] = Record(
            asked_of(step),
            {place: digest for place, digest in sorted(inputs.items()) if place not in own},
            {self._place(one): digest_of(one) for one in outputs},
            step.command,
            text,
            exit_code,
        )
        self.save()

    def forget_others(self, steps: Iterable[Step]) -> None:
        """Drops records of steps that the build file no longer asks for; their files stay."""
        names = {step.name for step in steps}
        self.records = {name: one for name, one in self.records.items() if name in names}

    def save(self) -> None:
        """Writes the manifest."""
        steps = {name: json_value(asdict(record)) for name, record in self.records.items()}
        document = {"schema": SCHEMA, "lnn2loihi": VERSION, "steps": steps}
        with replacing_files():  # a damaged one is no file of somebody else's: the folder is ours
            write_atomically(self._file, f"{json.dumps(document, indent=2)}\n".encode())

    def _place(self, path: Path) -> str:
        return os.path.relpath(path, self._root)


def _read(text: str) -> dict[str, Record]:
    """The records of a manifest.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is none.
    """
    document = json.loads(text)
    if document["schema"] != SCHEMA:
        raise ValueError(document["schema"])
    found = {name: Record(**entry) for name, entry in document["steps"].items()}
    for one in found.values():
        tables = (one.asked, one.inputs, one.outputs)
        if not all(isinstance(table, dict) for table in tables) or type(one.exit_code) is not int:
            raise TypeError(one)
    return found


def asked_of(step: Step) -> dict[str, Any]:
    """What a step was asked, by which version, and where it matters on which machine."""
    said: dict[str, Any] = {"options": json_value(step.options), "lnn2loihi": VERSION}
    if step.of_machine:
        said["packages"] = {name: _version(name) for name in PACKAGES}
        said["processor"] = read_conditions().processor
    return said


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What has changed of what a step was asked."""
    found: list[str] = []
    for part in sorted({*before, *now}):
        old, new = before.get(part), now.get(part)
        if isinstance(old, dict) and isinstance(new, dict):
            names = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
            found += [f"{key}: {old.get(key)!r:.30} became {new.get(key)!r:.30}" for key in names]
        elif old != new:
            found.append(f"{part}: {old!r:.30} became {new!r:.30}")
    return "; ".join(found)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def digest_of(path: Path) -> str:
    """SHA-256 of a file; "" where it cannot be read."""
    digest = hashlib.sha256()
    with suppress(OSError, ValueError):
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()
    return ""
