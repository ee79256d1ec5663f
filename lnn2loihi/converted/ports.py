"""Values that pass between parts, and where samples, steps and features are in their arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy.typing as npt

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
class ModuleInput:
    """A tensor that the module is called with.

    Attributes:
        name: name of the value: the argument's, with what leads into it ("state[0]").
        axes: for each axis BATCH or TIME where another example may have another size there, else
            None.
        shape: of the example.
        dtype: NumPy's name of its type.
    """

    name: str
    axes: tuple[str | None, ...]
    shape: tuple[int, ...]
    dtype: str


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
