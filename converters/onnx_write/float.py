"""Exports a LiquidNetwork as an ONNX model in floating point: the form for CPUs and GPUs.

Masks and a constant timespan are folded into the weights, the sums of all gates of a stage are one
matrix product, and what does not depend on the step before stands outside of the one Scan, as
products over all steps at once. The model holds standard operators of opset 21 and nothing else.

Inputs are `x` (batch, time, inputs), with irregular time `timespans` (batch, time), and the state
before the first sample, (batch, units) each, under the names that `LiquidNetwork.evaluate` has for
it. Outputs are `y` (batch, time, outputs), and `<name>.final`, the state after the last sample.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.onnx_write.build import (
    BATCH,
    TIME,
    Functions,
    Graph,
    finished,
    identifier,
    last_of_each,
    repeated,
    require_onnx,
)
from lnn2loihi.converters.onnx_write.float_stages import stage_nodes
from lnn2loihi.converters.onnx_write.float_trace import Places, Traced, beside
from lnn2loihi.errors import InputError
from lnn2loihi.evaluation import heard_again, loops
from lnn2loihi.layers.stage import INPUT, Stage
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.stepping import step

DTYPES = ("float32", "float64")
#: Marks the value that is 1 in the first step of each sample; no name of a value has a space.
FIRST_STEP = "first step"
DESCRIPTION = "A liquid network in floating point, by lnn2loihi."


class OnnxFloatExporter:
    """Entry point `onnx-float` of the group `lnn2loihi.exporters`."""

    suffixes = (".onnx",)

    def accepts(self, source: object) -> bool:
        """Whether it is a network."""
        return isinstance(source, LiquidNetwork)

    @checks_kinds()
    def export(
        self, source: LiquidNetwork, *, dtype: str = "float32", time_first: bool = False
    ) -> Any:
        """Builds the model.

        Args:
            source: the network.
            dtype: float32, or float64 (which equals `LiquidNetwork.evaluate` to 1e-12).
            time_first: whether `x`, `timespans` and `y` are (time, batch, ...), as the loop takes
                them, which spares large batches a copy.

        Returns:
            The onnx.ModelProto, which onnx.checker has passed in full mode.

        Raises:
            InputError: the dtype does not exist, a stage cannot be translated, or a stage has the
                name of another input.
            BackendMissingError: onnx is not installed.
        """
        require_onnx()
        if dtype not in DTYPES:
            raise InputError("dtype", f"{dtype!r} is not one of {', '.join(DTYPES)}")
        return _Export(source, dtype, time_first).model()

    def to_bytes(self, made: Any) -> bytes:
        """The content of the file."""
        return made.SerializeToString()


def _held(stages: Sequence[Stage]) -> list[str]:
    """Stages that take one step for each sample and are heard in all others, too."""
    heard = {source.name for stage in stages for source in stage.sources if not source.previous}
    return [stage.name for stage in stages if stage.once and stage.name in heard]


class _Export:
    """A model in the making."""

    def __init__(self, network: LiquidNetwork, dtype: str, time_first: bool = False) -> None:
        self.network, self.dtype, self.time_first = network, np.dtype(dtype), time_first
        groups = loops(network.stages)
        stepping = [any(s.recurrent or s.memory for s in group) for group in groups]
        last = len(groups) - stepping[::-1].index(True) if any(stepping) else 0
        #: Stages up to the last one that has to run step by step, and those after it.
        self.first = [stage for group in groups[:last] for stage in group]
        self.after = [stage for group in groups[last:] for stage in group]
        heard = heard_again(self.first)
        self.states: dict[str, int] = {}
        #: What the loop holds, by name: the state that it begins with ("" for zeros), and its size.
        self.holds: dict[str, tuple[str, int]] = {}
        #: By stage under which name its message is held.
        self.kept = {name: name for name in heard}
        self.kept |= {name: f"{name}.h" for name in _held(self.first) if name not in heard}
        for stage in self.first:
            names = [stage.name] if stage.name in heard else []
            for name in (*names, *map(stage.state_name, stage.memory)):
                self.states[name] = stage.units
                self.holds[name] = (name, stage.units)
            if stage.name in self.kept and not names:  # said anew in each sample
                self.holds[self.kept[stage.name]] = ("", stage.units)
        self.main = Graph()
        self.inputs, self.outputs = self._interface()
        self.places = Places(self.main, dtype)

    def _interface(self) -> tuple[list[Any], list[Any]]:
        """Value infos of the model's inputs and outputs; their names are taken."""
        network, graph = self.network, self.main
        frame = (TIME, BATCH) if self.time_first else (BATCH, TIME)
        inputs = [self._value("x", *frame, network.input_size)]
        if network.irregular:
            inputs.append(self._value("timespans", *frame))
        inputs += [self._value(name, BATCH, units) for name, units in self.states.items()]
        outputs = [self._value("y", *frame, network.output_size)]
        outputs += [self._value(f"{n}.final", BATCH, units) for n, units in self.states.items()]
        graph.claim([*inputs, *outputs], f"network {network.name!r}")
        return inputs, outputs

    def _value(self, name: str, *shape: int | str | None) -> Any:
        return self.main.value_info(name, self.dtype, shape)

    def model(self) -> Any:
        """The finished model."""
        graph, network = self.main, self.network
        messages = self._looped({INPUT: self._samples()})
        for stage in self.after:
            z = beside([messages[source.name] for source in stage.sources])
            messages[stage.name], _ = stage_nodes(stage, z, {}, self._elapsed(stage))
        answers = messages[network.stages[-1].name].value
        if self.time_first:
            graph.add_many("Reshape", [answers, self._frame()], ["y"])
        else:
            graph.add_many("Transpose", [self._in_time(answers)], ["y"], perm=[1, 0, 2])
        made = graph.finished(identifier(network.name), self.inputs, self.outputs)
        return finished(made, Functions(), network.name, _metadata(network), DESCRIPTION)

    def _samples(self) -> Traced:
        """Normalised samples as rows."""
        network = self.network
        x = Traced(self.places, "x", False)
        if network.input_offset.any():
            x = x - network.input_offset
        if (network.input_scale != 1.0).any():
            x = x / network.input_scale
        return self._rows(self._turned(x.value, 3), network.input_size)

    def _elapsed(self, stage: Stage) -> Traced | None:
        """The elapsed times as rows, where the stage takes them."""
        return self._all_elapsed if stage.timed else None

    @cached_property
    def _all_elapsed(self) -> Traced:
        return self._rows(self._turned("timespans", 2), 1)

    def _turned(self, value: str, rank: int) -> str:
        """From the axes of the interface to those of the loop, or back."""
        if self.time_first:
            return value
        return self.main.add("Transpose", value, perm=[1, 0, *range(2, rank)])

    def _rows(self, value: str, columns: int) -> Traced:
        """(time, batch, columns) as (time * batch, columns)."""
        return Traced(self.places, value, False).shaped("Reshape", [-1, columns])

    def _in_time(self, rows: str) -> str:
        """(time * batch, columns) as (time, batch, columns)."""
        return self.main.add("Reshape", rows, self._frame())

    def _frame(self) -> str:
        """The shape (time, batch, whatever is left)."""
        graph = self.main
        axes = (0, 1) if self.time_first else (1, 0)
        sizes = [graph.add("Shape", "x", start=axis, end=axis + 1) for axis in axes]
        return graph.add("Concat", *sizes, graph.constant([-1], np.int64), name="frame", axis=0)

    def _looped(self, messages: Mapping[str, Traced]) -> dict[str, Traced]:
        """Adds the stages that run step by step, and those before them; all messages as rows."""
        places = self.places
        held = {name: Traced(places, places.step.name(f"{name}.held"), True) for name in self.holds}
        own = {name: held[kept] for name, kept in self.kept.items()}
        now = {**messages, **own}
        memory: dict[str, Mapping[str, Traced]] = {
            s.name: {word: held[s.state_name(word)] for word in s.memory} for s in self.first
        }

        def answer(
            stage: Stage, heard: Sequence[Traced], kept: Mapping[str, Traced]
        ) -> tuple[Traced, Mapping[str, Traced]]:
            return stage_nodes(stage, beside(heard), kept, self._elapsed(stage))

        step(self.first, now, memory, answer, self._at_first)
        state = {kept: now[name] for name, kept in self.kept.items()}
        for stage in self.first:
            state |= {stage.state_name(word): v for word, v in memory[stage.name].items()}
        state = {name: state[name] for name in self.holds}
        wanted = {source.name for stage in self.after for source in stage.sources}
        wanted |= {self.network.stages[-1].name}
        shown = {s.name: now[s.name] for s in self.first if s.name in wanted and now[s.name].inside}
        if held:
            now |= self._scan(held, state, shown)
        return now

    def _at_first(self, first: Traced, later: Traced) -> Traced:
        """One value in the first step of a sample, another in all others."""
        if self.network.substeps == 1:
            return first
        entered = self.places.named(Traced(self.places, FIRST_STEP, False), inside=True)
        flag = Traced(self.places, entered, True)
        return flag * first + (1.0 - flag) * later

    def _first_steps(self) -> str:
        """1 in the first step of each sample, else 0: (steps, batch, 1)."""
        graph, substeps = self.main, self.network.substeps
        one = graph.add("Expand", graph.constant(1.0, self.dtype), self._frame_of(1))
        zero = graph.add("Expand", graph.constant(0.0, self.dtype), self._frame_of(substeps - 1))
        rows = graph.add("Concat", one, zero, axis=1)
        frame = graph.add("Shape", graph.add("Squeeze", one, graph.constant([1], np.int64)))
        ends = (graph.constant([n], np.int64) for n in (1, 3))
        shape = graph.add(
            "Concat", graph.constant([-1], np.int64), graph.add("Slice", frame, *ends), axis=0
        )
        return graph.add("Reshape", rows, shape)

    def _frame_of(self, steps: int) -> str:
        """The shape (time, steps, batch, 1)."""
        graph = self.main
        axes = (0, 1) if self.time_first else (1, 0)
        time, batch = (graph.add("Shape", "x", start=axis, end=axis + 1) for axis in axes)
        numbers = [graph.constant([n], np.int64) for n in (steps, 1)]
        return graph.add("Concat", time, numbers[0], batch, numbers[1], axis=0)

    def _scan(
        self, held: Mapping[str, Traced], state: Mapping[str, Traced], shown: Mapping[str, Traced]
    ) -> dict[str, Traced]:
        """Closes the loop; the shown messages as rows.

        Args:
            held: each state in a step.
            state: each state after it.
            shown: messages that are heard outside of the loop.
        """
        graph, step, substeps = self.main, self.places.step, self.network.substeps
        made = {output for node in step.nodes for output in node.output}
        leaving: list[str] = []
        for value in (*state.values(), *shown.values()):
            name = self.places.named(value, inside=True)
            # A graph answers with values of its own, and with none of them twice.
            again = name in leaving or name not in made
            leaving.append(step.add("Identity", name, name=f"{name}.again") if again else name)
        sizes = {name: size for name, (_, size) in self.holds.items()}
        units = [*sizes.values(), *(self._stage(name).units for name in shown)]
        entered = self.places.entered
        entering = [self._value(held[name].value, BATCH, n) for name, n in sizes.items()]
        entering += [self._value(name, BATCH, None) for name in entered.values()]
        body = step.finished(
            "step", entering,
            [self._value(name, BATCH, n) for name, n in zip(leaving, units, strict=True)],
        )  # fmt: skip
        in_time = [graph.name(f"{name}.steps") for name in shown]
        graph.add_many(
            "Scan",
            [
                *(start or self._zeros(size) for start, size in self.holds.values()),
                *map(self._step_by_step, entered),
            ],
            [
                *(
                    f"{n}.final" if n in self.states else graph.name(f"{n}.last")
                    for n in self.holds
                ),
                *in_time,
            ],
            body=body,
            num_scan_inputs=len(entered),
        )
        return {
            name: self._rows(last_of_each(graph, value, substeps), self._stage(name).units)
            for name, value in zip(shown, in_time, strict=True)
        }

    def _zeros(self, size: int) -> str:
        """Zeros for each sequence, (batch, size)."""
        graph, axis = self.main, 1 if self.time_first else 0
        batch = graph.add("Shape", "x", start=axis, end=axis + 1)
        shape = graph.add("Concat", batch, graph.constant([size], np.int64), axis=0)
        return graph.add("Expand", graph.constant(0.0, self.dtype), shape)

    def _stage(self, name: str) -> Stage:
        return next(stage for stage in self.network.stages if stage.name == name)

    def _step_by_step(self, rows: str) -> str:
        """Rows as the loop takes them: (steps, batch, columns)."""
        if rows == FIRST_STEP:
            return self._first_steps()
        return repeated(self.main, self._in_time(rows), self.network.substeps)


def _metadata(network: LiquidNetwork) -> dict[str, str]:
    described = {
        "timespan": network.timespan,
        "source": dict(network.source),
        "host": list(network.host),
    }
    return {key: json.dumps(value, sort_keys=True) for key, value in described.items()}
