"""What a description of an LRC may say; see `lnn2loihi.families.lrc.importer` for the grammar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lnn2loihi.converters.files.description import (
    Description,
    Timespan,
    flag,
    text,
    times,
    whole,
)
from lnn2loihi.families.lrc.stage import ELASTANCES, EXPLICIT, SOLVERS
from lnn2loihi.families.ltc.description import MAPPINGS, UNFOLDS_LIMIT

#: The module class that a description names.
LRC = "LRC"
#: What the original calls an elastance of 1, which it has where nothing is said.
INTERP = "interp"


@dataclass(frozen=True, kw_only=True)
class LRCDescription(Description):
    """How an LRC was built.

    Attributes:
        input_size: number of input channels, or None where not stated.
        units: number of units, or None where not stated.
        elastance_type: one of ELASTANCES, INTERP, or None where not stated.
        forget_gate: whether it has a forget gate, or None where not stated.
        ode_solver: one of SOLVERS.
        ode_unfolds: steps of the solver for each sample.
        input_mapping, output_mapping: one of MAPPINGS, or None where not stated.
        readout: what stands before the keys of a Linear after it, ending in a dot, or None.
    """

    known_as: ClassVar[str] = "of an LRC"

    input_size: int | None = whole()
    units: int | None = whole()
    elastance_type: str | None = text((*ELASTANCES, INTERP))
    forget_gate: bool | None = flag()
    ode_solver: str = text(SOLVERS, default=EXPLICIT)
    ode_unfolds: int = whole(default=1, most=UNFOLDS_LIMIT)
    input_mapping: str | None = text(MAPPINGS)
    output_mapping: str | None = text(MAPPINGS)
    timespan: Timespan | None = times()
    readout: str | None = text(dotted=True)
