"""Neuron programs as model-local functions: a node or a small function for each instruction.

All words are int32. The proofs of the program say that every word fits 24 bits and every product
32, so nothing depends on what a runtime does on overflow. Nothing depends on how a runtime rounds
either: a right shift clears the low bits first, and then divides exactly. (BitShift takes unsigned
integers only before opset 28, and integer division truncates.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lnn2loihi.converters.onnx_write.build import DOMAIN, Functions, Graph, identifier
from lnn2loihi.neurons.instructions import Instruction, NeuronProgram, Operand

#: Largest shift whose power of two is an int32; a longer one is made in two steps.
LARGEST_STEP = 30
#: Output of a neuron program that keeps its message in no state word.
MESSAGE = "message"


@dataclass
class _Words:
    """The words of a program while it is translated.

    Attributes:
        graph: body of the function.
        functions: where the functions of instructions go.
        values: value of each word.
        conditions: value of words that are known as truth values.
        batched: words that have the shape (batch, neurons); the others have one value for every
            sequence, or for everything.
    """

    graph: Graph
    functions: Functions
    values: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    batched: set[str] = field(default_factory=set)

    def number(self, operand: Operand) -> str:
        """The operand as an int32."""
        if not isinstance(operand, str):
            return self.graph.constant(operand, np.int32)
        if operand not in self.values:
            condition = self.conditions[operand]
            self.values[operand] = self.graph.cast(condition, np.int32, operand)
        return self.values[operand]

    def condition(self, operand: Operand) -> str:
        """Whether the operand is not 0."""
        if isinstance(operand, str) and operand in self.conditions:
            return self.conditions[operand]
        return self.graph.cast(self.number(operand), np.bool_)


Emit = Callable[[_Words, Instruction], None]
_EMIT: dict[str, Emit] = {}


def _emits(*opcodes: str) -> Callable[[Emit], Emit]:
    """Registers what translates an opcode."""

    def register(emit: Emit) -> Emit:
        _EMIT.update(dict.fromkeys(opcodes, emit))
        return emit

    return register


#: Opcodes that an operator computes as it stands.
_OPERATORS = {"ADD": "Add", "NEG": "Neg", "MIN": "Min", "AND": "BitwiseAnd", "OR": "BitwiseOr"}
_COMPARISONS = {"LT": "Less", "GE": "GreaterOrEqual", "EQ": "Equal"}


@_emits(*_OPERATORS)
def _operator(words: _Words, instruction: Instruction) -> None:
    operands = [words.number(operand) for operand in instruction.operands]
    operation = _OPERATORS[instruction.opcode]
    words.values[instruction.result] = words.graph.add(
        operation, *operands, name=instruction.result
    )


@_emits(*_COMPARISONS)
def _comparison(words: _Words, instruction: Instruction) -> None:
    operands = [words.number(operand) for operand in instruction.operands]
    operation = _COMPARISONS[instruction.opcode]
    words.conditions[instruction.result] = words.graph.add(
        operation, *operands, name=f"{instruction.result}.holds"
    )


@_emits("MOV", "RDC")
def _copy(words: _Words, instruction: Instruction) -> None:
    words.values[instruction.result] = words.number(instruction.operands[0])


@_emits("SEL")
def _select(words: _Words, instruction: Instruction) -> None:
    condition, *values = instruction.operands
    words.values[instruction.result] = words.graph.add(
        "Where", words.condition(condition), *map(words.number, values), name=instruction.result
    )


@_emits("SHL")
def _shift_left(words: _Words, instruction: Instruction) -> None:
    value = words.number(instruction.operands[0])
    for step in _steps(instruction.shift or 0):
        factor = words.graph.constant(1 << step, np.int32)
        value = words.graph.add("Mul", value, factor, name=instruction.result)
    words.values[instruction.result] = value


@_emits("MUL_SHR")
def _multiply_shift(words: _Words, instruction: Instruction) -> None:
    """A product by 1 is left out: it is how programs shift right."""
    graph, shift = words.graph, instruction.shift or 0
    factors = [operand for operand in instruction.operands if operand != 1]
    if len(factors) < 2:
        value = words.number(factors[0] if factors else 1)
        function = _shift_right_function(words.functions, shift) if shift else ""
        inputs = [value]
    else:
        inputs = [words.number(operand) for operand in factors]
        function = _multiply_shift_function(words.functions, shift) if shift else "Mul"
    if not function:
        words.values[instruction.result] = inputs[0]
        return
    domain = DOMAIN if shift else ""
    words.values[instruction.result] = graph.add(
        function, *inputs, name=instruction.result, domain=domain
    )


def _shift_right_function(functions: Functions, shift: int) -> str:
    return functions.define(
        f"SHR_{shift}",
        ["a"],
        lambda graph: [_shifted_right(graph, "a", shift)],
        f"a shifted right by {shift}: divided by 2**{shift}, rounded towards minus infinity",
    )


def _multiply_shift_function(functions: Functions, shift: int) -> str:
    return functions.define(
        f"MUL_SHR_{shift}",
        ["a", "b"],
        lambda graph: [_shifted_right(graph, graph.add("Mul", "a", "b", name="product"), shift)],
        f"a times b, shifted right by {shift}, rounded towards minus infinity",
    )


def _shifted_right(graph: Graph, value: str, shift: int) -> str:
    """Floor of value / 2**shift: without its low bits the value divides exactly."""
    for step in _steps(shift):
        cleared = graph.add("BitwiseAnd", value, graph.constant(-(1 << step), np.int32))
        value = graph.add("Div", cleared, graph.constant(1 << step, np.int32), name="shifted")
    return value


def _steps(shift: int) -> list[int]:
    """The shift in steps whose powers of two are int32."""
    return [step for step in (min(shift, LARGEST_STEP), shift - LARGEST_STEP) if step > 0]


def neuron_function(
    program: NeuronProgram, functions: Functions, names: dict[NeuronProgram, str]
) -> str:
    """Defines the function of a neuron program, unless it is there.

    Its inputs are the sums of the accumulators, the parameters and the state words, its outputs
    what `neuron_outputs` says.

    Args:
        program: the neuron program.
        functions: where it goes.
        names: the neuron programs that have functions, with their names; it becomes one of them.

    Returns:
        Its name; in lower case, unlike those of instructions.
    """
    if program in names:
        return names[program]
    inputs = (*program.accumulators, *program.parameter_names, *program.state_names)
    plain = identifier(program.name).lower() or "neuron"
    name, number = plain, 1
    while name in names.values():
        number += 1
        name = f"{plain}_{number}"
    names[program] = name
    return functions.define(
        name,
        inputs,
        lambda graph: _translated(graph, functions, program),
        f"one update of a neuron: {program.instruction_count} instructions "
        f"({', '.join(f'{n} {c}' for n, c in sorted(program.opcode_counts().items()))})",
    )


def neuron_outputs(program: NeuronProgram) -> tuple[str, ...]:
    """What the function of a program answers: its state words, and its message where no state
    word holds it.
    """
    return program.state_names if program.message_state else (*program.state_names, MESSAGE)


def _translated(graph: Graph, functions: Functions, program: NeuronProgram) -> list[str]:
    words = _Words(graph, functions)
    for word in (*program.accumulators, *program.parameter_names, *program.state_names):
        words.values[word] = word
    words.batched = {*program.accumulators, *program.state_names}
    answers: dict[str, Operand] = {word: word for word in program.state_names}
    for instruction in program.instructions:
        if instruction.opcode == "SPIKE":
            answers[MESSAGE] = instruction.operands[0]
        elif instruction.result in program.state_names:
            answers[instruction.result] = instruction.operands[0]
        else:
            _EMIT[instruction.opcode](words, instruction)
            if any(operand in words.batched for operand in instruction.operands):
                words.batched.add(instruction.result)
    return [_answer(words, program, word, answers[word]) for word in neuron_outputs(program)]


def _answer(words: _Words, program: NeuronProgram, word: str, operand: Operand) -> str:
    """The operand as an output (batch, neurons), under a name of its own."""
    value = words.number(operand)
    if operand in words.batched:
        return words.graph.add("Identity", value, name=f"{word}.next")
    some = program.accumulators[0]
    zeros = words.graph.add("Sub", some, some, name="zeros")
    return words.graph.add("Add", zeros, value, name=f"{word}.next")
