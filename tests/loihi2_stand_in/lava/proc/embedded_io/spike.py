"""Stands in for the adapters between host and chip of Intel's extension of Lava, on the CPU.

Made from what public programs call them with (shape, num_message_bits; ports inp and out) and from
public output: values of 24 bits, which come back without sign. STAND_IN_FAULT=STEP makes the board
hear 1 more than it should in one step, STAND_IN_LATE=STEPS lets answers arrive later,
STAND_IN_RAISE=1 lets adapters fail when they are made.
"""

import os
from collections import deque

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class _Adapter(AbstractProcess):
    def __init__(self, *, shape, num_message_bits=0):
        super().__init__(shape=shape, num_message_bits=num_message_bits)
        assert num_message_bits == 24, f"{num_message_bits} bits"
        if "STAND_IN_RAISE" in os.environ:
            raise RuntimeError("no board answers")
        self.inp = InPort(shape=shape)
        self.out = OutPort(shape=shape)


class PyToNxAdapter(_Adapter):
    pass


class NxToPyAdapter(_Adapter):
    pass


@implements(proc=PyToNxAdapter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyToNxModel(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self):
        values = self.inp.recv()
        assert np.all((-(1 << 23) <= values) & (values < 1 << 23)), "more than 24 bits"
        if self.time_step - 1 == int(os.environ.get("STAND_IN_FAULT", "-1")):
            values = values + 1
        self.out.send(values)


@implements(proc=NxToPyAdapter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class NxToPyModel(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        late = int(os.environ.get("STAND_IN_LATE", "0"))
        self.waiting = deque([np.zeros(proc_params["shape"], np.int32)] * late)

    def run_spk(self):
        values = self.inp.recv()
        assert np.all((-(1 << 23) <= values) & (values < 1 << 23)), "more than 24 bits"
        self.waiting.append(values & 0xFFFFFF)
        self.out.send(self.waiting.popleft())
