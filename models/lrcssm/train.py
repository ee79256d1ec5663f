"""Trains one of these networks, in floats and for the chip.

    python -m lnn2loihi.models.lrcssm.train --kind plain --data FILE --out FOLDER

Needs PyTorch. FILE is `halfcheetah.npz`. Writes `plain.toml` and `plain.safetensors`, or
`normed.l2n`, and `<kind>_w4a8x12.l2l`, and prints the figures of the model card. One core is used,
so that the same versions on the same machine give the same weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lnn2loihi.artifact import save as save_program
from lnn2loihi.conversion import convert, import_network
from lnn2loihi.models.halfcheetah import data
from lnn2loihi.models.lrcssm import KINDS, QAT_RECIPE
from lnn2loihi.models.training import complaints, fit_best, save_checkpoint, shuffled_batches
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.simulation import encode, simulate
from lnn2loihi.storage import save

UNITS, LAYERS, BATCH = 32, 2, 32
EPOCHS, RATE = 20, 0.01
QAT_EPOCHS, QAT_RATE = 4, 0.002
#: How the first weights differ from those of the source, whose gates hardly move on such short
#: sequences.
SPREAD, OPENED = 8.0, 1.0
#: Training sequences that ranges are calibrated on.
CALIBRATED = 128

DESCRIPTION = f"""\
[network]
checkpoint = "plain.safetensors"
name = "lrcssm plain"

[[network.stage]]
module = "torch.nn.Linear"
prefix = "encoder."
activation = "tanh"

[[network.stage]]
module = "LrcSSM"
prefix = "layers."
num_layers = {LAYERS}
hidden_size = {UNITS}

[[network.stage]]
module = "torch.nn.Linear"
prefix = "readout."
activation = "identity"
"""


def made(kind: str) -> Any:
    """A fresh module.

    Args:
        kind: one of KINDS.
    """
    import torch
    from torch import nn

    from lnn2loihi.models.lrc_ssm import LrcSSM, LrcSSMNetwork

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(data.CHANNELS, UNITS)
            cells = (LrcSSM(UNITS, UNITS, SPREAD, OPENED) for _ in range(LAYERS))
            self.layers = nn.ModuleList(cells)
            self.readout = nn.Linear(UNITS, data.CHANNELS)

        def forward(self, x: Any) -> Any:
            x = torch.tanh(self.encoder(x))
            for layer in self.layers:
                x = layer(x)[0]
            return self.readout(x)

    if kind == "plain":
        return Plain()
    module = LrcSSMNetwork(data.CHANNELS, UNITS, UNITS, LAYERS, data.CHANNELS)
    with torch.no_grad():
        cells: Any = module.cells
        for cell in cells:
            cell.weight_vleak.mul_(SPREAD)
            cell.weight_sensory_sigma.add_(OPENED)
    return module


def train(kind: str, cheetah: data.HalfCheetah, seed: int, epochs: int, console: Console) -> Any:
    """A trained module; the epoch with the best validation is kept.

    Args:
        kind: one of KINDS.
        cheetah: the sequences; those of test are not used.
        seed: seed of the weights and the order of the sequences.
        epochs: passes over the training sequences.
        console: where progress is shown, if it is a terminal.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model, loss = made(kind), _loss(cheetah)
    held_out = torch.tensor(cheetah.x_validation, dtype=torch.float32)
    targets = torch.tensor(cheetah.y_validation, dtype=torch.float32)

    def validation() -> float:
        with torch.no_grad():
            return float(loss(model(held_out), targets))

    fit_best(
        model, shuffled_batches(cheetah.x_train, cheetah.y_train, BATCH, seed),
        lambda x, y: loss(model(x), y), validation, epochs=epochs, learning_rate=RATE, decay=None,
        console=console, constant=0.3,
    )  # fmt: skip
    return model.eval()


def written(kind: str, module: Any, folder: Path) -> LiquidNetwork:
    """The network, from the files that it writes."""
    if kind == "plain":
        return import_network(save_checkpoint(module, folder, DESCRIPTION, _files(kind)))
    import torch

    (part,) = convert(module, torch.zeros(2, 8, data.CHANNELS)).chip_parts
    path = folder / KINDS[kind]
    assert part.network is not None  # a module that was made here holds it
    save(part.network, path)
    return import_network(path)


def _files(kind: str) -> tuple[str, str]:
    return f"{kind}.safetensors", KINDS[kind]


def _loss(cheetah: data.HalfCheetah) -> Any:
    """Mean squared error in original units."""
    import torch

    scale = torch.tensor(cheetah.deviation, dtype=torch.float32)
    return lambda predicted, target: (((predicted - target) * scale) ** 2).mean()


def for_the_chip(
    network: LiquidNetwork, cheetah: data.HalfCheetah, seed: int, console: Console
) -> LoihiProgram:
    """The program of 4-bit weights, trained towards the float network's answers."""
    import torch

    from lnn2loihi import qat

    torch.manual_seed(seed)
    trained = qat.prepare(network, QAT_RECIPE, calibrate=cheetah.x_train[:CALIBRATED])
    taught = network.evaluate(cheetah.x_train).outputs
    loss, held_out = _loss(cheetah), cheetah.x_validation
    wanted = network.evaluate(held_out).outputs

    def validation() -> float:
        found = trained.eval()(torch.tensor(held_out, dtype=torch.float32)).double().numpy()
        trained.train()
        return cheetah.squared_error(found, wanted)

    trained.train()
    fit_best(
        trained, shuffled_batches(cheetah.x_train, taught, BATCH, seed),
        lambda x, y: loss(trained(x), y), validation, epochs=QAT_EPOCHS, learning_rate=QAT_RATE,
        decay=None, console=console,
    )  # fmt: skip
    return trained.eval().export()


def figures(
    network: LiquidNetwork, program: LoihiProgram, cheetah: data.HalfCheetah
) -> dict[str, float]:
    """Mean squared errors in original units over the test sequences, and root mean square
    differences from the float network on inputs as the chip hears them, over that of its answers.
    """
    x, y = cheetah.x_test, cheetah.y_test
    found = {
        "test MSE, network": cheetah.squared_error(network.evaluate(x).outputs, y),
        "test MSE, copy the last state": cheetah.squared_error(x, y),
    }
    made = {f"{recipe}, after training": quantize(network, cheetah.x_train[:CALIBRATED], recipe)
            for recipe in ("w8a12", QAT_RECIPE)}  # fmt: skip
    for name, one in (made | {f"{QAT_RECIPE}, trained for the chip": program}).items():
        result = simulate(one, x)
        heard = one.input.decode(encode(one, x)[0])[..., : one.channels]
        expected = network.evaluate(heard).outputs
        found[f"test MSE, {name}"] = cheetah.squared_error(result.outputs, y)
        found[f"test MSE, network on the inputs of {name}"] = cheetah.squared_error(expected, y)
        error = np.sqrt(np.mean((result.outputs - expected) ** 2) / np.mean(expected**2))
        found[f"rms difference, {name}"] = float(error)
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train LrcSSM units on HalfCheetah.")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--data", type=Path, required=True, help="halfcheetah.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    console, kind = Console(), str(given.kind)
    with complaints(console, "torch"):
        cheetah = data.load(given.data)
        given.out.mkdir(parents=True, exist_ok=True)
        module = train(kind, cheetah, given.seed, given.epochs, console)
        network = written(kind, module, given.out)
        program = for_the_chip(network, cheetah, given.seed, console)
    save_program(program, given.out / f"{kind}_{QAT_RECIPE}.l2l")
    console.print(f"{network.units} units, {network.synapses} synapses")
    for name, value in figures(network, program, cheetah).items():
        console.print(f"{name}: {value:.4f}", soft_wrap=True)


if __name__ == "__main__":
    main()
