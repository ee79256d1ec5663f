"""Trains one of these networks.

    python -m lnn2loihi.models.families.train --task occupancy --family gru --data FOLDER --out OUT

Needs PyTorch and ncps. Writes `<task>_<family>.toml` and `.safetensors`, and prints the figures of
the model card. FOLDER holds `occupancy/` and `halfcheetah.npz`. One core is used, so that the same
versions on the same machine give the same weights.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from lnn2loihi.conversion import import_network
from lnn2loihi.models.families import FAMILIES, TASKS
from lnn2loihi.models.families.modules import build, parameter_count
from lnn2loihi.models.halfcheetah import data as halfcheetah
from lnn2loihi.models.occupancy import data as occupancy
from lnn2loihi.models.training import complaints, fit, save_network, shuffled_batches
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.tables import percent

UNITS = 32


@dataclass(frozen=True)
class Settings:
    """How all families are trained on a task: alike, so that nothing is chosen for one of them."""

    epochs: int
    learning_rate: float
    batch: int


#: Occupancy as models/occupancy, whose card says how it was chosen.
SETTINGS = {
    "occupancy": Settings(epochs=2, learning_rate=0.005, batch=64),
    "halfcheetah": Settings(epochs=30, learning_rate=0.01, batch=32),
}


def train(
    task: str, family: str, sequences: Any, seed: int, console: Console, units: int = UNITS
) -> Any:
    """A trained module, and what its description says.

    Args:
        task: key of SETTINGS.
        family: one of FAMILIES.
        sequences: an Occupancy or a HalfCheetah; those of validation and test are not used.
        seed: seed of weights, wiring and the order of the sequences.
        console: where progress is shown, if it is a terminal.
        units: units of the recurrent layer or wiring.
    """
    torch.set_num_threads(1)
    chosen = SETTINGS[task]
    y = sequences.y_train
    if task == "occupancy":
        y, scale = y[..., None], None
    else:
        scale = torch.tensor(sequences.deviation, dtype=torch.float32)

    def loss(predicted: Any, target: Any) -> Any:
        if scale is None:
            return torch.nn.functional.binary_cross_entropy_with_logits(predicted, target)
        return (((predicted - target) * scale) ** 2).mean()

    x = sequences.x_train
    module, said = build(family, x.shape[2], units, y.shape[2], seed)
    fit(
        module,
        shuffled_batches(x, y, chosen.batch, seed),
        loss,
        epochs=chosen.epochs,
        steps_per_epoch=-(-len(x) // chosen.batch),
        learning_rate=chosen.learning_rate,
        console=console,
    )
    return module, said


def figures(task: str, network: LiquidNetwork, sequences: Any) -> dict[str, str]:
    """Figures on the test sequences, the network in float64 with NumPy."""
    answer = network.evaluate(sequences.x_test).outputs
    if task == "occupancy":
        found = occupancy.scores((answer[..., 0] > 0).astype(np.int64), sequences.y_test)
        return {"test accuracy": percent(found.accuracy), "test F1": percent(found.f1)}
    return {"test MSE": f"{sequences.squared_error(answer, sequences.y_test):.4f}"}


def load_sequences(task: str, folder: Path) -> Any:
    """The sequences of a task."""
    if task == "occupancy":
        return occupancy.load(folder / "occupancy")
    return halfcheetah.load(folder / "halfcheetah.npz")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a network of a family.")
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--family", choices=FAMILIES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    console = Console()
    with complaints(console):
        sequences = load_sequences(given.task, given.data)
        module, said = train(given.task, given.family, sequences, given.seed, console)
    name = f"{given.task}_{given.family}"
    network = import_network(save_network(module, given.out, name, said))
    console.print(f"{parameter_count(module)} parameters, {network.synapses} synapses")
    for key, value in figures(given.task, network, sequences).items():
        console.print(f"{key}: {value}")


if __name__ == "__main__":
    main()
