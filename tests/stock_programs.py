"""Random programs of Lava's own processes, for property tests of proofs, engines and passes.

`stock_programs()` is a hypothesis strategy, `random_stock_program(seed)` what it draws from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lnn2loihi.formats import WORD_BITS, FixedPoint, bits_needed, signed_range
from lnn2loihi.graph.schedule import derive_schedule, matched_delays
from lnn2loihi.graph.sums import ProvedSums, with_proved_messages
from lnn2loihi.neurons.stock import FIRST_IN, IN, SECOND_IN, SENT, VALUE, Kind, StockNeuron
from lnn2loihi.program import Connection, InputPort, LoihiProgram, Population

#: Width of the messages that loops hear.
LOOP_BITS = 12


@dataclass(frozen=True)
class StockSizes:
    """What a random stock program looks like.

    Attributes:
        inputs: channels of a sample.
        stages: populations behind the constants.
        largest: neurons of a population, at most.
        loops: how many populations are heard of the sample before, at most.
        shared: whether rectifiers and thresholds have arguments in common, by pairs.
        message_bits: width of messages, at most.
    """

    inputs: int = 2
    stages: int = 5
    largest: int = 5
    loops: int = 2
    shared: bool = True
    message_bits: int = 16


def stock_population(
    name: str,
    neuron: StockNeuron,
    size: int,
    reach: tuple[int, int] | None = None,
    values: Any = None,
    initial: Any = 0,
) -> Population:
    """A population; its messages are those of `reach`, or of the width of the neuron's word.

    Args:
        name: its name.
        neuron: what each neuron is.
        size: how many of them.
        reach: smallest and largest message.
        values: of constants, (size,).
        initial: messages before the first sample, of what keeps them.
    """
    low, high = reach or signed_range(neuron.message_bits)
    message = FixedPoint(bits_needed(low, high), 0)
    state = {SENT: np.broadcast_to(initial, size)} if neuron.looped else {}
    parameters = {} if values is None else {VALUE: np.asarray(values)}
    return Population(name, neuron.program(), parameters, state, message, low, high, size)


def stock_program(
    populations: Sequence[Population],
    connections: Sequence[Connection],
    port: InputPort,
    output: str = "",
) -> LoihiProgram:
    """A program with the delays that its paths need, and the messages that are proved of it."""
    names = [p.name for p in populations]
    matched = matched_delays(port.name, names, connections)
    proved = with_proved_messages(port, populations, matched)
    schedule = derive_schedule(port.name, names, matched)
    return LoihiProgram(
        "stock", "by hand", port, proved, matched, output or names[-1], schedule
    )  # fmt: skip


def byte_port(channels: int, low: int = -128, high: int = 127) -> InputPort:
    """Channels that are sent as they are."""
    return InputPort(
        "input", FixedPoint(8, 0), np.full(channels, low), np.full(channels, high)
    )  # fmt: skip


def random_stock_program(seed: int, sizes: StockSizes = StockSizes()) -> LoihiProgram:  # noqa: B008
    """A program with random graphs, weights, thresholds, constants and initial messages.

    Every population hears something of the same sample; those with a state are also heard of the
    sample before, through one connection or two with different exponents.
    """
    rng = np.random.default_rng(seed)
    draft = _Draft(rng, sizes)
    for place in range(sizes.stages):
        draft.stage(f"stage_{place}")
    draft.loops()
    for place in range(1, sizes.stages + 1):
        draft.settle(place)
    return stock_program(draft.populations, draft.connections, draft.port)


class _Draft:
    def __init__(self, rng: np.random.Generator, sizes: StockSizes) -> None:
        self.rng, self.sizes = rng, sizes
        self.port = byte_port(sizes.inputs)
        values = [1, 1 << 14, *rng.integers(-1000, 1000, 2)]
        constants = stock_population("constants", StockNeuron("constant"), 4, values=values)
        self.populations = [constants]
        self.connections: list[Connection] = []
        looped = rng.permutation(sizes.stages)[: int(rng.integers(0, sizes.loops + 1))]
        self.looped = {f"stage_{place}" for place in looped}

    def stage(self, name: str) -> None:
        """One more population, and what it hears of the same sample."""
        rng = self.rng
        kinds: tuple[Kind, ...] = ("rectifier", "rectifier", "threshold", "product", "product")
        kind = kinds[int(rng.integers(len(kinds)))]
        threshold = int(rng.choice([0, 0, rng.integers(1, 300)])) if kind != "product" else 0
        neuron = StockNeuron(kind, threshold, 31 * (kind == "product"), name in self.looped)
        reach, initial = None, 0
        if neuron.looped:
            neuron, reach = replace(neuron, message_bits=LOOP_BITS), signed_range(LOOP_BITS)
        size = int(rng.integers(1, self.sizes.largest + 1))
        if self.sizes.shared and kind != "product":
            size *= 2
        if neuron.looped:
            initial = rng.integers(*signed_range(LOOP_BITS), size)
            initial = np.maximum(initial, 0) if kind == "rectifier" else initial
        before = [(self.port.name, self.port.size), *((p.name, p.size) for p in self.populations)]
        self.populations.append(stock_population(name, neuron, size, reach, None, initial))
        chosen = [before[int(n)] for n in rng.permutation(len(before))[: int(rng.integers(1, 4))]]
        if kind != "product":
            self._heard(name, (IN,), size, chosen)
            return
        latest = before[-1] if len(before) > 2 else before[0]
        self._heard(name, (FIRST_IN,), size, list(dict.fromkeys([*chosen, latest])))
        second = [before[int(n)] for n in rng.permutation(len(before))[:2]]
        self._heard(name, (SECOND_IN,), size, second)

    def _heard(
        self,
        name: str,
        accumulators: tuple[str, ...],
        size: int,
        sources: Sequence[tuple[str, int]],
    ) -> None:
        rng = self.rng
        pairs = accumulators == (IN,) and self.sizes.shared
        for source, columns in sources:
            weights = rng.integers(-6, 7, (size, columns)) * (rng.random((size, columns)) < 0.7)
            if pairs and source != "constants":
                factors = rng.choice([-2, -1, 1, 1, 2, 3], size // 2)[:, None]
                weights[size // 2 :] = factors * weights[: size // 2]
            elif source != self.port.name and source != "constants" and columns % 2 == 0:
                # What pairs send is often subtracted.
                weights[:, columns // 2 :] = -weights[:, : columns // 2]
            self.connections.append(
                Connection.from_dense(source, name, accumulators, weights)
            )  # fmt: skip
            if rng.random() < 0.3:
                digits = rng.integers(-2, 3, (size, columns))
                self.connections.append(
                    Connection.from_dense(source, name, accumulators, digits, exponent=3)
                )  # fmt: skip

    def loops(self) -> None:
        """What is heard of the sample before."""
        names = [p.name for p in self.populations]
        for source in self.populations:
            if source.name not in self.looped:
                continue
            targets = self.populations[1 : names.index(source.name) + 1]
            target = targets[int(self.rng.integers(len(targets)))]
            self._heard(
                target.name, target.program.accumulators[:1], target.size,
                [(source.name, source.size)],
            )  # fmt: skip

    def settle(self, place: int) -> None:
        """Weights, and the shift of a product, with which a population's sums and messages fit."""
        p = self.populations[place]
        words = signed_range(LOOP_BITS if p.name in self.looped else self.sizes.message_bits)
        for _ in range(16):
            matched = matched_delays(
                self.port.name, [p.name for p in self.populations], self.connections
            )
            sums = ProvedSums(self.port, self.populations, matched)
            for before in self.populations[:place]:
                sums.prove(before)
            proved = sums.prove(p)
            message = proved.words["message'"].hull
            if not proved.problems and words[0] <= message[0] and message[1] <= words[1]:
                shift = self._shift(p, proved.words, words)
                if shift is not None:
                    bits = LOOP_BITS if p.name in self.looped else WORD_BITS
                    neuron = StockNeuron("product", 0, shift, p.name in self.looped, bits)
                    self.populations[place] = replace(p, program=neuron.program())
                return
            self.connections = [self._halved(c) if c.target == p.name else c
                                for c in self.connections]  # fmt: skip
        raise AssertionError(f"{p.name}: nothing fits")

    @staticmethod
    def _shift(p: Population, words: Any, reach: tuple[int, int]) -> int | None:
        """The least shift with which the product fits; None for other neurons."""
        if p.program.name != "product":
            return None
        a, b = (words[name].hull for name in (FIRST_IN, SECOND_IN))
        corners = [x * y for x in a for y in b]
        return next(
            n for n in range(32) if all(reach[0] <= corner >> n <= reach[1] for corner in corners)
        )

    @staticmethod
    def _halved(c: Connection) -> Connection:
        weights = c.dense() >> c.exponent
        smaller = np.sign(weights) * (np.abs(weights) // 2)
        return Connection.from_dense(c.source, c.target, c.accumulators, smaller,
                                     exponent=c.exponent)  # fmt: skip


@st.composite
def stock_programs(draw: st.DrawFn, **fixed: Any) -> LoihiProgram:
    """Random stock programs; `fixed` are fields of StockSizes that are not drawn."""
    drawn = {
        "inputs": st.integers(1, 3),
        "stages": st.integers(1, 7),
        "largest": st.integers(1, 5),
        "loops": st.integers(0, 3),
        "shared": st.booleans(),
    }
    sizes = StockSizes(**{name: draw(of) for name, of in drawn.items() if name not in fixed},
                       **fixed)  # fmt: skip
    return random_stock_program(draw(st.integers(0, 1 << 16)), sizes)
