"""What the target stock costs and keeps of four tasks, and whether executors agree on its programs.

    python benchmarks/stock.py --data ../shared/data [--tasks occupancy,damped_sine,...]
        [--recipe w8a12] [--forms pre-2,pre-4,...]
    python benchmarks/stock.py --networks 20 [--values 50000] [--executors reference,c,blas]
    python benchmarks/stock.py --speed 3 --data ../shared/data --tasks walker2d

The first prints the table of docs/targets.md: each form of the target beside the fused program,
with chip steps of an update, neurons, synapses, and what the networks of models/ answer on test
sequences, without any training for the chip; and the programs that were trained for clipped lines.
The second makes random networks (layers, wirings, backbones, irregular time, feed-forward layers,
all forms), and counts the values of every population in which executors differ; exit code 2 if any
does. A network that a form cannot take is named, and another one is drawn. The third times the C
engine beside BLAS, in turns, on the test sequences of tasks and their programs for clipped lines as
`stock`, in processor time (one thread, where OPENBLAS_NUM_THREADS=1), and compares the answers
(exit code 2 if they differ).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from lnn2loihi import load, quantize, verify
from lnn2loihi.conversion import import_network
from lnn2loihi.errors import TargetError
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import simulate
from lnn2loihi.tables import text_table
from lnn2loihi.targets import target_of

MODELS = Path(__file__).resolve().parent.parent / "models"
FORMS = "pre-2,pre-4,pre-6,pre-8,pre-4-vec,fold-2"
#: Sequences that set ranges, as in accuracy.py, and those that slow engines answer at a time.
CALIBRATION = 2048
#: Programs that were trained for clipped lines.
HARD = {"halfcheetah": "w8a12-hard.l2l", "walker2d": "w8a12-hard.l2l"}
#: Samples of a random network, and most rounds that it is run for.
STEPS, BATCH = 24, 4


def rows(
    task: Any, program: LoihiProgram, truth: Any, forms: list[str], name: str
) -> Iterator[Any]:
    """A row for the fused program and one for each form."""
    for form in ["", *forms]:
        began = time.process_time()
        try:
            made = target_of(f"stock:{form}").prepare(program) if form else program
        except TargetError as error:
            yield task.name, name, form, *("",) * 4, "; ".join(error.problems)[:200], ""
            continue
        answer = simulate(made, task.test.x, timespans=task.test.timespans).outputs
        figures = task.figures(answer, truth)
        said = ", ".join(f"{key} {value:.5g}" for key, value in figures.items())
        yield (
            task.name, name, form or "fused", made.steps_per_sample, made.latency_steps,
            made.neurons, made.synapses, said, f"{time.process_time() - began:.1f}",
        )  # fmt: skip


def accuracy(given: argparse.Namespace) -> None:
    """The table of tasks."""
    from accuracy_tasks import task_named

    found: list[Any] = []
    for name in given.tasks.split(","):
        task = task_named(name, given.data)
        network = import_network(MODELS / name / "network.toml")
        truth = network.evaluate(task.test.x, timespans=task.test.timespans).outputs
        figures = task.figures(truth, truth)
        said = ", ".join(f"{key} {value:.5g}" for key, value in figures.items())
        found.append((name, "float", "", "", "", "", "", said, ""))
        program = quantize(
            network, task.train.x[:CALIBRATION], given.recipe,
            calibrate_timespans=task.train.calibration_times(CALIBRATION),
        )  # fmt: skip
        found += rows(task, program, truth, given.forms.split(","), given.recipe)
        if name in HARD and (MODELS / name / HARD[name]).exists():
            trained = load(MODELS / name / HARD[name])
            found += rows(task, trained, truth, ["pre-2", "fold-2"], "w8a12-hard QAT")
        print(f"{name} done", file=sys.stderr, flush=True)
    headers = ("task", "recipe", "form", "steps", "answer after", "neurons", "synapses", "test",
               "processor seconds")  # fmt: skip
    print(text_table(headers, found))


def speed(given: argparse.Namespace) -> bool:
    """Times of the engines, in turns, and whether they agree."""
    from accuracy_tasks import task_named

    found: list[Any] = []
    agree = True
    for name in given.tasks.split(","):
        task = task_named(name, given.data)
        source = load(MODELS / name / HARD[name])
        assert isinstance(source, LoihiProgram)
        made = target_of("stock").prepare(source)
        widest = max(p.message.bits for p in made.populations)
        simulate(made, task.test.x[:2], "c", timespans=_first(task.test.timespans))
        for turn in range(given.speed):
            times, answers = [], []
            for engine in ("c", "blas"):
                began = time.process_time()
                result = simulate(
                    made, task.test.x, engine, timespans=task.test.timespans, threads=1
                )
                times.append(time.process_time() - began)
                answers.append(result.integers)
            agree = agree and np.array_equal(*answers)
            found.append(
                (name, widest, turn, *(f"{t:.2f}" for t in times), f"{times[1] / times[0]:.1f}")
            )
    headers = ("task", "bits of the widest message", "turn", "c, s", "blas, s", "ratio")
    print(text_table(headers, found))
    return agree


def _first(timespans: Any) -> Any:
    return None if timespans is None else timespans[:2]


def random_program(seed: int) -> tuple[LoihiProgram, str, Any, Any]:
    """A random network's program, a form, samples and elapsed times."""
    from graphs import INPUTS, graph
    from variants import Variant, network, samples

    rng = np.random.default_rng(seed)
    recipe = str(rng.choice(["w8a12", "w8a12-hard", "w8a10", "w4a8x12"]))
    form = "-".join(
        word
        for word in (
            str(rng.choice(["pre", "pre", "fold"])),
            str(rng.choice(["", "2", "4", "6", "8"])),
            str(rng.choice(["relu", "vec"])),
        )
        if word
    )
    irregular = bool(rng.integers(2))
    dense = ["", "", "relu", "tanh", "sigmoid", "identity", "abs", "clamp(-0.5,0.8)"]
    if rng.integers(3):
        variant = Variant(
            mode=str(rng.choice(["default", "default", "no_gate"])),
            backbone=tuple(map(int, rng.integers(2, 7, rng.integers(0, 3)))),
            activation=str(rng.choice(["lecun_tanh", "tanh", "relu"])),
            irregular=irregular, layers=int(rng.integers(1, 4)), before=str(rng.choice(dense)),
            after=str(rng.choice(dense)), readout=bool(rng.integers(4)),
            units=int(rng.integers(2, 13)), seed=seed,
        )  # fmt: skip
        net, (x, elapsed) = network(variant), samples(variant, BATCH, STEPS)
    else:
        kinds = ("cfc", "cfc no_gate", "relu", "tanh")
        chosen = tuple(map(str, rng.choice(kinds, int(rng.integers(2, 6)))))
        net = graph(seed, ("cfc", *chosen), irregular)
        x = rng.normal(size=(BATCH, STEPS, INPUTS))
        elapsed = rng.choice([0.0, 0.5, 1.0, 2.0], (BATCH, STEPS)) if irregular else None
    program = quantize(net, x, recipe, calibrate_timespans=elapsed)
    return program, form, x, elapsed


def equality(given: argparse.Namespace) -> bool:
    """Whether executors agree on random networks."""
    found: list[Any] = []
    compared = differ = made = 0
    seed = given.seed
    while made < given.networks:
        program, form, x, elapsed = random_program(seed)
        seed += 1
        target = target_of(f"stock:{form}")
        try:
            prepared = target.prepare(program)
        except TargetError as error:
            found.append((seed - 1, program.recipe, form, "refused", "", "", "", "",
                          "; ".join(error.problems)[:120]))  # fmt: skip
            continue
        words = sum(p.size * max(len(p.program.states), 1) for p in prepared.populations)
        samples = max(-(-given.values // (words * BATCH)), 4)
        x = np.tile(x, (1, -(-samples // STEPS), 1))[:, :samples]
        elapsed = (
            None if elapsed is None else np.tile(elapsed, (1, -(-samples // STEPS)))[:, :samples]
        )
        own = given.executors.split(",")
        result = verify(program, x, own, target=target, timespans=elapsed)
        made += 1
        compared, differ = compared + result.compared, differ + result.mismatch_count
        away = result.distance
        found.append(
            (
                seed - 1, program.recipe, form, ",".join(own), prepared.neurons,
                prepared.steps_per_sample, result.compared, result.mismatch_count,
                "" if away is None else f"{away.rms / max(away.deviation, 1e-9):.3f}",
            )
        )  # fmt: skip
        print(*found[-1], file=sys.stderr, flush=True)
    headers = ("seed", "recipe", "form", "executors", "neurons", "steps", "values compared",
               "differ", "rms difference from fused over deviation")  # fmt: skip
    print(text_table(headers, found))
    print(f"{made} networks, {compared:,} values compared, {differ} differ")
    return differ == 0


def main() -> int:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with the data sets")
    parser.add_argument("--tasks", default="occupancy,damped_sine,halfcheetah,walker2d")
    parser.add_argument("--recipe", default="w8a12")
    parser.add_argument("--forms", default=FORMS)
    parser.add_argument("--networks", type=int, default=0)
    parser.add_argument("--speed", type=int, default=0, help="turns of each engine")
    parser.add_argument("--values", type=int, default=60_000, help="values of each network")
    parser.add_argument("--executors", default="reference,c,blas")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.speed:
        return 0 if speed(given) else 2
    if given.data is not None:
        accuracy(given)
    return 0 if not given.networks or equality(given) else 2


if __name__ == "__main__":
    sys.exit(main())
