"""A delay line on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from lnn2loihi.lava.processes.delay.process import Delay


@implements(proc=Delay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DelayModel(PyLoihiProcessModel):
    """A ring of messages, emptied at the first step of a chunk."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)  # type: ignore
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)  # type: ignore

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.plan = proc_params["plan"]
        self.ring = np.zeros((proc_params["delay"], proc_params["size"]), np.int32)

    def run_spk(self) -> None:
        """Sends the oldest message and puts the one that arrives in its place."""
        _, step = self.plan.at(self.time_step - 1)
        if step == 0:
            self.ring[:] = 0
        place = self.ring[step % len(self.ring)]
        self.s_out.send(place)
        place[:] = self.s_in.recv()
