"""A checkpoint and the TOML file that describes it, found from the path of either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from lnn2loihi.converters.files.checkpoint import Tensor, read_checkpoint
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.families.cfc.description import read_table


class HasCheckpoint(Protocol):
    """What a description says of its checkpoint."""

    @property
    def checkpoint(self) -> Path | None:
        """Its path, or None."""
        ...


Kind = TypeVar("Kind", bound=HasCheckpoint)


def resolve(
    path: Path,
    toml: Path | None,
    read: Callable[[Path], Kind],
    suggest: Callable[[Mapping[str, Tensor], str], str],
) -> tuple[Path, Kind]:
    """The checkpoint and its description.

    Args:
        path: of a checkpoint, or of a description that names one.
        toml: of the description of a checkpoint; `<checkpoint>.toml` in place of the suffix where
            absent.
        read: reads a description.
        suggest: text of a description to edit, from the tensors and the name of a checkpoint that
            has none.

    Raises:
        ImportNetworkError: one of both is missing, or what `read` raises.
    """
    if path.suffix.lower() != ".toml":
        if toml is None:
            toml = description_beside(path)
            if not toml.is_file():
                text = suggest(read_checkpoint(path), path.name)
                raise ImportNetworkError(
                    str(path),
                    "a checkpoint does not say how its module was built. Write the following to "
                    f"{toml} (check it, and fill in each ?), or give description=...\n\n{text}",
                )
        return path, read(toml)
    if toml is not None:
        raise ImportNetworkError(
            str(path), f"it is a description itself; do not give {toml} as well"
        )
    description = read(path)
    if description.checkpoint is None:
        raise ImportNetworkError(
            str(path), 'it names no checkpoint; add checkpoint = "net.safetensors" to [network]'
        )
    if not description.checkpoint.is_file():
        raise ImportNetworkError(
            str(path), f"the checkpoint that it names is not there: {description.checkpoint}"
        )
    return description.checkpoint, description


def description_beside(checkpoint: Path) -> Path:
    """Where the description of a checkpoint lies: its name with .toml in place of the suffix, or of
    both of an archive such as net.pth.tar.
    """
    if checkpoint.suffix.lower() == ".tar" and checkpoint.with_suffix("").suffix:
        checkpoint = checkpoint.with_suffix("")
    return checkpoint.with_suffix(".toml")


def described_module(path: Path) -> str | None:
    """The module that a description, or the one beside a checkpoint, names; None for anything
    that cannot be read.
    """
    toml = path if path.suffix.lower() == ".toml" else description_beside(path)
    try:
        module = read_table(toml).get("module")
    except (ImportNetworkError, OSError):
        return None
    return module if isinstance(module, str) else None
