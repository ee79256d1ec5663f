"""The steps that samples take through a PyTorch module, put together as layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lnn2loihi.converters.files.arrays import UNDO, array_problems
from lnn2loihi.converters.files.tensor import FloatArray, torch_tensors
from lnn2loihi.converters.modules.activations import activation_of
from lnn2loihi.converters.modules.classes import (
    class_names,
    is_linear,
)
from lnn2loihi.converters.modules.dropouts import add_rates, kept_rates, renamed_rates
from lnn2loihi.converters.modules.norms import norm_layer
from lnn2loihi.converters.modules.registered import (
    HOST,
    HOST_LAST,
    LINEAR,
    NORMALISE,
    RESERVED,
    Part,
    does_nothing,
    is_batch_norm,
    refusal,
)
from lnn2loihi.converters.modules.streams import Step
from lnn2loihi.converters.recurrent.asked import asked
from lnn2loihi.converters.recurrent.family import FamilyImporter, FamilyParts
from lnn2loihi.converters.trace.held import hooks_within
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.family import importer_of
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import Linear
from lnn2loihi.layers.stage import INPUT


@dataclass
class Chain:
    """Layers as they are put together, part by part.

    Attributes:
        inputs: channels of the samples.
        layers: finished layers.
        host: names of what stays on the host.
        problems: everything that is wrong so far.
        families: the importers of its recurrent layers.
        normalisation: `input_offset` and `input_scale` of the network, if there are any.
        dropout: rates of dropout by name of what it drops.
    """

    inputs: int | None = None
    layers: list[Layer] = field(default_factory=list)
    host: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    families: list[FamilyImporter] = field(default_factory=list)
    normalisation: dict[str, Any] = field(default_factory=dict)
    dropout: dict[str, float] = field(default_factory=dict)
    # A map that waits for its activation, and factors and offsets that wait for the next weights.
    _open: Linear | None = None
    # Whether it only picks units.
    _mapped: bool = False
    _waiting: tuple[FloatArray, FloatArray] | None = None
    readout: Linear | None = None

    def build(
        self,
        steps: Sequence[Step],
        parts: Mapping[str, Any],
        dropouts: Sequence[tuple[int, float]] = (),
    ) -> None:
        """Puts all steps together.

        Args:
            steps: from the samples to the answer.
            parts: the modules that they name; of "layers" the importer and what it has read.
            dropouts: rates of dropout, each with the number of steps before it.
        """
        working = [
            step for step in steps if step.kind != "part" or not does_nothing(parts[step.path])
        ]
        self.problems += _goes_on(working, parts)
        for number, step in enumerate(steps):
            self._drop([rate for before, rate in dropouts if before == number])
            if any(step is one for one in working):
                self._add(step, parts.get(step.path), last=step is working[-1])
        self._drop([rate for before, rate in dropouts if before == len(steps)])
        if self._waiting is not None and self.layers and not self.problems:
            self._open = self._adapted(_identity("readout", self.layers[-1].units))
        if self._open is not None:
            self.readout = Linear("readout", self._open.weight, self._open.bias)
        self.dropout = kept_rates(self.dropout, self.layers, self.readout is None)

    def _drop(self, rates: Sequence[float]) -> None:
        """Training drops what is there by now; of a map that only picks units, what it picks."""
        name = self.layers[-1].parts[-1].name if self.layers else INPUT
        if self._open is not None and not self._mapped:
            name = self._open.name
        add_rates(self.dropout, name, rates)

    def _add(self, step: Step, module: Any, last: bool) -> None:
        part = Part(step.path, module)
        name = activation_of(module) if step.kind == "part" else step.name
        if step.kind == "refused":
            self.problems.append(step.text)
        elif name in HOST and last and (self.layers or self._open):
            self.host.append(name)
        elif step.kind == "host":
            what = str(part) if step.path else str(step)
            self.problems.append(f"{what} cannot be imported: {HOST_LAST}")
        elif step.kind == "affine":
            self._scale(step.name, np.array(step.factor), np.array(step.offset))
        elif step.kind == "map":
            weight = np.frombuffer(step.weight).reshape(len(step.offset), -1)
            self._map(step.name, weight, np.array(step.offset))
        elif step.kind == "norm":
            self._add_norm(step)
        elif step.kind == "select":
            self._select(step)
        elif step.kind == "activation":
            self._add_activation(step.path or step.name.partition("(")[0], step.name)
        elif step.kind == "layers":
            self._add_layers(step.name, *module)
        else:
            self._add_part(part)

    def _add_part(self, part: Part) -> None:
        module = part.module
        if (family := importer_of(module)) is not None:
            self._add_recurrent(part, family)
        elif (type(module).__module__, type(module).__name__) == NORMALISE:
            arrays = self._arrays(part, "mean", "std")
            if arrays is not None:
                self._normalise(part, arrays["std"], arrays)
        elif is_batch_norm(module):
            self._add_batch_norm(part)
        elif is_linear(module) and LINEAR in class_names(module):
            self._add_linear(part)
        elif (activation := activation_of(module)) is not None:
            self._add_activation(part.path, activation)
        else:
            self.problems.append(refusal(part))

    @property
    def _width(self) -> int | None:
        """Features that the next layer hears; None before the first one, where nothing waits."""
        if self._open is not None:
            return self._open.output_size
        if self.layers:
            return self.layers[-1].units
        return self.inputs if self._waiting is None else len(self._waiting[0])

    def _select(self, step: Step) -> None:
        """Some of the features: rows of the map before, or a map of its own."""
        width = self._width
        assert width is not None
        rows = np.array(step.indices)
        before = self._open or self._adapted(_identity(self._name("select"), width))
        self._open = Linear(before.name, before.weight[rows], before.bias[rows])

    def _arrays(self, part: Part, *wanted: str) -> dict[str, FloatArray] | None:
        """The arrays of a part, or None if something is wrong with them."""
        state = torch_tensors(part.module.state_dict())
        arrays: dict[str, FloatArray] = {}
        found: list[str] = []
        missing = [key for key in wanted if key not in state]
        if missing:
            found.append(f"{part} has no {', '.join(missing)} but {', '.join(state)}; {UNDO}")
        for key, tensor in state.items():
            if key != "num_batches_tracked":
                found += array_problems(f"{part.path}.{key}", tensor, False, arrays)
        self.problems += found
        return None if found else {key.rsplit(".", 1)[1]: arrays[key] for key in arrays}

    def _add_recurrent(self, part: Part, family: FamilyImporter) -> None:
        parts = None
        try:
            _, parts, found = asked(part.path, family, family.read_module, part.module)
        except ImportNetworkError as error:
            found = error.problems
        if not found:
            found = hooks_within(part.module, part.path, own=False)
        self.problems += [f"{part.path}: {problem}" for problem in found]
        self._add_layers(part.path, family, parts)

    def _add_layers(self, path: str, family: FamilyImporter, parts: FamilyParts | None) -> None:
        """Adds what a family has read; None where something is wrong with it."""
        self._close()
        self.families.append(family)
        if parts is None:
            return
        if parts.is_network:
            self.problems.append(
                f"{path} is a whole network, whose layers do not follow each other in a row; "
                "import it alone"
            )
            return
        alone = sum(len(layer.layer_names) for layer in parts.layers) == 1

        def own_name(name: str) -> str:
            return self._name(path if alone else f"{path}.{name}")

        for place, layer in enumerate(parts.layers):
            own = layer.renamed(own_name)
            self.dropout |= renamed_rates(parts.dropout, layer, own_name)
            self.layers.append(self._adapted(own) if place == 0 else own)
        if parts.readout is not None:
            name = self._name(f"{path}.{parts.readout_name}")
            self._open = Linear(name, parts.readout.weight, parts.readout.bias)
            self._mapped = parts.mapped

    def _add_batch_norm(self, part: Part) -> None:
        if part.module.running_mean is None:
            self.problems.append(
                f"{part} has no running statistics, so it depends on each batch; train with "
                "track_running_stats=True"
            )
            return
        arrays = self._arrays(part, "running_mean", "running_var")
        if arrays is None:
            return
        deviation = np.sqrt(np.maximum(arrays["running_var"] + part.module.eps, 0.0))
        self._normalise(part, deviation, arrays | {"mean": arrays["running_mean"]})

    def _normalise(
        self, part: Part, deviation: FloatArray, arrays: Mapping[str, FloatArray]
    ) -> None:
        """Channel by channel: (x - mean) / deviation * weight + bias."""
        if not (deviation > 0.0).all():
            self.problems.append(f"{part} divides by deviations that are not above 0")
            return
        factor = arrays.get("weight", 1.0) / deviation
        self._scale(part.path, factor, arrays.get("bias", 0.0) - arrays["mean"] * factor)

    def _scale(self, name: str, factor: FloatArray, offset: FloatArray) -> None:
        """Channel by channel: x * factor + offset."""
        if self._open is not None:
            before = self._open
            if before.output_size == len(factor):
                weight = before.weight * factor[:, None]
                self._open = Linear(before.name, weight, before.bias * factor + offset)
                return
            self._close()
        if self._waiting is not None:
            if len(self._waiting[0]) != len(factor):
                self.problems.append(
                    f"a normalisation of {len(self._waiting[0])} channels comes before one of "
                    f"{len(factor)}"
                )
                return
            factor, offset = factor * self._waiting[0], factor * self._waiting[1] + offset
        self._waiting = factor, offset

    def _add_linear(self, part: Part) -> None:
        arrays = self._arrays(part, "weight")
        if arrays is None:
            return
        weight = arrays["weight"]
        self._map(part.path, weight, arrays.get("bias", np.zeros(len(weight))))

    def _map(self, path: str, weight: FloatArray, bias: FloatArray) -> None:
        before = self._open
        if self._mapped and before is not None and before.output_size == weight.shape[1]:
            # The units that it picks are heard directly: no layer of its own on the chip.
            bias, weight = bias + weight @ before.bias, weight @ before.weight
            self._open = None
        self._close()
        self._open = self._adapted(Linear(self._name(path), weight, bias))

    def _add_activation(self, path: str, activation: str) -> None:
        if self._open is not None:
            self._close(activation)
        elif (width := self._width) is not None:
            linear = self._adapted(_identity("linear", width))
            self.layers.append(DenseLayer(self._name(path), linear, activation))

    def _add_norm(self, step: Step) -> None:
        width = self._width
        assert width is not None  # reading the step says so
        before = self._open or self._adapted(_identity("linear", width))
        linear = Linear("linear", before.weight, before.bias)
        name = before.name if self._open is not None else self._name(step.path or step.name)
        gain, shift = np.array(step.factor), np.array(step.offset)
        self.layers.append(norm_layer(name, step.name, linear, gain, shift, step.epsilon))
        self._open, self._mapped = None, False

    def _close(self, activation: str = "identity") -> None:
        """Makes a layer of the map that waits, if there is one."""
        if self._open is not None:
            linear = Linear("linear", self._open.weight, self._open.bias)
            self.layers.append(DenseLayer(self._open.name, linear, activation))
            self._open = None
        self._mapped = False

    def _name(self, path: str) -> str:
        """A name for a layer; a dot would stand between a layer and its stages."""
        name = path.replace(".", "_")
        name = f"layer_{name}" if name[0].isdigit() else name
        taken = {n for layer in self.layers for n in layer.layer_names} | set(RESERVED)
        while name in taken:
            name += "_layer"
        return name

    def _adapted(self, layer: Any) -> Any:
        """The layer with the normalisation that waits in its weights, or in the input's."""
        if self._waiting is None:
            return layer
        factor, offset = self._waiting
        self._waiting = None
        if len(factor) != layer.input_size:
            self.problems.append(
                f"a normalisation of {len(factor)} channels comes before {layer.name}, which "
                f"takes {layer.input_size}"
            )
            return layer
        if not self.layers and not self.normalisation:
            # The size of each factor goes to the input, its sign to the weights.
            live = factor != 0.0
            divisor = np.where(live, factor, 1.0)
            self.normalisation["input_scale"] = 1.0 / np.abs(divisor)
            self.normalisation["input_offset"] = np.where(live, -offset / divisor, 0.0)
            factor, offset = np.sign(factor), np.where(live, 0.0, offset)
            if np.all(factor == 1.0):
                return layer
        return layer.with_inputs(factor, offset)


def _goes_on(steps: Sequence[Step], parts: Mapping[str, Any]) -> list[str]:
    """Where forward goes on with numbers alone after what stays on the host at the end."""
    behind = 0
    while behind < len(steps) and steps[-1 - behind].kind in ("affine", "select"):
        behind += 1
    if not 0 < behind < len(steps):
        return []
    host = steps[-1 - behind]
    name = activation_of(parts[host.path]) if host.kind == "part" else host.name
    if name != "sigmoid":
        return []
    return [
        f"{host} stays on the host at the end of a network, and forward goes on after it with "
        f"{', '.join(map(str, steps[-behind:]))}; let forward return what goes into it and compute "
        "the rest on the host"
    ]


def _identity(name: str, width: int) -> Linear:
    return Linear(name, np.eye(width), np.zeros(width))
