"""How the stages of a network run in a step: written once, for whatever they are computed on.

`step` runs stages over arrays (evaluation), tensors (training, PyTorch as a rival) and values that
are traced into a graph (the float ONNX export); `heard` says afterwards what they heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.layers.stage import Stage, StageSource

#: A message, or what a word of a memory holds: an array, a tensor, a traced value.
Value = Any
#: Called with a stage, what each of its sources says (None where nobody has said it to `step`) and
#: its memory; answers with its message and its new memory.
Answer = Callable[[Stage, Sequence[Value], Mapping[str, Value]], tuple[Value, Mapping[str, Value]]]
#: Called with what holds in the first step of a sample, and with what holds in all others.
Choice = Callable[[Value, Value], Value]


def step(
    stages: Sequence[Stage],
    now: MutableMapping[str, Value],
    memory: MutableMapping[str, Mapping[str, Value]],
    answer: Answer,
    first: bool | Choice,
) -> None:
    """Runs all stages in turn; `now` and `memory` are brought up to date.

    Args:
        stages: in their order within a step.
        now: by name the newest message of each stage, which is that of the step before until the
            stage has run, and of what is heard from outside.
        memory: for each stage its words.
        answer: computes a stage.
        first: whether this is the first step of a sample. Where the step is written down for all
            of them, the function that chooses.
    """
    written_down = callable(first)
    choose: Choice = first if callable(first) else (_the_first if first else _the_later)
    before = dict(now)
    for stage in stages:
        if stage.once and not first:
            continue  # it holds its message and its memory
        kept = memory.get(stage.name, {})
        if stage.starts_from:
            kept = {word: choose(now[stage.starts_from], value) for word, value in kept.items()}
        messages: list[Value] = []
        for source in stage.sources:
            message = (before if source.previous else now).get(source.name)
            messages.append(choose(now[source.first], message) if source.first else message)
        message, new = answer(stage, messages, kept)
        if stage.once and written_down:
            new = {word: choose(value, kept[word]) for word, value in new.items()}
            if stage.name in before:
                message = choose(message, before[stage.name])
        now[stage.name], memory[stage.name] = message, new


def heard(source: StageSource, said: Mapping[str, FloatArray], substeps: int = 1) -> FloatArray:
    """What a stage heard from a source in all steps, (batch, steps, columns); initial states are 0.

    Args:
        source: one of the stage's sources.
        said: by name what all stages, and whatever is heard from outside, said in each step.
        substeps: steps of a sample.
    """
    values = said[source.name]
    if source.previous:
        values = np.concatenate([np.zeros_like(values[:, :1]), values[:, :-1]], axis=1)
    if source.first:
        values = values.copy()
        values[:, ::substeps] = said[source.first][:, ::substeps]
    return values


def _the_first(first: Value, later: Value) -> Value:
    return first


def _the_later(first: Value, later: Value) -> Value:
    return later
