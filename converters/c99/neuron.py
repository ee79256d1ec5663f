"""The update of a neuron in C, instruction by instruction, as its program is written."""

from __future__ import annotations

from collections.abc import Mapping

from lnn2loihi.converters.c99.names import Names
from lnn2loihi.neurons.instructions import Instruction, NeuronProgram, Operand

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


def update_lines(
    program: NeuronProgram,
    sums: Mapping[str, str],
    parameters: Mapping[str, str],
    states: Mapping[str, str],
    message: str,
    names: Names,
) -> list[str]:
    """Statements of one update of neuron i.

    Args:
        program: what it does.
        sums: for each accumulator the C expression of its sum.
        parameters: for each parameter the expression of its value.
        states: for each state word the place that holds it.
        message: the place of the message.
        names: of the scope.
    """
    lines: list[str] = []
    words: dict[str, str] = {}

    def declare(word: str, expression: str) -> None:
        words[word] = names.give(word)
        lines.append(f"const int32_t {words[word]} = {expression};")

    read = {operand for i in program.instructions for operand in i.operands}
    for word, place in (*parameters.items(), *states.items()):
        if word in read:
            declare(word, place)
    written: list[str] = []
    for one in program.instructions:
        operands = [_operand(operand, {**words, **sums}) for operand in one.operands]
        if one.opcode == "SPIKE":
            written.append(f"{message} = {operands[0]};")
        elif one.result in program.state_names:
            written.append(f"{states[one.result]} = {operands[0]};")
        else:
            declare(one.result, _expression(one, operands))
    return [*lines, *written]


def _expression(one: Instruction, operands: list[str]) -> str:
    if one.opcode == "MUL_SHR" and not one.shift:
        return f"{operands[0]} * {operands[1]}"
    shift = one.shift or 0
    return _EXPRESSIONS[one.opcode].format(*operands, n=shift, power=1 << shift)


def _operand(operand: Operand, words: Mapping[str, str]) -> str:
    if isinstance(operand, str):
        return words[operand]
    return str(operand) if operand >= 0 else f"({operand})"
