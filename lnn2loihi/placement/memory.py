"""The memory model of a core: what neurons and synapses take, in bytes.

Public are the sizes: 192 KiB a core, of which 128 KiB can hold synapses, and neuron state in
64-bit units. How the compiler lays things out is not; every constant below is an assumption, and
docs/placement.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import WORD_BITS
from lnn2loihi.graph.convolution import AnyConnection
from lnn2loihi.graph.population import Population
from lnn2loihi.neurons.listing import COUNTER

#: A unit of memory: 64 bits. State is allocated in them (a LIF neuron takes one, Izhikevich three,
#: reference section 3.2), and synapse lists are taken to begin at one.
UNIT_BITS = 64
UNIT_BYTES = UNIT_BITS // 8
#: What an axon takes beside its synapses: a unit that says where its list is, how long, how wide
#: its weights are, and by how much they are shifted and delayed (assumption).
AXON_UNITS = 1
#: Memory of one instruction (assumption; the width of an instruction is not public).
INSTRUCTION_BYTES = UNIT_BYTES


@dataclass(frozen=True)
class NeuronMemory:
    """Bytes of one neuron.

    Attributes:
        state: state words with the schedule's counter and the sums that wait for others, once for
            each interleaved sequence.
        accumulators: input accumulators, each a ring of as many words as its longest delay needs.
        parameters: parameters of its own.
    """

    state: int
    accumulators: int
    parameters: int


def units(widths: Iterable[int]) -> int:
    """64-bit units that hold words of these widths, none of which lies across two (first fit, the
    widest first).
    """
    free: list[int] = []
    for width in sorted(widths, reverse=True):
        place = next((n for n, bits in enumerate(free) if bits >= width), None)
        if place is None:
            free.append(UNIT_BITS - width)
        else:
            free[place] -= width
    return len(free)


def neuron_memory(
    population: Population, incoming: Iterable[AnyConnection], interleave: int
) -> NeuronMemory:
    """Memory of each neuron of a population.

    Args:
        population: the neurons.
        incoming: connections into them; their delays are waited for in the accumulators.
        interleave: sequences that take turns, each with its own copy of the state.
    """
    program, turns = population.program, population.turns
    slots = [1] * turns.width
    for connection in incoming:
        for accumulator in connection.accumulators:
            port = turns.places[accumulator]
            slots[port] = max(slots[port], 1 + connection.delay)
    states = [*program.states, *((a, WORD_BITS) for a in turns.kept), (COUNTER, WORD_BITS)]
    return NeuronMemory(
        state=UNIT_BYTES * interleave * units(bits for _, bits in states),
        accumulators=UNIT_BYTES * units([WORD_BITS] * sum(slots)),
        parameters=UNIT_BYTES * units(bits for _, bits in program.parameters),
    )


def synapse_lists(
    synapses: npt.NDArray[np.int64],
    places: int | npt.NDArray[np.int64],
    bits: int | npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How axons store their synapses on one core: sparse or dense, whichever takes fewer units.

    A sparse list has a weight and the index of its target for each synapse; a dense one has a
    weight for every target, and the chip works off all of them.

    Args:
        synapses: for each axon its synapses on this core, 0 where it does not reach it.
        places: targets on this core: neurons times fed accumulators; of each axon, or of all.
        bits: width of a weight, in the same way.

    Returns:
        For each axon the weights that are stored, which are the synaptic operations of a message,
        and the units that the list takes with its header; 0 where there is no synapse.
    """
    index_bits = np.frexp(places - 1)[1]  # the exponent of a whole number is its bit length
    sparse = -(-synapses * (bits + index_bits) // UNIT_BITS)
    dense = -(-places * bits // UNIT_BITS)
    is_dense = sparse > dense
    reached = synapses > 0
    stored = np.where(is_dense, places, synapses)
    taken = np.where(is_dense, dense, sparse) + AXON_UNITS * reached
    return stored, taken
