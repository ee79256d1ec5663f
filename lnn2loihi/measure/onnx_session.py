"""onnxruntime as a backend, in float32: the strongest float rival that we know of.

The model is what the exporter `onnx-float` makes: masks and a constant timespan folded into the
weights, one product for all gates of a stage, one Scan over time. A stream runs the same model on
single samples and hands its states back in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.measure.runner import Session
from lnn2loihi.network import FloatArray

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
#: Names of the model's inputs that are no states, and of its answer.
_SAMPLES = ("x", "timespans")
_ANSWER = "y"


class OnnxSession(Session):
    """A float model in onnxruntime.

    Args:
        model: the serialized model.
        device: "cpu" or "cuda".
        threads: threads on the CPU.
        bound: whether a stream keeps its states on the device; always on a GPU.

    Raises:
        BackendMissingError: onnxruntime has fallen back to another device, which it does silently.
    """

    def __init__(
        self, model: bytes, device: str, threads: int | None, bound: bool | None = None
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        wanted = PROVIDERS[device]
        providers = list(dict.fromkeys([wanted, PROVIDERS["cpu"]]))
        self._run = onnxruntime.InferenceSession(model, options, providers=providers)
        if wanted not in self._run.get_providers():
            raise BackendMissingError(
                "onnxruntime", f"has no {wanted} here (its CUDA and cuDNN do not load), and would "
                "run on the CPU instead"
            )  # fmt: skip
        self._device = device
        self._bound = device == "cuda" if bound is None else bound
        inputs = {value.name: value.shape for value in self._run.get_inputs()}
        self._widths = {n: int(s[-1]) for n, s in inputs.items() if n not in _SAMPLES}
        self._wanted = [_ANSWER, *(f"{name}.final" for name in self._widths)]

    def _start(self, batch: int) -> dict[str, Any]:
        return {name: np.zeros((batch, n), np.float32) for name, n in self._widths.items()}

    def prepare(self, x: FloatArray, timespans: FloatArray | None) -> Any:
        """Arrays float32, and states of zeros."""
        feed = {"x": np.ascontiguousarray(x, np.float32), **self._start(len(x))}
        if timespans is not None:
            feed["timespans"] = np.ascontiguousarray(timespans, np.float32)
        return feed

    def run(self, prepared: Any) -> Any:
        """See `Session`; the way to the GPU and back is part of it."""
        return self._run.run([_ANSWER], prepared)[0]

    def outputs(self, answer: Any) -> FloatArray:
        """See `Session`."""
        return np.asarray(answer, np.float64)

    def prepare_steps(self, x: FloatArray, timespans: FloatArray | None) -> Sequence[Any]:
        """Feeds of single samples, float32 (1, 1, inputs) and (1, 1)."""
        feeds = [{"x": sample} for sample in np.ascontiguousarray(x[:, None, None], np.float32)]
        if timespans is not None:
            spans = np.ascontiguousarray(timespans[:, None, None], np.float32)
            feeds = [feed | {"timespans": span} for feed, span in zip(feeds, spans, strict=True)]
        return feeds

    def open_stream(self) -> Callable[[Any], Any]:
        """See `Session`."""
        return self._bound_stream() if self._bound else self._plain_stream()

    def _plain_stream(self) -> Callable[[Any], Any]:
        run, wanted, names = self._run.run, self._wanted, list(self._widths)
        state = self._start(1)

        def step(sample: Any) -> Any:
            answer, *final = run(wanted, {**sample, **state})
            state.update(zip(names, final, strict=True))
            return answer

        return step

    def _bound_stream(self) -> Callable[[Any], Any]:
        """States stay where the model runs; samples and answers travel."""
        session, device = self._run, self._device
        binding = session.io_binding()
        states = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(zeros, device, 0)
            for name, zeros in self._start(1).items()
        }

        def step(sample: Any) -> Any:
            for name, value in sample.items():
                binding.bind_cpu_input(name, value)
            for name, value in states.items():
                binding.bind_ortvalue_input(name, value)
            binding.bind_output(_ANSWER, "cpu")
            for name in states:
                binding.bind_output(f"{name}.final", device, 0)
            session.run_with_iobinding(binding)
            answer, *final = binding.get_outputs()
            states.update(zip(states, final, strict=True))
            return answer.numpy()

        return step
