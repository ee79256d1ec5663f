"""One evaluation of stages that follow each other: who hears whom, and which memory goes on.

The one place that says so. What hears and answers (NumPy, tensors) is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from lnn2loihi.layers.stage import Stage

Array = TypeVar("Array")


def step_stages(
    stages: Iterable[Stage],
    now: dict[str, Array],
    memories: dict[str, Mapping[str, Array]],
    first: bool,
    respond: Callable[
        [Stage, Sequence[str], Mapping[str, Array]], tuple[Array, Mapping[str, Array]]
    ],
) -> None:
    """Evaluates all stages once, in order.

    Args:
        stages: the stages.
        now: last message of each stage by its name; brought up to date.
        memories: for each stage its words of `memory`; brought up to date.
        first: whether it is the first step of a sample, which is the only one of a stage that
            takes it `once`, and in which sources and memories start from others.
        respond: takes a stage, the names of what it hears in the order of its sources, and its
            memory; returns its message and its new memory.
    """
    for stage in stages:
        if stage.once and not first:
            continue
        memory = memories.get(stage.name, {})
        if first and stage.starts_from:
            memory = dict.fromkeys(stage.memory, now[stage.starts_from])
        names = [(source.first if first else "") or source.name for source in stage.sources]
        now[stage.name], memories[stage.name] = respond(stage, names, memory)
