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
from lnn2loihi.simulation.machine import Machine


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
        population = proc_params["population"]
        interleave = self.plan.schedule.interleave
        self.machines: Any = [Machine(population, self.plan.width) for _ in range(interleave)]
        self.silence = np.zeros(self.plan.width * population.size, np.int32)

    def run_spk(self) -> None:
        """Receives the sums, updates where the schedule says so, and sends the message."""
        chunk, step = self.plan.at(self.time_step - 1)
        if step == 0:
            for sequence, machine in enumerate(self.machines):
                machine.reset({w: values[chunk, sequence] for w, values in self.initial.items()})
        sums = self.a_in.recv()
        turn = self.plan.turn(step, self.first_valid)
        if turn is None:
            self.s_out.send(self.silence)
            return
        sample, sequence = turn
        machine = self.machines[sequence]
        if sample >= 0:
            machine.update(sums)
            for word, values in self.record.items():
                values[chunk, sequence, sample] = machine.words[word]
        self.s_out.send(machine.message)
