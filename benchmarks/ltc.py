"""What an LTC costs on the chip, next to a CfC that predicts as well; and what integers cost it.

    python benchmarks/ltc.py --data ../shared/data --out out/families

Takes the LTC of models/families on HalfCheetah and its program, and trains fully connected CfCs of
several sizes alike, unless they are in the folder already. Beside it stand the CfC whose validation
error on the chip is the closest to the LTC's, and the one whose test error is: what all need on the
chip. Then the accuracy of the LTC in floats and integers, and how many messages stand at the ends
of formats. Accuracies of integers are what programs answer in the C engine; time and energy on the
chip are estimates (docs/cost.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy_tasks import Task, task_named
from rich.console import Console

from lnn2loihi.conversion import import_network
from lnn2loihi.cost import estimate
from lnn2loihi.models import families
from lnn2loihi.models.families.train import load_sequences, train
from lnn2loihi.models.training import save_network
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.placement.verb import place
from lnn2loihi.placement.workload import workload
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.simulation import simulate
from lnn2loihi.tables import markdown_table

SEED = 1
#: Units of the CfCs.
SIZES = (6, 8, 10, 12, 16, 20, 24, 28)
#: Recipes of post-training quantization; the program after training for the chip is shipped.
RECIPES = ("w8a12", "w8a10", "w8a8x12", "w6a10", "w4a12", "w4a8x12")
CALIBRATION, ACTIVITY = 256, 64
DEVICE = "loihi2-oheo-gulch"


@dataclass(frozen=True)
class Cost:
    """What a program needs for a sample.

    Attributes:
        program: the program.
        cores: of its placement.
        messages: that are not zero, in the mean over samples, measured.
        latency, energy: estimates with low and high, in microseconds and microjoules.
    """

    program: LoihiProgram
    cores: int
    messages: float
    latency: tuple[float, float, float]
    energy: tuple[float, float, float]

    def row(self, name: str) -> list[object]:
        """Cells of the table."""
        program = self.program
        every = sum(p.size * p.program.instruction_count for p in program.populations)
        shown = (f"{v:.3g} ({a:.2g} to {b:.2g})" for v, a, b in (self.latency, self.energy))
        return [
            name, program.neurons, program.synapses, program.steps_per_sample,
            program.latency_steps, self.cores, every * program.substeps, round(self.messages),
            *shown,
        ]  # fmt: skip


def cost_of(program: LoihiProgram, task: Task) -> Cost:
    """Counts of messages on test sequences, and the estimate from them."""
    counters = simulate(program, task.test.x[:ACTIVITY]).counters
    found = estimate(workload(place(program, DEVICE, counters=counters), counters), DEVICE)
    messages = sum(int(counts.sum()) for counts in counters.non_zero.values()) / counters.samples
    latency, energy = found.latency, found.energy["total_full_chip"]
    both = ((1e6 * i.value, 1e6 * i.low, 1e6 * i.high) for i in (latency, energy))
    return Cost(program, found.cores, messages, *both)


def cfc(units: int, given: argparse.Namespace) -> LiquidNetwork:
    """A CfC of so many units; trained once."""
    path = given.out / f"halfcheetah_cfc_{units}.toml"
    if not path.exists():
        sequences = load_sequences("halfcheetah", given.data)
        console = Console(stderr=True)
        module, said = train("halfcheetah", "cfc", sequences, SEED, console, units)
        path = save_network(module, given.out, path.stem, said)
    return import_network(path)


def mean_squared_errors(answer: Callable[[Any], Any], given: argparse.Namespace) -> list[float]:
    """Of answers to the validation and to the test sequences, in the original units."""
    data = load_sequences("halfcheetah", given.data)
    parts = (data.x_validation, data.y_validation), (data.x_test, data.y_test)
    return [data.squared_error(answer(x), y) for x, y in parts]


def beside(networks: dict[str, LiquidNetwork], task: Task, given: argparse.Namespace) -> str:
    """Errors of all networks, and costs of the first and of those that predict as well as it.

    Validation decides among the integers, since in floats outliers of a few samples decide, which
    the chip's inputs clip.
    """
    programs = {n: quantize(net, task.train.x[:CALIBRATION]) for n, net in networks.items()}
    chip = {
        n: mean_squared_errors(lambda x, p=p: simulate(p, x).outputs, given)
        for n, p in programs.items()
    }
    lines = [
        [n, *(f"{e:.3f}" for e in (*mean_squared_errors(_outputs(networks[n]), given), *chip[n]))]
        for n in networks
    ]
    first, *others = networks
    headers = ["", "validation MSE: float", "test MSE: float", "validation MSE: `w8a12`",
               "test MSE: `w8a12`"]  # fmt: skip
    errors = markdown_table(headers, lines)
    closest = [min(others, key=lambda n: abs(chip[n][i] - chip[first][i])) for i in range(2)]
    headers = ["`w8a12`", "neurons", "synapses", "steps a sample", "steps to the answer", "cores",
               "instructions a sample", "messages a sample, measured", "latency [us], estimated",
               "energy a sample [uJ], estimated"]  # fmt: skip
    shown = dict.fromkeys([first, *closest])
    costs = markdown_table(headers, [cost_of(programs[n], task).row(n) for n in shown])
    said = f"closest by validation: {closest[0]}; by test: {closest[1]}"
    return f"{errors}\n\n{said}\n\n{costs}\n"


def _outputs(network: LiquidNetwork) -> Callable[[Any], Any]:
    return lambda x: network.evaluate(x).outputs


def accuracies(network: LiquidNetwork, task: Task) -> str:
    """Figures of all recipes, and the share of messages at an end of their format."""
    truth = network.evaluate(task.test.x).outputs
    rows: list[list[object]] = []

    def add(name: str, answer: Any, saturated: str) -> None:
        mse, above = task.figures(answer, truth).values()
        rows.append([name, f"{mse:.3f}", f"{above:+.2f}", saturated])

    add("float", truth, "")
    programs = [(f"`{r}` PTQ", quantize(network, task.train.x[:CALIBRATION], r)) for r in RECIPES]
    programs.append((f"`{families.QAT_RECIPE}` QAT", families.program("halfcheetah", "ltc")))
    for name, program in programs:
        (row,) = (row for row in program.table if row["family"] == "ltc")
        add(name, simulate(program, task.test.x).outputs, f"{100 * row['saturated']:.3f}")
    headers = ["recipe", "test MSE", "percent above float", "potentials saturated, percent"]
    return markdown_table(headers, rows)


def main() -> None:
    """Trains, measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is trained")
    given = parser.parse_args()
    task = task_named("halfcheetah", given.data)
    ltc = families.load("halfcheetah", "ltc")
    networks = {f"LTC, {ltc.units} units": ltc}
    networks |= {f"CfC, {units} units": cfc(units, given) for units in SIZES}
    print(beside(networks, task, given))
    print(accuracies(ltc, task))


if __name__ == "__main__":
    main()
