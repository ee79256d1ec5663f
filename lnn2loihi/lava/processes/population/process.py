"""A population as a Lava process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess

from lnn2loihi.lava.plan import LavaPlan
from lnn2loihi.neurons.turns import LARGEST_PORTS
from lnn2loihi.program import Population


class Neurons(AbstractProcess):
    """A neuron program times N neurons, for `width` sequences side by side.

    The one input port carries the sums of all accumulators: width blocks of accumulators * N
    rows, accumulators in the order of the program. The output port carries width blocks of N
    messages. In the first step of a chunk the neurons take their initial state, which they send a
    period before their first update; whatever arrives off their phase is dropped.

    Args:
        name: name of the process.
        plan: layout of the run.
        population: program, parameters and size.
        first_valid: step of the first update, from the beginning of a chunk.
        initial: for each state word int32 (chunks, interleave, width * N).
        record: for each recorded word int32 (chunks, interleave, time, width * N), in shared
            memory.
    """

    def __init__(
        self,
        *,
        name: str,
        plan: LavaPlan,
        population: Population,
        first_valid: int,
        initial: Mapping[str, npt.NDArray[np.int32]],
        record: Mapping[str, npt.NDArray[np.int32]],
        **options: Any,
    ) -> None:
        super().__init__(
            name=name,
            plan=plan,
            population=population,
            first_valid=first_valid,
            initial=initial,
            record=record,
            **options,
        )
        self._make_in_ports(population, plan.width * population.size)
        self.s_out = OutPort(shape=(plan.width * population.size,))

    def _make_in_ports(self, population: Population, size: int) -> None:
        self.a_in = InPort(shape=(len(population.program.accumulators) * size,))


#: Names of the input ports of neurons whose accumulators take turns on them.
PORT_NAMES = tuple(f"a_in_{port}" for port in range(LARGEST_PORTS))


class PortedNeurons(Neurons):
    """The same where accumulators take turns: with an input port for each physical accumulator.

    Each port carries width blocks of N sums, of the accumulators whose turn it is. What arrives
    before the step of the update is kept.
    """

    def _make_in_ports(self, population: Population, size: int) -> None:
        for name in PORT_NAMES[: population.turns.width]:
            setattr(self, name, InPort(shape=(size,)))


#: For each number of ports a process of its own: Lava wants every port of a model in its process.
PORTED: tuple[type[PortedNeurons], ...] = tuple(
    type(f"{PortedNeurons.__name__}{ports}", (PortedNeurons,), {"__module__": __name__})
    for ports in range(1, LARGEST_PORTS + 1)
)


def neurons_class(population: Population) -> type[Neurons]:
    """The process of a population."""
    return PORTED[population.turns.width - 1] if population.ports else Neurons
