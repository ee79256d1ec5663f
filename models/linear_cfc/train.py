"""Trains this network: python -m lnn2loihi.models.linear_cfc.train --data FILE --out FOLDER.

Needs PyTorch. Writes `weights.safetensors`, `network.toml` and the program that was trained for the
chip, `w4a8x12.l2l`, and prints the figures of the model card. One core is used, so that the same
versions on the same machine give the same weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lnn2loihi import qat
from lnn2loihi.artifact import save
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.models.halfcheetah import data
from lnn2loihi.models.training import (
    complaints,
    fit,
    fit_best,
    save_checkpoint,
    shuffled_batches,
)
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.simulation import encode, simulate

UNITS, BATCH = 32, 32
EPOCHS, LEARNING_RATE = 12, 0.01
#: Training for the chip, towards the float network's answers.
CHIP_RECIPE, CHIP_EPOCHS, CHIP_RATE, CHIP_DECAY = "w4a8x12", 6, 0.002, 0.7
DESCRIPTION = f"""\
[network]
module = "LinearCfC"
checkpoint = "weights.safetensors"
name = "linear_cfc"
input_size = {data.CHANNELS}
units = {UNITS}
proj_size = {data.CHANNELS}
mode = "default"
timespan = 1.0
"""


def train(cheetah: data.HalfCheetah, seed: int, epochs: int, console: Console) -> Any:
    """Trains a CfC with linear heads on standardised states, by the error in original units.

    Args:
        cheetah: the sequences; those of validation and test are not used.
        seed: seed of the weights and the order of the sequences.
        epochs: passes over the training sequences.
        console: where progress is shown, if it is a terminal.

    Returns:
        the trained `LinearCfC`.
    """
    import torch

    from lnn2loihi.models.linear_cfc.module import LinearCfC

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = LinearCfC(data.CHANNELS, UNITS, proj_size=data.CHANNELS)
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


def train_for_the_chip(
    network: LiquidNetwork, cheetah: data.HalfCheetah, seed: int, epochs: int, console: Console
) -> LoihiProgram:
    """The network with 4-bit weights, trained towards its own answers; of the epochs the one is
    kept whose answers are the closest on the validation sequences.
    """
    import torch

    prepared: Any = qat.prepare(network, CHIP_RECIPE, calibrate=cheetah.x_train)
    targets = network.evaluate(cheetah.x_train).outputs
    wanted = network.evaluate(cheetah.x_validation).outputs
    held_out = torch.as_tensor(cheetah.x_validation, dtype=torch.float32)

    def distance() -> float:
        prepared.eval()
        with torch.no_grad():
            answers = prepared(held_out).numpy()
        prepared.train()
        return float(np.mean((answers - wanted) ** 2))

    fit_best(
        prepared,
        shuffled_batches(cheetah.x_train, targets, BATCH, seed),
        lambda inputs, target: ((prepared(inputs) - target) ** 2).mean(),
        distance,
        epochs=epochs,
        learning_rate=CHIP_RATE,
        decay=CHIP_DECAY,
        console=console,
    )
    return prepared.export()


def figures(
    network: LiquidNetwork, program: LoihiProgram, cheetah: data.HalfCheetah
) -> dict[str, float]:
    """Mean squared errors in original units; the programs' are what all executors answer."""
    x, y = cheetah.x_test, cheetah.y_test
    answers = network.evaluate(x).outputs
    plain = quantize(network, cheetah.x_train, "w8a12")
    on_chip = simulate(plain, x).outputs
    heard = network.evaluate(plain.input.decode(encode(plain, x)[0])).outputs
    rms = np.sqrt(np.mean((on_chip - heard) ** 2) / np.mean(heard**2))
    four = simulate(program, x).outputs
    held_out, right = cheetah.x_validation, cheetah.y_validation
    validated = network.evaluate(held_out).outputs
    return {
        "validation MSE, float": cheetah.squared_error(validated, right),
        "validation MSE, w8a12": cheetah.squared_error(simulate(plain, held_out).outputs, right),
        "test MSE, float": cheetah.squared_error(answers, y),
        "test MSE, float on the inputs of w8a12": cheetah.squared_error(heard, y),
        "test MSE, w8a12": cheetah.squared_error(on_chip, y),
        "rms difference of w8a12 from float on its inputs, over the rms": float(rms),
        f"test MSE, {CHIP_RECIPE} trained for the chip": cheetah.squared_error(four, y),
        "test MSE, copy the last state": cheetah.squared_error(x, y),
        "largest state on training sequences": _largest(network, cheetah.x_train),
        "largest state on test sequences": _largest(network, x),
    }


def _largest(network: LiquidNetwork, x: Any) -> float:
    states = network.evaluate(x).states
    return max(float(np.abs(states[layer.name]).max()) for layer in network.single_layers)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the CfC with linear heads.")
    parser.add_argument("--data", type=Path, required=True, help="halfcheetah.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--chip-epochs", type=int, default=CHIP_EPOCHS)
    given = parser.parse_args()
    console = Console()
    with complaints(console, "torch"):
        cheetah = data.load(given.data)
        model = train(cheetah, given.seed, given.epochs, console)
        network = FamiliesImporter().load(save_checkpoint(model, given.out, DESCRIPTION))
        program = train_for_the_chip(network, cheetah, given.seed, given.chip_epochs, console)
    save(program, given.out / f"{CHIP_RECIPE}.l2l")
    console.print(f"{network.units} units, {network.synapses} synapses with the time gate folded")
    for name, value in figures(network, program, cheetah).items():
        console.print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    main()
