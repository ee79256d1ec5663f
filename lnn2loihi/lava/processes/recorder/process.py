"""What writes down messages of others, as a Lava process, and on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Recorder(AbstractProcess):
    """Writes down what arrives on each of its ports, step by step; it sends nothing.

    Lava's own sinks hand their content over value by value, and can be asked only while all
    workers live; this one shares memory with the process that reads it.

    Args:
        name: name of the process.
        records: for each port int32 (steps, size), in shared memory.
        progress: int64 (1,) in shared memory; holds the number of steps that have begun.
    """

    def __init__(
        self,
        *,
        name: str,
        records: Mapping[str, npt.NDArray[np.int32]],
        progress: npt.NDArray[np.int64],
        **options: Any,
    ) -> None:
        super().__init__(name=name, records=records, progress=progress, **options)
        for port, record in records.items():
            setattr(self, port, InPort(shape=(record.shape[1],)))


class _Model(PyLoihiProcessModel):
    """Writes into arrays that the worker inherited."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.records = proc_params["records"]
        self.progress = proc_params["progress"]

    def run_spk(self) -> None:
        """Writes down one step."""
        self.progress[0] = self.time_step
        for port, record in self.records.items():
            record[self.time_step - 1] = getattr(self, port).recv()


def port_names(ports: int) -> tuple[str, ...]:
    """Names of the ports of a recorder that has so many."""
    return tuple(f"a_in_{port}" for port in range(ports))


@cache
def recorder_class(ports: int) -> type[Recorder]:
    """The process with so many ports, and its model: Lava wants every port of a model in its
    process, and finds models among the names of the module that the process is of.
    """
    members = {
        name: LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24) for name in port_names(ports)
    }
    process = type(f"{Recorder.__name__}{ports}", (Recorder,), {"__module__": __name__})
    name = f"{process.__name__}Model"
    model = type(name, (_Model,), {**members, "__module__": __name__})
    model = requires(CPU)(implements(proc=process, protocol=LoihiProtocol)(model))
    globals()[name] = tag("fixed_pt")(model)
    return process
