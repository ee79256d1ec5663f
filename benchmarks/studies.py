"""The case studies of docs/studies.md: families beside each other, in integers and in floats.

    python benchmarks/studies.py --study walker2d --data ../shared/data --out OUT
    python benchmarks/studies.py --study ward --out OUT
    python benchmarks/studies.py --study trial --data ../shared/data --out OUT
    python benchmarks/studies.py --study xor --out OUT
    python benchmarks/studies.py --study digits --out OUT
    python benchmarks/studies.py --study ltc --out OUT
        [--families cfc,gru,...] [--seeds 3] [--json FILE]

All but the last train every family with about as many parameters, each with the learning rate
that is the best on validation with seed 1, and print accuracy, errors several samples ahead
where answers are heard as samples, errors with worse sensors, sizes, and times. `walker2d` is the
trajectory of a robot, `ward` a generated ward of intensive care, `trial` the Mayo trial of liver
disease, `xor` the parity of bits that come as events, `digits` those of scikit-learn pixel by
pixel. `ltc` looks for the reason why an LTC has twice a GRU's error on damped sine waves, whose own
study is `families.py --sine`. What is trained is written to OUT and taken from there the next
time. Figures of integers are what programs answer in the C engine, bit for bit what the chip would;
time and energy on the chip are estimates (docs/cost.md).
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from families_chip import Heard, chip_table, chips, cpu_times
from families_sine import memory_on_cores
from families_tables import NAMES, mean_and_range
from rich.console import Console
from studies_contestants import RATES, Training, parameters_of, seconds_of
from studies_labels import Digits, EventXor
from studies_ltc import variations
from studies_tasks import Part, Predict, StudyTask, Trial, Walker2d, Ward

from lnn2loihi.errors import QuantizationError
from lnn2loihi.files import write_atomically
from lnn2loihi.measure import Settings
from lnn2loihi.models.training import complaints
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.simulation import encode, simulate
from lnn2loihi.tables import markdown_table

#: Tasks by name, of the folder of data and a seed.
TASKS: dict[str, Callable[[Path, int], StudyTask]] = {
    task.name: task for task in (Walker2d, Ward, Trial, EventXor, Digits)
}
FAMILIES = ("cfc", "cfcb", "cfcm", "gru", "lstm", "mingru2", "ltc")
RECIPES = ("w8a12", "w4a8x12")
FLOAT, HEARD = "float", "float on the chip's inputs"
CALIBRATION = 1024
#: Sequences of the measurement of time, its rounds, and those of each of its turns.
TIMED, ROUNDS = 64, 5
TURN = Settings(warm_up=0.05, rounds=3, slice=0.03)


@dataclass(frozen=True)
class Row:
    """One network.

    Attributes:
        family, seed: which.
        rates: for each of RATES its error on validation, of seed 1.
        figures: for FLOAT, HEARD and each of RECIPES the task's figures.
        ahead: for FLOAT and the first of RECIPES the error several samples ahead.
        disturbed: for FLOAT and the first of RECIPES figures with worse sensors.
    """

    family: str
    seed: int
    rates: tuple[float, ...]
    figures: dict[str, dict[str, float]]
    ahead: dict[str, dict[int, float]]
    disturbed: dict[str, dict[str, float]]


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--study", choices=(*TASKS, "ltc"), required=True)
    parser.add_argument("--data", type=Path, default=Path(), help="folder with the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is trained")
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also writes everything to this file")
    return parser.parse_args()


def by_network(network: LiquidNetwork, timed: bool) -> Predict:
    """Answers of a float network."""

    def predict(part: Part) -> Any:
        return network.evaluate(part.inputs(timed), timespans=part.times(timed)).outputs

    return predict


def by_program(program: LoihiProgram, timed: bool) -> Predict:
    """Answers of integers."""

    def predict(part: Part) -> Any:
        return simulate(program, part.inputs(timed), timespans=part.times(timed)).outputs

    return predict


def heard_by(program: LoihiProgram, network: LiquidNetwork, timed: bool) -> Predict:
    """Answers of the float network to what the chip hears: inputs rounded and saturated."""

    def predict(part: Part) -> Any:
        rows = encode(program, part.inputs(timed), timespans=part.times(timed))[0]
        heard = program.input.decode(rows)
        x = heard[..., : part.inputs(timed).shape[2]]
        times = heard[..., x.shape[2]] if timed else None
        return network.evaluate(x, timespans=times).outputs

    return predict


def row_of(
    task: StudyTask, how: Training, rates: tuple[float, ...], folder: Path
) -> tuple[Row, LoihiProgram]:
    """Trains and measures; what was trained before is taken from the folder."""
    network = how.network(task, folder)[0]
    first = task.train
    x, times = first.inputs(how.timed)[:CALIBRATION], first.times(how.timed)
    times = None if times is None else times[:CALIBRATION]
    programs = {r: quantize(network, x, r, calibrate_timespans=times) for r in RECIPES}
    main = programs[RECIPES[0]]
    everyone = {
        FLOAT: by_network(network, how.timed),
        HEARD: heard_by(main, network, how.timed),
        **{recipe: by_program(program, how.timed) for recipe, program in programs.items()},
    }
    figures = {
        name: task.figures(predict(task.test), task.test) for name, predict in everyone.items()
    }
    worse = task.disturbed()
    closer = {name: everyone[name] for name in (FLOAT, RECIPES[0])}
    disturbed = {
        name: {
            f"{what}: {key}": value
            for what, part in worse.items()
            for key, value in _told(task, task.figures(predict(part), part)).items()
        }
        for name, predict in closer.items()
    }
    ahead = {name: task.several_steps(predict) for name, predict in closer.items()}
    row = Row(how.family, how.seed, rates, figures, ahead, disturbed)
    return row, main


def rows_of(
    given: argparse.Namespace, console: Console
) -> tuple[list[Row], dict[str, LoihiProgram]]:
    """All families and seeds, each family with the learning rate that validation chooses."""
    rows: list[Row] = []
    programs: dict[str, LoihiProgram] = {}
    tasks = {seed: TASKS[given.study](given.data, seed) for seed in range(1, given.seeds + 1)}
    for family in given.families.split(","):
        rates = tuple(Training(family, rate, 1).network(tasks[1], given.out)[1] for rate in RATES)
        best = RATES[int(np.argmin(rates))]
        for seed, task in tasks.items():
            console.print(f"{given.study}, {family}, rate {best:g}, seed {seed}", soft_wrap=True)
            try:
                row, program = row_of(task, Training(family, best, seed), rates, given.out)
            except QuantizationError as error:
                console.print(f"refused: {error}", soft_wrap=True, markup=False)
                continue
            rows.append(row)
            programs.setdefault(family, program)
    return rows, programs


def accuracy_table(task: StudyTask, rows: Sequence[Row]) -> str:
    """Every figure in floats and in integers, mean and range over seeds."""
    keys = list(_told(task, rows[0].figures[FLOAT]))
    headers = ["family", "seeds", "parameters"]
    headers += [f"{key}: {_shown(name)}" for key in keys for name in (FLOAT, HEARD, *RECIPES)]
    lines: list[list[object]] = []
    for family, own in _by_family(rows).items():
        cells: list[object] = [NAMES.get(family, family), len(own), parameters_of(task, family)]
        cells += [
            mean_and_range([row.figures[name][key] for row in own], "#.4g")
            for key in keys for name in (FLOAT, HEARD, *RECIPES)
        ]  # fmt: skip
        lines.append(cells)
    return markdown_table(headers, lines)


def further_table(rows: Sequence[Row], what: str, unit: str) -> str:
    """Errors ahead, or with worse sensors, in floats and in integers."""
    keys = list(getattr(rows[0], what)[FLOAT])
    headers = [
        "family",
        *(f"{unit.format(k)}: {_shown(n)}" for k in keys for n in (FLOAT, RECIPES[0])),
    ]
    lines: list[list[object]] = []
    for family, own in _by_family(rows).items():
        cells: list[object] = [NAMES.get(family, family)]
        cells += [
            mean_and_range([getattr(row, what)[name][key] for row in own], "#.4g")
            for key in keys for name in (FLOAT, RECIPES[0])
        ]  # fmt: skip
        lines.append(cells)
    return markdown_table(headers, lines)


def search_table(task: StudyTask, rows: Sequence[Row]) -> str:
    """Errors on validation by learning rate."""
    lines = [
        [NAMES.get(f, f), *(f"{error:#.4g}" for error in own[0].rates),
         f"{RATES[int(np.argmin(own[0].rates))]:g}"]
        for f, own in _by_family(rows).items()
    ]  # fmt: skip
    return markdown_table(["family", *(f"{rate:g}" for rate in RATES), "chosen"], lines)


def size_table(task: StudyTask, programs: Mapping[str, LoihiProgram]) -> str:
    """Memory, and times of PyTorch on this CPU."""
    times = seconds_of(list(programs), task)
    lines = [
        [
            NAMES.get(family, family), count, 4 * count, memory_on_cores(program),
            f"{times[family][0]:#.3g}", f"{1e6 * times[family][1]:.0f}",
        ]
        for family, program in programs.items()
        for count in [parameters_of(task, family)]
    ]  # fmt: skip
    headers = ["family", "parameters", "in float32 [B]", "on the cores, `packed` [B]",
               "an epoch [s of a processor]", "PyTorch, a sample [us]"]  # fmt: skip
    return markdown_table(headers, lines)


def chip_rows(task: StudyTask, programs: Mapping[str, LoihiProgram]) -> Any:
    """What the chip would need, and the C engine on this CPU, whose turns change."""
    heard = {
        family: Heard(task.test.inputs(program.timed), task.test.times(program.timed))
        for family, program in programs.items()
    }
    short = {
        family: Heard(h.x[:TIMED], None if h.timespans is None else h.timespans[:TIMED])
        for family, h in heard.items()
    }
    turns = [
        [cpu_times([program], short[f], TURN)[0] for f, program in programs.items()]
        for _ in range(ROUNDS)
    ]
    return chips(programs, heard, [statistics.median(own) for own in zip(*turns, strict=True)])


def _by_family(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {
        f: [row for row in rows if row.family == f] for f in dict.fromkeys(r.family for r in rows)
    }


def _told(task: StudyTask, figures: dict[str, float]) -> dict[str, float]:
    """The figures without the sum by which validation chooses."""
    return figures if len(figures) == 1 else {k: v for k, v in figures.items() if k != task.main}


def _listed(figures: Mapping[Any, float]) -> str:
    return ", ".join(f"{key}: {value:#.4g}" for key, value in figures.items())


def _shown(name: str) -> str:
    return f"`{name}`" if name in RECIPES else name


def report(given: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Trains, measures and prints one study."""
    rows, programs = rows_of(given, console)
    task = TASKS[given.study](given.data, 1)
    print(f"\n== {given.study}\n\n{accuracy_table(task, rows)}\n")
    still = _told(task, task.figures(task.trivial(task.test), task.test))
    print(f"without a network: {_listed(still)}")
    if rows[0].ahead[FLOAT]:
        print(f"\n== several samples ahead\n\n{further_table(rows, 'ahead', '{} ahead')}")
        print(f"without a network: {_listed(task.several_steps(task.trivial))}")
    if rows[0].disturbed[FLOAT]:
        print(f"\n== worse sensors\n\n{further_table(rows, 'disturbed', '{}')}")
    print(f"\n== on validation by learning rate, seed 1\n\n{search_table(task, rows)}")
    print(f"\n== sizes and times\n\n{size_table(task, programs)}")
    found = chip_rows(task, programs)
    print(f"\n== the `{RECIPES[0]}` programs of seed 1\n\n{chip_table(found)}")
    return {"rows": [asdict(row) for row in rows], "chip": [asdict(row) for row in found]}


def main() -> None:
    """Runs what was asked for."""
    given = options()
    console = Console(stderr=True)
    given.out.mkdir(parents=True, exist_ok=True)
    with complaints(console):
        found = variations(given, console) if given.study == "ltc" else report(given, console)
    if given.json:
        write_atomically(given.json, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
