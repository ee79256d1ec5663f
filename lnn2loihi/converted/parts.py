"""The converted module, which users hold, and what it consists of.

Values have names, and every part says which it takes and which it answers. Between two chip parts,
and before and after them, values are arrays as the module's own forward has them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converted import storage
from lnn2loihi.converted.checks import problems_of
from lnn2loihi.converted.comparing import ConvertedComparison, comparison
from lnn2loihi.converted.description import plain, share_on_chip, shown
from lnn2loihi.converted.pieces import (
    BATCH,
    FEATURES,
    TIME,
    AnyArray,
    Axis,
    ChipPart,
    ChipPort,
    HostFunction,
    HostPart,
    ModuleInput,
    Part,
    StatePort,
    ValueName,
)
from lnn2loihi.converted.quantizing import by_default, quantized
from lnn2loihi.converted.running import (
    ConvertedResult,
    answer_of,
    given_example,
    given_to,
    pass_through,
    result_of,
)
from lnn2loihi.converted.streaming import ConvertedStream
from lnn2loihi.converted.tracing import ConvertedTrace, traced
from lnn2loihi.defaults import DEFAULT_DEVICES, DEFAULT_RECIPE, DEFAULT_TARGET
from lnn2loihi.devices import Device
from lnn2loihi.errors import NetworkError, Problems
from lnn2loihi.recipe import LayerRecipes, Recipe
from lnn2loihi.showing import Said, Shown
from lnn2loihi.tables import percent
from lnn2loihi.targets import Target

if TYPE_CHECKING:
    from lnn2loihi.converted.costs import ConvertedProfile, ConvertedVerification
    from lnn2loihi.placement.placement import Placement

_log = logging.getLogger("lnn2loihi")

__all__ = [
    "BATCH", "FEATURES", "TIME", "AnyArray", "Axis", "ChipPart", "ChipPort", "ConvertedModule",
    "HostFunction", "HostPart", "ModuleInput", "Part", "StatePort", "ValueName",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class ConvertedModule(Shown):
    """A trained module, cut into parts that run one after the other.

    Attributes:
        name: of the module.
        inputs: tensors that it is called with.
        arguments: the positional arguments (a tuple) and the keywords (a dict) of the example, with
            a ValueName in place of each tensor.
        parts: in the order in which they run.
        answer: what it answers, with a ValueName in place of each tensor, and a Size in place of
            each number that follows the sizes of what it is called with.
        example: for each input its array.
        constants: values of the answer and of parts that depend on no input, by name.
        notes: what the user has to know, a sentence each.
        multiply_adds: multiply-adds of the whole module for the example.
        module: the live module that it was made of; None where it was loaded.
        kept: attributes in which the module keeps states from call to call; see `open_stream`.
        types: for values of the answer that the module gives in another floating-point type than
            float32 that type's name; parts on the host compute in float32 or float64.

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
    kept: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)

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

    @checks_kinds()
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
            given. See `run` for what was lost on the way; the first time that something is, a
            warning on the log `lnn2loihi` says so.

        Raises:
            InputError: lists arguments that do not fit, by name; or there is no such executor.
            BackendMissingError: the executor cannot run a program here, or onnxruntime is missing.
            QuantizationError: nobody has quantized it, and the default recipe does not fit.
        """
        result = self.run(*args, executor=executor, **keywords)
        if result.warnings and not self._said:
            self._said.append(True)
            _log.warning("module %r: %s", self.name, "; ".join(result.warnings))
        return result.answer

    @cached_property
    def _said(self) -> list[bool]:
        """Whether `predict` has said that something was lost."""
        return []

    @checks_kinds()
    def run(self, *args: Any, executor: str = "auto", **keywords: Any) -> ConvertedResult:
        """The same as `predict`, with each chip part's simulation and what saturated."""
        ready, given = self.ready, given_to(self, args, keywords)
        return result_of(ready, pass_through(ready, given, executor), given)

    @checks_kinds()
    def open_stream(self, executor: str = "auto") -> ConvertedStream:
        """Calls that go on where the one before ended, chunk by chunk or step by step.

            stream = quantized.open_stream()
            first, second = stream.predict(x[:, :50]), stream.predict(x[:, 50:])

        Chip parts begin each call with all words as the call before left them, so that the answers
        are bit for bit those of one call over the whole. For a module that keeps states itself
        (`kept`), these are what it keeps.

        Args:
            executor: as for `predict`.

        Raises:
            InputError: lists the parts with which that is not so: host parts that mix the steps of
                a sequence, parts that begin with states which each call tells; or a module that
                keeps something else. Or the example, with which that is tried, was too large to be
                saved; or there is no such executor.
            BackendMissingError: the executor cannot run a program here, or onnxruntime is missing.
        """
        return ConvertedStream(self.ready, executor)

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

    @checks_kinds()
    def trace(self, *args: Any, executor: str = "auto", **keywords: Any) -> ConvertedTrace:
        """Every value that passes between parts, in integers (decoded) and in floats.

        Arguments and errors as of `predict`.
        """
        return traced(self.ready, given_to(self, args, keywords), executor)

    @checks_kinds()
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

    @checks_kinds()
    def verify(
        self,
        *args: Any,
        executors: Sequence[str] | str | None = None,
        target: str | Target = DEFAULT_TARGET,
        progress: Callable[[str, int, int], None] | None = None,
        **keywords: Any,
    ) -> ConvertedVerification:
        """Compares executors on every chip part, bit for bit, on what the part hears.

        Args:
            *args: as for `predict`.
            executors: as for `lnn2loihi.verify`.
            target: as for `lnn2loihi.verify`.
            progress: as for `lnn2loihi.verify`.
            **keywords: as for `predict`.

        Raises:
            InputError: as `predict` and `lnn2loihi.verify`.
            BackendMissingError: an executor that was named cannot run a program here.
        """
        from lnn2loihi.converted.costs import verified

        options = {"target": target, "progress": progress}
        return verified(self.ready, given_to(self, args, keywords), executors, options)

    @checks_kinds()
    def place(
        self, device: str | os.PathLike[str] | Device = DEFAULT_DEVICES[0], **options: Any
    ) -> dict[str, Placement]:
        """Puts every chip part on cores, each as if the device were its own.

        Args:
            device: as for `lnn2loihi.place`.
            **options: as for `lnn2loihi.place`.

        Returns:
            The placement of each chip part, by its name.

        Raises:
            PlacementError: lists all limits that are exceeded.
        """
        from lnn2loihi.converted.costs import placed

        return placed(self.ready, device, options)

    @checks_kinds()
    def profile(
        self, *args: Any, options: Mapping[str, Any] | None = None, **keywords: Any
    ) -> ConvertedProfile:
        """Says what chip parts cost on Loihi devices, and what is left to the host.

        Args:
            *args: as for `predict`; what the network will meet.
            options: further arguments of `lnn2loihi.profile`, by name: devices, against, rate,
                quick and so on.
            **keywords: as for `predict`.

        Returns:
            The profile of each chip part on what it hears; multiply-adds and parameters of host
            parts, what crosses between host and chip, and what waiting for the host costs in steps.

        Raises:
            InputError: as `predict`.
            RateError, DeviceError: as `lnn2loihi.profile`.
        """
        from lnn2loihi.converted.costs import profiled

        return profiled(self.ready, given_to(self, args, keywords), options or {})

    @checks_kinds()
    def report(
        self,
        path: str | os.PathLike[str],
        *args: Any,
        options: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> Path:
        """Writes one HTML page that opens from disk: the parts as a graph, what is on the chip,
        the comparison with the module, and of each chip part what `lnn2loihi.report` shows.

        Args:
            path: the `.html` file; whole or not written at all.
            *args: as for `predict`; by default the example.
            options: as for `profile`; nothing is measured on this machine unless they say what
                (`against`).
            **keywords: as for `predict`.

        Returns:
            The file.

        Raises:
            InputError: as `profile`; or the file cannot be written.
        """
        from lnn2loihi.reporting.converted_page import write_page

        given = given_to(self, args, keywords) if args or keywords else given_example(self)
        return write_page(self.ready, given, path, {"against": (), **(options or {})})

    def to_dict(self) -> dict[str, Any]:
        """What it consists of, as plain values."""
        return plain(self)

    def _headline(self) -> str:
        kinds = f"{len(self.chip_parts)} chip parts, {len(self.host_parts)} host parts"
        share = share_on_chip(self)
        known = "" if share is None else f", {percent(share)} of multiply-adds on the chip"
        return f"{self.name!r}, {kinds}{known}"

    def _shown(self) -> list[Said]:
        """The table of parts, why host parts are there, and notes."""
        return shown(self)
