"""Runs the stages of a network in double precision, and holds what they answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import Lnn2LoihiError, NetworkError
from lnn2loihi.family import owner
from lnn2loihi.faults import mend, raised
from lnn2loihi.frozen import ContentEquality
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.layers.stage import INPUT, Stage
from lnn2loihi.showing import Said, Shown, ranges
from lnn2loihi.stepping import step
from lnn2loihi.tables import counted

#: Answers of wired stages that are computed together; what is in between takes several times that.
VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Heard:
    """What a wired stage heard, from which its answer is computed again.

    Attributes:
        stage: the stage; it has no memory, and no time enters it.
        z: float64 (batch, steps, columns).
        live: what is before the end of its sequence, (batch, steps, 1); None for all of it.
    """

    stage: Stage
    z: FloatArray
    live: npt.NDArray[np.bool_] | None = None

    def __getitem__(self, index: Any) -> Heard:
        """Some of the sequences and steps."""
        return Heard(self.stage, self.z[index], None if self.live is None else self.live[index])

    @property
    def answer(self) -> FloatArray:
        """What the stage answers, float64 (batch, steps, units)."""
        batch, steps, _ = self.z.shape
        answers = np.empty((batch, steps, self.stage.units))
        at_once = max(VALUES_AT_ONCE // max(steps * self.stage.units, 1), 1)
        for begin in range(0, batch, at_once):
            part = slice(begin, begin + at_once)
            answers[part] = answered(self.stage, self.z[part], {}, None)[0]
        return answers if self.live is None else np.where(self.live, answers, 0.0)


class States(Mapping[str, FloatArray]):
    """The messages of stages by name, float64 (batch, steps, units).

    Those of wired stages are computed whenever they are asked for: an LTC has such a unit for each
    of its synapses, and kept, they would be nearly all of the memory of a result.

    Args:
        kept: for each stage its messages, or what they are computed from.
    """

    def __init__(self, kept: Mapping[str, FloatArray | Heard]) -> None:
        self._kept = dict(kept)

    def __getitem__(self, name: str) -> FloatArray:
        """The messages of a stage."""
        found = self._kept[name]
        return found.answer if isinstance(found, Heard) else found

    def __iter__(self) -> Iterator[str]:
        """The names in the order of evaluation."""
        return iter(self._kept)

    def __len__(self) -> int:
        """Number of stages."""
        return len(self._kept)

    def part(self, index: Any) -> States:
        """Some of the sequences and steps, without computing any message."""
        return States({name: found[index] for name, found in self._kept.items()})


@dataclass(frozen=True, eq=False)
class FloatResult(Shown, ContentEquality):
    """What a LiquidNetwork answers.

    Attributes:
        outputs: float64 (batch, time, outputs).
        states: for each stage (see `LiquidNetwork.stages`), float64 (batch, time, units): its
            message in each step, which is the state of a CfC layer. Those of an LTC's synapses are
            computed whenever they are asked for.
        final_state: for each layer with a state, and for each memory, float64 (batch, units).
        memory: for each stage with a memory, and each of its words, float64 (batch, time, units):
            the cell state of an LSTM, say.
    """

    outputs: FloatArray
    states: States
    final_state: Mapping[str, FloatArray]
    memory: Mapping[str, Mapping[str, FloatArray]]

    def _headline(self) -> str:
        batch, time, outputs = self.outputs.shape
        of = f"{counted(batch, 'sequence')} of {counted(time, 'sample')}"
        return f"{of}, {counted(outputs, 'output')}, float64"

    def _shown(self) -> list[Said]:
        """Sizes, and the range of each output."""
        return [self._headline(), f"states of {', '.join(self.states)}", *ranges(self.outputs)]

    def every(self, substeps: int) -> FloatResult:
        """The last of so many steps of each sample."""
        if substeps == 1:
            return self
        last = np.s_[:, substeps - 1 :: substeps]
        return FloatResult(
            self.outputs[last],
            self.states.part(last),
            self.final_state,
            self._memory(last),
        )

    def sequences(self, chosen: slice) -> FloatResult:
        """The answers to some of the sequences."""
        return FloatResult(
            self.outputs[chosen],
            self.states.part(chosen),
            {name: values[chosen] for name, values in self.final_state.items()},
            self._memory(chosen),
        )

    def _memory(self, index: Any) -> dict[str, dict[str, FloatArray]]:
        """Some of the sequences and steps of all memories."""
        return {
            name: {word: values[index] for word, values in words.items()}
            for name, words in self.memory.items()
        }


def evaluate_stages(
    stages: Sequence[Stage],
    inputs: FloatArray,
    elapsed: FloatArray | None,
    initial_state: Mapping[str, npt.ArrayLike],
    substeps: int = 1,
    ends: npt.NDArray[np.int64] | None = None,
    masks: Mapping[str, FloatArray] | None = None,
) -> FloatResult:
    """Runs stages on normalised inputs (batch, time, channels); see `LiquidNetwork.evaluate`.

    Inputs are what `LiquidNetwork.held` makes of samples: `substeps` steps for each. Sequences
    have `ends` steps each, (batch,), all of them by default; beyond stand numbers that can be run,
    and answers of zero. Messages of stages that `masks` names are multiplied with what it has for
    them, (batch, units), as dropout does.
    """
    masks = {} if masks is None else masks
    live = None if ends is None else (np.arange(inputs.shape[1]) < ends[:, None])[..., None]
    messages = {INPUT: inputs}
    answers: dict[str, FloatArray | Heard] = {}
    final: dict[str, FloatArray] = {}
    kept: dict[str, dict[str, FloatArray]] = {}
    for group in loops(stages):
        if any(stage.recurrent or stage.memory for stage in group):
            loop = _Loop(group, messages, initial_state, live, masks)
            for t in range(inputs.shape[1]):
                since = None if elapsed is None else elapsed[:, t, None]
                loop.step(t, since, t % substeps == 0)
            answers |= loop.answers
            final |= loop.final
            kept |= loop.kept
        else:
            (stage,) = group
            said = [messages[source.name] for source in stage.sources]
            heard = said[0] if len(said) == 1 else np.concatenate(said, axis=-1)
            since = elapsed[..., None] if stage.timed and elapsed is not None else None
            message, kept_words = answered(stage, heard, {}, since)
            _check_shapes(stage, heard.shape[:-1], message, kept_words)
            own = masks.get(stage.name)
            answers[stage.name] = message if own is None else message * own[:, None]
        # A wired stage is heard inside its loop alone.
        messages |= {
            s.name: found for s in group if not isinstance(found := answers[s.name], Heard)
        }
    if live is not None:
        answers = {
            name: Heard(found.stage, found.z, live)
            if isinstance(found, Heard)
            else np.where(live, found, 0.0)
            for name, found in answers.items()
        }
        kept = {
            name: {word: np.where(live, values, 0.0) for word, values in words.items()}
            for name, words in kept.items()
        }
    states = States(answers)
    return FloatResult(states[stages[-1].name], states, final, kept)


class _Loop:
    """Stages that hear each other again, step by step.

    Args:
        group: the stages.
        messages: of all stages before and of the input, (batch, time, units).
        initial_state: see `LiquidNetwork.evaluate`.
        live: what is before the end of its sequence, (batch, steps, 1); states stay as they were
            at the end. None for all of it.
        masks: see `evaluate_stages`.

    Attributes:
        kept: for each stage with a memory its words after each step so far, (batch, time, units).
    """

    def __init__(
        self,
        group: Sequence[Stage],
        messages: Mapping[str, FloatArray],
        initial_state: Mapping[str, npt.ArrayLike],
        live: npt.NDArray[np.bool_] | None = None,
        masks: Mapping[str, FloatArray] = MappingProxyType({}),
    ) -> None:
        self._live, self._masks = live, masks
        batch, time, _ = messages[INPUT].shape

        def begin(name: str, units: int) -> FloatArray:
            return np.broadcast_to(
                np.asarray(initial_state.get(name, 0.0), np.float64), (batch, units)
            )

        self._group = group
        heard = {s.name for stage in group for s in stage.sources}
        heard |= {s.first for stage in group for s in stage.sources if s.first}
        #: What is heard from outside.
        self._messages = {n: messages[n] for n in heard - {stage.name for stage in group}}
        self._now = {stage.name: begin(stage.name, stage.units) for stage in group}
        self._memory: dict[str, Mapping[str, FloatArray]] = {
            stage.name: {w: begin(stage.state_name(w), stage.units) for w in stage.memory}
            for stage in group
        }
        sizes = {s.name: s.columns if s.selects else s.units for s in group}
        self._steps = {name: np.empty((batch, time, size)) for name, size in sizes.items()}
        self.kept = {
            s.name: {w: np.empty((batch, time, s.units)) for w in s.memory}
            for s in group
            if s.memory
        }

    def step(self, t: int, since: FloatArray | None, first: bool) -> None:
        """All stages in turn.

        Args:
            t: number of the step.
            since: elapsed time, (batch, 1); None where time is constant.
            first: whether it is the first step of a sample.
        """
        outside = {name: values[:, t] for name, values in self._messages.items()}
        now = {**outside, **self._now}

        def answer(
            stage: Stage, heard: Sequence[FloatArray], kept: Mapping[str, FloatArray]
        ) -> tuple[FloatArray, Mapping[str, FloatArray]]:
            z = np.concatenate(heard, axis=-1)
            if stage.selects:
                self._steps[stage.name][:, t] = z
            passed = since if stage.timed else None
            message, new = answered(stage, z, kept, passed)
            if t == 0:  # once for each run: they depend on nothing else
                _check_shapes(stage, z.shape[:-1], message, new)
            if stage.name in self._masks:
                message = message * self._masks[stage.name]
            if self._live is not None:  # a sequence that has ended stays as it is
                lives, before = self._live[:, t], self._memory[stage.name]
                message = np.where(lives, message, self._now[stage.name])
                new = {word: np.where(lives, new[word], before[word]) for word in stage.memory}
            return message, new

        step(self._group, now, self._memory, answer, first)
        for stage in self._group:
            self._now[stage.name] = now[stage.name]
            if not stage.selects:
                self._steps[stage.name][:, t] = now[stage.name]
            for word in stage.memory:
                self.kept[stage.name][word][:, t] = self._memory[stage.name][word]

    @property
    def answers(self) -> dict[str, FloatArray | Heard]:
        """What each stage answered in the steps so far."""
        return {
            s.name: Heard(s, self._steps[s.name]) if s.selects else self._steps[s.name]
            for s in self._group
        }

    @property
    def final(self) -> dict[str, FloatArray]:
        """Last states of what is heard in the next step, and of memories."""
        heard = heard_again(self._group)
        found: dict[str, FloatArray] = {}
        for stage in self._group:
            if stage.name in heard:
                found[stage.name] = self._now[stage.name]
            own = self._memory[stage.name]
            found |= {stage.state_name(word): own[word] for word in stage.memory}
        return found


def answered(
    stage: Stage, z: FloatArray, kept: Mapping[str, FloatArray], elapsed: FloatArray | None
) -> tuple[FloatArray, Mapping[str, FloatArray]]:
    """What a stage answers to what it hears, (..., columns); see `Stage.answer`.

    Raises:
        NetworkError: its code raises anything else than an error of ours.
    """
    try:
        message, new = stage.answer(stage.sums(z), kept, elapsed)
    except (Lnn2LoihiError, MemoryError):
        raise
    except Exception as error:  # whatever a stranger's code raises
        doing = f"answer() of stage {stage.name!r}"
        raise raised(NetworkError, owner(type(stage)), doing, error) from error
    return message, new


def _check_shapes(stage: Stage, axes: tuple[int, ...], message: Any, kept: Any) -> None:
    """Refuses what would be broadcast, or is no array of real numbers.

    Raises:
        NetworkError: lists the message and the words that are not (*axes, units).
    """
    found: list[str] = []
    words = set(kept) if isinstance(kept, Mapping) else {type(kept).__name__}
    if words != set(stage.memory):
        found.append(f"memory {sorted(map(str, words))}, its `memory` names {sorted(stage.memory)}")
        kept = {}
    wanted = (*axes, stage.units)
    for name, values in {"the message": message, **kept}.items():
        if np.shape(values) != wanted or np.asarray(values).dtype.kind not in "fiub":
            found.append(
                f"{name} of shape {np.shape(values)} and type {np.asarray(values).dtype}, expected "
                f"{wanted} and float64"
            )
    if found:
        whose, package = owner(type(stage))
        said = [f"answer() of stage {stage.name!r} gives {text}; {mend(package)}" for text in found]
        raise NetworkError(whose, said)


def heard_again(stages: Sequence[Stage]) -> set[str]:
    """Stages whose last message is heard in the next step."""
    return {s.name for stage in stages for s in stage.sources if s.previous}


def loops(stages: Sequence[Stage]) -> list[list[Stage]]:
    """The stages in groups that have to run step by step: a recurrent loop, or a single stage."""
    groups: list[list[Stage]] = []
    waiting: list[Stage] = []
    for place, stage in enumerate(stages):
        waiting.append(stage)
        later = heard_again(waiting) & {s.name for s in stages[place + 1 :]}
        if not later:
            groups.append(waiting)
            waiting = []
    return groups
