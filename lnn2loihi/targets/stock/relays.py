"""Delays as neurons that relay: a pass, after which no connection has a delay.

A message that has to wait goes from relay to relay, one a step: populations of thresholds of 0,
which send what they hear, as the board's own processes have no delays of several steps. Relays of
one source are shared by all that hear it later, and relay what of it is heard later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lnn2loihi.formats import FixedPoint, IntegerArray, bits_needed
from lnn2loihi.graph.schedule import derive_schedule
from lnn2loihi.neurons.stock import IN, SENT, StockNeuron, stock_neuron
from lnn2loihi.program import Connection, LoihiProgram, Population


@dataclass(frozen=True, eq=False)
class _Relay:
    """A relay, and which of the source's neurons it relays, in order."""

    name: str
    columns: IntegerArray


def relayed(program: LoihiProgram) -> LoihiProgram:
    """The same without delays; itself where there are none."""
    if not any(c.delay for c in program.connections):
        return program
    sources = {program.input.name: program.input.size}
    sources |= {p.name: p.size for p in program.populations}
    chains = {name: _chain(program, name, sources) for name in sources}
    order: list[tuple[str, Population | None]] = []
    for name in sources:
        own = None if name == program.input.name else program.population(name)
        order += [(name, own), *((relay.name, None) for relay in chains[name])]
    wired = [_undelayed(c.unrolled(), chains[c.source]) for c in program.connections]
    for name, chain in chains.items():
        wired += _links(name, sources[name], chain)
    places = {name: place for place, (name, _) in enumerate(order)}
    looped = {c.source for c in wired if places[c.source] >= places[c.target]}
    relays = {
        relay.name: (program, name, relay) for name, chain in chains.items() for relay in chain
    }
    populations = tuple(
        _settled(own, name in looped)
        if own is not None
        else _relay(*relays[name], looped=name in looped)
        for name, own in order
        if name != program.input.name
    )
    names = [p.name for p in populations]
    interleave = program.schedule.interleave
    schedule = derive_schedule(program.input.name, names, wired, interleave)
    return replace(program, populations=populations, connections=tuple(wired), schedule=schedule)


def _chain(program: LoihiProgram, source: str, taken: dict[str, int]) -> list[_Relay]:
    """The relays of a source, the first one first."""
    waiting = [c for c in program.connections if c.source == source and c.delay]
    chain = []
    for steps in range(1, max((c.delay for c in waiting), default=0) + 1):
        columns = np.unique(np.concatenate([c.columns for c in waiting if c.delay >= steps]))
        name = f"{source}.relay{steps}"
        while name in taken:
            name += "_"
        chain.append(_Relay(name, columns.astype(np.int64)))
    return chain


def _undelayed(connection: Connection, chain: list[_Relay]) -> Connection:
    """A connection from the relay that sends when its message is due."""
    if not connection.delay:
        return connection
    relay = chain[connection.delay - 1]
    return replace(
        connection,
        source=relay.name,
        columns=np.searchsorted(relay.columns, connection.columns),
        source_size=relay.columns.size,
        delay=0,
    )


def _links(source: str, size: int, chain: list[_Relay]) -> list[Connection]:
    """What the relays of a source hear."""
    found, before, known = [], source, np.arange(size)
    for relay in chain:
        count = relay.columns.size
        found.append(
            Connection(
                before, relay.name, (IN,), np.arange(count + 1),
                np.searchsorted(known, relay.columns), np.ones(count, np.int64),
                source_size=known.size,
            )
        )  # fmt: skip
        before, known = relay.name, relay.columns
    return found


def _settled(population: Population, looped: bool) -> Population:
    """The population, with a word of what it has sent only where it sends into a loop."""
    neuron = stock_neuron(population.program)
    if neuron is None or neuron.looped == looped:
        return population
    neuron = replace(neuron, looped=looped, message_bits=population.message.bits)
    state = {SENT: np.zeros(population.size, np.int64)} if looped else {}
    return replace(population, program=neuron.program(), initial_state=state)


def _relay(program: LoihiProgram, source: str, relay: _Relay, *, looped: bool) -> Population:
    """The neurons of a relay."""
    count, before = relay.columns.size, np.zeros(relay.columns.size, np.int64)
    if source == program.input.name:
        port = program.input
        low, high = int(port.low[relay.columns].min()), int(port.high[relay.columns].max())
    else:
        own = program.population(source)
        low, high = own.message_low, own.message_high
        before = own.initial_message[relay.columns]
    low, high = min(low, 0), max(high, 0)
    bits = bits_needed(low, high)
    neuron = StockNeuron("threshold", looped=looped, message_bits=bits)
    return Population(
        relay.name, neuron.program(), {}, {SENT: before} if looped else {}, FixedPoint(bits, 0),
        low, high, count,
    )  # fmt: skip
