"""Trains this network: python -m lnn2loihi.models.damped_sine.train --out FOLDER.

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
from lnn2loihi.models.damped_sine import data
from lnn2loihi.models.training import Batches, complaints, description, fit, save_checkpoint
from lnn2loihi.network import LiquidNetwork

UNITS, MOTOR_UNITS = 32, 8
TIME, BATCH, BATCHES = 64, 64, 32
TEST_SEED, TEST_COUNT = 2_000_000, 1000


def train(seed: int, epochs: int, console: Console) -> Any:
    """Trains a CfC with an AutoNCP wiring on fresh sequences in every epoch.

    Args:
        seed: seed of the weights, the wiring and the data.
        epochs: passes over BATCHES batches; the learning rate rises for a tenth of them,
            to 0.02, and falls as a half cosine.
        console: where progress is shown, if it is a terminal.

    Returns:
        the trained `ncps.torch.CfC`.
    """
    import torch
    from ncps.torch import CfC
    from ncps.wirings import AutoNCP

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = CfC(1, AutoNCP(UNITS, MOTOR_UNITS, seed=seed), proj_size=1)

    def batches(epoch: int) -> Batches:
        drawn = data.sequences(BATCHES * BATCH, TIME, seed * 10_000 + epoch)
        x, y = (torch.from_numpy(part).split(BATCH) for part in drawn)
        return zip(x, y, strict=True)

    fit(
        model,
        batches,
        torch.nn.functional.mse_loss,
        epochs=epochs,
        steps_per_epoch=BATCHES,
        learning_rate=0.02,
        console=console,
    )
    return model


def figures(network: LiquidNetwork) -> dict[str, float]:
    """Mean squared errors over the test sequences, of the network and of two baselines.

    The network is evaluated in float64 with NumPy.
    """
    x, y = data.sequences(TEST_COUNT, TIME, TEST_SEED)
    x_train, y_train = data.sequences(4 * TEST_COUNT, TIME, TEST_SEED + 1)
    predictions = {
        "network": network.evaluate(x).outputs,
        "last sample": data.last_sample(x),
        "linear prediction, 8 taps": data.linear_prediction(x_train, y_train, x, 8),
        "linear prediction, 32 taps": data.linear_prediction(x_train, y_train, x, 32),
    }
    return {name: float(np.mean((p - y) ** 2)) for name, p in predictions.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the damped sine network.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=80)
    arguments = parser.parse_args()
    console = Console()
    with complaints(console):
        model = train(arguments.seed, arguments.epochs, console)
    toml = description("damped_sine", 1, UNITS, MOTOR_UNITS, 1)
    network = FamiliesImporter().load(save_checkpoint(model, arguments.out, toml))
    console.print(f"{network.units} units, {network.synapses} synapses with the time gate folded")
    for name, value in figures(network).items():
        console.print(f"test MSE, {name}: {value:.5f}")


if __name__ == "__main__":
    main()
