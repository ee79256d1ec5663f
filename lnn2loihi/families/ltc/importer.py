"""Imports liquid time-constant networks (LTC) of the PyTorch package `ncps`.

What is accepted: every `ncps.torch.LTC`, as a live module or as a checkpoint of its state_dict in
`.pt`, `.pth` or `.safetensors`: any wiring or a number of units, both ways of keeping parameters
positive, all input and output mappings, mixed memory, any number of unfolds, constant and
irregular time; and a live `LTCCell`, as what an LTC around it would be. Masks are
taken from the arrays (`sparsity_mask`), never from a wiring object.

A checkpoint goes with a short TOML file that says how the module was built::

    [network]
    module = "ncps.torch.LTC"            # required
    checkpoint = "net.safetensors"       # relative to this file; absent where the path is given
    input_size = 8                       # required: input channels
    units = 32                           # required
    output_size = 4                      # required where there is no output mapping
    ode_unfolds = 6
    epsilon = 1e-8
    implicit_param_constraints = true    # whether w, gleak and cm go through a softplus
    input_mapping = "affine"             # or "linear", "none"
    output_mapping = "affine"            # or "linear", "none"
    mixed_memory = false
    timespan = 1.0                       # "irregular" where it comes with the samples
    prefix = "rnn."                      # where the LTC sits in a larger state_dict
    name = "my net"

All keys but those that are required may be absent. `ode_unfolds`, `epsilon`,
`implicit_param_constraints` and `timespan` are not in the arrays: the defaults of `ncps.torch.LTC`,
which are those above, stand where they are absent (an `LTCCell` on its own has
`implicit_param_constraints=False`). The rest is checked against the arrays.

Without implicit constraints, weights that an optimiser made negative are imported as they are, so
that the network computes what the module does; the chip needs positive ones, and quantization says
so by name.

Timespans of a batch are wrong in ncps 1.0.1, as for CfC: `LTC.forward` squeezes them to one value
a sequence, which PyTorch then spreads over the units. What is imported here is what ncps computes
for each sequence on its own. At an elapsed time of 0 ncps divides by zero; here the state then
stays as it is, which is the limit.

Also accepted: the original LTC of github.com/raminmh/liquid_time_constant_networks (TensorFlow
1), as a checkpoint that was made a `.npz` (`module = "ltc_model.LTCCell"`, with `prefix`, and
`readout` of the Dense after it), see `lnn2loihi.families.ltc.original`, or as the folder of CSV
files that its `export_weights` writes, see `lnn2loihi.families.ltc.folder`.

Source: ncps 1.0.1 (Apache-2.0), torch/ltc.py and torch/ltc_cell.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from lnn2loihi.converters.files.checkpoint import Tensor
from lnn2loihi.converters.files.description import Description
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.converters.modules.classes import is_torch_module
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.cfc.ncps import MEMORY_PARTS, NcpsImporter, as_module, changed_parts
from lnn2loihi.families.ltc.description import LTC, LTCDescription
from lnn2loihi.families.ltc.keras import keras_parts, ltc_positions
from lnn2loihi.families.ltc.original import (
    ORIGINAL,
    OriginalLTCDescription,
    is_original,
    original_lines,
    original_parts,
)
from lnn2loihi.families.ltc.state import KEY, ltc_parts, suggested_lines
from lnn2loihi.printable import kind_of_value


class LTCImporter(NcpsImporter):
    """The importer of the family."""

    modules: ClassVar[tuple[str, ...]] = (LTC, ORIGINAL)
    classes: ClassVar[Mapping[str, str]] = {
        "ncps.torch.ltc.LTC": LTC,
        "ncps.torch.ltc_cell.LTCCell": LTC,
    }
    description: ClassVar[type[Description]] = LTCDescription
    keras: ClassVar[tuple[str, ...]] = ("LTC",)

    def description_for(self, module: str) -> type[Description]:
        """The original implementation has little to say."""
        return OriginalLTCDescription if module == ORIGINAL else LTCDescription

    def is_checkpoint(self, state: Mapping[str, Tensor]) -> bool:
        """Whether there is a key that only LTCs have."""
        own = as_module(state)
        # An LRC has a gleak, too, and no capacitance.
        known = any(key.endswith(KEY) and key[: -len("gleak")] + "cm" in own for key in own)
        return known or is_original(state)

    def describe(self, source: Any) -> tuple[LTCDescription, list[str]]:
        """How a live LTC was built; and what in it is not as ncps builds it."""
        return _described(source), _changed_parts(source)

    def parts(
        self, state: Mapping[str, Tensor], description: LTCDescription | OriginalLTCDescription
    ) -> tuple[FamilyParts | None, list[str]]:
        """The layers, or None and everything that is wrong with the arrays."""
        if isinstance(description, OriginalLTCDescription):
            return original_parts(state, description)
        return ltc_parts(state, description)

    def from_keras(self, layer: KerasLayer) -> tuple[FamilyParts | None, list[str]]:
        """The layers of one LTC of ncps.keras or ncps.tf."""
        return keras_parts(layer)

    def from_names(self, arrays: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]] | None:
        """An LTC of ncps.keras or ncps.tf."""
        return ltc_positions(arrays)

    def suggestion(self, state: Mapping[str, Tensor]) -> list[str]:
        """Lines of a description, as far as the keys of a checkpoint tell."""
        if is_original(state):
            return original_lines(state)
        return suggested_lines(as_module(state))

    def timespan_problems(self, timespan: float | None) -> list[str]:
        """An LTC divides by the elapsed time."""
        if timespan is None or timespan > 0.0:
            return []
        return [f"timespan is {timespan:g}; an LTC divides by it, so give a number above 0"]


def _described(source: Any) -> LTCDescription:
    cell = source.rnn_cell
    return LTCDescription(
        origin="the module",
        module=LTC,
        input_size=source.input_size,
        units=source.state_size,
        output_size=source.motor_size,
        ode_unfolds=cell._ode_unfolds,
        epsilon=cell._epsilon,
        implicit_param_constraints=bool(cell._implicit_param_constraints),
        input_mapping=cell._input_mapping or "none",
        output_mapping=cell._output_mapping or "none",
        mixed_memory=bool(source.use_mixed),
    )


def _changed_parts(source: Any) -> list[str]:
    """What was changed in a module so that its arrays no longer tell what it computes."""
    found: list[str] = []
    owners = ((source, "LTC", "ltc"), (source.rnn_cell, "LTCCell", "ltc_cell"))
    for owner, name, file in owners if is_torch_module(source) else owners[1:]:
        kind = (f"ncps.torch.{file}", name)
        original = next(
            (c for c in type(owner).__mro__ if (c.__module__, c.__name__) == kind), None
        )
        if original is None:
            found.append(f"rnn_cell is {kind_of_value(owner)}; give a plain {LTC}")
            return found
        own = type(owner)
        changed = [m for m, value in vars(original).items()
                   if callable(value) and getattr(own, m) is not value]  # fmt: skip
        if set(changed) - {"__init__"}:
            found.append(
                f"it overrides {', '.join(sorted(set(changed) - {'__init__'}))} of {name}; give a "
                f"plain {LTC}"
            )
    cell = source.rnn_cell
    # The cell computes with this table, which is not what state_dict reads.
    stale = [key for key, value in cell._params.items() if getattr(cell, key, None) is not value]
    if stale:
        found.append(
            f"rnn_cell.{', rnn_cell.'.join(stale[:8])}: the module still computes with the arrays "
            "that it was built with, since they were replaced and not filled "
            "(load_state_dict(assign=True), a parametrization); load them without assign=True "
            f"into a new {LTC}"
        )
    expected = "Softplus" if cell._implicit_param_constraints else "Identity"
    actual = cell.make_positive_fn
    if type(actual).__name__ != expected or getattr(actual, "beta", 1) != 1:
        found.append(f"rnn_cell.make_positive_fn is {actual}, expected torch.nn.{expected}()")
    if source.use_mixed:
        found += changed_parts("lstm", source.lstm, MEMORY_PARTS)
    return found
