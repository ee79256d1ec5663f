"""Trains this network: python -m lnn2loihi.models.halfcheetah.train --data FILE --out FOLDER.

Needs PyTorch. Writes `weights.safetensors` and `network.toml`, and prints the figures of
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
    Batches,
    complaints,
    fit,
    save_checkpoint,
    shuffled_batches,
)
from lnn2loihi.network import LiquidNetwork

UNITS, BATCH = 32, 32
EPOCHS, LEARNING_RATE = 6, 0.01
#: Training sequences begin at every sample, ten times as many as in the paper's protocol.
TRAINING_STRIDE = 1
#: Deviation of the noise on the inputs in training, where those of the states are 1, and decay of
#: the weights: ten training traces are soon learnt by heart.
NOISE, WEIGHT_DECAY = 0.1, 1.0
#: What goes with the weights of `train`, for `save_checkpoint`.
DESCRIPTION = f"""\
[network]
module = "ncps.torch.CfC"
checkpoint = "weights.safetensors"
name = "halfcheetah"
input_size = {data.CHANNELS}
units = {UNITS}
proj_size = {data.CHANNELS}
backbone_layers = 0
timespan = 1.0
"""


def train(cheetah: data.HalfCheetah, seed: int, epochs: int, console: Console) -> Any:
    """Trains a dense CfC on standardised states, by the error in original units.

    Args:
        cheetah: the sequences; those of validation and test are not used.
        seed: seed of the weights, the noise and the order of the sequences.
        epochs: passes over the training sequences.
        console: where progress is shown, if it is a terminal.

    Returns:
        the trained `FastCfC`, whose arrays are those of an `ncps.torch.CfC`.
    """
    import torch

    from lnn2loihi.models.fast_cfc import FastCfC

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = FastCfC(data.CHANNELS, UNITS, data.CHANNELS, backbone_layers=0)
    scale = torch.tensor(cheetah.deviation, dtype=torch.float32)
    clean = shuffled_batches(cheetah.x_train, cheetah.y_train, BATCH, seed)
    generator = torch.Generator().manual_seed(seed)

    def batches(epoch: int) -> Batches:
        for x, y in clean(epoch):
            yield x + NOISE * torch.randn(x.shape, generator=generator), y

    fit(
        model,
        batches,
        lambda predicted, target: (((predicted - target) * scale) ** 2).mean(),
        epochs=epochs,
        steps_per_epoch=-(-len(cheetah.x_train) // BATCH),
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
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
    with complaints(console, "torch"):
        cheetah = data.load(arguments.data, TRAINING_STRIDE)
        model = train(cheetah, arguments.seed, arguments.epochs, console)
    network = FamiliesImporter().load(save_checkpoint(model, arguments.out, DESCRIPTION))
    console.print(f"{network.units} units, {network.synapses} synapses with the time gate folded")
    for name, value in figures(network, cheetah).items():
        console.print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    main()
