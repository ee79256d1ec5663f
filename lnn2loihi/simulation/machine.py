"""Executes a neuron program in int32: the second executor of the integer semantics.

It is written apart from `lnn2loihi.neurons.instructions.apply`, which it is compared with: other
width, other order of evaluation, words in registers that are used again. Every word fits 24 bits
and every product 32 (proved when the program was made), so int32 is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.neurons.instructions import Instruction, Saturation
from lnn2loihi.program import Population

Int32Array = npt.NDArray[np.int32]
Operand = Any  # an int32 array, or an int32 scalar for an immediate
Step = Callable[[], object]


def _move(out: Int32Array, a: Operand) -> Step:
    return lambda: np.copyto(out, a)


def _select(out: Int32Array, condition: Operand, a: Operand, b: Operand) -> Step:
    chosen = np.zeros(out.shape, np.bool_)

    def step() -> None:
        np.not_equal(condition, 0, out=chosen)
        np.copyto(out, b)
        np.copyto(out, a, where=chosen)

    return step


def _compare(out: Any, free: Operand, held: Operand, when: Operand | None) -> Step:
    def step() -> None:
        np.not_equal(free, held, out=out)
        if when is not None:
            np.logical_and(out, when, out=out)

    return step


def _multiply_shift(out: Int32Array, a: Operand, b: Operand, shift: int) -> Step:
    places = np.int32(shift)

    def step() -> None:
        np.multiply(a, b, out=out)
        np.right_shift(out, places, out=out)  # arithmetic on signed words: towards minus infinity

    return step


def _shift_left(out: Int32Array, a: Operand, shift: int) -> Step:
    places = np.int32(shift)
    return lambda: np.left_shift(a, places, out=out)


def _negate(out: Int32Array, a: Operand) -> Step:
    return lambda: np.negative(a, out=out)


def _binary(function: Any) -> Callable[[Int32Array, Operand, Operand], Step]:
    return lambda out, a, b: lambda: function(a, b, out=out)


#: What makes a step of each operation, from its result, its operands and its shift. RDC, SPIKE
#: and MOV to a state word are copies; so is MOV to any other word.
_STEPS: dict[str, Callable[..., Step]] = {
    "RDC": _move,
    "MOV": _move,
    "SPIKE": _move,
    "SEL": _select,
    "AND": _binary(np.bitwise_and),
    "OR": _binary(np.bitwise_or),
    "ADD": _binary(np.add),
    "MIN": _binary(np.minimum),
    "LT": _binary(np.less),
    "GE": _binary(np.greater_equal),
    "EQ": _binary(np.equal),
    "SHL": _shift_left,
    "NEG": _negate,
    "MUL_SHR": _multiply_shift,
}


class Machine:
    """A population, `width` times side by side.

    Args:
        population: the neuron program with its parameters.
        width: how many of it.
        saturations: the words whose saturations are wanted.

    Attributes:
        lost: for each of them bool (width * N,): where it saturated in the last update.
        message: int32 (width * N,): the last message; the initial one after a reset.
        words: each state word, and "message".
        registers: number of registers that the words of the program share.
    """

    def __init__(
        self, population: Population, width: int, saturations: tuple[Saturation, ...] = ()
    ) -> None:
        program = population.program
        self._size = width * population.size
        self._sums = np.zeros((width, len(program.accumulators), population.size), np.int32)
        self._initial_message = program.message_state
        self._state = {word: self._register() for word in program.state_names}
        self.message = self._register()
        self.words: dict[str, Int32Array] = {**self._state, "message": self.message}
        known: dict[str, Operand] = {
            **{word: np.tile(values, width) for word, values in population.parameters.items()},
            **self._state,
        }
        self.registers = 0
        self.lost = {mark.name: np.zeros(self._size, np.bool_) for mark in saturations}
        self._marks = saturations
        self._steps = self._compile(program.instructions, program.accumulators, known, width)

    def _register(self) -> Int32Array:
        return np.zeros(self._size, np.int32)

    def _compile(
        self,
        instructions: tuple[Instruction, ...],
        accumulators: tuple[str, ...],
        known: dict[str, Operand],
        width: int,
    ) -> list[Step]:
        """One closure an instruction; a register is free again after the last use of its word."""
        last_use = {
            operand: place for place, i in enumerate(instructions) for operand in i.operands
        }
        marked = {w for m in self._marks for w in (m.free, m.held, m.when)}
        temporary: set[str | int] = set()
        free: list[Int32Array] = []
        steps: list[Step] = []
        for place, instruction in enumerate(instructions):
            opcode, result = instruction.opcode, instruction.result
            if opcode == "SPIKE":
                out = self.message
            elif result in self._state:
                out = self._state[result]
            else:
                self.registers += not free
                out = known[result] = free.pop() if free else self._register()
                temporary.add(result)
            shift = () if instruction.shift is None else (instruction.shift,)
            if opcode == "RDC":
                # The rows of one accumulator, a strided view into the fused sums.
                operands = [self._sums[:, accumulators.index(str(instruction.operands[0]))]]
                out = out.reshape(width, -1)
            else:
                operands = [
                    known[o] if isinstance(o, str) else np.int32(o) for o in instruction.operands
                ]
            steps.append(_STEPS[opcode](out, *operands, *shift))
            read = set(instruction.operands) & temporary - marked  # those are read at the end
            free += [known[str(word)] for word in read if last_use[word] == place]
        return steps + [
            _compare(self.lost[m.name], known[m.free], known[m.held], known.get(m.when))
            for m in self._marks
        ]

    def reset(self, state: Mapping[str, Int32Array]) -> None:
        """Takes a state, for each word (width * N,), and the message that goes with it."""
        for word, values in state.items():
            self._state[word][:] = values
        held = self._initial_message
        self.message[:] = self._state[held] if held else 0

    def update(self, sums: Int32Array) -> None:
        """One update, from the sums of all accumulators, (width * accumulators * N,)."""
        self._sums.reshape(-1)[:] = sums
        for step in self._steps:
            step()
