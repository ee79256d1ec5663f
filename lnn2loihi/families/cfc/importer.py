"""Imports closed-form continuous-time networks (CfC) of the PyTorch package `ncps`.

The importer `ncps` also takes its liquid time-constant networks: `lnn2loihi.families.ltc.importer`
says how they are described. The rest is about CfCs.

What is accepted: every `ncps.torch.CfC`, as a live module or as a checkpoint of its state_dict in
`.pt`, `.pth` or `.safetensors`: modes default, no_gate and pure; any wiring (AutoNCP, NCP,
FullyConnected, Random, one's own) or a number of units with a backbone of any depth and any of
its activations; mixed memory; a projection (`proj_size`). A mixed memory over a wiring of several
layers is one layer `memory` with the others in it (`lnn2loihi.families.cfc.wired`).
Masks are taken from the arrays (`sparsity_mask`), never from a wiring object, because building a
module changes its wiring. Modules that hold a CfC among others:
`lnn2loihi.converters.modules.importer`.

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
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.files.checkpoint import (
    CHECKPOINTS,
    Tensor,
    read_checkpoint,
    torch_tensors,
)
from lnn2loihi.converters.files.known_modules import unknown_module
from lnn2loihi.converters.files.resolution import resolve
from lnn2loihi.converters.modules.classes import class_name, is_torch_module
from lnn2loihi.converters.provenance import torch_version
from lnn2loihi.converters.recurrent.known import family_of
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.families.cfc.description import (
    NCPS,
    TORCH_CFC,
    Description,
    Timespan,
    checked_timespan,
    read_description,
    read_table,
)
from lnn2loihi.families.cfc.layout import suggested_description
from lnn2loihi.families.cfc.module import describe, is_cfc
from lnn2loihi.families.cfc.state import network_from_state
from lnn2loihi.families.ltc.description import LTC, LTCDescription, read_ltc_description
from lnn2loihi.families.ltc.importer import describe_ltc, is_ltc
from lnn2loihi.families.ltc.state import KEY, ltc_from_state, suggested_ltc_description
from lnn2loihi.files import why_no_file
from lnn2loihi.network import LiquidNetwork


class NcpsImporter:
    """Entry point `ncps` of the group `lnn2loihi.importers`."""

    #: Asked last: it takes every checkpoint that no other importer takes, to say what is missing.
    catch_all = True

    def recognises(self, source: object) -> bool:
        """Whether `source` is a CfC or an LTC of ncps, or a path that ends like a checkpoint or a
        TOML and is of no other family.

        Imports neither torch nor ncps.
        """
        if isinstance(source, (str, os.PathLike)):
            suffix = Path(source).suffix.lower()
            return suffix in (*CHECKPOINTS, ".toml") and family_of(source) is None
        return is_cfc(source) or is_ltc(source)

    @checks_kinds(ImportNetworkError)
    def load(
        self,
        source: object,
        *,
        timespan: Timespan | None = None,
        description: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> LiquidNetwork:
        """Turns a live module or a checkpoint with its description into a LiquidNetwork.

        Args:
            source: an `ncps.torch.CfC` or `ncps.torch.LTC`, the path of a checkpoint, or the path
                of a description that names its checkpoint.
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
        raise ImportNetworkError(str(path), why_no_file(path))
    try:
        path, description = resolve(path, toml, _read, _suggested)
        if isinstance(description, LTCDescription):
            return ltc_from_state(
                read_checkpoint(path),
                description,
                subject=str(path),
                name=name or description.name or path.stem,
                timespan=checked_timespan(str(path), timespan, description.timespan),
                source={"importer": "ncps", "file": path.name, **versions()},
            )
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


def _read(toml: Path) -> Description | LTCDescription:
    """A description, of the module that it names.

    Raises:
        ImportNetworkError: nobody knows that module (what else there is depends on it), or what
            the reader of its descriptions raises.
    """
    module = read_table(toml).get("module")
    if module == LTC:
        return read_ltc_description(toml)
    if isinstance(module, str) and module not in (NCPS, TORCH_CFC):
        raise ImportNetworkError(str(toml), unknown_module(module))
    return read_description(toml)


def _suggested(state: Mapping[str, Tensor], checkpoint: str) -> str:
    """A description to edit, for a checkpoint that has none."""
    ltc = any(key.endswith(KEY) for key in state)
    return (suggested_ltc_description if ltc else suggested_description)(state, checkpoint)


def versions() -> dict[str, str]:
    """Versions of ncps, where it is installed, and of torch, where it is imported."""
    found: dict[str, str] = {}
    try:
        # ncps.__version__ says 0.0.2 in release 1.0.1.
        found["ncps"] = version("ncps")
    except PackageNotFoundError:
        pass
    return found | torch_version()


def _load_module(source: Any, timespan: Timespan | None, name: str | None) -> LiquidNetwork:
    """Loads a live CfC or LTC."""
    subject = class_name(source)
    if is_ltc(source):
        ltc, refused = describe_ltc(source)
        return ltc_from_state(
            torch_tensors(source.state_dict()),
            ltc,
            subject=subject,
            name=name or type(source).__name__.lower(),
            timespan=checked_timespan(subject, timespan),
            source={"importer": "ncps", "class": LTC, **versions()},
            refused=refused,
        )
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
        "this class cannot be imported; accepted is an ncps.torch.CfC or ncps.torch.LTC, alone or "
        "in a module of linear layers and activations"
    )
