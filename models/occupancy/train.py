"""Trains this network: python -m lnn2loihi.models.occupancy.train --data FOLDER --out FOLDER.

Needs PyTorch and ncps. Writes `weights.safetensors` and `network.toml`, and prints the figures of
the model card. One core is used, so that the same versions on the same machine give the same
weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.models.occupancy import data
from lnn2loihi.models.training import (
    complaints,
    description,
    fit,
    save_checkpoint,
    shuffled_batches,
)
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.tables import percent

UNITS, MOTOR_UNITS, BATCH = 32, 8, 64
#: More epochs fit the training days and lose on other days, see the card for how they were chosen.
EPOCHS, LEARNING_RATE = 2, 0.005


def train(
    rooms: data.Occupancy,
    seed: int,
    epochs: int,
    console: Console,
    units: int = UNITS,
    motor_units: int = MOTOR_UNITS,
) -> Any:
    """Trains a CfC with an AutoNCP wiring and one logit: above 0 means occupied.

    Args:
        rooms: the windows; those of validation and test are not used.
        seed: seed of the weights, the wiring and the order of the windows.
        epochs: passes over the training windows.
        console: where progress is shown, if it is a terminal.
        units: all units of the wiring.
        motor_units: units of its last layer.

    Returns:
        the trained `ncps.torch.CfC`.
    """
    import torch
    from ncps.torch import CfC
    from ncps.wirings import AutoNCP

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = CfC(data.FEATURES, AutoNCP(units, motor_units, seed=seed), proj_size=1)
    fit(
        model,
        shuffled_batches(rooms.x_train, rooms.y_train[..., None], BATCH, seed),
        torch.nn.functional.binary_cross_entropy_with_logits,
        epochs=epochs,
        steps_per_epoch=-(-len(rooms.x_train) // BATCH),
        learning_rate=LEARNING_RATE,
        console=console,
    )
    return model


def toml(units: int = UNITS, motor_units: int = MOTOR_UNITS) -> str:
    """What goes with the weights of `train`, for `save_checkpoint`."""
    return description("occupancy", data.FEATURES, units, motor_units, 1)


def figures(network: LiquidNetwork, rooms: data.Occupancy) -> dict[str, data.Scores]:
    """Scores of every step of the windows, the network in float64 with NumPy."""
    found = {}
    threshold = rooms.light_threshold()
    for part, x, labels in (
        ("validation", rooms.x_validation, rooms.y_validation),
        ("test", rooms.x_test, rooms.y_test),
    ):
        occupied = network.evaluate(x).outputs[..., 0] > 0
        light = x[..., data.LIGHT] > threshold
        found[part] = data.scores(occupied.astype(np.int64), labels)
        found[f"{part}, threshold on light"] = data.scores(light.astype(np.int64), labels)
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the occupancy network.")
    parser.add_argument("--data", type=Path, required=True, help="folder with datatraining.txt")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    console = Console()
    with complaints(console):
        rooms = data.load(arguments.data)
        model = train(rooms, arguments.seed, arguments.epochs, console)
    network = FamiliesImporter().load(save_checkpoint(model, arguments.out, toml()))
    console.print(f"{network.units} units, {network.synapses} synapses with the time gate folded")
    for name, found in figures(network, rooms).items():
        values = (found.accuracy, found.balanced_accuracy, found.f1)
        shown = ", ".join(percent(value) for value in values)
        console.print(f"{name}: accuracy, balanced accuracy and F1 {shown}", soft_wrap=True)


if __name__ == "__main__":
    main()
