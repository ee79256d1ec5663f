"""Imports minGRU and minLSTM, whose gates depend on the inputs alone.

What is accepted: `lnn2loihi.models.minimal_rnn.MinGRU` and `MinLSTM`, and `minGRU` and `minLSTM` of
github.com/lucidrains/minGRU-pytorch; as live modules or as checkpoints of their state_dict in
`.pt`, `.pth` or `.safetensors`. Several layers have numbers before their keys
(`0.to_hidden_and_gate.weight` or `layers.0.to_hidden_and_gate.weight`, as an nn.Sequential or an
nn.ModuleList has them). `to_out` is a linear map after its layer. Modules that hold such layers
among others: `lnn2loihi.converters.modules.importer`.

A checkpoint goes with a short TOML file::

    [network]
    module = "minGRU"                # required; or "minLSTM"; the full names of the classes do too
    checkpoint = "net.safetensors"   # relative to this file; absent where the path is given
    form = "log"                     # or "linear": what a candidate is made of its sum
    input_size = 8
    hidden_size = 32
    num_layers = 2
    bias = false
    prefix = "rnn."                  # where it sits in a larger state_dict
    readout = "fc."                  # where a Linear after the last layer sits in it
    name = "my net"

All keys but `module` are optional; what they say is checked against the arrays, but for `form`,
which is not in them. The public implementation always has the form "log": with the sum a of the
candidate, a + 0.5 where a >= 0 and sigmoid(a) elsewhere. `net.toml` beside `net.pt` is found by
itself.

Arrays: `to_hidden_and_gate.weight` (2 units, inputs) stacks the candidate and the update gate,
`to_hidden_and_f_i_gate.weight` (3 units, inputs) the candidate, the forget gate and the input gate.
Equations: Feng et al. 2024, arXiv:2410.01201.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.converters.files.checkpoint import Tensor
from lnn2loihi.converters.files.description import Description, text
from lnn2loihi.converters.recurrent.family import (
    FamilyImporter,
    FamilyParts,
    RecurrentDescription,
    suggested_prefix,
)
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.minimal.layer import FORMS, MinGRULayer, MinimalLayer, MinLSTMLayer
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.linear import SUM, Linear

MIN_GRU, MIN_LSTM = "minGRU", "minLSTM"
#: The classes that are known, and what they are.
_CLASSES = {
    "lnn2loihi.models.minimal_rnn.MinGRU": MIN_GRU,
    "lnn2loihi.models.minimal_rnn.MinLSTM": MIN_LSTM,
    "minGRU_pytorch.minGRU": MIN_GRU,
    "minGRU_pytorch.minLSTM": MIN_LSTM,
}
#: For each module its layer, and the name of the map that stacks its gates.
_LAYERS: dict[str, tuple[type[MinimalLayer], str]] = {
    MIN_GRU: (MinGRULayer, "to_hidden_and_gate"),
    MIN_LSTM: (MinLSTMLayer, "to_hidden_and_f_i_gate"),
}
_MAPS = "|".join(name for _, name in _LAYERS.values())
_KEY = re.compile(rf"(.*?)({_MAPS})\.(?:weight|bias)")


@dataclass(frozen=True, kw_only=True)
class MinimalDescription(RecurrentDescription):
    """How a minGRU or minLSTM was built.

    Attributes:
        form: what a candidate is made of its sum, one of FORMS.
    """

    form: str = text(FORMS, default="log")


class MinimalRnnImporter(FamilyImporter):
    """The importer of the family."""

    name: ClassVar[str] = "minimal_rnn"
    modules: ClassVar[tuple[str, ...]] = (MIN_GRU, MIN_LSTM)
    aliases: ClassVar[Mapping[str, str]] = _CLASSES
    classes: ClassVar[Mapping[str, str]] = _CLASSES
    description: ClassVar[type[Description]] = MinimalDescription

    def is_checkpoint(self, state: Mapping[str, Tensor]) -> bool:
        """Whether there are keys such as to_hidden_and_gate.weight."""
        return any(_KEY.fullmatch(key) for key in state)

    def describe(self, source: Any) -> tuple[Description | None, list[str]]:
        """How a live module was built; and what in it cannot be imported."""
        described, refused = super().describe(source)
        if isinstance(described, MinimalDescription):
            described = replace(described, form=getattr(source, "form", "log"))
        return described, refused

    def parts(
        self, state: Mapping[str, Tensor], description: MinimalDescription
    ) -> tuple[FamilyParts | None, list[str]]:
        """The layers, or None and everything that is wrong with the arrays."""
        arrays = Arrays(state, description.prefix)
        kind, stacked = _LAYERS[description.module]
        # What stands before the keys of each layer, in the order of their numbers.
        before = {m.group(1) for key in arrays.keys if (m := _KEY.fullmatch(key))}
        ordered = sorted(before, key=_number)
        wrong = [
            start
            for start in ordered
            if start and not re.fullmatch(r"(layers\.)?[0-9]{1,4}\.", start)
        ]
        if not before or wrong or ("" in before and len(before) > 1):
            return None, [_absent(stacked, description, state)]
        layers: list[GatedLayer | DenseLayer] = []
        readout = None
        for number, start in enumerate(ordered):
            name = f"layer_{number}"
            layer = kind(
                name, _gates(arrays, f"{start}{stacked}", kind.names), form=description.form
            )
            layers.append(layer)
            if f"{start}to_out.weight" in arrays.keys:
                weight = arrays.take(f"{start}to_out.weight", None, layer.units)
                after = Linear("readout", weight, np.zeros(len(weight)))
                if start == ordered[-1] and description.readout is None:
                    readout = after
                else:
                    linear = Linear(SUM, after.weight, after.bias)
                    layers.append(DenseLayer(f"{name}_out", linear, "identity"))
        arrays.refuse_others(description.module, description.readout)
        bias = f"{ordered[0]}{stacked}.bias" in arrays.keys
        found = FamilyParts(tuple(layers), readout, bias=bias)
        return (None if arrays.problems else found), arrays.problems

    def suggestion(self, state: Mapping[str, Tensor]) -> list[str]:
        """Lines of a description, as far as the keys of a checkpoint tell."""
        match = next(m for key in state if (m := _KEY.fullmatch(key)))
        module = next(name for name, (_, stacked) in _LAYERS.items() if stacked == match.group(2))
        prefix = re.sub(r"(layers\.)?\d+\.$", "", match.group(1))
        lines = [f'module = "{module}"', f'form = "{FORMS[0]}"  # or "{FORMS[1]}"']
        return lines + suggested_prefix(prefix)


def _number(text: str) -> tuple[int, str]:
    digits = re.findall(r"\d+", text)
    return (int(digits[-1]) if digits else 0), text


def _absent(stacked: str, description: MinimalDescription, state: Mapping[str, Tensor]) -> str:
    others = sorted({m.group(1) for key in state if (m := _KEY.fullmatch(key))})
    said = ", ".join(map(repr, others)) or "none"
    return (
        f"no key is {description.prefix + stacked + '.weight'!r}, nor has a number before it, so "
        f"it is not the state_dict of a {description.module}; what stands before such keys: {said} "
        f"(prefix in {description.origin})"
    )


def _gates(arrays: Arrays, key: str, names: tuple[str, ...]) -> tuple[Linear, ...]:
    """The maps of one layer, which one map stacks."""
    weight = arrays.take(f"{key}.weight")
    if len(weight) % len(names):
        arrays.problems.append(
            f"{key}.weight has {len(weight)} rows, which are not {len(names)} for each unit"
        )
        weight = np.zeros((len(names), weight.shape[1]))
    has_bias = f"{key}.bias" in arrays.keys
    bias = arrays.take(f"{key}.bias", len(weight), 0) if has_bias else np.zeros(len(weight))
    return tuple(map(Linear, names, *(np.split(array, len(names)) for array in (weight, bias))))
