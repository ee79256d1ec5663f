"""Imports torch.nn.GRU, torch.nn.LSTM and their cells.

What is accepted: every `torch.nn.GRU` and `torch.nn.LSTM` in one direction and without projection,
with any number of layers, with or without biases, and `GRUCell` and `LSTMCell`; as live modules or
as checkpoints of their state_dict in `.pt`, `.pth` or `.safetensors`. `batch_first` makes no
difference to the weights: samples are (batch, time, inputs) here in any case. Dropout between the
layers does nothing at inference, and the network's source says that it was there. Modules that hold
such layers among others: `lnn2loihi.converters.modules.importer`.

Refused: `bidirectional=True`, since half of its answer to a sample depends on all samples that are
still to come, and a chip answers sample by sample; `proj_size` above 0; `torch.nn.RNN`.

A checkpoint goes with a short TOML file::

    [network]
    module = "torch.nn.GRU"          # required; or torch.nn.LSTM, torch.nn.GRUCell, LSTMCell
    checkpoint = "net.safetensors"   # relative to this file; absent where the path is given
    input_size = 8
    hidden_size = 32
    num_layers = 2
    bias = true
    prefix = "rnn."                  # where it sits in a larger state_dict
    readout = "fc."                  # where a Linear after the last layer sits in it
    name = "my net"

All keys but `module` are optional, and what they say is checked against the arrays. `net.toml`
beside `net.pt` is found by itself.

Equations and names of the arrays: PyTorch 2, torch/nn/modules/rnn.py. Gates are stacked as r, z, n
in a GRU and as i, f, g, o in an LSTM. An LSTM adds its two biases; a GRU does not where its reset
gate stands between them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from lnn2loihi.converters.files.checkpoint import FloatArray, Tensor
from lnn2loihi.converters.modules.classes import class_names
from lnn2loihi.converters.recurrent.family import (
    Arrays,
    RnnDescription,
    RnnImporter,
    RnnParts,
    Shape,
    contradictions,
    readout_of,
)
from lnn2loihi.families.gru.layer import GRU_GATES, GRULayer
from lnn2loihi.families.lstm.layer import LSTMLayer
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.linear import Linear

_MODULE = "torch.nn.modules.rnn"
#: Where the gates of LSTMLayer stand among i, f, g, o.
_LSTM_ROWS = {"input_gate": 0, "forget_gate": 1, "cell_input": 2, "output_gate": 3}
_GRU_ROWS = 3
_KEY = re.compile(r"(?:weight|bias)_(?:ih|hh)(_l[0-9]{1,4})?")


class TorchRnnImporter(RnnImporter):
    """Entry point `torch_rnn` of the group `lnn2loihi.importers`."""

    name: ClassVar[str] = "torch_rnn"
    modules: ClassVar[tuple[str, ...]] = (
        "torch.nn.GRU", "torch.nn.LSTM", "torch.nn.GRUCell", "torch.nn.LSTMCell",
    )  # fmt: skip

    def is_module(self, source: object) -> bool:
        """Whether it is a GRU, an LSTM, a cell of one, or what is refused by name: an RNN."""
        return any(module == _MODULE for module, _ in class_names(source))

    def is_checkpoint(self, state: Mapping[str, Tensor]) -> bool:
        """Whether there are keys such as weight_ih_l0."""
        return any(_KEY.fullmatch(key.rsplit(".", 1)[-1]) for key in state)

    def describe(self, source: Any) -> tuple[RnnDescription, list[str]]:
        """How a live module was built; and what in it cannot be imported."""
        names = [name for module, name in class_names(source) if module == _MODULE]
        kind = next((n for n in ("GRU", "LSTM", "GRUCell", "LSTMCell") if n in names), None)
        if kind is None:
            return RnnDescription("the module", "torch.nn.RNN"), [
                f"it is a {type(source).__name__}, which cannot be imported; train a GRU or an "
                "LSTM in its place"
            ]
        refused = _overridden(source, kind)
        if getattr(source, "bidirectional", False):
            refused.append(
                "it is bidirectional: half of its answer to a sample depends on all samples that "
                "are still to come, and a chip answers sample by sample; train with "
                "bidirectional=False"
            )
        if getattr(source, "proj_size", 0):
            refused.append(
                f"its hidden state is projected (proj_size={source.proj_size}), which cannot be "
                "imported; train with proj_size=0 and a smaller hidden_size"
            )
        dropout = getattr(source, "dropout", 0.0)
        notes = (f"dropout={dropout} between layers",) if dropout else ()
        layers = getattr(source, "num_layers", 1)
        return RnnDescription(
            "the module", f"torch.nn.{kind}", bias=source.bias, num_layers=layers, notes=notes
        ), refused

    def parts(
        self, state: Mapping[str, Tensor], description: RnnDescription
    ) -> tuple[RnnParts | None, list[str]]:
        """The layers, or None and everything that is wrong with the arrays."""
        arrays = Arrays(state, description.prefix)
        refused = _refused_keys(arrays.keys, description, state)
        if refused:
            return None, refused
        numbers = {m.group(1) or "" for key in arrays.keys if (m := _KEY.fullmatch(key))}
        ends = [""] if numbers == {""} else [f"_l{n}" for n in range(len(numbers))]
        lstm = "LSTM" in description.module
        layers: list[GatedLayer] = []
        shapes: list[Shape] = []
        for number, end in enumerate(ends):
            made, shape = _layer(f"layer_{number}", arrays, end, lstm)
            layers.append(made)
            shapes.append(shape)
        arrays.refuse_others(description.module, description.readout)
        problems = arrays.problems or contradictions(description, shapes)
        readout = None
        if description.readout is not None:
            readout, found = readout_of(state, description.readout, shapes[-1].units)
            problems = problems + found
        return (None if problems else RnnParts(tuple(layers), readout)), problems

    def suggestion(self, state: Mapping[str, Tensor]) -> list[str]:
        """Lines of a description, as far as the keys of a checkpoint tell."""
        key = next(key for key in state if _KEY.fullmatch(key.rsplit(".", 1)[-1]))
        prefix = key[: key.rfind(".") + 1]
        end = key[key.rfind("_l") :] if "_l" in key[len(prefix) :] else ""
        cell = "" if end else "Cell"
        shape = state[f"{prefix}weight_hh{end}"].shape if f"{prefix}weight_hh{end}" in state else ()
        rows = shape[0] // shape[1] if len(shape) == 2 and shape[1] else 0
        kind = {3: "GRU", 4: "LSTM"}.get(rows)
        lines = [f'module = "torch.nn.{kind}{cell}"' if kind else 'module = "?"']
        if prefix:
            lines.append(f'prefix = "{prefix}"')
            lines.append('# readout = "..."  if a Linear after it is meant too')
        return lines


def _overridden(source: Any, kind: str) -> list[str]:
    original = next(
        c for c in type(source).__mro__ if (c.__module__, c.__name__) == (_MODULE, kind)
    )
    if type(source).forward is original.__dict__["forward"]:
        return []
    return [f"it overrides forward; give a plain torch.nn.{kind}"]


def _refused_keys(
    keys: list[str], description: RnnDescription, state: Mapping[str, Tensor]
) -> list[str]:
    """Keys that tell what cannot be imported, or that there is nothing to import."""
    if any(key.endswith("_reverse") for key in keys):
        return [
            "it is bidirectional (keys ending in _reverse): half of its answer to a sample depends "
            "on all samples that are still to come, and a chip answers sample by sample"
        ]
    if any(key.startswith("weight_hr") for key in keys):
        return ["its hidden state is projected (weight_hr_l0, proj_size above 0), which cannot be "
                "imported; train with proj_size=0"]  # fmt: skip
    if any(_KEY.fullmatch(key) for key in keys):
        return []
    prefix = description.prefix
    others = sorted({k[: k.rfind(".") + 1] for k in state if _KEY.fullmatch(k.rsplit(".", 1)[-1])})
    hint = ""
    if others:
        said = " or ".join(f"prefix = {other!r}" for other in others[:8])
        hint = f"; write {said} in {description.origin}"
    return [f"no key starts with {prefix + 'weight_ih'!r}, so it is not the state_dict of a "
            f"{description.module}{hint}"]  # fmt: skip


def _layer(name: str, arrays: Arrays, end: str, lstm: bool) -> tuple[GatedLayer, Shape]:
    """One layer; `end` is what its keys end in."""
    rows = len(_LSTM_ROWS) if lstm else _GRU_ROWS
    recurrent = arrays.take(f"weight_hh{end}")
    units = recurrent.shape[1]
    if recurrent.shape[0] != rows * units:
        arrays.problems.append(
            f"weight_hh{end} has shape {recurrent.shape}, expected ({rows} * units, units) in "
            f"{'an LSTM' if lstm else 'a GRU'}"
        )
        recurrent = np.zeros((rows * units, units))
    given = arrays.take(f"weight_ih{end}", rows * units)
    bias = any(key in arrays.keys for key in (f"bias_ih{end}", f"bias_hh{end}"))
    offsets = [
        arrays.take(f"bias_{part}{end}", rows * units, 0) if bias else np.zeros(rows * units)
        for part in ("ih", "hh")
    ]
    blocks = [np.split(array, rows) for array in (given, recurrent, *offsets)]
    made = _lstm(name, *blocks) if lstm else _gru(name, *blocks)
    return made, Shape(given.shape[1], units, bias)


Blocks = list[FloatArray]


def _lstm(name: str, given: Blocks, own: Blocks, b_given: Blocks, b_own: Blocks) -> LSTMLayer:
    gates = [
        Linear(gate, np.hstack([given[row], own[row]]), b_given[row] + b_own[row])
        for gate, row in ((gate, _LSTM_ROWS[gate]) for gate in LSTMLayer.names)
    ]
    return LSTMLayer(name, tuple(gates))


def _gru(name: str, given: Blocks, own: Blocks, b_given: Blocks, b_own: Blocks) -> GRULayer:
    """The third block is the candidate's, whose recurrent half the reset gate multiplies."""
    weights = [np.hstack([given[row], own[row]]) for row in (0, 1)]
    biases = [b_given[row] + b_own[row] for row in (0, 1)]
    weights.append(np.hstack([given[2], np.zeros_like(own[2])]))
    weights.append(np.hstack([np.zeros_like(given[2]), own[2]]))
    biases += [b_given[2], b_own[2]]
    return GRULayer(name, tuple(map(Linear, GRU_GATES, weights, biases)))
