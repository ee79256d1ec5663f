"""Trains these networks: python -m lnn2loihi.models.digits.train --data FILE --out FOLDER.

Needs PyTorch. Trains each in floats, then for the chip's 4-bit weights towards what the float
network answers, and prints the figures of the model card. Writes `<network>.safetensors`,
`<network>.toml` and `<network>_w4a8x12.l2l`. One core is used, and all that is random has a seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from lnn2loihi.artifact import save
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.models.digits import NETWORKS, RECIPE, data
from lnn2loihi.models.digits.figures import CALIBRATION, say
from lnn2loihi.models.training import Epoch, complaints, fit_best, save_network, shuffled
from lnn2loihi.program import LoihiProgram

CHANNELS, BLOCKS, STATES, STEPS = 24, 2, 16, (0.01, 0.2)
BATCH, RATE = 64, 0.01
EPOCHS = {"s4d": 40, "liquid_s4d": 30}
#: Epochs and rate of training for the chip.
CHIP_EPOCHS, CHIP_RATE = 5, 2e-3


def train(digits: data.Digits, network: str, seed: int, epochs: int, console: Console) -> Any:
    """Trains one of NETWORKS in floats.

    Returns:
        the trained `lnn2loihi.models.s4d.S4Model`.
    """
    import torch

    from lnn2loihi.models.s4d import S4Model

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = S4Model(
        1, data.CLASSES, CHANNELS, BLOCKS, STATES, liquid=network != "s4d",
        least_step=STEPS[0], largest_step=STEPS[1],
    )  # fmt: skip

    def loss(x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(x), y.long())

    parts = (digits.x_train, digits.y_train), (digits.x_validation, digits.y_validation)
    _fit(model, loss, parts, seed, epochs, RATE, console)
    return model


def for_chip(
    model: Any, digits: data.Digits, seed: int, epochs: int, console: Console
) -> LoihiProgram:
    """Trains it for the chip."""
    import torch

    from lnn2loihi import qat

    chip = qat.prepare(model, RECIPE, calibrate=digits.x_train[:CALIBRATION])
    with torch.no_grad():
        parts = [
            (x, model(torch.as_tensor(x, dtype=torch.float32)))
            for x in (digits.x_train, digits.x_validation)
        ]
    size = parts[0][1].square().mean()

    def loss(x: Any, logits: Any) -> Any:
        return (chip(x) - logits).square().mean() / size

    _fit(chip, loss, parts, seed, epochs, CHIP_RATE, console)
    return chip.export()


def _fit(
    model: Any,
    loss: Callable[[Any, Any], Any],
    parts: Sequence[tuple[Any, Any]],
    seed: int,
    epochs: int,
    rate: float,
    console: Console,
) -> None:
    """Trains on the first part, and keeps the epoch that is the best on the second."""
    import torch

    training, kept = parts
    kept = [torch.as_tensor(part, dtype=torch.float32) for part in kept]

    def validation() -> float:
        model.eval()
        with torch.no_grad():
            found = float(loss(*kept))
        model.train()
        return found

    def said(epoch: Epoch) -> None:
        console.print(f"epoch {epoch.number}: {epoch.training:.4f}, {epoch.validation:.4f}")

    fit_best(
        model, shuffled(training, BATCH, seed), loss, validation, epochs=epochs,
        learning_rate=rate, decay=None, console=console, report=said,
    )  # fmt: skip
    model.eval()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the networks that read digits.")
    parser.add_argument("--data", type=Path, required=True, help="digits.npz, see the model card")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="which, with commas between")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="of all networks in floats")
    parser.add_argument("--chip-epochs", type=int, default=CHIP_EPOCHS)
    given = parser.parse_args()
    console = Console()
    with complaints(console, "torch"):
        digits = data.load(given.data)
        for name in given.networks.split(","):
            epochs = given.epochs or EPOCHS[name]
            model = train(digits, name, given.seed, epochs, console)
            said = {"module": "S4Model", "pool": "mean"}
            network = FamiliesImporter().load(save_network(model, given.out, name, said))
            program = for_chip(model, digits, given.seed, given.chip_epochs, console)
            save(program, given.out / f"{name}_{RECIPE}.l2l")
            console.print(f"{name}: {network.units} units, {network.synapses} synapses")
            say(name, network, program, digits, console)


if __name__ == "__main__":
    main()
