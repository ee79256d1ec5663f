"""Arrays with a manifest in one file, and a checksum over both: what programs and networks are
saved as.

It is a safetensors file. The manifest, JSON, is in its metadata under `manifest`, and a SHA-256
over manifest and arrays under `sha256`. Sizes are checked against the file before anything is read,
the checksum before anything is interpreted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from lnn2loihi.defaults import NETWORK_SUFFIX, PROGRAM_SUFFIX
from lnn2loihi.errors import ArtifactError, Lnn2LoihiError
from lnn2loihi.files import note_input, why_no_file, write_atomically
from lnn2loihi.replacing import EMPTY, OTHER, kind_of_content

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Largest file and largest header that are read (limits of this library: 50 million synapses, and
#: descriptions some hundred times longer than those of large networks).
LARGEST_FILE, LARGEST_HEADER = 1 << 28, 1 << 24
#: How a file says that it holds something else than a program, at its beginning.
_BEGIN = b'{"__metadata__":{"format":'

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Sealed:
    """A kind of such files.

    Attributes:
        noun: what one holds, such as "program".
        suffix: of its files.
        marked: its format, where a file says it at its beginning; "" where none does.
    """

    noun: str
    suffix: str
    marked: str = ""

    def to_bytes(self, manifest: str, arrays: Arrays) -> bytes:
        """The file; equal manifests and arrays give equal bytes."""
        metadata = {"manifest": manifest, "sha256": checksum(manifest, arrays)}
        if self.marked:
            metadata["format"] = self.marked
        return ordered(save_safetensors(arrays, metadata))

    def write(self, path: str | os.PathLike[str], content: bytes) -> Path:
        """Writes a file; it is whole or not there.

        Raises:
            ArtifactError: it would be larger than what is read, its folder does not exist, or it
                cannot be written.
        """
        try:
            return write_atomically(path, content)
        except OSError as error:
            raise ArtifactError(str(path), f"cannot be written: {error.strerror}") from error

    def begins(self, path: str | os.PathLike[str]) -> bool:
        """Whether a file says at its beginning that it is one; false for what cannot be read."""
        try:
            if not self.marked or not Path(path).is_file():
                return False
            mark = _BEGIN + json.dumps(self.marked).encode()
            with open(path, "rb") as file:
                return file.read(8 + len(mark))[8:] == mark
        except (OSError, ValueError):
            return False

    def read(self, path: Path) -> bytes:
        """The file's bytes, after a look at the size that its header claims.

        Raises:
            ArtifactError: it is missing, no file, too large, truncated, or cannot be read.
        """
        try:
            size = path.stat().st_size
            if not path.is_file():
                raise ArtifactError(str(path), why_no_file(path))
            note_input(path)
            with path.open("rb") as file:
                begin = file.read(8)
                file.seek(0)
                self.check_sizes(size, begin, path.name, kind_of_content(file))
                file.seek(0)
                return file.read()
        except FileNotFoundError:
            raise ArtifactError(str(path), "there is no such file") from None
        except ValueError as error:  # a zero byte in the name
            raise ArtifactError(str(path), f"cannot be a file ({error})") from error
        except OSError as error:
            raise ArtifactError(str(path), f"cannot be read: {error.strerror}") from error

    def check_sizes(self, size: int, begin: bytes, name: str, kind: str = OTHER) -> None:
        """Refuses a file that is too large, or whose first bytes claim a header that it has not: by
        what it is, where that is known.
        """
        if size > LARGEST_FILE:
            what = f"has {size} bytes; {self.noun}s have at most {LARGEST_FILE}"
            raise ArtifactError(name, what)
        claimed = int.from_bytes(begin, "little")
        if size < 8 or claimed > size - 8:
            what = f"it has {size} bytes and its header claims {claimed}"
            if kind not in (OTHER, EMPTY, f"a {self.noun}"):
                what = f"by its content it is {kind}"
            raise ArtifactError(name, f"is truncated or no {self.suffix} file: {what}")
        if claimed > LARGEST_HEADER:
            what = f"its header has {claimed} bytes; at most {LARGEST_HEADER} are read"
            raise ArtifactError(name, what)

    def opened(self, content: bytes, name: str) -> tuple[str, Arrays]:
        """The manifest of a file and its arrays, which fit its checksum.

        Args:
            content: its bytes.
            name: of the file, for errors.

        Raises:
            ArtifactError: it is truncated, damaged, altered, or something else.
        """
        self.check_sizes(len(content), content[:8], name)
        metadata = _metadata(content, name)
        try:
            arrays: Arrays = load_safetensors(content)
        except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise ArtifactError(name, f"is not a valid safetensors file ({error})") from error
        manifest = metadata.get("manifest")
        if not isinstance(manifest, str):
            raise ArtifactError(
                name, f"has no manifest: it is a safetensors file, but no {self.suffix} {self.noun}"
            )
        if metadata.get("sha256") != checksum(manifest, arrays):
            raise ArtifactError(
                name, "its checksum does not match its content: the file was altered or damaged"
            )
        return manifest, arrays

    @contextmanager
    def interpreting(self, name: str) -> Iterator[None]:
        """While it lasts, what goes wrong is said of the file of that name, as an ArtifactError."""
        try:
            yield
        except ArtifactError:
            raise
        except Lnn2LoihiError as error:
            problems = [f"{error.subject}: {problem}" for problem in error.problems]
            raise ArtifactError(name, problems or error.subject) from error
        except (
            KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError,
            OverflowError,
        ) as error:  # fmt: skip
            what = f"{type(error).__name__}: {error}"
            raise ArtifactError(
                name, f"its manifest is not a {self.noun}'s ({what:.300})"
            ) from error


PROGRAMS = Sealed("program", PROGRAM_SUFFIX)
NETWORKS = Sealed("network", NETWORK_SUFFIX, "lnn2loihi network")


def checksum(manifest: str, arrays: Arrays) -> str:
    """SHA-256 of a manifest and all arrays, their names, types and shapes, as text."""
    digest = hashlib.sha256(manifest.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def ordered(content: bytes) -> bytes:
    """The same file with the keys of its header in order: equal programs give equal bytes."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]


def _metadata(content: bytes, name: str) -> Mapping[str, Any]:
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        metadata = header.get("__metadata__", {})
    except (ValueError, AttributeError, RecursionError) as error:
        raise ArtifactError(name, "its header is not JSON: the file is damaged") from error
    if not isinstance(metadata, dict):
        raise ArtifactError(name, "its metadata are not a table: the file is damaged")
    return metadata
