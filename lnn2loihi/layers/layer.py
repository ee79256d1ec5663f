"""What a layer of a network is: the float side of a family.

A layer holds the arrays that were trained, and says which stages compute it. Whatever else the
library wants to know of it (whether it fits the layer before, what its arrays are, what it looks
like after training) is answered here from its dataclass fields; a layer overrides what does not
follow from them.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import as_array
from lnn2loihi.errors import NetworkError, Problems
from lnn2loihi.frozen import ArrayEquality, read_only
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource
from lnn2loihi.printable import kind_of_value
from lnn2loihi.showing import Shown

#: For each stage its maps by gate, and its vectors by name.
Gates = Mapping[str, Mapping[str, Linear]]
Vectors = Mapping[str, Mapping[str, FloatArray]]
L = TypeVar("L", bound="Layer")


@dataclass(frozen=True, eq=False)
class TrainedMap:
    """A matrix as it was trained, and what it is multiplied with; for NeuroBench's metrics.

    Attributes:
        weight: float64 (outputs, columns).
        biases: numbers that are added to its products.
        stage: name of the stage whose sources it hears.
        columns: which columns of them.
        every_step: whether it is multiplied in each step of a sample; once for each sample, else.
        never_zero: whether what it is multiplied with is never zero, whatever the stage hears.
    """

    weight: FloatArray
    biases: int
    stage: str
    columns: npt.NDArray[np.int64]
    every_step: bool = False
    never_zero: bool = False


@dataclass(frozen=True, eq=False)
class Layer(Shown, ArrayEquality, ABC):
    """A layer of a network: a frozen dataclass (`eq=False`) with a field `name`.

    Fields that are a Linear, or a tuple of them, are its maps: the first `input_size` columns of a
    map hear what comes before the layer. Fields that are arrays are its vectors.
    """

    #: Whether it answers to each sample alone, so that it can be repeated as often as one likes.
    stateless: ClassVar[bool] = False
    #: Steps that its stages take for each sample; layers with a state in one network take the same.
    unfolds: ClassVar[int] = 1

    name: str

    def __post_init__(self) -> None:
        """Keeps copies of the arrays that nobody else can write to; a layer that has one of its own
        calls this one.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, field.name, read_only(value, value.dtype))

    @property
    @abstractmethod
    def units(self) -> int:
        """Number of units, whose answers the next layer hears."""

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Number of inputs from outside the layer."""

    @abstractmethod
    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """The stages of the layer, and the factor by which its answer is too small.

        Args:
            before: what feeds the layer: a stage, or what stands for several side by side, each of
                which takes its place in the sources of the stages.
            timespan: constant elapsed time between two samples, or None where it comes with them.
            scale: factor by which the answer of `before` is too small; it goes into the weights.
        """

    @abstractmethod
    def problems(self) -> list[str]:
        """Everything that is wrong with the layer, each named by the layer and the array."""

    @property
    def parts(self) -> tuple[Layer, ...]:
        """The layers that it consists of; itself, where it is one."""
        return (self,)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names that it takes in a network."""
        return (self.name,)

    @property
    def made_by_stages(self) -> tuple[int, int]:
        """Units of stages beside its own, and weights that only its stages have: what a large layer
        takes beyond its arrays.
        """
        return 0, 0

    def renamed(self: L, name: Callable[[str], str]) -> L:
        """The layer under another name, which a function makes of its present one."""
        return dataclasses.replace(self, name=name(self.name))

    def hears_inputs(self, field: str, place: int) -> bool:
        """Whether a map hears what comes before the layer.

        Args:
            field: name of the field that holds it.
            place: its place there; 0 where it is alone.
        """
        return True

    def with_inputs(self: L, factor: FloatArray, offset: FloatArray) -> L:
        """The layer that answers to x what this one answers to factor * x + offset.

        Args:
            factor: float64 (inputs,).
            offset: float64 (inputs,).
        """
        return self.with_input_maps(lambda linear: linear.with_inputs(factor, offset))

    def can_hear(self, matrix: FloatArray) -> bool:
        """Whether `hearing` has an answer for a matrix (inputs, columns of x).

        A layer that has a `with_inputs` of its own and no `hearing` takes diagonal ones alone.
        """
        own = type(self)
        if own.hearing is not Layer.hearing or own.with_inputs is Layer.with_inputs:
            return True
        square = matrix.shape[0] == matrix.shape[1]
        return square and bool((matrix == np.diag(np.diagonal(matrix))).all())

    def hearing(self: L, matrix: FloatArray, offset: FloatArray) -> L:
        """The layer that answers to x what this one answers to matrix @ x + offset.

        What is heard through slices, sums, differences, constant factors and concatenations is
        thereby heard without them, and takes no population.

        Args:
            matrix: float64 (inputs, columns of x), which `can_hear` says it can hear.
            offset: float64 (inputs,).

        Raises:
            NetworkError: a shape is wrong, numbers are infinite or NaN, or the layer cannot hear
                such a matrix.
        """
        matrix, offset = self.checked_hearing(matrix, offset)
        if type(self).with_inputs is not Layer.with_inputs:
            return self.with_inputs(np.diagonal(matrix), offset)
        return self.with_input_maps(lambda linear: linear.hearing(matrix, offset))

    def with_input_maps(self: L, change: Callable[[Linear], Linear]) -> L:
        """The layer with other maps in place of those that hear what comes before the layer.

        Args:
            change: makes a map of one of them.
        """

        def changed(field: str, place: int, linear: Linear) -> Linear:
            return change(linear) if self.hears_inputs(field, place) else linear

        return self._with_maps(changed)

    def checked_hearing(
        self, matrix: npt.ArrayLike, offset: npt.ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """The arguments of `hearing` as arrays.

        Raises:
            NetworkError: see `hearing`.
        """
        subject = f"layer {self.name!r}"
        found = as_array(matrix, subject, "matrix").astype(np.float64)
        added = as_array(offset, subject, "offset").astype(np.float64)
        problems = Problems(NetworkError, subject)
        if found.ndim != 2 or found.shape[0] != self.input_size or not found.shape[1]:
            problems.add(f"matrix has shape {found.shape}, expected ({self.input_size}, columns)")
        if added.shape != (self.input_size,):
            problems.add(f"offset has shape {added.shape}, expected ({self.input_size},)")
        for name, values in (("matrix", found), ("offset", added)):
            if not np.isfinite(values).all():
                problems.add(f"{name} holds NaN or infinite values")
        if not problems and not self.can_hear(found):
            problems.add(
                f"{kind_of_value(self)} cannot hear what such a matrix mixes; let a layer "
                "of its own make it (DenseLayer)"
            )
        problems.raise_if_any()
        return found, added

    def with_gates(self: L, gates: Gates, vectors: Vectors, timespan: float | None = 1.0) -> L:
        """The layer whose stages have other maps and vectors, as training for the chip leaves them.

        What stages fold into their weights stays folded. As it stands here it is for layers of one
        stage of their name, whose gates are their maps and whose vectors are their arrays.

        Args:
            gates: for each stage of the network its maps by gate.
            vectors: for stages with `vectors` these, float64 (units,); the layer's where absent.
            timespan: of the network.
        """
        own = gates[self.name]
        changed = self._with_maps(lambda field, place, linear: own.get(linear.name, linear))
        return dataclasses.replace(changed, **vectors.get(self.name, {}))

    def arrays(self) -> dict[str, FloatArray]:
        """Everything that was trained, by name, float64; for the digest of a network."""
        found: dict[str, FloatArray] = {}
        for _, _, linear in self._maps():
            found |= linear.arrays(f"{self.name}.{linear.name}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            plain = isinstance(value, (int, float)) and not isinstance(value, bool)
            if plain or (isinstance(value, np.ndarray) and value.dtype == np.float64):
                found[f"{self.name}.{field.name}"] = np.atleast_1d(np.asarray(value, np.float64))
        return found

    def trained_maps(self, stages: Sequence[Stage]) -> Iterator[TrainedMap]:
        """The matrices of the layer, each as it was trained.

        Args:
            stages: what `stages` has made.
        """
        for stage in stages:
            for name, linear in stage.gates.items():
                if name in stage.fixed:
                    continue
                columns = np.arange(linear.input_size)
                yield TrainedMap(linear.weight, linear.bias.size, stage.name, columns)

    def other_parameters(self, stages: Sequence[Stage]) -> int:
        """Trained numbers beside matrices and biases."""
        return sum(stage.units * len(stage.vectors) for stage in stages)

    def _maps(self) -> Iterator[tuple[str, int, Linear]]:
        """Its maps, each with its field and its place there."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            for place, part in enumerate(value if isinstance(value, tuple) else (value,)):
                if isinstance(part, Linear):
                    yield field.name, place, part

    def _with_maps(self: L, change: Callable[[str, int, Linear], Linear]) -> L:
        """The layer with other maps in place of its own."""
        fields: dict[str, Any] = {}
        for field, place, linear in self._maps():
            made = change(field, place, linear)
            if isinstance(getattr(self, field), tuple):
                fields.setdefault(field, list(getattr(self, field)))[place] = made
            else:
                fields[field] = made
        return dataclasses.replace(self, **fields)
