"""Programs in C99 as executors: on this machine, and on parts that emulators stand for."""

from __future__ import annotations

import weakref

from lnn2loihi.converters.c99.source import CSource, Goal, c_source
from lnn2loihi.micro.executors import CortexMC, HostC, RiscVC, WasmC
from lnn2loihi.program import LoihiProgram

#: Texts of programs that are alive, by identity: large ones take a while to write.
_sources: dict[int, dict[tuple[str, Goal], CSource]] = {}


class _Written:
    """Writes programs as the exporter does."""

    def write(self, program: LoihiProgram, prefix: str, goal: Goal) -> CSource:
        """See `CompiledProgram`.

        Raises:
            ProgramError: the program is too large to be listed.
        """
        known = _sources.get(id(program))
        if known is None:
            known = _sources.setdefault(id(program), {})
            weakref.finalize(program, _sources.pop, id(program), None)
        if (prefix, goal) not in known:
            known[prefix, goal] = c_source(program, prefix, goal)
        return known[prefix, goal]


class Host(_Written, HostC):
    """Entry point `c99` of the group `lnn2loihi.executors`."""


class CortexM(_Written, CortexMC):
    """Entry point `c99:cortex-m@qemu` of the group `lnn2loihi.executors`."""


class RiscV(_Written, RiscVC):
    """Entry point `c99:rv32@qemu` of the group `lnn2loihi.executors`."""


class Wasm(_Written, WasmC):
    """Entry point `c99:wasm` of the group `lnn2loihi.executors`."""
