"""A live module of ncps that runs step by step or over whole sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class NcpsBlock:
    """An `ncps.torch.CfC` or `ncps.torch.LTC`.

    Where the elapsed time is 1 its own `forward` runs, which is what users call. Where it is not,
    its cells run in a loop of the same form: ncps 1.0.1 mixes up the timespans of a batch.

    Args:
        module: the module; it is made to answer every step, batch first.
        timespan: constant elapsed time, or None where it comes with the samples.
    """

    def __init__(self, module: Any, timespan: float | None) -> None:
        self.module = module
        module.return_sequences = True
        module.batch_first = True
        self._timespan = timespan
        self._readout: Any = getattr(module, "fc", nn.Identity())  # an LTC has none

    def start(self, batch: int, like: Tensor) -> Any:
        """See `Block`."""
        zeros = [like.new_zeros(batch, self.module.state_size) for _ in range(2)]
        return tuple(zeros) if self.module.use_mixed else zeros[0]

    def step(self, x: Tensor, state: Any, elapsed: Tensor | None) -> tuple[Tensor, Any]:
        """See `Block`."""
        if self._timespan == 1.0 and elapsed is None:
            answer, state = self.module(x[:, None], state)
            return answer[:, 0], state
        return self._cell(x, state, self._timespan if elapsed is None else elapsed)

    def sequence(self, x: Tensor, state: Any, elapsed: Tensor | None) -> Tensor:
        """See `Block`."""
        if self._timespan == 1.0 and elapsed is None:
            return self.module(x, state)[0]
        answers: list[Tensor] = []
        for t in range(x.shape[1]):
            span = self._timespan if elapsed is None else elapsed[:, t : t + 1]
            answer, state = self._cell(x[:, t], state, span)
            answers.append(answer)
        return torch.stack(answers, dim=1)

    def _cell(self, x: Tensor, state: Any, elapsed: Any) -> tuple[Tensor, Any]:
        """What `forward` of ncps does in a step."""
        module = self.module
        if module.use_mixed:
            hidden, memory = module.lstm(x, state)
            answer, hidden = module.rnn_cell(x, hidden, elapsed)
            return self._readout(answer), (hidden, memory)
        answer, hidden = module.rnn_cell(x, state, elapsed)
        return self._readout(answer), hidden
