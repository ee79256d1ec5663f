"""Trains this network: python -m lnn2loihi.models.keywords.train --out FOLDER.

Needs PyTorch, ncps and espeak-ng. Trains in floats, then for the chip's 4-bit weights. Writes
`weights.safetensors`, `network.toml` and `w4a8x12.l2l`. One core is used, so that the same versions
on the same machine give the same files.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lnn2loihi.artifact import save
from lnn2loihi.models.keywords import data
from lnn2loihi.models.training import Batches, complaints, fit, save_checkpoint

UNITS = 64
RECIPE = "w4a8x12"
#: Words that are spoken for training, and how many noises each of them gets.
SPOKEN, NOISES = 4_000, 2
EPOCHS, RATE, BATCH = 30, 0.005, 64
#: Epochs and rate of training for the chip, and clips that its formats are found with.
CHIP_EPOCHS, CHIP_RATE, CALIBRATION = 8, 1e-3, 256
#: How much a step counts in which a keyword is to be named; other steps count 1.
WEIGHT = 3.0
#: How much larger than elsewhere the weights of the inputs begin.
INPUT_GAIN = 4.0


def targets(clips: data.Clips) -> np.ndarray:
    """The class of each step and how much that step counts, float32 (clips, TIME, 2).

    While a keyword is spoken no step counts, nor do two steps after it was to be named; all steps
    of other words do.
    """
    steps = np.arange(data.TIME)
    answering = clips.answering()
    is_keyword = clips.label[:, None] != data.NOTHING
    classes = np.where(answering, clips.label[:, None], data.NOTHING)
    last = clips.end[:, None] + data.ANSWER
    unclear = (steps >= clips.begin[:, None]) & (steps < last + 2) & ~answering & is_keyword
    counts = np.where(unclear, 0.0, np.where(answering & is_keyword, WEIGHT, 1.0))
    return np.stack([classes, counts], axis=-1).astype(np.float32)


def loss(answers: Any, wanted: Any) -> Any:
    """The mean cross entropy of the steps, as much as each counts."""
    import torch

    classes, counts = wanted[..., 0].long().flatten(), wanted[..., 1].flatten()
    each = torch.nn.functional.cross_entropy(answers.flatten(0, 1), classes, reduction="none")
    return (each * counts).sum() / counts.sum()


def description() -> str:
    """The TOML that goes with the weights."""
    return f"""\
[network]
module = "ncps.torch.CfC"
checkpoint = "weights.safetensors"
name = "keywords"
input_size = {data.CHANNELS}
units = {UNITS}
proj_size = {len(data.CLASSES)}
mode = "default"
backbone_layers = 0
timespan = 1.0
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the network that spots keywords.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--chip-epochs", type=int, default=CHIP_EPOCHS)
    parser.add_argument("--spoken", type=int, default=SPOKEN)
    given = parser.parse_args()
    console = Console()
    with complaints(console):
        import torch
        from ncps.torch import CfC

        from lnn2loihi import qat
        from lnn2loihi.models.fast_cfc import FastCfC

        torch.set_num_threads(1)
        torch.manual_seed(given.seed)
        spoken = data.utterances("train", given.spoken, 10 * given.seed)
        heard = [data.clips(spoken, 1_000 * given.seed + k) for k in range(NOISES)]
        pairs = [(torch.from_numpy(c.x), torch.from_numpy(targets(c))) for c in heard]

        def batches(epoch: int) -> Batches:
            generator = torch.Generator().manual_seed(1_000 * given.seed + epoch)
            order = torch.randperm(len(spoken), generator=generator)
            x, y = pairs[epoch % NOISES]
            return [(x[chosen], y[chosen]) for chosen in order.split(BATCH)]

        def trained(model: Any, epochs: int, rate: float) -> None:
            fit(
                model, batches, loss, epochs=epochs, steps_per_epoch=-(-len(spoken) // BATCH),
                learning_rate=rate, console=console,
            )  # fmt: skip

        model = FastCfC(data.CHANNELS, UNITS, len(data.CLASSES), backbone_layers=0)
        model.begin_to_remember(INPUT_GAIN)
        trained(model, given.epochs, RATE)
        save_checkpoint(model, given.out, description())
        cfc = CfC(
            data.CHANNELS, UNITS, len(data.CLASSES), mode="default", backbone_layers=0,
        )  # fmt: skip
        cfc.load_state_dict(model.state_dict())
        chip = qat.prepare(cfc, RECIPE, calibrate=heard[0].x[:CALIBRATION])
        trained(chip, given.chip_epochs, CHIP_RATE)
        save(chip.export(), given.out / f"{RECIPE}.l2l")
    console.print(f"written: weights.safetensors, network.toml, {RECIPE}.l2l in {given.out}")


if __name__ == "__main__":
    main()
