"""All families side by side: accuracy, size, what the chip would need, and time on this CPU.

    python benchmarks/families.py --data ../shared/data --out out/families [--seeds 3]
        [--seeds-of ltc=1] [--tasks occupancy,...] [--families cfc,gru,...] [--qat-epochs 4]
        [--train-again] [--json FILE] [--plots FOLDER]
    python benchmarks/families.py --sine --out out/families [--seeds 3]
        [--seeds-of ltc=1] [--json FILE] [--plots FOLDER]
    python benchmarks/families.py --sine --without-training

The first line takes the float network and the `w4a8x12` program of models/families for seed 1,
trains those of the other seeds, and prints for each family the float network, `w8a12` after
post-training quantization and `w4a8x12` after training for the chip. The second trains small
networks of about as many parameters on clean and on noisy damped sine waves, at the learning rate
that validation chooses for each family; the third prints their memory on the cores with the
weights that training begins with. What is trained is written to a folder for each seed and
taken from there the next time. Accuracies of integers are what the programs answer in the C engine,
bit for bit what the chip would; time and energy on the chip are estimates (docs/cost.md).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import trained_for_the_chip
from accuracy_tasks import BRIEFLY, Task, task_named
from families_chip import Heard, chip_table, chips, cpu_times
from families_plots import plot_sine, plot_tasks
from families_sine import FAMILIES as SINE_FAMILIES
from families_sine import memory_before_training, sine_rows, sine_tables
from families_tables import NAMES, mean_and_range
from rich.console import Console

from lnn2loihi.artifact import load as load_program
from lnn2loihi.artifact import save
from lnn2loihi.conversion import import_network
from lnn2loihi.files import write_atomically
from lnn2loihi.models.families import FAMILIES, FOLDER, QAT_RECIPE, TASKS
from lnn2loihi.models.families.modules import build, parameter_count
from lnn2loihi.models.families.train import UNITS, load_sequences, train
from lnn2loihi.models.training import save_network
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.simulation import encode, simulate
from lnn2loihi.tables import markdown_table

PTQ, QAT = "w8a12", QAT_RECIPE
#: The float network on inputs as the chip hears them: rounded, and saturated beyond the range of
#: calibration, which for data with outliers is no loss.
HEARD = "float, inputs of w8a12"
CALIBRATION = 2048
#: Sequences of the measurement of time.
TIMED = 256
#: What is shipped.
SHIPPED_SEED = 1


@dataclass(frozen=True)
class Accuracy:
    """One family on one task, of one seed.

    Attributes:
        family, seed: which.
        parameters: trained numbers of the module.
        figures: for each of "float", HEARD, PTQ and QAT the task's figures, and for occupancy by
            how many points the F1 is above that of the float network.
    """

    family: str
    seed: int
    parameters: int
    figures: dict[str, dict[str, float]]


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with the data sets")
    parser.add_argument("--out", type=Path, help="folder of what is trained")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--families", help="some of them; by default all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seeds-of", default="", help="of single families, as in ltc=1,ncp=2")
    parser.add_argument("--qat-epochs", type=int, default=4)
    parser.add_argument(
        "--train-again", action="store_true", help="takes nothing from models/families"
    )
    parser.add_argument("--sine", action="store_true", help="damped sine waves instead of tasks")
    parser.add_argument(
        "--without-training", action="store_true", help="with --sine: memory on the cores alone"
    )
    parser.add_argument("--json", type=Path, help="also writes everything to this file")
    parser.add_argument("--plots", type=Path, help="also draws figures into this folder")
    given = parser.parse_args()
    if given.data is None and not given.sine:
        parser.error("give --data, or --sine")
    if given.without_training and not given.sine:
        parser.error("--without-training goes with --sine")
    if given.out is None and not given.without_training:
        parser.error("give --out")
    return given


def seeds_of(family: str, given: argparse.Namespace) -> range:
    """The seeds of a family's networks, from 1."""
    own = dict(pair.split("=") for pair in given.seeds_of.split(",") if pair)
    return range(1, int(own.get(family, given.seeds)) + 1)


def trained_before(name: str, seed: int, given: argparse.Namespace) -> Path | None:
    """Where a file is: among what is shipped, or in the seed's folder."""
    shipped = [FOLDER] if seed == SHIPPED_SEED and not given.train_again else []
    folders = [*shipped, given.out / f"seed{seed}"]
    return next((folder / name for folder in folders if (folder / name).exists()), None)


def float_network(task: str, family: str, seed: int, given: argparse.Namespace) -> LiquidNetwork:
    """The shipped network; else one that is trained, once."""
    name = f"{task}_{family}"
    path = trained_before(f"{name}.toml", seed, given)
    if path is None:
        sequences = load_sequences(task, given.data)
        module, said = train(task, family, sequences, seed, Console(stderr=True))
        path = save_network(module, given.out / f"seed{seed}", name, said)
    return import_network(path)


def programs(
    task: Task, family: str, seed: int, network: LiquidNetwork, given: argparse.Namespace
) -> dict[str, LoihiProgram]:
    """The programs of PTQ and of QAT: shipped, in the folder, or made once."""
    console = Console(stderr=True)
    makers: dict[str, Callable[[], LoihiProgram]] = {
        PTQ: lambda: quantize(network, task.train.x[:CALIBRATION], PTQ),
        QAT: lambda: trained_for_the_chip(
            task, network, network, QAT, BRIEFLY, seed, given.qat_epochs, console
        ),
    }
    found: dict[str, LoihiProgram] = {}
    for recipe, make in makers.items():
        name = f"{task.name}_{family}_{recipe}.l2l"
        path = trained_before(name, seed, given)
        found[recipe] = make() if path is None else load_program(path)
        if path is None:
            folder = given.out / f"seed{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            save(found[recipe], folder / name)
    return found


def accuracy_of(
    task: Task, family: str, seed: int, given: argparse.Namespace
) -> tuple[Accuracy, LoihiProgram]:
    """The figures of one seed, and the program of PTQ."""
    network = float_network(task.name, family, seed, given)
    truth = network.evaluate(task.test.x).outputs
    figures = {"float": task.figures(truth, truth)}
    made = programs(task, family, seed, network, given)
    for recipe, own in made.items():
        figures[recipe] = task.figures(simulate(own, task.test.x).outputs, truth)
    program = made[PTQ]
    heard = program.input.decode(encode(program, task.test.x)[0])[..., : program.channels]
    figures[HEARD] = task.figures(network.evaluate(heard).outputs, truth)
    if "F1" in figures["float"]:
        for own in figures.values():
            own["F1 above float"] = own["F1"] - figures["float"]["F1"]
    inputs, outputs = task.train.x.shape[2], task.train.y.shape[2]
    parameters = parameter_count(build(family, inputs, UNITS, outputs, seed)[0])
    return Accuracy(family, seed, parameters, figures), program


def accuracy_table(rows: Sequence[Accuracy]) -> str:
    """Figures of all recipes, mean and range over seeds."""
    keys = list(rows[0].figures["float"])
    relative = {
        "F1 above float": "+.2f", "agreement with float": ".2f", "percent above float": "+.2f"
    }  # fmt: skip
    digits = ".3f" if "MSE" in keys else ".2f"
    columns = [(key, recipe, digits) for key in keys if key not in relative
               for recipe in ("float", PTQ, QAT)]  # fmt: skip
    columns += [(key, recipe, relative[key]) for key in keys if key in relative
                for recipe in ((HEARD, PTQ, QAT) if "MSE" in keys else (PTQ, QAT))]  # fmt: skip
    named = {PTQ: f"`{PTQ}` PTQ", QAT: f"`{QAT}` QAT", HEARD: "float on the chip's inputs"}
    headers = ["family", "seeds", "parameters"]
    headers += [f"{key}: {named.get(recipe, recipe)}" for key, recipe, _ in columns]
    lines: list[list[object]] = []
    for family in dict.fromkeys(row.family for row in rows):
        own = [row for row in rows if row.family == family]
        cells: list[object] = [NAMES[family], len(own), own[0].parameters]
        cells += [
            mean_and_range([row.figures[recipe][key] for row in own], form)
            for key, recipe, form in columns
        ]
        lines.append(cells)
    return markdown_table(headers, lines)


def run_tasks(given: argparse.Namespace, console: Console) -> dict[str, Any]:
    """All families on all tasks that were asked for."""
    results: dict[str, Any] = {}
    families = FAMILIES if given.families is None else given.families.split(",")
    for name in given.tasks.split(","):
        task = task_named(name, given.data)
        rows: list[Accuracy] = []
        shipped: dict[str, LoihiProgram] = {}
        for family in families:
            for seed in seeds_of(family, given):
                console.print(f"{name}, {family}, seed {seed}", soft_wrap=True)
                row, program = accuracy_of(task, family, seed, given)
                rows.append(row)
                shipped.setdefault(family, program)
        times = cpu_times(list(shipped.values()), Heard(task.test.x[:TIMED]))
        found = chips(shipped, dict.fromkeys(shipped, Heard(task.test.x)), times)
        print(f"\n== {name}, {UNITS} units; beside it: {task.beside}\n")
        print(accuracy_table(rows))
        print(f"\nthe {PTQ} programs of seed 1\n\n{chip_table(found)}")
        results[name] = {
            "accuracy": [asdict(row) for row in rows], "chip": [asdict(row) for row in found]
        }  # fmt: skip
    if given.plots:
        plot_tasks(given.plots, results)
    return results


def run_sine(given: argparse.Namespace, console: Console) -> dict[str, Any]:
    """All families on damped sine waves."""
    families = SINE_FAMILIES if given.families is None else given.families.split(",")
    if given.without_training:
        print(memory_before_training(families))
        return {}
    seeds = {family: seeds_of(family, given) for family in families}
    rows = sine_rows(given.out, seeds, console)
    print(sine_tables(rows))
    if given.plots:
        plot_sine(given.plots, rows)
    return {"sine": [asdict(row) for row in rows]}


def main() -> None:
    """Runs what was asked for."""
    given = options()
    console = Console(stderr=True)
    np.seterr(all="raise", under="ignore")
    found = run_sine(given, console) if given.sine else run_tasks(given, console)
    if given.json:
        write_atomically(given.json, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
