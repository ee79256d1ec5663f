"""Generates the C text of a neuron program's update, once over sequences and once over neurons.

Both are straight-line loops over lanes of int32, which compilers vectorise as they stand: the
proofs say that no product and no sum leaves 32 bits. Over sequences, a lane is a sequence and
parameters are scalars; over neurons, a lane is a neuron and parameters are vectors.
"""

from __future__ import annotations

import re

from lnn2loihi.neurons.instructions import Instruction, NeuronProgram, Operand

_EXPRESSIONS = {
    "MOV": "{0}",
    "SEL": "{0} ? {1} : {2}",
    "AND": "{0} & {1}",
    "OR": "{0} | {1}",
    # The product of a power of two: C leaves the left shift of a negative number undefined.
    "SHL": "{0} * (1 << {n})",
    "ADD": "{0} + {1}",
    "NEG": "-{0}",
    "MIN": "{0} < {1} ? {0} : {1}",
    "MUL_SHR": "({0} * {1}) >> {n}",
    "LT": "{0} < {1}",
    "GE": "{0} >= {1}",
    "EQ": "{0} == {1}",
}

_SIGNATURE = """\
static void {name}(const int32_t *restrict sums, const int32_t *restrict parameters,
                   int32_t *restrict states, int32_t *restrict message, int lanes)
{{
    for (int lane = 0; lane < lanes; lane++) {{
{body}
    }}
}}
"""


def update_functions(program: NeuronProgram, index: int) -> str:
    """C text of `update_sequences_<index>` and `update_neurons_<index>`.

    Arrays are laid out as [accumulator | state word][LANES] and, over sequences, parameters as
    [parameter], over neurons as [parameter][lanes]; `lanes` is the stride of all of them.
    """
    return "\n".join(
        _SIGNATURE.format(name=f"update_{kind}_{index}", body=_body(program, by_neuron))
        for kind, by_neuron in (("sequences", False), ("neurons", True))
    )


def _body(program: NeuronProgram, by_neuron: bool) -> str:
    names: dict[str, str] = {}
    lines: list[str] = []

    def declare(word: str, expression: str) -> None:
        names[word] = f"w{len(names)}_{re.sub('[^a-zA-Z0-9]', '_', word)}"
        lines.append(f"        const int32_t {names[word]} = {expression};")

    read = {operand for i in program.instructions for operand in i.operands}
    for place, parameter in enumerate(program.parameter_names):
        index = f"{place} * lanes + lane" if by_neuron else str(place)
        if parameter in read:
            declare(parameter, f"parameters[{index}]")
    for place, state in enumerate(program.state_names):
        if state in read:
            declare(state, f"states[{place} * lanes + lane]")
    for instruction in program.instructions:
        if instruction.opcode == "RDC":
            place = program.accumulators.index(str(instruction.operands[0]))
            declare(instruction.result, f"sums[{place} * lanes + lane]")
        elif instruction.opcode == "SPIKE":
            lines.append(f"        message[lane] = {_operand(instruction.operands[0], names)};")
        elif instruction.result in program.state_names:
            place = program.state_names.index(instruction.result)
            value = _operand(instruction.operands[0], names)
            lines.append(f"        states[{place} * lanes + lane] = {value};")
        else:
            declare(instruction.result, _expression(instruction, names))
    return "\n".join(lines)


def _expression(instruction: Instruction, names: dict[str, str]) -> str:
    operands = [_operand(operand, names) for operand in instruction.operands]
    return _EXPRESSIONS[instruction.opcode].format(*operands, n=instruction.shift)


def _operand(operand: Operand, names: dict[str, str]) -> str:
    return names[operand] if isinstance(operand, str) else f"({operand})"
