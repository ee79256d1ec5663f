"""Trains this network: python -m lnn2loihi.models.halfcheetah.train --data FILE --out FOLDER.

Needs PyTorch and ncps. Writes `weights.safetensors` and `network.toml`, and prints the figures of
the model card. One core is used, so that the same versions on the same machine give the same
weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.models.halfcheetah import data
from lnn2loihi.models.training import (
    complaints,
    description,
    fit,
    save_checkpoint,
    shuffled_batches,
)
from lnn2loihi.network import LiquidNetwork

UNITS, MOTOR_UNITS, BATCH = 96, 32, 32
EPOCHS, LEARNING_RATE = 60, 0.01
#: What goes with the weights of `train`, for `save_checkpoint`.
DESCRIPTION = description("halfcheetah", data.CHANNELS, UNITS, MOTOR_UNITS, data.CHANNELS)


def train(cheetah: data.HalfCheetah, seed: int, epochs: int, console: Console) -> Any:
    """Trains a CfC with an AutoNCP wiring on standardised states, by the error in original units.

    Args:
        cheetah: the sequences; those of validation and test are not used.
        seed: seed of the weights, the wiring and the order of the sequences.
        epochs: passes over the training sequences.
        console: where progress is shown, if it is a terminal.

    Returns:
        the trained `ncps.torch.CfC`.
    """
    import torch
    from ncps.torch import CfC
    from ncps.wirings import AutoNCP

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    wiring = AutoNCP(UNITS, MOTOR_UNITS, seed=seed)
    model = CfC(data.CHANNELS, wiring, proj_size=data.CHANNELS)
    scale = torch.tensor(cheetah.deviation, dtype=torch.float32)
    fit(
        model,
        shuffled_batches(cheetah.x_train, cheetah.y_train, BATCH, seed),
        lambda predicted, target: (((predicted - target) * scale) ** 2).mean(),
        epochs=epochs,
        steps_per_epoch=-(-len(cheetah.x_train) // BATCH),
        learning_rate=LEARNING_RATE,
        console=console,
    )
    return model


def figures(network: LiquidNetwork, cheetah: data.HalfCheetah) -> dict[str, float]:
    """Mean squared errors in original units, the network in float64 with NumPy."""
    held_out, test = cheetah.x_validation, cheetah.x_test
    return {
        "validation MSE": cheetah.squared_error(
            network.evaluate(held_out).outputs, cheetah.y_validation
        ),
        "validation MSE, copy the last state": cheetah.squared_error(
            held_out, cheetah.y_validation
        ),
        "test MSE": cheetah.squared_error(network.evaluate(test).outputs, cheetah.y_test),
        "test MSE, copy the last state": cheetah.squared_error(test, cheetah.y_test),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the HalfCheetah network.")
    parser.add_argument("--data", type=Path, required=True, help="halfcheetah.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    console = Console()
    with complaints(console):
        cheetah = data.load(arguments.data)
        model = train(cheetah, arguments.seed, arguments.epochs, console)
    network = FamiliesImporter().load(save_checkpoint(model, arguments.out, DESCRIPTION))
    console.print(f"{network.units} units, {network.synapses} synapses with the time gate folded")
    for name, value in figures(network, cheetah).items():
        console.print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    main()
