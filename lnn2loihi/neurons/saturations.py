"""Which words of a neuron program saturate, where the program itself does not say.

Programs that lnn2loihi 0.1 wrote mark none. What they keep and send is found by its shape: a clamp
between immediates whose word, as is proved, can leave them by more than a rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lnn2loihi.neurons.bounds import IntegerInterval
from lnn2loihi.neurons.instructions import WORD_RANGE, Instruction, NeuronProgram, Saturation

#: Share of a clamp's range, as a right shift, that a rounding can exceed it by, if not by one.
ROUNDING_SHIFT = 12


@dataclass(frozen=True)
class _Clamp:
    """The word before a clamp, and its ends."""

    free: str
    low: int
    high: int


def derived_saturations(
    program: NeuronProgram, bounds: Mapping[str, IntegerInterval]
) -> tuple[Saturation, ...]:
    """The saturations of the state words and of the message, by the shape of the code.

    Args:
        program: the program.
        bounds: for every word that it makes its proved interval.
    """
    made = {i.result: i for i in program.instructions if i.result not in program.state_names}
    found: dict[str, Saturation] = {}
    for name, word in _answers(program):
        held, when = _chosen(made, name, word)
        clamp = _clamp(made, held)
        if clamp is None:
            continue
        low, high = bounds[clamp.free].hull
        spare = max(1, (clamp.high - clamp.low) >> ROUNDING_SHIFT)
        if low < clamp.low - spare or high > clamp.high + spare:
            found.setdefault(held, Saturation(name, clamp.free, held, when))
    return tuple(found.values())


def _answers(program: NeuronProgram) -> Iterator[tuple[str, str]]:
    """The state words and the message, with the words that they are written with."""
    for instruction in program.instructions:
        (*_, word) = instruction.operands
        if isinstance(word, str) and instruction.result in program.state_names:
            yield instruction.result, word
        elif isinstance(word, str) and instruction.opcode == "SPIKE":
            yield "message", word


def _chosen(made: Mapping[str, Instruction], state: str, word: str) -> tuple[str, str]:
    """The word that is new, and the condition of its use, where a state may also be kept."""
    instruction = made.get(word)
    if instruction is not None and instruction.opcode == "SEL":
        condition, new, kept = instruction.operands
        if kept == state and isinstance(new, str) and isinstance(condition, str):
            return new, condition if condition in made else ""
    return word, ""


def _clamp(made: Mapping[str, Instruction], word: str) -> _Clamp | None:
    """What a chain of MIN, and of LT with SEL, holds within immediates; None if it is no clamp."""
    low, high = WORD_RANGE
    free = word
    while (instruction := made.get(free)) is not None:
        if instruction.opcode == "MIN" and isinstance(instruction.operands[1], int):
            high = min(high, instruction.operands[1])
            inside = instruction.operands[0]
        elif (floor := _floor(made, instruction)) is not None:
            low = max(low, floor)
            inside = instruction.operands[2]
        else:
            break
        if not isinstance(inside, str):
            break
        free = inside
    return None if free == word or free not in made else _Clamp(free, low, high)


def _floor(made: Mapping[str, Instruction], instruction: Instruction) -> int | None:
    """The immediate below which SEL does not let a word, if that is what it does."""
    if instruction.opcode != "SEL":
        return None
    condition, floor, word = instruction.operands
    less = made.get(condition) if isinstance(condition, str) else None
    if less is None or less.opcode != "LT" or less.operands != (word, floor):
        return None
    return floor if isinstance(floor, int) else None
