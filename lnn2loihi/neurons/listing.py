"""Listings of neuron programs for people who port them to microcode.

In a listing the schedule is part of the program: a counter in one more state word makes the
neuron wait for its first valid sample and for its phase. Interleaved sequences need as many
copies of all state words, which the listing leaves to the microcode. Branches exist only here;
executors take the schedule from the LoihiProgram.
"""

from __future__ import annotations

from dataclasses import dataclass

from lnn2loihi.neurons.instructions import LISTING_ONLY, OPERATIONS, Instruction, NeuronProgram

#: Name of the counter; a dot keeps it apart from the state words of families.
COUNTER = "schedule.wait"


@dataclass(frozen=True)
class Listing:
    """A program as text, with what it costs.

    Attributes:
        text: the listing.
        update_count: instructions that a neuron executes in a step in which it updates.
        waiting_count: instructions in a step in which it waits.
        parameter_words, state_words: memory words of a neuron; the counter is one of them.
        stored_count: instructions that program memory holds: both branches.
    """

    text: str
    update_count: int
    waiting_count: int
    parameter_words: int
    state_words: int
    stored_count: int


def listing(program: NeuronProgram, first_valid: int, period: int) -> Listing:
    """The program with its schedule's prologue.

    Args:
        program: the neuron program.
        first_valid: chip step of the first update.
        period: chip steps between two updates.
    """
    reads = [i for i in program.instructions if i.opcode == "RDC"]
    body = [i for i in program.instructions if i.opcode != "RDC"]
    held = program.message_state
    prologue = [
        *map(str, reads),
        f"{COUNTER:<14} = RMW     {COUNTER}, -1",
        f"{'waiting':<14} = GE      {COUNTER}, 1",
        f"{'':<17}JMP_C   waiting, {'wait' if held else 'end'}",
        str(Instruction("MOV", COUNTER, (period,))),
    ]
    # What a loop needs before the first sample is sent one period before the first update.
    branch = [
        str(Instruction("EQ", "initial", (COUNTER, period))),
        str(Instruction("SEL", "held", ("initial", held, 0))),
        str(Instruction("SPIKE", "", ("held",))),
    ] if held else []  # fmt: skip
    counts = ", ".join(f"{name} {n}" for name, n in sorted(program.opcode_counts().items()))
    update_count = len(prologue) + len(body) + bool(branch)  # the jump over the waiting branch
    waiting_count = len(reads) + 3 + len(branch)
    lines = [
        f"; {program.name}: {program.instruction_count} instructions without the schedule "
        f"({counts})",
        f"; executed in an update: {update_count}, in a step of waiting: {waiting_count}",
        f"; parameters: {_words(program.parameters)}",
        f"; state: {_words((*program.states, (COUNTER, 24)))}; {COUNTER} starts at "
        f"{first_valid + 1}",
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
        len(program.states) + 1,
        update_count + len(branch),
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
