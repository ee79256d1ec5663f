"""What a file of weights may be, and the descriptions that importing it would take."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import NETWORK_SUFFIX
from lnn2loihi.errors import InputError
from lnn2loihi.files import write_atomically
from lnn2loihi.replacing import replacing_files
from lnn2loihi.showing import Said, Shown, Verbatim


@dataclass(frozen=True)
class DescriptionCandidate(Shown):
    """One way to read a file of weights.

    Attributes:
        module: the class that its keys and shapes are those of.
        place: what stands before its keys, empty or ending in a dot.
        sizes: its inputs, layers and outputs, in one line; empty where it cannot be read.
        text: the description, in TOML, with a comment at each guess.
        left: keys of the file that it does not take.
        problems: why importing with it fails; empty where it works.
    """

    module: str
    place: str
    sizes: str
    text: str
    left: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in vars(self).items()}


@dataclass(frozen=True)
class DescriptionProposal(Shown):
    """What a file of weights may be.

    Attributes:
        path: the file.
        candidates: ways to read it, those that work first.
        toml: where its description would be found without being named.
        notes: what was chosen, computed or passed over in the file.
        keys: its keys with their shapes, the first of them.
    """

    path: Path
    candidates: tuple[DescriptionCandidate, ...]
    toml: Path
    notes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The description of the first candidate; empty without any."""
        return self.candidates[0].text if self.candidates else ""

    @checks_kinds()
    def write(self, path: str | os.PathLike[str] | None = None, *, replace: bool = False) -> Path:
        """Writes the description of the first candidate.

        Args:
            path: of the TOML file; beside the weights where absent, where it is found by itself.
            replace: whether a file that is there may be replaced.

        Returns:
            The path that was written.

        Raises:
            InputError: there is no candidate, a file is there, or it cannot be written.
        """
        target = self.toml if path is None else Path(path)
        if not self.candidates:
            raise InputError(str(self.path), "nothing in it is known, so there is nothing to write")
        if os.path.lexists(target) and not replace:
            raise InputError(
                str(target),
                "is there already; give another path, or say that it may be replaced: "
                "replace=True, --replace",
            )
        try:
            with replacing_files() if replace else nullcontext():
                return write_atomically(target, self.text.encode())
        except OSError as error:
            raise InputError(str(target), f"cannot be written: {error.strerror}") from error

    def _headline(self) -> str:
        sizes = self.candidates[0].module if self.candidates else "nothing known"
        return f"{self.path.name!r}, {len(self.candidates)} ways to read it, first: {sizes}"

    def _shown(self) -> list[Said]:
        """What was found, and the description of the first candidate."""
        lines: list[Said] = [
            f"{self.path.name}: {self._found()}",
            *(f"  {note}" for note in self.notes),
        ]
        for number, one in enumerate(self.candidates, start=1):
            place = f" at {one.place!r}" if one.place else ""
            lines.append(f"{number}. {one.module}{place}: {one.sizes or 'cannot be read'}")
            lines += [f"   it does not import: {problem}" for problem in one.problems]
            if one.left:
                more = f" and {len(one.left) - 8} more" if len(one.left) > 8 else ""
                lines.append(f"   keys that it leaves out: {', '.join(one.left[:8])}{more}")
            if one.left and all(other.left for other in self.candidates):
                lines.append(
                    "   for all of it, save the live module in Python: "
                    f'l2l.save(l2l.import_network(module), "{self.path.stem}{NETWORK_SUFFIX}")'
                )
        if not self.candidates:
            return [*lines, *(f"  {key}" for key in self.keys)]
        which = "the first of them" if len(self.candidates) > 1 else "it"
        lines += [
            "",
            f"{self.toml.name} that importing {which} would take:",
            "",
            Verbatim(self.text),
        ]
        for number, one in enumerate(self.candidates[1:], start=2):
            lines += [f"that of number {number}:", "", Verbatim(one.text)]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "file": str(self.path),
            "description": str(self.toml),
            "notes": list(self.notes),
            "keys": list(self.keys),
            "candidates": [one.to_dict() for one in self.candidates],
        }

    def _found(self) -> str:
        if not self.candidates:
            return "weights, but none of the families knows its keys:"
        count = len(self.candidates)
        return "weights without a description" if count == 1 else f"{count} ways to read it"
