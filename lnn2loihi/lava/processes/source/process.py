"""The input of a program as a Lava process."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess

from lnn2loihi.lava.plan import LavaPlan


class Source(AbstractProcess):
    """Sends the samples of a chunk in the steps that the schedule says, and zeros in all others.

    Args:
        name: name of the process.
        plan: layout of the run.
        first: step of the first sample, from the beginning of a chunk.
        samples: int32 (chunks, interleave, time, width * channels).
        progress: int64 (1,) in shared memory; holds the number of steps that have begun.
    """

    def __init__(
        self,
        *,
        name: str,
        plan: LavaPlan,
        first: int,
        samples: npt.NDArray[np.int32],
        progress: npt.NDArray[np.int64],
        **options: Any,
    ) -> None:
        super().__init__(
            name=name, plan=plan, first=first, samples=samples, progress=progress, **options
        )
        self.s_out = OutPort(shape=(samples.shape[-1],))
