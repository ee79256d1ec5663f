"""Layers of a Keras model as layers of a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lnn2loihi.converters.files.description import Timespan
from lnn2loihi.converters.keras_read.layer import KerasLayer, snake_case
from lnn2loihi.converters.recurrent.asked import asked
from lnn2loihi.converters.recurrent.family import FamilyImporter
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.family import importers
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import SUM, FloatArray, Linear

#: Layers that do nothing at inference.
NOTHING = ("InputLayer", "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise",
           "AlphaDropout", "ActivityRegularization", "Identity")  # fmt: skip
#: Activations by their names in Keras, as `DenseLayer` has them.
_ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "silu": "silu",
                "swish": "silu", "gelu": "gelu", "linear": "identity", None: "identity",
                "lecun_tanh": "lecun_tanh"}  # fmt: skip
#: Functions of the outputs that stay on the host where they come last.
_LAST = ("softmax", "log_softmax", "sigmoid")
#: Why layers that may be expected are refused.
_REASONS = {
    "Bidirectional": "half of its answer to a sample depends on all samples that are still to come",
    "SimpleRNN": "there is no family of it; train an LSTM or a GRU",
    "Masking": "masked steps hold the state, which a chip cannot do; leave padding out",
    "Embedding": "inputs are numbers here; compute it on the host",
    "LayerNormalization": "it divides by what it measures at each step; train without it",
}


#: Cells by other names than the layers that are made of them.
_CELLS = {"WiredCfCCell": "CfC", "CfcCell": "CfC", "MixedCfcCell": "CfC"}


class KerasChain:
    """What has been made of the layers so far.

    Args:
        timespan: the elapsed time that whoever imports the model states, or None.

    Attributes:
        layers: of the network.
        readout: the map after the last of them, when finished.
        host: what stays on the host.
        input_offset, input_scale: of the network; None where inputs are not normalised.
        importers: of the families whose layers are in it.
        notes: for the network's source.
        timespan: the constant elapsed time that layers have where nobody says another; None for
            1.0.
        problems: everything that is wrong.
    """

    def __init__(self, timespan: Timespan | None = None) -> None:
        self._timespan = timespan
        self.layers: list[Layer] = []
        self.readout: Linear | None = None
        self.host: tuple[str, ...] = ()
        self.input_offset: Any = None
        self.input_scale: Any = None
        self.importers: list[FamilyImporter] = []
        self.notes: dict[str, str] = {}
        self.timespan: float | None = None
        self.problems: list[str] = []
        #: A map that the next layer hears, and whether it only scales and shifts each column.
        self._waiting: Linear | None = None
        self._diagonal = True
        self._every_step = True

    def build(self, layers: Sequence[KerasLayer]) -> None:
        """Adds all layers of a model."""
        known = {kind: one for _, one in importers() for kind in one.keras}
        for number, layer in enumerate(layers):
            last = all(one.kind in NOTHING for one in layers[number + 1 :])
            try:
                self._add(known, layer, last)
            except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
                self.problems.append(
                    f"{layer.name:.80}: its configuration is damaged "
                    f"({type(error).__name__}: {error!s:.120})"
                )
        if not self.importers and not self.problems:
            self.problems.append("it holds no recurrent layer that can be imported")
        if self._waiting is not None:
            self.readout = Linear("readout", self._waiting.weight, self._waiting.bias)

    def _add(self, known: Mapping[str, FamilyImporter], layer: KerasLayer, last: bool) -> None:
        """Adds one layer; where its configuration is no such thing, whatever Python says."""
        if layer.kind in known:
            self._recurrent(known[layer.kind], layer)
        elif layer.kind == "RNN":
            self._cells(known, layer)
        elif not self._stateless(layer, last) and layer.kind not in NOTHING:
            why = _REASONS.get(layer.kind, "this class cannot be imported")
            self.problems.append(f"{layer.name} is a {layer.kind:.60}: {why}")

    # ------------------------------------------------------------ recurrent layers

    def _cells(self, known: Mapping[str, FamilyImporter], layer: KerasLayer) -> None:
        """The layers that `RNN` makes of a cell, or of several in a row."""
        cell: Any = layer.config.get("cell")
        kind, config = str(cell["class_name"]), cell["config"]
        several = config["cells"] if kind == "StackedRNNCells" else [cell]
        own = {key: value for key, value in layer.config.items() if key != "cell"}
        counts: dict[str, int] = {}
        for one in several:
            inner = str(one["class_name"]).rpartition(">")[2]
            key, own_kind = snake_case(inner), kind_of_cell(inner, one["config"], layer.arrays)
            importer = known.get(own_kind)
            if importer is None:
                self.problems.append(f"{layer.name} runs a {inner:.60}, which cannot be imported")
                continue
            number = counts[key] = counts.get(key, -1) + 1
            place = f"cell/cells/{key}{f'_{number}' if number else ''}/"
            arrays = layer.arrays
            if kind == "StackedRNNCells" and not layer.named:
                arrays = {
                    f"cell/{path[len(place) :]}": array
                    for path, array in layer.arrays.items()
                    if path.startswith(place)
                }
            elif layer.named and len(several) > 1:
                said = f"/{one['config'].get('name')}/"
                arrays = {path: array for path, array in arrays.items() if said in f"/{path}"}
            named = f"{layer.name}_{one['config'].get('name')}" if len(several) > 1 else layer.name
            both = {**own, **one["config"]}
            package = str(one.get("module") or layer.package).partition(".")[0]
            made = KerasLayer(own_kind, package, named, both, arrays, layer.place, layer.named)
            self._recurrent(importer, made)

    def _recurrent(self, importer: FamilyImporter, layer: KerasLayer) -> None:
        if not self._every_step:
            self.problems.append(f"{layer.name} hears the last step of a layer alone")
        self.problems += layer.differing(
            {"go_backwards": False, "return_state": False, "zero_output_for_mask": False}
        )
        if layer.word("stateful", False):
            self.notes[f"{layer.name} is stateful"] = "its state is zero before each sequence here"
        self._every_step = bool(layer.word("return_sequences", False))
        if not self._every_step:
            self.notes["answer"] = (
                "of the last step in Keras; here of each step, the last among them"
            )
        layer = replace(layer, timespan=self._timespan)
        parts, problems = asked(layer.name, importer, importer.from_keras, layer)
        self.problems += problems
        if parts is None:
            return
        self.importers.append(importer)
        self.notes |= {f"{layer.name}, {key}": text for key, text in parts.notes.items()}
        if parts.timespan is not None:
            if self.timespan not in (None, parts.timespan):
                self.problems.append(
                    f"{layer.name} takes an elapsed time of {parts.timespan:g}, a layer before "
                    f"{self.timespan:g}; a network has one"
                )
            self.timespan = parts.timespan
        first, *others = parts.layers
        self._hear(first)
        self.layers += others
        if parts.readout is not None:
            weight = parts.readout.weight
            diagonal = parts.mapped and bool(np.array_equal(weight, np.diag(np.diagonal(weight))))
            self._map(weight, parts.readout.bias, diagonal=diagonal)

    def _hear(self, layer: Layer) -> None:
        """Adds a layer that hears what waits."""
        waiting, self._waiting = self._waiting, None
        heard = self.layers[-1].units if self.layers else layer.input_size
        heard = heard if waiting is None else waiting.output_size
        if layer.input_size != heard:
            self.problems.append(f"{layer.name} takes {layer.input_size} inputs, and hears {heard}")
            return
        if waiting is not None and not self._diagonal:
            name = f"{layer.name}_input"
            self.layers.append(
                DenseLayer(name, Linear(SUM, waiting.weight, waiting.bias), "identity")
            )
        elif waiting is not None:
            factor = np.diagonal(waiting.weight).copy()
            if not self.layers and bool(np.all(factor > 0.0)):
                self.input_scale, self.input_offset = 1.0 / factor, -waiting.bias / factor
            else:
                layer = layer.with_inputs(factor, waiting.bias)
        self._diagonal = True
        self.layers.append(layer)

    # ------------------------------------------------------------ maps and activations

    def _stateless(self, layer: KerasLayer, last: bool) -> bool:
        """Whether a layer is one of those without a state, which is added."""
        if layer.kind == "Dense":
            self._dense(layer, last)
        elif layer.kind in ("Activation", "ReLU", "Softmax"):
            self._activation(layer, self._activation_of(layer), last)
        elif layer.kind in ("BatchNormalization", "Normalization", "Rescaling"):
            self._scaled(layer)
        else:
            return False
        return True

    def _activation_of(self, layer: KerasLayer) -> Any:
        if layer.kind == "ReLU":
            self.problems += layer.differing(
                {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
            )
            return "relu"
        if layer.kind == "Softmax":
            self.problems += layer.differing({"axis": -1})
            return "softmax"
        return layer.word("activation")

    def _dense(self, layer: KerasLayer, last: bool) -> None:
        biased = bool(layer.word("use_bias", True))
        arrays = layer.state(("kernel", "bias") if biased else ("kernel",))
        size = self._columns()
        weight = arrays.take("kernel", size, None).T
        bias = np.zeros(len(weight))
        if biased:
            bias = arrays.take("bias", len(weight), 0)
        self.problems += arrays.problems
        if not arrays.problems:
            self._map(weight, bias, diagonal=False)
            self._activation(layer, layer.word("activation"), last)

    def _scaled(self, layer: KerasLayer) -> None:
        """A factor and an offset for each column."""
        size = self._columns()
        if layer.kind == "Rescaling":
            factor, offset = layer.word("scale", 1.0), layer.word("offset", 0.0)
        else:
            self.problems += [
                f"{layer.name}: axis is {axis!r:.40}, and can only be -1, the features"
                for axis in (layer.config.get("axis", -1),)
                if axis not in (-1, 2, [-1], [2])
            ]
            factor, offset = (
                self._normalised(layer) if layer.kind == "Normalization" else self._batch(layer)
            )
        factor, offset = np.atleast_1d(np.asarray(factor, float)), np.atleast_1d(offset)
        size = size or max(factor.size, offset.size)
        if {factor.size, offset.size} - {1, size} or not np.isfinite([*factor, *offset]).all():
            self.problems.append(f"{layer.name} has {factor.size} factors for {size} columns")
            return
        factor, offset = np.broadcast_to(factor, size), np.broadcast_to(offset, size)
        self._map(np.diag(factor), offset.astype(float), diagonal=True)

    def _normalised(self, layer: KerasLayer) -> tuple[FloatArray, FloatArray]:
        """(x - mean) / sqrt(variance), as Keras bounds it from below."""
        self.problems += layer.differing({"invert": False})
        mean, variance = layer.config.get("mean"), layer.config.get("variance")
        if mean is None:
            arrays = layer.state(("mean", "variance", "count"))
            mean, variance = arrays.take("mean", None, 0), arrays.take("variance", None, 0)
            self.problems += arrays.problems
        mean, variance = np.ravel(np.asarray(mean, float)), np.ravel(np.asarray(variance, float))
        factor = 1.0 / np.maximum(np.sqrt(variance), 1e-7)
        return factor, -mean * factor

    def _batch(self, layer: KerasLayer) -> tuple[FloatArray, FloatArray]:
        scaled, centred = layer.word("scale", True), layer.word("center", True)
        names = ["gamma"] * bool(scaled) + ["beta"] * bool(centred)
        arrays = layer.state((*names, "moving_mean", "moving_variance"))
        mean = arrays.take("moving_mean", self._columns(), 0)
        variance = arrays.take("moving_variance", mean.size, 0)
        factor = arrays.take("gamma", mean.size, 0) if scaled else np.ones(mean.size)
        beta = arrays.take("beta", mean.size, 0) if centred else np.zeros(mean.size)
        self.problems += arrays.problems
        if arrays.problems:
            return np.ones(1), np.zeros(1)
        factor = factor / np.sqrt(variance + float(layer.word("epsilon", 1e-3)))
        return factor, beta - mean * factor

    def _columns(self) -> int | None:
        """How many numbers the next layer hears; None before the first."""
        if self._waiting is not None:
            return self._waiting.output_size
        return self.layers[-1].units if self.layers else None

    def _map(self, weight: FloatArray, bias: FloatArray, *, diagonal: bool) -> None:
        """Adds a linear map: with one that waits, it is one."""
        if self._waiting is not None:
            bias = weight @ self._waiting.bias + bias
            weight = weight @ self._waiting.weight
            diagonal = diagonal and self._diagonal
        self._waiting, self._diagonal = Linear(SUM, weight, bias), diagonal

    def _activation(self, layer: KerasLayer, activation: Any, last: bool) -> None:
        if last and activation in _LAST and self.layers:
            self.host = (str(activation),)
            return
        known = _ACTIVATIONS.get(activation) if isinstance(activation, (str, type(None))) else None
        if layer.kind == "Activation" and known == "gelu" and layer.word("approximate", False):
            known = None
        if known is None:
            self.problems.append(
                f"{layer.name} has the activation {activation!r:.60}; there are "
                f"{', '.join(str(one) for one in _ACTIVATIONS)}, and at the end {', '.join(_LAST)}"
            )
            return
        if known == "identity":
            return
        size = self._columns()
        if self._waiting is None and size is None:
            self.problems.append(f"{layer.name} comes before all maps; give it a Dense before it")
            return
        waiting = self._waiting or Linear(SUM, np.eye(size or 1), np.zeros(size or 1))
        self._waiting, self._diagonal = None, True
        self.layers.append(DenseLayer(layer.name, Linear(SUM, waiting.weight, waiting.bias), known))


def kind_of_cell(cell: str, config: Mapping[str, Any], paths: Iterable[str]) -> str:
    """The class of the layer that ncps or Keras makes of a cell. A memory does not say which cell
    is in it: its configuration, or the number of its arrays, does.
    """
    if cell != "MixedMemoryRNN":
        return _CELLS.get(cell, cell.removesuffix("Cell").removesuffix("_"))
    inner = config.get("rnn_cell")
    said = {*inner} if isinstance(inner, Mapping) else set()
    held = {path.rpartition("/")[2].partition(":")[0] for path in paths}
    large = any(path.startswith("cell/rnn_cell/vars/10") for path in paths)
    ltc = large or "ode_unfolds" in said or "sensory_mu" in held
    return "LTC" if ltc else "CfC"
