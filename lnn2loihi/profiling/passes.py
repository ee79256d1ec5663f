"""What an answer of several passes costs: rows of a profile are of one pass, and there are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.errors import InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.neurons.dropping import dropout_share, mask_words
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.program import LoihiProgram
from lnn2loihi.showing import Said, Shown, Table
from lnn2loihi.simulation.inputs import State

#: Of the masks that messages are counted with.
SEED = 0


@dataclass(frozen=True)
class PassesCost(Shown):
    """An answer of several passes on one row of a profile, which run one after the other.

    Attributes:
        label: the row's.
        total_energy: joules an answer, full chip or package; None where the row has none.
        dynamic_energy: the same above idle.
        time: seconds between two answers: the passes times the time between two samples of the
            row. Where sequences take turns on the chip, as passes of an interleaved program do,
            that time is already the share of one of them.
        latency: seconds from a sample to the answer of its last pass.
    """

    label: str
    total_energy: Quantity | None
    dynamic_energy: Quantity | None
    time: Quantity | None
    latency: Quantity | None

    @classmethod
    def of(cls, row: ProfileRow, passes: int) -> PassesCost:
        """The cost of so many passes on a row."""
        between = None if row.throughput is None else _inverse(row.throughput)
        latency = row.latency
        if latency is not None and between is not None and passes > 1:
            latency = latency.plus(between.times(passes - 1))
        return cls(
            row.label,
            None if row.total_energy is None else row.total_energy.times(passes),
            None if row.dynamic_energy is None else row.dynamic_energy.times(passes),
            None if between is None else between.times(passes),
            latency,
        )


def passes_shown(costs: Sequence[PassesCost], passes: int) -> list[Said]:
    """The table of all rows."""
    headers = ("", "total energy", "dynamic energy", "time", "latency")
    rows = [
        (one.label, *(None if q is None else str(q) for q in
                      (one.total_energy, one.dynamic_energy, one.time, one.latency)))
        for one in costs
    ]  # fmt: skip
    head = (
        f"An answer of {passes:,} passes of Monte-Carlo dropout, one after the other (the rows "
        "above are of one pass):"
    )
    return [head, Table(headers, rows)]


def masked_start(program: LoihiProgram, sequences: int, passes: int) -> State | None:
    """Masks with which messages are counted as passes send them: of each sequence its own.

    Args:
        program: as its target has prepared it.
        sequences: how many there are.
        passes: of an answer; 1 for a program that is no Monte-Carlo dropout.

    Raises:
        InputError: several passes of a program without dropout.
    """
    if passes == 1:
        return None
    shares = {p: share for p in program.populations if (share := dropout_share(p.program))}
    if not shares:
        raise InputError(
            "passes",
            f"is {passes}, and program {program.name!r} has no population with dropout; "
            "quantize(network, x, dropout=0.2) makes one",
        )
    generator = np.random.Generator(np.random.PCG64(SEED))
    found: dict[str, dict[str, IntegerArray]] = {}
    for population, share in shares.items():
        kept = generator.random((sequences, population.size)) < share
        found[population.name] = dict(mask_words(kept))
    return found


def _inverse(quantity: Quantity) -> Quantity:
    """One over a number above 0, in seconds."""
    value = None if quantity.value is None else 1.0 / quantity.value
    return Quantity(value, 1.0 / quantity.high, 1.0 / quantity.low, "s")
