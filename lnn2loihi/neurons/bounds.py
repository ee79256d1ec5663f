"""Proves the bounds of every word of a neuron program.

Three abstract domains run side by side over the straight-line code:

- intervals, one per neuron, from the accumulators' and parameters' own bounds;
- exhaustion: a word that depends on one word alone is tabulated over all values of that word;
- multilinear polynomials with a rounding error, for bounds that follow from convexity.

Plain intervals alone fail: they give twice the true range for f1 + t (f2 - f1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import ceil, floor

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray, signed_range
from lnn2loihi.frozen import ContentEquality
from lnn2loihi.neurons.instructions import (
    PRODUCT_WIDTHS,
    WORD_RANGE,
    Bound,
    Instruction,
    NeuronProgram,
    Operand,
    apply,
)
from lnn2loihi.neurons.intervals import IntegerInterval as IntegerInterval
from lnn2loihi.neurons.intervals import interval_of as interval_of

#: Largest number of values that a proof by exhaustion tries: two words of 16 bits.
LARGEST_TABLE = 1 << 17
#: Most table entries of one proof, so that a hostile program cannot eat memory (8 bytes each).
TABLE_BUDGET = 1 << 24
#: Most words and terms of a polynomial, most bits of a coefficient, and most operations followed
#: in all proofs by convexity of a program; what is larger is not proved.
LARGEST_BOX, LARGEST_POLYNOMIAL, LARGEST_COEFFICIENT, LARGEST_TRAIL = 4, 16, 128, 512
LARGEST_BOUND = 1 << 62
#: Neurons that a problem names before it only counts them.
NEURONS_NAMED = 5


@dataclass(frozen=True, eq=False)
class ProvedBounds(ContentEquality):
    """What is known about a program on given data.

    Attributes:
        words: interval of every word and of the accumulators' sums.
        problems: every bound that does not hold, by word and neuron.
    """

    words: Mapping[str, IntegerInterval]
    problems: tuple[str, ...]


class _Prover:
    def __init__(self, program: NeuronProgram) -> None:
        self.program = program
        self.intervals: dict[str, IntegerInterval] = {}
        self.tables: dict[str, tuple[str, IntegerArray]] = {}
        self.definitions: dict[str, Instruction] = {}
        self.problems: list[str] = []
        self.stated: dict[str, list[Bound]] = {}
        for bound in program.bounds:
            self.stated.setdefault(bound.word, []).append(bound)
        self.roots = {b.of[0] for b in program.bounds if b.proof == "exhaustion"}
        self.budget = TABLE_BUDGET
        self.trail = LARGEST_TRAIL

    def operand(self, operand: Operand) -> IntegerInterval:
        if isinstance(operand, str):
            return self.intervals[operand]
        return IntegerInterval.of(operand, operand)

    def make_root(self, word: str) -> None:
        low, high = self.intervals[word].hull
        self.tables.pop(word, None)
        if high - low >= LARGEST_TABLE:
            self.problems.append(
                f"word {word!r} has {high - low + 1} values, too many to try "
                f"(at most {LARGEST_TABLE}); clamp it first"
            )
        elif self.afford(high - low + 1):
            self.tables[word] = (word, np.arange(low, high + 1, dtype=np.int64))

    def afford(self, entries: int) -> bool:
        """Whether one more table may be kept; what depends on one that is not has an interval."""
        self.budget -= entries
        return self.budget >= 0

    def run(self, instruction: Instruction) -> None:
        result = instruction.result or "message"
        if instruction.opcode == "RDC":
            # The sum's interval was put in by the caller under the accumulator's name.
            self.intervals[result] = self.intervals[str(instruction.operands[0])]
        elif instruction.opcode == "SPIKE" or result in self.program.state_names:
            self.intervals[f"{result}'"] = self.operand(instruction.operands[0])
            return
        else:
            self.compute(instruction, result)
        self.definitions[result] = instruction
        for bound in self.stated.get(result, ()):
            self.check_statement(bound)
        if not self.check_width(result, self.intervals[result], 24):
            self.contain(result)
        if result in self.roots:
            self.make_root(result)

    def compute(self, instruction: Instruction, result: str) -> None:
        operands = [self.operand(operand) for operand in instruction.operands]
        tables = [self.tables[o] for o in instruction.operands if o in self.tables]
        words = [o for o in instruction.operands if isinstance(o, str)]
        if words and len(tables) == len(words) and len({root for root, _ in tables}) == 1:
            values = [
                self.tables[o][1] if isinstance(o, str) else np.int64(o)
                for o in instruction.operands
            ]
            table = np.asarray(apply(instruction.opcode, values, instruction.shift))
            self.intervals[result] = IntegerInterval.of(table.min(), table.max())
            if self.afford(table.size):
                self.tables[result] = (tables[0][0], table)
        else:
            self.intervals[result] = interval_of(instruction.opcode, operands, instruction.shift)
        if instruction.opcode == "MUL_SHR":
            self.check_product(result, operands)

    def check_product(self, result: str, operands: list[IntegerInterval]) -> None:
        left, right = operands

        def reason(neuron: int) -> str:
            widths = left.of_neuron(neuron).bits, right.of_neuron(neuron).bits
            return (
                f"multiplies {widths[0]} by {widths[1]} bits; MUL_SHR takes 16 by 16 or 24 by 8 "
                "(32-bit product)"
            )

        fits = [left.fits(a) & right.fits(b) for a, b in PRODUCT_WIDTHS]
        self.refuse(result, ~np.logical_or.reduce(fits), reason)

    def contain(self, word: str) -> None:
        """After a violation, go on with what fits: no consequential errors, no int64 overflow."""
        known = self.intervals[word]
        self.intervals[word] = IntegerInterval(
            np.clip(known.low, *WORD_RANGE), np.clip(known.high, *WORD_RANGE)
        )
        if word in self.tables:
            root, table = self.tables[word]
            self.tables[word] = (root, np.clip(table, *WORD_RANGE))

    def check_width(self, word: str, interval: IntegerInterval, bits: int) -> bool:
        def reason(neuron: int) -> str:
            reach = interval.of_neuron(neuron)
            return (
                f"can reach {list(reach.hull)}, which needs {reach.bits} bits; the limit is {bits}"
            )

        return self.refuse(word, ~interval.fits(bits), reason)

    def refuse(self, word: str, bad: npt.NDArray[np.bool_], reason: Callable[[int], str]) -> bool:
        """Notes the reason for each bad neuron, by name; whether there was none."""
        neurons = np.flatnonzero(np.atleast_1d(bad))
        for neuron in neurons[:NEURONS_NAMED]:
            where = f" of neuron {neuron}" if bad.ndim else ""
            self.problems.append(f"word {word!r}{where} {reason(int(neuron))}")
        if neurons.size > NEURONS_NAMED:
            self.problems.append(
                f"word {word!r}: {neurons.size - NEURONS_NAMED} more neurons like these"
            )
        return neurons.size == 0

    def check_statement(self, bound: Bound) -> None:
        word = bound.word
        if bound.proof == "clamp":
            proved = self.clamp_interval(word)
        elif bound.proof == "exhaustion":
            root = self.tables.get(word, ("", None))[0]
            proved = self.intervals[word] if root == bound.of[0] else None
        else:
            proved = self.convex_interval(word, bound.of)
        if proved is None:
            self.problems.append(
                f"bound of {word!r} cannot be checked by {bound.proof}"
                + (f" from {', '.join(bound.of)}" if bound.of else "")
            )
            return
        low, high = proved.hull
        if (bound.low is not None and low < bound.low) or (
            bound.high is not None and high > bound.high
        ):
            self.problems.append(
                f"bound [{bound.low}, {bound.high}] stated of {word!r} does not hold: "
                f"by {bound.proof} it reaches [{low}, {high}]"
            )
            return
        known = self.intervals[word]
        self.intervals[word] = IntegerInterval.of(
            np.maximum(known.low, proved.low), np.minimum(known.high, proved.high)
        )

    def definition(self, operand: Operand) -> Instruction | None:
        return self.definitions.get(operand) if isinstance(operand, str) else None

    def clamp_interval(self, word: str) -> IntegerInterval | None:
        """Patterns that bound a word: SEL(LT(x, y), y, x) is the larger of x and y,
        SEL(LT(x, y), x, y) the smaller, and MIN(x, NEG(x)) is -|x|, never above 0.
        """
        select = self.definitions[word]
        if select.opcode == "MIN":
            x, y = select.operands
            mirrored = self.definition(y)
            if mirrored is None or mirrored.opcode != "NEG" or mirrored.operands != (x,):
                return None
            known = self.intervals[word]
            return IntegerInterval.of(known.low, np.minimum(known.high, 0))
        condition = self.definition(select.operands[0])
        if select.opcode != "SEL" or condition is None or condition.opcode != "LT":
            return None
        x, y = condition.operands
        a, b = self.operand(x), self.operand(y)
        if select.operands[1:] == (y, x):
            return IntegerInterval.of(np.maximum(a.low, b.low), np.maximum(a.high, b.high))
        if select.operands[1:] == (x, y):
            return IntegerInterval.of(np.minimum(a.low, b.low), np.minimum(a.high, b.high))
        return None

    def convex_interval(self, word: str, of: tuple[str, ...]) -> IntegerInterval | None:
        """The word as a polynomial in the words `of`, which may depend on each other: the corners
        of their box bound it for every point of the box.
        """
        self.trail -= 1
        if self.trail < 0 or len(of) > LARGEST_BOX or not all(w in self.intervals for w in of):
            return None
        box = {w: self.intervals[w].hull for w in of}
        known = {w: _Polynomial({(w,): Fraction(1)}) for w in of}
        for result, instruction in self.between(of, word):
            operands = [
                known.get(o) if isinstance(o, str) else _Polynomial({(): Fraction(o)})
                for o in instruction.operands
            ]
            combined = _combine(instruction, operands, box)
            self.trail -= 1
            if combined is None or not combined.is_small() or self.trail < 0:
                return None
            known[result] = combined
        return known[word].bounds(box)

    def between(self, of: tuple[str, ...], word: str) -> list[tuple[str, Instruction]]:
        """The instructions that make `word` of the words `of`, in order."""
        needed, found = {word}, []
        for result, instruction in reversed(self.definitions.items()):
            if result in needed and result not in of:
                found.append((result, instruction))
                needed.update(o for o in instruction.operands if isinstance(o, str))
        return found[::-1]


@dataclass(frozen=True)
class _Polynomial:
    """sum of coefficient * product of words, plus an error in [low, high] from rounding."""

    terms: dict[tuple[str, ...], Fraction]
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)

    def is_small(self) -> bool:
        numbers = (*self.terms.values(), self.low, self.high)
        return len(self.terms) <= LARGEST_POLYNOMIAL and all(
            max(n.numerator.bit_length(), n.denominator.bit_length()) <= LARGEST_COEFFICIENT
            for n in numbers
        )

    def multilinear(self) -> bool:
        return all(len(set(term)) == len(term) for term in self.terms)

    def range(self, box: Mapping[str, tuple[int, int]]) -> tuple[Fraction, Fraction]:
        """Exact range without the error: a multilinear function is extreme at corners."""
        words = sorted({word for term in self.terms for word in term})
        values: list[Fraction] = []
        for corner in product(*(box[word] for word in words)):
            at = dict(zip(words, corner, strict=True))
            total = Fraction(0)
            for term, coefficient in self.terms.items():
                for word in term:
                    coefficient = coefficient * at[word]
                total += coefficient
            values.append(total)
        return min(values), max(values)

    def bounds(self, box: Mapping[str, tuple[int, int]]) -> IntegerInterval | None:
        if not self.multilinear():
            return None
        low, high = self.range(box)
        # The word is an integer, so the real bound may be rounded inwards. What leaves int64 says
        # no more than the plain interval, with which it is intersected.
        whole = (ceil(low + self.low), floor(high + self.high))
        return IntegerInterval.of(*(max(-LARGEST_BOUND, min(end, LARGEST_BOUND)) for end in whole))


def _combine(
    instruction: Instruction,
    operands: list[_Polynomial | None],
    box: Mapping[str, tuple[int, int]],
) -> _Polynomial | None:
    """Polynomial of a linear operation or of a product; None for anything else."""
    if any(operand is None for operand in operands):
        return None
    values = [operand for operand in operands if operand is not None]
    if instruction.opcode == "ADD":
        a, b = values
        terms = dict(a.terms)
        for term, coefficient in b.terms.items():
            terms[term] = terms.get(term, Fraction(0)) + coefficient
        terms = {term: coefficient for term, coefficient in terms.items() if coefficient}
        return _Polynomial(terms, a.low + b.low, a.high + b.high)
    if instruction.opcode == "NEG":
        (a,) = values
        return _Polynomial({t: -c for t, c in a.terms.items()}, -a.high, -a.low)
    if instruction.opcode == "SHL" and instruction.shift is not None:
        return _scaled(values[0], Fraction(1 << instruction.shift))
    if instruction.opcode == "MUL_SHR" and instruction.shift is not None:
        return _product(values[0], values[1], instruction.shift, box)
    return None


def _scaled(a: _Polynomial, factor: Fraction) -> _Polynomial:
    return _Polynomial({t: c * factor for t, c in a.terms.items()}, a.low * factor, a.high * factor)


def _product(
    a: _Polynomial, b: _Polynomial, shift: int, box: Mapping[str, tuple[int, int]]
) -> _Polynomial | None:
    """(A + a)(B + b) / 2**shift with errors a, b; the floor takes up to one more away."""
    if not (a.multilinear() and b.multilinear()):
        return None
    terms: dict[tuple[str, ...], Fraction] = {}
    for (left, c), (right, d) in product(a.terms.items(), b.terms.items()):
        term = tuple(sorted(left + right))
        terms[term] = terms.get(term, Fraction(0)) + c * d
    low, high = _product_error(a, b, box)
    scale = Fraction(1, 1 << shift)
    scaled = {t: c * scale for t, c in terms.items() if c}
    return _Polynomial(scaled, low * scale - (1 if shift else 0), high * scale)


def _product_error(
    a: _Polynomial, b: _Polynomial, box: Mapping[str, tuple[int, int]]
) -> tuple[Fraction, Fraction]:
    pairs = (
        (a.range(box), (b.low, b.high)),
        (b.range(box), (a.low, a.high)),
        ((a.low, a.high), (b.low, b.high)),
    )
    low = high = Fraction(0)
    for x, y in pairs:
        corners = [p * q for p, q in product(x, y)]
        low += min(corners)
        high += max(corners)
    return low, high


def prove(
    program: NeuronProgram,
    accumulators: Mapping[str, IntegerInterval],
    parameters: Mapping[str, npt.ArrayLike],
) -> ProvedBounds:
    """Bounds of every word, from the bounds of what enters the program.

    Args:
        program: the neuron program.
        accumulators: interval of each accumulator's sum, per neuron.
        parameters: values of each parameter, (neurons,).

    Returns:
        Intervals of all words; state words after their update and the message carry a prime
        (`h'`, `message'`). Problems name the word and the neuron.
    """
    prover = _Prover(program)
    for name in program.accumulators:
        prover.intervals[name] = accumulators[name]
    for name, bits in program.parameters:
        values = np.asarray(parameters[name], np.int64)
        prover.intervals[name] = IntegerInterval.of(values, values)
        prover.check_width(name, prover.intervals[name], bits)
    for name, bits in program.states:
        prover.intervals[name] = IntegerInterval.of(*signed_range(bits))
    for instruction in program.instructions:
        prover.run(instruction)
    for name, bits in program.states:
        written = prover.intervals.get(f"{name}'")
        if written is not None:
            prover.check_width(f"{name}'", written, bits)
    return ProvedBounds(prover.intervals, tuple(prover.problems))
