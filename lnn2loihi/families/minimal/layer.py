"""Minimal recurrent units, minGRU and minLSTM, whose gates depend on the inputs alone.

Source: Feng et al. 2024, arXiv:2410.01201, and the log-space form of its appendix B, as the public
implementation github.com/lucidrains/minGRU-pytorch has it. The forget gate of minLSTM, f / (f + i),
is the logistic function of a difference, which needs no division.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.layers.functions import log_sigmoid, sigmoid
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: What a unit makes of the sum of its candidate: itself, or x + 0.5 above 0 and sigmoid(x) below.
FORMS = ("log", "linear")


@dataclass(frozen=True, eq=False)
class MinimalStage(Stage):
    """A state that moves towards a candidate by the share that the gates say.

    Attributes:
        form: one of FORMS.
    """

    memory: ClassVar[tuple[str, ...]] = ("h",)
    calibrated: ClassVar[tuple[str, ...]] = ("candidate",)

    form: str = "log"

    @abstractmethod
    def share(self, sums: Mapping[str, FloatArray]) -> FloatArray:
        """How much of the candidate goes into the state, 0 to 1."""

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The new state."""
        candidate = sums["candidate"]
        if self.form == "log":
            candidate = np.maximum(candidate, 0.0) + sigmoid(np.minimum(candidate, 0.0))
        h = state["h"] + self.share(sums) * (candidate - state["h"])
        return h, {"h": h}


@dataclass(frozen=True, eq=False)
class MinGRUStage(MinimalStage):
    """A minGRU cell."""

    family: ClassVar[str] = "mingru"
    logistic: ClassVar[tuple[str, ...]] = ("update_gate",)

    def share(self, sums: Mapping[str, FloatArray]) -> FloatArray:
        """The update gate."""
        return sigmoid(sums["update_gate"])


@dataclass(frozen=True, eq=False)
class MinLSTMStage(MinimalStage):
    """A minLSTM cell: input and forget gate are divided by their sum."""

    family: ClassVar[str] = "minlstm"
    logistic: ClassVar[tuple[str, ...]] = ("input_share",)

    def logistic_arguments(
        self, sums: Mapping[str, FloatArray], elapsed: FloatArray | None
    ) -> dict[str, FloatArray]:
        """The difference that says how large the input gate's part is."""
        opened = log_sigmoid(sums["input_gate"]) - log_sigmoid(sums["forget_gate"])
        return {"input_share": opened}

    def share(self, sums: Mapping[str, FloatArray]) -> FloatArray:
        """The input gate's part: sigmoid(i) / (sigmoid(f) + sigmoid(i))."""
        return sigmoid(self.logistic_arguments(sums, None)["input_share"])


@dataclass(frozen=True, eq=False)
class MinimalLayer(GatedLayer):
    """What both layers have in common: they hear their inputs alone.

    Attributes:
        form: what the candidate is made of its sum a, one of FORMS: "log" is
            a + 0.5 where a >= 0 and sigmoid(a) elsewhere, "linear" is a itself.
    """

    hears_itself: ClassVar[bool] = False

    form: str = "log"

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        if self.form not in FORMS:
            return [f"{self.name}: unknown form {self.form!r}; there are {', '.join(FORMS)}"]
        return super().problems()


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class MinGRULayer(MinimalLayer):
    """One layer of minGRU units.

    With the inputs x::

        u = sigmoid(update_gate x)    h' = (1 - u) h + u candidate(x)
    """

    names: ClassVar[tuple[str, ...]] = ("candidate", "update_gate")

    def stage(self, sources: tuple[StageSource, ...], gates: Mapping[str, Linear]) -> Stage:
        """See `GatedLayer.stage`."""
        return MinGRUStage(self.name, sources, gates, form=self.form)


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class MinLSTMLayer(MinimalLayer):
    """One layer of minLSTM units.

    With the inputs x, f = sigmoid(forget_gate x) and i = sigmoid(input_gate x)::

        s = i / (f + i)    h' = (1 - s) h + s candidate(x)
    """

    names: ClassVar[tuple[str, ...]] = ("candidate", "forget_gate", "input_gate")

    def stage(self, sources: tuple[StageSource, ...], gates: Mapping[str, Linear]) -> Stage:
        """See `GatedLayer.stage`."""
        return MinLSTMStage(self.name, sources, gates, form=self.form)
