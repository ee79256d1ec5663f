"""Trains this network: python -m lnn2loihi.models.heart_beats.train --out FOLDER.

Needs PyTorch and ncps. Trains in floats, then for the chip's 4-bit weights. Writes
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
from lnn2loihi.models.heart_beats import data
from lnn2loihi.models.training import complaints, fit, save_checkpoint, shuffled

UNITS = 48
RECIPE = "w4a8x12"
#: Subjects of training; seeds of the test begin at 9,000,000.
SUBJECTS = 1_536
EPOCHS, RATE, BATCH = 32, 0.005, 64
#: Epochs, rate and subjects of training for the chip, and those that its formats are found with.
CHIP_EPOCHS, CHIP_RATE, CHIP_SUBJECTS, CALIBRATION = 4, 1e-3, 512, 128
#: How much a step in which a beat is to be named counts, by class; others count 1/4.
WEIGHTS = (0.25, 1.0, 3.0, 3.0)
#: How much larger than elsewhere the weights of the inputs begin.
INPUT_GAIN = 4.0


def targets(known: data.Records) -> data.Integers:
    """The class of each step, (records, TIME)."""
    made = np.zeros(known.x.shape[:2], np.int64)
    made[known.record[:, None], known.windows()] = known.label[:, None]
    return made


def loss(answers: Any, wanted: Any) -> Any:
    """The weighted mean cross entropy of all steps that are not mere listening."""
    import torch

    heard = answers[:, data.LISTENING :].flatten(0, 1)
    classes = wanted[:, data.LISTENING :].flatten().long()
    return torch.nn.functional.cross_entropy(heard, classes, torch.tensor(WEIGHTS))


def description() -> str:
    """The TOML that goes with the weights."""
    return f"""\
[network]
module = "ncps.torch.CfC"
checkpoint = "weights.safetensors"
name = "heart_beats"
input_size = {data.TOGETHER}
units = {UNITS}
proj_size = {len(data.CLASSES)}
mode = "default"
backbone_layers = 0
timespan = 1.0
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the network that names heart beats.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--chip-epochs", type=int, default=CHIP_EPOCHS)
    given = parser.parse_args()
    console = Console()
    with complaints(console):
        import torch
        from ncps.torch import CfC

        from lnn2loihi import qat
        from lnn2loihi.models.fast_cfc import FastCfC

        torch.set_num_threads(1)
        torch.manual_seed(given.seed)
        known = data.records(SUBJECTS, 1_000_000 * given.seed)
        x, y = known.x, targets(known)

        def trained(model: Any, subjects: int, epochs: int, rate: float) -> None:
            batches = shuffled((x[:subjects], y[:subjects]), BATCH, given.seed)
            fit(
                model, batches, loss, epochs=epochs, steps_per_epoch=-(-subjects // BATCH),
                learning_rate=rate, console=console,
            )  # fmt: skip

        model = FastCfC(data.TOGETHER, UNITS, len(data.CLASSES), backbone_layers=0)
        model.begin_to_remember(INPUT_GAIN)
        trained(model, SUBJECTS, given.epochs, RATE)
        save_checkpoint(model, given.out, description())
        cfc = CfC(data.TOGETHER, UNITS, len(data.CLASSES), mode="default", backbone_layers=0)
        cfc.load_state_dict(model.state_dict())
        chip = qat.prepare(cfc, RECIPE, calibrate=x[:CALIBRATION])
        trained(chip, CHIP_SUBJECTS, given.chip_epochs, CHIP_RATE)
        save(chip.export(), given.out / f"{RECIPE}.l2l")
    console.print(f"written: weights.safetensors, network.toml, {RECIPE}.l2l in {given.out}")


if __name__ == "__main__":
    main()
