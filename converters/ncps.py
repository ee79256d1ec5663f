"""Imports closed-form continuous-time networks (CfC) of the PyTorch package `ncps`.

What is accepted: `ncps.torch.CfC` in its default mode, with any wiring (AutoNCP, NCP,
FullyConnected, Random, one's own) or dense with `backbone_layers=0`, as a live module or as a
checkpoint of its state_dict in `.pt`, `.pth` or `.safetensors`. Masks are taken from the arrays
(`sparsity_mask`), never from a wiring object, because building a module changes its wiring.

A checkpoint goes with a short TOML file that says how the module was built::

    [network]
    module = "ncps.torch.CfC"        # required
    checkpoint = "net.safetensors"   # relative to this file; absent where the path is given
    input_size = 8                   # required: input channels
    units = 32                       # required: all units of the wiring
    output_size = 4                  # units of the last layer
    proj_size = 3                    # outputs of the readout; optional, checked
    mode = "default"                 # as the module was built (no_gate has the same keys)
    timespan = 1.0                   # elapsed time between two samples, in the training's unit
    prefix = "rnn."                  # where the CfC sits in a larger state_dict
    name = "my net"

All keys but `module`, `input_size` and `units` are optional. Sizes that are given are checked
against the arrays. `net.toml` beside `net.pt` is found by itself.

ncps keeps its masks transposed in memory, which safetensors does not save: write
`safetensors.torch.save_file({k: v.contiguous() for k, v in module.state_dict().items()}, path)`
(`safetensors.numpy` 0.8 does not refuse such an array but saves other numbers).

Equations and names of the arrays: ncps 1.0.1 (Apache-2.0), torch/cfc_cell.py; Hasani et al. 2022,
arXiv:2106.13898.
"""

from __future__ import annotations

import math
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from numbers import Real
from pathlib import Path
from typing import Any

from lnn2loihi.converters.checkpoint import read_checkpoint, torch_tensors
from lnn2loihi.converters.description import Description, read_description
from lnn2loihi.converters.ncps_state import network_from_state, suggested_description
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.network import LiquidNetwork

_CHECKPOINTS = (".pt", ".pth", ".safetensors")
_ACCEPTED = (
    "accepted is an ncps.torch.CfC with a wiring (for instance AutoNCP) or with "
    "backbone_layers=0; LTC and other modules are not supported yet"
)


class NcpsImporter:
    """Entry point `ncps` of the group `lnn2loihi.importers`."""

    def recognises(self, source: object) -> bool:
        """Whether `source` is a PyTorch module, or a path that ends like a checkpoint or a TOML.

        Every PyTorch module is recognised, so that `load` can say what is accepted. Imports
        neither torch nor ncps.
        """
        if isinstance(source, (str, os.PathLike)):
            return Path(source).suffix.lower() in (*_CHECKPOINTS, ".toml")
        return _is_torch_module(source)

    def load(
        self,
        source: object,
        *,
        timespan: float | None = None,
        description: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> LiquidNetwork:
        """Turns a live CfC or a checkpoint with its description into a LiquidNetwork.

        Args:
            source: an `ncps.torch.CfC`, the path of a checkpoint, or the path of a description
                that names its checkpoint.
            timespan: constant elapsed time between two samples, in the unit of the training;
                goes before the description's. 1.0, as in ncps, where neither says.
            description: path of the TOML file, for a checkpoint; `<checkpoint>.toml` in place of
                the suffix where absent. Its key `checkpoint` is ignored beside a given path.
            name: name of the network; else the description's, else the file's or the class's.

        Raises:
            ImportNetworkError: lists everything that is not supported, damaged or contradictory.
            BackendMissingError: a `.pt` file, and PyTorch is not installed.
        """
        if isinstance(source, (str, os.PathLike)):
            toml = None if description is None else Path(description)
            return _load_file(Path(source), toml, timespan, name)
        if description is not None:
            raise ImportNetworkError(
                _class_name(source), "a live module needs no description; leave it out"
            )
        return _load_module(source, timespan, name)


def _load_file(
    path: Path, toml: Path | None, timespan: float | None, name: str | None
) -> LiquidNetwork:
    """Loads a checkpoint with its description, from the path of either."""
    if not path.is_file():
        raise ImportNetworkError(str(path), "there is no such file")
    try:
        path, description = _resolve(path, toml)
        return network_from_state(
            read_checkpoint(path),
            description,
            subject=str(path),
            name=name or description.name or path.stem,
            timespan=_checked_timespan(str(path), timespan, description.timespan),
            source={"importer": "ncps", "file": path.name, **_versions()},
        )
    except OSError as error:
        raise ImportNetworkError(
            str(error.filename or path), f"it cannot be read ({error.strerror or error})"
        ) from error


def _resolve(path: Path, toml: Path | None) -> tuple[Path, Description]:
    """The checkpoint and its description, from the path of either."""
    if path.suffix.lower() != ".toml":
        if toml is None:
            toml = path.with_suffix(".toml")
            if not toml.is_file():
                raise ImportNetworkError(str(path), _ask_for_description(path, toml))
        return path, read_description(toml)
    if toml is not None:
        raise ImportNetworkError(
            str(path), f"it is a description itself; do not give {toml} as well"
        )
    description = read_description(path)
    if description.checkpoint is None:
        raise ImportNetworkError(
            str(path), 'it names no checkpoint; add checkpoint = "net.safetensors" to [network]'
        )
    if not description.checkpoint.is_file():
        raise ImportNetworkError(
            str(path), f"the checkpoint that it names is not there: {description.checkpoint}"
        )
    return description.checkpoint, description


def _ask_for_description(path: Path, toml: Path) -> str:
    """What to write where a checkpoint has no description; reads the checkpoint for it."""
    text = suggested_description(read_checkpoint(path), path.name)
    return (
        "a checkpoint does not say how its module was built. Write the following to "
        f"{toml} (check it, and fill in each ?), or give description=...\n\n{text}"
    )


def _checked_timespan(subject: str, given: Any, described: float | None) -> float:
    if given is None:
        return 1.0 if described is None else described
    try:
        valid = isinstance(given, Real) and not isinstance(given, bool)
        value = float(given) if valid else math.nan
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ImportNetworkError(subject, "timespan is not a finite number; give 1.0, for instance")
    return value


def _versions() -> dict[str, str]:
    """Versions of ncps, where it is installed, and of torch, where it is imported."""
    found: dict[str, str] = {}
    try:
        # ncps.__version__ says 0.0.2 in release 1.0.1.
        found["ncps"] = version("ncps")
    except PackageNotFoundError:
        pass
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = str(torch.__version__)
    return found


def _is_torch_module(source: object) -> bool:
    ancestors = {(c.__module__, c.__name__) for c in type(source).__mro__}
    return ("torch.nn.modules.module", "Module") in ancestors


def _class_name(source: object) -> str:
    return f"{type(source).__module__}.{type(source).__qualname__}"


def _load_module(source: Any, timespan: float | None, name: str | None) -> LiquidNetwork:
    """Loads a live CfC."""
    subject = _class_name(source)
    ncps_torch = sys.modules.get("ncps.torch")
    cfc = getattr(ncps_torch, "CfC", None)
    if cfc is None or not isinstance(source, cfc):
        raise ImportNetworkError(subject, _refusal_of_class(source, cfc))
    description = Description(
        origin="the module",
        input_size=source.input_size,
        units=source.state_size,
        proj_size=source.proj_size,
        mode=", ".join(sorted({cell.mode for cell in _cells_of(source)})),
    )
    return network_from_state(
        torch_tensors(source.state_dict()),
        description,
        subject=subject,
        name=name or type(source).__name__.lower(),
        timespan=_checked_timespan(subject, timespan, None),
        source={"importer": "ncps", "class": "ncps.torch.CfC", **_versions()},
        refused=_changed_parts(source, cfc),
    )


def _refusal_of_class(source: Any, cfc: type | None) -> str:
    inside: list[str] = []
    if cfc is not None and _is_torch_module(source):
        inside = [key for key, part in source.named_modules() if isinstance(part, cfc)]
    if inside:
        places = " or ".join(f"module.{key}" for key in inside[:8])
        return f"it is not a CfC itself but holds one: give {places} instead"
    return f"this class cannot be imported; {_ACCEPTED}"


def _cells_of(source: Any) -> list[Any]:
    """The cells that the module really runs, in order."""
    return list(getattr(source.rnn_cell, "_layers", [source.rnn_cell]))


def _changed_parts(source: Any, cfc: Any) -> list[str]:
    """What was changed in a module so that its arrays no longer tell what it computes."""
    found: list[str] = []
    if type(source).forward is not cfc.forward:
        found.append("it overrides forward; give a plain ncps.torch.CfC")
    parts = {"ff1": "Linear", "ff2": "Linear", "time_a": "Linear", "time_b": "Linear"}
    parts |= {"tanh": "Tanh", "sigmoid": "Sigmoid"}
    for index, cell in enumerate(_cells_of(source)):
        where = "rnn_cell"
        if cell is not source.rnn_cell:
            where = f"rnn_cell.layer_{index}"
            if cell is not getattr(source.rnn_cell, f"layer_{index}", None):
                found.append(
                    f"{where} was replaced, but ncps still runs the cell it was built with; "
                    "copy the weights into a new ncps.torch.CfC"
                )
        for part, expected in parts.items():
            actual = type(getattr(cell, part, None)).__name__
            if actual not in (expected, "NoneType", f"Parametrized{expected}"):
                found.append(f"{where}.{part} is a {actual}, expected torch.nn.{expected}")
    readout = type(source.fc).__name__
    if readout not in ("Linear", "Identity", "ParametrizedLinear"):
        found.append(f"fc is a {readout}, expected torch.nn.Linear or torch.nn.Identity")
    return found
