"""All families side by side: accuracy, size, what the chip would need, and time on this CPU.

    python benchmarks/families.py --data ../shared/data --out out/families [--tasks occupancy,...]
        [--families cfc,gru,...] [--qat-epochs 4] [--json FILE] [--plots FOLDER]
    python benchmarks/families.py --sine --out out/families [--json FILE] [--plots FOLDER]

The first line takes the networks of models/families (or trains them into the folder where they are
not shipped) and prints, for each, the float network, `w8a12` after post-training quantization and
`w4a8x12` after training for the chip. The second trains small networks of about as many parameters
on clean and on noisy damped sine waves. What is trained is written to the folder and taken from
there the next time. Accuracies of integers are what the programs answer in the C engine, bit for
bit what the chip would; time and energy on the chip are estimates (docs/cost.md).
"""

from __future__ import annotations

import argparse
import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import trained_for_the_chip
from accuracy_tasks import BRIEFLY, Part, Task, task_named
from families_plots import plot_sine, plot_tasks
from families_sine import FAMILIES as SINE_FAMILIES
from families_sine import sine_rows, sine_tables
from rich.console import Console

from lnn2loihi.artifact import load as load_program
from lnn2loihi.artifact import save
from lnn2loihi.cost import estimate
from lnn2loihi.files import write_atomically
from lnn2loihi.measure import QUICK, measure, runners
from lnn2loihi.models.families import FAMILIES, FOLDER, TASKS
from lnn2loihi.models.families.modules import build, parameter_count
from lnn2loihi.models.families.train import UNITS, load_sequences, train
from lnn2loihi.models.training import save_network
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.place import place, workload
from lnn2loihi.plugins import import_network
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantize import quantize
from lnn2loihi.simulate import encode, simulate
from lnn2loihi.tables import text_table

PTQ, QAT = "w8a12", "w4a8x12"
#: The float network on inputs as the chip hears them: rounded, and saturated beyond the range of
#: calibration, which for data with outliers is no loss.
HEARD = "float, inputs of w8a12"
CALIBRATION = 2048
#: Sequences that an LTC is evaluated, calibrated and trained on at a time: evaluation keeps the
#: answers of all units in all steps, and each of its synapses is one.
SEQUENCES_OF_LTC = 256
#: Sequences whose messages set the activity of the estimate, and of the measurement of time.
ACTIVITY, TIMED = 64, 256
DEVICE = "loihi2-oheo-gulch"


@dataclass(frozen=True)
class Row:
    """One family on one task.

    Attributes:
        task, family: which.
        parameters: trained numbers of the module.
        synapses: of the program.
        neurons: of the program: the stages' units.
        instructions: in one update of a neuron of the recurrent layer, in the mean over neurons.
        instructions_per_sample: of all neurons in all their updates.
        steps: chip steps from one sample to the next.
        latency_steps: chip steps from a sample to its answer.
        cores: cores of the placement.
        latency_us, energy_uj: nominal, low, high; estimates. Energy is that of one sample, all in
            all, at full speed.
        cpu_us: median time of a step of one sequence in the C engine on one thread, measured.
        figures: for each of "float", HEARD, PTQ and QAT the task's figures.
    """

    task: str
    family: str
    parameters: int
    synapses: int
    neurons: int
    instructions: float
    instructions_per_sample: int
    steps: int
    latency_steps: int
    cores: int
    latency_us: tuple[float, float, float]
    energy_uj: tuple[float, float, float]
    cpu_us: float
    figures: dict[str, dict[str, float]]


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is trained")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--families", help="some of them; by default all")
    parser.add_argument("--qat-epochs", type=int, default=4)
    parser.add_argument("--sine", action="store_true", help="damped sine waves instead of tasks")
    parser.add_argument("--json", type=Path, help="also writes everything to this file")
    parser.add_argument("--plots", type=Path, help="also draws figures into this folder")
    given = parser.parse_args()
    if given.data is None and not given.sine:
        parser.error("give --data, or --sine")
    return given


def float_network(task: str, family: str, given: argparse.Namespace) -> LiquidNetwork:
    """The shipped network; else one that is trained, once."""
    name = f"{task}_{family}.toml"
    for folder in (FOLDER, given.out):
        if (folder / name).exists():
            return import_network(folder / name)
    sequences = load_sequences(task, given.data)
    module, said = train(task, family, sequences, 1, Console(stderr=True))
    return import_network(save_network(module, given.out, f"{task}_{family}", said))


def programs(
    task: Task, family: str, network: LiquidNetwork, given: argparse.Namespace
) -> dict[str, LoihiProgram]:
    """The integer programs, the trained one from the folder where it is there."""
    path, epochs = given.out / f"{task.name}_{family}_{QAT}.l2l", given.qat_epochs
    if family == "ltc":
        task, epochs = reduced(task, epochs)
    if path.exists():
        trained = load_program(path)
    else:
        console = Console(stderr=True)
        trained = trained_for_the_chip(task, network, QAT, BRIEFLY, 1, epochs, console)
        path.parent.mkdir(parents=True, exist_ok=True)
        save(trained, path)
    return {PTQ: quantize(network, task.train.x[:CALIBRATION], PTQ), QAT: trained}


def answers(network: LiquidNetwork, x: Any) -> Any:
    """The float network's outputs, in parts: evaluation keeps what every synapse of an LTC says."""
    parts = np.array_split(x, -(-len(x) // SEQUENCES_OF_LTC))
    return np.concatenate([network.evaluate(part).outputs for part in parts])


def reduced(task: Task, epochs: int) -> tuple[Task, int]:
    """The task with fewer sequences to calibrate and train with, and as many steps of training."""
    fewer = copy.copy(task)
    count = SEQUENCES_OF_LTC
    fewer.train = Part(task.train.x[:count], task.train.y[:count])
    fewer.validation = Part(task.validation.x[:count], task.validation.y[:count])
    return fewer, epochs * len(task.train.x) // count


def measured_row(task: Task, family: str, given: argparse.Namespace) -> Row:
    """Everything about one family on one task."""
    network = float_network(task.name, family, given)
    truth = answers(network, task.test.x)
    figures = {"float": task.figures(truth, truth)}
    made = programs(task, family, network, given)
    for recipe, program in made.items():
        figures[recipe] = task.figures(simulate(program, task.test.x).outputs, truth)
    program = made[PTQ]
    heard = program.input.decode(encode(program, task.test.x)[0])[..., : program.channels]
    figures[HEARD] = task.figures(answers(network, heard), truth)
    counters = simulate(program, task.test.x[:ACTIVITY]).counters
    placement = place(program, DEVICE, counters=counters)
    cost = estimate(workload(placement, counters), DEVICE)
    timed = measure(
        runners(program, against=("cpu:engine",), threads=(1,)), task.test.x[:TIMED],
        modes=("streaming",), energy=False, settings=QUICK,
    )[0]  # fmt: skip
    inputs, outputs = task.train.x.shape[2], task.train.y.shape[2]
    recurrent = [p for p in program.populations if p.name != program.output]
    per_update = sum(p.size * p.program.instruction_count for p in recurrent)
    every = sum(p.size * p.program.instruction_count for p in program.populations)
    latency, energy = cost.latency, cost.energy["total_full_chip"]
    return Row(
        task.name, family,
        parameter_count(build(family, inputs, UNITS, outputs, 1)[0]),
        program.synapses, program.neurons,
        per_update / sum(p.size for p in recurrent), every * program.substeps,
        program.steps_per_sample, program.latency_steps, cost.cores,
        (1e6 * latency.value, 1e6 * latency.low, 1e6 * latency.high),
        (1e6 * energy.value, 1e6 * energy.low, 1e6 * energy.high),
        1e6 * (timed.latency_p50 or float("nan")),
        figures,
    )  # fmt: skip


def accuracy_table(rows: list[Row]) -> str:
    """Figures of all recipes."""
    keys = list(rows[0].figures["float"])
    shown = [key for key in keys if key not in ("agreement with float", "percent above float")]
    headers = ["family", "parameters"]
    headers += [f"{key}, {recipe}" for recipe in ("float", PTQ, QAT) for key in shown]
    relative = next(key for key in keys if key not in shown)
    headers += [f"{relative}, {recipe}" for recipe in (HEARD, PTQ, QAT)]
    lines: list[list[object]] = []
    for row in rows:
        cells: list[object] = [row.family, f"{row.parameters:,}"]
        for recipe in ("float", PTQ, QAT):
            cells += [f"{row.figures[recipe][key]:.4g}" for key in shown]
        cells += [f"{row.figures[recipe][relative]:.2f}" for recipe in (HEARD, PTQ, QAT)]
        lines.append(cells)
    return text_table(headers, lines)


def chip_table(rows: list[Row]) -> str:
    """Sizes and costs of the programs of the recipe PTQ."""

    def ranged(values: tuple[float, float, float]) -> str:
        return f"{values[0]:.3g} ({values[1]:.2g} to {values[2]:.2g})"

    headers = (
        "family", "synapses", "neurons", "instructions a neuron", "instructions a sample",
        "steps a sample", "steps to the answer", "cores", "latency [us], estimated",
        "energy a sample [uJ], estimated", "CPU step [us], measured",
    )  # fmt: skip
    lines = [
        (
            row.family, f"{row.synapses:,}", f"{row.neurons:,}", f"{row.instructions:.0f}",
            f"{row.instructions_per_sample:,}", row.steps, row.latency_steps, row.cores,
            ranged(row.latency_us), ranged(row.energy_uj), f"{row.cpu_us:.1f}",
        )
        for row in rows
    ]  # fmt: skip
    return text_table(headers, lines)


def run_tasks(given: argparse.Namespace, console: Console) -> dict[str, Any]:
    """All families on all tasks that were asked for."""
    results: dict[str, list[Row]] = {}
    for name in given.tasks.split(","):
        task = task_named(name, given.data)
        results[name] = []
        for family in FAMILIES if given.families is None else given.families.split(","):
            console.print(f"{name}, {family}", soft_wrap=True)
            results[name].append(measured_row(task, family, given))
        print(f"\n== {name}, {UNITS} units; beside it: {task.beside}")
        print(accuracy_table(results[name]))
        print(chip_table(results[name]))
    if given.plots:
        plot_tasks(given.plots, {name: [asdict(r) for r in rows] for name, rows in results.items()})
    return {name: [asdict(row) for row in rows] for name, rows in results.items()}


def run_sine(given: argparse.Namespace, console: Console) -> dict[str, Any]:
    """All families on damped sine waves."""
    families = SINE_FAMILIES if given.families is None else given.families.split(",")
    rows = sine_rows(given.out, families, console)
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
