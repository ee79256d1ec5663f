"""The affine readout, which answers in real numbers and never saturates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lnn2loihi.layers.linear import SUM, FloatArray
from lnn2loihi.layers.stage import Stage, State


@dataclass(frozen=True, eq=False)
class ReadoutStage(Stage):
    """The sum itself."""

    family: ClassVar[str] = "linear"

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The sum."""
        return sums[SUM], {}
