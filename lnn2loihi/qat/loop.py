"""One recurrent loop of stages in training: the chip's arithmetic in floats, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lnn2loihi.layers.stage import INPUT, Stage
from lnn2loihi.qat.stage import TrainableStage
from lnn2loihi.stepping import step
from lnn2loihi.tensors import equations, with_vectors


def run_loop(
    group: list[Stage],
    stages: Mapping[str, TrainableStage],
    substeps: int,
    messages: dict[str, Tensor],
    elapsed: Tensor | None,
    state: dict[str, Tensor],
    final: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Messages of all steps of a loop of stages, or of one stage without a loop.

    Args:
        group: the stages, in order.
        stages: the trainable stages by name.
        substeps: steps for each sample, of which some stages take the first alone.
        messages: what is heard from outside, (batch, steps, columns), by name.
        elapsed: elapsed time of each step, (batch, steps), or None.
        state: states and memories before the first step, (batch, units), by name.
        final: those after the last step are put here.

    Returns:
        Messages of each stage of the group, (batch, steps, units).
    """
    names = {stage.name for stage in group}
    inside, outside = _taken_apart(group, stages, messages)
    group = [_with_own_vectors(stage, stages[stage.name]) for stage in group]
    alone = all(block is None for blocks in inside.values() for block in blocks)
    if alone and not any(stage.memory for stage in group):
        (stage,) = group
        sums = _by_gate(stage, outside[stage.name])
        since = elapsed[..., None] if stage.timed and elapsed is not None else None
        message = equations(stage, sums, {}, since, stages[stage.name].clipped)[0]
        return {stage.name: stages[stage.name].heard(message)}
    # What is kept more finely than it is sent is heard as it would have been sent.
    now = {name: stages[name].sent(state[name]) for name in names if name in state}
    memory: dict[str, Mapping[str, Tensor]] = {
        s.name: {word: state[s.state_name(word)] for word in s.memory} for s in group
    }
    steps: dict[str, list[Tensor]] = {name: [] for name in names}
    time = messages[INPUT].shape[1]
    # Taken apart once: the gradient of a single step would be as large as that of all.
    known = {
        name: total.unbind(1) if total.dim() == 3 else (total,) * time
        for name, total in outside.items()
    }
    for t in range(time):
        since = None if elapsed is None else elapsed[:, t, None]

        def answer(
            stage: Stage,
            heard: Sequence[Tensor],
            kept: Mapping[str, Tensor],
            t: int = t,
            since: Tensor | None = since,
        ) -> tuple[Tensor, Mapping[str, Tensor]]:
            total = known[stage.name][t]
            for message, block in zip(heard, inside[stage.name], strict=True):
                if block is not None:
                    total = torch.addmm(total, message, block)
            passed = since if stage.timed else None
            sums = _by_gate(stage, total)
            value, new = equations(stage, sums, kept, passed, stages[stage.name].clipped)
            return stages[stage.name].heard(value), new

        step(group, now, memory, answer, t % substeps == 0)
        for name in names:
            steps[name].append(now[name])
    final.update({name: now[name] for name in state if name in names})
    for stage in group:
        final.update({stage.state_name(w): memory[stage.name][w] for w in stage.memory})
    return {name: torch.stack(values, dim=1) for name, values in steps.items()}


def _with_own_vectors(stage: Stage, own: TrainableStage) -> Stage:
    return with_vectors(stage, own.effective_vectors(), own.clipped)


def _taken_apart(
    group: Sequence[Stage], stages: Mapping[str, TrainableStage], messages: Mapping[str, Tensor]
) -> tuple[dict[str, list[Tensor | None]], dict[str, Tensor]]:
    """For each stage a transposed block of weights for each source inside of the group (None for
    those outside), and the sum of what is heard from outside, for all steps at once.
    """
    names = {stage.name for stage in group}
    inside: dict[str, list[Tensor | None]] = {}
    outside: dict[str, Tensor] = {}
    for stage in group:
        weight, known = stages[stage.name].maps()
        begin = 0
        inside[stage.name] = []
        for source in stage.sources:
            block = weight[:, begin : begin + source.columns]
            begin += source.columns
            within = source.name in names
            inside[stage.name].append(block.T if within else None)
            if not within:
                known = known + messages[source.name] @ block.T
        outside[stage.name] = known
    return inside, outside


def _by_gate(stage: Stage, total: Tensor) -> dict[str, Tensor]:
    """The sums of all gates side by side, taken apart."""
    return dict(zip(stage.gates, total.chunk(len(stage.gates), -1), strict=True))
