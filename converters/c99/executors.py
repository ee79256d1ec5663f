"""Programs in C99 as executors: on this machine, and on parts that emulators stand for."""

from __future__ import annotations

from lnn2loihi.converters.c99.source import CSource, Goal, c_source
from lnn2loihi.micro.executors import CortexMC, HostC, RiscVC, WasmC
from lnn2loihi.program import LoihiProgram


class _Written:
    """Writes programs as the exporter does."""

    def write(self, program: LoihiProgram, prefix: str, goal: Goal) -> CSource:
        """See `CompiledProgram`."""
        return c_source(program, prefix, goal)


class Host(_Written, HostC):
    """Entry point `c99` of the group `lnn2loihi.executors`."""


class CortexM(_Written, CortexMC):
    """Entry point `c99:cortex-m@qemu` of the group `lnn2loihi.executors`."""


class RiscV(_Written, RiscVC):
    """Entry point `c99:rv32@qemu` of the group `lnn2loihi.executors`."""


class Wasm(_Written, WasmC):
    """Entry point `c99:wasm` of the group `lnn2loihi.executors`."""
