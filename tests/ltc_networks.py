"""Random LTCs of ncps, and what PyTorch computes of them; torch is imported when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import strategies_ncps as nets
from hypothesis import strategies as st

KINDS = ("auto", "ncp", "full", "random", "own", "units")
MAPPINGS = ("affine", "linear", None)


@dataclass(frozen=True)
class Variant:
    """What a random LTC is like."""

    kind: str = "auto"
    inputs: int = 3
    size: int = 5
    unfolds: int = 3
    implicit: bool = True
    input_mapping: str | None = "affine"
    output_mapping: str | None = "affine"
    mixed: bool = False
    irregular: bool = False
    epsilon: float = 1e-8
    seed: int = 1

    @property
    def timespan(self) -> float | Literal["irregular"]:
        """What importers are told."""
        return "irregular" if self.irregular else 0.25 + (self.seed % 7) / 4


def variants() -> st.SearchStrategy[Variant]:
    """Every combination."""
    return st.builds(
        Variant,
        kind=st.sampled_from(KINDS),
        inputs=st.integers(1, 4),
        size=st.integers(1, 6),
        unfolds=st.integers(1, 7),
        implicit=st.booleans(),
        input_mapping=st.sampled_from(MAPPINGS),
        output_mapping=st.sampled_from(MAPPINGS),
        mixed=st.sampled_from([False, False, True]),
        irregular=st.booleans(),
        epsilon=st.sampled_from([1e-8, 0.0, 0.01]),
        seed=st.integers(0, 1 << 20),
    )


def module(variant: Variant) -> Any:
    """The LTC in double precision, with parameters as training may leave them."""
    import torch
    from ncps.torch import LTC

    torch.manual_seed(variant.seed)
    wiring = variant.size
    if variant.kind != "units":
        # The fan-out of strategies_ncps.wiring asks for two units in an NCP.
        wiring = nets.wiring(variant.kind, max(variant.size, 2), variant.seed)
    made = LTC(
        variant.inputs,
        wiring,
        ode_unfolds=variant.unfolds,
        epsilon=variant.epsilon,
        implicit_param_constraints=variant.implicit,
        input_mapping=variant.input_mapping,  # pyright: ignore[reportArgumentType]
        output_mapping=variant.output_mapping,  # pyright: ignore[reportArgumentType]
        mixed_memory=variant.mixed,
    ).double()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.requires_grad:
                parameter.mul_(1.0 + 0.3 * torch.randn_like(parameter))
                if name.endswith(("_b", "vleak")):
                    parameter.normal_(0.0, 0.3)
        made.rnn_cell.apply_weight_constraints()
        if not variant.implicit:
            made.rnn_cell._params["cm"].clamp_(min=0.1)
    return made


def samples(variant: Variant, batch: int, time: int, seed: int = 0) -> tuple[Any, Any]:
    """Samples and elapsed times that fit; the times are None where time is constant."""
    rng = np.random.default_rng((variant.seed, seed))
    x = rng.normal(size=(batch, time, variant.inputs))
    elapsed = rng.choice([0.25, 0.5, 1.0, 2.0, 4.0], (batch, time)) if variant.irregular else None
    return x, elapsed


def torch_steps(made: Any, x: np.ndarray, timespans: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """Outputs and states of every step, and the last cell state of a mixed memory or None.

    The cell is called step by step: ncps 1.0.1 is wrong for timespans of a batch.
    """
    import torch

    inputs = torch.from_numpy(x)
    state = cell = torch.zeros(len(x), made.state_size, dtype=torch.float64)
    outputs, states = [], []
    with torch.no_grad():
        for t in range(x.shape[1]):
            if made.use_mixed:
                state, cell = made.lstm(inputs[:, t], (state, cell))
            span = timespans
            if isinstance(timespans, np.ndarray):
                span = torch.from_numpy(timespans[:, t : t + 1])
            answer, state = made.rnn_cell(inputs[:, t], state, span)
            outputs.append(answer.numpy())
            states.append(state.numpy())
    kept = cell.numpy() if made.use_mixed else None
    return np.stack(outputs, axis=1), np.stack(states, axis=1), kept
