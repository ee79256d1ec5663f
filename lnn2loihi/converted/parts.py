"""The parts of a converted module, and the module that they make up.

Values have names, and every part says which it takes and which it answers. Between two chip parts,
and before and after them, values are arrays as the module's own forward has them; a port says where
the samples, steps and features of a chip part are in such an array.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converted import storage
from lnn2loihi.converted.checks import problems_of
from lnn2loihi.converted.comparing import ConvertedComparison, comparison
from lnn2loihi.converted.ports import (
    BATCH,
    FEATURES,
    TIME,
    AnyArray,
    Axis,
    ChipPort,
    ModuleInput,
    StatePort,
    ValueName,
)
from lnn2loihi.converted.quantizing import by_default, quantized
from lnn2loihi.converted.running import (
    ConvertedResult,
    answer_of,
    given_to,
    pass_through,
)
from lnn2loihi.converted.tracing import ConvertedTrace, traced
from lnn2loihi.defaults import DEFAULT_RECIPE
from lnn2loihi.errors import InputError, NetworkError, Problems
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.state_words import StateWord
from lnn2loihi.recipe import LayerRecipes, Recipe

__all__ = [
    "BATCH",
    "FEATURES",
    "TIME",
    "AnyArray",
    "Axis",
    "ChipPart",
    "ChipPort",
    "ConvertedModule",
    "HostFunction",
    "HostPart",
    "ModuleInput",
    "Part",
    "StatePort",
    "ValueName",
]


@dataclass(frozen=True, eq=False)
class ChipPart:
    """What runs on the chip: a network, and its program once it is quantized.

    Attributes:
        name: of the part.
        network: the float network; None where a saved module was loaded.
        inputs: side by side they are the network's inputs.
        outputs: what its answers are used for.
        elapsed: the value that holds the elapsed time before each sample, where time is irregular;
            its port has no columns.
        initial: states that the module begins with; zeros for all others.
        final: states that are answered or used after the last sample.
        program: the integers.
        words: the words of the program that hold states.
    """

    on_host: ClassVar[bool] = False

    name: str
    network: LiquidNetwork | None
    inputs: tuple[ChipPort, ...]
    outputs: tuple[ChipPort, ...]
    elapsed: ChipPort | None = None
    initial: tuple[StatePort, ...] = ()
    final: tuple[StatePort, ...] = ()
    program: LoihiProgram | None = None
    words: tuple[StateWord, ...] = ()

    @property
    def state_sizes(self) -> dict[str, int]:
        """Units of each state, by name."""
        if self.network is not None:
            return self.network.state_sizes
        return {word.state: word.step.size for word in self.words}

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the values that it takes."""
        ports = (*self.inputs, *(() if self.elapsed is None else (self.elapsed,)), *self.initial)
        return tuple(dict.fromkeys(port.value for port in ports))

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of the values that it answers."""
        return tuple(dict.fromkeys(port.value for port in (*self.outputs, *self.final)))

    def float_network(self) -> LiquidNetwork:
        """The float network.

        Raises:
            InputError: there is none: a saved module holds integers alone.
        """
        if self.network is None:
            raise InputError(
                f"part {self.name!r}",
                "has no float network: what was saved holds the integers alone; convert the module "
                "again",
            )
        return self.network

    def quantized(self) -> LoihiProgram:
        """The program.

        Raises:
            InputError: nobody has quantized it.
        """
        if self.program is None:
            raise InputError(f"part {self.name!r}", "has no program; call quantize() first")
        return self.program


class HostFunction(Protocol):
    """What a host part computes: float arrays in float32, as the module does."""

    def __call__(self, arrays: Sequence[AnyArray]) -> list[AnyArray]:
        """The part's outputs for its inputs, in their order."""
        ...

    def onnx(self) -> bytes:
        """The same as an ONNX model, whose inputs and outputs have the names of the values."""
        ...


@dataclass(frozen=True, eq=False)
class HostPart:
    """What stays on the host.

    Attributes:
        name: of the part.
        inputs, outputs: names of values.
        function: what it computes.
        operators: what it consists of, in order, for tables ("Conv2d", "mean").
        reasons: why it is not on the chip, a sentence each, with the line of forward.
        multiply_adds: multiply-adds for the example; None where nobody counted them.
        parameters: numbers that were trained; None where nobody counted them.
    """

    on_host: ClassVar[bool] = True

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    function: HostFunction
    operators: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    multiply_adds: int | None = None
    parameters: int | None = None

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the values that it takes."""
        return self.inputs

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of the values that it answers."""
        return self.outputs


Part: TypeAlias = "HostPart | ChipPart"


@dataclass(frozen=True, eq=False)
class ConvertedModule:
    """A trained module, cut into parts that run one after the other.

    Attributes:
        name: of the module.
        inputs: tensors that it is called with.
        arguments: the positional arguments (a tuple) and the keywords (a dict) of the example, with
            a ValueName in place of each tensor.
        parts: in the order in which they run.
        answer: what it answers, with a ValueName in place of each tensor.
        example: for each input its array.
        constants: values of the answer and of parts that depend on no input, by name.
        notes: what the user has to know, a sentence each.
        multiply_adds: multiply-adds of the whole module for the example.
        module: the live module that it was made of; None where it was loaded.

    Raises:
        NetworkError: lists everything that contradicts itself, when made.
    """

    name: str
    inputs: tuple[ModuleInput, ...]
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    parts: tuple[Part, ...]
    answer: Any
    example: dict[str, np.ndarray]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    multiply_adds: int | None = None
    module: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        problems = Problems(NetworkError, f"module {self.name!r}")
        problems.extend(problems_of(self))
        problems.raise_if_any()

    @property
    def chip_parts(self) -> tuple[ChipPart, ...]:
        """Those of the parts that run on the chip."""
        return tuple(part for part in self.parts if isinstance(part, ChipPart))

    @property
    def host_parts(self) -> tuple[HostPart, ...]:
        """Those of the parts that stay on the host."""
        return tuple(part for part in self.parts if isinstance(part, HostPart))

    @property
    def is_quantized(self) -> bool:
        """Whether every chip part has a program."""
        return all(part.program is not None for part in self.chip_parts)

    @property
    def has_floats(self) -> bool:
        """Whether every chip part has its float network; what was loaded has none."""
        return all(part.network is not None for part in self.chip_parts)

    @cached_property
    def ready(self) -> ConvertedModule:
        """The module, quantized by the default recipe on its example if nobody has done it; once,
        and `notes` of it say so.
        """
        return self if self.is_quantized else by_default(self)

    def predict(self, *args: Any, executor: str = "auto", **keywords: Any) -> Any:
        """What the module answers: host parts in float32, chip parts in exact integers.

        Args:
            *args: what the module takes: arrays, tensors or nested lists, in the structure of the
                example that it was converted with. Other sizes are taken along the batch and the
                time.
            executor: who runs the programs, see `simulate`; all give the same integers.
            **keywords: arguments by name.

        Returns:
            What the module answers, in its own structure; arrays, or tensors where some were
            given. See `run` for what was lost on the way.

        Raises:
            InputError: lists arguments that do not fit, by name; or there is no such executor.
            BackendMissingError: the executor cannot run a program here, or onnxruntime is missing.
            QuantizationError: nobody has quantized it, and the default recipe does not fit.
        """
        return self.run(*args, executor=executor, **keywords).answer

    def run(self, *args: Any, executor: str = "auto", **keywords: Any) -> ConvertedResult:
        """The same as `predict`, with each chip part's simulation and what saturated."""
        ready, given = self.ready, given_to(self, args, keywords)
        passage = pass_through(ready, given, executor)
        states = {name: run.saturated_states for name, run in passage.runs.items()}
        return ConvertedResult(
            answer_of(ready, passage, given),
            {name: run.result for name, run in passage.runs.items()},
            {name: found for name, found in states.items() if found},
            ready.notes,
        )

    def evaluate(self, *args: Any, **keywords: Any) -> Any:
        """What the module answers with the float networks in place of the programs.

        Raises:
            InputError: as `predict`; or it was loaded, and has no float networks.
        """
        given = given_to(self, args, keywords)
        return answer_of(self, pass_through(self, given, executor=None), given)

    @checks_kinds()
    def quantize(
        self,
        recipe: str | Recipe = DEFAULT_RECIPE,
        calibrate: Any = None,
        *,
        layers: LayerRecipes | None = None,
        ranges: str = "range",
        correction: str = "full",
    ) -> ConvertedModule:
        """The module with chip parts in integers, proved free of overflow.

        Args:
            recipe: as for `lnn2loihi.quantize`.
            calibrate: typical calls: an array, where the module takes one; a tuple of arguments or
                a dict of keywords, for one call; a list of such calls, of any sizes; or a loader of
                them, of whose batches as many entries are taken as the module has arguments. By
                default the example. Each chip part is calibrated with what the parts before it, in
                floats, make of them.
            layers: recipes of layers or stages by name, where they differ; "part.layer" where
                several parts have a layer of that name.
            ranges: as for `lnn2loihi.quantize`.
            correction: as for `lnn2loihi.quantize`.

        Raises:
            QuantizationError: lists by part what is wrong with recipes and data, and rows that do
                not fit.
            InputError: a call does not fit the module; or it was loaded, and has no float networks.
        """
        return quantized(self, recipe, calibrate, layers, ranges, correction)

    def trace(self, *args: Any, executor: str = "auto", **keywords: Any) -> ConvertedTrace:
        """Every value that passes between parts, in integers (decoded) and in floats.

        Arguments and errors as of `predict`.
        """
        return traced(self.ready, given_to(self, args, keywords), executor)

    def compare(
        self, *args: Any, module: Any = None, executor: str = "auto", **keywords: Any
    ) -> ConvertedComparison:
        """Compares integers with floats: the answer, and part by part.

        Args:
            *args: as for `predict`.
            module: the live module; by default the one that it was made of, where that is there.
                A copy of it runs.
            executor: as for `predict`.
            **keywords: as for `predict`.

        Raises:
            InputError: as `predict`; or it was loaded and has no float networks; or the module
                answers something else than when it was converted.
        """
        own = self.module if module is None else module
        return comparison(self.ready, given_to(self, args, keywords), own, executor)

    @checks_kinds()
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the module as one file (`.l2m`): programs, host parts as ONNX, a manifest, and the
        example where it is not large. The file is whole or not there. `lnn2loihi.load` reads it,
        without PyTorch.

        Raises:
            ArtifactError: the folder does not exist or cannot be written; or lists what no file
                holds, such as a class of the module's own in its answer, and host parts that have
                no ONNX form.
            BackendMissingError: host parts cannot be written as ONNX here.
        """
        return storage.save(self, path)
