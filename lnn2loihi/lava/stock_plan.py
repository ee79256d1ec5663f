"""The graph of Lava's own processes that a program of stock neurons is, as plain arrays.

Populations become processes one to one; what is no neuron comes from the host, in one vector a
chip step: the channels of the sample, the constants, and what is sent into loops before the first
sample. All that runs such a graph (Lava's simulator, a folder for a board) is made from here, and
nothing here imports Lava.

Lava's processes know no phase: they answer to whatever arrives, in every step. They need none,
because a program without delays has nothing to drop: the host sends in the steps of the schedule
alone, and every message is one step, so whatever arrives is in phase, and in all other steps
everything is 0. Loops begin with 0, or with what the host sends in the place of their messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import Problems, ProgramError
from lnn2loihi.formats import MESSAGE_BITS, IntegerArray, signed_range
from lnn2loihi.graph.connection import Connection
from lnn2loihi.graph.schedule import is_recurrent
from lnn2loihi.lava.plan import LavaPlan, plan_run
from lnn2loihi.neurons.stock import FIRST_IN, IN, SECOND_IN, VALUE, StockNeuron, stock_neuron
from lnn2loihi.program import LoihiProgram, Population

#: What a refusal tells to type.
REMEDY = 'prepare it for the target "stock": --target stock, or target="stock"'
#: What it tells where some populations are prepared.
JOINED = (
    "the others are, since it was joined of programs of which some were prepared: run each part by "
    'itself, prepared for the target "stock"'
)
#: Populations that a refusal names.
LISTED = 3


@dataclass(frozen=True)
class StockProcess:
    """A process of Lava's.

    Attributes:
        name: name of the population.
        kind: "rectifier" (GradedReluVec), "threshold" (GradedVec) or "product" (ProdNeuron).
        size: neurons.
        threshold: its `vth`.
        shift: its `exp`; 0 but for products.
    """

    name: str
    kind: str
    size: int
    threshold: int
    shift: int


@dataclass(frozen=True, eq=False)
class StockSynapses:
    """A process `Sparse`: row i adds mantissa * 2**exponent * message to neuron i of the target.

    Attributes:
        source: name of a process, or of the host.
        target: name of a process.
        port: `a_in`, or `a_in1` and `a_in2` of products.
        rows, columns, mantissas: int32 (synapses,): neuron of the target, neuron of the source (or
            channel of the host), and -128 to 127.
        exponent: left shift, 0 to 7.
    """

    source: str
    target: str
    port: str
    rows: npt.NDArray[np.int32]
    columns: npt.NDArray[np.int32]
    mantissas: npt.NDArray[np.int32]
    exponent: int


@dataclass(frozen=True)
class HostChannels:
    """Neighbouring channels of the host.

    Attributes:
        name: of the input port or of a population.
        role: "samples", "constant", or "before": what a population in a loop has sent before the
            first sample.
        first: place of the first.
        size: how many.
    """

    name: str
    role: Literal["samples", "constant", "before"]
    first: int
    size: int

    @property
    def places(self) -> slice:
        """Where they are."""
        return slice(self.first, self.first + self.size)


@dataclass(frozen=True, eq=False)
class StockPlan:
    """The graph.

    Attributes:
        program: what it executes.
        host: name of what sends samples and constants, which no process has.
        processes: in the order of the populations, without constants.
        synapses: in the order of the connections; one for each port, and once more for what the
            host sends in the place of a loop's first message.
        channels: of the host: those of the samples, constants, first messages of loops.
        constants: for each population of constants int64 (size,): what the host sends.
        settling: steps after the last message of the host from which on nobody sends anything; None
            where a loop may go on for ever.
    """

    program: LoihiProgram
    host: str
    processes: tuple[StockProcess, ...]
    synapses: tuple[StockSynapses, ...]
    channels: tuple[HostChannels, ...]
    constants: Mapping[str, IntegerArray]
    settling: int | None

    @property
    def host_size(self) -> int:
        """Channels of the host."""
        return sum(one.size for one in self.channels)

    def process(self, name: str) -> StockProcess:
        """The process of that name."""
        return next(one for one in self.processes if one.name == name)

    def layout(self, batch: int, time: int, width: int | None = None) -> LavaPlan:
        """Where sequences run: side by side, and one after another.

        Args:
            batch: sequences.
            time: updates of each.
            width: how many side by side; as many as are fast by default.

        Raises:
            ProgramError: sequences would have to follow one that may not end.
        """
        schedule = self.program.schedule
        found = plan_run(self.program, batch, time)
        if width is not None:
            found = replace(found, width=width, chunks=-(-batch // (width * schedule.interleave)))
        if found.chunks > 1 and self.settling is None:
            raise ProgramError(
                f"program {self.program.name!r}",
                "may send for ever once its samples have ended, so no sequence can follow another "
                "one; give one",
            )
        last_sent = schedule.first_input + (time - 1) * schedule.period + schedule.interleave - 1
        # Nobody sends in the step before a chunk begins, so nothing arrives in its first one.
        begin = last_sent + 1 + (self.settling or 0) + 1
        return replace(found, silence=max(0, begin - found.steps))

    def stream(
        self,
        layout: LavaPlan,
        inputs: IntegerArray,
        start: Mapping[str, Mapping[str, IntegerArray]],
    ) -> npt.NDArray[np.int32]:
        """What the host sends, a row a chip step: int32 (steps, width * host_size).

        Args:
            layout: of the run.
            inputs: encoded samples, integers (batch, time, channels).
            start: for each population and state word integers (batch, neurons).
        """
        sent = np.zeros((layout.total_steps, layout.width, self.host_size), np.int32)
        schedule = self.program.schedule
        for chunk, order in enumerate(layout.order):
            for turn, places in enumerate(order):
                begin = chunk * layout.steps + turn
                rows = _steps(layout, begin, schedule.first_input)
                for channels in self.channels:
                    name, where = channels.name, channels.places
                    if channels.role == "samples":
                        sent[rows, :, where] = inputs[places].swapaxes(0, 1)
                    elif channels.role == "constant":
                        sent[rows, :, where] = self.constants[name]
                    else:
                        step = begin + schedule.first_valid[name] - schedule.period
                        (values,) = start[name].values()
                        sent[step, :, where] = values[places]
        return sent.reshape(layout.total_steps, -1)

    def heard(self, layout: LavaPlan, name: str, messages: npt.NDArray[np.int32]) -> IntegerArray:
        """Messages of a population in the time of samples, int64 (batch, time, neurons).

        Args:
            layout: of the run.
            name: of the population.
            messages: those of every chip step, int32 (steps, width * neurons).
        """
        first = self.program.schedule.first_valid[name]
        blocks = messages.reshape(len(messages), layout.width, -1)
        found = np.zeros((*layout.order.shape, layout.time, blocks.shape[2]), np.int64)
        for chunk in range(layout.chunks):
            for turn in range(layout.schedule.interleave):
                rows = _steps(layout, chunk * layout.steps + turn, first)
                found[chunk, turn] = blocks[rows].swapaxes(0, 1)
        return found.reshape(-1, *found.shape[3:])[: layout.batch]

    def first_out_of_phase(
        self, layout: LavaPlan, name: str, messages: npt.NDArray[np.int32]
    ) -> int | None:
        """The first chip step in which a population has sent something out of phase; None where
        there is none. What a loop goes on with after the last sample is in phase.
        """
        schedule = layout.schedule
        steps = np.arange(len(messages)) % layout.steps - schedule.first_valid[name]
        silent = (steps < 0) | (steps % schedule.period >= schedule.interleave)
        loud = messages.any(axis=1) & silent
        return int(np.argmax(loud)) if loud.any() else None


def why_not_stock(program: LoihiProgram) -> list[str]:
    """Everything because of which a program is no graph of Lava's own processes; nothing where it
    is one.
    """
    found: list[str] = []
    others = [p for p in program.populations if stock_neuron(p.program) is None]
    if others:
        named = ", ".join(f"{p.name} ({p.program.name})" for p in others[:LISTED])
        more = f" and {len(others) - LISTED} more" * (len(others) > LISTED)
        some = len(others) < len(program.populations)
        found.append(
            f"population{'s' * (len(others) > 1)} {named}{more}: none of Lava's own neurons "
            f"(rectifier, threshold, product); {JOINED if some else REMEDY}"
        )
    # Connections of one name differ in exponents alone.
    delayed = [*dict.fromkeys(f"{c.name} ({c.delay})" for c in program.connections if c.delay)]
    if delayed:
        more = f" and {len(delayed) - LISTED} more" * (len(delayed) > LISTED)
        found.append(
            f"synapses with delays: {', '.join(delayed[:LISTED])}{more}; messages take one step "
            f"here, and what has to wait goes through neurons; {REMEDY}"
        )
    low, high = signed_range(MESSAGE_BITS)
    ends = {program.input.name: (int(program.input.low.min()), int(program.input.high.max()))}
    ends |= {p.name: (p.message_low, p.message_high) for p in program.populations}
    for name, (least, most) in ends.items():
        if least < low or most > high:
            found.append(
                f"{name}: messages in [{least}, {most}]; {MESSAGE_BITS} bits hold [{low}, {high}]"
            )
    for p in program.populations:
        if p.turns.kept:
            found.append(
                f"{p.name}: its accumulators take turns, and Lava's processes hear all at once; "
                f"{REMEDY}"
            )
    return found


def stock_plan(
    program: LoihiProgram, start: Mapping[str, Mapping[str, IntegerArray]] | None = None
) -> StockPlan:
    """The graph of a program.

    Args:
        program: what it executes.
        start: for each population and state word integers (batch, neurons), that loops begin with;
            zeros by default.

    Raises:
        ProgramError: it is no graph of Lava's own processes; lists all that is in the way.
    """
    problems = Problems(ProgramError, f"program {program.name!r} as Lava's own processes")
    problems.extend(why_not_stock(program))
    problems.raise_if_any()
    neurons = {p.name: _neuron(p) for p in program.populations}
    constants = {
        p.name: np.broadcast_to(p.parameters[VALUE], p.size).astype(np.int64)
        for p in program.populations
        if neurons[p.name].kind == "constant"
    }
    sizes = {name: values.size for name, values in constants.items()}
    begun = [p for p in program.populations if _begins(p, start or {})]
    channels: dict[str, HostChannels] = {}
    first = 0
    for name, size in ((program.input.name, program.input.size), *sizes.items()):
        role = "constant" if name in sizes else "samples"
        channels[name] = HostChannels(name, role, first, size)
        first += size
    starts: dict[str, HostChannels] = {}
    for p in begun:
        starts[p.name] = HostChannels(p.name, "before", first, p.size)
        first += p.size
    host = "host"
    while host in neurons:
        host += "_"
    synapses = tuple(_synapses(program, host, channels, starts))
    processes = tuple(
        StockProcess(p.name, n.kind, p.size, n.threshold, n.shift)
        for p in program.populations
        if (n := neurons[p.name]).kind != "constant"
    )
    every = (*channels.values(), *starts.values())
    settled = _settling(host, processes, synapses)
    return StockPlan(program, host, processes, synapses, every, constants, settled)


def _neuron(population: Population) -> StockNeuron:
    found = stock_neuron(population.program)
    assert found is not None
    return found


def _begins(population: Population, start: Mapping[str, Mapping[str, IntegerArray]]) -> bool:
    """Whether it sends something before the first sample."""
    return any(np.any(values) for values in start.get(population.name, {}).values())


def _synapses(
    program: LoihiProgram,
    host: str,
    channels: Mapping[str, HostChannels],
    starts: Mapping[str, HostChannels],
) -> Iterator[StockSynapses]:
    order = [program.input.name, *(p.name for p in program.populations)]
    places = {name: place for place, name in enumerate(order)}
    for c in (either.unrolled() for either in program.connections):
        for index in range(len(c.accumulators)):
            yield _of(program, host, c, index, channels.get(c.source))
            if c.source in starts and is_recurrent(c, places):
                yield _of(program, host, c, index, starts[c.source])


def _of(
    program: LoihiProgram,
    host: str,
    connection: Connection,
    index: int,
    channels: HostChannels | None,
) -> StockSynapses:
    """The rows of one accumulator, which has the name of the port; from the host where its channels
    are given.
    """
    size = program.population(connection.target).size
    starts = connection.row_starts[index * size : (index + 1) * size + 1]
    chosen = slice(int(starts[0]), int(starts[-1]))
    columns = connection.columns[chosen].astype(np.int32)
    return StockSynapses(
        host if channels else connection.source,
        connection.target,
        connection.accumulators[index],
        np.repeat(np.arange(size, dtype=np.int32), np.diff(starts)),
        columns + np.int32(channels.first) if channels else columns,
        connection.mantissas[chosen].astype(np.int32),
        connection.exponent,
    )


def _settling(
    host: str, processes: tuple[StockProcess, ...], synapses: tuple[StockSynapses, ...]
) -> int | None:
    """Steps after the last message of the host from which on no process sends anything.

    A process is silent one step after all that it hears; a product one step after one of its two
    factors. So a loop ends where it passes a product whose other factor comes from outside of it.
    """
    never = np.inf
    silent: dict[str, float] = {host: 0.0, **{one.name: never for one in processes}}
    heard: dict[str, dict[str, set[str]]] = {
        one.name: {port: set() for port in _ports(one.kind)} for one in processes
    }
    for one in synapses:
        if one.mantissas.size:
            heard[one.target][one.port].add(one.source)
    for _ in processes:  # in each round at least one more is known, or none will be
        for name, ports in heard.items():
            latest = [max((silent[s] + 1 for s in them), default=0.0) for them in ports.values()]
            silent[name] = min(silent[name], min(latest))
    longest = max(silent.values())
    return None if longest == never else int(longest)


def _steps(layout: LavaPlan, begin: int, first: int) -> slice:
    """Steps in which all samples of a sequence that begins in a step are due at a place."""
    start, period = begin + first, layout.schedule.period
    return slice(start, start + (layout.time - 1) * period + 1, period)


def _ports(kind: str) -> tuple[str, ...]:
    return (FIRST_IN, SECOND_IN) if kind == "product" else (IN,)
