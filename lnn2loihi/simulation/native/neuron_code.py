"""Generates the C text of a neuron program's update, once over sequences and once over neurons.

Both are straight-line loops over lanes of int32, which compilers vectorise as they stand: the
proofs say that no product and no sum leaves 32 bits. Over sequences, a lane is a sequence and
parameters are scalars; over neurons, a lane is a neuron and parameters are vectors. Narrow blocks
take the second form: their lanes are the sequences of all neurons.

Saturations are rare. Over sequences the difference of a word before and after a clamp is only
kept, and looked at more closely in a second loop where any is not 0: that costs a third of what
counting costs.

Networks of a family differ in the shifts by which their per-neuron multipliers are scaled. Those
shifts are arguments, so that one library serves them all; every other number is in the code,
which is a third faster than to make them all arguments.
"""

from __future__ import annotations

import re

from lnn2loihi.neurons.instructions import Instruction, NeuronProgram, Operand
from lnn2loihi.simulation.native.kernel_code import LANES

_EXPRESSIONS = {
    "MOV": "{0}",
    "SEL": "{0} ? {1} : {2}",
    "AND": "{0} & {1}",
    "OR": "{0} | {1}",
    # C leaves the left shift of a negative number undefined.
    "SHL": "(int32_t)((uint32_t)({0}) << {n})",
    "ADD": "{0} + {1}",
    "NEG": "-{0}",
    "MIN": "{0} < {1} ? {0} : {1}",
    "MUL_SHR": "({0} * {1}) >> {n}",
    "LT": "{0} < {1}",
    "GE": "{0} >= {1}",
    "EQ": "{0} == {1}",
}

_FUNCTION = """\
{name}(const int32_t *restrict sums, const int32_t *restrict parameters,
            const int32_t *restrict shifts, int32_t *restrict states,
            int32_t *restrict message{more})
{{
{head}
{loop} {{
{body}
    }}
{tail}
}}
"""


#: Lanes of the inner loop over sequences, a vector or two; blocks are multiples of it. Flat
#: blocks are not updated over sequences: the lanes of all neurons are neurons of `update_neurons`.
_INNER = 16
_NEURONS_LOOP = "    for (int lane = 0; lane < lanes; lane++)"
_SEQUENCES_LOOP = """\
    for (int begin = 0; begin < lanes; begin += inner)
    for (int k = 0, lane = begin; k < inner; k++, lane++)"""
_WATCHING_HEAD = f"""
    int32_t lost[{{marks}}][{LANES}] __attribute__((aligned(64)));
    int32_t any[{_INNER}] __attribute__((aligned(64))) = {{{{0}}}};"""
_WATCHING_TAIL = f"""\
    uint64_t some = 0;
    for (int k = 0; k < {_INNER}; k += 2) {{{{
        uint64_t two;
        memcpy(&two, any + k, sizeof two);
        some |= two;
    }}}}
    if (__builtin_expect(some != 0, 0))
        for (int mark = 0; mark < {{marks}}; mark++) {{{{
            int32_t count = 0;
            for (int lane = 0; lane < lanes; lane++)
                count += (lost[mark][lane] != 0) & live[lane];
            saturated[mark] += count;
        }}}}"""


_SEQUENCES_MORE = """,
            const int32_t *restrict live, int64_t *restrict saturated, int lanes"""
_UPDATE_SEQUENCES = f"""\
#define OF_SEQUENCES(lanes, inner) \\
    of_sequences(sums, parameters, shifts, states, message, live, saturated, lanes, inner)
void update_sequences(const int32_t *restrict sums, const int32_t *restrict parameters,
            const int32_t *restrict shifts, int32_t *restrict states,
            int32_t *restrict message{_SEQUENCES_MORE})
{{{{
{{wide}}    OF_SEQUENCES(lanes, {_INNER});
}}}}
"""
#: With a constant width, `any` stays in registers.
_WIDE = f"    if (lanes == {LANES})\n        OF_SEQUENCES({LANES}, {_INNER});\n    else\n"


def takes_its_shift(program: NeuronProgram, instruction: Instruction) -> bool:
    """Whether an instruction's shift is an argument: it scales by a per-neuron parameter."""
    return instruction.opcode == "MUL_SHR" and any(
        operand in program.parameter_names for operand in instruction.operands
    )


def shift_arguments(program: NeuronProgram) -> tuple[int, ...]:
    """The shifts that `neuron_text` leaves open, in its order."""
    return tuple(
        instruction.shift or 0
        for instruction in program.instructions
        if takes_its_shift(program, instruction)
    )


def neuron_text(program: NeuronProgram) -> str:
    """C text of `update_sequences` and `update_neurons`: the identity of a family's library.

    Arrays are laid out as [accumulator | state word][lanes] and, over sequences, parameters as
    [parameter], over neurons as [parameter][lanes]. Saturations are added to [mark], over
    sequences those of the lanes that are live, and to [mark][lanes].
    """
    shifts = "\n".join(
        f"    const int32_t shift_{place} = shifts[{place}];"
        for place in range(len(shift_arguments(program)))
    )
    marks = len(program.saturations or ())
    head, unused, tail = shifts, "    (void)saturated;", "    (void)live;\n    (void)saturated;"
    if marks:
        head = shifts + _WATCHING_HEAD.format(marks=marks)
        unused, tail = "", _WATCHING_TAIL.format(marks=marks)
    return "#include <stdint.h>\n#include <string.h>\n" + "\n".join(
        (
            _FUNCTION.format(
                name="static inline __attribute__((always_inline))\nvoid of_sequences",
                more=f"{_SEQUENCES_MORE}, const int inner",
                head=head,
                body=_body(program, False),
                loop=_SEQUENCES_LOOP,
                tail=tail,
            ),
            _UPDATE_SEQUENCES.format(wide=_WIDE if marks else ""),
            _FUNCTION.format(
                name="void update_neurons",
                more=", int32_t *restrict saturated, int lanes",
                head=shifts,
                loop=_NEURONS_LOOP,
                body=_body(program, True),
                tail=unused,
            ),
        )
    )


def _body(program: NeuronProgram, by_neuron: bool) -> str:
    names: dict[str, str] = {}
    lines: list[str] = []
    taken = 0

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
            shift: object = instruction.shift
            if takes_its_shift(program, instruction):
                shift, taken = f"shift_{taken}", taken + 1
            declare(instruction.result, _expression(instruction, names, shift))
    for place, mark in enumerate(program.saturations or ()):
        lost = f"{names[mark.held]} ^ {names[mark.free]}"
        lost = f"{names[mark.when]} ? {lost} : 0" if mark.when else lost
        if by_neuron:
            lines.append(f"        saturated[{place} * lanes + lane] += ({lost}) != 0;")
        else:
            lines.append(f"        any[k] |= lost[{place}][lane] = {lost};")
    return "\n".join(lines)


def _expression(instruction: Instruction, names: dict[str, str], shift: object) -> str:
    operands = [_operand(operand, names) for operand in instruction.operands]
    return _EXPRESSIONS[instruction.opcode].format(*operands, n=shift)


def _operand(operand: Operand, names: dict[str, str]) -> str:
    return names[operand] if isinstance(operand, str) else f"({operand})"
