"""The program as generated C as a backend: its loop over the steps is compiled, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lnn2loihi.measure.runner import Session
from lnn2loihi.micro.loop import CompiledLoop
from lnn2loihi.network import FloatArray
from lnn2loihi.program import LoihiProgram


class GeneratedSession(Session):
    """What `export(program, "net.c")` writes, from samples to decoded outputs.

    Args:
        program: what runs.

    Raises:
        BackendMissingError: there is no compiler, or it fails.
    """

    def __init__(self, program: LoihiProgram) -> None:
        self._loop, self._decode = CompiledLoop(program), program.output_population.decode

    def prepare(self, x: FloatArray, timespans: FloatArray | None) -> FloatArray:
        """The samples with their elapsed times: encoding them is part of the run."""
        if timespans is not None:
            x = np.concatenate([x, timespans[..., None]], axis=-1)
        return np.ascontiguousarray(x, np.float64)

    def run(self, prepared: FloatArray) -> FloatArray:
        """See `Session`; one sequence after the other."""
        loop = self._loop
        return np.stack([self._decode(loop.run(loop.state(), one)) for one in prepared])

    def outputs(self, answer: FloatArray) -> FloatArray:
        """See `Session`."""
        return answer

    def prepare_steps(self, x: FloatArray, timespans: FloatArray | None) -> Sequence[Any]:
        """Samples (1, channels)."""
        spans = None if timespans is None else timespans[None]
        return list(self.prepare(x[None], spans)[0][:, None])

    def open_stream(self) -> Callable[[Any], Any]:
        """See `Session`."""
        loop, state = self._loop, self._loop.state()
        return lambda sample: self._decode(loop.run(state, sample))[None]
