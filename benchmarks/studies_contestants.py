"""Who takes part in studies.py: every family of models/families, trained alike.

A family is added by one entry in BUILDERS of models/families/modules.py, and has a name by one in
NAMES of families_tables.py. Where its cells hear elapsed time, one in TIMED says so; the others
hear it as one more channel.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from studies_tasks import Part, StudyTask

from lnn2loihi.conversion import import_network
from lnn2loihi.models.families.modules import build, parameter_count, units_for
from lnn2loihi.models.fast_cfc import FastCfC
from lnn2loihi.models.training import fit_best, save_network, shuffled
from lnn2loihi.network import LiquidNetwork

#: Families whose modules here take elapsed times (batch, time) as `timespans`.
TIMED = ("cfc", "cfcb", "cfcm", "ltc", "ltc2")
#: Highest learning rates that are tried.
RATES = (0.005, 0.02)
#: Sequences that are answered at once.
CHUNK = 512


@dataclass(frozen=True)
class Training:
    """One network.

    Attributes:
        family: key of BUILDERS.
        rate: highest learning rate.
        seed: of weights, wiring and the order of the sequences.
    """

    family: str
    rate: float
    seed: int

    @property
    def timed(self) -> bool:
        """Whether its cells hear elapsed time."""
        return self.family in TIMED

    def module(self, task: StudyTask) -> tuple[Any, dict[str, Any]]:
        """A fresh module with as many parameters as the task says, and its description."""
        inputs, outputs = task.train.inputs(self.timed).shape[2], task.train.y.shape[2]
        units = units_for(self.family, task.parameters, inputs, outputs, self.seed)
        module, said = build(self.family, inputs, units, outputs, self.seed)
        if self.family == "cfc":  # the same weights; that of ncps is wrong about batches of times
            fast = FastCfC(inputs, units, outputs, backbone_layers=0)
            fast.load_state_dict(module.state_dict())
            module = fast
        return module, {**said, **({"timespan": "irregular"} if self.timed else {})}

    def network(self, task: StudyTask, folder: Path) -> tuple[LiquidNetwork, float]:
        """The network and its lowest error on validation, from the folder if they are there."""
        name = f"{task.name}_{self.family}_{self.rate:g}_seed{self.seed}"
        path, said_of = folder / f"{name}.toml", folder / f"{name}.json"
        if not said_of.exists():
            module, said = self.module(task)
            error = trained(module, task, self)
            path = save_network(module, folder, name, said)
            said_of.write_text(json.dumps({"validation": error}))
        return import_network(path), float(json.loads(said_of.read_text())["validation"])


def answers(module: Any, part: Part, timed: bool) -> np.ndarray:
    """What a module answers."""
    found = []
    x, elapsed = torch.from_numpy(part.inputs(timed)), torch.from_numpy(part.elapsed)
    with torch.no_grad():
        for rows, times in zip(x.split(CHUNK), elapsed.split(CHUNK), strict=True):
            found.append(called(module, rows, times, timed).numpy())
    return np.concatenate(found)


def called(module: Any, x: Any, elapsed: Any, timed: bool) -> Any:
    """The module's outputs (batch, time, outputs)."""
    return module(x, timespans=elapsed)[0] if timed else module(x)[0]


def trained(module: Any, task: StudyTask, how: Training) -> float:
    """Trains the module and returns the lowest error on validation, whose weights it keeps."""
    torch.set_num_threads(1)
    part = task.train
    arrays = (part.inputs(how.timed), part.elapsed, part.y, part.weight)

    def loss(x: Any, elapsed: Any, y: Any, weight: Any) -> Any:
        return task.loss(called(module, x, elapsed, how.timed), y, weight)

    def validation() -> float:
        found = task.figures(answers(module, task.validation, how.timed), task.validation)
        return found[task.main]

    done = fit_best(
        module, shuffled(arrays, task.batch, how.seed), loss, validation, epochs=task.epochs,
        learning_rate=how.rate, decay=None, constant=0.3, console=Console(stderr=True),
    )  # fmt: skip
    return min(epoch.validation for epoch in done)


def parameters_of(task: StudyTask, family: str) -> int:
    """Trained numbers of a family's module."""
    return parameter_count(Training(family, RATES[0], 1).module(task)[0])


def seconds_of(
    families: Sequence[str], task: StudyTask, rounds: int = 3, steps: int = 20
) -> Mapping[str, tuple[float, float]]:
    """Processor seconds of an epoch, and of one sample of one sequence in PyTorch: the shortest of
    rounds in which all families take turns, on one thread.
    """
    torch.set_num_threads(1)
    made = {f: (Training(f, RATES[0], 1).module(task)[0], f in TIMED) for f in families}
    part = task.train
    batches = -(-len(part.x) // task.batch)
    found: dict[str, list[tuple[float, float]]] = {family: [] for family in families}
    for _ in range(rounds):
        for family, (module, timed) in made.items():
            x, elapsed, y, weight = (
                torch.from_numpy(np.ascontiguousarray(array[: task.batch]))
                for array in (part.inputs(timed), part.elapsed, part.y, part.weight)
            )
            began = time.process_time()
            task.loss(called(module, x, elapsed, timed), y, weight).backward()
            epoch = batches * (time.process_time() - began)
            with torch.no_grad():
                began = time.process_time()
                called(module, x[:1, :steps], elapsed[:1, :steps], timed)
                sample = (time.process_time() - began) / min(steps, x.shape[1])
            found[family].append((epoch, sample))
    return {
        family: (min(e for e, _ in own), min(s for _, s in own)) for family, own in found.items()
    }
