"""Why an LTC has twice a GRU's error on damped sine waves: one thing is changed at a time."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from families_sine import BATCH, BATCHES, VALIDATION_COUNT, VALIDATION_SEED, waves
from families_tables import mean_and_range
from ncps.wirings import FullyConnected
from rich.console import Console

from lnn2loihi.models.families.modules import WithReadout, build, parameter_count, units_for
from lnn2loihi.models.fast_ltc import FastLTC
from lnn2loihi.models.training import fit
from lnn2loihi.tables import markdown_table

#: Trained numbers, deviation of the noise, and epochs of a training.
PARAMETERS, NOISE, EPOCHS = 1200, 0.1, 5
#: Samples whose errors are told apart.
PARTS = {"samples 0 to 15": slice(0, 16), "16 to 63": slice(16, None)}


@dataclass(frozen=True)
class Variation:
    """An LTC that differs from that of ncps by what is said here.

    Attributes:
        rate: highest learning rate.
        epochs: of BATCHES batches.
        unfolds: of the equation.
        all_units: whether a Linear reads all units, in place of an affine map of the first one.
        middles, slopes: ranges of mu and sigma of all synapses at first; those of ncps if None.
        sensory_middles: range of mu of the synapses of the inputs alone.
        capacitance: factor of cm at first.
        gain: of the input mapping at first.
        weights: factor of w at first, and of sensory_w.
        reversal: factor of erev at first.
    """

    rate: float = 0.05
    epochs: int = EPOCHS
    unfolds: int = 2
    all_units: bool = False
    middles: tuple[float, float] | None = None
    slopes: tuple[float, float] | None = None
    sensory_middles: tuple[float, float] | None = None
    capacitance: float = 1.0
    gain: float = 1.0
    weights: float = 1.0
    reversal: float = 1.0

    def module(self, seed: int) -> Any:
        """The LTC before training."""
        torch.manual_seed(seed)
        units = 4
        while True:  # about as many parameters
            made = self._of(units, seed)
            if parameter_count(made) >= PARAMETERS:
                break
            units += 1
        core = made.rnn if self.all_units else made
        self._begin(core.rnn_cell._params)
        return made

    def _of(self, units: int, seed: int) -> Any:
        outputs = units if self.all_units else 1
        wiring = FullyConnected(units, outputs, erev_init_seed=seed)
        core = FastLTC(1, wiring, ode_unfolds=self.unfolds)
        return WithReadout(core, units, 1) if self.all_units else core

    def _begin(self, own: Mapping[str, Any]) -> None:
        with torch.no_grad():
            for block in ("", "sensory_"):
                if self.middles is not None:
                    own[f"{block}mu"].uniform_(*self.middles)
                if self.slopes is not None:
                    own[f"{block}sigma"].uniform_(*self.slopes)
                own[f"{block}w"].mul_(self.weights)
                own[f"{block}erev"].mul_(self.reversal)
            if self.sensory_middles is not None:
                own["sensory_mu"].uniform_(*self.sensory_middles)
            own["cm"].mul_(self.capacitance)
            own["input_w"].mul_(self.gain)


#: What is changed, by what the table calls it.
VARIATIONS: dict[str, Variation] = {
    "as in the table of families, 2 unfolds": Variation(),
    "rate 0.1": Variation(rate=0.1),
    "rate 0.2": Variation(rate=0.2),
    "a Linear reads all units": Variation(all_units=True),
    "middles of all synapses -0.5 to 0.5": Variation(middles=(-0.5, 0.5)),
    "middles of the inputs' synapses -1 to 1": Variation(sensory_middles=(-1.0, 1.0)),
    "slopes 1 to 3": Variation(slopes=(1.0, 3.0)),
    "inputs three times": Variation(gain=3.0),
    "synapses three times as strong": Variation(weights=3.0),
}


def errors_of(module: Any) -> dict[str, float]:
    """Validation errors with noise, over all samples and over parts of them."""
    x, y = waves(VALIDATION_COUNT, NOISE, VALIDATION_SEED)
    with torch.no_grad():
        squared = (module(torch.from_numpy(x))[0].numpy() - y) ** 2
    return {"all": float(squared.mean())} | {
        name: float(squared[:, part].mean()) for name, part in PARTS.items()
    }


def trained(module: Any, rate: float, epochs: int, seed: int) -> dict[str, float]:
    """Trains on fresh noisy waves, as families_sine.py does, and measures."""
    torch.set_num_threads(1)

    def batches(epoch: int) -> Any:
        drawn = waves(BATCHES * BATCH, NOISE, 10_000 * seed + 2 * epoch)
        return zip(*(torch.from_numpy(part).split(BATCH) for part in drawn), strict=True)

    fit(
        module, batches, torch.nn.functional.mse_loss, epochs=epochs, steps_per_epoch=BATCHES,
        learning_rate=rate, console=Console(stderr=True),
    )  # fmt: skip
    return errors_of(module)


def beside(family: str, rate: float, epochs: int, seed: int) -> dict[str, float]:
    """Another family with as many parameters, trained alike."""
    module = build(family, 1, units_for(family, PARAMETERS, 1, 1, seed), 1, seed)[0]
    return trained(module, rate, epochs, seed)


def variations(given: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Trains all of them with every seed, beside a GRU and a CfC, and prints a table."""
    found: dict[str, list[dict[str, float]]] = {}
    seeds = range(1, given.seeds + 1)
    for family in ("gru", "cfc"):
        found[family.upper().replace("CFC", "CfC")] = [
            beside(family, Variation().rate, EPOCHS, seed) for seed in seeds
        ]
    for name, chosen in VARIATIONS.items():
        console.print(name, soft_wrap=True)
        found[name] = [
            trained(chosen.module(seed), chosen.rate, chosen.epochs, seed) for seed in seeds
        ]
        console.print(f"  {found[name]}", soft_wrap=True)
    keys = list(next(iter(found.values()))[0])
    lines = [
        [name, *(mean_and_range([error[key] for error in own], ".4f") for key in keys)]
        for name, own in found.items()
    ]
    print(markdown_table(["LTC, but for", *(f"MSE, {key}" for key in keys)], lines))
    return {"ltc": found}
