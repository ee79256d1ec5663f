"""Traces a neuron program written as Python into instructions.

A family is a Python function over the methods of `Tracer`; every call appends the instructions
that the chip would execute. There is no MAX, SUB, ABS or right shift in the instruction set:
the methods of those names append their expansions, so that they are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import index

from lnn2loihi.errors import MalformedProgramError
from lnn2loihi.neurons.instructions import Bound, Instruction, NeuronProgram, Saturation


@dataclass(frozen=True)
class Word:
    """A word of the program that is being traced."""

    name: str


Value = Word | int


class Tracer:
    """Records instructions; see the module's docstring.

    Args:
        name: name of the program.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._accumulators: list[str] = []
        self._parameters: list[tuple[str, int]] = []
        self._states: list[tuple[str, int]] = []
        self._instructions: list[Instruction] = []
        self._bounds: list[Bound] = []
        self._saturations: list[Saturation] = []
        self._message_state = ""
        self._scope = ""
        self._counter: dict[str, int] = {}
        self._declared: set[str] = set()
        self._made: set[str] = set()

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Words made inside are named `name.something`."""
        before, self._scope = self._scope, f"{self._scope}{name}."
        try:
            yield
        finally:
            self._scope = before

    def _name(self, hint: str) -> str:
        name = self._scope + hint
        while True:
            count = self._counter.get(name, 0)
            self._counter[name] = count + 1
            made = name if count == 0 else f"{name}{count + 1}"
            if made not in self._declared:  # a gate may be called as a helper's word is
                self._made.add(made)
                return made

    def _declare(self, name: str) -> None:
        """Keeps a name for what the stage has.

        Raises:
            MalformedProgramError: a word made before has it.
        """
        if name in self._made:
            raise MalformedProgramError(
                f"neuron program {self.name!r}",
                f"{name!r} is declared after a word of that name was made; declare it before all "
                "words, or call it otherwise",
            )
        self._declared.add(name)

    def _emit(self, opcode: str, hint: str, *operands: Value, shift: int | None = None) -> Word:
        names = tuple(o.name if isinstance(o, Word) else index(o) for o in operands)
        result = self._name(hint)
        self._instructions.append(Instruction(opcode, result, names, shift))
        return Word(result)

    def accumulator(self, name: str) -> Word:
        """Declares a dendritic accumulator and reads and clears it (RDC)."""
        self._declare(name)
        self._accumulators.append(name)
        result = self._name("sum")
        self._instructions.append(Instruction("RDC", result, (name,)))
        return Word(result)

    def parameter(self, name: str, bits: int) -> Word:
        """Declares a per-neuron parameter of `bits` bits."""
        self._declare(name)
        self._parameters.append((name, bits))
        return Word(name)

    def state(self, name: str, bits: int) -> Word:
        """Declares a state word of `bits` bits and reads it."""
        self._declare(name)
        self._states.append((name, bits))
        return Word(name)

    def write(self, state: Word, value: Value) -> None:
        """Writes a state word (MOV)."""
        operand = value.name if isinstance(value, Word) else index(value)
        self._instructions.append(Instruction("MOV", state.name, (operand,)))

    def add(self, a: Value, b: Value, hint: str = "add") -> Word:
        """A + b."""
        return self._emit("ADD", hint, a, b)

    def negative(self, a: Value, hint: str = "neg") -> Word:
        """-a."""
        return self._emit("NEG", hint, a)

    def subtract(self, a: Value, b: Value, hint: str = "sub") -> Word:
        """A - b: NEG and ADD."""
        return self.add(a, self.negative(b), hint)

    def minimum(self, a: Value, b: Value, hint: str = "min") -> Word:
        """The smaller of two."""
        return self._emit("MIN", hint, a, b)

    def maximum(self, a: Value, floor: Value, hint: str = "max") -> Word:
        """The larger of two: LT and SEL, with the bound stated."""
        less = self.less(a, floor)
        result = self.select(less, floor, a, hint)
        low = None if isinstance(floor, Word) else floor
        self._bounds.append(Bound(result.name, low, None, "clamp"))
        return result

    def negative_magnitude(self, a: Word, hint: str = "minus_abs") -> Word:
        """-|a|: NEG and MIN, with the bound stated."""
        result = self.minimum(a, self.negative(a), hint)
        self._bounds.append(Bound(result.name, None, 0, "clamp"))
        return result

    def bitwise_and(self, a: Value, b: Value, hint: str = "and") -> Word:
        """The bits that both have."""
        return self._emit("AND", hint, a, b)

    def bitwise_or(self, a: Value, b: Value, hint: str = "or") -> Word:
        """The bits that either has."""
        return self._emit("OR", hint, a, b)

    def multiply(self, a: Value, b: Value, shift: int, hint: str = "mul") -> Word:
        """(a b) >> shift, rounded towards minus infinity."""
        return self._emit("MUL_SHR", hint, a, b, shift=shift)

    def shift_left(self, a: Value, shift: int, hint: str = "shl") -> Word:
        """A << shift."""
        return self._emit("SHL", hint, a, shift=shift)

    def shift_right(self, a: Value, shift: int, hint: str = "shr") -> Word:
        """A >> shift, rounded towards minus infinity: MUL_SHR by one."""
        return self.multiply(a, 1, shift, hint)

    def round_half_up(self, a: Word, shift: int, hint: str = "round") -> Word:
        """A / 2**shift rounded half up: ADD and MUL_SHR; the word itself where shift is 0."""
        if shift == 0:
            return a
        return self.shift_right(self.add(a, 1 << (shift - 1)), shift, hint)

    def less(self, a: Value, b: Value, hint: str = "less") -> Word:
        """1 if a < b, else 0."""
        return self._emit("LT", hint, a, b)

    def select(self, condition: Word, a: Value, b: Value, hint: str = "sel") -> Word:
        """A where the condition holds, else b."""
        return self._emit("SEL", hint, condition, a, b)

    def exhaust(
        self, word: Word, root: Word, low: int | None = None, high: int | None = None
    ) -> None:
        """States that what `word` can be is known by trying every value of `root`."""
        self._bounds.append(Bound(word.name, low, high, "exhaustion", (root.name,)))

    def convex(self, word: Word, of: tuple[Word, ...], low: int, high: int) -> None:
        """States a bound that follows from `word` being multilinear in the words `of`."""
        self._bounds.append(Bound(word.name, low, high, "convexity", tuple(w.name for w in of)))

    def saturates(self, free: Word, held: Word, name: str, when: Word | None = None) -> None:
        """States that `held` loses what of `free` does not fit it, so that executors count it.

        Args:
            free: the word before.
            held: the word after.
            name: of the count in results.
            when: 1 in the updates in which `held` is used; None where that is every update.
        """
        condition = "" if when is None else when.name
        self._saturations.append(Saturation(name, free.name, held.name, condition))

    def spike(self, message: Word, state: Word | None = None) -> None:
        """Sends the message; `state` is the state word that keeps it, if there is one."""
        if state is not None:
            self.write(state, message)
            self._message_state = state.name
        self._instructions.append(Instruction("SPIKE", "", (message.name,)))

    def program(self) -> NeuronProgram:
        """The traced program, checked.

        Raises:
            ProgramError: it is not well formed.
        """
        return NeuronProgram(
            self.name,
            tuple(self._accumulators),
            tuple(self._parameters),
            tuple(self._states),
            tuple(self._instructions),
            tuple(self._bounds),
            self._message_state,
            tuple(self._saturations),
        )
