"""What is common to all recurrent networks that are found in an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lnn2loihi.converters.onnx_read.symbolic import Symbols, Traced
from lnn2loihi.converters.onnx_read.terms import GraphTooLargeError, Identities, NodeError, Terms
from lnn2loihi.family import families, left_out
from lnn2loihi.faults import described
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


@dataclass(frozen=True)
class OnnxReader:
    """How the layers of a family are found in a graph; what `Family.onnx_reader` makes.

    Attributes:
        recurrence: follows the recurrence from the last answer of a graph back to the initial
            state; a NodeError names what does not fit.
        recognises: whether such a layer makes an answer; None for a reader that takes whatever no
            other does, so that it can say what it expected.
    """

    recurrence: Callable[[Terms, Identities], Recurrence]
    recognises: Callable[[Terms, Identities], bool] | None = None


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
    anything: list[OnnxReader] = []
    for family in families():
        try:
            reader = None if family.onnx_reader is None else family.onnx_reader()
            if reader is not None and reader.recognises is None:
                anything.append(reader)
            elif reader is not None and reader.recognises(traced.terms, answer):
                return reader.recurrence(traced.terms, answer)
        except (NodeError, GraphTooLargeError, RecursionError):
            raise
        except Exception as error:  # a stranger's reader, asked about what is not its
            left_out(family.name, f"its layers cannot be looked for in a graph: {described(error)}")
    for reader in anything:
        return reader.recurrence(traced.terms, answer)
    raise NodeError("there is no family whose layers are found in ONNX graphs")
