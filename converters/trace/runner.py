"""A copy of a module that runs on examples, and is as it was after each run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lnn2loihi.converters.modules.registered import Part, does_nothing, is_batch_norm, parts_of
from lnn2loihi.converters.recurrent.known import is_recurrent
from lnn2loihi.converters.trace.graph import Graph
from lnn2loihi.converters.trace.held import attribute_tensors, double_copy
from lnn2loihi.converters.trace.record import (
    CannotRunError,
    Widened,
    complaint,
    double_precision,
    record,
)
from lnn2loihi.converters.trace.recorder import CannotFollowError

_CONTAINERS = "torch.nn.modules.container"


class CannotCopyError(Exception):
    """The module cannot be copied, so that it cannot be run."""


class Runner:
    """A copy of a module, in evaluation and in float64.

    Args:
        module: is left as it is.
        method: which of its methods runs.

    Attributes:
        copy: the copy.
        parts: what is recorded as a whole, by name.
        by_order: whether the order of the parts is all that there is; see `runs_in_order`.

    Raises:
        CannotCopyError: it cannot be copied.
    """

    def __init__(self, module: nn.Module, method: str = "forward") -> None:
        try:
            self.copy: nn.Module = double_copy(module)
        except Exception as error:  # a module of the user may refuse in any way
            raise CannotCopyError(
                f"it cannot be copied to be compared ({type(error).__name__}: {error!s:.200})"
            ) from error
        own = next((p for p in module.parameters() if p.is_floating_point()), None)
        #: Type of the module's own numbers.
        self.kind = torch.float32
        if own is not None and own.dtype == torch.float64:
            self.kind = torch.float64
        self.parts = dict(_recorded(self.copy))
        self.by_order = method == "forward" and runs_in_order(self.copy)
        self._method = method
        self._vars = [(part, dict(vars(part)), dict(part._buffers)) for part in self.copy.modules()]

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Runs it; what it leaves in attributes stays there until `restore`."""
        if self.by_order:
            return _in_order(self.copy, *args, **kwargs)
        if self._method == "forward":
            return self.copy(*args, **kwargs)
        return getattr(self.copy, self._method)(*args, **kwargs)

    def record(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], inputs: Mapping[str, Tensor]
    ) -> Graph:
        """What it does with arguments that hold the tensors `inputs`; see `record`."""
        try:
            return self._recorded(args, kwargs, inputs)
        finally:
            self.restore()

    def answer(self, args: Sequence[Any], kwargs: Mapping[str, Any], narrowed: bool) -> Any:
        """What it answers, in float64.

        Args:
            args: the positional arguments.
            kwargs: the keywords.
            narrowed: whether it makes numbers of fewer bits, which are to be float64.

        Raises:
            CannotRunError: forward raises an error.
        """
        try:
            with double_precision(), Widened(self.kind) if narrowed else nullcontext():
                return self.call(*args, **kwargs)
        except Exception as error:  # whatever the user's code raises
            raise CannotRunError(complaint(error)) from error
        finally:
            self.restore()

    def read_again(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], inputs: Mapping[str, Tensor]
    ) -> set[str] | None:
        """Attributes that are read in two calls, one after the other; None where it cannot be
        called twice.
        """
        read: set[str] = set()
        try:
            for _ in range(2):
                again = self._recorded(args, kwargs, inputs)
                held = ("attribute", "buffer")
                read |= {value.name for value in again.values if value.origin in held}
        except (CannotFollowError, CannotRunError):
            return None
        finally:
            self.restore()
        return read

    def restore(self) -> None:
        """All attributes are as they were before the first call."""
        for part, before, buffers in self._vars:
            vars(part).clear()
            vars(part).update(before)
            part._buffers.clear()
            part._buffers.update(buffers)

    def held(self) -> list[str]:
        """Attributes that hold tensors, which an earlier call may have left there."""
        return list(attribute_tensors(self.copy, self.parts))

    def advice(self) -> str:
        """What to try where it does not run, because of what it holds; empty for nothing."""
        held = self.held()
        if not held:
            return ""
        return (
            f" It holds tensors in {', '.join(held[:8])}, which an earlier call may have left "
            f"there as its state: set module.{held[0]} = None before."
        )

    def _recorded(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], inputs: Mapping[str, Tensor]
    ) -> Graph:
        return record(self.copy, lambda: self.call(*args, **kwargs), self.parts, inputs, self.kind)


def _recorded(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts that are recorded as a whole: recurrent layers, and modules of PyTorch and ncps."""
    for path, part in module.named_modules():
        file = type(part).__module__
        known = file.startswith(("torch.", "ncps.")) and not file.startswith(_CONTAINERS)
        normalise = file == "lnn2loihi.converters.normalise"
        if known or normalise or is_recurrent(part):
            yield path, part


def runs_in_order(module: nn.Module) -> bool:
    """Whether the order of the parts is all that there is: its forward does not run, or is absent.

    A Sequential cannot pass on the tuple that a CfC answers with.
    """
    kind = type(module)
    if kind.__module__ != _CONTAINERS:
        return False
    working = [part for part in parts_of(module) if not does_nothing(part.module)]
    return kind.__name__ != "Sequential" or any(is_recurrent(part.module) for part in working[:-1])


def _in_order(module: nn.Module, x: Any) -> Any:
    """The parts one after the other: the first of a CfC's answers, BatchNorm1d on the features."""
    for part in _children(module):
        if does_nothing(part.module):
            continue
        if is_batch_norm(part.module) and x.dim() == 3:
            x = part.module(x.transpose(1, 2)).transpose(1, 2)
        else:
            x = part.module(x)
        if isinstance(x, tuple):
            x = x[0]
    return x


def _children(module: nn.Module, path: str = "") -> Iterator[Part]:
    """The parts, modules of the user left whole so that their own forward runs."""
    for name, child in module.named_children():
        own = f"{path}.{name}" if path else name
        if type(child).__module__ == _CONTAINERS:
            yield from _children(child, own)
        else:
            yield Part(own, child)
