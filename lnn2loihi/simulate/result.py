"""What a simulation returns, whichever executor ran it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.program import LoihiProgram

#: Called with the chip steps done and the chip steps in all, for progress bars.
OnStep = Callable[[int, int], None]
States = Mapping[str, Mapping[str, IntegerArray]]


def recorded_words(program: NeuronProgram) -> tuple[str, ...]:
    """What executors record of a neuron: its state words, and its message where no state word
    holds it.
    """
    return program.state_names if program.message_state else (*program.state_names, "message")


@dataclass(frozen=True)
class IntegerRun:
    """What an executor hands back, in sample time.

    Attributes:
        executor: name of the executor.
        states: for each population and recorded word int64 (batch, time, neurons).
    """

    executor: str
    states: States

    def outputs(self, program: LoihiProgram) -> IntegerArray:
        """Messages of the output population, (batch, time, outputs)."""
        neuron = program.output_population.program
        return self.states[program.output][neuron.message_state or "message"]


@dataclass(frozen=True)
class SimulationResult:
    """What `simulate` and `run_lava` return.

    Attributes:
        outputs: decoded outputs, float64 (batch, time, outputs).
        integers: the same as the chip sends them, int64 (batch, time, outputs).
        states: for each population and state word int64 (batch, time, neurons); for a stateless
            population its "message". None unless asked for.
        final_state: for each population and state word int64 (batch, neurons), after the last
            sample.
        saturated: int64 (channels,): input values that were outside the calibrated range.
        executor: which executor ran, with its version.
    """

    outputs: npt.NDArray[np.float64]
    integers: IntegerArray
    states: States | None
    final_state: States
    saturated: IntegerArray
    executor: str

    @property
    def saturated_inputs(self) -> int:
        """Input values of all channels that were outside the calibrated range."""
        return int(self.saturated.sum())
