"""What cells with a time gate have in common: the gate, and what it does with the two heads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.layers.stage import Stage, State


@dataclass(frozen=True, eq=False)
class TimeGatedStage(Stage):
    """A cell in the modes `default` and `no_gate`; a constant timespan is folded into `time`.

    Gates: ff1, ff2 and time; timed ff1, ff2, time_a and time_b.
    """

    logistic: ClassVar[tuple[str, ...]] = ("time",)

    mode: str = "default"

    @abstractmethod
    def heads(self, sums: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """f1 and f2, (..., units), of the sums of their gates."""

    def logistic_arguments(
        self, sums: Mapping[str, FloatArray], elapsed: FloatArray | None
    ) -> dict[str, FloatArray]:
        """The sum of the time gate."""
        if elapsed is None:
            return {"time": sums["time"]}
        return {"time": sums["time_a"] * elapsed + sums["time_b"]}

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """f1 (1 - t) + t f2, or f1 + t f2 without gate."""
        f1, f2 = self.heads(sums)
        t = sigmoid(self.logistic_arguments(sums, elapsed)["time"])
        return (f1 + t * f2 if self.mode == "no_gate" else f1 + t * (f2 - f1)), {}
