"""Makes a stock program part by part: what families build their stages of.

Every part says of which sums it is made, and its bound follows from theirs; a bound that needs more
than that is stated, and proved by the program that is made in the end. Delays follow from the
connections. Nothing has a bias: constants are channels that the host sends with each sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lnn2loihi.errors import Problems, ProgramError
from lnn2loihi.formats import WORD_BITS, IntegerArray, bits_needed
from lnn2loihi.neurons.instructions import LARGEST_SHIFT
from lnn2loihi.neurons.stock import FIRST_IN, IN, SECOND_IN, VALUE, StockNeuron
from lnn2loihi.program import LoihiProgram, Population
from lnn2loihi.targets.stock.drafts import Draft, wired_program
from lnn2loihi.targets.stock.form import StockForm
from lnn2loihi.targets.stock.lines import Lines
from lnn2loihi.targets.stock.notes import Notes
from lnn2loihi.targets.stock.scales import Scales
from lnn2loihi.targets.stock.sums import (
    LARGEST_WEIGHT,
    Messages,
    Signal,
    Sum,
    Synapses,
    connections,
    each,
    stacked,
)

#: Name of the population of constants, and the exponents of two that all others are made of.
CONSTANTS = "constants"
COARSE_BITS = 14
#: What sums of rectifiers may reach while messages arrive, with room for constants.
LARGEST_PARTIAL = (1 << (WORD_BITS - 1)) - (1 << (WORD_BITS - 4))
#: What helps where a target cannot take a program.
OTHERS = "use the target split, or fused, which take it"


class Parts:
    """The parts of a stock program that is being made.

    Args:
        program: the fused program.
        form: how it is made.
        scales: how coarse its sums and messages are.
    """

    def __init__(self, program: LoihiProgram, form: StockForm, scales: Scales) -> None:
        self.program, self.form, self.scales = program, form, scales
        self.problems = Problems(ProgramError, f"program {program.name!r}")
        port = program.input
        self._drafts: list[Draft] = []
        self._sums: dict[tuple[str, str], Sum] = {}
        self._ranges: dict[str, tuple[IntegerArray, IntegerArray]] = {
            port.name: (np.minimum(port.low, 0), np.maximum(port.high, 0))
        }
        self._signals = {port.name: Signal((Messages(port.name, np.arange(port.size)),))}
        self._constants: dict[int, int] = {}
        self.notes = Notes(form)
        self._taken = {port.name, *(p.name for p in program.populations)}
        self.constants_name = self.free_name(CONSTANTS)

    def refuse(self, name: str, problem: str) -> None:
        """Notes why a population has no such form; all are raised together in the end."""
        self.problems.add(f"{name}: {problem}")

    def free_name(self, name: str) -> str:
        """The name, or one like it that nothing else has."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    # What populations of the fused program are sent as.

    def announce(self, population: Population, signal: Signal, low: int, high: int) -> None:
        """Says what the messages of a population become, before anybody hears them.

        Args:
            population: of the fused program.
            signal: its messages.
            low: the smallest message of each of the terms.
            high: the largest.
        """
        self._signals[population.name] = signal
        for term in signal.terms:
            size = int(term.columns.max()) + 1
            ends = np.full(size, min(low, 0)), np.full(size, max(high, 0))
            known = self._ranges.get(term.source)
            if known is None or known[0].size < size:
                self._ranges[term.source] = ends

    def signal(self, population: Population) -> Signal:
        """What the messages of a population of the fused program were announced to be."""
        return self._signals[population.name]

    def settle(self, population: Population, signal: Signal) -> None:
        """Says what the messages of a population have become, after its neurons were made."""
        self._signals[population.name] = signal

    def heard(self, population: Population, accumulators: Sequence[str], coarser: int = 0) -> Sum:
        """What some accumulators of a population hear, one after the other, as synapses of their
        stock senders.

        Args:
            population: of the fused program.
            accumulators: some of its accumulators.
            coarser: by how many bits the sums count in coarser units.
        """
        size, found = population.size, list[Synapses]()
        for c in self.program.incoming(population.name):
            signal = self._signals.get(c.source)
            if signal is None:
                self.refuse(
                    c.target, f"it hears {c.source} of the sample before, which is not known yet; "
                    f"{OTHERS}",
                )  # fmt: skip
                continue
            listed = c.unrolled()
            rows = np.repeat(np.arange(c.rows), np.diff(listed.row_starts))
            weights = listed.mantissas.astype(np.int64) << c.exponent
            for place, accumulator in enumerate(accumulators):
                if accumulator not in c.accumulators:
                    continue
                begin = c.accumulators.index(accumulator) * size
                chosen = (begin <= rows) & (rows < begin + size)
                for term in signal.terms:
                    own = weights[chosen] * term.factor
                    rounded = (own + ((1 << coarser) >> 1)) >> coarser
                    found.append(
                        Synapses(
                            term.source, rows[chosen] - begin + place * size,
                            term.columns[listed.columns[chosen]], rounded,
                        )
                    )  # fmt: skip
        return Sum(size * len(accumulators), tuple(found))

    # Constants.

    def constants(self, values: IntegerArray) -> Sum:
        """A constant for each neuron, of up to 24 bits, in digits."""
        values = np.asarray(values, np.int64)
        half = 1 << (COARSE_BITS - 1)
        fine = ((values + half) & ((1 << COARSE_BITS) - 1)) - half
        coarse = (values - fine) >> COARSE_BITS
        parts = [self._channel(1 << bits, own) for bits, own in ((0, fine), (COARSE_BITS, coarse))]
        return Sum(values.size, tuple(part for part in parts if part.rows.size))

    def constant(self, value: int, size: int, weight: int = 1) -> Sum:
        """The same constant for all neurons, on a channel of its own."""
        return Sum(size, (self._channel(value, np.full(size, weight)),))

    def _channel(self, value: int, weights: IntegerArray) -> Synapses:
        rows = np.flatnonzero(weights)
        if rows.size:
            self._constants.setdefault(value, len(self._constants))
        column = self._constants.get(value, 0)
        return Synapses(self.constants_name, rows, np.full(rows.size, column), weights[rows])

    # Neurons.

    def product(
        self,
        name: str,
        first: Sum,
        second: Sum,
        shift: int,
        *,
        bound: tuple[int, int] | None = None,
        like: Population | None = None,
        copies: int = 1,
        coarser: int = 0,
        initial: IntegerArray | None = None,
    ) -> Signal:
        """A population of products (first second) >> shift.

        Args:
            name: of the population.
            first: a factor of 16 bits, or of 24.
            second: the other one, of 16 bits, or of 8.
            shift: right shift.
            bound: smallest and largest message, where it does not follow from the factors' own.
            like: the population whose messages it sends, for their scale and offset.
            copies: how many values it sends of each of that one's neurons.
            coarser: by how many bits they are coarser than that one's messages.
            initial: what it sends before the first sample, if it is heard in a loop; 0 by default.
        """
        if bound is None:
            ends = [a * b for a in self.interval(first) for b in self.interval(second)]
            low, high = (int(end(ends)) * 2 ** max(-shift, 0) >> max(shift, 0)
                         for end in (np.min, np.max))  # fmt: skip
            # Before the first sample it is 0.
            bound = min(low, 0), max(high, 0)
        if not 0 <= shift <= LARGEST_SHIFT:
            far = (
                "its weights and messages are too coarse" if shift < 0 else "its weights are small"
            )
            self.refuse(
                name, f"its product is shifted right by {shift} bits, 0 to {LARGEST_SHIFT} are "
                f"possible, since {far} for stock neurons; quantize with another recipe, scale "
                f"the inputs, or {OTHERS}",
            )  # fmt: skip
            shift = 0
        neuron = StockNeuron("product", shift=shift)
        return self._made(
            Draft(name, neuron, first.size, *bound, {}, like, copies, coarser, initial),
            {FIRST_IN: first, SECOND_IN: second},
        )

    def threshold(
        self,
        name: str,
        total: Sum,
        *,
        bound: tuple[int, int] | None = None,
        like: Population | None = None,
        coarser: int = 0,
    ) -> Signal:
        """A population that sends what it hears; arguments as of `product`."""
        low, high = self.hull(total) if bound is None else bound
        draft = Draft(
            name, StockNeuron("threshold"), total.size, min(low, 0), max(high, 0), {}, like,
            coarser=coarser,
        )  # fmt: skip
        return self._made(draft, {IN: total})

    def rectified(
        self,
        name: str,
        total: Sum,
        offsets: Sequence[int],
        *,
        bound: tuple[int, int] | None = None,
        like: Population | None = None,
        coarser: int = 0,
    ) -> list[Signal]:
        """For each offset max(total + offset, 0) of all neurons, as one population, or as two of
        thresholds: relu(v) = T(2 v + theta) - T(v + theta) for |v| <= theta, with T = GradedVec.

        Args:
            name: of the population.
            total: the sum.
            offsets: what is added to it, for each copy.
            bound: of the sum, where it is narrower than what its terms can reach each by itself.
            like: as of `product`.
            coarser: as of `product`.
        """
        size = total.size
        copies = total.repeated(len(offsets))
        low, high = self.hull(total) if bound is None else bound
        smallest, largest = low + min(offsets), high + max(offsets)
        if self.form.flavour == "relu":
            heard = copies + self._offsets(offsets, size)
            neuron = StockNeuron("rectifier")
            draft = Draft(
                name, neuron, heard.size, 0, max(largest, 0), {}, like, len(offsets), coarser
            )
            signals = [self._made(draft, {IN: heard})]
        else:
            theta, signals = max(largest, -smallest, 1), []
            for factor, sign in ((2, 1), (1, -1)):
                heard = copies.times(factor) + self._offsets(
                    [factor * offset + theta for offset in offsets], size
                )
                bound = min(factor * smallest + theta, 0), max(factor * largest + theta, 0)
                own = name if factor == 1 else self.free_name(f"{name}.twice")
                draft = Draft(
                    own, StockNeuron("threshold", theta), heard.size, *bound, {}, like,
                    len(offsets), coarser,
                )  # fmt: skip
                made = self._made(draft, {IN: heard})
                signals.append(Signal(tuple(replace(t, factor=sign) for t in made.terms)))
        terms = [term for signal in signals for term in signal.terms]
        return [
            Signal(tuple(terms)).part(slice(place * size, (place + 1) * size))
            for place in range(len(offsets))
        ]

    def _offsets(self, offsets: Sequence[int], size: int) -> Sum:
        """Offsets of groups of neurons; those of both signs share a channel."""
        parts = []
        for offset in offsets:
            sign = -1 if offset < 0 else 1
            parts.append(self.constant(abs(offset), size, sign) if offset else Sum(size))
        return stacked(parts)

    def activated(self, name: str, arguments: Sequence[Sum], lines: Lines) -> list[Sum]:
        """For each argument full f + T, with f the activation of the lines: 0 to 2 T.

        Arguments that reach so far that sums of rectifiers would not fit an accumulator are held
        within the last knots before, by two rectifiers more and a step later; f is flat beyond.
        """
        total, end, bound = stacked(arguments), lines.knots[-1], None
        offsets = [*lines.knots, *(-t for t in lines.knots)]
        if lines.passing(self.form.flavour) * (self.reach(total) + end) > LARGEST_PARTIAL:
            above, below = self.rectified(self.free_name(f"{name}.ends"), total, [end, -end])
            total, bound = each(above) + each(below, -1), (0, 2 * end)
            offsets = [offset - end for offset in offsets]
        signals = self.rectified(name, total, offsets, bound=bound)
        changes = [*lines.changes, *(-c for c in lines.changes)]
        found, begin = [], 0
        for argument in arguments:
            part = slice(begin, begin + argument.size)
            sums = [each(s.part(part), c) for s, c in zip(signals, changes, strict=True)]
            found.append(sum(sums[1:], sums[0]))
            begin += argument.size
        return found

    def _made(self, draft: Draft, sums: Mapping[str, Sum]) -> Signal:
        self._drafts.append(draft)
        for port, total in sums.items():
            self._sums[draft.name, port] = total
            widest = max((int(np.abs(s.weights).max(initial=0)) for s in total.synapses), default=0)
            if widest > LARGEST_WEIGHT:
                self.refuse(
                    draft.name, f"a weight of {widest} is wider than the {LARGEST_WEIGHT} that two "
                    f"digits make; {OTHERS}",
                )  # fmt: skip
        ends = min(draft.low, 0), max(draft.high, 0)
        self._ranges[draft.name] = np.full(draft.size, ends[0]), np.full(draft.size, ends[1])
        if bits_needed(draft.low, draft.high) > WORD_BITS:
            self.refuse(
                draft.name, f"its messages reach [{draft.low}, {draft.high}], beyond {WORD_BITS} "
                f"bits; train the network with smaller weights, or {OTHERS}",
            )  # fmt: skip
        return Signal((Messages(draft.name, np.arange(draft.size)),))

    # Bounds.

    def interval(self, total: Sum) -> tuple[IntegerArray, IntegerArray]:
        """Smallest and largest sum of each neuron, (size,), when sources are independent of each
        other, constants excepted.
        """
        low, high = np.zeros((2, total.size), np.int64)
        values = np.array([*self._constants, 0], np.int64)
        for s in total.synapses:
            if s.source == self.constants_name:
                ends = (s.weights * values[s.columns],) * 2
            else:
                ranges = self._ranges[s.source]
                ends = s.weights * ranges[0][s.columns], s.weights * ranges[1][s.columns]
            np.add.at(low, s.rows, np.minimum(*ends))
            np.add.at(high, s.rows, np.maximum(*ends))
        return low, high

    def sizes(self, s: Synapses) -> IntegerArray:
        """Largest magnitude of the message of each synapse, (synapses,)."""
        low, high = self._ranges[s.source]
        return np.maximum(np.abs(low), np.abs(high))[s.columns]

    def hull(self, total: Sum) -> tuple[int, int]:
        """Smallest and largest of the sums of all neurons."""
        low, high = self.interval(total)
        return int(low.min()), int(high.max())

    def reach(self, total: Sum) -> int:
        """Largest magnitude of the sums of all neurons."""
        return max(map(abs, self.hull(total)))

    # The program.

    def made(self) -> LoihiProgram:
        """The program.

        Raises:
            ProgramError: a population has no such form; names all.
        """
        self.problems.raise_if_any()
        values = np.array(list(self._constants), np.int64)
        constants = Draft(
            self.constants_name, StockNeuron("constant"), values.size,
            int(values.min(initial=0)), int(values.max(initial=0)), {VALUE: values},
        )  # fmt: skip
        drafts = [constants, *self._drafts] if values.size else self._drafts
        sizes = {self.program.input.name: self.program.input.size}
        sizes |= {draft.name: draft.size for draft in drafts}
        wired = [
            c for (target, port), total in self._sums.items()
            for c in connections(target, port, total, sizes)
        ]  # fmt: skip
        return wired_program(self.program, drafts, wired, self.notes.warnings())
