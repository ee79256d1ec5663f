"""Trains one of these networks, in floats and for the chip.

    python -m lnn2loihi.models.lrcu.train --kind asymmetric --data FILE --out FOLDER

Needs PyTorch. FILE is `halfcheetah.npz`. Writes `<kind>.toml`, `.safetensors` and
`<kind>_w4a8x12.l2l`, and prints the figures of the model card. One core is used, so that the same
versions on the same machine give the same weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lnn2loihi.artifact import save
from lnn2loihi.conversion import import_network
from lnn2loihi.models.halfcheetah import data
from lnn2loihi.models.lrcu import KINDS, QAT_RECIPE
from lnn2loihi.models.training import (
    complaints,
    fit_best,
    save_network,
    shuffled_batches,
)
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.simulation import encode, simulate

UNITS, BATCH = 32, 32
EPOCHS, RATE = 40, 0.01
QAT_EPOCHS, QAT_RATE = 4, 0.001
#: Training sequences that ranges are calibrated on.
CALIBRATED = 128


def train(
    kind: str, cheetah: data.HalfCheetah, seed: int, epochs: int, console: Console
) -> tuple[Any, dict[str, Any]]:
    """A trained module and what its description says; the epoch with the best validation is kept.

    Args:
        kind: one of KINDS.
        cheetah: the sequences; those of test are not used.
        seed: seed of the weights and the order of the sequences.
        epochs: passes over the training sequences.
        console: where progress is shown, if it is a terminal.
    """
    import torch
    from torch import nn

    from lnn2loihi.models.lrc import LRC

    torch.set_num_threads(1)
    torch.manual_seed(seed)

    class WithReadout(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = LRC(data.CHANNELS, UNITS, elastance_type=KINDS[kind])
            self.readout = nn.Linear(UNITS, data.CHANNELS)

        def forward(self, x: Any) -> Any:
            return self.readout(self.rnn(x)[0])

    model = WithReadout()
    loss = _loss(cheetah)
    held_out = torch.tensor(cheetah.x_validation, dtype=torch.float32)
    targets = torch.tensor(cheetah.y_validation, dtype=torch.float32)

    def validation() -> float:
        model.rnn.constrain()
        with torch.no_grad():
            return float(loss(model(held_out), targets))

    fit_best(
        model, shuffled_batches(cheetah.x_train, cheetah.y_train, BATCH, seed),
        lambda x, y: loss(model(x), y), validation, epochs=epochs, learning_rate=RATE, decay=None,
        console=console, constant=0.3, before_step=lambda passed: model.rnn.constrain(),
    )  # fmt: skip
    return model, {"module": "LRC", "elastance_type": KINDS[kind], "prefix": "rnn.",
                   "readout": "readout."}  # fmt: skip


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
    loss = _loss(cheetah)
    held_out = cheetah.x_validation
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
    floats = network.evaluate(x).outputs
    found = {
        "test MSE, network": cheetah.squared_error(floats, y),
        "test MSE, copy the last state": cheetah.squared_error(x, y),
        "largest potential over its bound": _share(network, x),
    }
    made = {f"{recipe}, after training": quantize(network, cheetah.x_train[:CALIBRATED], recipe)
            for recipe in ("w8a12", QAT_RECIPE)}  # fmt: skip
    for name, one in (made | {f"{QAT_RECIPE}, trained for the chip": program}).items():
        answers = simulate(one, x).outputs
        heard = one.input.decode(encode(one, x)[0])[..., : one.channels]
        expected = network.evaluate(heard).outputs
        found[f"test MSE, {name}"] = cheetah.squared_error(answers, y)
        found[f"test MSE, network on the inputs of {name}"] = cheetah.squared_error(expected, y)
        error = np.sqrt(np.mean((answers - expected) ** 2) / np.mean(expected**2))
        found[f"rms difference, {name}"] = float(error)
    return found


def _share(network: LiquidNetwork, x: Any) -> float:
    """How much of the bound of their unit potentials reach."""
    stage: Any = next(stage for stage in network.stages if stage.name == network.layers[0].name)
    states = network.evaluate(x).states[stage.name]
    return float((np.abs(states).max(axis=(0, 1)) / stage.bounds(1.0)).max())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train LRC units on HalfCheetah.")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--data", type=Path, required=True, help="halfcheetah.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    console, kind = Console(), str(given.kind)
    with complaints(console, "torch"):
        cheetah = data.load(given.data)
        module, said = train(kind, cheetah, given.seed, given.epochs, console)
        network = import_network(save_network(module, given.out, kind, said))
        program = for_the_chip(network, cheetah, given.seed, console)
    save(program, given.out / f"{kind}_{QAT_RECIPE}.l2l")
    console.print(f"{network.units} units, {network.synapses} synapses")
    for name, value in figures(network, program, cheetah).items():
        console.print(f"{name}: {value:.4f}", soft_wrap=True)


if __name__ == "__main__":
    main()
