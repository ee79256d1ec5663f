"""Control by imitation: plants side by side, and networks that learn from a teacher.

A network learns what a teacher does that sees more than it does: first on the plants that the
teacher moves, then on those that the network has moved itself, where the teacher says what it
would have done (DAgger, Ross et al., 2011). `cartpole` and `quadrotor` are trained so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from rich.console import Console

from lnn2loihi.files import write_atomically
from lnn2loihi.models.training import Batches, fit

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

#: What answers observations (plants, inputs) by actions (plants, outputs), step by step.
Policy = Callable[[Floats], npt.NDArray[Any]]


class Plants(Protocol):
    """Plants side by side, each with a seed of its own."""

    def seen(self) -> Floats:
        """What a policy sees now, (plants, inputs)."""
        ...

    def taught(self) -> Floats:
        """What the teacher does now, (plants, outputs); NaN where a plant is lost."""
        ...

    def act(self, actions: npt.NDArray[Any]) -> Floats:
        """Goes on by a step with actions (plants, outputs); the rewards, (plants,)."""
        ...


def watched(plants: Plants, steps: int, policy: Policy | None = None) -> tuple[Array, Array]:
    """What plants show, and what the teacher does there or would have done.

    Args:
        plants: as they are at their start.
        steps: of each.
        policy: what moves them; the teacher where it is None.

    Returns:
        x, float32 (plants, steps, inputs), and y, float32 (plants, steps, outputs): NaN where a
        plant is lost.
    """
    shown, wanted = [], []
    for _ in range(steps):
        shown.append(plants.seen().astype(np.float32))
        wanted.append(plants.taught().astype(np.float32))
        plants.act(np.nan_to_num(wanted[-1]) if policy is None else policy(shown[-1]))
    return np.stack(shown, axis=1), np.stack(wanted, axis=1)


def loss(answers: Any, wanted: Any) -> Any:
    """Mean square error of tensors, without what is NaN in `wanted`."""
    import torch

    counts = torch.isfinite(wanted)
    return ((answers - wanted)[counts] ** 2).mean()


@dataclass(frozen=True)
class Course:
    """How long a network learns.

    Attributes:
        epochs: passes over `batches` batches of `batch` plants; in `alone` of them the teacher
            moves the plants, and then the network.
        steps: of each plant.
        added: plants whose steps are added to the data before each epoch.
        rate: highest learning rate; it rises for a tenth of the steps and falls as a half cosine.
    """

    epochs: int
    steps: int
    alone: int = 5
    added: int = 128
    batches: int = 12
    batch: int = 64
    rate: float = 0.01


def imitate(
    model: Any, plants: Callable[[int, int], Plants], course: Course, seed: int, console: Console
) -> None:
    """Trains a module on what the teacher does.

    Args:
        model: called with (batch, time, inputs), and with a state beside it or None; answers
            outputs (batch, time, outputs) and a state.
        plants: of a count and the seed of the first one.
        course: how long.
        seed: of the data.
        console: where progress is shown, if it is a terminal.
    """
    import torch

    generator, known = np.random.default_rng(seed), []

    def batches(epoch: int) -> Batches:
        fresh = plants(course.added, seed * 1_000_000 + epoch * course.added)
        policy = None if epoch < course.alone else moved_by(model)
        known.append(watched(fresh, course.steps, policy))
        x, y = (np.concatenate(parts) for parts in zip(*known, strict=True))
        for _ in range(course.batches):
            chosen = generator.choice(len(x), course.batch, replace=False)
            yield torch.from_numpy(x[chosen]), torch.from_numpy(y[chosen])

    fit(
        model, batches, loss, epochs=course.epochs, steps_per_epoch=course.batches,
        learning_rate=course.rate, console=console,
    )  # fmt: skip


def moved_by(model: Any) -> Policy:
    """A module of PyTorch as a policy, from the beginning of a sequence on."""
    import torch

    state: Any = None

    def policy(seen: Floats) -> npt.NDArray[Any]:
        nonlocal state
        with torch.no_grad():
            answers, state = model(torch.from_numpy(seen[:, None].astype(np.float32)), state)
        return answers[:, 0].numpy()

    return policy


def memoryless(inputs: int, outputs: int, hidden: int, seed: int) -> Any:
    """A network without memory, as a module that is called like a recurrent one."""
    import torch
    from torch import nn

    torch.manual_seed(seed)

    class Memoryless(nn.Module):
        """Two hidden layers of tanh units; its state is None."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Linear(inputs, hidden), nn.Tanh(),
                nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, outputs),
            )  # fmt: skip

        def forward(self, x: Any, state: Any = None) -> tuple[Any, None]:
            return self.layers(x), None

    return Memoryless()


def save_memoryless(model: Any, path: Path) -> None:
    """Writes the weights of `memoryless`."""
    from safetensors.numpy import save

    write_atomically(path, save({k: v.detach().numpy() for k, v in model.state_dict().items()}))


def load_memoryless(path: Path) -> Policy:
    """The network without memory of a file, as a policy; needs no PyTorch."""
    from safetensors.numpy import load_file

    weights = load_file(path)
    layers = [
        (weights[f"layers.{n}.weight"].T.astype(np.float64), weights[f"layers.{n}.bias"])
        for n in (0, 2, 4)
    ]

    def policy(seen: Floats) -> Floats:
        for number, (weight, bias) in enumerate(layers):
            seen = seen @ weight + bias
            seen = np.tanh(seen) if number + 1 < len(layers) else seen
        return seen

    return policy


def tuned(model: Any, x: Array, y: Array, epochs: int, rate: float, console: Console) -> None:
    """Trains a module on given sequences, a fresh order in every epoch.

    Args:
        model: as for `imitate`; one of `lnn2loihi.qat.prepare`, for example.
        x: (plants, steps, inputs).
        y: (plants, steps, outputs), NaN where a plant is lost.
        epochs: passes over all of them in batches of 64.
        rate: highest learning rate.
        console: where progress is shown, if it is a terminal.
    """
    import torch

    def batches(epoch: int) -> Iterator[tuple[Any, ...]]:
        order = np.random.default_rng(epoch).permutation(len(x))[: len(x) // 64 * 64]
        for chosen in order.reshape(-1, 64):
            yield torch.from_numpy(x[chosen]), torch.from_numpy(y[chosen])

    fit(
        model, batches, loss, epochs=epochs, steps_per_epoch=len(x) // 64, learning_rate=rate,
        console=console,
    )  # fmt: skip
