"""What all connections have in common, however their weights are held."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import WEIGHT_BITS, IntegerArray, signed_range
from lnn2loihi.frozen import ArrayEquality
from lnn2loihi.neurons.bounds import IntegerInterval
from lnn2loihi.showing import Shown

if TYPE_CHECKING:
    from lnn2loihi.graph.connection import Connection

#: Largest left shift of a connection. The width of Loihi 2's weight exponent is not public;
#: Loihi 1 had four bits (-8..7), and nothing here needs more.
LARGEST_EXPONENT = 7
#: Largest axonal delay beyond the step that every message takes (lava-dl: max_delay = 62).
LARGEST_DELAY = 62
#: Sums of rows from messages (batch, sources): (batch, rows).
Summing = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


class Synapses(Shown, ArrayEquality, ABC):
    """Synapses from one source to accumulators of one population: `Connection`, whose synapses are
    listed one by one, or `Convolution`, whose neurons share a kernel. A synapse adds
    mantissa * 2**exponent * message, one step (and `delay` more) after the message was sent.

    What a program is proved by, executed with and costed from asks for sums, intervals and numbers
    of synapses; only what needs them one by one calls `unrolled`.
    """

    source: str
    target: str
    accumulators: tuple[str, ...]
    source_size: Any
    exponent: int
    delay: int
    mantissa_bits: int

    @property
    def name(self) -> str:
        """`source -> target`, for messages."""
        return f"{self.source} -> {self.target}"

    @property
    @abstractmethod
    def rows(self) -> int:
        """Number of fused rows."""

    @property
    @abstractmethod
    def synapses(self) -> int:
        """Number of synapses."""

    @abstractmethod
    def unrolled(self) -> Connection:
        """The same synapses, listed one by one.

        Raises:
            ProgramError: there are too many.
        """

    def dense(self, dtype: npt.DTypeLike = np.int64) -> npt.NDArray[Any]:
        """Mantissas times 2**exponent as `dtype` (rows, source size), which has to hold them.

        Raises:
            ProgramError: they are too many to be listed.
        """
        return self.unrolled().dense(dtype)

    @abstractmethod
    def summing(self, dtype: npt.DTypeLike = np.int64) -> Summing:
        """A function from messages (batch, sources) to the sums of all rows (batch, rows).

        Args:
            dtype: in which sums are made; it has to hold every partial sum exactly.
        """

    @abstractmethod
    def interval(self, low: npt.ArrayLike, high: npt.ArrayLike) -> IntegerInterval:
        """Interval of each row's sum when source j sends something in [low_j, high_j] or nothing.

        It holds for every partial sum too, so the order of accumulation does not matter.
        """

    @abstractmethod
    def fan_out(self) -> IntegerArray:
        """Number of synapses of each source, int64 (source size,)."""

    @abstractmethod
    def problems(self, target_size: int) -> list[str]:
        """Everything that does not fit."""

    def _width_problems(self, mantissas: npt.NDArray[Any]) -> list[str]:
        """What is wrong with widths, shifts and delays."""
        found: list[str] = []
        if not 1 <= self.mantissa_bits <= WEIGHT_BITS:
            found.append(f"{self.name}: mantissas of {self.mantissa_bits} bits; 1 to 8 exist")
        else:
            low, high = signed_range(self.mantissa_bits)
            if mantissas.size and not (low <= mantissas.min() <= mantissas.max() <= high):
                found.append(f"{self.name}: a mantissa does not fit {self.mantissa_bits} bits")
        if not 0 <= self.exponent <= LARGEST_EXPONENT:
            found.append(
                f"{self.name}: exponent {self.exponent} is outside 0..{LARGEST_EXPONENT}; "
                "connections only shift left"
            )
        if not 0 <= self.delay <= LARGEST_DELAY:
            found.append(f"{self.name}: delay {self.delay} is outside 0..{LARGEST_DELAY}")
        return found
