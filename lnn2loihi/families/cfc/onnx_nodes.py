"""A CfC as ONNX nodes with one tanh for all gates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lnn2loihi.converters.onnx_write.float_stages import derived_nodes, product
from lnn2loihi.converters.onnx_write.float_trace import Traced, applied
from lnn2loihi.families.cfc.layer import CfCStage


def cfc_nodes(
    stage: CfCStage, z: Traced, memory: Mapping[str, Traced], elapsed: Traced | None
) -> tuple[Traced, Mapping[str, Traced]]:
    """With sigma(x) = (1 + tanh(x / 2)) / 2 one tanh does for all gates: the new state is the mean
    of f1 + f2 and tanh(x / 2) (f2 - f1). onnxruntime has Mean in float32 only.
    """
    if stage.timed or stage.mode != "default" or z.places.dtype != np.float32:
        return derived_nodes(stage, z, memory, elapsed)
    gates = {**stage.gates, "time": stage.gates["time"].scaled("time", outputs=0.5)}
    tanh = product(stage.name, gates, z).apply("Tanh")
    f1, f2, tau = tanh.split([f"{stage.name}.{gate}" for gate in gates])
    return applied("Mean", f1 + f2, tau * (f2 - f1), name=f"{stage.name}.h"), {}
