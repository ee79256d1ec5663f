"""Imports liquid-resistance liquid-capacitance units (LRC, LRCU) and saturated LTCs (STC).

What is accepted: `lnn2loihi.models.lrc.LRC`, `LRCU` and `STC`, and `LRC_Cell` of
github.com/MoniFarsang/LRC (TensorFlow); the first as live modules or as checkpoints of their
state_dict in `.pt`, `.pth` or `.safetensors`, the second as `.npz` of its variables, `.keras`,
`.weights.h5` or `.h5`.

A checkpoint goes with a short TOML file::

    [network]
    module = "LRC"
    checkpoint = "net.safetensors"   # relative to this file; absent where the path is given
    elastance_type = "symmetric"     # "asymmetric", or "none" (STC), which the original calls
                                     # "interp"; it follows from the arrays
    forget_gate = true               # follows from the arrays
    ode_solver = "explicit"          # or "hybrid"
    ode_unfolds = 1
    input_size = 8
    units = 32
    input_mapping = "affine"         # or "linear", "none"
    output_mapping = "affine"        # or "linear", "none"
    timespan = 1.0                   # "irregular" where it comes with the samples
    prefix = "rnn.lrc__cell."        # where it sits in a larger state_dict
    readout = "time_distributed."    # where a Linear or a Dense after it sits in it
    name = "my net"

All keys but `module` are optional. `ode_solver`, `ode_unfolds` and `timespan` are not in the
arrays: the defaults of the original, which are those above, stand where they are absent. The rest
is checked against the arrays.

The autonomous variant, `LRC_AR_Cell`, is refused: no samples enter it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from lnn2loihi.converters.files.checkpoint import Tensor
from lnn2loihi.converters.files.description import Description
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.converters.recurrent.family import FamilyImporter, FamilyParts
from lnn2loihi.families.lrc.description import INTERP, LRC, LRCDescription
from lnn2loihi.families.lrc.keras import keras_parts, keras_positions
from lnn2loihi.families.lrc.state import SATURATED, lrc_parts, places, suggested_lines

_log = logging.getLogger("lnn2loihi")


class LRCImporter(FamilyImporter):
    """The importer of the family."""

    name: ClassVar[str] = "lrc"
    modules: ClassVar[tuple[str, ...]] = (LRC,)
    aliases: ClassVar[Mapping[str, str]] = {
        f"lnn2loihi.models.lrc.{name}": LRC for name in ("LRC", "LRCU", "STC")
    }
    classes: ClassVar[Mapping[str, str]] = aliases
    description: ClassVar[type[Description]] = LRCDescription
    takes_time: ClassVar[bool] = True
    keras: ClassVar[tuple[str, ...]] = ("LRC",)

    def is_checkpoint(self, state: Mapping[str, Tensor]) -> bool:
        """Whether there are keys that only LRCs have side by side."""
        return bool(places([*state]))

    def describe(self, source: Any) -> tuple[Description | None, list[str]]:
        """How a live module was built; and what in it cannot be imported."""
        described, refused = super().describe(source)
        if described is None:
            return None, refused
        return LRCDescription(
            origin="the module",
            module=LRC,
            input_size=source.input_size,
            units=source.units,
            elastance_type=source.elastance_type,
            forget_gate=source.forget_gate,
            ode_solver=source.ode_solver,
            ode_unfolds=source.ode_unfolds,
        ), refused

    def parts(
        self, state: Mapping[str, Tensor], description: LRCDescription
    ) -> tuple[FamilyParts | None, list[str]]:
        """The layers, or None and everything that is wrong with the arrays."""
        if description.elastance_type == INTERP:
            _log.warning("%s: the elastance is %s", description.origin, SATURATED)
        return lrc_parts(state, description)

    def from_keras(self, layer: KerasLayer) -> tuple[FamilyParts | None, list[str]]:
        """The layer of an RNN of an LRC_Cell."""
        return keras_parts(layer)

    def from_names(self, arrays: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]] | None:
        """An RNN of an LRC_Cell."""
        return keras_positions(arrays)

    def suggestion(self, state: Mapping[str, Tensor]) -> list[str]:
        """Lines of a description, as far as the keys of a checkpoint tell."""
        return suggested_lines(state)

    def calls(self, source: Any) -> Mapping[str, bool]:
        """Its answers of all steps and its state, as those of ncps."""
        return {}
