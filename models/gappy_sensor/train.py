"""Trains this network: python -m lnn2loihi.models.gappy_sensor.train --out FOLDER.

Needs PyTorch. Writes `weights.safetensors` and `network.toml`. One core is used, so that the same
versions on the same machine give the same weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from lnn2loihi.models.gappy_sensor import data
from lnn2loihi.models.training import Batches, Epoch, complaints, fit_best, save_checkpoint

UNITS = 24
TIME, BATCH, BATCHES, KEPT = 160, 64, 24, 512
EPOCHS, RATE = 80, 0.01


def description() -> str:
    """The TOML that goes with the weights."""
    return f"""\
[network]
module = "ncps.torch.CfC"
checkpoint = "weights.safetensors"
name = "gappy_sensor"
input_size = 1
units = {UNITS}
proj_size = 1
mode = "default"
backbone_layers = 0
timespan = "irregular"
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the network of the sensor with gaps.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    console = Console()
    with complaints(console):
        import torch

        from lnn2loihi.models.fast_cfc import FastCfC

        torch.set_num_threads(1)
        torch.manual_seed(given.seed)
        model = FastCfC(1, UNITS, 1, backbone_layers=0)
        first = 1_000_000 * given.seed
        kept = [torch.from_numpy(part) for part in data.sequences(KEPT, TIME, first + 500_000)]

        def loss(x: torch.Tensor, spans: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.mse_loss(model(x, timespans=spans)[0], y)

        def batches(epoch: int) -> Batches:
            drawn = data.sequences(BATCHES * BATCH, TIME, first + epoch)
            parts = [torch.from_numpy(part).split(BATCH) for part in drawn]
            return list(zip(*parts, strict=True))

        def validation() -> float:
            with torch.no_grad():
                return float(loss(*kept))

        def said(epoch: Epoch) -> None:
            console.print(f"epoch {epoch.number}: {epoch.training:.5f}, {epoch.validation:.5f}")

        fit_best(
            model, batches, loss, validation, epochs=given.epochs, learning_rate=RATE, decay=None,
            console=console, report=said,
        )  # fmt: skip
    save_checkpoint(model, given.out, description())
    console.print(f"written: weights.safetensors and network.toml in {given.out}")


if __name__ == "__main__":
    main()
