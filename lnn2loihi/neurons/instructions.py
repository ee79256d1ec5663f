"""The integer instruction set of a Loihi 2 neuron, and neuron programs written in it.

The operations are those that Intel names in public ("Taking Neuromorphic Computing to the Next
Level with Loihi 2", technology brief, 2021); there is no divide, no exponential, no float and no
table look-up among them. What Intel does not publish is fixed here and marked as an assumption:
register and state words of 24 bits, products of two 16-bit operands or of a 24-bit and an 8-bit
operand in 32 bits, an arithmetic right shift by an immediate (rounding towards minus infinity),
operands read straight from registers, parameters, state words or immediates, and one result.

A neuron program is straight-line code in single assignment form, predicated with SEL. It says
what one neuron does in one of its updates. `OPERATIONS` is the one place that defines what an
operation means; every executor is compared with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lnn2loihi.errors import MalformedProgramError, ProgramError
from lnn2loihi.formats import WORD_BITS, IntegerArray, signed_range
from lnn2loihi.showing import Brief

Operand = str | int

WORD_RANGE = signed_range(WORD_BITS)
#: Operand widths that a 32-bit product of MUL_SHR allows (assumption, DESIGN.md).
PRODUCT_WIDTHS = ((16, 16), (24, 8), (8, 24))
LARGEST_SHIFT = 31
#: Largest positive factor of a MUL_SHR of 16 by 16 bits.
LARGEST_OPERAND = (1 << 15) - 1
#: Most instructions, declared words and stated bounds of a program, each (a limit of this library,
#: so that a hostile file costs little; programs have some hundred).
LARGEST_PROGRAM = 4096
#: Names of words: generated code and proofs rely on it (an immediate is never taken for a name).
WORD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")


@dataclass(frozen=True)
class Operation:
    """One row of the instruction table.

    Attributes:
        opcode: public name of the operation.
        operands: number of word operands.
        meaning: what the result is.
        widths: widths of operands and result, and the rounding where there is one.
        apply: the result on int64 arrays, from the operands and the shift; None for operations
            that do not make a word, or that only listings use.
        shifts: whether the operation takes an immediate shift.
    """

    opcode: str
    operands: int
    meaning: str
    widths: str
    apply: Callable[..., IntegerArray] | None = None
    shifts: bool = False


_W = "24 -> 24"
_TABLE = (
    Operation("RDC", 1, "read a dendritic accumulator and clear it", _W, lambda a: a),
    Operation("RMW", 2, "read, modify, write: add to a state word; the new value", "24, 24 -> 24"),
    Operation("MOV", 1, "copy; with a state word as result: write it", _W, lambda a: a),
    Operation("SEL", 3, "second operand if the first is not 0, else the third", "1, 24, 24 -> 24",
              lambda c, a, b: np.where(c != 0, a, b)),
    Operation("AND", 2, "bitwise and", "24, 24 -> 24", lambda a, b: a & b),
    Operation("OR", 2, "bitwise or", "24, 24 -> 24", lambda a, b: a | b),
    Operation("SHL", 1, "shift left by an immediate", _W, lambda a, n: a << n, shifts=True),
    Operation("ADD", 2, "sum", "24, 24 -> 24", lambda a, b: a + b),
    Operation("NEG", 1, "negative", _W, lambda a: -a),
    Operation("MIN", 2, "smaller of two", "24, 24 -> 24", lambda a, b: np.minimum(a, b)),
    Operation("MUL_SHR", 2, "product, shifted right by an immediate",
              "16, 16 or 24, 8 -> 32 -> 24; arithmetic shift: rounds towards minus infinity",
              lambda a, b, n: (a * b) >> n, shifts=True),
    Operation("LT", 2, "1 if the first is less than the second, else 0", "24, 24 -> 1",
              lambda a, b: (a < b) * np.int64(1)),
    Operation("GE", 2, "1 if the first is not less than the second, else 0", "24, 24 -> 1",
              lambda a, b: (a >= b) * np.int64(1)),
    Operation("EQ", 2, "1 if both are equal, else 0", "24, 24 -> 1",
              lambda a, b: (a == b) * np.int64(1)),
    Operation("SKP_C", 1, "skip the next instruction on a condition (listings only)", "1"),
    Operation("JMP_C", 1, "jump on a condition (listings only)", "1"),
    Operation("SPIKE", 1, "send the word as a graded message", "message width"),
    Operation("PROBE", 1, "show the word to a debugger (listings only)", "24"),
)  # fmt: skip

#: The instruction set: opcode -> Operation.
OPERATIONS: dict[str, Operation] = {operation.opcode: operation for operation in _TABLE}
LISTING_ONLY = ("RMW", "SKP_C", "JMP_C", "PROBE")
#: How a bound may be known, beside plain intervals.
PROOFS = ("exhaustion", "convexity", "clamp")


@dataclass(frozen=True)
class Instruction:
    """One operation of a program.

    Attributes:
        opcode: key of OPERATIONS.
        result: name of the word that it makes, or of the state word that MOV writes; "" for SPIKE.
        operands: names of words, or immediates (24-bit signed integers).
        shift: immediate shift of SHL and MUL_SHR, 0 to 31; else None.
    """

    opcode: str
    result: str
    operands: tuple[Operand, ...]
    shift: int | None = None

    def __str__(self) -> str:
        """One line of a listing."""
        arguments = [str(operand) for operand in self.operands]
        if self.shift is not None:
            arguments.append(f"#{self.shift}")
        text = f"{self.opcode:<8}{', '.join(arguments)}"
        return f"{self.result:<14} = {text}" if self.result else f"{'':<17}{text}"


@dataclass(frozen=True)
class Bound:
    """A bound that a program states about a word, and how it is known.

    Attributes:
        word: the word.
        low, high: the bound; None leaves a side to the analysis.
        proof: "exhaustion" (the word depends on the one word `of` alone: all its values are
            tried), "convexity" (multilinear in the words `of`: the corners of their box are
            tried, shifts add their rounding), "clamp" (made by LT and SEL, or -|x| by NEG and MIN).
        of: the words that the proof starts from.
    """

    word: str
    low: int | None
    high: int | None
    proof: str
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Saturation:
    """A word that loses what does not fit it, and that executors therefore count.

    It saturates in an update in which `held` differs from `free`. Only clamps that lose something
    are marked: not those of an activation where it is flat, nor a rounding at the end of a format.

    Attributes:
        name: of the count in results, such as the state word that it becomes.
        free: the word before.
        held: the word after, which an instruction makes of it.
        when: word that is 1 in the updates in which `held` is used, 0 in others; "" where that is
            every update.
    """

    name: str
    free: str
    held: str
    when: str = ""


@dataclass(frozen=True)
class NeuronProgram(Brief):
    """What one neuron does in one update, as integer operations.

    Attributes:
        name: name of the family, for listings.
        accumulators: names of the dendritic accumulators, in the order of the fused rows.
        parameters: for each per-neuron parameter its name and width in bits.
        states: for each state word its name and width in bits.
        instructions: straight-line code in single assignment form.
        bounds: stated bounds.
        message_state: state word that holds the last message, or "" for a stateless neuron.
        saturations: the words that lose what does not fit them; None where nobody has said (by
            programs that lnn2loihi 0.1 wrote): `LoihiProgram.saturations` then derives them.

    Raises:
        ProgramError: lists everything that is not well formed, when made: a MalformedProgramError,
            unless only shifts and constants are out of range.
    """

    name: str
    accumulators: tuple[str, ...]
    parameters: tuple[tuple[str, int], ...]
    states: tuple[tuple[str, int], ...]
    instructions: tuple[Instruction, ...]
    bounds: tuple[Bound, ...] = ()
    message_state: str = ""
    saturations: tuple[Saturation, ...] | None = None

    def __post_init__(self) -> None:
        problems = well_formedness_problems(self)
        if problems:
            ranges = sum(len(_range_problems(one)) for one in self.instructions)
            error = MalformedProgramError if len(problems) > ranges else ProgramError
            raise error(f"neuron program {self.name!r}", problems)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(name for name, _ in self.parameters)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the state words."""
        return tuple(name for name, _ in self.states)

    @property
    def message(self) -> str | int:
        """The word that SPIKE sends."""
        return next(i.operands[0] for i in self.instructions if i.opcode == "SPIKE")

    @property
    def instruction_count(self) -> int:
        """Instructions of one update, without the schedule's prologue (see listing)."""
        return len(self.instructions)

    def computes_as(self, other: NeuronProgram) -> bool:
        """Whether both make the same words of the same words, and send the same message: equal
        accumulators, parameters, states and instructions. What is said about them beside that, such
        as bounds and saturations, which older versions did not say, may differ.
        """
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("accumulators", "parameters", "states", "instructions", "message_state")
        )

    def opcode_counts(self) -> dict[str, int]:
        """Number of instructions of each opcode."""
        counts: dict[str, int] = {}
        for instruction in self.instructions:
            counts[instruction.opcode] = counts.get(instruction.opcode, 0) + 1
        return counts


def apply(opcode: str, operands: Sequence[Any], shift: int | None) -> Any:
    """The word that an operation makes of int64 operands: the semantics, and nothing else."""
    function = OPERATIONS[opcode].apply
    if function is None:
        raise ProgramError(f"operation {opcode}", "it does not make a word")
    return function(*operands) if shift is None else function(*operands, shift)


def well_formedness_problems(program: NeuronProgram) -> list[str]:
    """Everything that is not well formed in a program; the executable spec of NeuronProgram."""
    declared = [*program.accumulators, *program.parameter_names, *program.state_names]
    lengths = {
        "instructions": len(program.instructions),
        "declared words": len(declared),
        "stated bounds": len(program.bounds),
        "saturations": len(program.saturations or ()),
    }
    found = [f"{n} {w}; the limit is {LARGEST_PROGRAM}" for w, n in lengths.items()
             if n > LARGEST_PROGRAM]  # fmt: skip
    if found:
        return found
    found = [f"name {n!r} is declared twice" for n, times in Counter(declared).items() if times > 1]
    names = (*declared, *(i.result for i in program.instructions if i.result))
    found += [
        f"name {n!r} is no name of a word; use letters, digits, _ and dots"
        for n in dict.fromkeys(names)
        if not WORD_NAME.fullmatch(n)
    ]
    if "message" in program.state_names:
        found.append("name 'message' is kept for what SPIKE sends; call the state word otherwise")
    if not program.accumulators:
        found.append("a neuron has at least one dendritic accumulator")
    for name, bits in (*program.parameters, *program.states):
        if not 1 <= bits <= 24:
            found.append(f"{name} is {bits} bits wide; words have 1 to 24 bits")
    known = set(program.parameter_names) | set(program.state_names)
    read: list[str] = []
    written: list[str] = []
    for number, instruction in enumerate(program.instructions):
        place = f"instruction {number} ({instruction.opcode})"
        found += [f"{place}: {p}" for p in _operand_problems(program, instruction, known, written)]
        if instruction.opcode == "RDC" and instruction.operands:
            read.append(str(instruction.operands[0]))
        result = instruction.result
        if result in program.state_names:
            if instruction.opcode != "MOV":
                found.append(f"{place}: only MOV writes a state word, here {result!r}")
            if result in written:
                found.append(f"{place}: state word {result!r} is written twice")
            written.append(result)
        elif instruction.opcode == "SPIKE":
            if result:
                found.append(f"{place}: it makes no word, here {result!r}")
        elif result:
            if result in known or result in program.accumulators:
                found.append(f"{place}: {result!r} is assigned a second time")
            known.add(result)
        else:
            found.append(f"{place}: the result has no name")
    if sorted(read) != sorted(program.accumulators):
        found.append(
            f"every accumulator must be read and cleared once; has {list(program.accumulators)}, "
            f"reads {read}"
        )
    spikes = sum(i.opcode == "SPIKE" for i in program.instructions)
    if spikes != 1:
        found.append(f"a program sends one message per update (SPIKE); this one has {spikes}")
    if program.message_state and program.message_state not in program.state_names:
        found.append(f"message_state {program.message_state!r} is not a state word")
    elif program.message_state:
        kept = [i.operands for i in program.instructions if i.result == program.message_state]
        if kept != [i.operands for i in program.instructions if i.opcode == "SPIKE"]:
            found.append(
                f"message_state {program.message_state!r} must be written with the word that "
                "SPIKE sends"
            )
    return found + _bound_problems(program, known) + _saturation_problems(program, known)


def _operand_problems(
    program: NeuronProgram, instruction: Instruction, known: set[str], written: list[str]
) -> list[str]:
    operation = OPERATIONS.get(instruction.opcode)
    if operation is None:
        return [f"unknown opcode; the set is {', '.join(OPERATIONS)}"]
    if instruction.opcode in LISTING_ONLY:
        return ["this operation exists in listings only"]
    found: list[str] = []
    if len(instruction.operands) != operation.operands:
        found.append(f"takes {operation.operands} operands, has {len(instruction.operands)}")
    if operation.shifts != (instruction.shift is not None):
        found.append("needs a shift" if operation.shifts else "takes no shift")
    found += _range_problems(instruction)
    for operand in instruction.operands:
        if isinstance(operand, str):
            if instruction.opcode == "RDC":
                if operand not in program.accumulators:
                    found.append(f"{operand!r} is not an accumulator")
            elif operand not in known:
                found.append(f"{operand!r} is used before it is made")
            elif operand in written:
                found.append(f"state word {operand!r} is read after it was written")
        elif instruction.opcode == "RDC":
            found.append("RDC reads an accumulator, not an immediate")
        elif type(operand) is not int:
            found.append(f"operand {operand!r} is neither a word nor an integer")
    return found


def _range_problems(instruction: Instruction) -> list[str]:
    """Shifts and constants that the chip has no room for."""
    found: list[str] = []
    operation, shift = OPERATIONS.get(instruction.opcode), instruction.shift
    if operation and operation.shifts and shift is not None and not 0 <= shift <= LARGEST_SHIFT:
        found.append(f"shift {shift} is outside 0..{LARGEST_SHIFT}")
    for operand in instruction.operands if instruction.opcode != "RDC" else ():
        if type(operand) is int and not WORD_RANGE[0] <= operand <= WORD_RANGE[1]:
            found.append(f"immediate {operand} does not fit 24 bits")
    return found


def _bound_problems(program: NeuronProgram, known: set[str]) -> list[str]:
    found: list[str] = []
    made = known.difference(program.parameter_names, program.state_names)
    for bound in program.bounds:
        if bound.word not in made:
            found.append(f"bound of {bound.word!r}, which no instruction makes")
        for word in bound.of:
            if word not in known:
                found.append(f"bound of {bound.word!r} names {word!r}, which no instruction makes")
        if bound.proof not in PROOFS:
            found.append(f"bound of {bound.word!r}: unknown proof {bound.proof!r}, use {PROOFS}")
        elif (bound.proof == "clamp") != (not bound.of) or (
            bound.proof == "exhaustion" and len(bound.of) != 1
        ):
            found.append(f"bound of {bound.word!r}: wrong number of words for {bound.proof}")
    return found


def _saturation_problems(program: NeuronProgram, known: set[str]) -> list[str]:
    found: list[str] = []
    marks = program.saturations or ()
    made = known.difference(program.parameter_names, program.state_names)
    for mark in marks:
        if not WORD_NAME.fullmatch(mark.name):
            found.append(
                f"saturation {mark.name!r} has no name of a word; use letters, digits, _ and dots"
            )
        for word in filter(None, dict.fromkeys((mark.free, mark.held, mark.when))):
            if word not in made:
                found.append(f"saturation {mark.name!r} names {word!r}, which no instruction makes")
    for what, names in (
        ("is declared", [mark.name for mark in marks]),
        ("is of one word, counted", [mark.held for mark in marks]),
    ):
        twice = [name for name, times in Counter(names).items() if times > 1]
        found += [f"saturation {name!r} {what} twice" for name in twice]
    return found
