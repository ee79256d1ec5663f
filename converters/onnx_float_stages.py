"""What stages compute, as ONNX nodes.

Every stage is translated by calling its `answer` with traced values (onnx_float_trace), after one
matrix product for the sums of all its gates. Only where that cannot be, or where there is something
faster, a function here is registered for its class:

    @stage_nodes.register
    def _(stage: MyStage, z, memory, elapsed): ...
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch

import numpy as np

from lnn2loihi.converters.onnx_float_trace import Traced, applied
from lnn2loihi.converters.onnx_sparse import Heard, matrix
from lnn2loihi.layers.cfc import CfCStage
from lnn2loihi.layers.linear import Linear
from lnn2loihi.layers.stage import Stage

#: Share of a matrix that a mask has to save: runtimes like plain constants best.
SAVING = 0.33
Memory = Mapping[str, Traced]
Answer = tuple[Traced, Memory]


@singledispatch
def stage_nodes(stage: Stage, z: Traced, memory: Memory, elapsed: Traced | None) -> Answer:
    """Adds a stage to a graph.

    Args:
        stage: the stage.
        z: the messages of all its sources side by side.
        memory: each word of `stage.memory`.
        elapsed: time since the sample before; None unless the stage is timed.

    Returns:
        Its message and its new memory; see `Stage.answer`.
    """
    if type(stage).sums is not Stage.sums:
        sums = stage.sums(z)  # pyright: ignore[reportArgumentType]
    else:
        names = [f"{stage.name}.{gate}" for gate in stage.gates]
        parts = product(stage.name, stage.gates, z).split(names)
        sums = dict(zip(stage.gates, parts, strict=True))
    return stage.answer(sums, memory, elapsed)  # pyright: ignore


def product(name: str, gates: Mapping[str, Linear], z: Traced) -> Traced:
    """The sums of gates side by side: one matrix product."""
    places = z.places
    weights = np.stack([linear.weight for linear in gates.values()]).astype(places.dtype)
    bias = np.concatenate([linear.bias for linear in gates.values()])
    stored = matrix(places.graph(z.inside), Heard.of_dense(f"{name}.weights", weights), SAVING)
    return z.apply("Gemm", Traced(places, stored, z.inside), bias, name=f"{name}.sums")


@stage_nodes.register
def _(stage: CfCStage, z: Traced, memory: Memory, elapsed: Traced | None) -> Answer:
    """With sigma(x) = (1 + tanh(x / 2)) / 2 one tanh does for all gates: the new state is the mean
    of f1 + f2 and tanh(x / 2) (f2 - f1). onnxruntime has Mean in float32 only.
    """
    plain = stage_nodes.dispatch(Stage)
    if stage.timed or stage.mode != "default" or z.places.dtype != np.float32:
        return plain(stage, z, memory, elapsed)
    gates = {**stage.gates, "time": stage.gates["time"].scaled("time", outputs=0.5)}
    tanh = product(stage.name, gates, z).apply("Tanh")
    f1, f2, tau = tanh.split([f"{stage.name}.{gate}" for gate in gates])
    return applied("Mean", f1 + f2, tau * (f2 - f1), name=f"{stage.name}.h"), {}
