"""What is common to all recurrent networks that are found in an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lnn2loihi.converters.onnx_read.terms import GraphTooLargeError, Identities, NodeError, Terms
from lnn2loihi.family import Family, families, left_out
from lnn2loihi.faults import described
from lnn2loihi.network import LiquidNetwork

if TYPE_CHECKING:
    from lnn2loihi.converters.onnx_read.chain import FoundPart
    from lnn2loihi.converters.onnx_read.operators import RecurrentOperator


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

    def final_states(self) -> dict[str, Identities]:
        """For each stage that keeps a state its identities after the last step."""
        ...

    def position(self, row: Identities) -> int | None:
        """Which of its steps a row is the answer of, None if it is none's.

        Raises:
            NodeError: the row is made otherwise than the answers.
        """
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

    Layers that stand in a row with others are found one by one, by `part`. A family whose layers
    are read alone follows the whole recurrence itself.

    Attributes:
        part: the layer that makes a row in one step, None where none of the family does; a
            NodeError says what does not fit in one that nearly does.
        expected: what `part` looks for, for messages.
        recurrence: follows the recurrence from an answer back to the initial state; a NodeError
            names what does not fit.
        recognises: whether such a layer makes an answer.
        operators: operators of ONNX that are layers of the family, by name.
    """

    part: Callable[[Terms, Identities], FoundPart | None] | None = None
    expected: str = ""
    recurrence: Callable[[Terms, Identities], Recurrence] | None = None
    recognises: Callable[[Terms, Identities], bool] | None = None
    operators: Mapping[str, RecurrentOperator] = field(default_factory=dict)


def readers() -> Iterator[tuple[Family, OnnxReader]]:
    """The readers of all families; one that cannot be made is named in a warning."""
    for family in families():
        if family.onnx_reader is not None:
            made = asked(family, family.onnx_reader)
            if isinstance(made, OnnxReader):
                yield family, made


def asked(family: Family, question: Callable[..., Any], *given: Any) -> Any:
    """What a reader answers; None if it fails, which is said in a warning.

    Raises:
        NodeError: what does not fit.
        GraphTooLargeError: it computes too much.
    """
    try:
        return question(*given)
    except (NodeError, GraphTooLargeError, RecursionError):
        raise
    except Exception as error:  # a stranger's reader, asked about what is not its
        left_out(family.name, f"its layers cannot be looked for in a graph: {described(error)}")
        return None


def recurrence_of(terms: Terms, answer: Identities) -> Recurrence:
    """Follows the recurrence from an answer back to the initial state.

    Raises:
        NodeError: names the first node that does not fit, and what was expected there.
    """
    from lnn2loihi.converters.onnx_read.chain import chain_recurrence

    for family, reader in readers():
        if (
            reader.recurrence is not None
            and reader.recognises is not None
            and asked(family, reader.recognises, terms, answer)
        ):
            return reader.recurrence(terms, answer)
    return chain_recurrence(terms, answer)
