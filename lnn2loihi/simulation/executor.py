"""Where programs run: what an executor is, and what the library adds to what one leaves out.

`simulate(engine=)`, streams, `verify(executors=)`, `profile(against=)` and the command line take
executors by the names under which they are registered, ours like those of others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from lnn2loihi.defaults import ALL
from lnn2loihi.errors import BackendMissingError, Lnn2LoihiError, PluginError, UnfitProgramError
from lnn2loihi.faults import one_line
from lnn2loihi.formats import IntegerArray
from lnn2loihi.printable import is_line
from lnn2loihi.program import LoihiProgram
from lnn2loihi.registry import Registry
from lnn2loihi.simulation.inputs import encode_live
from lnn2loihi.simulation.outcome import array_problems, checked_run, checked_trace
from lnn2loihi.simulation.result import (
    EngineRun,
    IntegerRun,
    OnStep,
    SaturationCounts,
    no_saturations,
)
from lnn2loihi.simulation.traces import from_trace

#: For each population and state word int64 (batch, neurons).
FullState = Mapping[str, Mapping[str, npt.NDArray[Any]]]
Run = IntegerRun | EngineRun
#: In place of a name: the fastest of our engines that runs the program here.
AUTO = "auto"


class OpenStream(Protocol):
    """One endless sequence, a sample at a time: what `open_stream` of an executor makes."""

    @property
    def state(self) -> FullState:
        """For each population and state word (1, neurons): the state now."""
        ...

    @property
    def saturated(self) -> IntegerArray:
        """Input values of each channel outside of its range in all updates since `start`."""
        ...

    @property
    def saturated_words(self) -> SaturationCounts | None:
        """Updates in which words saturated since `start`; None where nobody counts."""
        ...

    def start(self, state: FullState) -> None:
        """Goes on from a state, with counts of 0."""
        ...

    def step(self, sample: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The messages of the output population, (outputs,), after all updates for a sample:
        float64 (channels,), or int32 where the stream is encoded.
        """
        ...


class Executor(ABC):
    """A place where programs run, bit for bit as the reference does.

    An entry point of the group `lnn2loihi.executors` names a class that makes one when it is called
    without arguments. `run` is all that it must have; the rest has defaults. An object that is
    called as `run` is, of any class, is an executor too.

    One that computes with code that nobody here wrote says so in `independent`, a sentence for
    results of `verify`; it is empty by default.

    One that has streams of its own has `open_stream(program, state, encoded)`, which makes an
    `OpenStream` from a state, for each population and word (1, neurons). Others run a sample at a
    time.
    """

    independent: str = ""

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        if cls is not Executor or issubclass(other, type):
            return NotImplemented
        return any({"run", "__call__"} & vars(base).keys() for base in other.__mro__)

    @abstractmethod
    def run(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        initial_state: FullState,
        *arguments: Any,
        **options: Any,
    ) -> Run:
        """Runs a program.

        What it takes of the options it names as parameters; it is given no others. One without
        `lengths` runs all updates of all sequences, and returns every state of every update: ends,
        final states, counters and saturated words are found from these.

        Args:
            program: what to run.
            inputs: encoded samples int64 (batch, updates, channels), each as often as it is sent;
                read only, as the initial state is.
            initial_state: for each population and state word int64 (batch, neurons).
            arguments: none are given.
            options: `on_step`, called with the steps done and the steps in all; None for nobody.
                `lengths`, updates of each sequence, int64 (batch,): one that takes it returns an
                EngineRun that ends there. `record`, whether every state is to be returned;
                `step_totals`, whether messages of each update are to be counted; `threads`, a
                number or None: for those that take `lengths`.

        Raises:
            BackendMissingError: it needs something that is not here.
        """

    def reason_against(self, program: LoihiProgram) -> str:
        """Why it cannot run a program here, and what to do about it; empty where it can."""
        return ""

    def unfit(self, program: LoihiProgram) -> str:
        """Why it can run such a program nowhere, whatever is installed, and what can; empty where
        it could. `reason_against` may say the same.
        """
        return ""

    def share(self, program: LoihiProgram, batch: int, updates: int) -> tuple[int, int]:
        """How many of the first sequences, and updates of these, it runs in some seconds: what is
        compared where nobody has named it. Everything by default.
        """
        return batch, updates


class Execution:
    """An executor under its name, with all that it leaves out; what it hands back is checked.

    Args:
        name: under which it is registered.
        executor: an Executor, or whatever is called as its `run` is.
    """

    def __init__(self, name: str, executor: Any) -> None:
        self.name, self.executor = name, executor
        self._run: Callable[..., Any] = getattr(executor, "run", executor)
        self._takes = _options_of(self._run)

    @property
    def keeps_trace(self) -> bool:
        """Whether it returns every state of every update, whatever is asked for."""
        return "lengths" not in self._takes

    @property
    def has_threads(self) -> bool:
        """Whether it can be told how many threads it has."""
        return "threads" in self._takes

    @property
    def independent(self) -> str:
        """What it computes with that is not of this library, in a sentence; empty for nothing."""
        said = getattr(self.executor, "independent", "")
        return said if isinstance(said, str) and is_line(said) else ""

    def reason_against(self, program: LoihiProgram) -> str:
        """Why it cannot run a program here; empty where it can."""
        ask = getattr(self.executor, "reason_against", None)
        return "" if ask is None else str(self._guarded(ask, program))

    def require(self, program: LoihiProgram) -> None:
        """Refuses what it cannot run.

        Raises:
            UnfitProgramError: it can run such a program nowhere.
            BackendMissingError: the reason against the program here.
        """
        ask = getattr(self.executor, "unfit", None)
        unfit = "" if ask is None else str(self._guarded(ask, program))
        if unfit:
            raise UnfitProgramError(
                f"executor {self.name}", f"cannot run program {program.name!r}: {unfit}"
            )
        reason = self.reason_against(program)
        if reason:
            raise BackendMissingError(
                f"executor {self.name}", f"cannot run program {program.name!r} here: {reason}"
            )

    def share(self, program: LoihiProgram, batch: int, updates: int) -> tuple[int, int]:
        """What it runs where nobody has named it: sequences and updates, of whole samples."""
        ask = getattr(self.executor, "share", None)
        if ask is None:
            return batch, updates
        try:
            sequences, part = map(int, self._guarded(ask, program, batch, updates))
        except (TypeError, ValueError):
            raise self._broken("its share is no pair of whole numbers") from None
        samples = max(part // program.substeps, 1)
        return min(max(sequences, 1), batch), min(samples * program.substeps, updates)

    def run_samples(
        self,
        program: LoihiProgram,
        samples: npt.NDArray[Any],
        start: FullState,
        lengths: IntegerArray,
        record: bool = False,
        threads: int | None = None,
        on_step: OnStep | None = None,
        step_totals: bool = False,
    ) -> tuple[EngineRun, IntegerArray]:
        """Runs samples that are not encoded yet, each as often as it is sent.

        Returns:
            The run, and the saturated input values of each channel, int64 (channels,).
        """
        inputs, saturated = encode_live(program, samples, lengths)
        derived = self.keeps_trace or (step_totals and "step_totals" not in self._takes)
        made = self._called(
            program, inputs, start, on_step, lengths=lengths, record=record or derived,
            threads=threads, step_totals=step_totals,
        )  # fmt: skip
        if isinstance(made, EngineRun) and not derived:
            return checked_run(
                self._broken, program, made, lengths, inputs.shape[1],
                record=record, step_totals=step_totals,
            ), saturated  # fmt: skip
        trace = checked_trace(self._broken, program, made, inputs.shape, narrow=True)
        run = from_trace(program, trace, inputs, start, lengths, record, step_totals)
        return run, saturated

    def trace(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        start: FullState,
        on_step: OnStep | None = None,
    ) -> IntegerRun:
        """Every state of every update, as the executor hands them back."""
        everything = np.full(len(inputs), inputs.shape[1])
        made = self._called(program, inputs, start, on_step, lengths=everything, record=True)
        return checked_trace(self._broken, program, made, inputs.shape, narrow=False)

    def open_stream(self, program: LoihiProgram, state: FullState, encoded: bool) -> OpenStream:
        """One endless sequence, from a state (1, neurons): the executor's own, or step by step."""
        own = getattr(self.executor, "open_stream", None)
        if own is None:
            return SteppedStream(self, program, state)
        made = self._guarded(own, program, state, encoded)
        return cast(OpenStream, _OwnStream(self, program, made))

    def checked_answer(
        self, step: Callable[..., Any], sample: npt.NDArray[Any], shape: tuple[int, ...]
    ) -> npt.NDArray[Any]:
        """What a stream of its own answers to a sample."""
        answer = self._guarded(step, sample)
        problems = list(array_problems("the answer of a step", answer, shape, narrow=True))
        if problems:
            raise self._broken(problems)
        return answer

    def _called(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        start: FullState,
        on_step: OnStep | None,
        **options: Any,
    ) -> Any:
        """What `run` returns, given of the options what it takes."""
        given = {name: value for name, value in options.items() if name in self._takes}
        if on_step is not None and "on_step" in self._takes:
            given["on_step"] = _Watched(on_step)
        begun = {n: {w: _read_only(v) for w, v in words.items()} for n, words in start.items()}
        made = self._guarded(self._run, program, _read_only(inputs), begun, **given)
        if on_step is not None and "on_step" not in given:
            on_step(inputs.shape[1], inputs.shape[1])
        return made

    def _guarded(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What a function of the executor returns; whatever else it raises becomes our error."""
        try:
            return function(*arguments, **options)
        except (Lnn2LoihiError, MemoryError):
            raise
        except Exception as error:  # whatever the code of a stranger raises
            watched = options.get("on_step")
            if watched is not None and watched.raised is error:
                raise
            said = one_line(error)
            raise self._broken(f"raised {said}") from error

    def _broken(self, problems: Sequence[str] | str) -> PluginError:
        return PluginError(f"executor {self.name!r}", problems)


class _Watched:
    """A callback of the user's: what it raises is its own, and passes through an executor."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step
        self.raised: Exception | None = None

    def __call__(self, done: int, total: int) -> None:
        try:
            self._on_step(done, total)
        except Exception as error:
            self.raised = error
            raise


class SteppedStream:
    """A stream on an executor that has none of its own: a run for each sample, the state carried.

    Args:
        execution: who runs it.
        program: what runs.
        state: what it starts from, for each population and state word (1, neurons).
    """

    saturated_words: SaturationCounts | None

    def __init__(self, execution: Execution, program: LoihiProgram, state: FullState) -> None:
        self._execution, self._program = execution, program
        self._updates = np.array([program.substeps])
        self.start(state)

    def start(self, state: FullState) -> None:
        """See `OpenStream`."""
        self.state = {
            name: {word: np.asarray(values, np.int64) for word, values in words.items()}
            for name, words in state.items()
        }
        self.saturated = np.zeros(self._program.input.size, np.int64)
        self.saturated_words = no_saturations(self._program)

    def step(self, sample: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """See `OpenStream`."""
        samples = np.repeat(sample[None, None], self._program.substeps, axis=1)
        run, saturated = self._execution.run_samples(
            self._program, samples, self.state, self._updates
        )
        self.state = {
            name: {word: values.astype(np.int64) for word, values in words.items()}
            for name, words in run.final_state.items()
        }
        self.saturated = self.saturated + saturated
        self.saturated_words = summed(self.saturated_words, run.saturated_words)
        return run.integers[0, -1]


class _OwnStream:
    """A stream of an executor's own, whose answers are checked.

    Args:
        execution: the executor.
        program: what runs.
        stream: what the executor has made.
    """

    def __init__(self, execution: Execution, program: LoihiProgram, stream: OpenStream) -> None:
        self._execution, self._stream = execution, stream
        self._shape = (program.output_population.size,)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def step(self, sample: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See `OpenStream`."""
        return self._execution.checked_answer(self._stream.step, sample, self._shape)


def summed(
    counts: SaturationCounts | None, more: SaturationCounts | None
) -> SaturationCounts | None:
    """Both together; None where one of the two was not counted."""
    if counts is None or more is None:
        return None
    return {n: {w: c + more[n][w] for w, c in words.items()} for n, words in counts.items()}


def _options_of(function: Callable[..., Any]) -> frozenset[str]:
    """Names of the options that a function has parameters for."""
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):  # of a function in C nothing is known
        return frozenset()
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return frozenset(one.name for one in parameters if one.kind in named)


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, which nobody can write to through what is returned."""
    view = array.view()
    view.flags.writeable = False
    return view


EXECUTORS: Registry[Any] = Registry(
    "lnn2loihi.executors", "executor", Executor, reserved=(AUTO, ALL)
)
