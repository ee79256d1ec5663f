"""What a program costs as several targets prepare it, side by side on one device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnn2loihi.cost import estimate
from lnn2loihi.devices import Device
from lnn2loihi.errors import DeviceError, PlacementError
from lnn2loihi.network import FloatArray
from lnn2loihi.placement.verb import place
from lnn2loihi.placement.workload import workload
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import SimulationResult
from lnn2loihi.targets import Target
from lnn2loihi.targets.beside import Beside, beside

#: Columns of the table.
HEADERS = ("target", "neurons", "accumulators a neuron", "steps a sample", "cores", "time a sample",
           "latency", "total energy a sample", "answers that differ", "accuracy")  # fmt: skip


@dataclass(frozen=True)
class Side:
    """One target's.

    Attributes:
        target, device: names.
        neurons, synapses: of what it has prepared.
        accumulators: physical accumulators of a neuron, the most.
        steps_per_sample, latency_steps: chip steps between samples, and to an answer.
        cores, chips: what is taken.
        sample_time, latency, total_energy: estimates at full speed, pipelined; energy with the
            static power of the full chip. None where it could not be placed.
        compared, differ: values of the answers that were compared with those of the program as it
            is, and those that differ.
        unproved: what is not proved about the target, a sentence each.
        accuracy: of the answers of what it has prepared, in words; empty where nobody can say.
        refusal: why the target takes no such program, or it does not fit the device; empty where
            all is well.
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
    accuracy: str = ""
    refusal: str = ""

    def cells(self) -> tuple[object, ...]:
        """A row under HEADERS; None for what is not known."""
        return (
            self.target, self.neurons or None, self.accumulators or None,
            self.steps_per_sample or None, self.cores or None, self.sample_time, self.latency,
            self.total_energy, f"{self.differ:,} of {self.compared:,}" if self.compared else None,
            self.accuracy or None,
        )  # fmt: skip


def sides_of(
    program: LoihiProgram,
    targets: Sequence[str | Target],
    device: Device,
    host_io: bool,
    run: Callable[[LoihiProgram], SimulationResult],
    judge: Callable[[FloatArray], str] | None = None,
) -> tuple[Side, ...]:
    """The program as it is prepared for each target, placed, and estimated from exact counters.

    Args:
        program: as it is.
        targets: what for.
        device: where.
        host_io: whether input and output through a host count.
        run: runs a program on the user's samples.
        judge: says how good answers (batch, time, outputs) are; None where nobody can.

    Raises:
        InputError: a target does not exist, or cannot be loaded.
    """
    expected = run(program).integers
    return tuple(
        _side(made, expected, device, host_io, run, judge) for made in beside(program, targets)
    )


def _side(
    made: Beside,
    expected: np.ndarray,
    device: Device,
    host_io: bool,
    run: Callable[[LoihiProgram], SimulationResult],
    judge: Callable[[FloatArray], str] | None,
) -> Side:
    aim = made.target
    side = Side(aim.name, device.name, unproved=aim.unproved, refusal=made.refusal)
    if made.program is None:
        return side
    found = run(made.program)
    side = replace(
        side,
        neurons=made.program.neurons,
        synapses=made.program.synapses,
        accumulators=made.accumulators,
        steps_per_sample=made.program.steps_per_sample,
        latency_steps=made.program.latency_steps,
        compared=int(expected.size),
        differ=int(np.count_nonzero(found.integers != expected)),
        accuracy="" if judge is None else judge(found.outputs),
    )
    try:
        # It is prepared already: the rules are left.
        placed = place(
            made.program, device, target=replace(aim, passes=()), counters=found.counters
        )
        cost = estimate(workload(placed, found.counters), device, host_io=host_io)
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
