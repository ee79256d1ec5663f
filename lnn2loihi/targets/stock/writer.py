"""What a family says of its stages as stock neurons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from lnn2loihi.graph.population import Population
from lnn2loihi.targets.stock.parts import Parts

W = TypeVar("W")


class StockWriter(ABC, Generic[W]):
    """How populations of one kind become stock neurons; a family names it in `Family.stock`."""

    @abstractmethod
    def recognised(self, population: Population) -> W | None:
        """What a population is, or None where it is none of these: its neuron program has to be
        the very one that the family makes of what is returned.
        """

    def reach(self, what: W) -> int | None:
        """How far the messages of a population that is sent as several reach together, as a
        magnitude in units of the fused message; None for one that is sent as one.
        """
        return None

    def announce(self, parts: Parts, population: Population, what: W) -> None:
        """Says what the messages become of a population that is heard in a loop, before any
        population is written (`Parts.announce`). Nothing by default.
        """

    @abstractmethod
    def write(self, parts: Parts, population: Population, what: W) -> None:
        """Makes its neurons, and announces its messages where that was not done before.

        Args:
            parts: takes them.
            population: of the fused program, all of whose forward senders are announced.
            what: what `recognised` said.
        """


#: A writer of anything.
AnyWriter = StockWriter[Any]
