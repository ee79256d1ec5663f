"""Trains this network: python -m lnn2loihi.models.walker2d.train --data FILE --out FOLDER.

Needs PyTorch. Writes `weights.safetensors` and `network.toml` after every epoch that is the best so
far by validation, and prints the figures of the model card at the end. One core is used, so that
the same versions on the same machine give the same weights.

With `--form hard` it trains for the chip's clipped lines in place of tanh, from the weights in the
folder of `--start` on, and writes `hard.safetensors` and `hard.toml`. With `--form memory` it
trains a network whose state passes an LSTM in every step (mixed memory), needs ncps for it, and
writes `memory.safetensors` and `memory.toml`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from lnn2loihi.converters.files.checkpoint import read_checkpoint
from lnn2loihi.errors import InputError
from lnn2loihi.models.training import (
    FILES,
    Epoch,
    complaints,
    fit_best,
    save_checkpoint,
    shuffled,
)
from lnn2loihi.models.walker2d import data

if TYPE_CHECKING:
    from lnn2loihi.models.fast_cfc import FastCfC
    from lnn2loihi.models.memory_cfc import MemoryCfC

    Network = FastCfC | MemoryCfC

UNITS = 64
#: What is said above the description of weights of the form `hard`, which has no word for it.
HARD_NOTE = """\
# Trained with clipped lines in place of tanh and the logistic function, for recipes of the form
# "hard" such as w8a12-hard. With tanh, as this file describes them, the weights answer otherwise.
"""
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
        learning_rate: that of the first epoch.
        decay: factor of it from epoch to epoch; None for half a cosine, down to zero.
        batch: sequences of a batch.
        form: of tanh and the logistic function, see `FastCfC`; or "memory" for a `MemoryCfC`.
        rising: share of the training in which the rate rises, without `decay`.
    """

    seed: int = 1
    epochs: int = 50
    activation: str = "lecun_tanh"
    backbone_units: int = 256
    learning_rate: float = 0.01
    decay: float | None = 0.95
    batch: int = 128
    form: str = "tanh"
    rising: float = 0.0


#: What a run chooses where the command line does not say it, by form.
DEFAULTS = {
    "tanh": Settings(),
    "hard": Settings(form="hard", epochs=60, decay=None),
    "memory": Settings(
        form="memory", epochs=48, decay=None, backbone_units=160, learning_rate=0.008, rising=0.05
    ),
}


def train(
    walker: data.Walker2d,
    settings: Settings,
    console: Console,
    start: Path | None = None,
    report: Callable[[Network, Epoch], None] = lambda model, epoch: None,
) -> tuple[Network, list[Epoch]]:
    """Trains a dense CfC and keeps the epoch with the lowest validation error.

    Args:
        walker: the sequences; those of the test are not used.
        settings: what the run can choose.
        console: where progress is shown, if it is a terminal.
        start: folder of the weights that training begins with; fresh ones if it is None.
        report: is called after each epoch, with the weights of that epoch in the model.

    Raises:
        ImportNetworkError: there are no weights at `start`, or they are damaged.
        InputError: they do not fit the network.

    Returns:
        the trained model and what each epoch gave.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    model = fresh(settings)
    if start is not None:
        load_weights(model, start / FILES["tanh"][0])

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
        decay=settings.decay,
        rising=settings.rising,
        console=console,
        report=lambda epoch: report(model, epoch),
    )
    return model, epochs


def fresh(settings: Settings) -> Network:
    """The network before it is trained."""
    from lnn2loihi.models.fast_cfc import FastCfC

    if settings.form == "memory":
        from lnn2loihi.models.memory_cfc import MemoryCfC

        return MemoryCfC(
            data.CHANNELS,
            UNITS,
            data.CHANNELS,
            activation=settings.activation,
            backbone_units=settings.backbone_units,
        )
    return FastCfC(
        data.CHANNELS,
        UNITS,
        data.CHANNELS,
        activation=settings.activation,
        backbone_units=settings.backbone_units,
        form=settings.form,
    )


def load_weights(model: Network, path: Path) -> None:
    """Loads a file of weights into the model, those of any form.

    Raises:
        ImportNetworkError: it is missing or damaged.
        InputError: it does not fit the model.
    """
    import torch

    tensors = read_checkpoint(path).tensors
    try:
        model.load_state_dict({k: torch.tensor(v.read()) for k, v in tensors.items()})
    except RuntimeError as error:
        raise InputError(str(path), f"does not fit this network: {error}") from error


def predict(model: Network, sequences: data.Sequences) -> data.Array:
    """Predictions in float32, shape as `sequences.y`."""
    import torch

    parts = (torch.from_numpy(part).split(CHUNK) for part in (sequences.x, sequences.timespans))
    with torch.no_grad():
        chunks = [model(x, timespans=ts)[0].numpy() for x, ts in zip(*parts, strict=True)]
    return np.concatenate(chunks)


def squared_error(predictions: data.Array, sequences: data.Sequences) -> float:
    """Mean squared error over windows, steps and channels, summed in float64."""
    return float(np.mean((predictions.astype(np.float64) - sequences.y) ** 2))


def figures(model: Network, walker: data.Walker2d) -> dict[str, float]:
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
    weights, _ = FILES[settings.form]
    name = "walker2d" if settings.form == "tanh" else f"walker2d_{settings.form}"
    memory = "mixed_memory = true\n" if settings.form == "memory" else ""
    return f"""\
{HARD_NOTE if settings.form == "hard" else ""}[network]
module = "ncps.torch.CfC"
checkpoint = "{weights}"
name = "{name}"
input_size = {data.CHANNELS}
units = {UNITS}
proj_size = {data.CHANNELS}
mode = "default"
activation = "{settings.activation}"
backbone_units = {settings.backbone_units}
backbone_layers = 1
timespan = "irregular"
{memory}"""


def _settings(arguments: argparse.Namespace) -> Settings:
    given = {name: getattr(arguments, name, None) for name in Settings.__dataclass_fields__}
    said = {name: value for name, value in given.items() if value is not None}
    return replace(DEFAULTS[arguments.form], **said)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train the Walker2d network.")
    parser.add_argument("--data", type=Path, required=True, help="walker2d.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--form",
        choices=DEFAULTS,
        default="tanh",
        help="hard: clipped lines in place of tanh, for recipes such as w8a12-hard; memory: "
        "with an LSTM in the loop",
    )
    parser.add_argument(
        "--start", type=Path, metavar="FOLDER", help="begins with the weights.safetensors there"
    )
    usual, *further = DEFAULTS.values()
    for name in ("seed", "epochs", "activation", "backbone_units", "learning_rate", "batch"):
        value = getattr(usual, name)
        others = {other.form: getattr(other, name) for other in further}
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(value),
            help=f"default: {value}"
            + "".join(f", {form}: {other}" for form, other in others.items() if other != value),
        )
    return parser


def main() -> None:
    """The command line."""
    arguments = _parser().parse_args()
    settings = _settings(arguments)
    console = Console()

    def report(model: Network, epoch: Epoch) -> None:
        if epoch.is_best:
            save_checkpoint(model, arguments.out, description(settings), FILES[settings.form])
        console.print(
            f"epoch {epoch.number}: training {epoch.training:.4f}, validation "
            f"{epoch.validation:.4f}, {epoch.seconds:.1f} s{', best' if epoch.is_best else ''}",
            highlight=False,
        )

    with complaints(console, "torch"):
        walker = data.load(arguments.data)
        model, epochs = train(walker, settings, console, arguments.start, report)
    best = min(epochs, key=lambda epoch: epoch.validation)
    console.print(f"best epoch {best.number} of {len(epochs)}")
    for name, value in figures(model, walker).items():
        console.print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    main()
