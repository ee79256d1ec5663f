"""Relays: what one layer says, said once more by a population of its own.

A message of the chip goes to all that hear its neuron. Where some of them have to hear it changed,
as a dropout's mask changes what later layers hear of a recurrent layer and not what the layer hears
of itself, a relay stands between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.layers.layer import Gates, Layer, TrainedMap, Vectors
from lnn2loihi.layers.linear import SUM, FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State


@dataclass(frozen=True, eq=False)
class RelayStage(Stage):
    """Each unit answers what it hears of one other."""

    family: ClassVar[str] = "relay"
    selects: ClassVar[bool] = True
    fixed: ClassVar[tuple[str, ...]] = (SUM,)

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """What it hears."""
        return sums[SUM], {}


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class RelayLayer(Layer):
    """A layer that answers what it hears; it has no parameters, and loses nothing on the chip.

    Attributes:
        name: name in messages and tables.
        size: number of units, and of inputs.
    """

    stateless: ClassVar[bool] = True

    name: str
    size: int

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.size

    @property
    def units(self) -> int:
        """Number of units."""
        return self.size

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`; what is too small when it is heard is as small when it is sent on."""
        same = Linear(SUM, np.eye(self.size), np.zeros(self.size))
        return (RelayStage(self.name, (before,), {SUM: same}),), scale

    def can_hear(self, matrix: FloatArray) -> bool:
        """See `Layer.can_hear`."""
        return True

    def with_inputs(self, factor: FloatArray, offset: FloatArray) -> Any:
        """See `Layer.with_inputs`; a map, which a relay has none of."""
        return self.hearing(np.diag(factor), offset)

    def hearing(self, matrix: FloatArray, offset: FloatArray) -> Any:
        """See `Layer.hearing`; a map, which a relay has none of."""
        matrix, offset = self.checked_hearing(matrix, offset)
        return DenseLayer(self.name, Linear("linear", matrix, offset), "identity")

    def with_gates(
        self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0
    ) -> RelayLayer:
        """See `Layer.with_gates`; there is nothing to train."""
        return self

    def trained_maps(self, stages: Sequence[Stage]) -> Iterator[TrainedMap]:
        """See `Layer.trained_maps`; there are none."""
        return iter(())

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        return [f"{self.name}: size is {self.size}; 1 or more"] if self.size < 1 else []
