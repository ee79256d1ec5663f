"""Copies of a program that share cores, as one program: populations several times as large, and
connections within each copy alone.

Populations stay as many, and so do the neuron programs that a core has to hold. Neurons and
channels of a copy follow those of the copy before; its integers are those that it has alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from lnn2loihi.errors import ProgramError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.graph.connection import Connection
from lnn2loihi.placement.activity import Activity
from lnn2loihi.placement.draft import Draft, packed_draft
from lnn2loihi.placement.search import Request
from lnn2loihi.program import InputPort, LoihiProgram, Population

#: Copied programs that are kept: numbers of copies are tried again for each number in all, and a
#: program proves itself anew whenever it is made. They are small, since one core holds them.
KEPT = 32


@lru_cache(maxsize=KEPT)
def copied(program: LoihiProgram, copies: int) -> LoihiProgram:
    """So many copies of a program as one; the program itself for one copy.

    Elapsed times are a channel of each copy, so that it takes them as other channels.
    """
    if copies == 1:
        return program
    return replace(
        program,
        name=f"{copies} copies of {program.name}",
        input=_port(program.input, copies),
        populations=tuple(_population(p, copies) for p in program.populations),
        connections=tuple(_connection(c.unrolled(), copies) for c in program.connections),
        timed=False,
    )


def _port(port: InputPort, copies: int) -> InputPort:
    parts = (port.low, port.high, port.gain, port.offset)
    return InputPort(port.name, port.format, *(np.tile(part, copies) for part in parts))


def _population(population: Population, copies: int) -> Population:
    return replace(
        population,
        parameters={name: np.tile(v, copies) for name, v in population.parameters.items()},
        initial_state={name: np.tile(v, copies) for name, v in population.initial_state.items()},
        size=population.size * copies,
        scale=np.tile(population.scale, copies),
        offset=np.tile(population.offset, copies),
    )


def _connection(connection: Connection, copies: int) -> Connection:
    """Block-diagonal for each accumulator: row g N + i of copy j is row (g copies + j) N + i."""
    fed, starts = len(connection.accumulators), connection.row_starts.astype(np.int64)
    neurons = connection.rows // fed
    lengths = np.diff(starts).reshape(fed, 1, neurons)
    rows = np.broadcast_to(lengths, (fed, copies, neurons)).reshape(-1)
    columns, mantissas = [], []
    for first in range(0, connection.rows, neurons):
        own = slice(starts[first], starts[first + neurons])
        columns.append(_shifted(connection.columns[own], copies, connection.source_size))
        mantissas.append(np.tile(connection.mantissas[own], copies))
    return replace(
        connection,
        row_starts=np.concatenate([[0], np.cumsum(rows)]),
        columns=np.concatenate(columns),
        mantissas=np.concatenate(mantissas),
        source_size=connection.source_size * copies,
    )


def _shifted(columns: IntegerArray, copies: int, size: int) -> IntegerArray:
    return (columns.astype(np.int64) + size * np.arange(copies)[:, None]).reshape(-1)


def block_request(asked: Request, copies: int) -> Request:
    """The request for a block of so many copies, each of which does what the one does that was
    counted.
    """
    if copies == 1:
        return asked
    activity = copied_activity(asked.activity, copies)
    return replace(asked, program=copied(asked.program, copies), activity=activity)


def copied_activity(activity: Activity, copies: int) -> Activity:
    """The activity of so many copies that all do the same."""
    messages = {name: np.tile(sent, copies) for name, sent in activity.messages.items()}
    return replace(activity, messages=messages)


class Blocks:
    """Blocks of what was asked for, each cut once."""

    def __init__(self, asked: Request) -> None:
        self._asked = asked
        self._drafts: dict[int, Draft] = {}
        self._held: dict[int, bool] = {}

    def draft(self, copies: int) -> Draft:
        """A block of so many copies on the fewest cores.

        Raises:
            ProgramError: it is larger than programs may be.
        """
        if copies not in self._drafts:
            block = block_request(self._asked, copies)
            draft = packed_draft(block.program, block.device, block.available, block.activity)
            self._drafts[copies] = draft
        return self._drafts[copies]

    def most_on_a_core(self, most: int) -> int:
        """The most copies, of `most`, that one core has room for, found by trying; 0 where it has
        not even room for one.
        """
        return _largest(most, self._holds)

    def _holds(self, copies: int) -> bool:
        if copies not in self._held:
            self._held[copies] = self._tried(copies)
        return self._held[copies]

    def _tried(self, copies: int) -> bool:
        try:
            draft = self.draft(copies)
        except ProgramError:
            return False
        return draft.cores == 1 and not any(rule.violations(draft) for rule in self._asked.rules)


def _largest(most: int, holds: Callable[[int], bool]) -> int:
    """The largest number of [0, most] that holds, if those below it do too: it is doubled first, so
    that no number that is tried is twice as large as needed.
    """
    least, above = 0, 1
    while above <= most and holds(above):
        least, above = above, 2 * above
    above = min(above, most + 1)
    while above - least > 1:
        middle = (least + above) // 2
        if holds(middle):
            least = middle
        else:
            above = middle
    return least
