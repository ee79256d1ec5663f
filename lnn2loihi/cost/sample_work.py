"""What a program asks of a micro-controller: operations of a sample, and the memory that it needs.

It is counted from the program alone. A processor computes all synapses of every update, whatever
the messages are, so no simulation is needed, and activity changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.cost.basis import Range
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.graph.convolution import AnyConnection, Convolution
from lnn2loihi.program import LoihiProgram
from lnn2loihi.showing import Brief

#: What a synapse of a sparse row takes, in multiply-accumulates of a dense one (assumption): to
#: load its index, and the message that this names, on a Cortex-M4 three loads of about two cycles
#: with the multiplication, where the dense code that was measured takes two cycles in all.
SPARSE_COST = 3
#: Sources that an index of one byte tells apart; more take two.
ONE_BYTE = 256
#: Widths that words of a neuron have in the memory of a processor.
_WIDTHS = (8, 16, 32)


@checks_fields(InputError)
@dataclass(frozen=True)
class MicrocontrollerWork(Brief):
    """Work of one sample of one copy of a network, and memory in bytes.

    Attributes:
        name: name of the network.
        multiply_accumulates: of all synapses in all updates of a sample. Rows are dense or sparse,
            whichever takes less; a synapse of a sparse row counts as `SPARSE_COST`.
        neuron_instructions: instructions of the neuron programs in all updates of a sample,
            without those of the chip's schedule.
        flash_memory: least that weights and parameters take: packed, dense or sparse, whichever
            is less. Copies share them.
        state_memory: state words of one copy.
        message_memory: messages of a sample, of all copies in turn.
        instructions: of a sample in compiled code, where somebody has counted them; time is then
            theirs, not that of the operations above.

    Raises:
        InputError: lists counts that are negative.
    """

    name: str
    multiply_accumulates: int
    neuron_instructions: int
    flash_memory: int
    state_memory: int
    message_memory: int
    instructions: int | None = None

    def __post_init__(self) -> None:
        problems = Problems(InputError, f"work of {self.name!r:.60}")
        for count in fields(self)[1:]:
            found = getattr(self, count.name)
            if found is not None and found < 0:
                problems.add(f"{count.name} is {found}, expected 0 or more")
        problems.raise_if_any()

    def working_memory(self, copies: int) -> int:
        """Bytes of RAM that so many copies on one part need at least."""
        return self.message_memory + copies * self.state_memory


@checks_fields(InputError)
@dataclass(frozen=True)
class CountedInstructions:
    """Instructions of a sample, counted in compiled code as `footprint` does.

    Attributes:
        instructions: of a sample.
        cycles: of an instruction on average: nominal value, low and high end. Nobody has counted
            them: qemu has no pipeline.
        what: who has counted, on which code, in words.

    Raises:
        InputError: no instructions, or a range of cycles that is none.
    """

    instructions: int
    cycles: Range
    what: str = ""

    def __post_init__(self) -> None:
        problems = Problems(InputError, "counted instructions")
        if self.instructions < 1:
            problems.add(f"there are {self.instructions}, expected 1 or more")
        one = self.cycles
        if not 0.0 < one.low <= one.value <= one.high < float("inf"):
            problems.add(f"cycles are {one.value:g} in {one.low:g} to {one.high:g}")
        problems.raise_if_any()


@checks_kinds()
def microcontroller_work(program: LoihiProgram) -> MicrocontrollerWork:
    """Counts what a program asks of a micro-controller.

    Args:
        program: the program; of interleaved sequences it counts one.
    """
    populations, connections = program.populations, program.connections
    messages = [(program.input.size, program.input.format.bits)]
    messages += [(p.size, p.message.bits) for p in populations]
    return MicrocontrollerWork(
        name=program.name,
        multiply_accumulates=program.substeps * sum(map(_multiply_accumulates, connections)),
        neuron_instructions=program.substeps
        * sum(p.size * p.program.instruction_count for p in populations),
        flash_memory=-(-sum(map(_weight_bits, connections)) // 8)
        + sum(p.size * _bytes(p.program.parameters) for p in populations),
        state_memory=sum(p.size * _bytes(p.program.states) for p in populations),
        message_memory=sum(size * _width(bits) // 8 for size, bits in messages),
    )


def _multiply_accumulates(connection: AnyConnection) -> int:
    """Of an update; weights of a kernel that are 0 are left out, as synapses that are not there."""
    if isinstance(connection, Convolution):
        return connection.synapses
    return min(connection.rows * connection.source_size, SPARSE_COST * connection.synapses)


def _weight_bits(connection: AnyConnection) -> int:
    if isinstance(connection, Convolution):
        return connection.mantissa_bits * connection.kernel.size
    index = 8 if connection.source_size <= ONE_BYTE else 16
    return min(
        connection.mantissa_bits * connection.rows * connection.source_size,
        (connection.mantissa_bits + index) * connection.synapses,
    )


def _bytes(words: Iterable[tuple[str, int]]) -> int:
    return sum(_width(bits) for _, bits in words) // 8


def _width(bits: int) -> int:
    return next(width for width in _WIDTHS if bits <= width)
