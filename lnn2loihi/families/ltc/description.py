"""What a description of an LTC may say; see `lnn2loihi.families.ltc.importer` for the grammar.

A state_dict holds neither the number of unfolds nor how parameters are kept positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lnn2loihi.converters.files.description import (
    Description,
    Timespan,
    flag,
    number,
    text,
    times,
    whole,
)

#: The module class that a description names.
LTC = "ncps.torch.LTC"
#: What may be done to inputs and outputs, beside nothing.
MAPPINGS = ("affine", "linear", "none")
#: Most unfolds: as many as a program may have updates for a sample.
UNFOLDS_LIMIT = 1 << 10


@dataclass(frozen=True, kw_only=True)
class LTCDescription(Description):
    """How an LTC was built.

    Attributes:
        input_size: number of input channels.
        units: number of units.
        output_size: number of outputs, or None where it is not stated.
        ode_unfolds: steps of the solver for each sample.
        epsilon: what ncps adds to each denominator.
        implicit_param_constraints: whether a softplus keeps w, gleak and cm positive.
        input_mapping, output_mapping: one of MAPPINGS, or None where not stated.
        mixed_memory: whether it has a mixed memory, or None where not stated.
        readout: what stands before the keys of a Linear after it, ending in a dot, or None.
    """

    known_as: ClassVar[str] = "of an LTC"

    input_size: int = whole(required=True)
    units: int = whole(required=True)
    output_size: int | None = whole()
    ode_unfolds: int = whole(default=6, most=UNFOLDS_LIMIT)
    epsilon: float = number(default=1e-8)
    implicit_param_constraints: bool = flag(default=True)
    input_mapping: str | None = text(MAPPINGS)
    output_mapping: str | None = text(MAPPINGS)
    mixed_memory: bool | None = flag()
    timespan: Timespan | None = times()
    readout: str | None = text(dotted=True)
