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

from lnn2loihi.lava.processes.population.process import PORT_NAMES, PORTED, Neurons
from lnn2loihi.simulation.machine import Machine


class _Model(PyLoihiProcessModel):
    """Executes the neuron program on the schedule of its population, in int32."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)  # type: ignore

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.plan = proc_params["plan"]
        self.first_valid = proc_params["first_valid"]
        self.initial = proc_params["initial"]
        self.record = proc_params["record"]
        self.population = proc_params["population"]
        interleave = self.plan.schedule.interleave
        self.machines: Any = [Machine(self.population, self.plan.width) for _ in range(interleave)]
        self.silence = np.zeros(self.plan.width * self.population.size, np.int32)

    def receive(self) -> Any:
        """What has arrived in this step."""
        raise NotImplementedError

    def wait(self, arrived: Any) -> None:
        """Keeps of it what the update needs."""

    def sums(self, arrived: Any) -> Any:
        """The sums of all accumulators, from what has arrived in the step of the update."""
        return arrived

    def run_spk(self) -> None:
        """Receives the sums, updates where the schedule says so, and sends the message."""
        chunk, step = self.plan.at(self.time_step - 1)
        if step == 0:
            for sequence, machine in enumerate(self.machines):
                machine.reset({w: values[chunk, sequence] for w, values in self.initial.items()})
        arrived = self.receive()
        turn = self.plan.turn(step, self.first_valid)
        if turn is None or turn[0] < 0:
            self.wait(arrived)
        if turn is None:
            self.s_out.send(self.silence)
            return
        sample, sequence = turn
        machine = self.machines[sequence]
        if sample >= 0:
            machine.update(self.sums(arrived))
            for word, values in self.record.items():
                values[chunk, sequence, sample] = machine.words[word]
        self.s_out.send(machine.message)


@implements(proc=Neurons, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class NeuronsModel(_Model):
    """With one port for the sums of all accumulators."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)  # type: ignore

    def receive(self) -> Any:
        """The sums of all accumulators."""
        return self.a_in.recv()


class _PortedModel(_Model):
    """With a port for each physical accumulator, on which those of the program take turns."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.turns = self.population.turns
        self.kept: dict[str, Any] = dict.fromkeys(self.turns.kept, self.silence)

    def receive(self) -> list[Any]:
        """The sums of all ports."""
        return [getattr(self, name).recv() for name in PORT_NAMES[: self.turns.width]]

    def wait(self, arrived: list[Any]) -> None:
        """Moves every sum that waits one step on."""
        for accumulator, source in self.turns.moves:
            moved = arrived[source] if isinstance(source, int) else self.kept[source]
            self.kept[accumulator] = moved

    def sums(self, arrived: list[Any]) -> Any:
        """Those of the last turn have just arrived; the others have waited."""
        rows = [
            self.kept[a] if self.turns.leads[a] else arrived[place]
            for a, place in self.turns.places.items()
        ]
        shape = self.plan.width, self.population.size
        return np.stack([row.reshape(shape) for row in rows], axis=1).reshape(-1)


def _ported(process: Any, ports: int) -> Any:
    """The model of the process with so many ports."""
    port = {
        name: LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24) for name in PORT_NAMES[:ports]
    }
    made = type(f"{process.__name__}Model", (_PortedModel,), {**port, "__module__": __name__})
    return tag("fixed_pt")(requires(CPU)(implements(proc=process, protocol=LoihiProtocol)(made)))


# Lava looks for models among the names of a module.
globals().update(
    (f"{process.__name__}Model", _ported(process, ports))
    for ports, process in enumerate(PORTED, start=1)
)
