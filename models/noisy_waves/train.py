"""Trains this network: python -m lnn2loihi.models.noisy_waves.train --out FOLDER.

Needs PyTorch and ncps. Writes `network.l2n`, and prints the figures of the model card. One core is
used, so that the same versions on the same machine give the same weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

import lnn2loihi as l2l
from lnn2loihi.models.noisy_waves import data
from lnn2loihi.models.training import Batches, Epoch, complaints, fit_best

UNITS, RATE = 32, 0.2
BATCH, BATCHES, KEPT = 64, 16, 256
EPOCHS, LEARNING_RATE = 40, 0.01
PASSES = 30
#: Seeds of the sequences that noise is fitted to, that are scored, and of faster ones.
VALIDATION, TEST, FASTER = 5_100_000, 5_200_000, 5_300_000


def train(seed: int, epochs: int, console: Console) -> Any:
    """Trains the module: a CfC, dropout of whole units, and a linear readout.

    Args:
        seed: seed of the weights and the data.
        epochs: passes over BATCHES fresh batches.
        console: where progress is shown.

    Returns:
        The trained module.
    """
    import torch
    from ncps.torch import CfC

    class Net(torch.nn.Module):
        """The module."""

        def __init__(self) -> None:
            super().__init__()
            self.rnn = CfC(1, UNITS, backbone_units=1, backbone_layers=0)
            self.dropout = torch.nn.Dropout1d(RATE)
            self.readout = torch.nn.Linear(UNITS, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Predictions for samples (batch, time, 1); masks hold for whole sequences."""
            h = self.rnn(x)[0]
            return self.readout(self.dropout(h.transpose(1, 2)).transpose(1, 2))

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = Net()
    x_kept, y_kept = map(torch.from_numpy, data.sequences(KEPT, seed=seed * 10_000 + 9_999))

    def batches(epoch: int) -> Batches:
        drawn = data.sequences(BATCHES * BATCH, seed=seed * 10_000 + epoch)
        x, y = (torch.from_numpy(part).split(BATCH) for part in drawn)
        return list(zip(x, y, strict=True))

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.mse_loss(model(x), y)

    def validation() -> float:
        model.eval()
        with torch.no_grad():
            found = float(loss(x_kept, y_kept))
        model.train()
        return found

    def said(epoch: Epoch) -> None:
        console.print(f"epoch {epoch.number}: {epoch.training:.5f}, {epoch.validation:.5f}")

    fit_best(
        model, batches, loss, validation, epochs=epochs, learning_rate=LEARNING_RATE, decay=None,
        console=console, report=said,
    )  # fmt: skip
    return model.eval()


def figures(network: l2l.LiquidNetwork, console: Console) -> None:
    """What the passes say of test sequences, and of faster ones, in floats and in integers."""
    program = l2l.quantize(network, data.sequences(128, seed=5_000_000)[0], "w8a12", dropout=True)
    x_val, y_val = data.sequences(256, seed=VALIDATION)
    noise = l2l.fit_noise(l2l.monte_carlo(program, x_val, PASSES), y_val)
    console.print(noise.summary(), markup=False)
    for name, seed, faster in (("test", TEST, False), ("faster waves", FASTER, True)):
        x, y = data.sequences(256, seed=seed, faster=faster)
        console.print(f"\n{name}: without masks, MSE")
        for who, outputs in (
            ("float", network.evaluate(x).outputs),
            ("integers", l2l.simulate(program, x).outputs),
        ):
            console.print(f"    {who}: {float(((outputs - y) ** 2).mean()):.5f}")
        for who, passes in (
            ("float", l2l.monte_carlo(network, x, PASSES)),
            ("integers", l2l.monte_carlo(program, x, PASSES)),
        ):
            console.print(f"{name}, {who}, masks alone:\n{passes.scores(y).summary()}")
            console.print(f"{name}, {who}, with noise:\n{passes.with_noise(noise).scores(y)}")
            console.print(f"{name}, {who}, mean spread {passes.spread.mean():.4f}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the network of the noisy waves.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    console = Console()
    with complaints(console):
        model = train(given.seed, given.epochs, console)
        network = l2l.import_network(model, name="noisy_waves")
        given.out.mkdir(parents=True, exist_ok=True)
        path = l2l.save(network, given.out / "network.l2n")
        figures(network, console)
    console.print(f"written: {path}")


if __name__ == "__main__":
    main()
