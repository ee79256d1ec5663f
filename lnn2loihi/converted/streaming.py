"""Calls one after the other, each of which goes on where the one before ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converted.continuing import Continuation, continuation
from lnn2loihi.converted.pieces import AnyArray
from lnn2loihi.converted.running import ConvertedResult, given_to, pass_through, result_of
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.formats import IntegerArray
from lnn2loihi.showing import Said, Shown, Table
from lnn2loihi.simulation.choice import chosen
from lnn2loihi.simulation.executor import summed
from lnn2loihi.simulation.inputs import full_initial_state
from lnn2loihi.simulation.result import SaturationCounts, counts_text

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

#: For each chip part, population and word int64 (batch, neurons).
States = Mapping[str, Mapping[str, Mapping[str, AnyArray]]]


class ConvertedStream(Shown):
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
        for name, part in result.parts.items():
            inputs, words = part.saturated, part.saturated_words
            if name in self._saturated:
                inputs = inputs + self._saturated[name]
                words = summed(self._words[name], words)
            self._saturated[name], self._words[name] = inputs, words
        return result

    def _headline(self) -> str:
        return f"{self._calls:,} calls, carries {len(self._carries):,} chip parts, {self.executor}"

    def _shown(self) -> list[Said]:
        rows = [
            (name, int(np.sum(self._saturated.get(name, 0))),
             counts_text(self._words[name]) if name in self._words else "nothing has run")
            for name in (part.name for part in self.converted.chip_parts)
        ]  # fmt: skip
        return [
            f"stream of a converted module: {self._calls:,} calls so far",
            *self.notes,
            Table(("chip part", "input values clipped", "words"), rows),
        ]

    def reset(self) -> None:
        """The next call begins as the first one did; what is counted begins at 0."""
        self._states: States = {}
        self._calls = 0
        self._saturated: dict[str, IntegerArray] = {}
        self._words: dict[str, SaturationCounts | None] = {}

    @property
    def states(self) -> dict[str, dict[str, dict[str, AnyArray]]]:
        """For each chip part that is carried, population and word int64 (batch, neurons): what the
        next call begins with. Nothing before the first call.
        """
        return {
            name: {p: {w: np.array(held) for w, held in words.items()} for p, words in own.items()}
            for name, own in self._states.items()
        }

    @checks_kinds()
    def load_states(self, states: States) -> None:
        """The next call begins with these, as `states` is; counts go on.

        Raises:
            InputError: lists parts that are missing or that there are not, and what does not fit
                their words; the stream is then as it was.
        """
        problems = Problems(InputError, "states")
        given = dict(states)
        for name in sorted(given.keys() ^ set(self._carries), key=str):
            problems.add(f"there is {'no' if name in given else 'nothing of'} chip part {name!r}")
        problems.raise_if_any()
        sizes = {
            len(array) for part in given.values() for words in part.values()
            for array in words.values() if np.ndim(array) == 2
        }  # fmt: skip
        if len(sizes) != 1:
            raise InputError("states", "are not (batch, neurons) of one batch in all parts")
        batch = sizes.pop()
        programs = {part.name: part.quantized() for part in self.converted.chip_parts}
        self._states = {
            name: full_initial_state(programs[name], batch, given[name]) for name in self._carries
        }

    @property
    def calls(self) -> int:
        """Calls since the beginning."""
        return self._calls

    @property
    def saturated(self) -> dict[str, IntegerArray]:
        """For each chip part its input values outside the calibrated range so far, int64 (channels
        of its port,); an elapsed time is the last channel. Nothing before the first call.
        """
        return {name: counts.copy() for name, counts in self._saturated.items()}

    @property
    def saturated_words(self) -> dict[str, SaturationCounts | None]:
        """For each chip part, population and word int64 (neurons,): updates in which it saturated
        so far. None in place of a part whose executor does not count.
        """
        return dict(self._words)

    @property
    def clipped_elapsed(self) -> int:
        """Elapsed times outside the calibrated range so far, of all chip parts that hear one."""
        timed = (p.name for p in self.converted.chip_parts if p.quantized().timed)
        return sum(int(self._saturated[name][-1]) for name in timed if name in self._saturated)

    @property
    def saturated_inputs(self) -> int:
        """Input values of all chip parts outside the calibrated range, in all calls so far."""
        return sum(int(counts.sum()) for counts in self._saturated.values())

    def __copy__(self) -> ConvertedStream:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        made._saturated, made._words = dict(self._saturated), dict(self._words)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> ConvertedStream:
        return self.__copy__()  # the module is not the stream's own
