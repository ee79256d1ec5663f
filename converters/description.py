"""The short TOML file that says how the module behind a checkpoint was built.

A state_dict does not hold everything: `default` and `no_gate` CfCs have the same keys, and the
elapsed time of training is nowhere in it. See `lnn2loihi.converters.ncps` for the grammar.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.errors import ImportNetworkError, Problems

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: The module class that a description may name.
MODULE = "ncps.torch.CfC"
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
    "timespan": ((int, float), "a number"),
    "prefix": (str, "a string"),
    "name": (str, "a string"),
}
_REQUIRED = ("module", "input_size", "units")


@dataclass(frozen=True)
class Description:
    """How a CfC was built, from a TOML file or from the live module.

    Attributes:
        origin: who says so (a file name, "the module"), for messages.
        input_size: number of input channels.
        units: number of units of all layers.
        output_size: units of the last layer, or None where it is not stated.
        proj_size: outputs of the linear map after the last layer, or None where not stated.
        mode: mode of the CfC; the same for all layers.
        timespan: constant elapsed time between two samples, or None where not stated.
        prefix: what stands before `rnn_cell.` in the keys, empty or ending in a dot.
        name: name of the network, or None.
        checkpoint: path of the checkpoint, or None.
    """

    origin: str
    input_size: int
    units: int
    output_size: int | None = None
    proj_size: int | None = None
    mode: str = "default"
    timespan: float | None = None
    prefix: str = ""
    name: str | None = None
    checkpoint: Path | None = None


def read_description(path: Path) -> Description:
    """Reads and checks a description.

    Raises:
        ImportNetworkError: the file is absent or no TOML, or keys are missing, unknown or of a
            wrong type; all of them are listed.
    """
    table = _read_table(path)
    problems = Problems(ImportNetworkError, str(path))
    for key in table:
        if key not in _KEYS:
            problems.add(f"unknown key {key!r}; known are {', '.join(_KEYS)}")
    for key in _REQUIRED:
        if key not in table:
            problems.add(f"the key {key!r} is missing from [network]; add {key} = ...")
    for key, (types, what) in _KEYS.items():
        if key in table:
            problems.extend(_value_problems(key, table[key], types, what))
    if isinstance(table.get("module"), str) and table["module"] != MODULE:
        problems.add(f"module is {table['module']!r}; supported is {MODULE!r} only so far")
    problems.raise_if_any()
    prefix = table.get("prefix", "")
    # Without its dot, the prefix "rnn" would also match "rnn_cell."
    if prefix and not prefix.endswith("."):
        prefix += "."
    return Description(
        origin=path.name,
        input_size=table["input_size"],
        units=table["units"],
        output_size=table.get("output_size"),
        proj_size=table.get("proj_size"),
        mode=table.get("mode", "default"),
        timespan=float(table["timespan"]) if "timespan" in table else None,
        prefix=prefix,
        name=table.get("name"),
        checkpoint=path.parent / table["checkpoint"] if "checkpoint" in table else None,
    )


def _read_table(path: Path) -> dict[str, Any]:
    """The table [network] of a TOML file."""
    if not path.is_file():
        raise ImportNetworkError(str(path), "there is no such file")
    if path.stat().st_size > SIZE_LIMIT:
        raise ImportNetworkError(str(path), f"a description has at most {SIZE_LIMIT} bytes")
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ImportNetworkError(str(path), f"it is not valid TOML ({error})") from error
    others = sorted(key for key in content if key != "network")
    if others or not isinstance(content.get("network"), dict):
        found = ", ".join(map(repr, content)) or "nothing"
        raise ImportNetworkError(
            str(path), f"it must hold one table [network] and nothing else; it holds {found:.200}"
        )
    return content["network"]


def _value_problems(key: str, value: Any, types: type | tuple[type, ...], what: str) -> list[str]:
    if isinstance(value, bool) or not isinstance(value, types):
        return [f"{key} is a {type(value).__name__}, expected {what}"]
    if types is int and not 1 <= value <= SIZE_MAXIMUM:
        return [f"{key} is out of range, expected {what} from 1 to {SIZE_MAXIMUM}"]
    if types is str and not value and key != "prefix":
        return [f"{key} is empty, expected {what}"]
    # False for NaN and infinity, and for whole numbers beyond the range of a float64.
    if key == "timespan" and not abs(value) <= sys.float_info.max:
        return [f"{key} is not a finite number"]
    return []


def template(
    checkpoint: str,
    input_size: int | None,
    units: int | None,
    output_size: int | None,
    proj_size: int | None,
    prefix: str,
) -> str:
    """A description to edit, with what is known filled in."""
    lines = [
        "[network]",
        f'module = "{MODULE}"',
        f"checkpoint = {json.dumps(checkpoint)}",
        f"input_size = {input_size if input_size is not None else '?'}",
        f"units = {units if units is not None else '?'}",
    ]
    if output_size is not None:
        lines.append(f"output_size = {output_size}")
    if proj_size is not None:
        lines.append(f"proj_size = {proj_size}")
    if prefix:
        lines.append(f"prefix = {json.dumps(prefix)}")
    lines.append('mode = "default"  # as the module was built')
    lines.append("timespan = 1.0    # elapsed time between two samples, 1.0 if none was given")
    return "\n".join(lines)
