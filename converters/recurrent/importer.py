"""Imports the recurrent modules of all families: alive, or from a checkpoint with its description.

What is accepted is said beside the importer of each family, in
`lnn2loihi/families/<name>/importer.py`. A checkpoint is read once, and its description is parsed
once, whatever the family.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.files.checkpoint import CHECKPOINTS, read_checkpoint
from lnn2loihi.converters.files.description import (
    Description,
    Timespan,
    checked_timespan,
    description_beside,
    description_of,
    read_table,
)
from lnn2loihi.converters.files.saved_state import SeveralStatesError
from lnn2loihi.converters.files.wrappers import unwrapped
from lnn2loihi.converters.modules.classes import class_name, is_torch_module
from lnn2loihi.converters.modules.wrapped import unwrapped_module
from lnn2loihi.converters.provenance import with_source
from lnn2loihi.converters.recurrent.asked import asked, package_of
from lnn2loihi.converters.recurrent.family import FamilyImporter, FamilyParts
from lnn2loihi.converters.recurrent.known import live_modules, unknown_module
from lnn2loihi.converters.recurrent.proposals import candidates
from lnn2loihi.converters.recurrent.stages import STAGE, StagesDescription, stages_of
from lnn2loihi.converters.recurrent.whole import network_of_stages
from lnn2loihi.converters.trace.held import hooks_within
from lnn2loihi.errors import ImportNetworkError, NetworkError, Problems
from lnn2loihi.family import importer_of, importers, network_importer_of
from lnn2loihi.faults import mend
from lnn2loihi.files import why_no_file
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.proposal import DescriptionCandidate, DescriptionProposal

_log = logging.getLogger("lnn2loihi")


@dataclass(frozen=True)
class FamiliesImporter:
    """Entry point `families` of the group `lnn2loihi.importers`.

    Attributes:
        only: name of a family, or of the importer of families, that alone is meant; None for all.
    """

    only: str | None = None

    def named(self, name: str) -> FamiliesImporter | None:
        """The importer of the family of that name, or of those whose importer has it; None where
        there is none.
        """
        return FamiliesImporter(name) if any(importers(name)) else None

    def names(self) -> list[str]:
        """What `named` knows."""
        found = [name for family, one in importers() for name in (one.name, family.name)]
        return list(dict.fromkeys(found))

    def catch_all(self, source: object) -> bool:
        """Whether other importers go before: for every checkpoint, which it takes if only to say
        what is missing, and for classes that are derived from those that it knows.
        """
        if isinstance(source, (str, os.PathLike)):
            return True
        module = unwrapped_module(source)
        known = self._importer_of(module)
        return known is not None and class_name(module) not in known.classes

    def recognises(self, source: object) -> bool:
        """Whether `source` is a module of a family, or a path that ends like a checkpoint or a
        description; imports no framework.
        """
        if isinstance(source, (str, os.PathLike)):
            return Path(source).suffix.lower() in (*CHECKPOINTS, ".toml")
        return self._importer_of(unwrapped_module(source)) is not None

    def _importer_of(self, module: object) -> FamilyImporter | None:
        """The importer of a layer, or of a whole network of layers."""
        found = importer_of(module, self.only)
        return network_importer_of(module, self.only) if found is None else found

    @checks_kinds(ImportNetworkError)
    def load(
        self,
        source: object,
        *,
        timespan: Timespan | None = None,
        description: str | os.PathLike[str] | None = None,
        name: str | None = None,
        state: str | None = None,
    ) -> LiquidNetwork:
        """Turns a live module or a checkpoint with its description into a LiquidNetwork.

        Args:
            source: a module of a family, the path of a checkpoint, or the path of a description
                that names its checkpoint.
            timespan: constant elapsed time between two samples, in the unit of the training, or
                "irregular" where it comes with the samples; goes before the description's. 1.0
                where neither says. Layers that take no elapsed time take 1.0 alone.
            description: path of the TOML file, for a checkpoint; `<checkpoint>.toml` in place of
                the suffix where absent. Its key `checkpoint` is ignored beside a given path.
            name: name of the network; else the description's, else the file's or the class's.
            state: which of several states in a file of `torch.save` is meant, by its key ("ema");
                goes before the description's.

        Raises:
            ImportNetworkError: lists everything that is not supported, damaged or contradictory.
            BackendMissingError: a `.pt` file, and PyTorch is not installed.
        """
        if isinstance(source, (str, os.PathLike)):
            toml = None if description is None else Path(description)
            return self._load_file(Path(source), toml, timespan, name, state)
        source = unwrapped_module(source)
        subject = class_name(source)
        if state is not None:
            raise ImportNetworkError(subject, "a live module has no other state; leave it out")
        if description is not None:
            raise ImportNetworkError(subject, "a live module needs no description; leave it out")
        importer = self._importer_of(source)
        if importer is None:
            raise ImportNetworkError(subject, self._refusal(source))
        described, parts, refused = asked(subject, importer, importer.read_module, source)
        refused = refused or hooks_within(source)
        name = name or type(source).__name__.lower()
        network = _network(importer, parts, described, refused, subject, name, timespan, {})
        _check_answers(source, network, importer, subject)
        return network

    def _load_file(
        self,
        path: Path,
        toml: Path | None,
        timespan: Timespan | None,
        name: str | None,
        state: str | None,
    ) -> LiquidNetwork:
        """Loads a checkpoint with its description, from the path of either."""
        if not path.is_file():
            raise ImportNetworkError(str(path), why_no_file(path))
        try:
            path, importer, described = self._described(path, toml, state)
            found, subject = read_checkpoint(path, state or described.state), str(path)
            name = name or described.name or path.stem
            origin = {"file": path.name, **found.notes}
            if isinstance(described, StagesDescription):
                return network_of_stages(subject, found.tensors, described, timespan, name, origin)
            assert importer is not None
            tensors, before = unwrapped(found.tensors, described.prefix)
            origin |= {"inside of": before} if before else {}
            parts, refused = asked(subject, importer, importer.read, tensors, described)
        except OSError as error:
            raise ImportNetworkError(
                str(error.filename or path), f"it cannot be read ({error.strerror or error})"
            ) from error
        return _network(importer, parts, described, refused, subject, name, timespan, origin)

    def _described(
        self, path: Path, toml: Path | None, state: str | None
    ) -> tuple[Path, FamilyImporter | None, Description]:
        """The checkpoint, its family (None where its description has stages), and its description,
        from the path of either file.
        """
        if path.suffix.lower() != ".toml":
            if toml is None and not (toml := description_beside(path)).is_file():
                raise self._undescribed(path, toml, state)
            return path, *self._read(toml)
        if toml is not None:
            raise ImportNetworkError(
                str(path), f"it is a description itself; do not give {toml} as well"
            )
        importer, described = self._read(path)
        if described.checkpoint is None:
            raise ImportNetworkError(
                str(path), 'it names no checkpoint; add checkpoint = "net.safetensors" to [network]'
            )
        if not described.checkpoint.is_file():
            raise ImportNetworkError(
                str(path), f"the checkpoint that it names is not there: {described.checkpoint}"
            )
        return described.checkpoint, importer, described

    def _read(self, toml: Path) -> tuple[FamilyImporter | None, Description]:
        """The family that a description names, None where it has stages; and the description.

        Raises:
            ImportNetworkError: nobody knows its module (what else there is depends on it), or what
                `description_of` or `stages_of` raises.
        """
        table = read_table(toml)
        known = self._families()
        if STAGE in table:
            return None, stages_of(toml, table, known)
        module = table.get("module")
        # Where no module is named, the first one says that it is missing.
        importer = known[0]
        if isinstance(module, str):
            fitting = (one for one in known if module in (*one.modules, *one.aliases))
            importer = next(fitting, None)
            if importer is None:
                raise ImportNetworkError(str(toml), unknown_module(module))
            module = table["module"] = importer.aliases.get(module, module)
        kinds = {name: importer.description_for(name) for name in importer.modules}
        kind = kinds.get(str(module), importer.description)
        return importer, description_of(toml, table, kind, kinds)

    def _undescribed(self, path: Path, toml: Path, state: str | None) -> ImportNetworkError:
        """What to write for a checkpoint that has no description."""
        proposal = self.propose(path, state)
        if not proposal.candidates:
            return ImportNetworkError(
                str(path),
                "it has no description, and none of the families knows its keys; say what it is in "
                f"{toml} (docs/checkpoints.md). Its keys are: {', '.join(proposal.keys):.600}",
            )
        lines = [proposal.text]
        for other in proposal.candidates[1:]:
            lines.append("# or, since its keys may be another module's, in place of these:")
            lines += [f"# {line}" for line in other.text.splitlines()[2:]]
        text = "\n".join(lines)
        return ImportNetworkError(
            str(path),
            "a checkpoint does not say how its module was built. Write the following to "
            f"{toml} (check it, and fill in each ?), or give description=...; lnn2loihi inspect "
            f"--write does it\n\n{text}",
        )

    def is_undescribed(self, path: Path) -> bool:
        """Whether there is no description beside a checkpoint."""
        return not description_beside(path).is_file()

    def propose(self, path: Path, state: str | None = None) -> DescriptionProposal:
        """What a checkpoint may be, and its descriptions; see `propose_description`.

        Args:
            path: the checkpoint.
            state: which of several states in it is meant; None for all of them.

        Raises:
            ImportNetworkError: the file is damaged or hostile, or holds no weights.
        """
        found: list[DescriptionCandidate] = []
        notes: dict[str, str] = {}
        keys: list[str] = []
        try:
            states: list[str | None] = [state]
            contents = [read_checkpoint(path, state)]
        except SeveralStatesError as error:
            states = [*error.places]
            contents = [read_checkpoint(path, place) for place in states]
        for place, content in zip(states, contents, strict=True):
            tensors, before = unwrapped(content.tensors, "")
            notes |= content.notes | ({"inside of": before} if before else {})
            found += candidates(path, tensors, self._families(), place)
            keys += [f"{key} {list(tensor.shape)}" for key, tensor in tensors.items()]
        said = tuple(f"{key}: {text}" for key, text in notes.items())
        toml = description_beside(path)
        return DescriptionProposal(path, tuple(found), toml, said, tuple(keys[:64]))

    def _families(self) -> list[FamilyImporter]:
        """Those that are meant.

        Raises:
            ImportNetworkError: there are none.
        """
        found = [importer for _, importer in importers(self.only)]
        if not found:
            named = self.only or "families"
            raise ImportNetworkError(
                named, "no family of that name can be imported; is lnn2loihi installed?"
            )
        return found

    def _refusal(self, source: object) -> str:
        """Why a live object is no module of the families that are meant."""
        inside: list[str] = []
        if is_torch_module(source):
            parts: Any = source.named_modules()  # pyright: ignore[reportAttributeAccessIssue]
            for key, part in parts:
                within = key.startswith(tuple(f"{other}." for other in inside))
                if not within and importer_of(part, self.only) is not None:
                    inside.append(key)
        if inside:
            places = " or ".join(f"module.{key}" for key in inside[:8])
            return (
                f"it is no recurrent layer itself but holds one: give {places} instead, or "
                'format="modules" to import it as a whole'
            )
        as_what = "" if self.only is None else f" as {self.only}"
        return (
            f"this class cannot be imported{as_what}; accepted are {live_modules(self.only)}, "
            "alone or in a module of linear layers and activations"
        )


def _check_answers(
    source: object, network: LiquidNetwork, importer: FamilyImporter, subject: str
) -> None:
    """Compares what a live module of a stranger's family answers with the network made of it; those
    of ours are tested.

    Raises:
        ImportNetworkError: they differ.
    """
    package = package_of(importer)
    if package.startswith("lnn2loihi "):
        return
    from lnn2loihi.converters.recurrent.alone import compared_alone  # which needs PyTorch

    difference, unknown = compared_alone(source, network)
    if unknown:
        _log.warning(
            "%s was not compared with the network that %s (%s) made of it: %s",
            subject, importer.name, package, unknown,
        )  # fmt: skip
    if difference is not None:
        raise ImportNetworkError(
            subject,
            f"on random input it answers otherwise than the layers that the importer "
            f"{importer.name} ({package}) makes of it, by {difference:.3g}; {mend(package)}",
        )


def _network(
    importer: FamilyImporter,
    parts: FamilyParts | None,
    description: Description | None,
    refused: list[str],
    subject: str,
    name: str,
    timespan: Timespan | None,
    source: dict[str, str],
) -> LiquidNetwork:
    """The network of parts, or everything that is wrong with them."""
    problems = Problems(ImportNetworkError, subject)
    problems.extend(refused)
    elapsed: float | None = 1.0
    if importer.takes_time:
        elapsed = checked_timespan(subject, timespan, description)
        problems.extend([] if elapsed is None else importer.timespan_problems(elapsed))
    elif timespan not in (None, 1.0):
        problems.add(
            f"timespan is {timespan}, but {' and '.join(importer.modules)} take no elapsed time; "
            "leave it out, or give it to the network as an input of its own"
        )
    problems.raise_if_any()
    assert parts is not None and description is not None
    if not source:
        source = {"class": description.module}
    notes = {"no part in inference": "; ".join(description.notes)} if description.notes else {}
    notes |= parts.notes
    try:
        network = LiquidNetwork(
            name, parts.layers, parts.readout, elapsed,
            host=parts.host, hears=parts.hears, dropout=parts.dropout,
        )  # fmt: skip
    except NetworkError as error:
        raise ImportNetworkError(subject, error.problems) from error
    return with_source(
        network, {"importer": importer.name, **source, **importer.versions(), **notes}
    )
