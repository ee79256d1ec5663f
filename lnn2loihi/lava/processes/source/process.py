"""The input of a program as a Lava process."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess

from lnn2loihi.lava.plan import Plan


class Source(AbstractProcess):
    """Sends sample s of a chunk in the step s * period of the chunk, and zeros in all others.

    Args:
        name: name of the process.
        plan: layout of the run.
        samples: int32 (chunks, time, width * channels).
        progress: int64 (1,) in shared memory; holds the number of steps that have begun.
    """

    def __init__(
        self,
        *,
        name: str,
        plan: Plan,
        samples: npt.NDArray[np.int32],
        progress: npt.NDArray[np.int64],
        **options: Any,
    ) -> None:
        super().__init__(name=name, plan=plan, samples=samples, progress=progress, **options)
        self.s_out = OutPort(shape=(samples.shape[2],))
