"""Trains this network: python -m lnn2loihi.models.walker2d.train --data FILE --out FOLDER.

Needs PyTorch. Writes `weights.safetensors` and `network.toml` after every epoch that is the best so
far by validation, and prints the figures of the model card at the end. One core is used, so that
the same versions on the same machine give the same weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from lnn2loihi.models.training import Epoch, complaints, fit_best, save_checkpoint, shuffled
from lnn2loihi.models.walker2d import data

if TYPE_CHECKING:
    from lnn2loihi.models.fast_cfc import FastCfC

UNITS = 64
DECAY = 0.95
#: Sequences that are evaluated at once.
CHUNK = 512


@dataclass(frozen=True)
class Settings:
    """What a run can choose.

    Attributes:
        seed: seed of the weights and of the order of the sequences.
        epochs: passes over the training sequences.
        activation: function of the backbone.
        backbone_units: units of its one layer.
        learning_rate: that of the first epoch; it falls by a factor of 0.95 per epoch.
        batch: sequences of a batch.
    """

    seed: int = 1
    epochs: int = 50
    activation: str = "lecun_tanh"
    backbone_units: int = 256
    learning_rate: float = 0.01
    batch: int = 128


def train(
    walker: data.Walker2d,
    settings: Settings,
    console: Console,
    report: Callable[[FastCfC, Epoch], None] = lambda model, epoch: None,
) -> tuple[FastCfC, list[Epoch]]:
    """Trains a dense CfC and keeps the epoch with the lowest validation error.

    Args:
        walker: the sequences; those of the test are not used.
        settings: what the run can choose.
        console: where progress is shown, if it is a terminal.
        report: is called after each epoch, with the weights of that epoch in the model.

    Returns:
        the trained model and what each epoch gave.
    """
    import torch

    from lnn2loihi.models.fast_cfc import FastCfC

    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    model = FastCfC(
        data.CHANNELS,
        UNITS,
        data.CHANNELS,
        activation=settings.activation,
        backbone_units=settings.backbone_units,
    )

    def loss(x: Any, timespans: Any, y: Any) -> Any:
        return torch.nn.functional.mse_loss(model(x, timespans=timespans)[0], y)

    part = walker.train
    epochs = fit_best(
        model,
        shuffled((part.x, part.timespans, part.y), settings.batch, settings.seed),
        loss,
        lambda: squared_error(predict(model, walker.validation), walker.validation),
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        decay=DECAY,
        console=console,
        report=lambda epoch: report(model, epoch),
    )
    return model, epochs


def predict(model: FastCfC, sequences: data.Sequences) -> data.Array:
    """Predictions in float32, shape as `sequences.y`."""
    import torch

    parts = (torch.from_numpy(part).split(CHUNK) for part in (sequences.x, sequences.timespans))
    with torch.no_grad():
        chunks = [model(x, timespans=ts)[0].numpy() for x, ts in zip(*parts, strict=True)]
    return np.concatenate(chunks)


def squared_error(predictions: data.Array, sequences: data.Sequences) -> float:
    """Mean squared error over windows, steps and channels, summed in float64."""
    return float(np.mean((predictions.astype(np.float64) - sequences.y) ** 2))


def figures(model: FastCfC, walker: data.Walker2d) -> dict[str, float]:
    """Mean squared errors of the model, of the model without timespans, and of a baseline."""
    found = {}
    for name, part in (("validation", walker.validation), ("test", walker.test)):
        even = replace(part, timespans=np.ones_like(part.timespans))
        found[f"{name} MSE"] = squared_error(predict(model, part), part)
        found[f"{name} MSE, all timespans 1"] = squared_error(predict(model, even), part)
        found[f"{name} MSE, copy the last state"] = squared_error(data.copy_last_state(part), part)
    return found


def description(settings: Settings) -> str:
    """The TOML that goes with the weights."""
    return f"""\
[network]
module = "ncps.torch.CfC"
checkpoint = "weights.safetensors"
name = "walker2d"
input_size = {data.CHANNELS}
units = {UNITS}
proj_size = {data.CHANNELS}
mode = "default"
activation = "{settings.activation}"
backbone_units = {settings.backbone_units}
backbone_layers = 1
timespan = "irregular"
"""


def _settings(arguments: argparse.Namespace) -> Settings:
    return Settings(**{name: getattr(arguments, name) for name in Settings.__dataclass_fields__})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train the Walker2d network.")
    parser.add_argument("--data", type=Path, required=True, help="walker2d.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    default = Settings()
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--epochs", type=int, default=default.epochs)
    parser.add_argument("--activation", default=default.activation)
    parser.add_argument("--backbone-units", type=int, default=default.backbone_units)
    parser.add_argument("--learning-rate", type=float, default=default.learning_rate)
    parser.add_argument("--batch", type=int, default=default.batch)
    return parser


def main() -> None:
    """The command line."""
    arguments = _parser().parse_args()
    settings = _settings(arguments)
    console = Console()

    def report(model: FastCfC, epoch: Epoch) -> None:
        if epoch.is_best:
            save_checkpoint(model, arguments.out, description(settings))
        console.print(
            f"epoch {epoch.number}: training {epoch.training:.4f}, validation "
            f"{epoch.validation:.4f}, {epoch.seconds:.1f} s{', best' if epoch.is_best else ''}",
            highlight=False,
        )

    with complaints(console, "torch"):
        walker = data.load(arguments.data)
        model, epochs = train(walker, settings, console, report)
    best = min(epochs, key=lambda epoch: epoch.validation)
    console.print(f"best epoch {best.number} of {len(epochs)}")
    for name, value in figures(model, walker).items():
        console.print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    main()
