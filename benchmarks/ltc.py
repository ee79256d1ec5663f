"""What an LTC costs on the chip, next to a CfC that predicts as well; and what integers cost it.

    python benchmarks/ltc.py --data ../shared/data --out out/families
    python benchmarks/ltc.py --data ../shared/data --without-training

The first line takes the LTC of models/families on HalfCheetah and its program, and trains fully
connected CfCs of several sizes alike, unless they are in the folder already. Beside it stand the
CfC whose validation error on the chip is the closest to the LTC's, and the one whose test error is:
what all need on the chip. Then the accuracy of the LTC in floats and integers, and how many
messages stand at the ends of formats. The second line trains nothing: it costs the LTC and the CfC
of models/families, and smaller CfCs with the weights that their training would begin with, which
have as many neurons, and two synapses more than after it. Accuracies of integers are what programs
answer in the C engine; time and energy on the chip are estimates, and so are ratios of them, which
are drawn together (docs/cost.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy_tasks import Task, task_named
from families_tables import compared, ranged, three
from rich.console import Console

from lnn2loihi.conversion import import_network
from lnn2loihi.cost import CostEstimate, estimate
from lnn2loihi.cost.basis import ratio_of
from lnn2loihi.models import families
from lnn2loihi.models.families.modules import build
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
#: Units of the CfCs that are costed without training: those whose errors are the closest to the
#: LTC's after it.
COSTED = (16, 8)
DEVICE = "loihi2-oheo-gulch"
#: Time and energy are compared at full speed: placed for it, a new sample every period.
OBJECTIVE, MODE = "fast", "pipelined"
#: And at a rate, in Hz, that asks for no speed: on the fewest cores, sample by sample.
RATE, SLOW, SLOW_MODE = 100.0, "packed", "fall-through"


@dataclass(frozen=True)
class Cost:
    """What a program needs for a sample.

    Attributes:
        program: the program.
        messages: that are not zero, in the mean over samples, measured.
        estimated: its time and energy at full speed.
        slow: the same at RATE.
    """

    program: LoihiProgram
    messages: float
    estimated: CostEstimate
    slow: CostEstimate

    def row(self, name: str, first: Cost) -> list[object]:
        """Cells of the table, with what the first one takes over what this one does."""
        program, found = self.program, self.estimated
        every = sum(p.size * p.program.instruction_count for p in program.populations)
        ratios = (
            ratio_of(first.estimated.basis, found.basis, n) for n in ("latency", "total_full_chip")
        )
        return [
            name, program.neurons, program.synapses, program.steps_per_sample,
            program.latency_steps, found.cores, every * program.substeps, round(self.messages),
            ranged(three(found.latency, 1e6)),
            ranged(three(found.energy["total_full_chip"], 1e6)),
            *(compared(three(ratio)) for ratio in ratios),
            self.slow.cores, compared(three(self.slow.energy["total_full_chip"], 1e3)),
        ]  # fmt: skip


def cost_of(program: LoihiProgram, task: Task) -> Cost:
    """Counts of messages on test sequences, and the estimate from them."""
    counters = simulate(program, task.test.x[:ACTIVITY]).counters
    messages = sum(int(counts.sum()) for counts in counters.non_zero.values()) / counters.samples
    fast, packed = (
        workload(place(program, DEVICE, objective=objective, counters=counters), counters)
        for objective in (OBJECTIVE, SLOW)
    )
    at_rate = estimate(packed, DEVICE, rate=RATE, mode=SLOW_MODE)
    return Cost(program, messages, estimate(fast, DEVICE, mode=MODE), at_rate)


def cost_table(programs: Mapping[str, LoihiProgram], task: Task) -> str:
    """What programs need on the chip, and what the first one takes over each."""
    costs = {name: cost_of(program, task) for name, program in programs.items()}
    headers = ["`w8a12`", "neurons", "synapses", "steps a sample", "steps to the answer",
               f"cores, `{OBJECTIVE}`", "instructions a sample", "messages a sample, measured",
               f"latency [us], {MODE}, estimated", f"energy a sample [uJ], {MODE}, estimated",
               "latency of the LTC over it", "energy of the LTC over it", f"cores, `{SLOW}`",
               f"energy a sample at {RATE:g} Hz [mJ], {SLOW_MODE}, estimated"]  # fmt: skip
    first = next(iter(costs.values()))
    return markdown_table(headers, [cost.row(name, first) for name, cost in costs.items()])


def costs_without_training(ltc: LiquidNetwork, task: Task) -> str:
    """The cost table of what is shipped, and of smaller CfCs with the weights that training begins
    with.
    """
    found = {f"LTC, {ltc.units} units": ltc}
    other = families.load("halfcheetah", "cfc")
    found[f"CfC, {other.units} units"] = other
    for units in COSTED:
        channels, outputs = task.train.x.shape[2], task.train.y.shape[2]
        module, _ = build("cfc", channels, units, outputs, SEED)
        found[f"CfC, {units} units, not trained"] = import_network(module)
    calibration = task.train.x[:CALIBRATION]
    return cost_table({n: quantize(net, calibration) for n, net in found.items()}, task)


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
    shown = dict.fromkeys([first, *closest])
    costs = cost_table({n: programs[n] for n in shown}, task)
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
    parser.add_argument("--out", type=Path, help="folder of what is trained")
    parser.add_argument(
        "--without-training", action="store_true", help="costs, and the LTC; trains nothing"
    )
    given = parser.parse_args()
    if given.out is None and not given.without_training:
        parser.error("give --out, or --without-training")
    task = task_named("halfcheetah", given.data)
    ltc = families.load("halfcheetah", "ltc")
    if given.without_training:
        print(costs_without_training(ltc, task), end="\n\n")
    else:
        networks = {f"LTC, {ltc.units} units": ltc}
        networks |= {f"CfC, {units} units": cfc(units, given) for units in SIZES}
        print(beside(networks, task, given))
    print(accuracies(ltc, task))


if __name__ == "__main__":
    main()
