"""Builds the Lava process graph of a LoihiProgram.

One process for the input, one for each population and one for each connection, and one more for
each connection with a delay. Connections are Lava's stock `Sparse`; the others are in
`lnn2loihi.lava.processes`. The one builder serves the exporter and the runner.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import LavaRunError, Problems
from lnn2loihi.formats import MESSAGE_BITS, WEIGHT_BITS, IntegerArray
from lnn2loihi.lava.memory import shared_array
from lnn2loihi.lava.plan import LavaPlan, plan_run
from lnn2loihi.lava.shim import import_lava
from lnn2loihi.program import AnyConnection, Connection, Convolution, LoihiProgram, Population
from lnn2loihi.simulation.result import recorded_words

#: Model tag that the run configuration selects: integers, not floats.
TAG = "fixed_pt"
Records = Mapping[str, Mapping[str, npt.NDArray[np.int32]]]


@dataclass(frozen=True, eq=False)
class LavaGraph:
    """The processes of a program, connected, with the samples that they will run on.

    Lava lets processes run once: build another graph for another run.

    Attributes:
        program: what the graph executes.
        plan: how the sequences are laid out over steps and vectors.
        input: the `Source` process.
        populations: the `Neurons` process of each population, by its name.
        synapses: the `Sparse` process of each connection, in the order of the program; where the
            accumulators of its target take turns on ports, one for each port that it feeds.
        delays: the `Delay` process of each connection that has one, by its name.
        records: for each population and recorded word int32 (chunks, interleave, time, width * N),
            filled while the graph runs.
        progress: int64 (1,): number of steps that have begun.
    """

    program: LoihiProgram
    plan: LavaPlan
    input: Any
    populations: Mapping[str, Any]
    synapses: tuple[Any, ...]
    delays: Mapping[str, Any]
    records: Records = field(repr=False)
    progress: npt.NDArray[np.int64] = field(repr=False)

    @property
    def processes(self) -> tuple[Any, ...]:
        """All processes."""
        return (self.input, *self.populations.values(), *self.synapses, *self.delays.values())

    @property
    def steps(self) -> int:
        """Chip steps to run for all sequences."""
        return self.plan.total_steps

    def run_config(self) -> Any:
        """A `Loihi2SimCfg` that selects the integer models."""
        from lava.magma.core.run_configs import Loihi2SimCfg

        return Loihi2SimCfg(select_tag=TAG)

    def recorded(self) -> dict[str, dict[str, IntegerArray]]:
        """What was recorded: for each population and word int64 (batch, time, neurons)."""
        plan = self.plan

        def sequences(values: npt.NDArray[np.int32]) -> IntegerArray:
            split = values.reshape(*values.shape[:3], plan.width, -1).swapaxes(2, 3)
            return split.reshape(-1, plan.time, split.shape[-1])[: plan.batch].astype(np.int64)

        return {
            name: {word: sequences(values) for word, values in words.items()}
            for name, words in self.records.items()
        }


def build_graph(
    program: LoihiProgram,
    inputs: IntegerArray,
    initial_state: Mapping[str, Mapping[str, IntegerArray]],
) -> LavaGraph:
    """Builds the process graph of a program for some sequences.

    Args:
        program: what to execute.
        inputs: encoded samples, integers (batch, time, channels).
        initial_state: for each population and state word integers (batch, neurons).

    Raises:
        BackendMissingError: Lava is not installed.
        LavaRunError: Lava cannot express a connection; lists all of them.
    """
    import_lava()
    batch, time, _ = inputs.shape
    plan = plan_run(program, batch, time)
    _check(program)
    records = {
        p.name: {
            word: shared_array((*plan.order.shape[:2], time, plan.width * p.size), np.int32)
            for word in recorded_words(p.program)
        }
        for p in program.populations
    }
    progress = shared_array((1,), np.int64)
    named = _named(program)
    ways = [(name, way) for name, c in named.items() for way in _ways(program, c)]
    with quiet_lava():
        graph = LavaGraph(
            program,
            plan,
            _source(program, plan, inputs, progress),
            {
                p.name: _neurons(program, p, plan, initial_state[p.name], records[p.name])
                for p in program.populations
            },
            tuple(_sparse(program, named[name], plan, name, way) for name, way in ways),
            {name: _delay(c, plan, name) for name, c in named.items() if c.delay},
            records,
            progress,
        )
    _connect(graph, named, ways)
    return graph


@dataclass(frozen=True)
class _Way:
    """Where the synapses of a connection lead.

    Attributes:
        port: name of the input port of the target's process.
        accumulators: those whose rows the port takes.
    """

    port: str
    accumulators: tuple[str, ...]


def _ways(program: LoihiProgram, connection: AnyConnection) -> list[_Way]:
    """The input ports that a connection feeds."""
    from lnn2loihi.lava.processes.population.process import PORT_NAMES

    population = program.population(connection.target)
    if not population.ports:
        return [_Way("a_in", population.program.accumulators)]
    places = population.turns.places
    return [_Way(PORT_NAMES[places[a]], (a,)) for a in connection.accumulators]


def _named(program: LoihiProgram) -> dict[str, AnyConnection]:
    """The connections by a name of their own; several may join the same populations."""
    named: dict[str, AnyConnection] = {}
    for c in program.connections:
        place = sum(name.partition(" (")[0] == c.name for name in named)
        named[f"{c.name} ({place + 1})" if place else c.name] = c
    return named


def _check(program: LoihiProgram) -> None:
    problems = Problems(LavaRunError, f"program {program.name!r} in Lava")
    for c in program.connections:
        if isinstance(c, Convolution):
            continue  # its places are different sources
        rows = np.repeat(np.arange(c.rows), np.diff(c.row_starts))
        if np.unique(rows * c.source_size + c.columns).size < c.synapses:
            problems.add(
                f"{c.name}: two synapses join the same neurons, which Lava would merge and clip "
                "to 8 bits; add their mantissas"
            )
    problems.raise_if_any()


def _source(
    program: LoihiProgram, plan: LavaPlan, inputs: IntegerArray, progress: npt.NDArray[np.int64]
) -> Any:
    from lnn2loihi.lava.processes.source.process import Source

    ordered = inputs[plan.order].swapaxes(2, 3)  # [chunk][sequence][time][width][channel]
    samples = ordered.reshape(*ordered.shape[:3], -1).astype(np.int32)
    return Source(
        name=program.input.name,
        plan=plan,
        first=program.schedule.first_input,
        samples=samples,
        progress=progress,
    )


def _neurons(
    program: LoihiProgram,
    population: Population,
    plan: LavaPlan,
    initial_state: Mapping[str, IntegerArray],
    record: Mapping[str, npt.NDArray[np.int32]],
) -> Any:
    from lnn2loihi.lava.processes.population.process import neurons_class

    return neurons_class(population)(
        name=population.name,
        plan=plan,
        population=population,
        first_valid=program.schedule.first_valid[population.name],
        initial={
            word: values[plan.order].reshape(*plan.order.shape[:2], -1).astype(np.int32)
            for word, values in initial_state.items()
        },
        record=record,
    )


def _sparse(
    program: LoihiProgram, connection: AnyConnection, plan: LavaPlan, name: str, way: _Way
) -> Any:
    """The synapses of a connection.

    Lava's signed 8-bit weights are the even numbers of [-256, 254], and its shift acts on the
    sum: 2 * mantissa and exponent - 1 are exact, since no bit that is shifted out can be set.
    Narrower mantissas are sent as 8-bit weights too: `num_weight_bits` below 8 would clear
    low bits, where a narrow mantissa has its value.
    """
    from lava.proc.sparse.process import Sparse
    from lava.utils.weightutils import SignMode

    size = program.population(connection.target).size
    return Sparse(
        name=name,
        weights=block_diagonal(connection.unrolled(), way.accumulators, size, plan.width),
        weight_exp=connection.exponent - 1,
        num_weight_bits=WEIGHT_BITS,
        num_message_bits=MESSAGE_BITS,
        sign_mode=SignMode.MIXED,
    )


def _delay(connection: AnyConnection, plan: LavaPlan, name: str) -> Any:
    from lnn2loihi.lava.processes.delay.process import Delay

    size = plan.width * connection.source_size
    return Delay(name=f"delay of {name}", plan=plan, delay=connection.delay, size=size)


def block_diagonal(
    connection: Connection, accumulators: tuple[str, ...], neurons: int, width: int
) -> Any:
    """Twice the mantissas, as a scipy csr_matrix of `width` equal blocks on the diagonal.

    The rows of a block are those of all accumulators of the target; rows of accumulators that
    the connection does not feed are empty.
    """
    from scipy.sparse import csr_matrix

    lengths = np.zeros((len(accumulators), neurons), np.int64)
    columns, mantissas = [], []
    for row, accumulator in enumerate(accumulators):
        if accumulator in connection.accumulators:
            first = connection.accumulators.index(accumulator) * neurons
            starts = connection.row_starts[first : first + neurons + 1]
            lengths[row] = np.diff(starts)
            columns.append(connection.columns[starts[0] : starts[-1]])
            mantissas.append(connection.mantissas[starts[0] : starts[-1]])
    block = np.concatenate(columns).astype(np.int32)
    offsets = np.arange(width, dtype=np.int32)[:, None] * np.int32(connection.source_size)
    ends = np.cumsum(np.tile(lengths.reshape(-1), width))
    return csr_matrix(
        (
            np.tile(2 * np.concatenate(mantissas).astype(np.int32), width),
            (block + offsets).reshape(-1),
            np.concatenate([[0], ends]).astype(np.int32),
        ),
        shape=(width * lengths.size, width * connection.source_size),
    )


def _connect(
    graph: LavaGraph, named: Mapping[str, AnyConnection], ways: Sequence[tuple[str, _Way]]
) -> None:
    senders = {graph.program.input.name: graph.input, **graph.populations}
    for name, delay in graph.delays.items():
        senders[named[name].source].s_out.connect(delay.s_in)
    for (name, way), synapses in zip(ways, graph.synapses, strict=True):
        connection = named[name]
        sender = graph.delays[name] if connection.delay else senders[connection.source]
        sender.s_out.connect(synapses.s_in)
        target = graph.populations[connection.target]
        synapses.a_out.connect(getattr(target, way.port))


#: Loggers to which Lava adds handlers: the root for every process, its own for every compilation.
_LOGGERS = ("", "lava.magma.compiler.compiler")
_one_at_a_time = threading.RLock()


@contextmanager
def quiet_lava() -> Iterator[None]:
    """Silences Lava's warnings and takes away the handlers that it adds to loggers.

    Lava's compiler imports much of it, with warnings, and every process that is made adds a
    handler to the root logger. Filters and handlers belong to all threads: one enters at a time.
    """
    with _one_at_a_time:
        before = {name: list(logging.getLogger(name).handlers) for name in _LOGGERS}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            for name, handlers in before.items():
                logger = logging.getLogger(name)
                for handler in [h for h in logger.handlers if h not in handlers]:
                    logger.removeHandler(handler)
