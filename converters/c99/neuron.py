"""The update of a neuron in C, instruction by instruction, as its program is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from lnn2loihi.converters.c99.names import Names
from lnn2loihi.converters.c99.types import literal
from lnn2loihi.formats import WORD_BITS
from lnn2loihi.neurons.instructions import (
    Instruction,
    NeuronProgram,
    Operand,
    Saturation,
    apply,
)

#: What every instruction is in C. Proofs say that no product and no sum leaves 32 bits; a left
#: shift is a product, since C leaves that of a negative number undefined, and a right shift is a
#: function, since C leaves that of a negative number to the compiler.
_EXPRESSIONS: Mapping[str, str] = {
    "RDC": "{0}",
    "MOV": "{0}",
    "SEL": "({0} != 0) ? {1} : {2}",
    "AND": "{0} & {1}",
    "OR": "{0} | {1}",
    "SHL": "{0} * {power}",
    "ADD": "{0} + {1}",
    "NEG": "-{0}",
    "MIN": "({0} < {1}) ? {0} : {1}",
    "MUL_SHR": "shift_right({0} * {1}, {n})",
    "LT": "({0} < {1}) ? 1 : 0",
    "GE": "({0} >= {1}) ? 1 : 0",
    "EQ": "({0} == {1}) ? 1 : 0",
}
#: What they are where both operands are the same word, which compilers find odd to compare.
_OF_ONE_WORD: Mapping[str, str] = {
    "AND": "{0}", "OR": "{0}", "MIN": "{0}", "LT": "0", "GE": "1", "EQ": "1",
}  # fmt: skip

SHIFT_RIGHT = """\
/* The quotient by a power of two, rounded down: C leaves the right shift of a negative number to
   the compiler, and compilers make one instruction of this. */
static int32_t shift_right(int32_t value, int32_t places)
{
    return (value < 0) ? ~(~value >> places) : (value >> places);
}
"""


@dataclass(frozen=True)
class Place:
    """Where a word is kept.

    Attributes:
        read: expression of its value before the update.
        write: what it is assigned to.
        kind: type of that.
    """

    read: str
    write: str
    kind: str


def live_accumulators(program: NeuronProgram, marks: Sequence[Saturation] = ()) -> tuple[str, ...]:
    """Accumulators on which a message, a state word or a count of saturations depends."""
    read = {str(i.operands[0]) for i in _live(program, marks) if i.opcode == "RDC"}
    return tuple(a for a in program.accumulators if a in read)


def live_parameters(program: NeuronProgram, marks: Sequence[Saturation] = ()) -> tuple[str, ...]:
    """Parameters that an instruction reads on which one of these depends."""
    read = {operand for one in _live(program, marks) for operand in one.operands}
    return tuple(word for word in program.parameter_names if word in read)


def _live(program: NeuronProgram, marks: Sequence[Saturation] = ()) -> list[Instruction]:
    """Instructions without those whose words nobody reads, not even a count of saturations."""
    wanted: set[Operand] = set(_words_of(marks))
    found: list[Instruction] = []
    for one in reversed(program.instructions):
        if one.opcode == "SPIKE" or one.result in program.state_names or one.result in wanted:
            found.append(one)
            wanted |= set(one.operands)
    return found[::-1]


def _words_of(marks: Iterable[Saturation]) -> set[str]:
    """The words that a count of saturations reads."""
    return {word for one in marks for word in (one.free, one.held, one.when) if word}


def update_lines(
    program: NeuronProgram,
    sums: Mapping[str, str],
    parameters: Mapping[str, str],
    states: Mapping[str, Place],
    message: Place,
    names: Names,
    counts: Mapping[Saturation, str] = MappingProxyType({}),
    counted: str = "",
) -> list[str]:
    """Statements of one update of neuron i.

    Args:
        program: what it does.
        sums: for each accumulator the C expression of its sum.
        parameters: for each parameter the expression of its value.
        states: for each state word the place that holds it.
        message: the place of the message; a state word that holds it has the same.
        names: of the scope.
        counts: for each word whose saturations are counted the variable that counts them.
        counted: condition under which the neuron counts; "" where it always does.
    """
    lines: list[str] = []
    words: dict[str, str] = dict(sums)
    live = _live(program, tuple(counts))

    def declare(word: str, expression: str) -> None:
        words[word] = names.give(word)
        lines.append(f"const int32_t {words[word]} = {expression};")

    read = {operand for one in live for operand in one.operands}
    read |= _words_of(counts)
    kept = {word: place.read for word, place in states.items()}
    for word, expression in (*parameters.items(), *kept.items()):
        if word in read:
            declare(word, expression)
    written: list[str] = []
    for one in live:
        operands = [words[o] if isinstance(o, str) else literal(o) for o in one.operands]
        if one.result in program.state_names or one.opcode == "SPIKE":
            place = message if one.opcode == "SPIKE" else states[one.result]
            cast = "" if place.kind == "int32_t" else f"({place.kind})"
            written.append(f"{place.write} = {cast}{operands[0]};")
        else:
            declare(one.result, _expression(one, operands))
    for mark, count in counts.items():
        conditions = [f"({words[mark.held]} != {words[mark.free]})"]
        if mark.when:
            conditions.append(f"({words[mark.when]} != 0)")
        if counted:
            conditions.append(f"({counted})")
        lines.append(f"{count} += ({' && '.join(conditions)}) ? 1U : 0U;")
    return [*lines, *dict.fromkeys(written)]


def _expression(one: Instruction, operands: list[str]) -> str:
    shift = one.shift or 0
    if all(isinstance(operand, int) for operand in one.operands):
        numbers = [np.int64(operand) for operand in one.operands]
        return literal(int(apply(one.opcode, numbers, one.shift)))
    if operands[1:2] == operands[:1] and one.opcode in _OF_ONE_WORD:
        return _OF_ONE_WORD[one.opcode].format(*operands)
    if one.opcode == "SEL" and isinstance(one.operands[0], int):
        return operands[1] if one.operands[0] else operands[2]
    if one.opcode == "SHL" and shift >= WORD_BITS:
        return "0"  # nothing else fits the word, and it is proved to fit
    if one.opcode == "MUL_SHR" and 1 in one.operands[:2]:  # a product that is none
        value = operands[1 if one.operands[0] == 1 else 0]
        return f"shift_right({value}, {shift})" if shift else value
    if one.opcode == "MUL_SHR" and not shift:
        return f"{operands[0]} * {operands[1]}"
    return _EXPRESSIONS[one.opcode].format(*operands, n=shift, power=1 << shift)
