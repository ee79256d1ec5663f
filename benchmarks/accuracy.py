"""What integers cost in accuracy on four tasks, three with real data, before and after training.

    python benchmarks/accuracy.py --data ../shared/data --out out/accuracy [--seeds 3]
        [--tasks damped_sine,occupancy,halfcheetah,walker2d] [--recipes w4a8x12]
        [--qat-epochs 8] [--targets split] [--json FILE]

Float networks are trained by models/*/train.py for each seed, or taken from the folder if they are
there (`<out>/<task>/seed<n>/network.toml`, those with clipped lines `hard.toml`); programs are
written beside them. Every figure of an integer network is what its program answers in the C engine,
bit for bit what the chip would. QAT fine-tunes for a few epochs towards the float network's
answers, or trains as long as float training on the targets (accuracy_tasks.py says which), and
keeps the epoch whose integers are closest to them, or best on the targets, on validation data.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy_tasks import TASKS, ChipTraining, Task, task_named
from rich.console import Console

from lnn2loihi import qat
from lnn2loihi.artifact import save
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.files import write_atomically
from lnn2loihi.models.training import FILES, Epoch, fit_best, shuffled
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.simulation import simulate
from lnn2loihi.tables import text_table
from lnn2loihi.targets import target_of

#: Sequences that set ranges.
CALIBRATION = 2048
#: Steps of the run that shows drift, and of the blocks that are compared.
LONG_RUN, BLOCK = 10_000, 1_000
#: Batches of a measurement of training cost.
COST_BATCHES = 6


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of the float networks")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--qat-epochs", type=int, default=8, help="where a task says nothing else")
    parser.add_argument("--recipes", help="only these, as in w4a8x12,w8a12")
    parser.add_argument("--targets", help="also prepared for these, as in split,split_graph")
    parser.add_argument("--json", type=Path, help="also writes everything to this file")
    return parser.parse_args()


def float_network(
    task: Task, given: argparse.Namespace, seed: int, form: str = "tanh"
) -> LiquidNetwork:
    """The network of a seed that was trained with a form of tanh; trains it if it is not there, the
    form `hard` from the weights of the other one.
    """
    folder = given.out / task.name / f"seed{seed}"
    description = folder / FILES[form][1]
    if not description.exists():
        command = [sys.executable, "-m", f"lnn2loihi.models.{task.name}.train"]
        command += ["--out", str(folder), "--seed", str(seed)]
        command += ["--data", str(task.source)] if task.source is not None else []
        command += ["--form", form, "--start", str(folder)] if form != "tanh" else []
        subprocess.run(command, check=True)
    return FamiliesImporter().load(description)


def trained_for_the_chip(
    task: Task,
    network: LiquidNetwork,
    start: LiquidNetwork,
    recipe: str,
    how: ChipTraining,
    seed: int,
    epochs: int,
    console: Console,
) -> Any:
    """The network after training with the chip's arithmetic: towards the float network's answers,
    so that it does not fit the training data more than that did, or on the targets.

    Args:
        task: the data.
        network: the float network.
        start: the one whose weights it begins with.
        recipe: what it is trained for.
        how: settings of the training.
        seed: of the order of the sequences.
        epochs: passes over the training data, where `how` does not say it.
        console: where every epoch is reported.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    module = qat.prepare(
        start, recipe, calibrate=task.train.x[:CALIBRATION],
        calibrate_timespans=task.train.calibration_times(CALIBRATION),
    )  # fmt: skip

    goals = [
        part.y if how.on_targets else network.evaluate(part.x, timespans=part.timespans).outputs
        for part in (task.train, task.validation)
    ]

    def distance(answer: Any, goal: Any) -> Any:
        return task.loss(answer, goal) if how.on_targets else (answer - goal).square().mean()

    arrays = [task.train.x, goals[0], *task.train.arrays[2:]]

    def loss(x: Any, goal: Any, *elapsed: Any) -> Any:
        module.train()
        return distance(module(x, timespans=elapsed[0] if elapsed else None), goal)

    def validation() -> float:
        module.eval()
        part = task.validation
        answer = simulate(module.export(), part.x, timespans=part.timespans).outputs
        if how.chosen_on_targets:
            return task.error(answer, part)
        return float(distance(torch.as_tensor(answer), torch.as_tensor(goals[1])))

    def harden(passed: float) -> None:
        if how.hardened is not None:
            module.harden(1.0 - (1.0 - min(passed / how.hardened, 1.0)) ** 2)

    def report(epoch: Epoch) -> None:
        console.print(
            f"{task.name}, {recipe}, epoch {epoch.number}: training {epoch.training:.4f}, "
            f"validation {epoch.validation:.4f}, {epoch.seconds:.0f} s",
            highlight=False,
        )

    fit_best(
        module, shuffled(arrays, task.batch, seed), loss, validation,
        epochs=how.epochs or epochs, learning_rate=how.rate, decay=how.decay, console=console,
        constant=how.hardened or 0.0, report=report, before_step=harden,
    )  # fmt: skip
    module.eval()
    return module.export()


def measure(task: Task, given: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Every recipe on every seed."""
    found: list[dict[str, Any]] = []
    for seed in range(1, given.seeds + 1):
        network = float_network(task, given, seed)
        truth = network.evaluate(task.test.x, timespans=task.test.timespans).outputs
        found.append({"seed": seed, "recipe": "float", **task.figures(truth, truth)})
        for recipe, how in task.recipes:
            if given.recipes is not None and recipe not in given.recipes.split(","):
                continue
            began = time.monotonic()
            if how is not None:
                start = float_network(task, given, seed, "hard") if how.after_hard else network
                program = trained_for_the_chip(
                    task, network, start, recipe, how, seed, given.qat_epochs, console
                )
            else:
                program = quantize(
                    network, task.train.x[:CALIBRATION], recipe,
                    calibrate_timespans=task.train.calibration_times(CALIBRATION),
                )  # fmt: skip
            name = f"{recipe} {'QAT' if how is not None else 'PTQ'}"
            folder = given.out / task.name / f"seed{seed}"
            save(program, folder / f"{name.replace(' ', '-').lower()}.l2l")
            for said, prepared in {name: program, **for_targets(program, name, given)}.items():
                answer = simulate(prepared, task.test.x, timespans=task.test.timespans).outputs
                found.append({"seed": seed, "recipe": said, **task.figures(answer, truth)})
                console.print(f"{task.name}, {said}: {found[-1]}", soft_wrap=True)
            console.print(f"{task.name}, {name}: {time.monotonic() - began:.0f} s")
    return found


def for_targets(
    program: LoihiProgram, name: str, given: argparse.Namespace
) -> dict[str, LoihiProgram]:
    """The program as it is prepared for each target that was asked for, by what rows call it."""
    targets = given.targets.split(",") if given.targets else []
    return {f"{name}, {target}": target_of(target).prepare(program) for target in targets}


def drift(task: Task, network: LiquidNetwork) -> list[float]:
    """Rms of the outputs' difference from float, for each block of a long run."""
    samples = -(-LONG_RUN // task.test.x.shape[1])
    x = task.test.x[:samples].reshape(1, -1, task.test.x.shape[2])[:, :LONG_RUN]
    times = task.test.timespans
    elapsed = None if times is None else times[:samples].reshape(1, -1)[:, :LONG_RUN]
    program = quantize(
        network, task.train.x[:CALIBRATION],
        calibrate_timespans=task.train.calibration_times(CALIBRATION),
    )  # fmt: skip
    truth = network.evaluate(x, timespans=elapsed).outputs
    squared = (simulate(program, x, timespans=elapsed).outputs - truth) ** 2
    count = x.shape[1] // BLOCK
    return [float(np.sqrt(squared[:, i * BLOCK : (i + 1) * BLOCK].mean())) for i in range(count)]


def training_cost(task: Task, network: LiquidNetwork, rounds: int = 5) -> dict[str, float]:
    """Seconds of a training step with `ncps` eager and for the chip, interleaved, medians."""
    torch.set_num_threads(1)
    module = qat.prepare(
        network, "w4a8x12", calibrate=task.train.x[:CALIBRATION],
        calibrate_timespans=task.train.calibration_times(CALIBRATION),
    ).train()  # fmt: skip
    eager = task.eager()
    batches = list(shuffled(task.train.arrays, task.batch, 0)(0))[:COST_BATCHES]
    seconds: dict[str, list[float]] = {"ncps eager": [], "for the chip": []}
    for _ in range(rounds):
        for name, model in (("ncps eager", eager), ("for the chip", module)):
            began = time.perf_counter()
            for x, y, *elapsed in batches:
                if name == "ncps eager":
                    answer = task.eager_answer(model, x, *elapsed)
                else:
                    answer = model(x, timespans=elapsed[0] if elapsed else None)
                task.loss(answer, y).backward()
            seconds[name].append((time.perf_counter() - began) / len(batches))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {**medians, "ratio": medians["for the chip"] / medians["ncps eager"]}


def table(task: Task, rows: list[dict[str, Any]]) -> str:
    """Mean over seeds and, in brackets, smallest and largest."""
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    keys = [key for key in rows[0] if key not in ("seed", "recipe")]
    lines: list[list[object]] = []
    for recipe in recipes:
        cells: list[object] = [recipe]
        for key in keys:
            values = [row[key] for row in rows if row["recipe"] == recipe]
            spread = f" ({min(values):.4g} to {max(values):.4g})" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.5g}{spread}")
        lines.append(cells)
    return text_table(["recipe", *keys], lines)


def main() -> None:
    """Runs everything that was asked for."""
    given = options()
    console = Console(stderr=True)
    results: dict[str, Any] = {}
    for name in given.tasks.split(","):
        task = task_named(name, given.data)
        rows = measure(task, given, console)
        network = float_network(task, given, 1)
        blocks, cost = drift(task, network), training_cost(task, network)
        print(f"\n== {name}: {task.description}; {given.seeds} seeds, mean (range)")
        print(f"beside it: {task.beside}")
        print(table(task, rows))
        print(
            f"w8a12 PTQ against float over {LONG_RUN} steps, rms of each {BLOCK}: "
            f"{', '.join(f'{value:.3g}' for value in blocks)}"
        )
        print(
            f"training step: ncps eager {1e3 * cost['ncps eager']:.0f} ms, for the chip "
            f"{1e3 * cost['for the chip']:.0f} ms, ratio {cost['ratio']:.2f}"
        )
        results[name] = {"rows": rows, "drift": blocks, "training_step": cost}
    if given.json:
        write_atomically(given.json, (json.dumps(results, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
