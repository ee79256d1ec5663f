"""The figures of the model card: python -m lnn2loihi.models.digits.figures --data FILE.

Needs no PyTorch. Takes the shipped networks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

import lnn2loihi as l2l
from lnn2loihi.models.digits import NETWORKS, RECIPE, data, load, program
from lnn2loihi.models.training import complaints
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.tables import percent

#: Images of training that formats are found with, and of the test that messages are counted with.
CALIBRATION, COUNTED = 100, 32
DEVICE = "loihi2-oheo-gulch"


def figures(
    network: LiquidNetwork, trained: LoihiProgram, digits: data.Digits
) -> dict[str, tuple[float, float, float, float]]:
    """What the float network answers on the test images, its integers, and those that were trained
    for the chip.

    Returns:
        for each accuracy, share of the images with the float network's digit, mean squared error of
        the logits over their mean square, and rms error of the outputs of all steps over their rms.
    """
    x, y = digits.x_test, digits.y_test
    truth = network.evaluate(x).outputs
    logits = truth.mean(axis=1)
    made = {"float network": truth}
    for recipe in ("w8a12", RECIPE):
        own = l2l.quantize(network, digits.x_train[:CALIBRATION], recipe)
        made[f"integers, {recipe}"] = l2l.simulate(own, x).outputs
    made[f"integers, {RECIPE}, trained for the chip"] = l2l.simulate(trained, x).outputs
    return {
        name: (
            data.accuracy(outputs, y),
            float((outputs.mean(axis=1).argmax(axis=-1) == logits.argmax(axis=-1)).mean()),
            float(np.mean((outputs.mean(axis=1) - logits) ** 2) / np.mean(logits**2)),
            float(np.sqrt(np.mean((outputs - truth) ** 2) / np.mean(truth**2))),
        )
        for name, outputs in made.items()
    }


def say(
    name: str, network: LiquidNetwork, trained: LoihiProgram, digits: data.Digits, console: Console
) -> None:
    """Prints the figures of one network, and what its integers take."""
    for what, (right, same, error, rms) in figures(network, trained, digits).items():
        console.print(
            f"{name}, {what}: accuracy {percent(right)}, agreement {percent(same)}, squared error "
            f"{percent(error)} of that of the logits, rms error of all steps {percent(rms)}",
            soft_wrap=True,
        )
    made = l2l.quantize(network, digits.x_train[:CALIBRATION])
    counters = l2l.simulate(made, digits.x_test[:COUNTED]).counters
    placed = l2l.place(made, counters=counters)
    found = l2l.estimate(l2l.workload(placed, counters), DEVICE)
    instructions = sum(p.size * p.program.instruction_count for p in made.populations)
    console.print(
        f"{name}, w8a12: {made.neurons} neurons, {instructions:,} instructions a sample, "
        f"{made.steps_per_sample} step a sample, {len(placed.cores)} cores; estimated for "
        f"{DEVICE}: latency {found.latency}, energy of a sample "
        f"{found.energy['total_full_chip']}",
        soft_wrap=True,
    )
    console.print(
        f"{name}, instructions: "
        + ", ".join(f"{p.name} {p.size} x {p.program.instruction_count}" for p in made.populations),
        soft_wrap=True,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Print the figures of the networks of digits.")
    parser.add_argument("--data", type=Path, required=True, help="digits.npz, see the model card")
    given = parser.parse_args()
    console = Console()
    with complaints(console):
        digits = data.load(given.data)
        for name in NETWORKS:
            say(name, load(name), program(name), digits, console)


if __name__ == "__main__":
    main()
