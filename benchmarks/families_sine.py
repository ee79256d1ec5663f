"""Families on damped sine waves, clean and noisy, at about as many parameters each.

The comparison that the literature on liquid networks makes: the next value of a damped sine wave,
accuracy, memory, speed, and how accuracy bears noise that training did not have.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from lnn2loihi.files import write_atomically
from lnn2loihi.models.damped_sine import data
from lnn2loihi.models.families.modules import build, parameter_count, units_for
from lnn2loihi.models.training import fit, save_network
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.plugins import import_network
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantize import quantize
from lnn2loihi.simulate import simulate
from lnn2loihi.tables import text_table

FAMILIES = ("cfc", "ncp", "ltc", "gru", "lstm", "mingru2", "minlstm2")
PARAMETERS = 1200
TIME, BATCH, BATCHES, EPOCHS, RATE = 64, 64, 32, 20, 0.02
TEST_COUNT, TEST_SEED = 500, 3_000_000
#: Deviations of the noise of training, and of the test; amplitudes are 0.5 to 1.
TRAINED = (0.0, 0.1)
NOISES = (0.0, 0.05, 0.1, 0.2, 0.4)
RECIPE = "w8a12"
#: Samples of a measurement of time.
STEPS_TIMED = 50


@dataclass(frozen=True)
class SineRow:
    """One family, trained with one noise.

    Attributes:
        family: which.
        noise: deviation of the noise in training.
        units, parameters: of the module.
        bytes_float: memory of its parameters in float32.
        bytes_chip: memory of the program on the cores, by the placement's model.
        instructions_per_sample, steps: on the chip.
        float_mse, chip_mse: for each of NOISES the error towards the clean next value.
    """

    family: str
    noise: float
    units: int
    parameters: int
    bytes_float: int
    bytes_chip: int
    instructions_per_sample: int
    steps: int
    float_mse: tuple[float, ...]
    chip_mse: tuple[float, ...]


def waves(count: int, noise: float, seed: int) -> tuple[Any, Any]:
    """Samples with noise and the clean value after each, float32 (count, TIME, 1)."""
    _, clean = data.sequences(count, TIME + 1, seed)
    rng = np.random.default_rng(seed + 1)
    x = clean[:, :-1] + noise * rng.normal(size=clean[:, :-1].shape)
    return x.astype(np.float32), clean[:, 1:]


def trained(family: str, noise: float, units: int, console: Console) -> tuple[Any, Any]:
    """A module, and what its description says."""
    torch.set_num_threads(1)
    module, said = build(family, 1, units, 1, 1)

    def batches(epoch: int) -> Any:
        drawn = waves(BATCHES * BATCH, noise, 10_000 + 2 * epoch)
        return zip(*(torch.from_numpy(part).split(BATCH) for part in drawn), strict=True)

    fit(
        module, batches, torch.nn.functional.mse_loss,
        epochs=EPOCHS, steps_per_epoch=BATCHES, learning_rate=RATE, console=console,
    )  # fmt: skip
    return module, said


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


def errors(network: LiquidNetwork, program: LoihiProgram) -> tuple[tuple[float, ...], ...]:
    """Mean squared errors of both for each of NOISES."""
    found: tuple[list[float], list[float]] = ([], [])
    for noise in NOISES:
        x, y = waves(TEST_COUNT, noise, TEST_SEED)
        answers = network.evaluate(x).outputs, simulate(program, x).outputs
        for own, answer in zip(found, answers, strict=True):
            own.append(float(np.mean((answer - y) ** 2)))
    return tuple(map(tuple, found))


def sine_row(folder: Path, family: str, noise: float, console: Console) -> SineRow:
    """Trains and measures, or reads what was measured before."""
    from lnn2loihi.place import place

    path = folder / f"sine_{family}_{noise:g}.json"
    if path.exists():
        known = json.loads(path.read_text())
        pairs = {key: tuple(known[key]) for key in ("float_mse", "chip_mse")}
        return SineRow(**(known | pairs))
    units = units_for(family, PARAMETERS, 1, 1, 1)
    module, said = trained(family, noise, units, console)
    network = import_network(save_network(module, folder, path.stem, said))
    # Calibrated with noise, so that noisy inputs do not leave the range.
    program = quantize(network, waves(256, NOISES[2], 77)[0], RECIPE)
    float_mse, chip_mse = errors(network, program)
    placement = place(program, objective="packed")
    row = SineRow(
        family, noise, units, parameter_count(module), 4 * parameter_count(module),
        sum(core.memory for core in placement.cores),
        program.substeps * sum(p.size * p.program.instruction_count for p in program.populations),
        program.steps_per_sample, float_mse, chip_mse,
    )  # fmt: skip
    write_atomically(path, (json.dumps(asdict(row), indent=1) + "\n").encode())
    return row


def sine_rows(folder: Path, families: Sequence[str], console: Console) -> list[SineRow]:
    """All families, trained clean and noisy."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for noise in TRAINED:
        for family in families:
            console.print(f"damped sine, {family}, noise {noise:g}", soft_wrap=True)
            rows.append(sine_row(folder, family, noise, console))
    return rows


def sine_tables(rows: list[SineRow]) -> str:
    """Errors by noise, and sizes and times."""
    parts = []
    for noise in TRAINED:
        own = [row for row in rows if row.noise == noise]
        headers = ["family", "units", "parameters"]
        headers += [f"noise {n:g}" for n in NOISES]
        headers += [f"{RECIPE}, noise {n:g}" for n in (NOISES[0], NOISES[2])]
        lines = [
            [
                row.family, row.units, row.parameters,
                *(f"{value:.2e}" for value in row.float_mse),
                f"{row.chip_mse[0]:.2e}", f"{row.chip_mse[2]:.2e}",
            ]
            for row in own
        ]  # fmt: skip
        parts.append(f"\n== trained with noise {noise:g}: mean squared error by noise of the test")
        parts.append(text_table(headers, lines))
    headers = ["family", "float32 parameters [B]", "on the cores [B]", "training step [ms]",
               "PyTorch, a sample [us]", "instructions a sample", "steps a sample"]  # fmt: skip
    own = [row for row in rows if row.noise == TRAINED[-1]]
    times = speeds({row.family: row.units for row in own})
    lines = [
        [
            row.family, f"{row.bytes_float:,}", f"{row.bytes_chip:,}",
            f"{1e3 * times[row.family][0]:.0f}", f"{1e6 * times[row.family][1]:.0f}",
            f"{row.instructions_per_sample:,}", row.steps,
        ]
        for row in own
    ]  # fmt: skip
    return "\n".join([*parts, "\n== memory and speed", text_table(headers, lines)])
