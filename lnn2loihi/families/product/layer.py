"""Products of two sums: what gates, squares and answers that are multiplied with each other are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: Its two factors, and the gates of its stage.
LEFT, RIGHT = "left", "right"


@dataclass(frozen=True, eq=False)
class ProductStage(Stage):
    """The product of two sums, unit by unit."""

    family: ClassVar[str] = "product"
    calibrated: ClassVar[tuple[str, ...]] = (LEFT, RIGHT)

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The product."""
        return sums[LEFT] * sums[RIGHT], {}


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class ProductLayer(Layer):
    """Each unit answers (left x) * (right x), the product of two affine maps of what it hears.

    Both maps hear the same columns; weights that are 0 are no synapses.

    Attributes:
        name: name in messages and tables.
        left: the map of the first factor, weight (units, inputs).
        right: that of the second one, of the same shape.
    """

    stateless: ClassVar[bool] = True

    name: str
    left: Linear
    right: Linear

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in (LEFT, RIGHT):
            linear: Linear = getattr(self, field)
            if linear.name != field:
                object.__setattr__(self, field, replace(linear, name=field))

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.left.input_size

    @property
    def units(self) -> int:
        """Number of units."""
        return self.left.output_size

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`."""
        gates = {part.name: part.scaled(part.name, inputs=scale) for part in self.factors}
        return (ProductStage(self.name, (before,), gates),), 1.0

    @property
    def factors(self) -> tuple[Linear, Linear]:
        """Both maps."""
        return self.left, self.right

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        found = [problem for part in self.factors for problem in part.problems(self.name)]
        shapes = self.left.weight.shape, self.right.weight.shape
        if not found and shapes[0] != shapes[1]:
            found.append(
                f"{self.name}: left has a weight of shape {shapes[0]}, right one of {shapes[1]}; "
                "both hear the same columns and have as many units"
            )
        return found
