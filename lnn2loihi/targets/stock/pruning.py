"""Fewer neurons where proved intervals allow it; answers stay what they are, bit for bit.

Three things are looked for, until nothing more is found:

- a rectifier or threshold that by its proved interval never sends anything but 0;
- neurons of a population that hear the same and so send the same: one of them is enough, with the
  sum of their weights, where mantissas hold it;
- neurons that nobody hears any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray, signed_range
from lnn2loihi.graph.sums import with_proved_messages
from lnn2loihi.neurons.stock import stock_neuron
from lnn2loihi.program import Connection, LoihiProgram, Population

Kept = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Choice:
    """What a population becomes.

    Attributes:
        stands_for: int64 (neurons,): for each neuron the one that sends for it, itself if it stays.
        kept: bool (neurons,): which stay.
    """

    stands_for: IntegerArray
    kept: Kept


def pruned(program: LoihiProgram) -> LoihiProgram:
    """The program without the neurons whose absence changes no answer; itself where all are needed.

    Neurons that keep their messages for a loop stay as long as they are heard: what they send
    before the first sample is up to whoever runs the program. Every population keeps a neuron, and
    the one that answers keeps all of them, as do populations of other neurons than Lava's.

    Args:
        program: any program.
    """
    while True:
        choices = {p.name: _choice(program, p) for p in program.populations}
        if all(choice.kept.all() for choice in choices.values()):
            return program
        program = _without(program, choices)


def _choice(program: LoihiProgram, population: Population) -> _Choice:
    size, neuron = population.size, stock_neuron(population.program)
    stands_for, kept = np.arange(size), np.ones(size, bool)
    if neuron is None or population.name == program.output:
        return _Choice(stands_for, kept)
    outgoing = [c.unrolled() for c in program.connections if c.source == population.name]
    kept = np.zeros(size, bool)
    for c in outgoing:
        kept[c.columns] = True
    if not population.program.message_state:
        message = program.bounds[population.name].words["message'"]
        kept &= ~((message.low == 0) & (message.high == 0))
        if neuron.kind != "constant":
            incoming = tuple(c.unrolled() for c in program.incoming(population.name))
            stands_for = _twins(incoming, outgoing, kept)
            kept &= stands_for == np.arange(size)
    kept[0] |= not kept.any()
    return _Choice(stands_for, kept)


def _twins(
    incoming: tuple[Connection, ...], outgoing: list[Connection], kept: Kept
) -> IntegerArray:
    """For each neuron the first one that hears the same, if it can send for both."""
    weights = [c.dense() >> c.exponent for c in outgoing]
    limits = [signed_range(c.mantissa_bits) for c in outgoing]
    first: dict[bytes, int] = {}
    stands_for = np.arange(kept.size)
    for neuron in np.flatnonzero(kept):
        one = first.setdefault(_heard(incoming, int(neuron), kept.size), int(neuron))
        if one == neuron:
            continue
        sums = [w[:, one] + w[:, neuron] for w in weights]
        if all(
            low <= both.min() and both.max() <= high
            for both, (low, high) in zip(sums, limits, strict=True)
        ):
            stands_for[neuron] = one
            for w, both in zip(weights, sums, strict=True):
                w[:, one] = both
    return stands_for


def _heard(incoming: tuple[Connection, ...], neuron: int, size: int) -> bytes:
    """All synapses of a neuron, as a key."""
    parts: list[bytes] = []
    for c in incoming:
        for row in range(neuron, c.rows, size):
            own = slice(c.row_starts[row], c.row_starts[row + 1])
            order = np.argsort(c.columns[own])
            parts += [c.columns[own][order].tobytes(), c.mantissas[own][order].tobytes()]
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def _without(program: LoihiProgram, choices: Mapping[str, _Choice]) -> LoihiProgram:
    """The program with what was chosen of each population."""
    populations = [_part(p, choices[p.name].kept) for p in program.populations]
    connections = tuple(
        _rewired(c.unrolled(), choices.get(c.source), choices[c.target])
        for c in program.connections
    )
    narrowed = with_proved_messages(program.input, populations, connections)
    # Formats are those of before: a narrower range asks nobody to read messages in another way.
    same = [
        replace(p, message_low=n.message_low, message_high=n.message_high)
        if p.name != program.output else p
        for p, n in zip(populations, narrowed, strict=True)
    ]  # fmt: skip
    return replace(program, populations=tuple(same), connections=connections)


def _part(population: Population, kept: Kept) -> Population:
    if kept.all():
        return population
    return replace(
        population,
        parameters={word: values[kept] for word, values in population.parameters.items()},
        initial_state={word: values[kept] for word, values in population.initial_state.items()},
        scale=population.scale[kept],
        offset=population.offset[kept],
        size=int(kept.sum()),
    )


def _rewired(c: Connection, source: _Choice | None, target: _Choice) -> Connection:
    """The connection among those that stay; the input port, which is no population, stays."""
    if target.kept.all() and (source is None or source.kept.all()):
        return c
    weights = c.dense() >> c.exponent
    if source is not None:
        moved = np.zeros_like(weights)
        heard = source.kept[source.stands_for]  # what never sends anything is heard no more
        np.add.at(moved.T, source.stands_for[heard], weights.T[heard])
        weights = moved[:, source.kept]
    rows = np.tile(target.kept, len(c.accumulators))
    return Connection.from_dense(
        c.source, c.target, c.accumulators, weights[rows],
        exponent=c.exponent, delay=c.delay, mantissa_bits=c.mantissa_bits,
    )  # fmt: skip
