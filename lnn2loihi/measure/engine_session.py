"""Executors as a backend: the integers of the chip, computed on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lnn2loihi.measure.runner import Session
from lnn2loihi.network import FloatArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.choice import chosen
from lnn2loihi.simulation.result import SimulationResult
from lnn2loihi.simulation.streams import open_stream


class EngineSession(Session):
    """`simulate` and `open_stream`, from samples to decoded outputs.

    Args:
        program: what runs.
        engine: as for `simulate`.
        threads: of those that take them, for whole sequences; streams have one.
    """

    def __init__(self, program: LoihiProgram, engine: str, threads: int | None) -> None:
        self._program, self._threads = program, threads
        self._engine = chosen(program, engine).name

    def prepare(self, x: FloatArray, timespans: FloatArray | None) -> Any:
        """The samples as they are: encoding them is part of the run."""
        return x, timespans

    def run(self, prepared: Any) -> SimulationResult:
        """See `Session`."""
        x, timespans = prepared
        result = simulate(
            self._program, x, self._engine, timespans=timespans, threads=self._threads
        )
        result.outputs  # noqa: B018 (decodes)
        return result

    def outputs(self, answer: Any) -> FloatArray:
        """See `Session`."""
        return answer.outputs if isinstance(answer, SimulationResult) else answer[None, None]

    def prepare_steps(self, x: FloatArray, timespans: FloatArray | None) -> Sequence[Any]:
        """Samples (inputs,) and elapsed times."""
        spans = [None] * len(x) if timespans is None else timespans.tolist()
        return list(zip(x, spans, strict=True))

    def open_stream(self) -> Callable[[Any], Any]:
        """See `Session`."""
        stream = open_stream(self._program, self._engine)
        return lambda sample: stream.step(*sample)
