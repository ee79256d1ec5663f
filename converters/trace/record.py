"""Records what forward does with an example, operator by operator.

A deep copy of the module runs in evaluation and in float64. Each operator on tensors is seen by a
`TorchFunctionMode`, each part that is read as a whole (a recurrent layer of any family, a cell, a
module of PyTorch) by a forward of our own around its own; what runs inside of a part is not
recorded. Hooks of parts run around that forward, so what they compute is recorded like all else.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lnn2loihi.converters.trace.graph import Graph, replaced
from lnn2loihi.converters.trace.held import attribute_tensors
from lnn2loihi.converters.trace.lines import line_of
from lnn2loihi.converters.trace.operators import CONVERSIONS, operator_name, told
from lnn2loihi.converters.trace.recorder import CannotFollowError, Recorder, keeps_its_kind


class CannotRunError(Exception):
    """Forward raised an error of its own on the example."""


def record(
    module: nn.Module,
    call: Callable[[], Any],
    parts: Mapping[str, nn.Module],
    inputs: Mapping[str, Tensor],
    kind: torch.dtype = torch.float32,
) -> Graph:
    """What a module does with an example.

    Args:
        module: a copy that may be run, in evaluation and in float64; see `double_copy`.
        call: runs it on the inputs.
        parts: modules that are recorded as a whole, by their names in `named_modules`.
        inputs: the tensors of the example by name, float64.
        kind: type of the module's own numbers, which forward is told where it asks.

    Raises:
        CannotFollowError: forward looks at values, or changes tensors that others share.
        CannotRunError: forward raises an error.
    """
    before = _held_by(module, parts)
    recorder = Recorder(module, parts, inputs, kind)
    with double_precision(), recorder.around(parts):
        try:
            with recorder:
                answer = call()
            graph_of = recorder.graph
        except CannotFollowError:
            raise
        except Exception as error:  # whatever the user's code raises
            if recorder.refused:
                raise CannotFollowError(recorder.refused) from error
            raise CannotRunError(complaint(error, recorder.failed_of)) from error
    if recorder.refused:
        raise CannotFollowError(recorder.refused)
    after = _held_by(module, parts)
    kept = [key for key in after if after[key] != before.get(key)]
    return graph_of(answer, tuple(kept))


def complaint(error: Exception, made_of: str = "") -> str:
    """What the user's code complained of, where, and what it was given there."""
    line = line_of(error)
    where = f" ({line})" if line else ""
    limit = f". {NCPS_TIMES}" if _fails_in_ncps(error) else ""
    return f"{type(error).__name__}: {error!s:.300}{where}{made_of}{limit}"


#: ncps 1.0.1, ncps/torch/cfc.py: `timespans[:, t].squeeze()` leaves no axis of units, over which
#: the cell would spread it.
NCPS_TIMES = (
    "That is a limit of ncps, and not of your module: its CfC takes timespans of one sequence "
    "alone, (1, time). Give lnn2loihi.convert(module, x) an example with a batch of 1"
)


def _fails_in_ncps(error: Exception) -> bool:
    """Whether a cell of ncps stumbles over the elapsed times of several sequences."""
    if not isinstance(error, RuntimeError) or "must match the size of" not in str(error):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return any(f.filename.endswith("cfc_cell.py") and " ts" in (f.line or "") for f in frames)


class Widened(TorchFunctionMode):
    """Runs all operators in float64, whatever type forward asks for.

    Args:
        kind: type of the module's own numbers, which forward is told where it asks.
    """

    def __init__(self, kind: torch.dtype = torch.float32) -> None:
        super().__init__()
        self._kind = kind

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one."""
        name = operator_name(func)
        answer = told(name, args[0] if args else None, func(*args, **(kwargs or {})), self._kind)
        if name in CONVERSIONS and args and keeps_its_kind(answer, args[0]):
            return args[0]
        return replaced(answer, Tensor, lambda t: t.double() if torch.is_floating_point(t) else t)


@contextmanager
def double_precision() -> Iterator[None]:
    """What PyTorch creates is float64: ncps makes its first states without naming a type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_default_dtype(before)


def _held_by(module: nn.Module, leaves: Container[str]) -> dict[str, list[tuple[int, int]]]:
    """The tensors that a module holds, and how often each was changed."""
    named = {key: [t] for key, t in (*module.named_buffers(), *module.named_parameters())}
    named |= attribute_tensors(module, leaves)
    return {key: [(id(t), t._version) for t in found] for key, found in named.items()}
