"""Imports LrcSSM layers.

What is accepted: `lnn2loihi.models.lrc_ssm.LrcSSM`, alive or as a checkpoint of its state_dict in
`.pt`, `.pth` or `.safetensors`, and the arrays of the cell of github.com/MoniFarsang/LrcSSM under
their names (`weight_sensory_mu`, ...). Several layers have numbers before their keys
(`0.weight_mu` or `layers.0.weight_mu`). Files that equinox has written hold no names:
`lnn2loihi.converters.equinox_read.importer` reads these, and the whole network of the source.

A checkpoint goes with a short TOML file::

    [network]
    module = "LrcSSM"                # required
    checkpoint = "net.safetensors"   # relative to this file; absent where the path is given
    input_size = 8
    hidden_size = 32
    num_layers = 2
    prefix = "rnn."                  # where it sits in a larger state_dict
    readout = "fc."                  # where a Linear after the last layer sits in it

`weight_elastance_shift` is of a variant that the source never makes, and is left out.
The variant with complex states is refused: the map that makes real numbers of them is neither
trained nor saved there.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.converters.files.checkpoint import Tensor
from lnn2loihi.converters.files.description import Description
from lnn2loihi.converters.recurrent.family import (
    FamilyImporter,
    FamilyParts,
    NetworkParts,
    RecurrentDescription,
    suggested_prefix,
)
from lnn2loihi.families.lrc_ssm.layer import FORGET, SENSORY, UPDATE, LrcSSMLayer
from lnn2loihi.families.lrc_ssm.leaves import (
    COMPLEX_REFUSED,
    LeavesDescription,
    LeavesError,
    is_cell,
    is_network,
    network_leaves,
)
from lnn2loihi.families.lrc_ssm.network import LrcSSMBuilder
from lnn2loihi.layers.linear import FloatArray, Linear

LRC_SSM = "LrcSSM"
_CLASS = "lnn2loihi.models.lrc_ssm.LrcSSM"
#: Arrays of a cell in the order of the source, each with the letters of its shape: I inputs, n
#: units.
CELL: dict[str, str] = {
    "sensory_mu": "I",
    "sensory_sigma": "I",
    "sensory_w": "nI",
    "sensory_h": "nI",
    "mu": "n",
    "sigma": "n",
    "w": "n",
    "h": "n",
    "gleak": "n",
    "vleak": "n",
    "elastance_kernel": "n",
    "elastance_bias": "n",
    "elastance_shift": "n",
}
#: The one that the source never uses, and what tells a cell from others.
DEAD, OWN = "elastance_shift", "elastance_kernel"
_log = logging.getLogger("lnn2loihi")
#: An array that the variant with complex states has alone.
COMPLEX = "weight_muim"
_KEY = re.compile(rf"(.*?)weight_{OWN}")


class LrcSSMImporter(FamilyImporter):
    """The importer of the family."""

    name: ClassVar[str] = "lrc_ssm"
    modules: ClassVar[tuple[str, ...]] = (LRC_SSM,)
    aliases: ClassVar[Mapping[str, str]] = {_CLASS: LRC_SSM}
    classes: ClassVar[Mapping[str, str]] = {_CLASS: LRC_SSM}
    equinox: ClassVar[type[Description] | None] = LeavesDescription

    def is_checkpoint(self, state: Mapping[str, Tensor]) -> bool:
        """Whether there are keys such as weight_elastance_kernel."""
        return any(_KEY.fullmatch(key) for key in state)

    def parts(
        self, state: Mapping[str, Tensor], description: RecurrentDescription
    ) -> tuple[FamilyParts | None, list[str]]:
        """The layers, or None and everything that is wrong with the arrays."""
        arrays = Arrays(state, description.prefix)
        before = {m.group(1) for key in arrays.keys if (m := _KEY.fullmatch(key))}
        ordered = sorted(before, key=_number)
        wrong = [b for b in ordered if b and not re.fullmatch(r"(layers\.)?[0-9]{1,4}\.", b)]
        if not before or wrong or ("" in before and len(before) > 1):
            return None, [_absent(description, state)]
        if any(key.endswith(COMPLEX) for key in arrays.keys):
            return None, [COMPLEX_REFUSED]
        layers: list[LrcSSMLayer] = []
        for number, start in enumerate(ordered):
            found: dict[str, FloatArray] = {}
            sizes: dict[str, int] = {}
            found[OWN] = arrays.take(f"{start}weight_{OWN}", None, 0)
            sizes["n"] = len(found[OWN])
            for name, letters in CELL.items():
                key = f"{start}weight_{name}"
                if name == OWN or (name == DEAD and key not in arrays.keys):
                    continue
                wanted = [sizes.get(letter) for letter in letters]
                found[name] = arrays.take(key, *wanted, *([0] if len(letters) == 1 else []))
                sizes.setdefault(letters[-1], found[name].shape[-1])
            if not arrays.problems:
                layers.append(cell_layer(f"layer_{number}", found))
        arrays.refuse_others(description.module, description.readout)
        return (None if arrays.problems else FamilyParts(tuple(layers))), arrays.problems

    def from_equinox(
        self, leaves: Sequence[np.ndarray], description: LeavesDescription, file: str
    ) -> tuple[NetworkParts | None, list[str]]:
        """See `FamilyImporter`: a cell alone, or the network of the source."""
        if is_cell(leaves):
            arrays = dict(zip(CELL, (np.asarray(leaf, np.float64) for leaf in leaves), strict=True))
            units, inputs = arrays["sensory_w"].shape
            sizes = {"n": units, "I": inputs}
            wrong = [
                f"array {place} ({name}) has shape {arrays[name].shape}, expected {wanted}"
                for place, (name, letters) in enumerate(CELL.items())
                if arrays[name].shape != (wanted := tuple(sizes[letter] for letter in letters))
            ]
            if wrong:
                return None, wrong
            layer = cell_layer("cell", arrays)
            return NetworkParts((layer,), {}, None, {"left out": f"weight_{DEAD}"}), []
        if not is_network(leaves):
            return None, []
        try:
            found = network_leaves(leaves, description, file)
        except LeavesError as error:
            return None, [str(error)]
        cells = [
            cell_layer(f"cell_{number}", dict(zip(CELL, cell, strict=True)))
            for number, cell in enumerate(found.cells)
        ]
        builder = LrcSSMBuilder()
        readout = builder.network(
            found.encoder[0].input_size, found.encoder, cells, found.maps, found.classifier,
            found.norm, found.activation,
        )  # fmt: skip
        notes = {
            "left out": f"weight_{DEAD} and dropout, which the source never uses",
            "answer": "the source answers with the mean of the outputs over the sequence",
        }
        if found.guessed:
            said = f"{found.activation}, the source's default: neither the file nor its name says"
            notes["activation of the maps"] = said
            _log.warning("%s: the activation of the maps is taken for %s", file, said)
        return NetworkParts(tuple(builder.layers), builder.hears, readout, notes), []

    def suggestion(self, state: Mapping[str, Tensor]) -> list[str]:
        """Lines of a description, as far as the keys of a checkpoint tell."""
        match = next(m for key in state if (m := _KEY.fullmatch(key)))
        prefix = re.sub(r"(layers\.)?\d+\.$", "", match.group(1))
        return [f'module = "{LRC_SSM}"', *suggested_prefix(prefix)]


def cell_layer(name: str, arrays: Mapping[str, FloatArray]) -> LrcSSMLayer:
    """The layer of the arrays of a cell, by their names in CELL."""
    slope, open_slope = arrays["sensory_sigma"], arrays["sigma"]
    return LrcSSMLayer(
        name,
        Linear(SENSORY, np.diag(slope), -slope * arrays["sensory_mu"]),
        Linear(FORGET, arrays["sensory_w"], arrays["gleak"]),
        Linear(UPDATE, arrays["sensory_h"], arrays["gleak"]),
        opening_slope=open_slope,
        opening_offset=-open_slope * arrays["mu"],
        forget_own=arrays["w"],
        update_own=arrays["h"],
        elastance_slope=arrays["elastance_kernel"],
        elastance_offset=arrays["elastance_bias"],
        drive=arrays["vleak"],
    )


def _number(text: str) -> int:
    digits = re.findall(r"\d+", text)
    return int(digits[-1]) if digits else 0


def _absent(description: Any, state: Mapping[str, Tensor]) -> str:
    others = sorted({m.group(1) for key in state if (m := _KEY.fullmatch(key))})
    said = ", ".join(map(repr, others)) or "none"
    return (
        f"no key is {description.prefix + 'weight_' + OWN!r}, nor has a number before it, so it is "
        f"not the state_dict of an {LRC_SSM}; what stands before such keys: {said} (prefix in "
        f"{description.origin})"
    )
