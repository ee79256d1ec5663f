"""Networks and programs as policies of many plants side by side, for the examples of control.

A policy takes what the plants show, (plants, inputs), and answers actions, (plants, outputs); it
keeps the state of each plant. Every policy here begins at the start of an episode.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import lnn2loihi as l2l
from lnn2loihi.micro.loop import CompiledLoop

Floats = npt.NDArray[np.float64]


class InFloat:
    """The float network."""

    def __init__(self, network: l2l.LiquidNetwork) -> None:
        self._network, self._state = network, None

    def __call__(self, seen: Floats) -> Floats:
        result = self._network.evaluate(seen[:, None], self._state)
        self._state = result.final_state
        return result.outputs[:, 0]


class InIntegers:
    """The integers of a program, all plants in one call.

    Attributes:
        saturated: input values so far that were outside of the calibrated range.
    """

    def __init__(self, program: l2l.LoihiProgram) -> None:
        self._program, self._state = program, None
        self.saturated = 0

    def __call__(self, seen: Floats) -> Floats:
        result = l2l.simulate(self._program, seen[:, None], initial_state=self._state)
        self._state = result.final_state
        self.saturated += int(result.saturated_inputs)
        return result.outputs[:, 0]


class InC:
    """The C code of a program, compiled for this machine, with a state in C for each plant.

    Raises:
        BackendMissingError: there is no C compiler.
    """

    def __init__(self, program: l2l.LoihiProgram) -> None:
        self._loop, self._output = CompiledLoop(program), program.output_population
        self._states: list[npt.NDArray[np.int64]] = []

    def __call__(self, seen: Floats) -> Floats:
        self._states = self._states or [self._loop.state() for _ in seen]
        samples = np.ascontiguousarray(seen[:, None])
        messages = [self._loop.run(*pair)[0] for pair in zip(self._states, samples, strict=True)]
        return self._output.decode(np.stack(messages))
