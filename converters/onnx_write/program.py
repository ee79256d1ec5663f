"""Exports a program as an ONNX model that computes the chip's integers.

The model holds standard operators of opset 21 and functions made of them, on int32, and one Scan
over time whose body is one sample step. What a population does in an update is a function, made of
its neuron program instruction by instruction, so that whatever is a LoihiProgram can be exported.

Inputs are `x`, encoded messages int32 (batch, time, channels of the port: with irregular time the
last one is the elapsed time), and `<population>.<word>` int32 (batch, neurons), the state before
the first sample. Outputs are `y`, messages int32 (batch, time, outputs), and
`<population>.<word>.final`, the state after the last sample. docs/onnx.md says the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.onnx_write.build import (
    BATCH,
    DOMAIN,
    TIME,
    Functions,
    Graph,
    finished,
    identifier,
    last_of_each,
    repeated,
    require_onnx,
)
from lnn2loihi.converters.onnx_write.program_codec import decoded, encoded, metadata
from lnn2loihi.converters.onnx_write.program_neuron import MESSAGE, neuron_function, neuron_outputs
from lnn2loihi.converters.onnx_write.program_weights import prepare
from lnn2loihi.errors import InputError
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.program import LoihiProgram, Population
from lnn2loihi.simulation.result import recorded_words

#: Name of the dimension of updates: one for each sample, or several.
UPDATES = "updates"
#: What samples and answers may be: messages, or real numbers with a codec around the integers.
DTYPES = ("int32", "float32", "float64")
DESCRIPTION = "The integers that the chip computes, exactly: a LoihiProgram of lnn2loihi."


class OnnxProgramExporter:
    """Entry point `onnx` of the group `lnn2loihi.exporters`."""

    suffixes = (".onnx",)

    def accepts(self, source: object) -> bool:
        """Whether it is a program."""
        return isinstance(source, LoihiProgram)

    @checks_kinds()
    def export(self, source: LoihiProgram, *, dtype: str = "int32", record: bool = False) -> Any:
        """Builds the model.

        Args:
            source: what the model executes.
            dtype: one of DTYPES, of samples and answers. With a float type an encoder and a
                decoder stand around the integer core; `x` has the channels of a sample then, and
                with irregular time `timespans` (batch, time) is another input.
            record: whether every state of every step is an output too:
                `<population>.<word>.steps` int32 (batch, updates, neurons), one update for each
                sample, or as many as the program takes.

        Returns:
            The onnx.ModelProto, which onnx.checker has passed in full mode.

        Raises:
            InputError: the dtype does not exist, or two states would have the same name.
            BackendMissingError: onnx is not installed.
        """
        require_onnx()
        if dtype not in DTYPES:
            raise InputError("dtype", f"{dtype!r} is not one of {', '.join(DTYPES)}")
        return _Export(source, dtype, record).model()

    def to_bytes(self, made: Any) -> bytes:
        """The content of the file."""
        return made.SerializeToString()


@dataclass(frozen=True)
class _Word:
    """A state word, or the message of a population that has none for it.

    Attributes:
        population: whose.
        word: its name.
    """

    population: Population
    word: str

    @property
    def name(self) -> str:
        """`population.word`."""
        return f"{self.population.name}.{self.word}"


class _Export:
    """A model in the making: a main graph and the body of its loop."""

    def __init__(self, program: LoihiProgram, dtype: str, record: bool) -> None:
        self.program, self.dtype = program, np.dtype(dtype)
        populations = program.populations
        self.states = [_Word(p, word) for p in populations for word in p.program.state_names]
        self.recorded = [
            _Word(p, word) for p in populations for word in recorded_words(p.program) if record
        ]
        self.functions = Functions()
        self.main = Graph()
        self.inputs, self.outputs = self._interface()
        self.step = Graph(outer=self.main)

    def _interface(self) -> tuple[list[Any], list[Any]]:
        """Value infos of the model's inputs and outputs; their names are taken."""
        program, graph = self.program, self.main
        channels = program.input.size if self.dtype == np.int32 else program.channels
        sizes = [(word.name, word.population.size) for word in self.states]
        inputs = [graph.value_info("x", self.dtype, [BATCH, TIME, channels])]
        if channels < program.input.size:
            inputs.append(graph.value_info("timespans", self.dtype, [BATCH, TIME]))
        inputs += [graph.value_info(name, np.int32, [BATCH, size]) for name, size in sizes]
        answers = program.output_population.size
        outputs = [graph.value_info("y", self.dtype, [BATCH, TIME, answers])]
        outputs += [graph.value_info(f"{n}.final", np.int32, [BATCH, size]) for n, size in sizes]
        outputs += [
            graph.value_info(f"{word.name}.steps", np.int32, [BATCH, UPDATES, word.population.size])
            for word in self.recorded
        ]
        graph.claim([*inputs, *outputs], f"program {program.name!r}")
        return inputs, outputs

    def model(self) -> Any:
        """The finished model."""
        graph, program = self.main, self.program
        samples = graph.add("Transpose", self._messages(), name="samples", perm=[1, 0, 2])
        samples = repeated(graph, samples, program.substeps)
        body = self._body()
        shown = ["y", *(f"{word.name}.steps" for word in self.recorded)]
        in_time = [graph.name(f"{name}.in_time") for name in shown]
        graph.add_many(
            "Scan",
            [*(word.name for word in self.states), samples],
            [*(f"{word.name}.final" for word in self.states), *in_time],
            body=body,
            num_scan_inputs=1,
        )
        for name, value in zip(shown, in_time, strict=True):
            if name == "y":
                value = self._answers(last_of_each(graph, value, program.substeps))
            graph.add_many("Transpose", [value], [name], perm=[1, 0, 2])
        made = graph.finished(identifier(program.name), self.inputs, self.outputs)
        return finished(made, self.functions, program.name, metadata(program), DESCRIPTION)

    def _messages(self) -> str:
        """Encoded samples (batch, time, channels of the port)."""
        graph, program = self.main, self.program
        if self.dtype == np.int32:
            return "x"
        x = "x"
        if program.timed:
            elapsed = graph.add("Unsqueeze", "timespans", graph.constant([2], np.int64))
            x = graph.add("Concat", x, elapsed, name="x_and_timespans", axis=2)
        return encoded(graph, self.functions, program.input, x)

    def _answers(self, messages: str) -> str:
        """Messages of the output, decoded if real numbers are asked for."""
        if self.dtype == np.int32:
            return messages
        answering = self.program.output_population
        return decoded(self.main, self.functions, answering, messages, self.dtype)

    def _body(self) -> Any:
        """The body of the loop: one sample step of every population."""
        step, program = self.step, self.program
        held = {word.name: step.name(f"{word.name}.held") for word in self.states}
        sample = step.name("sample")
        messages = {program.input.name: sample}
        for word in self.states:  # until it updates, a population's message is its last one
            if word.word == word.population.program.message_state:
                messages[word.population.name] = held[word.name]
        made: dict[str, str] = {}
        names: dict[NeuronProgram, str] = {}
        for population in program.populations:
            function = neuron_function(population.program, self.functions, names)
            answers = self._update(population, function, held, messages)
            made |= answers
            heard = population.program.message_state or MESSAGE
            messages[population.name] = answers[f"{population.name}.{heard}"]
        inputs = [(held[word.name], word.population.size) for word in self.states]
        outputs = [(made[word.name], word.population.size) for word in self.states]
        sent = [(messages[program.output], program.output_population.size)]
        sent += [(made[word.name], word.population.size) for word in self.recorded]
        # A value may leave a graph only once.
        outputs += [(step.add("Identity", v, name=f"{v}.shown"), size) for v, size in sent]
        return step.finished(
            "sample_step",
            [self._row(*value) for value in (*inputs, (sample, program.input.size))],
            [self._row(*value) for value in outputs],
        )

    def _row(self, name: str, size: int) -> Any:
        return self.step.value_info(name, np.int32, [BATCH, size])

    def _update(
        self,
        population: Population,
        function: str,
        held: Mapping[str, str],
        messages: Mapping[str, str],
    ) -> dict[str, str]:
        """Adds an update; its state words and message, by full name."""
        step, neuron = self.step, population.program
        sums = self._sums(population, messages)
        parameters = [
            self.step.constant(population.parameters[p], np.int32, f"{population.name}.{p}")
            for p in neuron.parameter_names
        ]
        state = [held[f"{population.name}.{word}"] for word in neuron.state_names]
        full = [f"{population.name}.{word}" for word in neuron_outputs(neuron)]
        outputs = [step.name(f"{name}.next") for name in full]
        step.add_many(
            function,
            [*(sums[name] for name in neuron.accumulators), *parameters, *state],
            outputs,
            domain=DOMAIN,
        )
        return dict(zip(full, outputs, strict=True))

    def _sums(self, population: Population, messages: Mapping[str, str]) -> dict[str, str]:
        """Adds the sum of each accumulator, (batch, neurons)."""
        step, fused = self.step, {}
        for connection in self.program.incoming(population.name):
            sums = prepare(self.step, connection, population.size)
            value = sums.add(step, self.functions, messages[connection.source])
            _accumulate(step, fused, connection.accumulators, value)
        totals: dict[tuple[str, ...], str] = {}
        for accumulators, value in fused.items():
            parts = self._split(population, accumulators, value)
            for accumulator, part in zip(accumulators, parts, strict=True):
                _accumulate(step, totals, (accumulator,), part)
        unfed = [a for a in population.program.accumulators if (a,) not in totals]
        some = next(iter(totals.values()), "")
        if not some:  # constants: a channel of the sample has the rows that an answer needs
            channel = step.constant([0], np.int64)
            channel = step.add("Gather", messages[self.program.input.name], channel, axis=1)
            row = step.constant(np.ones(population.size), np.int32)
            some = step.add("Mul", channel, row, name=f"{population.name}.rows")
        zeros = step.add("Sub", some, some, name=f"{population.name}.zeros") if unfed else ""
        return {a: totals.get((a,), zeros) for a in population.program.accumulators}

    def _split(
        self, population: Population, accumulators: tuple[str, ...], value: str
    ) -> list[str]:
        """Sums of several accumulators side by side, one by one."""
        if len(accumulators) == 1:
            return [value]
        names = [self.step.name(f"{population.name}.{a}.sum") for a in accumulators]
        self.step.add_many("Split", [value], names, axis=1, num_outputs=len(names))
        return names


def _accumulate(
    step: Graph, totals: dict[tuple[str, ...], str], key: tuple[str, ...], value: str
) -> None:
    """Adds a value to what is known under a key."""
    totals[key] = step.add("Add", totals[key], value, name="sums") if key in totals else value
