"""A network in onnxruntime, in float32, as `export` writes it: the fastest float form we know."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from lnn2loihi.exporting import export
from lnn2loihi.network import LiquidNetwork


class OnnxFloat:
    """A network in onnxruntime on one thread, with the axes in the order of its loop."""

    def __init__(self, network: LiquidNetwork) -> None:
        model = export(network, "onnx-float", time_first=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def prepare(self, x: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float32]]:
        """Inputs for `run` from (batch, time, inputs)."""
        feed: dict[str, Any] = {
            value.name: np.zeros((x.shape[0], value.shape[1]), np.float32)
            for value in self._session.get_inputs()
            if value.name != "x"
        }
        feed["x"] = np.ascontiguousarray(x.swapaxes(0, 1), np.float32)
        return feed

    def run(self, feed: dict[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Outputs (time, batch, outputs)."""
        return np.asarray(self._session.run(["y"], feed)[0])
