"""What the importers of recurrent layers without wirings share: files, descriptions, checks.

A family says how its modules are known, which keys its checkpoints have, and how layers are made
of the arrays; see `lnn2loihi.converters.recurrent.torch_rnn` and
`lnn2loihi.families.minimal.importer`, which have the grammar of their descriptions.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.files.checkpoint import (
    CHECKPOINTS,
    FloatArray,
    Tensor,
    read_checkpoint,
    torch_tensors,
)
from lnn2loihi.converters.files.resolution import described_module, description_beside, resolve
from lnn2loihi.converters.modules.classes import class_name
from lnn2loihi.converters.provenance import torch_version, with_source
from lnn2loihi.errors import ImportNetworkError, NetworkError, Problems
from lnn2loihi.families.cfc.checks import array_problems
from lnn2loihi.families.cfc.description import Timespan, read_table, value_problems
from lnn2loihi.families.cfc.layout import listing
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.files import why_no_file
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.linear import Linear
from lnn2loihi.network import LiquidNetwork


@dataclass(frozen=True)
class RnnDescription:
    """How a module was built, from a TOML file or from the live module.

    Attributes:
        origin: who says so (a file name, "the module"), for messages.
        module: name of its class.
        input_size: number of input channels, or None where not stated.
        hidden_size: number of units of each layer, or None where not stated.
        num_layers: number of layers, or None where not stated.
        bias: whether it has biases, or None where not stated.
        form: form of the candidate of minGRU and minLSTM.
        prefix: what stands before its keys, empty or ending in a dot.
        readout: what stands before the keys of a Linear after it, ending in a dot, or None.
        name: name of the network, or None.
        checkpoint: path of the checkpoint, or None.
        notes: what in the module has no part in inference, for the network's source.
    """

    origin: str
    module: str
    input_size: int | None = None
    hidden_size: int | None = None
    num_layers: int | None = None
    bias: bool | None = None
    form: str = "log"
    prefix: str = ""
    readout: str | None = None
    name: str | None = None
    checkpoint: Path | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RnnParts:
    """What a module consists of.

    Attributes:
        layers: its layers in order.
        readout: the map after the last one, or None.
    """

    layers: tuple[GatedLayer | DenseLayer, ...]
    readout: Linear | None = None


@dataclass(frozen=True)
class Shape:
    """What was read off the keys of a layer: how wide it is, and whether it has biases."""

    inputs: int
    units: int
    bias: bool


_KEYS: dict[str, tuple[type, str]] = {
    "module": (str, "a string"),
    "checkpoint": (str, "a string"),
    "input_size": (int, "a whole number"),
    "hidden_size": (int, "a whole number"),
    "num_layers": (int, "a whole number"),
    "bias": (bool, "true or false"),
    "prefix": (str, "a string"),
    "readout": (str, "a string"),
    "name": (str, "a string"),
}


class RnnImporter(ABC):
    """An importer of recurrent layers; see `lnn2loihi.plugins.Importer`."""

    #: Its name among the importers.
    name: ClassVar[str]
    #: The modules that a description may name.
    modules: ClassVar[tuple[str, ...]]
    #: Other names of modules that a description may use, and what they are among `modules`.
    aliases: ClassVar[Mapping[str, str]] = {}
    #: What a description of this family may say beside _KEYS: for each key the allowed words.
    words: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @abstractmethod
    def is_module(self, source: object) -> bool:
        """Whether a live object is a module of this family; imports nothing."""

    @abstractmethod
    def is_checkpoint(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the keys of a checkpoint look like this family's."""

    @abstractmethod
    def describe(self, source: Any) -> tuple[RnnDescription, list[str]]:
        """How a live module was built; and what in it cannot be imported."""

    @abstractmethod
    def parts(
        self, state: Mapping[str, Tensor], description: RnnDescription
    ) -> tuple[RnnParts | None, list[str]]:
        """The layers, or None and everything that is wrong with the arrays."""

    @abstractmethod
    def suggestion(self, state: Mapping[str, Tensor]) -> list[str]:
        """Lines of a description, as far as the keys of a checkpoint tell."""

    def recognises(self, source: object) -> bool:
        """Whether `source` is such a module, or a path whose description names one."""
        if not isinstance(source, (str, os.PathLike)):
            return self.is_module(source)
        path = Path(source)
        suffix = path.suffix.lower()
        if suffix != ".toml" and suffix not in CHECKPOINTS:
            return False
        named = described_module(path)
        if named is not None or suffix == ".toml" or description_beside(path).is_file():
            return named in self.modules or named in self.aliases
        try:
            return self.is_checkpoint(read_checkpoint(path))
        except Exception:  # whatever is wrong with the file, the importer that takes it says so
            return False

    @checks_kinds(ImportNetworkError)
    def load(
        self,
        source: object,
        *,
        timespan: Timespan | None = None,
        description: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> LiquidNetwork:
        """Turns a live module or a checkpoint with its description into a LiquidNetwork.

        Args:
            source: a module of this family, the path of a checkpoint, or the path of a
                description that names its checkpoint.
            timespan: these layers take no elapsed time: only 1.0, or None, is accepted.
            description: path of the TOML file, for a checkpoint; `<checkpoint>.toml` in place of
                the suffix where absent.
            name: name of the network; else the description's, else the file's or the class's.

        Raises:
            ImportNetworkError: lists everything that is not supported, damaged or contradictory.
            BackendMissingError: a `.pt` file, and PyTorch is not installed.
        """
        subject = str(source) if isinstance(source, (str, os.PathLike)) else class_name(source)
        if timespan not in (None, 1.0):
            raise ImportNetworkError(
                subject,
                f"timespan is {timespan}, but {' and '.join(self.modules)} take no elapsed time; "
                "leave it out, or give it to the network as an input of its own",
            )
        if isinstance(source, (str, os.PathLike)):
            toml = None if description is None else Path(description)
            return self._load_file(Path(source), toml, name)
        if description is not None:
            raise ImportNetworkError(subject, "a live module needs no description; leave it out")
        if not self.is_module(source):
            raise ImportNetworkError(
                subject, f"this class cannot be imported as {self.name}; accepted are "
                f"{', '.join(self.modules)}"
            )  # fmt: skip
        described, refused = self.describe(source)
        origin = {"importer": self.name, "class": described.module, **torch_version()}
        return self._network(
            torch_tensors(source.state_dict()),  # pyright: ignore[reportAttributeAccessIssue]
            described, refused, subject, name or type(source).__name__.lower(), origin,
        )  # fmt: skip

    def _load_file(self, path: Path, toml: Path | None, name: str | None) -> LiquidNetwork:
        if not path.is_file():
            raise ImportNetworkError(str(path), why_no_file(path))
        try:
            path, description = resolve(path, toml, self.read, self._suggested)
            origin = {"importer": self.name, "file": path.name, **torch_version()}
            return self._network(
                read_checkpoint(path), description, [], str(path),
                name or description.name or path.stem, origin,
            )  # fmt: skip
        except OSError as error:
            raise ImportNetworkError(
                str(error.filename or path), f"it cannot be read ({error.strerror or error})"
            ) from error

    def _network(
        self,
        state: Mapping[str, Tensor],
        description: RnnDescription,
        refused: list[str],
        subject: str,
        name: str,
        source: dict[str, str],
    ) -> LiquidNetwork:
        problems = Problems(ImportNetworkError, subject)
        problems.extend(refused)
        parts = None
        if not refused:
            parts, found = self.parts(state, description)
            problems.extend(found)
        problems.raise_if_any()
        assert parts is not None
        if description.notes:
            source["no part in inference"] = "; ".join(description.notes)
        try:
            network = LiquidNetwork(name, parts.layers, parts.readout)
        except NetworkError as error:
            raise ImportNetworkError(subject, error.problems) from error
        return with_source(network, source)

    def _suggested(self, state: Mapping[str, Tensor], checkpoint: str) -> str:
        return "\n".join(["[network]", f'checkpoint = "{checkpoint}"', *self.suggestion(state)])

    def read(self, path: Path) -> RnnDescription:
        """Reads and checks a description.

        Raises:
            ImportNetworkError: the file is absent or no TOML, or keys are missing, unknown or of a
                wrong type; all of them are listed.
        """
        table = read_table(path)
        if isinstance(table.get("module"), str):
            table["module"] = self.aliases.get(table["module"], table["module"])
        problems = Problems(ImportNetworkError, str(path))
        keys = _KEYS | dict.fromkeys(self.words, (str, "a string"))
        for key, value in table.items():
            if key not in keys:
                problems.add(f"unknown key {key!r}; known are {', '.join(keys)}")
            else:
                problems.extend(value_problems(key, value, *keys[key]))
        if "module" not in table:
            problems.add("the key 'module' is missing from [network]; add module = ...")
        allowed = {"module": self.modules, **self.words}
        if not problems:
            for key, words in allowed.items():
                if key in table and table[key] not in words:
                    found = f"{key} is {table[key]!r:.120}; there are {', '.join(words)}"
                    problems.add(found)
        problems.raise_if_any()
        values = {key: value for key, value in table.items() if key != "checkpoint"}
        for key in ("prefix", "readout"):
            # Without its dot, the prefix "rnn" would also match "rnn_2."
            if values.get(key) and not values[key].endswith("."):
                values[key] += "."
        checkpoint = path.parent / table["checkpoint"] if "checkpoint" in table else None
        return RnnDescription(path.name, checkpoint=checkpoint, **values)


class Arrays:
    """The arrays of a state_dict under a prefix, asked for by key; what is wrong is collected.

    Args:
        state: the tensors by key.
        prefix: what stands before the keys.

    Attributes:
        problems: everything that is wrong so far.
    """

    def __init__(self, state: Mapping[str, Tensor], prefix: str) -> None:
        self._own = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
        self._prefix = prefix
        self._taken: set[str] = set()
        self._found: dict[str, FloatArray] = {}
        self.problems: list[str] = []

    @property
    def keys(self) -> list[str]:
        """The keys without their prefix."""
        return list(self._own)

    def take(self, key: str, rows: int | None = None, columns: int | None = None) -> FloatArray:
        """An array of a shape, None being any; one of zeros where something is wrong with it.

        Args:
            key: its key without the prefix.
            rows: its rows, or its elements.
            columns: its columns; 0 for an array of one axis.
        """
        self._taken.add(key)
        wanted = (rows,) if columns == 0 else (rows, columns)
        blank = np.zeros([1 if n is None else n for n in wanted])
        if key not in self._own:
            self.problems.append(f"the key {self._prefix + key} is missing")
            return blank
        tensor = self._own[key]
        fits = len(tensor.shape) == len(wanted) and all(
            n in (None, m) for n, m in zip(wanted, tensor.shape, strict=True)
        )
        if not fits:
            said = ", ".join("any" if n is None else str(n) for n in wanted)
            self.problems.append(
                f"{self._prefix + key} has shape {tensor.shape}, expected ({said})"
            )
            return blank
        found = array_problems(self._prefix + key, tensor, False, self._found)
        self.problems += found
        return blank if found else self._found[self._prefix + key]

    def refuse_others(self, module: str, readout: str | None = None) -> None:
        """Notes keys that were not asked for and do not begin with `readout`."""
        keys = [self._prefix + key for key in self._own if key not in self._taken]
        others = [key for key in keys if not (readout and key.startswith(readout))]
        if others:
            self.problems.append(
                f"keys that a {module} does not have: {listing(others)}. Undo parametrizations "
                "and pruning first (torch.nn.utils.parametrize.remove_parametrizations, "
                "torch.nn.utils.prune.remove); where other parts of a larger module are meant, "
                'say prefix = "..." and readout = "..."'
            )


def readout_of(state: Mapping[str, Tensor], prefix: str, units: int) -> tuple[Linear, list[str]]:
    """The Linear after the last layer, from keys that begin with `prefix`."""
    arrays = Arrays(state, prefix)
    weight = arrays.take("weight", None, units)
    bias = np.zeros(len(weight))
    if "bias" in arrays.keys:
        bias = arrays.take("bias", len(weight), 0)
    arrays.refuse_others("torch.nn.Linear")
    return Linear("readout", weight, bias), arrays.problems


def contradictions(description: RnnDescription, shapes: list[Shape]) -> list[str]:
    """What a description says otherwise than the arrays."""
    said = {
        "input_size": (description.input_size, shapes[0].inputs),
        "hidden_size": (description.hidden_size, shapes[0].units),
        "num_layers": (description.num_layers, len(shapes)),
        "bias": (description.bias, shapes[0].bias),
    }
    return [
        f"{key} is {stated} in {description.origin}, but the arrays say {found}"
        for key, (stated, found) in said.items()
        if stated not in (None, found)
    ]
