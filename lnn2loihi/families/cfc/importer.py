"""Imports closed-form continuous-time networks (CfC) of the PyTorch package `ncps`.

What is accepted: every `ncps.torch.CfC`, as a live module or as a checkpoint of its state_dict in
`.pt`, `.pth` or `.safetensors`: modes default, no_gate and pure; any wiring (AutoNCP, NCP,
FullyConnected, Random, one's own) or a number of units with a backbone of any depth and any of
its activations; mixed memory; a projection (`proj_size`). A mixed memory over a wiring of several
layers is one layer `memory` with the others in it (`lnn2loihi.families.cfc.wired`). A live
`CfCCell` or `WiredCfCCell` is what an `ncps.torch.CfC` around it would be.
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

Weights of ncps-mlx (`.npz`, `.safetensors`) have the same keys and are another function, that of
ncps.keras: say `module = "ncps_mlx.CfC"`. `lnn2loihi.models.linear_cfc.module.LinearCfC` is that
function as a module to train; see `lnn2loihi.families.cfc.linear_modules`.

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

from collections.abc import Mapping
from typing import Any, ClassVar

from lnn2loihi.converters.files.checkpoint import Tensor
from lnn2loihi.converters.files.description import Description
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.cfc.description import (
    NCPS,
    TORCH_CFC,
    CfCDescription,
    TorchCfCDescription,
)
from lnn2loihi.families.cfc.keras import keras_parts
from lnn2loihi.families.cfc.keras_arrays import cfc_positions
from lnn2loihi.families.cfc.layout import suggested_lines
from lnn2loihi.families.cfc.linear_modules import (
    LINEAR,
    LINEAR_CLASS,
    MLX,
    LinearCfCDescription,
    describe_linear,
    linear_parts,
    module_of,
    plain_keys,
)
from lnn2loihi.families.cfc.module import describe
from lnn2loihi.families.cfc.ncps import NcpsImporter, as_module
from lnn2loihi.families.cfc.state import parts_from_state


class CfCImporter(NcpsImporter):
    """The importer of the family."""

    modules: ClassVar[tuple[str, ...]] = (NCPS, TORCH_CFC, MLX, LINEAR)
    classes: ClassVar[Mapping[str, str]] = {
        "ncps.torch.cfc.CfC": NCPS,
        "ncps.torch.cfc_cell.CfCCell": NCPS,
        "ncps.torch.wired_cfc_cell.WiredCfCCell": NCPS,
        LINEAR_CLASS: LINEAR,
    }
    aliases: ClassVar[Mapping[str, str]] = {LINEAR_CLASS: LINEAR}
    description: ClassVar[type[Description]] = CfCDescription
    keras: ClassVar[tuple[str, ...]] = ("CfC",)

    def description_for(self, module: str) -> type[Description]:
        """The original implementation has words of its own."""
        kinds: Mapping[str, type[Description]] = {
            TORCH_CFC: TorchCfCDescription,
            MLX: LinearCfCDescription,
            LINEAR: LinearCfCDescription,
        }
        return kinds.get(module, CfCDescription)

    def is_checkpoint(self, state: Mapping[str, Tensor]) -> bool:
        """Whether there are keys such as rnn_cell.ff1.weight or rnn_cell.layer_0.ff1.weight."""
        return any("rnn_cell." in key and ".ff1." in key for key in as_module(plain_keys(state)))

    def describe(self, source: Any) -> tuple[CfCDescription, list[str]]:
        """How a live CfC was built; and what in it is not as ncps builds it."""
        if self.classes.get(self.class_of(source) or "") == LINEAR:
            return describe_linear(source)
        return describe(source)

    def parts(
        self, state: Mapping[str, Tensor], description: CfCDescription
    ) -> tuple[FamilyParts | None, list[str]]:
        """The layers, or None and everything that is wrong with the arrays."""
        if isinstance(description, LinearCfCDescription):
            return linear_parts(state, description)
        return parts_from_state(state, description)

    def from_keras(self, layer: KerasLayer) -> tuple[FamilyParts | None, list[str]]:
        """The layers of one CfC of ncps.keras or ncps.tf."""
        return keras_parts(layer)

    def from_names(self, arrays: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]] | None:
        """A CfC of ncps.keras, ncps.tf or tf_cfc.py."""
        return cfc_positions(arrays)

    def suggestion(self, state: Mapping[str, Tensor]) -> list[str]:
        """Lines of a description, as far as the keys of a checkpoint tell."""
        own = as_module(plain_keys(state))
        module = module_of(state)
        if module is None:
            return suggested_lines(own)
        lines = [line for line in suggested_lines(own) if TORCH_CFC not in line and MLX not in line]
        return [line.replace(NCPS, module) for line in lines]

    def refusal(self, source: object) -> str:
        """The original implementation is imported from its weights alone."""
        if type(source).__name__ != TORCH_CFC.rpartition(".")[2]:
            return ""
        return (
            "it holds no recurrent layer; if it is the Cfc of torch_cfc.py (raminmh/CfC), save its "
            f"state_dict and describe it with module = {TORCH_CFC!r} (docs/files.md)"
        )
