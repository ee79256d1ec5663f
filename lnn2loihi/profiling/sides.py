"""What a program costs and answers as several targets prepare it, side by side on one device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnn2loihi.cost import estimate
from lnn2loihi.cost.model import NO_IO
from lnn2loihi.cost.workload import FALL_THROUGH, PIPELINED
from lnn2loihi.defaults import FAST
from lnn2loihi.devices import Device
from lnn2loihi.errors import DeviceError, PlacementError
from lnn2loihi.placement.verb import place
from lnn2loihi.placement.workload import workload
from lnn2loihi.precision import Precision, poor_outputs_text, precision_of
from lnn2loihi.profiling.accuracy import Judge, judged
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import Accuracy
from lnn2loihi.program import LoihiProgram
from lnn2loihi.sequences import Sequences
from lnn2loihi.showing import Brief
from lnn2loihi.simulation.result import SimulationResult
from lnn2loihi.tables import percent
from lnn2loihi.targets import Target
from lnn2loihi.targets.beside import Beside, Claims, beside, not_proved
from lnn2loihi.targets.target import far_warnings

#: Columns of the table, in the two parts in which a terminal shows them.
HEADERS = (
    ("target", "neurons", "synapses", "accumulators a neuron", "steps a sample", "answer after",
     "cores", "chips"),
    ("target", "time a sample", "latency", "total energy a sample", "against the program's answers",
     "accuracy"),
)  # fmt: skip


@dataclass(frozen=True)
class Way(Brief):
    """How targets that stand side by side are placed and run.

    Attributes:
        device: where.
        objective: `packed` or `fast`.
        closed_loop: whether nothing is pipelined.
        io: where samples come from, as for `estimate`.
    """

    device: Device
    objective: str
    closed_loop: bool
    io: str

    @property
    def mode(self) -> str:
        """How samples follow each other."""
        return FALL_THROUGH if self.closed_loop else PIPELINED


@dataclass(frozen=True)
class Side(Brief):
    """One target's.

    Attributes:
        target, device: names.
        neurons, synapses: of what it has prepared.
        accumulators: physical accumulators of a neuron, the most.
        steps_per_sample, latency_steps: chip steps between samples, and to an answer.
        cores, chips: what is taken.
        sample_time, latency, total_energy: estimates at full speed, of one copy; energy with the
            static power of the full chip. None where it could not be placed.
        compared, differ: values of the answers that were compared with those of the program as it
            is, and those that differ.
        unproved: what is not proved about the target, a sentence each.
        refusal: why the target takes no such program, or it does not fit the device; empty where
            all is well.
        exact: whether the target keeps all integers of the answers.
        stock: whether all neurons are those of Lava's own processes, which need no microcode.
        off: where answers differ, the root of their mean squared difference over the standard
            deviation of the program's answers, of the output in which that is largest; None where
            nothing differs, or the program's answers never change.
        largest: the largest difference of an answer, in units of the answers; None without.
        accuracy: how good the answers are, as in the rows of the profile; None where there are
            neither targets nor a float network.
        unchanged: whether the target left the program as it is.
        executor: what ran it.
        placement, mode: how it was placed: `packed` or `fast`; and how samples follow each other.
        io: where samples come from.
        warning: that its answers are far from those of the program, with the outputs and what to
            do; empty where they are close, or equal.
    """

    target: str
    device: str
    neurons: int = 0
    synapses: int = 0
    accumulators: int = 0
    steps_per_sample: int = 0
    latency_steps: int = 0
    cores: int = 0
    chips: int = 0
    sample_time: Quantity | None = None
    latency: Quantity | None = None
    total_energy: Quantity | None = None
    compared: int = 0
    differ: int = 0
    unproved: tuple[str, ...] = ()
    refusal: str = ""
    exact: bool = True
    stock: bool = False
    off: float | None = None
    largest: float | None = None
    accuracy: Accuracy | None = None
    unchanged: bool = False
    executor: str = ""
    warning: str = ""
    placement: str = FAST
    mode: str = PIPELINED
    io: str = NO_IO

    @property
    def distance(self) -> str | None:
        """How far its answers are from those of the program as it is."""
        if not self.compared:
            return None
        if not self.differ:
            return "itself" if self.unchanged else f"equal, all {self.compared:,}"
        away = [] if self.off is None else [f"off by {percent(self.off)} of their spread"]
        away += [] if self.largest is None else [f"at most by {self.largest:.3g}"]
        if self.exact:
            away.insert(0, f"NOT EQUAL, {self.differ:,} of {self.compared:,}")
        return ", ".join(away) or f"{self.differ:,} of {self.compared:,} differ"

    @property
    def claims(self) -> Claims:
        """What is known of it, and how."""
        return Claims(
            self.target, self.exact, self.stock, self.compared, self.differ, self.unproved,
            self.neurons > 0, self.unchanged, self.executor,
        )  # fmt: skip

    def cells(self) -> tuple[tuple[object, ...], tuple[object, ...]]:
        """Rows under HEADERS; None for what is not known."""
        numbers = (
            self.neurons, self.synapses, self.accumulators, self.steps_per_sample,
            self.latency_steps, self.cores, self.chips,
        )  # fmt: skip
        accuracy = None if self.accuracy is None else str(self.accuracy)
        return (
            (self.target, *(number or None for number in numbers)),
            (self.target, self.sample_time, self.latency, self.total_energy, self.distance,
             accuracy),
        )  # fmt: skip


def sides_of(
    program: LoihiProgram,
    targets: Sequence[str | Target],
    how: Way,
    run: Callable[[LoihiProgram], SimulationResult],
    data: Sequences,
    judge: Judge | None = None,
) -> tuple[Side, ...]:
    """The program as it is prepared for each target, placed, and estimated from exact counters.

    Args:
        program: as it is.
        targets: what for.
        how: where and how they are placed and run.
        run: runs a program on the user's samples.
        data: these; only answers within their sequences are compared.
        judge: what judges answers.

    Raises:
        InputError: a target does not exist, or cannot be loaded.
    """
    expected = run(program)
    found: list[Side] = []
    same: Side | None = None  # of targets that leave the program and the device's rules alone
    for made in beside(program, targets):
        aim = made.target
        who = Side(
            aim.name, how.device.name, unproved=aim.unproved, exact=aim.exact,
            placement=how.objective, mode=how.mode, io=how.io,
        )  # fmt: skip
        alike = made.unchanged and aim.rules is None
        if made.program is None:
            side = replace(who, refusal=made.refusal)
        elif alike and same is not None:
            unproved = not_proved(aim, made.program)
            side = replace(same, target=aim.name, unproved=unproved, exact=aim.exact)
        else:
            answers = expected if made.unchanged else run(made.program)
            side = _side(who, made, expected, answers, data, judge, how)
            same = side if alike else same
        found.append(side)
    return tuple(found)


def _side(
    who: Side,
    made: Beside,
    expected: SimulationResult,
    found: SimulationResult,
    data: Sequences,
    judge: Judge | None,
    how: Way,
) -> Side:
    aim, program = made.target, made.program
    assert program is not None
    own, true = data.live(found.integers), data.live(expected.integers)
    side = replace(
        who,
        unproved=not_proved(aim, program),
        neurons=program.neurons,
        synapses=program.synapses,
        accumulators=made.accumulators,
        steps_per_sample=program.steps_per_sample,
        latency_steps=program.latency_steps,
        compared=int(true.size),
        differ=int(np.count_nonzero(own != true)),
        stock=made.stock,
        accuracy=None if judge is None else judged(judge(found.outputs)),
        unchanged=made.unchanged,
        executor=found.executor,
    )
    if side.differ:
        answers, right = data.live(found.outputs), data.live(expected.outputs)
        precision = precision_of(right, answers)
        poor = poor_outputs_text(precision)
        side = replace(
            side, off=_off(precision), largest=float(abs(answers - right).max()),
            warning=" ".join(far_warnings(aim, poor)),
        )  # fmt: skip
    try:
        # It is prepared already: the rules are left.
        placed = place(
            program, how.device, target=replace(aim, passes=()), objective=how.objective,
            counters=found.counters,
        )  # fmt: skip
        counts = workload(placed, found.counters)
        cost = estimate(counts, how.device, mode=how.mode, io=how.io)
    except (PlacementError, DeviceError) as error:
        return replace(side, refusal="; ".join(error.problems))
    return replace(
        side,
        cores=len(placed.cores),
        chips=placed.chips,
        sample_time=Quantity.of(cost.sample_time),
        latency=Quantity.of(cost.latency),
        total_energy=Quantity.of(cost.energy["total_full_chip"]),
    )


def _off(precision: Precision) -> float | None:
    """The largest share of an output's standard deviation by which answers are off."""
    moving = precision.variance > 0.0
    if not moving.any():
        return None
    return float(np.sqrt((precision.error[moving] / precision.variance[moving]).max()))
