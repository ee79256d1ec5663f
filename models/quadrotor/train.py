"""Trains these networks: python -m lnn2loihi.models.quadrotor.train --out FOLDER.

Needs PyTorch and ncps. Writes the liquid network (`weights.safetensors`, `network.toml`), the one
without memory that it is compared with (`memoryless.safetensors`), and the integers with 4-bit
weights that training for the chip makes of the first one (`w4a8x12.l2l`). One core is used.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import lnn2loihi as l2l
from lnn2loihi.models import imitation
from lnn2loihi.models.imitation import Array, Course, imitate
from lnn2loihi.models.quadrotor.data import Quadrotors
from lnn2loihi.models.training import complaints, save_checkpoint

UNITS, BACKBONE, HIDDEN = 16, 24, 32
COURSE = Course(epochs=60, steps=200)
#: Training for the chip: quadrotors that the network has moved, steps, passes, learning rate.
TUNING, TUNING_EPOCHS, TUNING_RATE = 512, 10, 6e-4
RECIPE = "w4a8x12"

DESCRIPTION = f"""\
[network]
module = "ncps.torch.CfC"
checkpoint = "weights.safetensors"
name = "quadrotor"
input_size = 3
units = {UNITS}
proj_size = 2
backbone_units = {BACKBONE}
backbone_layers = 1
timespan = 1.0
"""


def drawn(count: int, first: int) -> Quadrotors:
    """Quadrotors with the seeds from `first` on."""
    return Quadrotors(first + np.arange(count))


def train(seed: int, epochs: int, console: Console) -> Any:
    """The liquid network, a `ncps.torch.CfC`.

    Args:
        seed: of weights, wiring and data.
        epochs: of the course.
        console: where progress is shown.
    """
    import torch
    from ncps.torch import CfC

    from lnn2loihi.models.fast_cfc import FastCfC

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    fast = FastCfC(3, UNITS, 2, backbone_units=BACKBONE)
    imitate(fast, drawn, replace(COURSE, epochs=epochs), seed, console)
    model = CfC(3, UNITS, 2, backbone_units=BACKBONE, backbone_dropout=0)
    model.load_state_dict(fast.state_dict())
    return model


def for_the_chip(model: Any, seed: int, console: Console) -> l2l.LoihiProgram:
    """The network with 4-bit weights, after training with the chip's arithmetic."""
    from lnn2loihi import qat

    x, y = teaching(TUNING, COURSE.steps, seed * 1_000_000 + 500_000, imitation.moved_by(model))
    module = qat.prepare(model, RECIPE, calibrate=x[:128])
    imitation.tuned(module, x, y, TUNING_EPOCHS, TUNING_RATE, console)
    return module.export()


def teaching(count: int, steps: int, seed: int, policy: Any = None) -> tuple[Array, Array]:
    """What quadrotors show, and what the teacher does: `imitation.watched`."""
    return imitation.watched(drawn(count, seed), steps, policy)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the networks that fly a quadrotor.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=COURSE.epochs)
    arguments = parser.parse_args()
    console = Console()
    with complaints(console):
        model = train(arguments.seed, arguments.epochs, console)
        save_checkpoint(model, arguments.out, DESCRIPTION)
        blind = imitation.memoryless(3, 2, HIDDEN, arguments.seed)
        imitate(blind, drawn, replace(COURSE, epochs=arguments.epochs), arguments.seed, console)
        imitation.save_memoryless(blind, arguments.out / "memoryless.safetensors")
        l2l.save(for_the_chip(model, arguments.seed, console), arguments.out / f"{RECIPE}.l2l")
    console.print(f"written: networks and {RECIPE}.l2l in {arguments.out}")


if __name__ == "__main__":
    main()
