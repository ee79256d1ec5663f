"""What is common to all recurrent networks that are found in an ONNX graph."""

from __future__ import annotations

from typing import Protocol

from lnn2loihi.converters.onnx_read.symbolic import Symbols, Traced
from lnn2loihi.converters.onnx_read.terms import Identities, NodeError
from lnn2loihi.families.cfc.onnx_layers import cfc_recurrence
from lnn2loihi.families.ltc.onnx_layers import is_ltc, ltc_recurrence
from lnn2loihi.network import LiquidNetwork


class Recurrence(Protocol):
    """The steps of a graph, first to last."""

    @property
    def samples(self) -> list[Identities]:
        """Identities of the sample of each step."""
        ...

    @property
    def elapsed(self) -> list[int]:
        """For each step the identity of its elapsed time; empty where time is constant."""
        ...

    def initial_states(self) -> dict[str, Identities]:
        """For each stage that keeps a state its identities before the first step."""
        ...

    def network(self, name: str) -> LiquidNetwork:
        """The network of the layers that were found.

        Raises:
            NetworkError: the layers do not fit each other.
            NodeError: a layer is one that a LiquidNetwork does not have.
        """
        ...


def recurrence_of(traced: Traced) -> Recurrence:
    """Follows the recurrence from the last answer back to the initial state.

    Raises:
        NodeError: names the first node that does not fit, and what was expected there.
    """
    if not traced.inputs or not traced.outputs:
        raise NodeError("the graph has no input or no output; expected samples and answers")
    value = next(iter(traced.outputs.values()))
    if not isinstance(value, Symbols) or not value.shape:
        raise NodeError("its first output does not depend on its input; expected the answers")
    answer = value.identities.reshape(-1, value.shape[-1])[-1]
    find = ltc_recurrence if is_ltc(traced.terms, answer) else cfc_recurrence
    return find(traced.terms, answer)
