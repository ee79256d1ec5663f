"""One endless sequence on the C engine, a call for each sample."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.simulation.native.job import Job, address_of
from lnn2loihi.simulation.result import SaturationCounts

#: Scratch of the engine begins at a multiple of so many bytes (see `carve` of source/types.h).
ALIGNMENT = 64


class _StreamStructure(ctypes.Structure):
    """stream_t."""

    _fields_ = [
        ("run", ctypes.c_void_p), ("scratch", ctypes.c_void_p),
        ("updates", ctypes.c_int64), ("done", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("scale", "offset", "decoded", "single")),
    ]  # fmt: skip


class NativeStream:
    """One endless sequence on arrays that are bound once; not for several threads.

    Args:
        job: of one sequence and one step, float64 or int32.
        library: the compiled engine.
        updates: of a sample.
        scale: of the decoder, float64 (outputs,), contiguous.
        offset: likewise; None where nothing is added.
    """

    def __init__(
        self,
        job: Job,
        library: ctypes.CDLL,
        updates: int,
        scale: npt.NDArray[np.float64],
        offset: npt.NDArray[np.float64] | None,
    ) -> None:
        self._job, self._library = job, library
        #: The messages of the last answer, int32 (outputs,); overwritten by the next step.
        self.messages = job.outputs[0, 0]
        self._sample, self._values = job.x[0, 0], job.x[0, 0, :-1]
        self._decoded = np.empty(self.messages.shape, np.float64)
        # They live as long as the structure, which has their addresses.
        self._codec = np.ascontiguousarray(scale), offset
        self._structure = _StreamStructure(
            run=job.address, updates=updates, scale=address_of(self._codec[0]),
            offset=None if offset is None else address_of(offset),
            decoded=address_of(self._decoded),
        )  # fmt: skip
        self._address = ctypes.addressof(self._structure)
        self._step, self._read = library.stream_step, library.stream_read
        self._begin()

    def _begin(self) -> None:
        """Goes on from the states of the job, with counts of 0."""
        job = self._job
        job.counts[:] = 0
        for bound in job.populations:
            bound.saturated[:] = 0
        size = self._library.stream_bytes(job.address)
        self._scratch = np.zeros(size + ALIGNMENT, np.uint8)
        begin = address_of(self._scratch)
        self._structure.scratch = begin + -begin % ALIGNMENT
        self._library.stream_start(self._address)

    def start(self, state: Mapping[str, Mapping[str, npt.NDArray[Any]]]) -> None:
        """Goes on from a state, for each population and word (1, neurons), with counts of 0."""
        for bound in self._job.populations:
            for place, word in enumerate(bound.template.words):
                bound.final[place] = state[bound.name][word]
        self._begin()

    @property
    def state(self) -> dict[str, dict[str, npt.NDArray[np.int32]]]:
        """For each population and state word int32 (1, neurons): the state now."""
        self._read(self._address)
        return {
            bound.name: dict(zip(bound.template.words, bound.final.copy(), strict=False))
            for bound in self._job.populations
        }

    @property
    def saturated(self) -> IntegerArray:
        """Input values of each channel outside the calibrated range in all steps, int64."""
        self._read(self._address)
        return self._job.counts[0].copy()

    @property
    def saturated_words(self) -> SaturationCounts:
        """Updates in which words saturated, in all steps."""
        self._read(self._address)
        return self._job.saturated_words()

    def step(self, sample: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """The messages of the output population after all updates for a sample, int32 (outputs,);
        overwritten by the next step.

        Args:
            sample: float64 (channels,), finite; or int32, where the stream is encoded.
        """
        self._sample[:] = sample
        self._step(self._address)
        return self.messages

    def answer(self, sample: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
        """The decoded answer to a sample, float64 (outputs,); see `step`. None, and nothing has
        happened, if a value is NaN or infinite.
        """
        self._sample[:] = sample
        if self._step(self._address):
            return None
        return self._decoded.copy()

    def timed_answer(
        self, values: npt.NDArray[Any], elapsed: float
    ) -> npt.NDArray[np.float64] | None:
        """The same to a sample whose last channel is the elapsed time."""
        self._values[:] = values
        self._sample[-1] = elapsed
        if self._step(self._address):
            return None
        return self._decoded.copy()
