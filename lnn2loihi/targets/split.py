"""The targets `split` and `split_one`: neurons with at most two accumulators, or with one.

The neuron programs stay as they are. Their accumulators take turns on the ports of a neuron
(`lnn2loihi.neurons.turns`): synapses that feed those of a later turn delay their messages by as
many steps. No neuron and no synapse is added, nothing is rounded, and answers are those of the
program as it was; an update takes as many steps as there are turns.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np

from lnn2loihi.errors import Problems, ProgramError
from lnn2loihi.graph.connection import LARGEST_DELAY
from lnn2loihi.graph.schedule import derive_schedule, matched_delays
from lnn2loihi.program import AnyConnection, Connection, LoihiProgram, Population
from lnn2loihi.targets.fused import UNPROVED
from lnn2loihi.targets.target import Target

_UNPROVED = (
    "Graded messages through synapses that delay them: public examples with delays send spikes of "
    "one bit.",
    "That a neuron program reads the sums of each step before those of the next one arrive.",
    *UNPROVED,
)


def two_accumulators(program: LoihiProgram) -> LoihiProgram:
    """The same on neurons with at most two accumulators."""
    return with_ports(program, 2)


def one_accumulator(program: LoihiProgram) -> LoihiProgram:
    """The same on neurons with one accumulator."""
    return with_ports(program, 1)


def with_ports(program: LoihiProgram, ports: int) -> LoihiProgram:
    """A program whose neurons have at most so many accumulators; itself where they have no more.

    Args:
        program: any program, with accumulators that take turns or not.
        ports: physical accumulators of a neuron, 1 to LARGEST_PORTS.

    Raises:
        ProgramError: it interleaves sequences, which would meet on the ports, or a path is delayed
            by more steps than axons delay messages by; names them.
    """
    if all(p.turns.width <= ports for p in program.populations):
        return program
    problems = Problems(ProgramError, f"program {program.name!r}")
    if program.schedule.interleave > 1:
        wide = ", ".join(p.name for p in program.populations if p.turns.width > ports)
        problems.add(
            f"{program.schedule.interleave} sequences take turns, and so would the accumulators of "
            f"{wide}, of which {ports} have room at a time; prepare program.interleaved(1), or use "
            "the target split_graph or fused"
        )
        problems.raise_if_any()
    populations = _reordered(program, ports)
    by_name = {p.name: p for p in populations}
    connections = [part for c in program.connections for part in _by_turn(c, by_name[c.target])]
    names = [p.name for p in populations]
    turns = {p.name: p.turns for p in populations if p.ports}
    matched = matched_delays(program.input.name, names, connections, turns)
    others = "split or fused" if ports == 1 else "fused"
    for c in matched:
        if c.delay > LARGEST_DELAY:
            problems.add(
                f"{c.name}: paths beside it take {c.delay} steps more, and messages are delayed by "
                f"at most {LARGEST_DELAY}; use the target {others}, or let {c.target} hear what "
                "comes later"
            )
    problems.raise_if_any()
    schedule = derive_schedule(program.input.name, names, matched, turns=turns)
    return replace(program, populations=populations, connections=matched, schedule=schedule)


def _reordered(program: LoihiProgram, ports: int) -> tuple[Population, ...]:
    """The populations with so many ports, each with its accumulators in the order in which their
    sums can be there: so the first turns pass while the others are still on their way.
    """
    order = [program.input.name, *(p.name for p in program.populations)]
    ready = {program.input.name: 0}
    found = []
    for p in program.populations:
        earliest = dict.fromkeys(p.program.accumulators, 0)
        loops = dict.fromkeys(p.program.accumulators, -1)
        for c in program.incoming(p.name):
            for a in c.accumulators:
                if c.source in ready:
                    earliest[a] = max(earliest[a], ready[c.source])
                else:  # the later in a sample it is sent, the later it can be there for the next
                    loops[a] = max(loops[a], order.index(c.source))
        if p.turns.width > ports:
            sums = sorted(earliest, key=lambda a: (earliest[a], loops[a]))
            p = replace(p, program=replace(p.program, accumulators=tuple(sums)), ports=ports)
        ready[p.name] = 1 + max(earliest[a] + p.turns.leads[a] for a in earliest)
        found.append(p)
    return tuple(found)


def _by_turn(connection: AnyConnection, target: Population) -> list[AnyConnection]:
    """The connection, cut so that each part feeds accumulators of one turn."""
    leads, size = target.turns.leads, target.size
    fed = sorted(enumerate(connection.accumulators), key=lambda item: -leads[item[1]])
    parts = [list(part) for _, part in groupby(fed, key=lambda item: leads[item[1]])]
    if len(parts) < 2:
        return [connection]
    return [
        rows_of(
            connection,
            tuple(a for _, a in part),
            np.concatenate([np.arange(k * size, (k + 1) * size) for k, _ in part]),
        )
        for part in parts
    ]


def rows_of(whole: AnyConnection, accumulators: tuple[str, ...], rows: np.ndarray) -> Connection:
    """The connection with these of its rows only."""
    connection = whole.unrolled()
    starts = connection.row_starts.astype(np.int64)
    lengths = np.diff(starts)[rows]
    ends = np.cumsum(lengths)
    chosen = np.arange(ends[-1]) + np.repeat(starts[rows] - ends + lengths, lengths)
    return replace(
        connection,
        accumulators=accumulators,
        row_starts=np.concatenate([[0], ends]),
        columns=connection.columns[chosen],
        mantissas=connection.mantissas[chosen],
    )


SPLIT = Target("split", passes=(two_accumulators,), exporter="lava", unproved=_UNPROVED)
SPLIT_ONE = Target("split_one", passes=(one_accumulator,), exporter="lava", unproved=_UNPROVED)
