"""The memory model of a core: what neurons, synapses and axons take, in bytes.

Public are compile logs of Lava's notebooks, which say for each core the words of 64 bit of its
tables (AxonIn, Neurons, Synapses, AxonMap, AxonMem), and Intel's sizes (192 KiB a core, neuron
state in units of 64 bit). What logs do not say is an assumption; docs/placement.md lists all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lnn2loihi.formats import WORD_BITS, IntegerArray
from lnn2loihi.graph.convolution import AnyConnection
from lnn2loihi.graph.population import Population
from lnn2loihi.neurons.listing import COUNTER

#: A unit of memory: 64 bits. State is allocated in them (a LIF neuron takes one, Izhikevich three,
#: reference section 3.2), and logs count synapses in them.
UNIT_BITS = 64
UNIT_BYTES = UNIT_BITS // 8
#: Bits of a synapse, its weight and the index of its target, whatever the width of the weight; and
#: of one whose messages are delayed. Read off words and synapses in compile logs of lava-dl's
#: notebooks: 26 words for an axon of 100 synapses, 12 for 43, 5 for 17, 3 for 10; with delays 63
#: for 200 and 81 for 256 (energy-2.md, section 2; grade `logged`).
SYNAPSE_BITS = 16
DELAYED_SYNAPSE_BITS = 20
#: Bits of an axon's list beside its synapses. The same logs fit 20 to 32; the upper end is taken
#: (grade `logged`, a range).
HEADER_BITS = 32
#: Words of 64 bit for each entry of the tables of axons, those that arrive (AxonIn) and those that
#: leave (AxonMap): logs add their entries up to a core's total like words (grade `logged`).
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
        axons: its entries in the table of axons that leave, one for each connection.
    """

    state: int
    accumulators: int
    parameters: int
    axons: int


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
    population: Population,
    incoming: Iterable[AnyConnection],
    outgoing: int,
    interleave: int,
) -> NeuronMemory:
    """Memory of each neuron of a population.

    Args:
        population: the neurons.
        incoming: connections into them; their delays are waited for in the accumulators.
        outgoing: connections out of them.
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
        axons=UNIT_BYTES * AXON_UNITS * outgoing,
    )


def synapse_bits(connection: AnyConnection) -> int:
    """Bits that each synapse of a connection takes."""
    return DELAYED_SYNAPSE_BITS if connection.delay else SYNAPSE_BITS


def list_units(synapses: IntegerArray, bits: int | IntegerArray) -> IntegerArray:
    """ceil((bits n + HEADER_BITS) / 64): units that the lists of axons take on one core.

    Args:
        synapses: for each axon its synapses on this core, n; 0 where it does not reach it, which
            takes nothing.
        bits: bits of a synapse, of each axon or of all, see `synapse_bits`.
    """
    return -(-(bits * synapses + HEADER_BITS) // UNIT_BITS) * (synapses > 0)
