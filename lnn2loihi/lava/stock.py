"""Runs a program of stock neurons in Lava's simulator on Lava's own process models.

Nobody here wrote these: GradedReluVec, GradedVec, ProdNeuron, Sparse and RingBuffer of lava-nc. So
this executor shares no arithmetic with the others. Ours are the graph that joins them
(`lnn2loihi.lava.stock_plan`), and what writes their messages down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import LavaRunError
from lnn2loihi.formats import MESSAGE_BITS, WEIGHT_BITS, IntegerArray
from lnn2loihi.lava.graph import TAG, quiet_lava
from lnn2loihi.lava.memory import shared_array
from lnn2loihi.lava.plan import LavaPlan
from lnn2loihi.lava.runner import LavaExecutor
from lnn2loihi.lava.shim import DISTRIBUTION, import_lava, lava_version, require_workers
from lnn2loihi.lava.stock_plan import (
    StockPlan,
    StockProcess,
    StockSynapses,
    stock_plan,
    why_not_stock,
)
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.executor import FullState
from lnn2loihi.simulation.result import IntegerRun, OnStep, recorded_words

#: Chip steps that are run where nobody has named the executor, some 10 to 30 seconds.
SHARE_STEPS = 400


@dataclass(frozen=True, eq=False)
class StockGraph:
    """Lava's own processes, connected, with the samples that they will run on.

    Lava lets processes run once: build another graph for another run.

    Attributes:
        plan: the graph as arrays.
        layout: how the sequences are laid out over steps and vectors.
        input: the `RingBuffer` of the host.
        populations: the process of each population, by its name.
        synapses: the `Sparse` processes, in the order of the plan.
        recorder: what writes down messages.
        records: for the host and each population int32 (steps, width * N), filled while it runs.
        progress: int64 (1,): number of steps that have begun.
    """

    plan: StockPlan
    layout: LavaPlan
    input: Any
    populations: Mapping[str, Any]
    synapses: tuple[Any, ...]
    recorder: Any
    records: Mapping[str, npt.NDArray[np.int32]] = field(repr=False)
    progress: npt.NDArray[np.int64] = field(repr=False)

    @property
    def processes(self) -> tuple[Any, ...]:
        """All processes."""
        return (self.input, *self.populations.values(), *self.synapses, self.recorder)

    @property
    def steps(self) -> int:
        """Chip steps to run for all sequences."""
        return self.layout.total_steps

    def run_config(self) -> Any:
        """A `Loihi2SimCfg` that selects the integer models."""
        from lava.magma.core.run_configs import Loihi2SimCfg

        return Loihi2SimCfg(select_tag=TAG)

    def recorded(self) -> dict[str, dict[str, IntegerArray]]:
        """What was recorded: for each population and its word int64 (batch, time, neurons).

        Raises:
            LavaRunError: something was sent out of phase, where the plan says that all is silent.
        """
        sent = self.records[self.plan.host].reshape(self.steps, self.layout.width, -1)
        found: dict[str, dict[str, IntegerArray]] = {}
        loud: list[str] = []
        constants = {one.name: one for one in self.plan.channels if one.role == "constant"}
        for p in self.plan.program.populations:
            if p.name in constants:
                places = constants[p.name].places
                messages = sent[:, :, places].reshape(self.steps, -1)
            else:
                messages = self.records[p.name]
            (word,) = recorded_words(p.program)
            found[p.name] = {word: self.plan.heard(self.layout, p.name, messages)}
            step = self.plan.first_out_of_phase(self.layout, p.name, messages)
            if step is not None:
                loud.append(
                    f"{p.name} sent something in step {step}, in which the plan has it silent; "
                    "this is a bug of lnn2loihi, please report it"
                )
        if loud:
            raise LavaRunError("run in Lava", loud)
        return found


def build_stock_graph(plan: StockPlan, inputs: IntegerArray, start: FullState) -> StockGraph:
    """Builds Lava's own processes of a plan, for some sequences.

    Args:
        plan: the graph.
        inputs: encoded samples, integers (batch, time, channels).
        start: for each population and state word integers (batch, neurons).

    Raises:
        BackendMissingError: Lava is not installed.
        LavaRunError: there is no memory for what is recorded.
        ProgramError: several chunks are needed, and loops may go on for ever.
    """
    import_lava()
    from lava.proc.io.source import RingBuffer

    layout = plan.layout(*inputs.shape[:2])
    sizes = {plan.host: plan.host_size, **{one.name: one.size for one in plan.processes}}
    records = {
        name: shared_array((layout.total_steps, layout.width * size), np.int32)
        for name, size in sizes.items()
    }
    progress = shared_array((1,), np.int64)
    sent = plan.stream(layout, inputs, start)
    with quiet_lava():
        graph = StockGraph(
            plan,
            layout,
            RingBuffer(data=np.ascontiguousarray(sent.T)),
            {one.name: _process(one, layout.width) for one in plan.processes},
            tuple(_sparse(one, sizes, layout.width) for one in plan.synapses),
            _recorder(records, progress),
            records,
            progress,
        )
        _connect(graph)
    return graph


def _process(one: StockProcess, width: int) -> Any:
    from lava.proc.graded.process import GradedReluVec, GradedVec
    from lava.proc.prodneuron.process import ProdNeuron

    shape = (width * one.size,)
    make: dict[str, Callable[[], Any]] = {
        "rectifier": lambda: GradedReluVec(shape=shape, vth=one.threshold),
        "threshold": lambda: GradedVec(shape=shape, vth=one.threshold),
        "product": lambda: ProdNeuron(shape=shape, vth=one.threshold, exp=one.shift),
    }
    made = make[one.kind]()
    made.name = one.name
    return made


def _sparse(one: StockSynapses, sizes: Mapping[str, int], width: int) -> Any:
    """The synapses, in `width` equal blocks on the diagonal.

    Twice the mantissa and exponent - 1, as in `lnn2loihi.lava.graph`.
    """
    from lava.proc.sparse.process import Sparse
    from lava.utils.weightutils import SignMode
    from scipy.sparse import csr_matrix

    block = np.arange(width)[:, None]
    rows = (block * sizes[one.target] + one.rows).reshape(-1)
    columns = (block * sizes[one.source] + one.columns).reshape(-1)
    weights = csr_matrix(
        (np.tile(2 * one.mantissas, width), (rows, columns)),
        shape=(width * sizes[one.target], width * sizes[one.source]),
    )
    return Sparse(
        name=f"{one.source} -> {one.target}",
        weights=weights,
        weight_exp=one.exponent - 1,
        num_weight_bits=WEIGHT_BITS,
        num_message_bits=MESSAGE_BITS,
        sign_mode=SignMode.MIXED,
    )


def _recorder(records: Mapping[str, npt.NDArray[np.int32]], progress: npt.NDArray[np.int64]) -> Any:
    from lnn2loihi.lava.processes.recorder.process import port_names, recorder_class

    ports = dict(zip(port_names(len(records)), records.values(), strict=True))
    return recorder_class(len(records))(name="recorder", records=ports, progress=progress)


def _connect(graph: StockGraph) -> None:
    from lnn2loihi.lava.processes.recorder.process import port_names

    senders = {graph.plan.host: graph.input, **graph.populations}
    for one, synapses in zip(graph.plan.synapses, graph.synapses, strict=True):
        senders[one.source].s_out.connect(synapses.s_in)
        synapses.a_out.connect(getattr(graph.populations[one.target], one.port))
    for name, port in zip(graph.records, port_names(len(graph.records)), strict=True):
        senders[name].s_out.connect(getattr(graph.recorder, port))


def execute_stock(
    program: LoihiProgram,
    inputs: IntegerArray,
    start: FullState,
    on_step: OnStep | None = None,
    time_limit: float | None = None,
) -> IntegerRun:
    """Runs a program of stock neurons on Lava's own process models.

    Args:
        program: what to run.
        inputs: encoded samples, int64 (batch, updates, channels).
        start: for each population and state word int64 (batch, neurons).
        on_step: called from this process with the chip steps done and the chip steps in all.
        time_limit: seconds that the run may take, its start included; None for no limit.

    Raises:
        BackendMissingError: Lava is not installed.
        ProgramError: the program is no graph of Lava's own processes.
        LavaRunError: see `lnn2loihi.lava.execute`.
    """
    require_workers()
    import_lava()
    from lnn2loihi.lava.processes.runtime import run_graph

    plan = stock_plan(program, start)
    graph = build_stock_graph(plan, inputs, start)
    run_graph(graph, on_step, time_limit)
    return IntegerRun(f"{DISTRIBUTION} {lava_version()}, its own processes", graph.recorded())


class StockExecutor(LavaExecutor):
    """Where programs of Lava's own processes run, and no others."""

    def unfit(self, program: LoihiProgram) -> str:
        """What is in the way of Lava's own processes."""
        return "; ".join(why_not_stock(program))

    def reason_against(self, program: LoihiProgram) -> str:
        """What is in the way of Lava's own processes, or that Lava is missing."""
        return self.unfit(program) or super().reason_against(program)


class LavaStock(StockExecutor):
    """Entry point `lava-stock` of the group `lnn2loihi.executors`.

    Args:
        time_limit: see `execute_stock`.
    """

    independent = (
        "neurons and synapses are Lava's own process models (GradedReluVec, GradedVec, ProdNeuron, "
        f"Sparse) of {DISTRIBUTION}, which share no code with lnn2loihi"
    )

    def __init__(self, time_limit: float | None = None) -> None:
        self._time_limit = time_limit

    def share(self, program: LoihiProgram, batch: int, updates: int) -> tuple[int, int]:
        """All sequences, side by side, as far as SHARE_STEPS chip steps go."""
        return batch, max(1, min(updates, SHARE_STEPS // program.schedule.period))

    def run(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        initial_state: FullState,
        on_step: OnStep | None = None,
    ) -> IntegerRun:
        """See `execute_stock`."""
        return execute_stock(program, inputs, initial_state, on_step, self._time_limit)
