"""The short TOML file that says how the LTC behind a checkpoint was built.

A state_dict holds neither the number of unfolds nor how parameters are kept positive. See
`lnn2loihi.families.ltc.importer` for the grammar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.errors import ImportNetworkError, Problems
from lnn2loihi.families.cfc.description import Timespan, read_table, value_problems

#: The module class that a description names.
LTC = "ncps.torch.LTC"
#: What may be done to inputs and outputs, beside nothing.
MAPPINGS = ("affine", "linear", "none")
#: Most unfolds: as many as a program may have updates for a sample.
UNFOLDS_LIMIT = 1 << 10

_KEYS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "module": (str, "a string"),
    "checkpoint": (str, "a string"),
    "input_size": (int, "a whole number"),
    "units": (int, "a whole number"),
    "output_size": (int, "a whole number"),
    "ode_unfolds": (int, "a whole number"),
    "epsilon": ((int, float), "a number"),
    "implicit_param_constraints": (bool, "true or false"),
    "input_mapping": (str, "a string"),
    "output_mapping": (str, "a string"),
    "mixed_memory": (bool, "true or false"),
    "timespan": ((int, float, str), 'a number or "irregular"'),
    "prefix": (str, "a string"),
    "name": (str, "a string"),
}
_REQUIRED = ("module", "input_size", "units")


@dataclass(frozen=True)
class LTCDescription:
    """How an LTC was built, from a TOML file or from the live module.

    Attributes:
        origin: who says so (a file name, "the module"), for messages.
        input_size: number of input channels.
        units: number of units.
        module: LTC.
        output_size: number of outputs, or None where it is not stated.
        ode_unfolds: steps of the solver for each sample.
        epsilon: what ncps adds to each denominator.
        implicit_param_constraints: whether a softplus keeps w, gleak and cm positive.
        input_mapping, output_mapping: one of MAPPINGS, or None where not stated.
        mixed_memory: whether it has a mixed memory, or None where not stated.
        timespan: elapsed time between two samples, or None where not stated.
        prefix: what stands before `rnn_cell.` in the keys, empty or ending in a dot.
        name: name of the network, or None.
        checkpoint: path of the checkpoint, or None.
    """

    origin: str
    input_size: int
    units: int
    module: str = LTC
    output_size: int | None = None
    ode_unfolds: int = 6
    epsilon: float = 1e-8
    implicit_param_constraints: bool = True
    input_mapping: str | None = None
    output_mapping: str | None = None
    mixed_memory: bool | None = None
    timespan: Timespan | None = None
    prefix: str = ""
    name: str | None = None
    checkpoint: Path | None = None


def read_ltc_description(path: Path) -> LTCDescription:
    """Reads and checks a description.

    Raises:
        ImportNetworkError: keys are missing, unknown, of a wrong type or out of range; all of
            them are listed.
    """
    table = read_table(path)
    problems = Problems(ImportNetworkError, str(path))
    for key in table:
        if key not in _KEYS:
            problems.add(f"unknown key {key!r}; of an LTC known are {', '.join(_KEYS)}")
    for key in _REQUIRED:
        if key not in table:
            problems.add(f"the key {key!r} is missing from [network]; add {key} = ...")
    for key, (types, what) in _KEYS.items():
        if key in table:
            problems.extend(value_problems(key, table[key], types, what) or _range(key, table))
    problems.raise_if_any()
    sound: dict[str, Any] = {key: value for key, value in table.items() if key != "checkpoint"}
    prefix = sound.get("prefix", "")
    # Without its dot, the prefix "rnn" would also match "rnn_cell."
    sound["prefix"] = f"{prefix}." if prefix and not prefix.endswith(".") else prefix
    if isinstance(sound.get("timespan"), (int, float)):
        sound["timespan"] = float(sound["timespan"])
    checkpoint = path.parent / table["checkpoint"] if "checkpoint" in table else None
    return LTCDescription(origin=path.name, checkpoint=checkpoint, **sound)


def _range(key: str, table: Mapping[str, Any]) -> list[str]:
    """What is wrong with a value of the right type."""
    value = table[key]
    if key == "ode_unfolds" and value > UNFOLDS_LIMIT:
        return [f"{key} is {value}; at most {UNFOLDS_LIMIT} are possible"]
    if key == "epsilon" and not (math.isfinite(value) and value >= 0):
        return [f"{key} is {value}; expected a number that is not negative"]
    if key in ("input_mapping", "output_mapping") and value not in MAPPINGS:
        return [f"{key} is {value!r:.60}; there are {', '.join(MAPPINGS)}"]
    return []
