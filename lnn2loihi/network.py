"""LiquidNetwork: what was trained, as float arrays, and its evaluation in double precision.

It knows no framework and no file format. Weights are effective weights: wiring masks are
already multiplied in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError, NetworkError, Problems
from lnn2loihi.evaluation import FloatResult, evaluate_stages
from lnn2loihi.family import owner
from lnn2loihi.faults import named
from lnn2loihi.frozen import ArrayEquality, is_frozen, lock, read_only, read_only_mapping
from lnn2loihi.layers.layer import Gates, Layer, Vectors
from lnn2loihi.layers.linear import SUM, FloatArray, Linear
from lnn2loihi.layers.readout import ReadoutStage
from lnn2loihi.layers.stage import INPUT, Stage, StageSource
from lnn2loihi.listening import Answer, Listening, answers_of, factors_of, stages_of
from lnn2loihi.printable import is_line
from lnn2loihi.sequences import LARGEST, sequences
from lnn2loihi.showing import Drawn, Said, Shown, Table

__all__ = ["FloatArray", "FloatResult", "Layer", "Linear", "LiquidNetwork"]


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class LiquidNetwork(Drawn, Shown, ArrayEquality):
    """A trained liquid network.

    Attributes:
        name: name in messages and tables.
        layers: layers in order; each reads what it hears of the same step, which is the layer
            before it where `hears` does not say otherwise, and its own last state. Layers that
            share a memory are one.
        readout: affine map on the last layer's answer, or on what `hears` says; or None.
        timespan: constant elapsed time between two samples, 0 or more, in the unit of the training
            (1.0 where the network was trained without timespans); None where it comes with the
            samples (irregular time).
        source: where it came from: importer, file, SHA-256, versions.
        input_offset, input_scale: float64 (inputs,): samples enter as (x - offset) / scale;
            an input normalisation that came with the network. 0 and 1 by default.
        host: names of what follows on the host and is no part of the network, such as a softmax.
        hears: for a layer, or the readout, by name what it hears, side by side in the order of
            its columns: "input", names of earlier layers, or of parts of earlier layers
            (`Layer.parts`). What is not named here hears the layer before it, the first layer the
            input; what says just that is left out. Slices, sums, differences, constant factors and
            skips are thereby synapses, and take no population (see `Layer.hearing`).
        dropout: rates at which training has dropped what others hear, by name of a layer, `input`
            or a stage within a layer. In evaluation nothing is dropped; `quantize(dropout=True)`
            and `monte_carlo` drop at these rates.

    Raises:
        NetworkError: lists everything that contradicts itself, when made.
    """

    name: str
    layers: tuple[Layer, ...]
    readout: Linear | None = None
    timespan: float | None = 1.0
    source: Mapping[str, str] = field(default_factory=dict)
    input_offset: FloatArray = None  # pyright: ignore[reportAssignmentType]
    input_scale: FloatArray = None  # pyright: ignore[reportAssignmentType]
    host: tuple[str, ...] = ()
    hears: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dropout: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "host", tuple(self.host))
        object.__setattr__(self, "source", read_only_mapping(self.source))
        heard = {name: tuple(own) for name, own in self.hears.items()}
        object.__setattr__(self, "hears", read_only_mapping(heard))
        object.__setattr__(self, "dropout", read_only_mapping(self.dropout))
        if self.timespan is not None:
            object.__setattr__(self, "timespan", float(self.timespan))
        problems = Problems(NetworkError, f"network {self.name!r}")
        if not self.layers:
            problems.add("it has no layers; at least one is needed")
        for layer in self.layers:
            problems.extend(_own_problems(layer))
        if self.readout is not None:
            problems.extend(self.readout.problems())
        if self.timespan is not None and (found := elapsed_problem(self.timespan)):
            problems.add(found)
        problems.extend(
            f"{place}: {text!r:.60} is not one line of printable text; give it another name"
            for place, texts in (
                ("name", (self.name,)),
                ("host", self.host),
                ("source", (*self.source, *self.source.values())),
            )
            for text in texts
            if not is_line(text)
        )
        if not problems:
            with _of_layer(self.layers[0], "units, input_size or unfolds"):
                problems.extend(self._name_problems() or self._size_problems())
        if not problems:
            problems.extend(self._normalisation_problems())
            problems.extend(self._dropout_problems())
        problems.raise_if_any()
        object.__setattr__(self, "hears", read_only_mapping(self.listening.unusual))

    def _name_problems(self) -> list[str]:
        names = [name for layer in self.layers for name in layer.layer_names]
        names += [self.readout.name] if self.readout else []
        found = [
            f"layer name {name!r:.60} is not one line of printable text"
            for name in names
            if not is_line(name)
        ]
        if len(set(names)) != len(names) or INPUT in names:
            found.append(f"layer names are not unique: {names}")
        return found

    def _size_problems(self) -> list[str]:
        found = self.listening.problems()
        for layer in self.layers:
            if not layer.stateless and layer.unfolds != self.substeps:
                found.append(
                    f"{layer.name} takes a step for each sample or unfold of its own, another "
                    f"layer {self.substeps} unfolds; layers with a state have to keep the same "
                    "time: make a network of each"
                )
        if self.substeps > 1 and not found:
            stateful = [layer.name for layer in self.layers if not layer.stateless]
            found += [
                f"{before} and {name} take {self.substeps} steps for each sample: the second "
                "would hear what the first has not finished, which no module does; make a network "
                "of each, or unfold once"
                for name in stateful
                for before in stateful
                if before in self.listening.heard_through(name)
            ]
        return found

    def _dropout_problems(self) -> list[str]:
        known = {INPUT, *(stage.name for stage in self.stages)}
        found = [
            f"dropout names {name!r:.60}, which is no stage; there are {', '.join(sorted(known))}"
            for name in self.dropout
            if name not in known
        ]
        return found + [
            f"dropout of {name!r:.60} is {rate!r:.60}; a rate is from 0 up to, but not, 1"
            for name, rate in self.dropout.items()
            if not 0.0 <= rate < 1.0
        ]

    def _normalisation_problems(self) -> list[str]:
        found: list[str] = []
        for part, default in (("input_offset", 0.0), ("input_scale", 1.0)):
            given = getattr(self, part)
            array = np.full(self.input_size, default) if given is None else np.asarray(given)
            if array.shape != (self.input_size,) or not np.isfinite(array).all():
                found.append(
                    f"{part} has shape {array.shape}, expected ({self.input_size},) finite"
                )
            elif part == "input_scale" and not (array > 0).all():
                found.append("input_scale holds values that are not above 0")
            object.__setattr__(self, part, read_only(array, np.float64))
        return found

    @cached_property
    def listening(self) -> Listening:
        """What each layer and the readout hear."""
        return Listening(self.layers, self.readout, self.hears)

    @cached_property
    def input_size(self) -> int:
        """Number of input channels."""
        return self.listening.input_size

    @property
    def output_size(self) -> int:
        """Number of outputs: of the readout, or else the units of the last layer."""
        return self.readout.output_size if self.readout else self.layers[-1].units

    @property
    def units(self) -> int:
        """Number of units of all layers, without memories."""
        return sum(layer.units for layer in self.single_layers)

    @property
    def single_layers(self) -> tuple[Layer, ...]:
        """The layers in order, those that share a memory one by one."""
        return tuple(part for layer in self.layers for part in layer.parts)

    @property
    def substeps(self) -> int:
        """How often all stages are evaluated for a sample: as often as a layer unfolds."""
        return max(layer.unfolds for layer in self.layers)

    @property
    def irregular(self) -> bool:
        """Whether the elapsed time comes with the samples."""
        return self.timespan is None

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """What the network consists of, in the order of evaluation; the last one answers."""
        return tuple(stage for _, stages in self.stages_by_layer for stage in stages)

    @cached_property
    def stages_by_layer(self) -> tuple[tuple[Layer | None, tuple[Stage, ...]], ...]:
        """The same, with the layer that each belongs to; None for the readout."""
        made: list[tuple[Layer | None, tuple[Stage, ...]]] = []
        answers = {INPUT: Answer(StageSource(INPUT, self.input_size))}
        for layer in self.layers:
            heard = self.listening.sources(layer.name, answers)
            with _of_layer(layer, "stages()"):
                own, scale = _checked(stages_of(layer, heard, self.timespan))
            made.append((layer, own))
            answers |= answers_of(layer, own, scale)
        last = answers[self.layers[-1].name]
        if self.readout is not None:
            heard = self.listening.sources(self.readout.name, answers)
            made.append((None, (_readout_stage(self.readout, heard),)))
        elif last.scale != 1.0:
            size = last.source.columns
            linear = Linear("output", np.eye(size), np.zeros(size))
            made.append((None, (_readout_stage(linear, (last,)),)))
        return tuple(made)

    def with_gates(self, gates: Gates, vectors: Vectors | None = None) -> LiquidNetwork:
        """The network whose stages have other maps, as training for the chip leaves them.

        What stages fold into their weights (LeCun's tanh, a constant timespan) stays folded: the
        new network says tanh, and has its whole time gate in time_b.

        Args:
            gates: for each stage its maps by gate.
            vectors: for stages with `vectors` these, float64 (units,); the network's where absent.
        """
        given = {} if vectors is None else vectors
        known = {
            stage.name: {vector: getattr(stage, vector) for vector in stage.vectors}
            | dict(given.get(stage.name, {}))
            for stage in self.stages
            if stage.vectors
        }
        layers = tuple(layer.with_gates(gates, known, self.timespan) for layer in self.layers)
        readout, (layer, (*_, last)) = self.readout, self.stages_by_layer[-1]
        if layer is None:
            trained = gates[last.name][SUM]
            readout = Linear(last.name, trained.weight, trained.bias)
        return replace(self, layers=layers, readout=readout)

    @property
    def synapses(self) -> int:
        """Number of non-zero weights, a constant time gate counted once (folded)."""
        return sum(stage.synapses for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Sizes and ranges as plain values."""
        stages = [
            {
                "stage": stage.name,
                "family": stage.family,
                "hears": [source.name for source in stage.sources if not source.previous],
                "inputs": sum(s.columns for s in stage.sources if not s.previous),
                "units": stage.units,
                "synapses": stage.synapses,
                "largest_weight": stage.largest_weight,
            }
            for stage in self.stages
        ]
        return {
            "name": self.name,
            "inputs": self.input_size,
            "outputs": self.output_size,
            "timespan": self._timespan_text() if self.irregular else self.timespan,
            "host": list(self.host),
            "stages": stages,
            "source": dict(self.source),
        }

    def _headline(self) -> str:
        return (
            f"{self.name!r}, {self.input_size} inputs, {self.units} units, {self.output_size} "
            f"outputs, {self.synapses:,} synapses, timespan {self._timespan_text()}"
        )

    def _shown(self) -> list[Said]:
        """Sizes and ranges as text."""
        stages = self.to_dict()["stages"]
        for stage in stages:
            stage["hears"] = ", ".join(stage["hears"])
        table = Table(
            [key.replace("_", " ") for key in stages[0]], [list(s.values()) for s in stages]
        )
        return [
            f"{self.name}: {self.input_size} inputs, {self.units} units, {self.output_size} "
            f"outputs, {self.synapses:,} synapses, timespan {self._timespan_text()}",
            table,
            *([f"after it, on the host: {', '.join(self.host)}"] if self.host else []),
        ]

    def _timespan_text(self) -> str:
        return "irregular" if self.timespan is None else f"{self.timespan:g}"

    @checks_kinds()
    def evaluate(
        self,
        x: npt.ArrayLike,
        initial_state: Mapping[str, npt.ArrayLike] | None = None,
        *,
        lengths: npt.ArrayLike | None = None,
        timespans: npt.ArrayLike | None = None,
        masks: Mapping[str, npt.ArrayLike] | None = None,
    ) -> FloatResult:
        """Runs the network in float64.

        Args:
            x: numbers (batch, time, inputs), or a list of sequences (time, inputs) of any length.
            initial_state: for each name of `state_sizes` (a layer's for its state, `<layer>.memory`
                for that of its mixed memory, `<layer>.c` for an LSTM's cell state), (batch, units)
                or (units,); zeros where absent.
            lengths: samples of each sequence, (batch,); all of them by default. What stands beyond
                is ignored, and answered with zeros.
            timespans: elapsed time before each sample, (batch, time), where time is irregular.
            masks: for stages by name what their messages are multiplied with, (batch, units), as
                dropout does in training; `lnn2loihi.monte_carlo` draws them.

        Raises:
            InputError: a shape or a length is wrong, x holds NaN or infinite values, or timespans
                are given where time is constant, or missing where it is not.
        """
        subject = f"network {self.name!r}"
        data = sequences(
            x, self.input_size, subject,
            lengths=lengths, timespans=timespans, irregular=self.irregular,
        ).floats(subject)  # fmt: skip
        samples, times = self.held((data.x - self.input_offset) / self.input_scale, data.timespans)
        start = self.initial(initial_state, len(samples))
        ends = data.lengths * self.substeps if data.padded else None
        factors = None if masks is None else self.initial(masks, len(samples), "masks")
        result = evaluate_stages(self.stages, samples, times, start, self.substeps, ends, factors)
        return result.every(self.substeps)

    def initial(
        self, given: Mapping[str, npt.ArrayLike] | None, batch: int, what: str = "initial_state"
    ) -> dict[str, FloatArray]:
        """Initial states, or numbers of each unit that are something else, as arrays that fit,
        float64 (batch, units).

        Raises:
            InputError: lists names that are none, wrong shapes, and what is no number.
        """
        if given is None:
            return {}
        sizes = self.state_sizes
        problems = Problems(InputError, what)
        found: dict[str, FloatArray] = {}
        for name, values in given.items():
            if name not in sizes:
                problems.add(f"{name!r} is no state; there are {', '.join(sizes) or 'none'}")
                continue
            array = as_array(values, what, str(name)).astype(np.float64)
            shapes = ((), (sizes[name],), (1, sizes[name]), (batch, sizes[name]))
            if array.shape not in shapes:
                problems.add(f"{name} has shape {array.shape}, expected {(batch, sizes[name])}")
            elif not np.isfinite(array).all():
                problems.add(f"{name} holds NaN or infinite values")
            found[name] = array
        problems.raise_if_any()
        return {n: np.broadcast_to(array, (batch, sizes[n])) for n, array in found.items()}

    @property
    def state_sizes(self) -> dict[str, int]:
        """Units of each state that `initial_state` takes, by name."""
        return {
            name: stage.units
            for stage in self.stages
            for name in (stage.name, *map(stage.state_name, stage.memory))
        }

    def held(
        self, inputs: FloatArray, elapsed: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None]:
        """Each sample and its elapsed time as often as the stages are evaluated for it."""
        if self.substeps == 1:
            return inputs, elapsed
        times = None if elapsed is None else np.repeat(elapsed, self.substeps, axis=1)
        return np.repeat(inputs, self.substeps, axis=1), times


def _of_layer(layer: Layer, doing: str) -> AbstractContextManager[None]:
    """What the code of a layer raises is named."""
    return named(NetworkError, partial(owner, type(layer)), f"{doing} of layer {layer.name!r}")


def _own_problems(layer: Layer) -> list[str]:
    """What is wrong with a layer. Its arrays are its own from here on."""
    kind = type(layer)
    if not is_frozen(kind):
        return [
            f"{layer.name}: {kind.__qualname__} is no frozen dataclass, so that its arrays may "
            "change under a network; write @dataclass(frozen=True, eq=False) above the class"
        ]
    lock(layer)
    with _of_layer(layer, "problems()"):
        found = layer.problems()
        return [found] if isinstance(found, str) else [*map(str, found)]


def _readout_stage(readout: Linear, heard: Sequence[Answer]) -> ReadoutStage:
    """The stage of a readout."""
    linear = readout.with_columns(SUM, factors_of(heard))
    return ReadoutStage(readout.name, tuple(one.source for one in heard), {SUM: linear})


def _checked(made: Any) -> tuple[tuple[Stage, ...], float]:
    """What `Layer.stages` has made."""
    own, scale = made
    if not own or not all(isinstance(stage, Stage) for stage in own):
        raise TypeError(f"answer {own!r:.60}, which is no tuple of stages")
    return tuple(own), float(scale)


def elapsed_problem(timespan: float) -> str | None:
    """What is wrong with a constant elapsed time, or None; 0 is one for a CfC."""
    if 0 <= timespan <= LARGEST:  # false for NaN
        return None
    return (
        f"timespan is {timespan:g}; an elapsed time is a number from 0 to {LARGEST:.3g}, in the "
        "unit of the training"
    )
