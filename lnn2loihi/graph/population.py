"""Neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import ProgramError
from lnn2loihi.formats import FixedPoint, IntegerArray, signed_range
from lnn2loihi.frozen import ArrayEquality, read_only, read_only_mapping
from lnn2loihi.neurons.instructions import NeuronProgram


@checks_fields(ProgramError)
@dataclass(frozen=True, eq=False)
class Population(ArrayEquality):
    """A neuron program times N neurons.

    Attributes:
        name: name in messages and tables.
        program: what each neuron does in an update.
        parameters: for each parameter of the program int32 (N,).
        initial_state: for each state word of the program int32 (N,).
        message: format of the message that it sends.
        message_low, message_high: bound of every message, proved.
    """

    name: str
    program: NeuronProgram
    parameters: Mapping[str, npt.NDArray[Any]]
    initial_state: Mapping[str, npt.NDArray[Any]]
    message: FixedPoint
    message_low: int
    message_high: int
    size: int

    def __post_init__(self) -> None:
        for name in ("parameters", "initial_state"):
            arrays = {
                key: read_only(v, np.int32, f"{name}[{key!r}]")
                for key, v in getattr(self, name).items()
            }
            object.__setattr__(self, name, read_only_mapping(arrays))

    @property
    def initial_message(self) -> IntegerArray:
        """What it sends before its first valid sample: its initial state, (N,)."""
        state = self.program.message_state
        values = self.initial_state[state] if state else np.zeros(self.size, np.int64)
        return values.astype(np.int64)

    def problems(self) -> list[str]:
        """Shapes and names that do not fit the program."""
        found: list[str] = []
        declared = (
            ("parameter", self.program.parameters, self.parameters),
            ("initial state", self.program.states, self.initial_state),
        )
        for kind, words, arrays in declared:
            names = [name for name, _ in words]
            if sorted(names) != sorted(arrays):
                found.append(f"{self.name}: {kind}s {sorted(arrays)}, expected {sorted(names)}")
                continue
            for name, bits in words:
                low, high = signed_range(bits)
                values = arrays[name]
                if values.shape != (self.size,):
                    found.append(
                        f"{self.name}: {kind} {name} has shape {values.shape}, "
                        f"expected ({self.size},)"
                    )
                elif values.size and not (low <= values.min() and values.max() <= high):
                    found.append(f"{self.name}: {kind} {name} does not fit its {bits} bits")
        if self.size < 1:
            found.append(f"{self.name}: a population has at least one neuron, not {self.size}")
        if not 1 <= self.message.bits <= 24:
            found.append(f"{self.name}: messages of {self.message.bits} bits; 1 to 24 exist")
        elif not self.message.low <= self.message_low <= self.message_high <= self.message.high:
            found.append(
                f"{self.name}: messages in [{self.message_low}, {self.message_high}] do not fit "
                f"{self.message.bits} bits"
            )
        return found
