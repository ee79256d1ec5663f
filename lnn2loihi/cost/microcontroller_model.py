"""The equations of a micro-controller: work of a program times figures of a part.

    T = multiply_accumulates t_mac + neuron_instructions t_nin            a sample of one copy
    T = instructions t_ins, where the instructions of a sample were counted
    E = P_run T + P_sleep (time in which the parts sleep) / samples

They are those of docs/cost.md ("Micro-controllers"), for many sets of figures at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.cost.basis import DRAWS, Parameters, Range, drawn, range_problems
from lnn2loihi.cost.interval import FloatArray
from lnn2loihi.cost.sample_work import MicrocontrollerWork
from lnn2loihi.devices import MICROCONTROLLER
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.showing import Brief

#: The figures that are drawn.
PARAMETERS = tuple(d.name for d in MICROCONTROLLER.figures if d.role == "cost")
#: What a sample's time is made of, and the figure that each is multiplied with; where instructions
#: were counted there is one term.
_TERMS = {
    "multiply_accumulates": "time_per_multiply_accumulate",
    "neurons": "time_per_neuron_instruction",
}
_COUNTED = {"instructions": "time_per_instruction"}


def terms_of(work: MicrocontrollerWork) -> Mapping[str, str]:
    """For each term of a sample's time the figure of its cost."""
    return _TERMS if work.instructions is None else _COUNTED


def parameters_of(work: MicrocontrollerWork) -> tuple[str, ...]:
    """The figures that are drawn for a program."""
    terms = terms_of(work).values()
    return (*terms, *(name for name in PARAMETERS if name not in _TERMS.values()))


def energies_of(work: MicrocontrollerWork) -> tuple[str, ...]:
    """Terms of the energy of a sample, and their sum."""
    return (*terms_of(work), "sleep", "total")


@checks_fields(InputError)
@dataclass(frozen=True)
class MicrocontrollerBasis(Brief):
    """All that is needed to compute an estimate of a micro-controller again; see `Basis`.

    Attributes:
        work: what a sample of one copy asks.
        figures: the figures by name, in SI units.
        rate: samples per second of each copy; None at full speed.
        copies: copies of the network.
        parts: micro-controllers that they are spread over, evenly.
        draws, seed: of the sampling.

    Raises:
        InputError: lists what makes no sense.
    """

    work: MicrocontrollerWork
    figures: Mapping[str, Range]
    rate: float | None = None
    copies: int = 1
    parts: int = 1
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", read_only_mapping(self.figures))
        problems = Problems(InputError, "basis of an estimate of a micro-controller")
        problems.extend(range_problems(self.figures, parameters_of(self.work)))
        if not 1 <= self.parts <= self.copies:
            problems.add(f"{self.copies} copies are on {self.parts} parts")
        if not DRAWS[0] <= self.draws <= DRAWS[1] or self.seed < 0:
            problems.add(f"it has {self.draws} draws of seed {self.seed}")
        if self.rate is not None and not 0.0 < self.rate < np.inf:
            problems.add(f"its rate is {self.rate}")
        problems.raise_if_any()

    @property
    def copies_per_part(self) -> int:
        """Copies that take turns on the fullest part."""
        return -(-self.copies // self.parts)

    @cached_property
    def parameters(self) -> Parameters:
        """The figures: their nominal values first, then their draws, float64 (1 + draws,) each."""
        return drawn(self.figures, self.draws, self.seed)

    @cached_property
    def results(self) -> Mapping[str, FloatArray]:
        """What `evaluate` gives, at the nominal figures and at each draw, (1 + draws,) each."""
        return self.evaluate(self.parameters)

    def evaluate(self, p: Parameters) -> dict[str, FloatArray]:
        """Times in s and energies in J per sample of one copy.

        Args:
            p: figures by name, float64 (sets,) each.

        Returns:
            For each quantity float64 (sets,): `sample_time`, `latency`, `interval` (from one
            sample of a copy to the next), `throughput` (of all copies), `energy_delay_product`,
            and the energies by the names of `energies_of`. The names are those of an estimate of
            the chip, `dynamic`, `static_full_chip`, `total_full_chip`, `total_pro_rata` and
            `total_board` among them, where the same is meant, so that the two can be divided draw
            by draw.
        """
        seconds = sample_seconds(self.work, p)
        time = np.sum(list(seconds.values()), axis=0)
        latency = self.copies_per_part * time
        interval = latency if self.rate is None else np.maximum(latency, 1.0 / self.rate)
        asleep = np.zeros_like(time)
        if self.rate is not None:
            asleep = np.maximum(self.parts / self.copies * interval - time, 0.0)
        found = {name: p["active_power"] * spent for name, spent in seconds.items()}
        dynamic = np.sum(list(found.values()), axis=0)
        found["sleep"] = p["sleep_power"] * asleep
        found["total"] = dynamic + found["sleep"]
        found |= {"dynamic": dynamic, "static_full_chip": found["sleep"]}
        wholes = ("total_full_chip", "total_pro_rata", "total_board")
        found |= dict.fromkeys(wholes, found["total"])
        return found | {
            "sample_time": time,
            "latency": latency,
            "interval": interval,
            "throughput": self.copies / interval,
            "energy_delay_product": found["total"] * latency,
        }

    @property
    def rate_met(self) -> float | None:
        """Share of the draws in which the rate is met; None at full speed."""
        if self.rate is None:
            return None
        return float(np.mean(self.results["latency"][1:] <= 1.0 / self.rate))


def sample_seconds(work: MicrocontrollerWork, p: Parameters) -> dict[str, FloatArray]:
    """What a sample is spent on, in s, by the names of the energies."""
    counts = {
        "multiply_accumulates": work.multiply_accumulates,
        "neurons": work.neuron_instructions,
        "instructions": work.instructions or 0,
    }
    return {name: counts[name] * p[figure] for name, figure in terms_of(work).items()}
