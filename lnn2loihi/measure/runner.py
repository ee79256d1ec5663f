"""Who can be measured: backends behind one face."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import as_array
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.measure.agreement import Truth
from lnn2loihi.measure.meter import Kind
from lnn2loihi.network import FloatArray

#: What a backend's loop over the steps is, where it is one of Python.
PYTHON = "Python"


class Session(ABC):
    """A backend that is ready to run.

    What `prepare` and `prepare_steps` return is what a caller would hold who uses this backend:
    arrays or tensors on the host, in the backend's own precision. `run` and `step` are timed, and
    return when their answers are on the host.
    """

    @abstractmethod
    def prepare(self, x: FloatArray, timespans: FloatArray | None) -> Any:
        """What `run` takes.

        Args:
            x: float64 (batch, time, inputs).
            timespans: elapsed times (batch, time), where time is irregular.
        """

    @abstractmethod
    def run(self, prepared: Any) -> Any:
        """Answers whole sequences, from the initial state."""

    @abstractmethod
    def outputs(self, answer: Any) -> FloatArray:
        """The answer of `run`, or of a step, as float64 (batch, time, outputs)."""

    @abstractmethod
    def prepare_steps(self, x: FloatArray, timespans: FloatArray | None) -> Sequence[Any]:
        """What steps take, one for each sample of one sequence.

        Args:
            x: float64 (time, inputs).
            timespans: elapsed times (time,), where time is irregular.
        """

    @abstractmethod
    def open_stream(self) -> Callable[[Any], Any]:
        """A function that answers one sample after the other, with the state carried."""

    def activate(self) -> None:  # noqa: B027 (few have settings)
        """Makes its settings (threads) those of the process, before it runs."""

    def close(self) -> None:  # noqa: B027 (few hold anything)
        """Frees what it holds."""


@dataclass(frozen=True)
class Runner:
    """A backend that can be measured.

    Attributes:
        name: its name in tables, with device and threads.
        kind: `cpu` or `cuda`.
        device: the processor's own name.
        backend: what runs, in words.
        precision: of weights and messages.
        threads: threads that it is given; None on a GPU, and where it takes what it likes.
        output_size: outputs of a step.
        open: makes it ready; may raise anything.
        streams: whether it is measured step by step too.
        sequences: whether it is measured on one long sequence too, because its loop over the steps
            is compiled, and answers are in the host's memory as soon as they are computed.
        batches: whether it is measured on sequences side by side.
        loop: what its loop over the steps of a sequence is: PYTHON, what else compiles it, or
            nothing where nobody knows.
        versions: versions of what runs.
        notes: what a reader should know.
        missing: why it cannot run here, and how to mend that; empty where it can.
        truth: what it should answer; None where nobody knows.
    """

    name: str
    kind: Kind
    device: str
    backend: str
    precision: str
    threads: int | None
    output_size: int
    open: Callable[[], Session]
    streams: bool = True
    sequences: bool = False
    batches: bool = True
    loop: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    missing: str = ""
    truth: Truth | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", read_only_mapping(self.versions))

    def outputs(self, x: npt.ArrayLike, timespans: npt.ArrayLike | None = None) -> FloatArray:
        """What it answers, float64 (batch, time, outputs).

        Args:
            x: float (batch, time, inputs).
            timespans: elapsed times (batch, time), where time is irregular.

        Raises:
            BackendMissingError: it is missing. A backend that fails raises its own error.
        """
        if self.missing:
            raise BackendMissingError(self.name, self.missing)
        session = self.open()
        try:
            session.activate()
            elapsed = None
            if timespans is not None:
                elapsed = as_array(timespans, self.name, "timespans").astype(np.float64)
            values = as_array(x, self.name, "x").astype(np.float64)
            return session.outputs(session.run(session.prepare(values, elapsed)))
        finally:
            session.close()


def missing_runner(name: str, kind: Kind, backend: str, reason: str) -> Runner:
    """A named row for a backend that is not there."""

    def refuse() -> NoReturn:
        raise BackendMissingError(name, reason)

    return Runner(name, kind, "", backend, "", None, 0, refuse, missing=reason)
