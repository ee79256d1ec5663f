"""Trains this network: python -m lnn2loihi.models.pendulum.train --out FOLDER.

Needs PyTorch and ncps. The network imitates the teacher of `data.py`, which sees more than it does:
first on the teacher's own pendulums, then on those that the network has moved itself, where the
teacher says what it would have done (DAgger, Ross et al., 2011). Writes `weights.safetensors` and
`network.toml`. One core is used, so that the same versions on the same machine give the same files.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lnn2loihi.models.pendulum import data
from lnn2loihi.models.training import Batches, complaints, description, fit, save_checkpoint

UNITS, MOTOR_UNITS = 24, 6
#: Steps of an episode; episodes of a batch, and of what is added to the data before each epoch.
TIME, BATCH, ADDED = 150, 64, 128
#: Batches of an epoch, and epochs on the teacher's own pendulums alone.
BATCHES, ALONE = 12, 5
EPOCHS, RATE = 60, 0.01


def train(seed: int, epochs: int, console: Console) -> Any:
    """Trains a CfC with an AutoNCP wiring.

    Args:
        seed: seed of the weights, the wiring and the data.
        epochs: passes over BATCHES batches; the learning rate rises for a tenth of them and falls
            as a half cosine.
        console: where progress is shown, if it is a terminal.

    Returns:
        the trained `ncps.torch.CfC`.
    """
    import torch
    from ncps.torch import CfC
    from ncps.wirings import AutoNCP

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = CfC(2, AutoNCP(UNITS, MOTOR_UNITS, seed=seed), proj_size=1)
    generator = np.random.default_rng(seed)
    known: list[tuple[data.Array, data.Array]] = []

    def batches(epoch: int) -> Batches:
        first = seed * 1_000_000 + epoch * ADDED
        if epoch < ALONE:
            known.append(data.teaching(ADDED, TIME, first))
        else:
            known.append(moved(model, first))
        x, y = (np.concatenate(parts) for parts in zip(*known, strict=True))
        for _ in range(BATCHES):
            chosen = generator.choice(len(x), BATCH, replace=False)
            yield torch.from_numpy(x[chosen]), torch.from_numpy(y[chosen])

    fit(
        model,
        batches,
        torch.nn.functional.mse_loss,
        epochs=epochs,
        steps_per_epoch=BATCHES,
        learning_rate=RATE,
        console=console,
    )
    return model


def moved(model: Any, seed: int) -> tuple[data.Array, data.Array]:
    """What ADDED pendulums show that the network moves, and what the teacher would do.

    Args:
        model: the network.
        seed: of the first pendulum.

    Returns:
        x, float32 (ADDED, TIME, 2), and y, float32 (ADDED, TIME, 1).
    """
    import torch

    pendulums, state = data.Pendulums(seed + np.arange(ADDED)), None
    x, y = (np.zeros((ADDED, TIME, size), np.float32) for size in (2, 1))
    with torch.no_grad():
        for k in range(TIME):
            x[:, k], y[:, k, 0] = pendulums.seen(), pendulums.taught()
            actions, state = model(torch.from_numpy(x[:, k : k + 1]), state)
            pendulums.act(actions.numpy())
    return x, y


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the network that swings a pendulum up.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    console = Console()
    with complaints(console):
        model = train(arguments.seed, arguments.epochs, console)
    toml = description("pendulum", 2, UNITS, MOTOR_UNITS, 1)
    save_checkpoint(model, arguments.out, toml)
    console.print(f"written: weights.safetensors and network.toml in {arguments.out}")


if __name__ == "__main__":
    main()
