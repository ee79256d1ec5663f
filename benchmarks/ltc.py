"""What an LTC costs on the chip, next to the CfC of models/halfcheetah; and what integers cost it.

    python benchmarks/ltc.py --data ../shared/data --out out/ltc [--epochs 60] [--qat-epochs 4]

Trains an LTC on HalfCheetah (protocol of models/halfcheetah: data, loss, batches, optimiser and
epochs) unless it is in the folder already, and prints its accuracy in floats and integers, how many
messages stand at the ends of formats, and its cost beside that of the CfC. Accuracies of integers
are what programs answer in the C engine; time and energy on the chip are estimates (docs/cost.md).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accuracy import trained_for_the_chip
from accuracy_tasks import ChipTraining, Task, task_named
from ncps.wirings import AutoNCP
from rich.console import Console

from lnn2loihi.cost import estimate
from lnn2loihi.models.fast_ltc import FastLTC
from lnn2loihi.models.halfcheetah import data, load
from lnn2loihi.models.halfcheetah.train import BATCH, EPOCHS, LEARNING_RATE
from lnn2loihi.models.training import fit, save_network, shuffled_batches
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.place import place, workload
from lnn2loihi.plugins import import_network
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantize import quantize
from lnn2loihi.simulate import simulate
from lnn2loihi.tables import text_table

UNITS, SEED = 64, 1
#: Recipes after post-training quantization, and after training for the chip.
UNTRAINED = ("w8a12", "w8a10", "w8a8x12", "w6a10", "w4a12")
TRAINED = ("w4a12", "w4a8x12")
HOW = ChipTraining(1e-3)
CALIBRATION, ACTIVITY = 2048, 64
DEVICE = "loihi2-oheo-gulch"


@dataclass(frozen=True)
class Cost:
    """What a program needs for a sample.

    Attributes:
        program: the program.
        messages: that are not zero, in the mean over samples, measured.
        latency, energy: estimates with low and high, in microseconds and microjoules.
    """

    program: LoihiProgram
    messages: float
    latency: tuple[float, float, float]
    energy: tuple[float, float, float]

    def row(self, name: str) -> list[object]:
        """Cells of the table."""
        program = self.program
        every = sum(p.size * p.program.instruction_count for p in program.populations)
        shown = (f"{v:.3g} ({a:.2g} to {b:.2g})" for v, a, b in (self.latency, self.energy))
        return [
            name, f"{program.neurons:,}", f"{program.synapses:,}", program.steps_per_sample,
            program.latency_steps, f"{every * program.substeps:,}", f"{self.messages:,.0f}", *shown,
        ]  # fmt: skip


def cost_of(program: LoihiProgram, task: Task) -> Cost:
    """Counts of messages on test sequences, and the estimate from them."""
    counters = simulate(program, task.test.x[:ACTIVITY]).counters
    found = estimate(workload(place(program, DEVICE, counters=counters), counters), DEVICE)
    messages = sum(int(counts.sum()) for counts in counters.non_zero.values()) / counters.samples
    latency, energy = found.latency, found.energy["total_full_chip"]
    both = ((1e6 * i.value, 1e6 * i.low, 1e6 * i.high) for i in (latency, energy))
    return Cost(program, messages, *both)


def trained(given: argparse.Namespace, console: Console) -> LiquidNetwork:
    """The LTC; trained once."""
    path = given.out / "halfcheetah_ltc.toml"
    if path.exists():
        return import_network(path)
    cheetah = data.load(given.data / "halfcheetah.npz")
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = FastLTC(data.CHANNELS, AutoNCP(UNITS, data.CHANNELS, seed=SEED))
    scale = torch.tensor(cheetah.deviation, dtype=torch.float32)

    def loss(predicted: Any, target: Any) -> Any:
        return (((predicted - target) * scale) ** 2).mean()

    fit(
        model,
        shuffled_batches(cheetah.x_train, cheetah.y_train, BATCH, SEED),
        loss,
        epochs=given.epochs,
        steps_per_epoch=-(-len(cheetah.x_train) // BATCH),
        learning_rate=LEARNING_RATE,
        console=console,
    )
    said = {"module": "ncps.torch.LTC", "input_size": data.CHANNELS, "units": UNITS}
    return import_network(save_network(model, given.out, "halfcheetah_ltc", said))


def accuracies(network: LiquidNetwork, task: Task, given: argparse.Namespace) -> str:
    """Figures of all recipes, and the share of messages at an end of their format."""
    truth = network.evaluate(task.test.x).outputs
    rows: list[list[object]] = []

    def add(name: str, answer: Any, saturated: str) -> None:
        figures = task.figures(answer, truth)
        rows.append([name, *(f"{value:.4g}" for value in figures.values()), saturated])

    add("float", truth, "")
    console = Console(stderr=True)
    programs = [(f"{r} PTQ", quantize(network, task.train.x[:CALIBRATION], r)) for r in UNTRAINED]
    for recipe in TRAINED:
        program = trained_for_the_chip(task, network, recipe, HOW, SEED, given.qat_epochs, console)
        programs.append((f"{recipe} QAT", program))
    for name, program in programs:
        (row,) = (row for row in program.table if row["family"] == "ltc")
        add(name, simulate(program, task.test.x).outputs, f"{100 * row['saturated']:.3f}")
    headers = ["recipe", *task.figures(truth, truth), "potentials saturated, percent"]
    return text_table(headers, rows)


def main() -> None:
    """Trains, measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is trained")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--qat-epochs", type=int, default=4)
    given = parser.parse_args()
    task = task_named("halfcheetah", given.data)
    ltc, cfc = trained(given, Console(stderr=True)), load()
    headers = ["w8a12", "neurons", "synapses", "steps a sample", "steps to the answer",
               "instructions a sample", "messages a sample", "latency [us], estimated",
               "energy a sample [uJ], estimated"]  # fmt: skip
    rows = [
        cost_of(quantize(network, task.train.x[:CALIBRATION]), task).row(name)
        for name, network in (("LTC", ltc), ("CfC", cfc))
    ]
    print(text_table(headers, rows))
    for name, network in (("LTC", ltc), ("CfC", cfc)):
        truth = network.evaluate(task.test.x).outputs
        print(f"{name} in floats: {task.figures(truth, truth)}")
    print(accuracies(ltc, task, given))


if __name__ == "__main__":
    main()
