"""Gated linear units, with what goes past them: value * sigmoid(gate) + skip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError, QuantizationError
from lnn2loihi.formats import WORD_BITS
from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State
from lnn2loihi.lowering import LARGEST_WORD, ROUNDING_ROOM, Lowering, Measured, StageLowering
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, NeuronProgram
from lnn2loihi.neurons.operations import (
    LARGEST_GROWN,
    Rescaling,
    preactivation,
    rescaled,
    saturated,
    within,
)
from lnn2loihi.neurons.tracer import Tracer
from lnn2loihi.recipe import Recipe

#: The maps of a layer, and the gates of its stage; the last one may be absent.
VALUE, GATE, SKIP = "value", "gate", "skip"
#: Room of a value beyond its calibrated range, where weights and messages allow more.
HEADROOM = 2.0


@dataclass(frozen=True, eq=False)
class GLUStage(Stage):
    """A value that a gate lets through, and what goes past it."""

    family: ClassVar[str] = "glu"
    calibrated: ClassVar[tuple[str, ...]] = (VALUE,)
    logistic: ClassVar[tuple[str, ...]] = (GATE,)

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The gated value, and the skip where there is one."""
        gated = sums[VALUE] * sigmoid(sums[GATE])
        return (gated + sums[SKIP] if SKIP in self.gates else gated), {}


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class GLULayer(Layer):
    """Each unit answers (value x) * sigmoid(gate x) + skip x, of affine maps of what it hears.

    All maps hear the same columns; weights that are 0 are no synapses. A residual connection is a
    skip that hears the layer before in the columns behind those of the value.

    Attributes:
        name: name in messages and tables.
        value, gate: weight (units, inputs).
        skip: of the same shape; None for none.
    """

    stateless: ClassVar[bool] = True

    name: str
    value: Linear
    gate: Linear
    skip: Linear | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (VALUE, GATE, SKIP):
            linear: Linear | None = getattr(self, name)
            if linear is not None and linear.name != name:
                object.__setattr__(self, name, replace(linear, name=name))

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.value.input_size

    @property
    def units(self) -> int:
        """Number of units."""
        return self.value.output_size

    @property
    def maps(self) -> tuple[Linear, ...]:
        """Its maps in order."""
        return (self.value, self.gate) if self.skip is None else (self.value, self.gate, self.skip)

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`."""
        factors = np.full(self.input_size, scale)
        gates = {one.name: one.with_columns(one.name, factors) for one in self.maps}
        return (GLUStage(self.name, (before,), gates),), 1.0

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        found = [problem for one in self.maps for problem in one.problems(self.name)]
        shapes = {one.name: one.weight.shape for one in self.maps}
        if not found and len(set(shapes.values())) > 1:
            found.append(
                f"{self.name}: the weights differ in shape: {shapes}; all of them hear the same "
                "columns and have as many units"
            )
        return found


def glu_program(
    rescalings: Sequence[Rescaling | int], finer: int, message_bits: int, activation: str
) -> NeuronProgram:
    """A gated unit: with tau = tanh(gate / 2), twice the answer is value + value tau + 2 skip.

    Args:
        rescalings: of value, gate, and skip where there is one; the skip comes in half the units of
            the value.
        finer: bits of twice the value below those of the message; negative where the message is
            finer.
        message_bits: width of the message.
        activation: key of ACTIVATIONS.
    """
    skips = len(rescalings) > 2
    t = Tracer("glu, skip" if skips else "glu")
    value = preactivation(t, VALUE, rescalings[0])
    with t.scope(GATE):
        tau = ACTIVATIONS[activation].tanh(t, preactivation(t, GATE, rescalings[1]))
    total = t.add(value, t.multiply(value, tau, FRACTION_BITS), "gated")
    if skips:
        total = t.add(total, preactivation(t, SKIP, rescalings[2]), "total")
    if finer < 0:
        # What this cuts lies beyond the message, where it is counted.
        total = within(t, total, WORD_BITS + finer, "inside")
    t.spike(saturated(t, rescaled(t, total, finer), message_bits, "message"))
    return t.program()


class GLULowering(StageLowering[GLUStage]):
    """A gated unit: the value as fine as its range allows, the message as calibrated."""

    def unit_sizes(
        self,
        stage: GLUStage,
        answers: Callable[[], FloatArray],
        sums: Callable[[str], FloatArray],
    ) -> tuple[FloatArray, ...]:
        """See `StageLowering`. All units share the shift of their products: one that lets little
        of a large value through gets no bits more.
        """
        return answers(), np.maximum(answers(), sums(VALUE))

    def lower(self, stage: GLUStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message(stage, measured.largest_answer, recipe)
        allowed = ROUNDING_ROOM * measured.reach[VALUE]
        most = np.minimum(HEADROOM * measured.largest_sums[VALUE], allowed)
        most = np.where(most > 0.0, most, allowed)
        most = np.where(most > 0.0, most, 1.0)
        # Twice the value in steps of the message, times 2**finer, is the word.
        room = np.log2(2.0 * LARGEST_OPERAND * measured.message_steps / most)
        finer = int(np.floor(room.min()))
        if finer < message.bits - WORD_BITS:
            unit = int(room.argmin())
            raise QuantizationError(
                f"layer {stage.name!r}",
                f"its gates let through at most {measured.largest_answer:.3g}, of values up to "
                f"{most[unit]:.3g} (unit {unit}), which values of 16 bits do not resolve; "
                "calibrate with data on which gates open",
            )
        # A skip that is as large as the message has to leave room for the value.
        finer = min(finer, WORD_BITS - 2 - message.bits)
        whole = 2.0**finer / measured.message_steps
        unit = ACTIVATIONS[recipe.activation].unit
        units, held = {VALUE: whole / 2.0, GATE: unit / 2.0}, {GATE: LARGEST_WORD}
        if SKIP in stage.gates:
            units[SKIP] = whole
            # Beyond that the message saturates, whatever the value is.
            held[SKIP] = LARGEST_GROWN
        return Lowering(
            units,
            message,
            lambda rescalings: glu_program(
                rescalings, finer, message.bits, recipe.activation
            ),
            operands=(VALUE,),
            held=held,
            scale=measured.message_steps,
        )  # fmt: skip
