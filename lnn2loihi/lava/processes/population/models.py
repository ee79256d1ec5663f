"""A population on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from lnn2loihi.lava.processes.population.process import Neurons
from lnn2loihi.simulate.machine import Machine


@implements(proc=Neurons, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class NeuronsModel(PyLoihiProcessModel):
    """Executes the neuron program on the schedule of its population, in int32."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)  # type: ignore
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)  # type: ignore

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.plan = proc_params["plan"]
        self.first_valid = proc_params["first_valid"]
        self.initial = proc_params["initial"]
        self.record = proc_params["record"]
        self.machine: Any = Machine(proc_params["population"], self.plan.width)

    def run_spk(self) -> None:
        """Receives the sums, updates where the schedule says so, and sends the message."""
        chunk, step = self.plan.at(self.time_step - 1)
        if step == 0:
            self.machine.reset({word: values[chunk] for word, values in self.initial.items()})
        sums = self.a_in.recv()
        sample, off_phase = divmod(step - self.first_valid, self.plan.period)
        if sample >= 0 and not off_phase:
            self.machine.update(sums)
            if sample < self.plan.time:
                for word, values in self.record.items():
                    values[chunk, sample] = self.machine.words[word]
        self.s_out.send(self.machine.message)
