"""One recurrent loop of stages in training: the chip's arithmetic in floats, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lnn2loihi.layers.stage import INPUT, Stage
from lnn2loihi.layers.stepping import step_stages
from lnn2loihi.qat.functions import answer
from lnn2loihi.qat.stage import TrainableStage


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
    inside: dict[str, list[tuple[int, Tensor]]] = {}  # places among the sources
    outside: dict[str, Tensor] = {}
    for stage in group:
        weight, bias = stages[stage.name].maps()
        begin, known = 0, bias
        inside[stage.name] = []
        for place, source in enumerate(stage.sources):
            block = weight[:, begin : begin + source.columns]
            begin += source.columns
            if source.name in names:
                inside[stage.name].append((place, block.T))
            else:  # for all steps at once
                known = known + messages[source.name] @ block.T
        outside[stage.name] = known
    x = messages[INPUT]
    if not any(inside.values()) and not any(stage.memory for stage in group):
        (stage,) = group
        sums = dict(zip(stage.gates, outside[stage.name].chunk(len(stage.gates), -1), strict=True))
        own = stages[stage.name]
        return {stage.name: own.sent(answer(stage, sums, own.effective_vectors(), None, None)[0])}
    # What is kept more finely than it is sent is heard as it would have been sent.
    now = {name: stages[name].sent(state[name]) for name in names if name in state}
    memory: dict[str, Mapping[str, Tensor]] = {
        s.name: {word: state[s.state_name(word)] for word in s.memory} for s in group
    }
    steps: dict[str, list[Tensor]] = {name: [] for name in names}
    vectors = {stage.name: stages[stage.name].effective_vectors() for stage in group}
    # Taken apart once: the gradient of a single step would be as large as that of all.
    known = {
        stage.name: outside[stage.name].unbind(1)
        if outside[stage.name].dim() == 3
        else (outside[stage.name],) * x.shape[1]
        for stage in group
    }
    for t in range(x.shape[1]):
        since = None if elapsed is None else elapsed[:, t, None]

        def respond(
            stage: Stage,
            heard: Sequence[str],
            kept: Mapping[str, Tensor],
            t: int = t,
            since: Tensor | None = since,
        ) -> tuple[Tensor, Mapping[str, Tensor]]:
            total = known[stage.name][t]
            for place, block in inside[stage.name]:
                total = torch.addmm(total, now[heard[place]], block)
            sums = dict(zip(stage.gates, total.chunk(len(stage.gates), -1), strict=True))
            own, passed = stages[stage.name], since if stage.timed else None
            before = next(iter(kept.values()), None)
            value, after = answer(stage, sums, vectors[stage.name], before, passed)
            return own.sent(value), {} if after is None else dict.fromkeys(stage.memory, after)

        step_stages(group, now, memory, t % substeps == 0, respond)
        for name in names:
            steps[name].append(now[name])
    final.update({name: now[name] for name in state if name in names})
    final.update({s.state_name(word): memory[s.name][word] for s in group for word in s.memory})
    return {name: torch.stack(values, dim=1) for name, values in steps.items()}
