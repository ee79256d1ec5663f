"""S4D: a linear state space whose matrix is diagonal, each number of it a complex mode.

Sources: Gu et al. 2022, "On the Parameterization and Initialization of Diagonal State Space Models"
(arXiv:2206.11893), and its code, src/models/s4/s4d.py of github.com/state-spaces/s4. The liquid
form is ours: that of Hasani et al. 2022 (arXiv:2209.12951) with a liquid term that cannot make a
mode unstable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.dense.layer import DenseStage
from lnn2loihi.layers.activations import activation_problem, canonical, folded, folded_name
from lnn2loihi.layers.layer import Gates, Layer, Vectors
from lnn2loihi.layers.linear import SUM, FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: The gate of a mode, and the words of its state.
DRIVE, REAL, IMAGINARY = "drive", "re", "im"
#: What the logarithm of a mode's decay in a sample is held within: a mode that forgets by exp(-e^4)
#: keeps nothing, and one that forgets by exp(-e^-14) in a sample keeps a million of them.
LOG_DECAYS = (-14.0, 4.0)
#: Largest share of what a mode forgets that its liquid term may take back.
LARGEST_SHARE = 0.95
#: Vectors of the modes, and those that liquid ones have beside them.
VECTORS = ("log_decay", "angle", "real", "imaginary")
LIQUID_VECTORS = ("share", "direction")


@dataclass(frozen=True, eq=False)
class ModesStage(Stage):
    """Complex modes, one unit each; the message is twice the real part of a number times the state.

    With lam = exp(-exp(log_decay) + i angle) and the sum u of the drive::

        z' = lam z + (1 - |lam|) u        y = 2 Re((real + i imaginary) z')

    so that |z| is at most the largest |u|, however long it lasts.

    Attributes:
        log_decay: logarithm of what a mode forgets in a sample, float64 (units,).
        angle: by how much it turns in a sample, in radians, float64 (units,).
        real, imaginary: what its state is multiplied with, float64 (units,).
    """

    family: ClassVar[str] = "s4d modes"
    memory: ClassVar[tuple[str, ...]] = (REAL, IMAGINARY)
    vectors: ClassVar[tuple[str, ...]] = VECTORS
    limits: ClassVar[Mapping[str, tuple[float, float]]] = MappingProxyType(
        {"log_decay": LOG_DECAYS}
    )
    calibrated: ClassVar[tuple[str, ...]] = (DRIVE,)

    log_decay: FloatArray = field(kw_only=True)
    angle: FloatArray = field(kw_only=True)
    real: FloatArray = field(kw_only=True)
    imaginary: FloatArray = field(kw_only=True)

    def state_name(self, word: str) -> str:
        """The real part has the name of the stage, the imaginary one a name beside it."""
        return self.name if word == REAL else f"{self.name}.{word}"

    def heard(self, sums: Mapping[str, FloatArray]) -> FloatArray:
        """What drives the modes."""
        return sums[DRIVE]

    def turned(self, u: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What the state is multiplied with in a sample, real and imaginary part, and what u is."""
        kept: FloatArray = np.exp(-np.exp(self.log_decay))
        return kept * np.cos(self.angle), kept * np.sin(self.angle), 1.0 - kept

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Twice the real part of the weighed new state, and the new state."""
        u = self.heard(sums)
        across, up, gain = self.turned(u)
        re = across * state[REAL] - up * state[IMAGINARY] + gain * u
        im = up * state[REAL] + across * state[IMAGINARY]
        return 2.0 * (self.real * re - self.imaginary * im), {REAL: re, IMAGINARY: im}


@dataclass(frozen=True, eq=False)
class LiquidModesStage(ModesStage):
    """Complex modes that what they hear makes faster or slower.

    With u the sum of the drive, held within -1 and 1, and
    beta = share (1 - |lam|) exp(i direction)::

        z' = (lam + beta u) z + (1 - |lam|) u

    Since |lam + beta u| <= |lam| + share (1 - |lam|) < 1, no input makes a mode grow, and |z| is at
    most 1 / (1 - share).

    Attributes:
        share: 0 to LARGEST_SHARE, float64 (units,).
        direction: in radians, float64 (units,).
    """

    vectors: ClassVar[tuple[str, ...]] = (*VECTORS, *LIQUID_VECTORS)
    limits: ClassVar[Mapping[str, tuple[float, float]]] = MappingProxyType(
        {"log_decay": LOG_DECAYS, "share": (0.0, LARGEST_SHARE)}
    )

    share: FloatArray = field(kw_only=True)
    direction: FloatArray = field(kw_only=True)

    def heard(self, sums: Mapping[str, FloatArray]) -> FloatArray:
        """What drives the modes, within -1 and 1."""
        return np.minimum(np.maximum(sums[DRIVE], -1.0), 1.0)

    def turned(self, u: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `ModesStage.turned`."""
        across, up, gain = super().turned(u)
        liquid = self.share * gain
        return (
            across + (liquid * np.cos(self.direction)) * u,
            up + (liquid * np.sin(self.direction)) * u,
            gain,
        )


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class S4DLayer(Layer):
    """A layer of complex modes, and an activation of what they and the inputs say.

    With the inputs x, each mode hears `drive` x, and the answer is
    activation(mix [x; y]) with the messages y of the modes (see `ModesStage`). In an S4D of H
    channels with N modes each, drive gives channel h to its N modes, and mix adds these up, with
    the channel itself times D. Trained for the chip, all weights that are not zero learn.

    Attributes:
        name: name in messages and tables; the modes are the stage `<name>.modes`.
        drive: weight (modes, inputs).
        mix: weight (units, inputs + modes).
        log_decay, angle, real, imaginary: float64 (modes,), see `ModesStage`.
        activation: its text, as `lnn2loihi.layers.activations` has it.
    """

    name: str
    drive: Linear
    mix: Linear
    log_decay: FloatArray
    angle: FloatArray
    real: FloatArray
    imaginary: FloatArray
    activation: str = field(default="gelu", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not activation_problem(self.activation):
            object.__setattr__(self, "activation", canonical(self.activation))
        for part, name in (("drive", DRIVE), ("mix", SUM)):
            linear: Linear = getattr(self, part)
            if linear.name != name:
                object.__setattr__(self, part, replace(linear, name=name))

    @property
    def units(self) -> int:
        """Number of channels that it answers with."""
        return self.mix.output_size

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.drive.input_size

    @property
    def modes(self) -> int:
        """Number of modes."""
        return self.drive.output_size

    @property
    def modes_name(self) -> str:
        """Name of the stage of the modes."""
        return f"{self.name}.modes"

    @property
    def made_by_stages(self) -> tuple[int, int]:
        """The modes are units beside its own."""
        return self.modes, 0

    def _vectors(self) -> dict[str, FloatArray]:
        """What the modes have beside their drive, by name, (modes,) each."""
        return {name: getattr(self, name) for name in VECTORS}

    def _modes_stage(self, sources: tuple[StageSource, ...], drive: Linear) -> ModesStage:
        """The stage of the modes."""
        own: Any = self._vectors()
        return ModesStage(self.modes_name, sources, {DRIVE: drive}, **own)

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`; the elapsed time has no part in it."""
        factors = np.ones(self.input_size + self.modes)
        factors[: self.input_size] = scale
        drive = self.drive.with_columns(DRIVE, factors[: self.input_size])
        modes = self._modes_stage((before,), drive)
        mix, function, factor = folded(self.mix.with_columns(SUM, factors), self.activation)
        heard = before, StageSource(self.modes_name, self.modes)
        return (modes, DenseStage(self.name, heard, {SUM: mix}, activation=function)), factor

    def with_gates(self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0) -> S4DLayer:
        """See `Layer.with_gates`; what is folded stays folded."""
        return replace(
            self,
            drive=gates[self.modes_name][DRIVE],
            mix=gates[self.name][SUM],
            activation=folded_name(self.activation),
            **vectors.get(self.modes_name, {}),
        )

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        found = [*self.drive.problems(self.name), *self.mix.problems(self.name)]
        if wrong := activation_problem(self.activation):
            found.append(f"{self.name}: {wrong}")
        if found:
            return found
        if self.mix.input_size != self.input_size + self.modes:
            found.append(
                f"{self.name}: mix has {self.mix.input_size} columns, expected those of "
                f"{self.input_size} inputs and {self.modes} modes, {self.input_size + self.modes}"
            )
        for name, vector in self._vectors().items():
            if vector.shape != (self.modes,) or not np.isfinite(vector).all():
                found.append(
                    f"{self.name}.{name} has shape {vector.shape}, expected ({self.modes},) finite"
                )
        return found or self._range_problems()

    def _range_problems(self) -> list[str]:
        low, high = LOG_DECAYS
        wrong = np.flatnonzero((self.log_decay < low) | (self.log_decay > high))
        if not wrong.size:
            return []
        mode = int(wrong[0])
        return [
            f"{self.name}.log_decay is {self.log_decay[mode]:.4g} in mode {mode} and outside of "
            f"{low:g} to {high:g} in {wrong.size} of {self.modes}: a mode forgets "
            f"exp(log_decay) in a sample, more than {np.exp(low):.1g}"
        ]


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class LiquidS4DLayer(S4DLayer):
    """A layer of complex modes that what they hear makes faster or slower, see `LiquidModesStage`.

    Attributes:
        share, direction: float64 (modes,).
    """

    share: FloatArray = field(kw_only=True)
    direction: FloatArray = field(kw_only=True)

    def _vectors(self) -> dict[str, FloatArray]:
        """See `S4DLayer`."""
        return super()._vectors() | {name: getattr(self, name) for name in LIQUID_VECTORS}

    def _modes_stage(self, sources: tuple[StageSource, ...], drive: Linear) -> ModesStage:
        """The stage of the modes."""
        own: Any = self._vectors()
        return LiquidModesStage(self.modes_name, sources, {DRIVE: drive}, **own)

    def _range_problems(self) -> list[str]:
        found = super()._range_problems()
        wrong = np.flatnonzero((self.share < 0.0) | (self.share > LARGEST_SHARE))
        if wrong.size:
            mode = int(wrong[0])
            found.append(
                f"{self.name}.share is {self.share[mode]:.4g} in mode {mode} and outside of 0 to "
                f"{LARGEST_SHARE} in {wrong.size} of {self.modes}; beyond 1 an input could make a "
                "mode grow without end"
            )
        return found
