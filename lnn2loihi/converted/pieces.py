"""What a converted module consists of: values, the parts between them, and ports, which say where
samples, steps and features of a chip part are in the arrays of its values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

from lnn2loihi.errors import InputError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.state_words import StateWord
from lnn2loihi.showing import Brief

BATCH, TIME, FEATURES = "batch", "time", "features"
#: The meaning of an axis: one of the three above, several that are merged in this order, or None
#: for one of size 1 that means nothing.
Axis: TypeAlias = "str | tuple[str, ...] | None"
AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class ValueName:
    """Stands for a tensor in the arguments and in the answer of a module.

    Attributes:
        name: of the value.
    """

    name: str


@dataclass(frozen=True)
class ModuleInput(Brief):
    """A tensor that the module is called with.

    Attributes:
        name: name of the value: the argument's, with what leads into it ("state[0]").
        axes: for each axis BATCH or TIME where another example may have another size there, else
            None.
        shape: of the example.
        dtype: NumPy's name of its type.
        several: of BATCH and TIME those along which one alone is not taken: the module does
            something else with it.
    """

    name: str
    axes: tuple[str | None, ...]
    shape: tuple[int, ...]
    dtype: str
    several: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChipPort:
    """A value at the edge of a chip part.

    Attributes:
        value: its name.
        axes: what its axes mean. Without TIME it is one step of a sequence, without BATCH one
            sequence alone, without FEATURES one feature.
        columns: for each of its features the column of the network's inputs or outputs.
        at: which step of the sequence it is, where it has no axis of time; -1 for the last.
    """

    value: str
    axes: tuple[Axis, ...]
    columns: tuple[int, ...]
    at: int | None = None


@dataclass(frozen=True)
class StatePort:
    """A value that holds states of a chip part: before the first sample, or after the last one.

    Attributes:
        value: its name.
        shape: of the value, without the axis of the batch.
        batch_axis: where that axis is; None where all sequences have the same state.
        units: in the order of the value's elements, for each the name of a state of the network
            (see `LiquidNetwork.state_sizes`) and the unit.
    """

    value: str
    shape: tuple[int, ...]
    batch_axis: int | None
    units: tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class ChipPart:
    """What runs on the chip: a network, and its program once it is quantized.

    Attributes:
        name: of the part.
        network: the float network; None where a saved module was loaded.
        inputs: side by side they are the network's inputs.
        outputs: what its answers are used for.
        elapsed: the value that holds the elapsed time before each sample, where time is irregular;
            its port has no columns.
        initial: states that the module begins with; zeros for all others.
        final: states that are answered or used after the last sample.
        program: the integers.
        words: the words of the program that hold states.
    """

    name: str
    network: LiquidNetwork | None
    inputs: tuple[ChipPort, ...]
    outputs: tuple[ChipPort, ...]
    elapsed: ChipPort | None = None
    initial: tuple[StatePort, ...] = ()
    final: tuple[StatePort, ...] = ()
    program: LoihiProgram | None = None
    words: tuple[StateWord, ...] = ()

    @property
    def state_sizes(self) -> dict[str, int]:
        """Units of each state, by name."""
        if self.network is not None:
            return self.network.state_sizes
        return {word.state: word.step.size for word in self.words}

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the values that it takes."""
        ports = (*self.inputs, *(() if self.elapsed is None else (self.elapsed,)), *self.initial)
        return tuple(dict.fromkeys(port.value for port in ports))

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of the values that it answers."""
        return tuple(dict.fromkeys(port.value for port in (*self.outputs, *self.final)))

    def float_network(self) -> LiquidNetwork:
        """The float network.

        Raises:
            InputError: there is none: a saved module holds integers alone.
        """
        if self.network is None:
            raise InputError(
                f"part {self.name!r}",
                "has no float network: what was saved holds the integers alone; convert the module "
                "again",
            )
        return self.network

    def quantized(self) -> LoihiProgram:
        """The program.

        Raises:
            InputError: nobody has quantized it.
        """
        if self.program is None:
            raise InputError(f"part {self.name!r}", "has no program; call quantize() first")
        return self.program


class HostFunction(Protocol):
    """What a host part computes: float arrays in float32, as the module does."""

    def __call__(self, arrays: Sequence[AnyArray]) -> list[AnyArray]:
        """The part's outputs for its inputs, in their order."""
        ...

    def onnx(self) -> bytes:
        """The same as an ONNX model, whose inputs and outputs have the names of the values."""
        ...


@dataclass(frozen=True, eq=False)
class HostPart:
    """What stays on the host.

    Attributes:
        name: of the part.
        inputs, outputs: names of values.
        function: what it computes.
        operators: what it consists of, in order, for tables ("Conv2d", "mean").
        reasons: why it is not on the chip, a sentence each, with the line of forward.
        multiply_adds: multiply-adds for the example; None where nobody counted them.
        parameters: numbers that were trained; None where nobody counted them.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    function: HostFunction
    operators: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    multiply_adds: int | None = None
    parameters: int | None = None

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the values that it takes."""
        return self.inputs

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of the values that it answers."""
        return self.outputs


Part: TypeAlias = "HostPart | ChipPart"
