"""What torch.nn.GRU, torch.nn.LSTM and their cells have in common.

What is accepted: every `torch.nn.GRU` and `torch.nn.LSTM` in one direction, with any number of
layers, with or without biases and projections (`proj_size`), and `GRUCell` and `LSTMCell`; as live
modules or as checkpoints of their state_dict in `.pt`, `.pth` or `.safetensors`. `batch_first`
makes no difference to the weights: samples are (batch, time, inputs) here in any case. Dropout
between the layers does nothing at inference; the network's source and `LiquidNetwork.dropout` say
that it was there.
Modules that hold such layers among others: `lnn2loihi.converters.modules.importer`.

Refused: `bidirectional=True`, since half of its answer to a sample depends on all samples that are
still to come, and a chip answers sample by sample; `torch.nn.RNN`.

A checkpoint goes with a short TOML file::

    [network]
    module = "torch.nn.GRU"          # required; or torch.nn.LSTM, torch.nn.GRUCell, LSTMCell
    checkpoint = "net.safetensors"   # relative to this file; absent where the path is given
    input_size = 8
    hidden_size = 32
    num_layers = 2
    bias = true
    dropout = 0.2                    # between the layers; for quantize(dropout=True)
    prefix = "rnn."                  # where it sits in a larger state_dict
    readout = "fc."                  # where a Linear after the last layer sits in it
    name = "my net"

All keys but `module` are optional, and what they say is checked against the arrays. `net.toml`
beside `net.pt` is found by itself.

Equations and names of the arrays: PyTorch 2, torch/nn/modules/rnn.py.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.converters.files.checkpoint import FloatArray, Tensor
from lnn2loihi.converters.files.description import Description, rate
from lnn2loihi.converters.modules.classes import class_names
from lnn2loihi.converters.recurrent.family import (
    FamilyImporter,
    FamilyParts,
    RecurrentDescription,
    suggested_prefix,
)
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.linear import Linear
from lnn2loihi.printable import kind_of_value

if TYPE_CHECKING:
    from lnn2loihi.converters.keras_read.layer import KerasLayer

_MODULE = "torch.nn.modules.rnn"
#: Classes that are refused by their names, by whichever family is asked first.
_REFUSED = {(_MODULE, "RNN"), (_MODULE, "RNNCell")}
_KEY = re.compile(r"(?:weight|bias)_(?:ih|hh|hr)(_l[0-9]{1,4})?")

#: Blocks of one array, one for each gate.
Blocks = list[FloatArray]


@dataclass(frozen=True, kw_only=True)
class TorchRnnDescription(RecurrentDescription):
    """How a GRU or an LSTM of PyTorch was built.

    Attributes:
        dropout: the rate at which training has dropped what a layer hears of the one before.
    """

    dropout: float = rate()


class TorchRnnImporter(FamilyImporter):
    """An importer of one kind of these modules.

    Its class says which, `class GRUImporter(TorchRnnImporter, kind="GRU", rows=3)`: the name of the
    module, and how many blocks of rows its arrays have.
    """

    name: ClassVar[str] = "torch_rnn"
    description: ClassVar[type[Description]] = TorchRnnDescription
    #: Name of the class in PyTorch, and how many blocks of rows its arrays have.
    kind: ClassVar[str]
    rows: ClassVar[int]

    #: For each block in the order of PyTorch where it stands in Keras.
    keras_blocks: ClassVar[tuple[int, ...]]

    def __init_subclass__(cls, kind: str, rows: int) -> None:
        cls.kind, cls.rows, cls.keras = kind, rows, (kind,)
        cls.modules = (f"torch.nn.{kind}", f"torch.nn.{kind}Cell")
        cls.classes = {f"{_MODULE}.{name.rpartition('.')[2]}": name for name in cls.modules}

    @abstractmethod
    def layer(
        self, name: str, given: Blocks, own: Blocks, b_given: Blocks, b_own: Blocks
    ) -> GatedLayer:
        """One layer.

        Args:
            name: its name.
            given: the blocks of the weights of its inputs.
            own: those of its own last state.
            b_given: those of the first bias.
            b_own: those of the second bias.
        """

    def is_module(self, source: object) -> bool:
        """Whether it is such a module or a cell of it, or what is refused by name: an RNN."""
        return super().is_module(source) or bool(class_names(source) & _REFUSED)

    def is_checkpoint(self, state: Mapping[str, Tensor]) -> bool:
        """Whether there are keys such as weight_ih_l0, with as many blocks of rows, or with so many
        that it is of no kind.
        """
        found = _blocks_in(state)
        return found is not None and (found == self.rows or not 3 <= found <= 4)

    def describe(self, source: Any) -> tuple[RecurrentDescription | None, list[str]]:
        """How a live module was built; and what in it cannot be imported."""
        known = self.class_of(source)
        if known is None:
            return None, [
                f"it is {kind_of_value(source)}, which cannot be imported; train a GRU or an "
                "LSTM in its place"
            ]
        _, refused = super().describe(source)
        if getattr(source, "bidirectional", False):
            refused.append(
                "it is bidirectional: half of its answer to a sample depends on all samples that "
                "are still to come, and a chip answers sample by sample; train with "
                "bidirectional=False"
            )
        if refused:
            return None, refused
        dropout = getattr(source, "dropout", 0.0)
        return TorchRnnDescription(
            origin="the module",
            module=self.classes[known],
            bias=source.bias,
            num_layers=getattr(source, "num_layers", 1),
            notes=(f"dropout={dropout} between layers",) if dropout else (),
            dropout=float(dropout),
        ), []

    def parts(
        self, state: Mapping[str, Tensor], description: RecurrentDescription
    ) -> tuple[FamilyParts | None, list[str]]:
        """The layers, or None and everything that is wrong with the arrays."""
        arrays = Arrays(state, description.prefix)
        refused = _refused_keys(arrays.keys, description, state)
        if refused:
            return None, refused
        numbers = {m.group(1) or "" for key in arrays.keys if (m := _KEY.fullmatch(key))}
        ends = [""] if numbers == {""} else [f"_l{n}" for n in range(len(numbers))]
        layers: list[GatedLayer] = []
        projections: list[FloatArray] = []
        for number, end in enumerate(ends):
            before = projections[-1] if projections else None
            layers.append(self._layer(f"layer_{number}", arrays, end, before))
            if f"weight_hr{end}" in arrays.keys:
                projections.append(arrays.take(f"weight_hr{end}", None, layers[-1].units))
        arrays.refuse_others(description.module, description.readout)
        bias = any(key.startswith("bias_") for key in arrays.keys)
        between = getattr(description, "dropout", 0.0)
        dropout = {layer.name: between for layer in layers[:-1]} if between else {}
        if projections:
            last = projections[-1]
            readout = Linear("projection", last, np.zeros(len(last)))
            found = FamilyParts(
                tuple(layers), readout, "projection", bias=bias, projections=tuple(projections),
                dropout=dropout,
            )  # fmt: skip
        else:
            found = FamilyParts(tuple(layers), bias=bias, dropout=dropout)
        return (None if arrays.problems else found), arrays.problems

    def _layer(
        self, name: str, arrays: Arrays, end: str, before: FloatArray | None = None
    ) -> GatedLayer:
        """One layer; `end` is what its keys end in, `before` the projection of the layer before.

        A projected state, W_hr h, is heard through weights: W_hh (W_hr h) is (W_hh W_hr) h. So the
        layer keeps h, and the projection is a map of what it says.
        """
        rows = self.rows
        recurrent = arrays.take(f"weight_hh{end}")
        if f"weight_hr{end}" in arrays.keys:
            own = arrays.take(f"weight_hr{end}", recurrent.shape[1])
            recurrent = recurrent @ own if recurrent.shape[1] == len(own) else recurrent
        units = recurrent.shape[1]
        if recurrent.shape[0] != rows * units:
            article = "an" if self.kind[0] in "AEFHILMNORSX" else "a"
            arrays.problems.append(
                f"weight_hh{end} has shape {recurrent.shape}, expected ({rows} * units, units) in "
                f"{article} {self.kind}"
            )
            recurrent = np.zeros((rows * units, units))
        given = arrays.take(f"weight_ih{end}", rows * units)
        if before is not None and given.shape[1] == len(before):
            given = given @ before
        bias = any(key in arrays.keys for key in (f"bias_ih{end}", f"bias_hh{end}"))
        offsets = [
            arrays.take(f"bias_{part}{end}", rows * units, 0) if bias else np.zeros(rows * units)
            for part in ("ih", "hh")
        ]
        blocks = [np.split(array, rows) for array in (given, recurrent, *offsets)]
        return self.layer(name, *blocks)

    def from_keras(self, layer: KerasLayer) -> tuple[FamilyParts | None, list[str]]:
        """One layer of Keras: kernels are (inputs, blocks of units), and there is one bias, or two
        of a GRU that resets after its product.

        Source: Keras 3, keras/src/layers/rnn/lstm.py and gru.py.
        """
        problems = layer.differing({"activation": "tanh", "recurrent_activation": "sigmoid"})
        if self.kind == "GRU":
            after = {"reset_after": True}
            problems += [
                f"{one}: its candidate hears the reset state through its weights, a step later "
                "than PyTorch's; train with reset_after=True"
                for one in layer.differing(after)
            ]
        biased = bool(layer.word("use_bias", True))
        names = ("kernel", "recurrent_kernel", "bias") if biased else ("kernel", "recurrent_kernel")
        arrays = layer.state(names, "cell/")
        recurrent = arrays.take("recurrent_kernel").T
        units = recurrent.shape[1]
        if recurrent.shape[0] != self.rows * units:
            return None, [
                *problems, *arrays.problems,
                f"{layer.name}: recurrent_kernel has shape {recurrent.shape[::-1]}, expected "
                f"(units, {self.rows} * units)",
            ]  # fmt: skip
        given = arrays.take("kernel", None, self.rows * units).T
        biases = [np.zeros(self.rows * units)] * 2
        if biased:
            if self.kind == "GRU":
                biases = list(arrays.take("bias", 2, self.rows * units))
            else:
                biases[0] = arrays.take("bias", self.rows * units, 0)
        problems += arrays.problems
        if problems:
            return None, problems
        blocks = [
            [np.split(array, self.rows)[place] for place in self.keras_blocks]
            for array in (given, recurrent, *biases)
        ]
        return FamilyParts((self.layer(layer.name, *blocks),)), []

    def from_names(self, arrays: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]] | None:
        """Its kernels, whose blocks tell the families apart."""
        ends = {path.rpartition("/")[2].partition(":")[0]: one for path, one in arrays.items()}
        own = [name for name in ("kernel", "recurrent_kernel", "bias") if name in ends]
        if own[:2] != ["kernel", "recurrent_kernel"] or len(own) != len(arrays):
            return None
        shape = ends["recurrent_kernel"].shape
        if len(shape) != 2 or shape[1] != self.rows * shape[0]:
            return None
        return self.kind, {f"cell/vars/{place}": ends[name] for place, name in enumerate(own)}

    def suggestion(self, state: Mapping[str, Tensor]) -> list[str]:
        """Lines of a description, as far as the keys of a checkpoint tell."""
        key = next(key for key in state if _KEY.fullmatch(key.rsplit(".", 1)[-1]))
        prefix = key[: key.rfind(".") + 1]
        cell = "" if "_l" in key[len(prefix) :] else "Cell"
        known = _blocks_in(state) == self.rows
        lines = [f'module = "torch.nn.{self.kind}{cell}"' if known else 'module = "?"']
        return lines + suggested_prefix(prefix)

    def calls(self, source: Any) -> Mapping[str, bool]:
        """As PyTorch calls them."""
        known = self.class_of(source)
        if known is not None and known.endswith("Cell"):
            return {"one_step": True, "returns_state": False}
        return {"time_first": not source.batch_first, "by_layer": True}


def _blocks_in(state: Mapping[str, Tensor]) -> int | None:
    """Blocks of rows of the first recurrent array; 0 where it has no such shape, None without any
    key of these modules.
    """
    found = next((key for key in state if _KEY.fullmatch(key.rsplit(".", 1)[-1])), None)
    if found is None:
        return None
    own = re.sub(r"(weight|bias)_(ih|hh|hr)(?=(_l[0-9]+)?$)", "weight_hh", found)
    shape = state[own].shape if own in state else ()
    projection = own.replace("weight_hh", "weight_hr")
    if projection in state and len(state[projection].shape) == 2:
        shape = (*shape[:1], state[projection].shape[1])
    return shape[0] // shape[1] if len(shape) == 2 and shape[1] else 0


def _refused_keys(
    keys: list[str], description: RecurrentDescription, state: Mapping[str, Tensor]
) -> list[str]:
    """Keys that tell what cannot be imported, or that there is nothing to import."""
    if any(key.endswith("_reverse") for key in keys):
        return [
            "it is bidirectional (keys ending in _reverse): half of its answer to a sample depends "
            "on all samples that are still to come, and a chip answers sample by sample"
        ]
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
