"""Imports closed-form continuous-time networks (CfC) of the PyTorch package `ncps`.

What is accepted: every `ncps.torch.CfC`, as a live module or as a checkpoint of its state_dict in
`.pt`, `.pth` or `.safetensors`: modes default, no_gate and pure; any wiring (AutoNCP, NCP,
FullyConnected, Random, one's own) or a number of units with a backbone of any depth and any of
its activations; mixed memory; a projection (`proj_size`). A mixed memory over a wiring of several
layers is one layer `memory` with the others in it (`lnn2loihi.layers.wired`).
Masks are taken from the arrays (`sparsity_mask`), never from a wiring object, because building a
module changes its wiring. Modules that hold a CfC among others: `lnn2loihi.converters.modules`.

Also accepted: state dictionaries of `Cfc` in torch_cfc.py of github.com/raminmh/CfC, the original
implementation, which have the same keys. Where it was trained with a `mask`, the mask (and the
time since the last update) are inputs like the others, for the caller to supply.

A checkpoint goes with a short TOML file that says how the module was built::

    [network]
    module = "ncps.torch.CfC"        # required; or "torch_cfc.Cfc"
    checkpoint = "net.safetensors"   # relative to this file; absent where the path is given
    input_size = 8                   # required: input channels
    units = 32                       # required: all units of the wiring
    output_size = 4                  # units of the last layer
    proj_size = 3                    # outputs of the readout
    mode = "default"                 # or "no_gate", which has the same keys; or "pure"
    activation = "lecun_tanh"        # of the backbone: or silu, relu, tanh, gelu
    backbone_units = 128
    backbone_layers = 1
    mixed_memory = false
    timespan = 1.0                   # elapsed time between two samples, in the training's unit;
                                     # "irregular" where it comes with the samples
    prefix = "rnn."                  # where the CfC sits in a larger state_dict
    name = "my net"

All keys but `module`, `input_size` and `units` are optional. Sizes and parts that are given are
checked against the arrays; `mode` (default or no_gate), `activation` and `timespan` are not in the
arrays, and what ncps takes by default stands where they are absent. With `module =
"torch_cfc.Cfc"`, `activation` and `timespan` are required because there are no defaults, and its
own `minimal`, `no_gate` and `use_mixed` may stand for `mode` and `mixed_memory`. `net.toml` beside
`net.pt` is found by itself.

Timespans of a batch are wrong in ncps 1.0.1 (issues 81 to 83): `CfC.forward` squeezes them to one
value a sequence, which PyTorch then spreads over the units. With as many sequences as units this
gives other numbers without a word, with any other batch above 1 it raises. What is imported here
is what ncps computes for each sequence on its own; to compare, call the cell step by step::

    h_out, h = module.rnn_cell(x[:, t], h, timespans[:, t : t + 1])

ncps keeps its masks transposed in memory, which safetensors does not save: write
`safetensors.torch.save_file({k: v.contiguous() for k, v in module.state_dict().items()}, path)`
(`safetensors.numpy` 0.8 does not refuse such an array but saves other numbers).

Equations and names of the arrays: ncps 1.0.1 (Apache-2.0), torch/cfc_cell.py; Hasani et al. 2022,
arXiv:2106.13898.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lnn2loihi.converters.checkpoint import read_checkpoint, torch_tensors
from lnn2loihi.converters.description import (
    TORCH_CFC,
    Description,
    Timespan,
    checked_timespan,
    read_description,
)
from lnn2loihi.converters.ncps_layout import suggested_description
from lnn2loihi.converters.ncps_module import class_name, describe, is_cfc, is_torch_module
from lnn2loihi.converters.ncps_state import network_from_state
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.network import LiquidNetwork

_CHECKPOINTS = (".pt", ".pth", ".safetensors")


class NcpsImporter:
    """Entry point `ncps` of the group `lnn2loihi.importers`."""

    def recognises(self, source: object) -> bool:
        """Whether `source` is a CfC of ncps, or a path that ends like a checkpoint or a TOML.

        Imports neither torch nor ncps.
        """
        if isinstance(source, (str, os.PathLike)):
            return Path(source).suffix.lower() in (*_CHECKPOINTS, ".toml")
        return is_cfc(source)

    def load(
        self,
        source: object,
        *,
        timespan: Timespan | None = None,
        description: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> LiquidNetwork:
        """Turns a live CfC or a checkpoint with its description into a LiquidNetwork.

        Args:
            source: an `ncps.torch.CfC`, the path of a checkpoint, or the path of a description
                that names its checkpoint.
            timespan: constant elapsed time between two samples, in the unit of the training, or
                "irregular" where it comes with the samples; goes before the description's. 1.0,
                as in ncps, where neither says.
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
                class_name(source), "a live module needs no description; leave it out"
            )
        return _load_module(source, timespan, name)


def _load_file(
    path: Path, toml: Path | None, timespan: Timespan | None, name: str | None
) -> LiquidNetwork:
    """Loads a checkpoint with its description, from the path of either."""
    if not path.is_file():
        raise ImportNetworkError(str(path), "there is no such file")
    try:
        path, description = _resolve(path, toml)
        default = None if description.module == TORCH_CFC else 1.0
        return network_from_state(
            read_checkpoint(path),
            description,
            subject=str(path),
            name=name or description.name or path.stem,
            timespan=checked_timespan(str(path), timespan, description.timespan, default),
            source={"importer": "ncps", "file": path.name, **versions()},
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


def versions() -> dict[str, str]:
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


def _load_module(source: Any, timespan: Timespan | None, name: str | None) -> LiquidNetwork:
    """Loads a live CfC."""
    subject = class_name(source)
    if not is_cfc(source):
        raise ImportNetworkError(subject, _refusal_of_class(source))
    description, refused = describe(source)
    return network_from_state(
        torch_tensors(source.state_dict()),
        description,
        subject=subject,
        name=name or type(source).__name__.lower(),
        timespan=checked_timespan(subject, timespan),
        source={"importer": "ncps", "class": "ncps.torch.CfC", **versions()},
        refused=refused,
    )


def _refusal_of_class(source: Any) -> str:
    inside: list[str] = []
    if is_torch_module(source):
        inside = [key for key, part in source.named_modules() if is_cfc(part)]
    if inside:
        places = " or ".join(f"module.{key}" for key in inside[:8])
        return (
            f'it is not a CfC itself but holds one: give {places} instead, or format="modules" '
            "to import it as a whole"
        )
    return (
        "this class cannot be imported; accepted is an ncps.torch.CfC, alone or in a module of "
        "linear layers and activations; LTC and other recurrent modules are not supported yet"
    )
