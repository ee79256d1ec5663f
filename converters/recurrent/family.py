"""What the importer of a family is: how its modules, its checkpoints and their keys are known.

A family with a `FamilyImporter` (`Family.importer`) is importable as a live module, from a
checkpoint with its description, and as a part of a larger module. The grammar of its descriptions
stands beside it, in `lnn2loihi/families/<name>/importer.py`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays, forgotten, watched
from lnn2loihi.converters.files.description import Description, flag, text, whole
from lnn2loihi.converters.files.tensor import Tensor, module_tensors
from lnn2loihi.converters.provenance import torch_version
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.printable import kind_of_value

if TYPE_CHECKING:
    from lnn2loihi.converters.keras_read.layer import KerasLayer
    from lnn2loihi.measure.torch_blocks import Block


class ContractError(TypeError):
    """An importer answers with something else than it has to, whatever it was asked about."""


@dataclass(frozen=True, kw_only=True)
class RecurrentDescription(Description):
    """How a module without a wiring was built; what most families need.

    Attributes:
        input_size: number of input channels, or None where not stated.
        hidden_size: number of units of each layer, or None where not stated.
        num_layers: number of layers, or None where not stated.
        bias: whether it has biases, or None where not stated.
        readout: what stands before the keys of a Linear after it, ending in a dot, or None.
    """

    input_size: int | None = whole()
    hidden_size: int | None = whole()
    num_layers: int | None = whole()
    bias: bool | None = flag()
    readout: str | None = text(dotted=True)


@dataclass(frozen=True)
class FamilyParts:
    """What a module consists of.

    Attributes:
        layers: its layers in order.
        readout: the map after the last one, or None.
        readout_name: name of that map in the module.
        mapped: whether the map only picks and scales units, so that it goes into a Linear that
            follows it, and is no layer of its own.
        bias: whether the module has biases; None where they are not looked at.
        projections: for each layer the matrix that makes the state that the module hands out of
            what the layer says; empty where these are the same.
        dropout: rates of its dropout, as `LiquidNetwork.dropout` has them by name of its layers
            and their stages.
        hears: of layers that hear something else than the one before, see `LiquidNetwork.hears`.
        host: what follows on the host, see `LiquidNetwork.host`.
        notes: what else there is to say of it, for the network's source.
        timespan: the constant elapsed time that a layer of Keras has where nobody says another.
    """

    layers: tuple[Layer, ...]
    readout: Linear | None = None
    readout_name: str = "out"
    mapped: bool = False
    bias: bool | None = None
    projections: tuple[FloatArray, ...] = ()
    dropout: Mapping[str, float] = field(default_factory=dict)
    hears: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    host: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    timespan: float | None = None

    @property
    def is_network(self) -> bool:
        """Whether these parts are no chain of layers, and so no part of a larger module."""
        return bool(self.hears or self.host)


@dataclass(frozen=True)
class NetworkParts:
    """What a whole network consists of, whose layers hear several others.

    Attributes:
        layers: its layers in order.
        hears: for each layer, and for "readout", what it hears; see `LiquidNetwork`.
        readout: the map after them.
        notes: for the network's source: what was left out, or taken for granted.
    """

    layers: tuple[Layer, ...]
    hears: Mapping[str, tuple[str, ...]]
    readout: Linear | None
    notes: Mapping[str, str]


class FamilyImporter(ABC):
    """Reads the modules of one family, alive or from a state_dict.

    The methods import no framework that the caller has not imported.
    """

    #: Its name in `LiquidNetwork.source` and as `format=`; families may have it in common.
    name: ClassVar[str]
    #: The modules that a description may name.
    modules: ClassVar[tuple[str, ...]]
    #: Other names of modules that a description may use, and what they are among `modules`.
    aliases: ClassVar[Mapping[str, str]] = {}
    #: Full names of the classes of live modules, and what they are among `modules`.
    classes: ClassVar[Mapping[str, str]] = {}
    #: What its descriptions may say.
    description: ClassVar[type[Description]] = RecurrentDescription
    #: Whether its layers take the elapsed time between two samples.
    takes_time: ClassVar[bool] = False
    #: Classes of Keras whose layers it reads, from files of Keras.
    keras: ClassVar[tuple[str, ...]] = ()
    #: What a description of a file of equinox may say, where it reads such files.
    equinox: ClassVar[type[Description] | None] = None
    #: What to do about modules that only look like its own, by the beginnings of class names.
    advice: ClassVar[Mapping[tuple[str, ...], str]] = {}

    @abstractmethod
    def is_checkpoint(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the keys of a checkpoint look like this family's."""

    @abstractmethod
    def parts(
        self, state: Mapping[str, Tensor], description: Any
    ) -> tuple[FamilyParts | None, list[str]]:
        """The layers, or None and everything that is wrong with the arrays.

        What a `RecurrentDescription` says of sizes and of a readout is looked at by `read`.

        Args:
            state: the tensors by key.
            description: how the module was built.
        """

    def description_for(self, module: str) -> type[Description]:
        """What a description of one of `modules` may say."""
        return self.description

    def class_of(self, source: object) -> str | None:
        """Which of `classes` a live object is, or is derived from."""
        return next(
            (name for name in map(_full, type(source).__mro__) if name in self.classes), None
        )

    def is_module(self, source: object) -> bool:
        """Whether a live object is a module of this family."""
        return self.class_of(source) is not None

    def is_network(self, source: object) -> bool:
        """Whether a live object is a whole network of the family's layers: it is imported alone,
        and its layers are looked for in it where it stands in a larger module, or is converted.
        """
        return False

    def describe(self, source: Any) -> tuple[Description | None, list[str]]:
        """How a live module was built, or None; and what in it cannot be imported.

        As it stands here it is for descriptions of which nothing is required.
        """
        known = self.class_of(source)
        if known is None:
            return None, [f"it is {kind_of_value(source)}, which {self.name} cannot describe"]
        named, own = self.classes[known], known.rpartition(".")[2]
        original: Any = next(kind for kind in type(source).__mro__ if _full(kind) == known)
        if type(source).forward is not original.forward:
            plain = named if named.endswith(own) else own
            return None, [f"it overrides forward; give a plain {plain}"]
        return self.description_for(named)(origin="the module", module=named), []

    def read(
        self, state: Mapping[str, Tensor], description: Description
    ) -> tuple[FamilyParts | None, list[str]]:
        """The parts, with the Linear that a description names after them; or None and everything
        that is wrong with the arrays, or said otherwise than they are.
        """
        parts, problems = self._parts(state, description)
        if parts is not None and isinstance(description, RecurrentDescription):
            problems += _contradictions(description, parts)
        readout: str | None = getattr(description, "readout", None)
        if readout is not None:
            before = None if parts is None else parts.readout
            outputs = None if parts is None else parts.layers[-1].units
            outputs = outputs if before is None else before.output_size
            after, found = _readout(state, readout, outputs)
            problems += found
            if before is not None and not found:
                # Two linear maps in a row are one.
                bias = after.weight @ before.bias + after.bias
                after = Linear(after.name, after.weight @ before.weight, bias)
            parts = None if parts is None else replace(parts, readout=after)
        return (None if problems else parts), problems

    def _parts(
        self, state: Mapping[str, Tensor], description: Description
    ) -> tuple[FamilyParts | None, list[str]]:
        """What `parts` answers, with all that is wrong with the arrays that it asked for.

        Raises:
            ContractError: it is no answer.
        """
        readout = getattr(description, "readout", None)
        with watched() as made:
            try:
                answer = self.parts(state, description)
            except Exception:
                # Arrays of zeros stand for those that are missing: say what is wrong first.
                problems = [problem for arrays in made for problem in arrays.problems]
                if not problems:
                    raise
                return None, problems
        who = f"{type(self).__name__}.parts"
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise ContractError(f"{who} gives {answer!r:.60}; give the parts and a list of texts")
        parts, found = answer
        problems = [found] if isinstance(found, str) else [*map(str, found)]
        problems += forgotten(made, problems, description.module, readout)
        if parts is None and not problems:
            raise ContractError(f"{who} gives neither layers nor a problem")
        if parts is not None and not (
            isinstance(parts, FamilyParts)
            and parts.layers
            and all(isinstance(layer, Layer) for layer in parts.layers)
            and isinstance(parts.readout, (Linear, type(None)))
        ):
            raise ContractError(f"{who} gives {parts!r:.60}; give FamilyParts of layers, or None")
        return parts, problems

    def read_module(self, source: Any) -> tuple[Description | None, FamilyParts | None, list[str]]:
        """The description and the parts of a live module, and everything that is wrong."""
        description, problems = self.describe(source)
        if description is None:
            return None, None, problems or [f"{type(self).__name__}.describe does not say why"]
        parts, found = self.read(module_tensors(source), description)
        return description, parts, [*problems, *found]

    def from_keras(self, layer: KerasLayer) -> tuple[FamilyParts | None, list[str]]:
        """The layers of one layer of Keras, of one of the classes of `keras`; or None and
        everything that is wrong with it.
        """
        return None, [f"{layer.name} is a {layer.kind}, which {self.name} does not read"]

    def from_names(self, arrays: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]] | None:
        """The class, one of `keras`, of a layer whose arrays are known by the names of their
        variables, and its arrays by the positions that files of Keras 3 have; None where it is
        none of this family's.

        Args:
            arrays: by path below the layer, such as `cf_c_cell_3/ff1_weight:0`.
        """
        return None

    def from_equinox(
        self, leaves: Sequence[np.ndarray], description: Any, file: str
    ) -> tuple[NetworkParts | None, list[str]]:
        """The network of the arrays of a file of equinox, which have no names; None and no problem
        where they are of another family, else everything that is wrong with them.

        Args:
            leaves: the arrays in their order.
            description: of the class `equinox`.
            file: name of the file, without its suffix.
        """
        return None, []

    def suggestion(self, state: Mapping[str, Tensor]) -> list[str]:
        """Lines of a description, as far as the keys of a checkpoint tell."""
        return [f'module = "{self.modules[0]}"']

    def refusal(self, source: object) -> str:
        """Why a live object that is no module of the family, but known to it, cannot be imported;
        empty for all others.
        """
        return ""

    def timespan_problems(self, timespan: float | None) -> list[str]:
        """What is wrong with a constant elapsed time, from 0 on."""
        return []

    def versions(self) -> dict[str, str]:
        """Versions of the packages that its modules come from, for the network's source."""
        return torch_version()

    def calls(self, source: Any) -> Mapping[str, bool] | None:
        """How a live module is called and answers: attributes of `lnn2loihi.qat.calls.Calls` that
        are not the default; None where that is found out by calling it.
        """
        return None

    def block(self, source: Any, timespan: float | None) -> Block | None:
        """A live module as a rival in `profile` that carries its state from step to step; None
        where nobody knows how.

        Args:
            source: the module; it is left as it is.
            timespan: constant elapsed time, or None where it comes with the samples.
        """
        return None


def suggested_prefix(prefix: str) -> list[str]:
    """Lines of a description that say where a module sits in a larger state_dict, if it does."""
    line = f"prefix = {json.dumps(prefix)}"
    return [line, '# readout = "..."  if a Linear after it is meant too'] if prefix else []


def _full(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _readout(
    state: Mapping[str, Tensor], prefix: str, units: int | None
) -> tuple[Linear, list[str]]:
    """The Linear after the last layer, from keys that begin with `prefix`; or a Dense of Keras or
    TensorFlow, whose kernel is (inputs, outputs).
    """
    arrays = Arrays(state, prefix)
    if "kernel" in arrays.keys and "weight" not in arrays.keys:
        weight = arrays.take("kernel", units, None).T
    else:
        weight = arrays.take("weight", None, units)
    bias = np.zeros(len(weight))
    if "bias" in arrays.keys:
        bias = arrays.take("bias", len(weight), 0)
    arrays.refuse_others("torch.nn.Linear")
    return Linear("readout", weight, bias), arrays.problems


def _contradictions(description: RecurrentDescription, parts: FamilyParts) -> list[str]:
    """What a description says otherwise than the arrays."""
    own = [layer for layer in parts.layers if not layer.stateless] or parts.layers
    said = {
        "input_size": (description.input_size, parts.layers[0].input_size),
        "hidden_size": (description.hidden_size, own[0].units),
        "num_layers": (description.num_layers, len(own)),
        "bias": (description.bias, parts.bias),
    }
    return [
        f"{key} is {stated} in {description.origin}, but the arrays say "
        + ("nothing of it; leave it out" if found is None else str(found))
        for key, (stated, found) in said.items()
        if stated is not None and stated != found
    ]
