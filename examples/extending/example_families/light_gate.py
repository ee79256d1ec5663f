"""A gated cell with a hard tanh: h' = h + sigmoid(gate) (hard_tanh(candidate) - h)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lnn2loihi import extend as lx


@dataclass(frozen=True, eq=False)
class LightGateStage(lx.Stage):
    """The equation, in NumPy: evaluation, training and ONNX are derived from it."""

    family: ClassVar[str] = "light gate"
    memory: ClassVar[tuple[str, ...]] = ("h",)
    logistic: ClassVar[tuple[str, ...]] = ("gate",)

    def answer(self, sums: Any, state: Any, elapsed: Any) -> Any:
        """The message and the new memory."""
        candidate = np.minimum(np.maximum(sums["candidate"], -1.0), 1.0)
        h = state["h"] + lx.sigmoid(sums["gate"]) * (candidate - state["h"])
        return h, {"h": h}


@dataclass(frozen=True, eq=False)
class LightGateLayer(lx.GatedLayer):
    """A layer of such cells: two gates that hear [x; h]."""

    names: ClassVar[tuple[str, ...]] = ("gate", "candidate")

    def stage(self, sources: Any, gates: Mapping[str, lx.Linear]) -> lx.Stage:
        """The one stage."""
        return LightGateStage(self.name, sources, gates)


def light_gate_program(
    rescalings: Sequence[lx.Rescaling], bits: int, activation: str
) -> lx.NeuronProgram:
    """The integers: the state is kept more finely than it is sent."""
    t = lx.Tracer("light gate")
    kept, heard = t.state("h", lx.STATE_BITS), t.state("sent", bits)
    # With tau = tanh(gate / 2), the gate is (1 + tau) / 2.
    tau = lx.ACTIVATIONS[activation].tanh(t, lx.preactivation(t, "gate", rescalings[0]))
    target = lx.within(t, lx.preactivation(t, "candidate", rescalings[1]), lx.VALUE_BITS)
    new = lx.moved(t, kept, target, tau, towards=True)
    t.write(kept, new)
    t.spike(lx.sent(t, new, lx.FRACTION_BITS + lx.GUARD_BITS - (bits - 1), bits)[1], heard)
    return t.program()


class LightGateLowering(lx.StageLowering[LightGateStage]):
    """The formats: units of the sums, and of the state."""

    bounded = True  # no state that begins within (-1, 1) leaves it

    def lower(self, stage: LightGateStage, measured: lx.Measured, recipe: lx.Recipe) -> lx.Lowering:
        """What the neuron program needs to know of this stage."""
        bits, activation = recipe.message_bits, recipe.activation
        return lx.Lowering(
            {"gate": lx.ACTIVATIONS[activation].unit / 2, "candidate": 2.0**lx.FRACTION_BITS},
            self.message_format(stage, measured.largest_answer, recipe),
            lambda rescalings: light_gate_program(rescalings, bits, activation),
            states=("h", "sent"),
            held=dict.fromkeys(stage.gates, lx.LARGEST_WORD),  # flat beyond
            memory_steps={"h": 2.0 ** -(lx.FRACTION_BITS + lx.GUARD_BITS)},
        )


def importer() -> Any:
    """What reads modules and checkpoints; imported when it is asked for."""

    class LightGateImporter(lx.FamilyImporter):
        name, modules = "light_gate", ("LightGate",)
        classes: ClassVar[Mapping[str, str]] = {"example_families.modules.LightGate": "LightGate"}

        def is_checkpoint(self, state: Any) -> bool:
            return any(key.endswith("gates.weight") for key in state)

        def parts(self, state: Any, description: Any) -> Any:
            arrays = lx.Arrays(state, description.prefix)
            weight = arrays.take("gates.weight")
            bias = arrays.take("gates.bias", len(weight), 0)
            arrays.refuse_others("LightGate", description.readout)
            if arrays.problems:
                return None, arrays.problems
            maps = map(lx.Linear, LightGateLayer.names, np.split(weight, 2), np.split(bias, 2))
            return lx.FamilyParts((LightGateLayer("layer_0", tuple(maps)),)), []

    return LightGateImporter()


FAMILY = lx.Family("light_gate", (LightGateLayer,), {LightGateStage: LightGateLowering()}, importer)
