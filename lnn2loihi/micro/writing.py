"""Who writes programs in C: the executor of that name, which a package may have replaced."""

from __future__ import annotations

from typing import Protocol, cast

from lnn2loihi.errors import PluginError
from lnn2loihi.micro.driver import Goal, Source
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.executor import EXECUTORS

#: The executor that writes programs in C.
WRITER = "c99"


class Writes(Protocol):
    """Writes a program in C."""

    def write(self, program: LoihiProgram, prefix: str, goal: Goal) -> Source:
        """See `CompiledProgram.write`."""
        ...


def writer() -> Writes:
    """What writes programs in C.

    Raises:
        PluginError: the executor of that name is not there, or writes none.
    """
    found = EXECUTORS.get(WRITER)
    if not hasattr(found, "write"):
        raise PluginError(f"executor {WRITER!r}", "writes no C; it is not that of lnn2loihi")
    return cast(Writes, found)
