"""A coupled oscillator with two state words and two trained vectors (coRNN, Rusch and Mishra 2021,
arXiv:2010.00951), one explicit step for each sample::

    z' = z + step (tanh(drive [x; y]) - stiffness y - damping z)    y' = y + step z'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from lnn2loihi import extend as lx

#: Width of position and speed, of the vectors, and their fraction bits.
WIDTH, VECTOR_BITS = 16, 8


@dataclass(frozen=True, eq=False)
class OscillatorStage(lx.Stage):
    """Position y and speed z; others hear the position."""

    family: ClassVar[str] = "oscillator"
    memory: ClassVar[tuple[str, ...]] = ("z", "y")
    vectors: ClassVar[tuple[str, ...]] = ("stiffness", "damping")

    stiffness: lx.FloatArray
    damping: lx.FloatArray
    step: float

    def state_name(self, word: str) -> str:
        """The position has the name of the layer, the speed one beside it."""
        return self.name if word == "y" else f"{self.name}.{word}"

    def answer(self, sums: Any, state: Any, elapsed: Any) -> Any:
        """The message and the new memory."""
        force = np.tanh(sums["drive"]) - self.stiffness * state["y"] - self.damping * state["z"]
        z = state["z"] + self.step * force
        y = state["y"] + self.step * z
        return y, {"z": z, "y": y}


@dataclass(frozen=True, eq=False)
class OscillatorLayer(lx.Layer):
    """A layer of oscillators, which hears its own positions."""

    drive: lx.Linear
    stiffness: lx.FloatArray
    damping: lx.FloatArray
    step: float

    @property
    def units(self) -> int:
        """Number of oscillators."""
        return self.drive.output_size

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.drive.input_size - self.units

    def stages(self, before: lx.StageSource, timespan: float | None, scale: float) -> Any:
        """One stage; the factor of what comes before goes into the weights."""
        factors = np.ones(self.drive.input_size)
        factors[: before.columns] = scale
        sources = before, lx.StageSource(self.name, self.units, previous=True)
        gates = {"drive": self.drive.with_columns("drive", factors)}
        own = self.stiffness, self.damping, self.step
        return (OscillatorStage(self.name, sources, gates, *own),), 1.0

    def problems(self) -> list[str]:
        """Everything that is wrong with the arrays."""
        found = self.drive.problems(self.name)
        for part in ("stiffness", "damping"):
            if not found and getattr(self, part).shape != (self.units,):
                found.append(
                    f"{self.name}.{part} has shape {getattr(self, part).shape}, expected "
                    f"({self.units},)"
                )
        return found


def oscillator_program(
    rescalings: Sequence[lx.Rescaling], message: lx.FixedPoint, activation: str,
    fraction_bits: int, step: float,
) -> lx.NeuronProgram:  # fmt: skip
    """Position and speed share a format; both saturate, and what they lose is counted."""
    t = lx.Tracer("oscillator")
    y, z = t.state("y", WIDTH), t.state("z", WIDTH)
    sent = t.state("sent", message.bits)
    force = lx.ACTIVATIONS[activation].tanh(t, lx.preactivation(t, "drive", rescalings[0]))
    force = lx.rescaled(t, force, lx.FRACTION_BITS - fraction_bits)
    pull = t.add(
        t.multiply(t.parameter("stiffness", 12), y, VECTOR_BITS),
        t.multiply(t.parameter("damping", 12), z, VECTOR_BITS),
    )
    way = lx.saturated(t, t.subtract(force, pull), WIDTH, "force")
    factor = round(step * 2**14)
    speed = lx.saturated(t, t.add(z, t.multiply(way, factor, 14)), WIDTH, "z")
    position = lx.saturated(t, t.add(y, t.multiply(speed, factor, 14)), WIDTH, "y")
    t.write(z, speed)
    t.write(y, position)
    shift = fraction_bits - message.fraction_bits
    t.spike(lx.saturated(t, lx.rescaled(t, position, shift), message.bits, "message"), sent)
    return t.program()


class OscillatorLowering(lx.StageLowering[OscillatorStage]):
    """The format of both states covers twice what was calibrated."""

    def lower(
        self, stage: OscillatorStage, measured: lx.Measured, recipe: lx.Recipe
    ) -> lx.Lowering:
        """What the neuron program needs to know of this stage."""
        message = self.message(stage, measured.largest_answer, recipe)
        largest = max(float(values.max()) for values in measured.largest_memory.values())
        covering = lx.FixedPoint.covering(WIDTH, max(2.0 * largest, 2.0))
        bits = min(covering.fraction_bits, lx.FRACTION_BITS)
        return lx.Lowering(
            {"drive": lx.ACTIVATIONS[recipe.activation].unit},
            message,
            lambda rescalings: oscillator_program(
                rescalings, message, recipe.activation, bits, stage.step
            ),
            states=("y", "z", "sent"),
            held={"drive": lx.LARGEST_WORD},
            memory_steps={"y": 2.0**-bits, "z": 2.0**-bits},
            parameters={
                name: np.floor(getattr(stage, name) * 2.0**VECTOR_BITS + 0.5).astype(np.int64)
                for name in stage.vectors
            },
        )


def importer() -> Any:
    """What reads modules and checkpoints; imported when it is asked for."""

    @dataclass(frozen=True, kw_only=True)
    class OscillatorDescription(lx.RecurrentDescription):
        step: float = lx.number(default=0.25)  # not in the arrays

    class OscillatorImporter(lx.FamilyImporter):
        name, modules = "oscillator", ("Oscillator",)
        classes: ClassVar[Mapping[str, str]] = {"example_families.modules.Oscillator": "Oscillator"}
        description = OscillatorDescription

        def describe(self, source: Any) -> Any:
            found, refused = super().describe(source)
            if found is None:
                return None, refused
            return replace(found, step=source.step), refused

        def is_checkpoint(self, state: Any) -> bool:
            return any(key.endswith("stiffness") for key in state)

        def parts(self, state: Any, description: Any) -> Any:
            arrays = lx.Arrays(state, description.prefix)
            weight = arrays.take("drive.weight")
            units = len(weight)
            vectors = [arrays.take(key, units, 0) for key in ("stiffness", "damping")]
            drive = lx.Linear("drive", weight, arrays.take("drive.bias", units, 0))
            arrays.refuse_others("Oscillator", description.readout)
            if arrays.problems:
                return None, arrays.problems
            layer = OscillatorLayer("layer_0", drive, *vectors, step=description.step)
            return lx.FamilyParts((layer,)), []

    return OscillatorImporter()


FAMILY = lx.Family(
    "oscillator", (OscillatorLayer,), {OscillatorStage: OscillatorLowering()}, importer
)
