"""Host parts of a converted module that was loaded: ONNX models, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from lnn2loihi.converted.pieces import AnyArray
from lnn2loihi.errors import ArtifactError, BackendMissingError, InputError

#: Types of ONNX that host parts take, and NumPy's names of them.
_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


class OnnxFunction:
    """A host part as an ONNX model: a `lnn2loihi.converted.parts.HostFunction`, without PyTorch.

    Args:
        model: bytes of the model.
        inputs: names of the values that it takes, in the order in which they come; a model may
            lack those that no answer depends on.
        outputs: names of the values that it answers with, in their order.

    Without onnxruntime it can be looked at and saved again, and nothing is known of the bytes.

    Raises:
        ArtifactError: the bytes are no model that onnxruntime can run, or lack one of the names.
    """

    def __init__(self, model: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._model = model
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._session: Any = None
        if find_spec("onnxruntime") is None:
            return
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has errors of many kinds
            raise ArtifactError(
                "host part", f"onnxruntime cannot load its model: {error!s:.300}"
            ) from error
        self._taken = {one.name: one.type for one in self._session.get_inputs()}
        made = {one.name for one in self._session.get_outputs()}
        lacking = [f"takes {name!r}" for name in self._taken if name not in self.inputs]
        lacking += [f"does not answer {name!r}" for name in self.outputs if name not in made]
        lacking += [
            f"takes {name!r} as {kind}, which no array is"
            for name, kind in self._taken.items()
            if kind not in _TYPES
        ]
        if lacking:
            raise ArtifactError("host part", [f"its ONNX model {one}" for one in lacking])

    def __call__(self, arrays: Sequence[AnyArray]) -> list[AnyArray]:
        """The outputs for inputs, floating-point arrays in float32.

        Raises:
            BackendMissingError: onnxruntime is not installed, or was not when this was made.
            InputError: onnxruntime refuses them, for their shapes or values.
        """
        if self._session is None:
            raise BackendMissingError(
                "host part", "onnxruntime is not installed; pip install onnxruntime, and load the "
                "module again"
            )  # fmt: skip
        feed: dict[str, Any] = {}
        for name, array in zip(self.inputs, arrays, strict=True):
            if name in self._taken:
                feed[name] = np.asarray(array, _TYPES[self._taken[name]], order="C")
        try:
            return [np.asarray(one) for one in self._session.run(list(self.outputs), feed)]
        except Exception as error:  # onnxruntime has errors of many kinds
            shapes = ", ".join(f"{name} {np.shape(array)}" for name, array in feed.items())
            raise InputError(
                "host part", f"onnxruntime cannot run it on {shapes}: {error!s:.300}"
            ) from error

    def onnx(self) -> bytes:
        """The model."""
        return self._model
