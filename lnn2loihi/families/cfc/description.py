"""The short TOML file that says how the module behind a checkpoint was built.

A state_dict does not hold everything: `default` and `no_gate` CfCs have the same keys, and neither
the activation of the backbone nor the elapsed time of training is in it. See
`lnn2loihi.families.cfc.importer` for the grammar.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Literal

from lnn2loihi.errors import ImportNetworkError, Problems
from lnn2loihi.families.cfc.layer import MODES
from lnn2loihi.files import parse_toml, read_text
from lnn2loihi.network import elapsed_problem

#: The module classes that a description may name: of ncps, and of torch_cfc.py in raminmh/CfC.
NCPS, TORCH_CFC = "ncps.torch.CfC", "torch_cfc.Cfc"
#: What stands for an elapsed time that comes with the samples.
IRREGULAR: Literal["irregular"] = "irregular"
Timespan = float | Literal["irregular"]
#: Activations that a backbone may have; torch_cfc calls the first one "lecun".
BACKBONE_ACTIVATIONS = ("lecun_tanh", "silu", "relu", "tanh", "gelu")
#: Largest description that is parsed, in bytes.
SIZE_LIMIT = 1 << 20
#: Largest number of inputs, units or outputs that a description may state.
SIZE_MAXIMUM = 1 << 24

_KEYS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "module": (str, "a string"),
    "checkpoint": (str, "a string"),
    "input_size": (int, "a whole number"),
    "units": (int, "a whole number"),
    "output_size": (int, "a whole number"),
    "proj_size": (int, "a whole number"),
    "mode": (str, "a string"),
    "activation": (str, "a string"),
    "backbone_units": (int, "a whole number"),
    "backbone_layers": (int, "a whole number"),
    "mixed_memory": (bool, "true or false"),
    "timespan": ((int, float, str), 'a number or "irregular"'),
    "prefix": (str, "a string"),
    "name": (str, "a string"),
}
#: What the hyperparameters of torch_cfc are called there.
_FLAGS: dict[str, tuple[type, str]] = {
    "minimal": (bool, "true or false"),
    "no_gate": (bool, "true or false"),
    "use_mixed": (bool, "true or false"),
}
_REQUIRED = ("module", "input_size", "units")


@dataclass(frozen=True)
class Description:
    """How a CfC was built, from a TOML file or from the live module.

    Attributes:
        origin: who says so (a file name, "the module"), for messages.
        input_size: number of input channels.
        units: number of units of all layers.
        module: NCPS or TORCH_CFC.
        output_size: units of the last layer, or None where it is not stated.
        proj_size: outputs of the linear map after the last layer, or None where not stated.
        mode: mode of the CfC, the same for all layers; None where not stated.
        activation: activation of the backbone, one of BACKBONE_ACTIVATIONS.
        backbone_units: units of each layer of the backbone, or None where not stated.
        backbone_layers: layers of the backbone, or None where not stated.
        mixed_memory: whether it has a mixed memory, or None where not stated.
        timespan: elapsed time between two samples, or None where not stated.
        prefix: what stands before `rnn_cell.` in the keys, empty or ending in a dot.
        name: name of the network, or None.
        checkpoint: path of the checkpoint, or None.
    """

    origin: str
    input_size: int
    units: int
    module: str = NCPS
    output_size: int | None = None
    proj_size: int | None = None
    mode: str | None = None
    activation: str = "lecun_tanh"
    backbone_units: int | None = None
    backbone_layers: int | None = None
    mixed_memory: bool | None = None
    timespan: Timespan | None = None
    prefix: str = ""
    name: str | None = None
    checkpoint: Path | None = None


def read_description(path: Path) -> Description:
    """Reads and checks a description whose module, if it names one, is NCPS or TORCH_CFC.

    Raises:
        ImportNetworkError: the file is absent or no TOML, or keys are missing, unknown, of a
            wrong type or contradict each other; all of them are listed.
    """
    table = read_table(path)
    problems = Problems(ImportNetworkError, str(path))
    original = table.get("module") == TORCH_CFC
    keys = _KEYS | _FLAGS if original else _KEYS
    for key in table:
        if key not in keys:
            hint = f" (it goes with module = {TORCH_CFC!r})" if key in _FLAGS else ""
            problems.add(f"unknown key {key!r}; known are {', '.join(keys)}{hint}")
    for key in _REQUIRED:
        if key not in table:
            problems.add(f"the key {key!r} is missing from [network]; add {key} = ...")
    sound: dict[str, Any] = {}
    for key, (types, what) in keys.items():
        if key in table:
            found = value_problems(key, table[key], types, what)
            problems.extend(found)
            if not found:
                sound[key] = table[key]
    problems.extend(_word_problems(sound, original))
    if original:
        problems.extend(_translate(sound))
    problems.raise_if_any()
    prefix = table.get("prefix", "")
    # Without its dot, the prefix "rnn" would also match "rnn_cell."
    if prefix and not prefix.endswith("."):
        prefix += "."
    timespan = table.get("timespan")
    return Description(
        origin=path.name,
        input_size=table["input_size"],
        units=table["units"],
        module=table["module"],
        output_size=table.get("output_size"),
        proj_size=table.get("proj_size"),
        mode=sound.get("mode"),
        activation=sound.get("activation", "lecun_tanh"),
        backbone_units=table.get("backbone_units"),
        backbone_layers=table.get("backbone_layers"),
        mixed_memory=sound.get("mixed_memory"),
        timespan=float(timespan) if isinstance(timespan, (int, float)) else timespan,
        prefix=prefix,
        name=table.get("name"),
        checkpoint=path.parent / table["checkpoint"] if "checkpoint" in table else None,
    )


def checked_timespan(
    subject: str, given: Any, described: Timespan | None = None, default: float | None = 1.0
) -> float | None:
    """The timespan of a network: a number, or None where it comes with the samples.

    Args:
        subject: what errors are about.
        given: argument of the caller, or None.
        described: what the description says, or None.
        default: what holds where neither says; None where one of them must.

    Raises:
        ImportNetworkError: it is neither a finite number from 0 on nor "irregular", or missing.
    """
    chosen = described if given is None else given
    if chosen is None:
        if default is None:
            raise ImportNetworkError(
                subject,
                f"{TORCH_CFC} has no timespan of its own: say which elapsed time it was trained "
                f'with, timespan = 1.0 or timespan = "{IRREGULAR}"',
            )
        return default
    if isinstance(chosen, str) and chosen == IRREGULAR:
        return None
    try:
        valid = isinstance(chosen, Real) and not isinstance(chosen, bool)
        value = float(chosen) if valid else math.nan
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ImportNetworkError(
            subject,
            f'timespan is not a finite number; give 1.0, for instance, or "{IRREGULAR}" where '
            "it comes with the samples",
        )
    if found := elapsed_problem(value):
        raise ImportNetworkError(subject, found)
    return value


def read_table(path: Path) -> dict[str, Any]:
    """The table [network] of a TOML file.

    Raises:
        ImportNetworkError: the file is absent, too large or no such TOML, or the checkpoint that
            it names does not lie beside it.
    """
    text = read_text(path, ImportNetworkError, SIZE_LIMIT)
    content = parse_toml(text, str(path), ImportNetworkError)
    others = sorted(key for key in content if key != "network")
    if others or not isinstance(content.get("network"), dict):
        found = ", ".join(map(repr, content)) or "nothing"
        raise ImportNetworkError(
            str(path), f"it must hold one table [network] and nothing else; it holds {found:.200}"
        )
    table = content["network"]
    checkpoint = table.get("checkpoint")
    if isinstance(checkpoint, str) and Path(checkpoint).name != checkpoint:
        raise ImportNetworkError(
            str(path),
            f"checkpoint is {checkpoint!r:.200}, expected the name of a file beside the "
            "description, without a folder; copy or link it there, or give the checkpoint itself "
            "and the description apart (--description)",
        )
    return table


def value_problems(key: str, value: Any, types: type | tuple[type, ...], what: str) -> list[str]:
    """What is wrong with the type or the range of a value; `what` names what is expected."""
    # A bool is an int to Python, but not to TOML.
    if (isinstance(value, bool) and types is not bool) or not isinstance(value, types):
        return [f"{key} is a {type(value).__name__}, expected {what}"]
    least = 0 if key == "backbone_layers" else 1
    if types is int and not least <= value <= SIZE_MAXIMUM:
        return [f"{key} is out of range, expected {what} from {least} to {SIZE_MAXIMUM}"]
    if types is str and not value and key != "prefix":
        return [f"{key} is empty, expected {what}"]
    if key == "timespan" and isinstance(value, str):
        return [] if value == IRREGULAR else [f"{key} is {value!r:.60}, expected {what}"]
    if key == "timespan":
        # False for NaN and infinity, and for whole numbers beyond the range of a float64.
        if not abs(value) <= sys.float_info.max:
            return [f"{key} is not a finite number"]
        return [found] if (found := elapsed_problem(value)) else []
    return []


def _word_problems(table: dict[str, Any], original: bool) -> list[str]:
    """Names that are not among those that exist; `table` holds values of the right types."""
    found: list[str] = []
    if "mode" in table and table["mode"] not in MODES:
        found.append(f"mode is {table['mode']!r:.60}; there are {', '.join(MODES)}")
    names = ("lecun", *BACKBONE_ACTIVATIONS[:-1]) if original else BACKBONE_ACTIVATIONS
    if "activation" in table and table["activation"] not in names:
        found.append(f"activation is {table['activation']!r:.60}; there are {', '.join(names)}")
    if original and "activation" not in table:
        found.append(
            "the key 'activation' is missing; torch_cfc has no default: write the "
            f"backbone_activation of its hparams, one of {', '.join(names)}"
        )
    return found


def _translate(table: dict[str, Any]) -> list[str]:
    """Puts the flags of torch_cfc into the words of ncps, and says where they contradict."""
    found: list[str] = []
    flagged = [mode for flag, mode in (("minimal", "pure"), ("no_gate", "no_gate"))
               if table.get(flag)]  # fmt: skip
    # With both, torch_cfc computes the minimal solution.
    mode = flagged[0] if flagged else "default" if {"minimal", "no_gate"} <= table.keys() else None
    if mode is not None and table.setdefault("mode", mode) != mode:
        found.append(f"mode is {table['mode']!r}, but minimal and no_gate say {mode!r}")
    if "use_mixed" in table:
        mixed = table["use_mixed"]
        if table.setdefault("mixed_memory", mixed) != mixed:
            found.append("mixed_memory and use_mixed contradict each other")
    if table.get("activation") == "lecun":
        table["activation"] = "lecun_tanh"
    return found
