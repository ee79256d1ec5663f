"""What stages compute, as ONNX nodes.

Every stage is translated by calling its `answer` with traced values (float_trace.py), after one
matrix product for the sums of all its gates. Where something else is faster, its family has it
(`Family.onnx_nodes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from lnn2loihi.converters.onnx_write.float_trace import Traced
from lnn2loihi.converters.onnx_write.sparse import Heard, matrix
from lnn2loihi.errors import InputError
from lnn2loihi.family import override_of, owner
from lnn2loihi.faults import named
from lnn2loihi.layers.linear import Linear
from lnn2loihi.layers.stage import Stage

#: Share of a matrix that a mask has to save: runtimes like plain constants best.
SAVING = 0.33
Memory = Mapping[str, Traced]
Answer = tuple[Traced, Memory]


def stage_nodes(stage: Stage, z: Traced, memory: Memory, elapsed: Traced | None) -> Answer:
    """Adds a stage to a graph.

    Args:
        stage: the stage.
        z: the messages of all its sources side by side.
        memory: each word of `stage.memory`.
        elapsed: time since the sample before; None unless the stage is timed.

    Returns:
        Its message and its new memory; see `Stage.answer`.

    Raises:
        InputError: the stage uses a function that has no translation, or its family's code raises
            anything else.
    """
    own = override_of(type(stage), "onnx_nodes")
    doing = f"{'onnx_nodes' if own else 'answer'}() of stage {stage.name!r} on traced values"
    with named(InputError, partial(owner, type(stage)), doing):
        return (own or derived_nodes)(stage, z, memory, elapsed)


def derived_nodes(stage: Stage, z: Traced, memory: Memory, elapsed: Traced | None) -> Answer:
    """What `Stage.answer` says, as nodes; arguments and answer as of `stage_nodes`."""
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
