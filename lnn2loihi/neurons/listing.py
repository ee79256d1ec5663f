"""Listings of neuron programs for people who port them to microcode.

In a listing the schedule is part of the program: a counter in one more state word makes the
neuron wait for its first valid sample and for its phase. Interleaved sequences need as many
copies of all state words, which the listing leaves to the microcode. Branches exist only here;
executors take the schedule from the LoihiProgram.

Where accumulators take turns on fewer ports (see `lnn2loihi.neurons.turns`), the words that the
program reads from those that arrive early are state words here, which the branch of waiting moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lnn2loihi.formats import WORD_BITS
from lnn2loihi.neurons.instructions import LISTING_ONLY, OPERATIONS, Instruction, NeuronProgram
from lnn2loihi.neurons.turns import Turns

#: Name of the counter; a dot keeps it apart from the state words of families.
COUNTER = "schedule.wait"
#: Names of physical accumulators where those of the program take turns on them.
PORT = "port.{}"


@dataclass(frozen=True)
class Listing:
    """A program as text, with what it costs.

    Attributes:
        text: the listing.
        update_count: instructions that a neuron executes in a step in which it updates.
        waiting_count: instructions in a step in which it waits.
        parameter_words, state_words: memory words of a neuron; the counter is one of them, and so
            are the sums that wait for the others.
        stored_count: instructions that program memory holds: both branches.
    """

    text: str
    update_count: int
    waiting_count: int
    parameter_words: int
    state_words: int
    stored_count: int


def listing(program: NeuronProgram, first_valid: int, period: int, ports: int = 0) -> Listing:
    """The program with its schedule's prologue.

    Args:
        program: the neuron program.
        first_valid: chip step of the first update.
        period: chip steps between two updates.
        ports: physical accumulators of a neuron; 0 for one for each of the program's.
    """
    turns = Turns(program.accumulators, ports)
    word_of = {str(i.operands[0]): i.result for i in program.instructions if i.opcode == "RDC"}
    reads = _reads(program, turns, word_of)
    body = [i for i in program.instructions if i.opcode != "RDC"]
    held = program.message_state
    # What waits moves on; and what a loop needs before the first sample is sent one period before
    # the first update.
    branch = [
        str(Instruction("MOV", word_of[a], (_moved(turns, word_of, source),)))
        for a, source in turns.moves
    ] + ([
        str(Instruction("EQ", "initial", (COUNTER, period))),
        str(Instruction("SEL", "held", ("initial", held, 0))),
        str(Instruction("SPIKE", "", ("held",))),
    ] if held else [])  # fmt: skip
    prologue = [
        *reads,
        f"{COUNTER:<14} = RMW     {COUNTER}, -1",
        f"{'waiting':<14} = GE      {COUNTER}, 1",
        f"{'':<17}JMP_C   waiting, {'wait' if branch else 'end'}",
        str(Instruction("MOV", COUNTER, (period,))),
    ]
    counts = ", ".join(f"{name} {n}" for name, n in sorted(program.opcode_counts().items()))
    update_count = len(prologue) + len(body) + bool(branch)  # the jump over the waiting branch
    waiting_count = len(reads) + 3 + len(branch)
    kept = [(word_of[a], WORD_BITS) for a in turns.kept]
    states = (*program.states, *kept, (COUNTER, WORD_BITS))
    lines = [
        f"; {program.name}: {program.instruction_count} instructions without the schedule "
        f"({counts})",
        f"; executed in an update: {update_count}, in a step of waiting: {waiting_count}",
        f"; parameters: {_words(program.parameters)}",
        f"; state: {_words(states)}; {COUNTER} starts at {first_valid + 1}",
        *([_arrivals(turns)] if turns.kept else []),
        *prologue,
        *map(str, body),
        *([f"{'':<17}JMP_C   1, end", "wait:", *branch] if branch else []),
        "end:",
    ]
    return Listing(
        "\n".join(line.rstrip() for line in lines),
        update_count,
        waiting_count,
        len(program.parameters),
        len(states),
        update_count + len(branch),
    )


def _reads(program: NeuronProgram, turns: Turns, word_of: Mapping[str, str]) -> list[str]:
    """The instructions that read and clear all ports."""
    if not turns.kept:
        return [str(i) for i in program.instructions if i.opcode == "RDC"]
    last = [a for a in turns.accumulators if not turns.leads[a]]
    return [str(Instruction("RDC", word_of[a], (PORT.format(turns.places[a]),))) for a in last]


def _moved(turns: Turns, word_of: Mapping[str, str], source: str | int) -> str:
    """The word that a move takes: of the port with that number, or of an accumulator."""
    if isinstance(source, str):
        return word_of[source]
    (read,) = (a for a in turns.phases[-1] if turns.places[a] == source)
    return word_of[read]


def _arrivals(turns: Turns) -> str:
    """What each port gets in which step before the update."""
    ports = (
        f"{PORT.format(port)} "
        + ", ".join(
            f"{a} ({turns.leads[a]} before)" if turns.leads[a] else a
            for a in turns.accumulators
            if turns.places[a] == port
        )
        for port in range(turns.width)
    )
    return f"; sums arrive in {turns.steps} steps, the last one that of the update: " + "; ".join(
        ports
    )


def _words(words: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{name} ({bits} bit)" for name, bits in words) or "none"


def instruction_table() -> str:
    """The instruction set with its semantics as a Markdown table; docs/integers.md holds it."""
    rows = ["| operation | result | widths | used |", "|---|---|---|---|"]
    for operation in OPERATIONS.values():
        used = "listings" if operation.opcode in LISTING_ONLY else "programs"
        rows.append(f"| `{operation.opcode}` | {operation.meaning} | {operation.widths} | {used} |")
    return "\n".join(rows)
