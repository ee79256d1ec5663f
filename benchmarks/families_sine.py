"""Families on damped sine waves, clean and noisy, at about as many parameters each.

The comparison that the literature on liquid networks makes: the next value of a damped sine wave,
accuracy, memory, speed, and how accuracy bears noise that training did not have. Every family is
trained with each of RATES on noisy waves; the learning rate whose error on validation waves is the
smallest is that of all its networks.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from families_tables import NAMES, mean_and_range
from rich.console import Console

from lnn2loihi.conversion import import_network
from lnn2loihi.errors import QuantizationError
from lnn2loihi.models.damped_sine import data
from lnn2loihi.models.families.modules import build, parameter_count, units_for
from lnn2loihi.models.training import fit, save_network
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.placement.verb import place
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.simulation import simulate
from lnn2loihi.tables import markdown_table

FAMILIES = ("cfc", "ncp", "ltc", "ltc2", "gru", "lstm", "mingru2", "minlstm2")
PARAMETERS = 1200
TIME, BATCH, BATCHES, EPOCHS = 64, 64, 32, 20
#: Highest learning rates that are tried.
RATES = (0.005, 0.01, 0.02, 0.05)
VALIDATION_COUNT, VALIDATION_SEED = 500, 4_000_000
TEST_COUNT, TEST_SEED = 500, 3_000_000
#: Deviations of the noise of training, and of the test; amplitudes are 0.5 to 1.
TRAINED = (0.0, 0.1)
NOISES = (0.0, 0.05, 0.1, 0.2, 0.4)
RECIPE = "w8a12"
#: Samples of a measurement of time.
STEPS_TIMED = 50


@dataclass(frozen=True)
class SineRow:
    """One family, trained with one noise and one seed.

    Attributes:
        family: which.
        noise: deviation of the noise in training.
        seed: of weights, wiring and training waves.
        rates: for each of RATES the validation error of the search.
        units, parameters: of the module.
        float_mse, chip_mse: for each of NOISES the error towards the clean next value; of the chip
            none where the network was refused.
        bytes_chip: memory of the program on the cores, by the placement's model.
        instructions_per_sample, steps: on the chip.
        refused: why there is no program; empty where there is one.
    """

    family: str
    noise: float
    seed: int
    rates: tuple[float, ...]
    units: int
    parameters: int
    float_mse: tuple[float, ...]
    chip_mse: tuple[float, ...] = ()
    bytes_chip: int | None = None
    instructions_per_sample: int | None = None
    steps: int | None = None
    refused: str = ""

    @property
    def rate(self) -> float:
        """The learning rate that validation chose."""
        return chosen(self.rates)


def waves(count: int, noise: float, seed: int) -> tuple[Any, Any]:
    """Samples with noise and the clean value after each, float32 (count, TIME, 1)."""
    _, clean = data.sequences(count, TIME + 1, seed)
    rng = np.random.default_rng(seed + 1)
    x = clean[:, :-1] + noise * rng.normal(size=clean[:, :-1].shape)
    return x.astype(np.float32), clean[:, 1:]


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        family: which.
        noise: deviation of the noise of its waves.
        rate: highest learning rate.
        seed: of weights, wiring and waves.
    """

    family: str
    noise: float
    rate: float
    seed: int

    def network(self, folder: Path) -> LiquidNetwork:
        """The network, from the folder if it is there."""
        name = f"sine_{self.family}_{self.noise:g}_{self.rate:g}_seed{self.seed}"
        path = folder / f"{name}.toml"
        if not path.exists():
            module, said = self._module()
            path = save_network(module, folder, name, said)
        return import_network(path)

    def _module(self) -> tuple[Any, Any]:
        torch.set_num_threads(1)
        units = units_for(self.family, PARAMETERS, 1, 1, self.seed)
        module, said = build(self.family, 1, units, 1, self.seed)

        def batches(epoch: int) -> Any:
            drawn = waves(BATCHES * BATCH, self.noise, 10_000 * self.seed + 2 * epoch)
            return zip(*(torch.from_numpy(part).split(BATCH) for part in drawn), strict=True)

        fit(
            module, batches, torch.nn.functional.mse_loss, epochs=EPOCHS,
            steps_per_epoch=BATCHES,
            learning_rate=self.rate, console=Console(stderr=True),
        )  # fmt: skip
        return module, said


def chosen(rates: Sequence[float]) -> float:
    """The learning rate of the smallest error, of the errors for each of RATES."""
    return RATES[int(np.argmin(rates))]


def search(family: str, folder: Path) -> tuple[float, ...]:
    """For each of RATES the error on noisy validation waves, seed 1."""
    x, y = waves(VALIDATION_COUNT, TRAINED[-1], VALIDATION_SEED)
    tried = (Training(family, TRAINED[-1], rate, 1) for rate in RATES)
    answers = (training.network(folder).evaluate(x).outputs for training in tried)
    return tuple(float(np.mean((answer - y) ** 2)) for answer in answers)


def speeds(units: Mapping[str, int], rounds: int = 9) -> dict[str, tuple[float, float]]:
    """For each family the seconds of a training step of BATCH sequences, and of one sample of one
    sequence, in PyTorch on one thread: the shortest of rounds in which all take turns.
    """
    torch.set_num_threads(1)
    modules = {family: build(family, 1, count, 1, 1)[0] for family, count in units.items()}
    x, y = map(torch.from_numpy, waves(BATCH, 0.1, 5))
    found: dict[str, list[tuple[float, float]]] = {family: [] for family in units}
    for _ in range(rounds):
        for family, module in modules.items():
            began = time.perf_counter()
            torch.nn.functional.mse_loss(module(x)[0], y).backward()
            trained_for = time.perf_counter() - began
            with torch.no_grad():
                hidden = module(x[:1, :1])[1]
                began = time.perf_counter()
                for _ in range(STEPS_TIMED):
                    _, hidden = module(x[:1, :1], hidden)
                answered_in = (time.perf_counter() - began) / STEPS_TIMED
            found[family].append((trained_for, answered_in))
    return {
        family: (min(t for t, _ in own), min(a for _, a in own)) for family, own in found.items()
    }


def errors(answer: Callable[[Any], Any]) -> tuple[float, ...]:
    """Mean squared errors of answers for each of NOISES."""
    found = []
    for noise in NOISES:
        x, y = waves(TEST_COUNT, noise, TEST_SEED)
        found.append(float(np.mean((answer(x) - y) ** 2)))
    return tuple(found)


def program_of(network: LiquidNetwork) -> LoihiProgram:
    """Integers; calibrated with noise, so that noisy inputs do not leave the range."""
    return quantize(network, waves(256, NOISES[2], 77)[0], RECIPE)


def memory_on_cores(program: LoihiProgram) -> int:
    """Bytes on the fewest cores, by the placement's model."""
    return sum(core.memory for core in place(program, objective="packed").cores)


def memory_before_training(families: Iterable[str]) -> str:
    """Memory on the cores with the weights that training begins with, seed 1: what counts are
    synapses and instructions, of which training changes next to none.
    """
    lines = []
    for family in families:
        units = units_for(family, PARAMETERS, 1, 1, 1)
        module, said = build(family, 1, units, 1, 1)
        with tempfile.TemporaryDirectory() as folder:
            network = import_network(save_network(module, Path(folder), family, said))
        program = program_of(network)
        lines.append([NAMES[family], units, program.synapses, memory_on_cores(program)])
    return markdown_table(["family", "units", "synapses", "on the cores, `packed` [B]"], lines)


def sine_row(training: Training, rates: tuple[float, ...], folder: Path) -> SineRow:
    """Trains and measures; what was trained before is taken from the folder."""
    family, seed = training.family, training.seed
    network = training.network(folder)
    units = units_for(family, PARAMETERS, 1, 1, seed)
    row = SineRow(
        family, training.noise, seed, rates,
        units, parameter_count(build(family, 1, units, 1, seed)[0]),
        errors(lambda x: network.evaluate(x).outputs),
    )  # fmt: skip
    try:
        program = program_of(network)
    except QuantizationError as error:  # an LTC whose denominators spread too far
        return replace(row, refused=str(error))
    every = sum(p.size * p.program.instruction_count for p in program.populations)
    return replace(
        row,
        chip_mse=errors(lambda x: simulate(program, x).outputs),
        bytes_chip=memory_on_cores(program),
        instructions_per_sample=program.substeps * every,
        steps=program.steps_per_sample,
    )


def sine_rows(folder: Path, seeds: Mapping[str, Iterable[int]], console: Console) -> list[SineRow]:
    """Families and their seeds, trained clean and noisy at the rate that validation chooses."""
    rows = []
    for family, own in seeds.items():
        console.print(f"damped sine, {family}, learning rate", soft_wrap=True)
        rates = search(family, folder)
        for noise in TRAINED:
            for seed in own:
                console.print(
                    f"damped sine, {family}, noise {noise:g}, seed {seed}", soft_wrap=True
                )
                training = Training(family, noise, chosen(rates), seed)
                rows.append(sine_row(training, rates, folder))
    return rows


def sine_tables(rows: list[SineRow]) -> str:
    """The search, errors by noise, and sizes and times."""
    first = [row for row in rows if row.noise == TRAINED[-1] and row.seed == 1]
    parts = ["\n== validation error with noise 0.1, by learning rate, seed 1\n"]
    parts.append(
        markdown_table(
            ["family", *(f"{rate:g}" for rate in RATES), "chosen"],
            [[NAMES[r.family], *(f"{v:.4f}" for v in r.rates), f"{r.rate:g}"] for r in first],
        )
    )
    for noise in TRAINED:
        own = [row for row in rows if row.noise == noise]
        parts.append(
            f"\n== trained with noise {noise:g}: mean squared error by noise of the test\n"
        )
        parts.append(error_table(own))
    headers = ["family", "units", "parameters", "in float32 [B]", "on the cores, `packed` [B]",
               "training step [ms]", "PyTorch, a sample [us]", "instructions a sample",
               "steps a sample"]  # fmt: skip
    times = speeds({row.family: row.units for row in first})
    lines = [
        [
            NAMES[row.family], row.units, row.parameters, 4 * row.parameters, row.bytes_chip,
            f"{1e3 * times[row.family][0]:.0f}", f"{1e6 * times[row.family][1]:.0f}",
            row.instructions_per_sample, row.steps,
        ]
        for row in first
    ]  # fmt: skip
    return "\n".join([*parts, "\n== memory and speed, seed 1\n", markdown_table(headers, lines)])


def error_table(rows: Sequence[SineRow]) -> str:
    """Errors of networks that were trained with the same noise, mean and range over seeds."""
    chip_noises = (0, 2)
    headers = ["family", "seeds", *(f"noise {n:g}" for n in NOISES)]
    headers += [f"`{RECIPE}`, noise {NOISES[place]:g}" for place in chip_noises]
    lines: list[list[object]] = []
    for family in dict.fromkeys(row.family for row in rows):
        own = [row for row in rows if row.family == family]
        columns = [[row.float_mse[place] for row in own] for place in range(len(NOISES))]
        columns += [[r.chip_mse[place] for r in own if not r.refused] for place in chip_noises]
        cells = [mean_and_range(values, ".4f") if values else "refused" for values in columns]
        lines.append([NAMES[family], len(own), *cells])
    return markdown_table(headers, lines)
