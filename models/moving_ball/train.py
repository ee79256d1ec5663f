"""Trains this network: python -m lnn2loihi.models.moving_ball.train --out FOLDER.

Needs PyTorch, ncps and lava-dl, which `models/lava_dl.py` says how to install.

Two trainings follow each other. Sigma-delta convolutions of lava-dl learn where the ball is in each
picture, and whether it is in it at all; `front.net` is what lava-dl exports of them. A CfC learns
the rest from what the integers of that file answer: place and speed, also while the ball is hidden.
Writes `front.net`, `weights.safetensors` and `network.toml`. One core is used, so that the same
versions on the same machine give the same files.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

import lnn2loihi as l2l
from lnn2loihi.models.lava_dl import import_lava_dl
from lnn2loihi.models.moving_ball import data
from lnn2loihi.models.training import (
    complaints,
    description,
    fit,
    save_checkpoint,
    shuffled_batches,
)

#: Channels of the two convolutions, units of the dense layer, answers of the front.
CHANNELS, DENSE, ANSWERS = (8, 12), 24, 3
UNITS, MOTOR_UNITS, OUTPUTS = 32, 8, 4
#: Pictures of a sequence, for the front and for the core; sequences of a batch.
FRONT_TIME, TIME, BATCH = 24, 48, 32
FRONT_EPOCHS, FRONT_BATCHES, FRONT_RATE = 200, 8, 3e-3
CORE_EPOCHS, CORE_SEQUENCES, CORE_RATE = 60, 4096, 0.01
#: What changes less than this is not sent on: by the pictures, and by the neurons behind them.
THRESHOLDS = (0.1, 0.05)


def front_module() -> Any:
    """The front as a module of lava-dl: (batch, 1, SIZE, SIZE, time) to (batch, ANSWERS, time)."""
    import torch

    import_lava_dl()
    from lava.lib.dl import slayer

    block = slayer.block.sigma_delta
    inner, more = (
        {
            "threshold": threshold, "tau_grad": 0.1, "scale_grad": 1, "requires_grad": False,
            "shared_param": True, "activation": torch.nn.functional.relu,
        }
        for threshold in THRESHOLDS
    )  # fmt: skip
    options = {"weight_scale": 2, "weight_norm": False}
    first, second = CHANNELS
    side = ((data.SIZE - 3) // 2 + 1 - 3) // 2 + 1
    return torch.nn.Sequential(
        block.Input({**inner}),
        block.Conv({**inner}, 1, first, 3, padding=0, stride=2, **options),
        block.Conv({**more}, first, second, 3, padding=0, stride=2, **options),
        block.Flatten(),
        block.Dense({**more}, second * side * side, DENSE, **options),
        block.Output({**more}, DENSE, ANSWERS, **options),
    )


def as_clips(pictures: data.Array) -> Any:
    """Pictures (count, time, pixels) as lava-dl takes them: (count, 1, SIZE, SIZE, time)."""
    import torch

    count, time, _ = pictures.shape
    clips = pictures.reshape(count, time, 1, data.SIZE, data.SIZE)
    return torch.from_numpy(clips).permute(0, 2, 3, 4, 1).contiguous()


def train_front(seed: int, epochs: int, console: Console) -> Any:
    """Trains the front, on fresh sequences in every epoch.

    Args:
        seed: seed of weights and data.
        epochs: passes over FRONT_BATCHES batches; the rate falls as half a cosine.
        console: where progress is shown, if it is a terminal.

    Returns:
        the trained module.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = front_module()
    optimizer = torch.optim.Adam(model.parameters(), FRONT_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * FRONT_BATCHES)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("training the front", total=epochs)
        for epoch in range(epochs):
            for clips, place, seen in _front_batches(seed * 10_000 + epoch):
                answers = model(clips)
                wrong = (answers[:, :2] - place) ** 2 * seen
                unsure = (answers[:, 2:] - seen) ** 2
                loss = wrong.mean() + 0.1 * unsure.mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            progress.update(task, advance=1)
    model.eval()
    return model


def _front_batches(seed: int) -> Iterator[tuple[Any, Any, Any]]:
    import torch

    drawn = data.flights(FRONT_BATCHES * BATCH, FRONT_TIME, seed)
    clips = as_clips(drawn.pictures)
    place = torch.from_numpy(drawn.truth[..., :2]).permute(0, 2, 1)
    seen = torch.from_numpy(drawn.seen.astype(np.float32))[:, None]
    return zip(clips.split(BATCH), place.split(BATCH), seen.split(BATCH), strict=True)


def write_front(model: Any, path: Path) -> Path:
    """Writes the front as lava-dl exports it, and gives the path."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        layers = file.create_group("layer")
        for number, block in enumerate(model):
            block.export_hdf5(layers.create_group(str(number)))
    return path


def train_core(front: l2l.LoihiProgram, seed: int, epochs: int, console: Console) -> Any:
    """Trains a CfC with an AutoNCP wiring on what the integers of the front answer.

    Args:
        front: the front.
        seed: seed of the weights, the wiring and the data.
        epochs: passes over CORE_SEQUENCES sequences.
        console: where progress is shown, if it is a terminal.

    Returns:
        the trained `ncps.torch.CfC`.
    """
    import torch
    from ncps.torch import CfC
    from ncps.wirings import AutoNCP

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = CfC(ANSWERS, AutoNCP(UNITS, MOTOR_UNITS, seed=seed), proj_size=OUTPUTS)
    drawn = data.flights(CORE_SEQUENCES, TIME, seed * 10_000 + 5_000)
    heard = l2l.simulate(front, drawn.pictures).outputs
    fit(
        model,
        shuffled_batches(heard, drawn.truth, BATCH, seed),
        torch.nn.functional.mse_loss,
        epochs=epochs,
        steps_per_epoch=-(-CORE_SEQUENCES // BATCH),
        learning_rate=CORE_RATE,
        console=console,
    )
    return model


def train(folder: Path, seed: int, console: Console) -> None:
    """Trains both, and writes the files of this network.

    Args:
        folder: where to.
        seed: seed of everything.
        console: where progress is shown, if it is a terminal.
    """
    path = write_front(train_front(seed, FRONT_EPOCHS, console), folder / "front.net")
    model = train_core(l2l.import_program(path), seed, CORE_EPOCHS, console)
    toml = description("moving_ball", ANSWERS, UNITS, MOTOR_UNITS, OUTPUTS)
    save_checkpoint(model, folder, toml)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the network that follows a ball.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    console = Console()
    with complaints(console, "torch", "ncps", "lava-dl"):
        train(arguments.out, arguments.seed, console)
    console.print(f"written: front.net, weights.safetensors and network.toml in {arguments.out}")


if __name__ == "__main__":
    main()
