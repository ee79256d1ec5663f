"""Runs a module on examples, and says what its forward does with the samples. Needs PyTorch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import nn

from lnn2loihi.converters.files.checkpoint import FloatArray
from lnn2loihi.converters.modules.reader import Reader
from lnn2loihi.converters.modules.streams import SAMPLES, TIMESPANS, Reading, Step
from lnn2loihi.converters.recurrent.known import is_recurrent
from lnn2loihi.converters.trace.axes import BATCH, FEATURES, TIME, Axes, parts
from lnn2loihi.converters.trace.graph import Graph
from lnn2loihi.converters.trace.record import (
    NCPS_TIMES,
    CannotRunError,
    Widened,
    double_precision,
)
from lnn2loihi.converters.trace.recorder import CannotFollowError
from lnn2loihi.converters.trace.runner import Runner
from lnn2loihi.family import importer_of

#: Attributes that say how many channels a part takes.
_WIDTHS = ("input_size", "in_features", "num_features", "in_channels", "embed_dim")
_LAYOUTS: tuple[Axes, ...] = ((BATCH, TIME, FEATURES), (TIME, BATCH, FEATURES))


@dataclass(frozen=True)
class Followed:
    """What forward does.

    Attributes:
        reading: the steps.
        inputs: channels of the samples.
        kept: attributes in which forward keeps a state for its next call.
    """

    reading: Reading
    inputs: int
    kept: tuple[str, ...] = ()


class Follower:
    """A copy of a module that runs on examples.

    Args:
        module: is left as it is.

    Raises:
        CannotCopyError: it cannot be copied.
    """

    def __init__(self, module: nn.Module) -> None:
        self._runner = Runner(module)
        self._copy = self._runner.copy
        self.parts = self._runner.parts
        self._spans = None if self._runner.by_order else _timespans(self._copy)
        self._layout: Axes = _LAYOUTS[0]
        self._axes: Axes = ()
        self._narrowed = False

    def follow(self) -> Followed:
        """The first way of calling it in which all that it does can be followed; else what is wrong
        in the first one in which it runs.

        Raises:
            CannotFollowError, CannotRunError: it does so in none.
        """
        failures: list[Exception] = []
        refused: Followed | None = None
        layouts = self._layouts()
        ways = [(layout, width) for width in self._widths for layout in layouts]
        for layout, width in ways:
            try:
                found = self._followed(layout, width)
            except (CannotFollowError, CannotRunError) as error:
                failures.append(error)
                continue
            if not found.reading.problems:
                return found
            refused = refused or found
        if refused is not None:
            return refused
        for error in failures:
            if isinstance(error, CannotFollowError):
                raise error
        # Perhaps it takes sequences without a batch, as a BatchNorm1d at the input asks for.
        for width in self._widths:
            try:
                found = self._followed((TIME, FEATURES), width)
            except (CannotFollowError, CannotRunError):
                continue
            if not found.reading.problems:
                return found
        raise failures[0]

    @property
    def timed(self) -> bool:
        """Whether forward takes timespans."""
        return self._spans is not None

    def run(self, x: FloatArray, timespans: FloatArray | None) -> FloatArray:
        """Answers to samples (batch, time, inputs) with (batch, time, outputs), or with
        (batch, outputs) of the last step.
        """
        if BATCH not in self._layout and len(x) > 1:
            return np.concatenate([self.run(one[None], None) for one in x])
        sizes = {BATCH: len(x), TIME: x.shape[1]}
        given = _arranged(x, self._layout)
        spans = None if timespans is None else _arranged(timespans, self._layout[:-1])
        try:
            with double_precision(), Widened() if self._narrowed else nullcontext():
                answer = self._runner.call(given, **({} if spans is None else {TIMESPANS: spans}))
        except Exception as error:  # whatever the user's code raises
            text = self._complaint(
                tuple(given.shape), spans is not None, f"{type(error).__name__}: {error!s:.300}"
            )
            raise CannotRunError(text) from error
        finally:
            self._runner.restore()
        while isinstance(answer, (tuple, list)):
            answer = answer[0]
        atoms = [label for axis in self._axes for label in parts(axis)]
        shape = [sizes.get(label, -1) for label in atoms]
        values = answer.detach().double().numpy()
        if shape.count(-1) > 1 or values.size % max(1, -int(np.prod(shape))):
            raise CannotRunError(
                f"its answer to x of shape {tuple(given.shape)} has shape {values.shape}, which is "
                "otherwise than for shorter sequences; a network answers to each sample"
            )
        values = values.reshape(shape)
        order = [label for label in (BATCH, TIME, FEATURES) if label in atoms]
        values = values.transpose([atoms.index(label) for label in order])
        values = values if FEATURES in atoms else values[..., None]
        return values if BATCH in atoms else values[None]

    def held(self) -> list[str]:
        """Attributes that hold tensors, which an earlier call may have left there."""
        return self._runner.held()

    def _followed(self, layout: Axes, width: int) -> Followed:
        """As `follow`, with the axes and the channels of the samples."""
        widths = {*self._widths}
        time = next(t for t in (7, 11, 13, 17) if t not in widths)
        optional = self._spans is None or self._spans.default is not inspect.Parameter.empty
        sizes = [(2, time, False), (3, 5, False)] if optional else []
        if self._spans is not None:
            sizes += [(1, time, True), (1, 6, True)]
        readings: list[tuple[Graph, Reading]] = []
        for batch, steps, timed in sizes:
            graph = self._recorded(layout, {BATCH: batch, TIME: steps, FEATURES: width}, timed)
            readings.append((graph, Reader(graph, self.parts, layout).read()))
        graph, reading = readings[0]
        timed = readings[-1][1]
        problems = list(reading.problems)
        for _, other in readings[1:]:
            problems += other.problems if not problems else []
            if not problems and (_plain(other.steps), other.last) != (
                _plain(reading.steps),
                reading.last,
            ):
                problems.append(_baked(reading, other, sizes[0][1]))
        kept, changed = self._kept(graph, layout, width)
        problems += changed
        self._layout, self._axes = layout, reading.axes
        self._narrowed = any(one.narrowed for one, _ in readings)
        return Followed(
            replace(timed, axes=reading.axes, problems=tuple(dict.fromkeys(problems))), width, kept
        )

    def _recorded(self, layout: Axes, sizes: Mapping[str, int], timed: bool) -> Graph:
        generator = torch.Generator().manual_seed(20230)
        shape = [sizes[str(axis)] for axis in layout]
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        inputs = {SAMPLES: x}
        if timed:
            inputs[TIMESPANS] = 0.1 + torch.rand(
                shape[:-1], generator=generator, dtype=torch.float64
            )
        try:
            return self._runner.record(
                (x,), {k: t for k, t in inputs.items() if t is not x}, inputs
            )
        except CannotRunError as error:
            raise CannotRunError(self._complaint(tuple(shape), timed, str(error))) from error

    def _complaint(self, shape: tuple[int, ...], timed: bool, said: str) -> str:
        arguments = f"x, {TIMESPANS}=..." if timed else "x"
        found = f"it could not be run on x of shape {shape}, as module({arguments}): {said}"
        if NCPS_TIMES in said:
            return found
        return (
            f"{found}.{self._runner.advice()} "
            "Give a module whose forward takes x, and timespans (batch, time) if it uses them; or "
            f"lnn2loihi.convert(module, x), with an example of yours: that it has {shape[-1]} "
            "inputs is a guess from its parts"
        )

    def entered(self) -> set[str]:
        """Names of the parts that run when it is called, until it fails."""
        found: set[str] = set()
        hooks = [
            part.register_forward_pre_hook(lambda *_, path=path: found.add(path))
            for path, part in self._copy.named_modules()
            if path
        ]
        try:
            for width in self._widths:
                x = torch.zeros(2, 7, width, dtype=torch.float64)
                with suppress(Exception), double_precision():  # whatever the user's code raises
                    self._runner.call(x)
        finally:
            self._runner.restore()
            for hook in hooks:
                hook.remove()
        return found

    def _kept(self, graph: Graph, layout: Axes, width: int) -> tuple[tuple[str, ...], list[str]]:
        """Attributes in which a call leaves what the next one reads; and arrays that it changes."""
        arrays = {name for name, _ in (*self._copy.named_buffers(), *self._copy.named_parameters())}
        changed = [name for name in graph.kept if name in arrays]
        problems = [
            f"forward changes {name}, a state kept in the module from call to call; a network "
            "begins each sequence anew. Compute it on the host"
            for name in changed
        ]
        if not graph.kept or changed:
            return (), problems
        shape = [{BATCH: 2, TIME: 4, FEATURES: width}[str(axis)] for axis in layout]
        x = torch.zeros(shape, dtype=torch.float64)
        read = self._runner.read_again((x,), {}, {SAMPLES: x})
        return tuple(name for name in graph.kept if read is None or name in read), problems

    @cached_property
    def _widths(self) -> list[int]:
        """How many channels the samples may have: as many as each part takes, the first first."""
        found: list[int] = []
        for part in self.parts.values():
            sizes = [getattr(part, name, None) for name in _WIDTHS]
            mean = getattr(part, "mean", None)
            sizes += [len(mean)] if isinstance(mean, torch.Tensor) and mean.dim() == 1 else []
            if is_recurrent(part) and not any(isinstance(one, int) for one in sizes):
                sizes.append(_inputs_of(part))
            found += [one for one in sizes if type(one) is int and one > 0]
        return list(dict.fromkeys(found)) or [1]

    def _layouts(self) -> tuple[Axes, ...]:
        """The orders of axes to try."""
        recurrent = [part for part in self.parts.values() if is_recurrent(part)]
        layers = [part for part in recurrent if hasattr(part, "batch_first")]
        if any(part.batch_first for part in layers) or not layers:
            return _LAYOUTS[:1]
        # Where all layers take time first, the module does, or it swaps the axes itself.
        return _LAYOUTS[::-1]


def _inputs_of(part: nn.Module) -> int | None:
    """The channels that a recurrent layer takes, as its importer reads it."""
    importer = importer_of(part)
    assert importer is not None
    try:
        _, made, _ = importer.read_module(part)
        return made.layers[0].input_size
    except Exception:  # what is wrong with it is said where it is imported
        return None


def _arranged(values: FloatArray, axes: Axes) -> torch.Tensor:
    """(batch, time, ...) in the order of `axes`."""
    if BATCH not in axes:
        values = values[0]
    elif axes[0] == TIME:
        values = values.swapaxes(0, 1)
    return torch.from_numpy(np.ascontiguousarray(values))


def _plain(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps without the elapsed times that they are given."""
    return tuple(replace(step, elapsed=None) for step in steps)


def _baked(reading: Reading, other: Reading, time: int) -> str:
    """What forward does otherwise with sequences of another length."""
    pairs = zip(_plain(reading.steps), _plain(other.steps), strict=False)
    step = next((str(a) for a, b in pairs if a != b), "its end")
    return (
        f"forward does something else with sequences of other lengths than {time}, or at random "
        f"(at {step}); a network does the same with each sample"
    )


def _timespans(module: nn.Module) -> inspect.Parameter | None:
    try:
        return inspect.signature(module.forward).parameters.get(TIMESPANS)
    except (TypeError, ValueError):
        return None
