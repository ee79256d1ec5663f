"""Calls one after the other, each of which goes on where the one before ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.converted.continuing import Continuation, continuation
from lnn2loihi.converted.pieces import AnyArray
from lnn2loihi.converted.running import ConvertedResult, given_to, pass_through, result_of
from lnn2loihi.simulation.choice import chosen

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

#: For each chip part, population and word int64 (batch, neurons).
States = Mapping[str, Mapping[str, Mapping[str, AnyArray]]]


class ConvertedStream:
    """A converted module whose chip parts begin each call with the integers that the call before
    ended with; `ConvertedModule.open_stream` makes it.

    Host parts keep nothing. A copy goes on by itself.

    Args:
        converted: the module, quantized.
        executor: who runs the programs.

    Attributes:
        notes: what the user has to know of calls that go on, a sentence each.

    Raises:
        InputError: lists the parts with which calls in a row are not one long call; or there is no
            such executor.
        BackendMissingError: the executor cannot run a program here.
    """

    def __init__(self, converted: ConvertedModule, executor: str = "auto") -> None:
        self.converted, self.executor = converted, executor
        for part in converted.chip_parts:
            chosen(part.quantized(), executor)
        found: Continuation = continuation(converted)
        self._carries, self.notes = found.parts, found.notes
        self.reset()

    def predict(self, *args: Any, **keywords: Any) -> Any:
        """What the module answers to the next call; arguments, answers and errors as of
        `ConvertedModule.predict`.

        Raises:
            InputError: the same, or there are more or fewer sequences than in the call before. The
                states are then as they were.
        """
        return self.run(*args, **keywords).answer

    def run(self, *args: Any, **keywords: Any) -> ConvertedResult:
        """The same as `predict`, with each chip part's simulation and what saturated."""
        given = given_to(self.converted, args, keywords)
        passage = pass_through(self.converted, given, self.executor, carried=self._states)
        result = result_of(self.converted, passage, given)
        self._states = {name: passage.states[name] for name in self._carries}
        self._calls += 1
        self._saturated += result.saturated_inputs
        return result

    def reset(self) -> None:
        """The next call begins as the first one did; what is counted begins at 0."""
        self._states: States = {}
        self._calls = self._saturated = 0

    @property
    def states(self) -> dict[str, dict[str, dict[str, AnyArray]]]:
        """For each chip part that is carried, population and word int64 (batch, neurons): what the
        next call begins with. Nothing before the first call.
        """
        return {
            name: {p: {w: np.array(held) for w, held in words.items()} for p, words in own.items()}
            for name, own in self._states.items()
        }

    @property
    def calls(self) -> int:
        """Calls since the beginning."""
        return self._calls

    @property
    def saturated_inputs(self) -> int:
        """Input values of all chip parts outside the calibrated range, in all calls so far."""
        return self._saturated
