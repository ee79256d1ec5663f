"""Exports a program as a graph of Lava processes.

The graph runs in Lava's own way::

    graph = LavaExporter().export(program, x=x)
    graph.input.run(condition=RunSteps(num_steps=graph.steps), run_cfg=graph.run_config())
    graph.input.stop()
    states = graph.recorded()

`lnn2loihi.lava.run_lava` does the same and cannot hang; both use one builder.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.errors import InputError
from lnn2loihi.kinds import Count
from lnn2loihi.lava.graph import LavaGraph, build_graph
from lnn2loihi.lava.shim import choose_fork, require_lava
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import State, encode, full_initial_state, held

#: Most numbers of an input that is made here (a limit of this library: 2 GiB).
LARGEST_INPUT = 1 << 28


class LavaExporter:
    """Entry point `lava` of the group `lnn2loihi.exporters`; it writes no files."""

    suffixes: tuple[str, ...] = ()

    def accepts(self, source: object) -> bool:
        """Whether it is a program."""
        return isinstance(source, LoihiProgram)

    def to_bytes(self, made: LavaGraph) -> bytes:
        """A graph of processes is no file.

        Raises:
            InputError: always.
        """
        raise InputError("format 'lava'", 'writes no file: export(program, "lava")')

    @checks_kinds()
    def export(
        self,
        source: LoihiProgram,
        *,
        x: npt.ArrayLike | None = None,
        timespans: npt.ArrayLike | None = None,
        batch: Count = 1,
        samples: Count = 1,
        initial_state: State | None = None,
    ) -> LavaGraph:
        """Builds the process graph, for one sequence or many.

        Args:
            source: what the graph executes.
            x: samples (batch, time, inputs), as for `simulate`; zeros where absent.
            timespans: elapsed times, as for `simulate`; zeros where x is absent.
            batch: number of sequences, where x is absent.
            samples: samples of each, where x is absent.
            initial_state: as for `simulate`.

        Returns:
            The graph: `.processes`, `.input`, `.populations`, `.run_config()`, `.recorded()`.

        Raises:
            InputError: x, a size or a state does not fit.
            BackendMissingError: Lava is not installed.
            LavaRunError: Lava cannot express a connection; or this process cannot start Lava's
                own processes (it is daemonic, or another start method than fork was chosen).
        """
        if x is None:
            if timespans is not None:
                raise InputError("timespans", "are those of x: give both, or neither")
            if batch * samples * source.channels > LARGEST_INPUT:
                raise InputError(
                    "export",
                    f"batch {batch} times samples {samples} times {source.channels} inputs are "
                    f"more than {LARGEST_INPUT:,} numbers; give fewer",
                )
            x = np.zeros((batch, samples, source.channels), np.int64)
            timespans = np.zeros((batch, samples)) if source.timed else None
        inputs = held(source, encode(source, x, timespans)[0])
        start = full_initial_state(source, inputs.shape[0], initial_state)
        require_lava()
        choose_fork()
        return build_graph(source, inputs, start)
