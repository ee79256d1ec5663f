"""The input of a program on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from lnn2loihi.lava.processes.source.process import Source


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SourceModel(PyLoihiProcessModel):
    """Sends samples from an array that the worker inherited."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)  # type: ignore

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.plan = proc_params["plan"]
        self.samples = proc_params["samples"]
        self.progress = proc_params["progress"]
        self.first = proc_params["first"]
        self.nothing = np.zeros(self.samples.shape[-1], np.int32)

    def run_spk(self) -> None:
        """Sends what belongs to this step."""
        self.progress[0] = self.time_step
        chunk, step = self.plan.at(self.time_step - 1)
        turn = self.plan.turn(step, self.first)
        if turn is None or turn[0] < 0:
            self.s_out.send(self.nothing)
            return
        sample, sequence = turn
        self.s_out.send(self.samples[chunk, sequence, sample])
