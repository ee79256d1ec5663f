"""Neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields
from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError, ProgramError
from lnn2loihi.formats import FixedPoint, IntegerArray, signed_range
from lnn2loihi.frozen import ArrayEquality, read_only, read_only_mapping
from lnn2loihi.kinds import Within
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.turns import LARGEST_PORTS, Turns
from lnn2loihi.showing import Shown

#: What arrays can have; a size below 1 is named together with whatever else does not fit.
_Size = Annotated[int, Within(-(1 << 31), 1 << 31), "a whole number from 1 to 2**31"]
_Ports = Annotated[int, Within(0, LARGEST_PORTS), f"a whole number from 0 to {LARGEST_PORTS}"]


@checks_fields(ProgramError)
@dataclass(frozen=True, eq=False)
class Population(Shown, ArrayEquality):
    """A neuron program times N neurons.

    Attributes:
        name: name in messages and tables.
        program: what each neuron does in an update.
        parameters: for each parameter of the program int32 (N,).
        initial_state: for each state word of the program int32 (N,).
        message: format of the message that it sends; where `scale` is given its width alone counts.
        message_low, message_high: bound of every message, proved.
        scale: real value of one unit of each neuron's message, float64 (N,); the format's step by
            default.
        offset: real value of a message of 0, float64 (N,); 0 by default. What reads messages as
            answers adds it: on the host, as an input's gain and offset.
        ports: physical accumulators of a neuron, on which those of the program take turns; 0 for
            one for each of them. See `turns`.
    """

    name: str
    program: NeuronProgram
    parameters: Mapping[str, npt.NDArray[Any]]
    initial_state: Mapping[str, npt.NDArray[Any]]
    message: FixedPoint
    message_low: int
    message_high: int
    size: _Size
    scale: npt.NDArray[Any] = None  # pyright: ignore[reportAssignmentType]
    offset: npt.NDArray[Any] = None  # pyright: ignore[reportAssignmentType]
    ports: _Ports = 0

    def __post_init__(self) -> None:
        for part, default in (("scale", self.message.step), ("offset", 0.0)):
            given = getattr(self, part)
            # The default takes no memory, whatever size a file claims.
            array = np.broadcast_to(np.float64(default), max(self.size, 0))
            array = array if given is None else read_only(given, np.float64)
            object.__setattr__(self, part, array)
        for name in ("parameters", "initial_state"):
            arrays = {
                key: read_only(v, np.int32, f"{name}[{key!r}]")
                for key, v in getattr(self, name).items()
            }
            object.__setattr__(self, name, read_only_mapping(arrays))

    @cached_property
    def turns(self) -> Turns:
        """How the accumulators of the program take turns on the ports."""
        return Turns(self.program.accumulators, self.ports)

    @property
    def initial_message(self) -> IntegerArray:
        """What it sends before its first valid sample: its initial state, (N,)."""
        state = self.program.message_state
        values = self.initial_state[state] if state else np.zeros(self.size, np.int64)
        return values.astype(np.int64)

    @cached_property
    def has_own_scales(self) -> bool:
        """Whether units have scales or offsets that do not follow from the message's format."""
        return bool((self.scale != self.message.step).any() or self.offset.any())

    def decode(self, integers: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Real values (..., N) that messages of these integers stand for.

        Raises:
            InputError: they are no numbers, or of another number of neurons.
        """
        messages = as_array(integers, f"population {self.name!r}", "integers")
        if messages.shape[-1:] not in ((self.size,), (1,), ()):
            raise InputError(
                f"population {self.name!r}",
                f"integers have shape {messages.shape}, expected (..., {self.size})",
            )
        values: npt.NDArray[np.float64] = np.multiply(messages, self.scale, dtype=np.float64)
        return np.add(values, self.offset, out=values) if self.has_own_scales else values

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
        for part in ("scale", "offset"):
            array = getattr(self, part)
            if array.shape != (max(self.size, 0),) or not np.isfinite(array).all():
                found.append(f"{self.name}: {part} needs one finite number for each neuron")
            elif part == "scale" and not (array > 0).all():
                found.append(f"{self.name}: scale holds numbers that are not above 0")
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
