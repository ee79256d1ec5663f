"""Parts of a recording as modules and functions of their own, which run without the rest of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lnn2loihi.converters.recurrent.known import is_recurrent
from lnn2loihi.converters.trace.graph import refs
from lnn2loihi.converters.trace.onnx_file import exported
from lnn2loihi.converters.trace.probing import calls_of, sizes_of_call
from lnn2loihi.converters.trace.record import Widened, double_precision
from lnn2loihi.converters.trace.recording import Recording
from lnn2loihi.converters.trace.replay import HostModule, closure, sizes_used

#: How often ncps takes the weights of an LTC in one step.
_UNFOLDS = "_ode_unfolds"


def between(recording: Recording, given: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
    """The nodes that compute values from others, by their places in `recording.nodes`, in order:
    as few as there can be.

    Args:
        recording: the recording.
        given: values that are there.
        wanted: values to compute.

    Raises:
        ValueError: an input of the module would be needed that is not given.
    """
    found, missing = closure(recording.nodes, recording.graph, given, wanted)
    if missing:
        names = ", ".join(recording.graph.values[number].name for number in missing)
        raise ValueError(f"{names} would be needed")
    return found


def needed(
    recording: Recording, wanted: Sequence[int], available: Sequence[int]
) -> tuple[int, ...]:
    """Those of the available values that others are computed of, sorted: what their nodes take, and
    where a size (of the batch or of the time) can be read from none of these, one more that has it.
    Where a wanted value is available, it is taken itself.

    Raises:
        ValueError: an input of the module would be needed that is not available.
    """
    nodes = between(recording, available, wanted)
    made = {ref.number for place in nodes for ref in refs(recording.nodes[place].answer)}
    read = {
        ref.number
        for place in nodes
        for ref in refs((recording.nodes[place].arguments, recording.nodes[place].keywords))
    }
    taken = ((read | set(wanted)) - made) & set(available)
    told = {size.tells for number in taken for size in recording.shape_of(number)}
    for label in sorted(sizes_used(recording.nodes[place] for place in nodes) - told):
        having = (
            number
            for number in available
            if any(size.tells == label for size in recording.shape_of(number))
        )
        # An input is there at the start, and needs nothing to run before.
        best = min(having, default=None, key=lambda n: (len(recording.inputs) <= n, n))
        if best is None:
            raise ValueError(f"a value would be needed from which the size {label} can be read")
        taken.add(best)
        told |= {size.tells for size in recording.shape_of(best)}
    return tuple(sorted(taken))


def host_module(recording: Recording, given: Sequence[int], wanted: Sequence[int]) -> HostModule:
    """A module that computes values from others: module(*given) -> tuple of wanted.

    It holds parts, parameters and buffers of `Recording.snapshot` under the names that they have
    in the live module, which is never changed by it; all host parts of a recording share them.
    Sizes are taken from the given tensors. In float32, or in float64 where the live module's
    parameters are.

    Raises:
        ValueError: another value of the module would be needed; see `needed`.
    """
    return HostModule(recording, recording.snapshot, given, wanted)


def multiply_adds(recording: Recording, nodes: Sequence[int]) -> int:
    """Multiply-adds of some nodes for the example.

    Recurrent parts by their weights, each once a step (of an LTC: once for each of its unfolds);
    all else as `torch.utils.flop_counter` counts it: products of matrices, convolutions and
    attention. What it does not know counts as 0.

    Args:
        recording: the recording.
        nodes: places in `recording.nodes`; see `between`.
    """
    graph = recording.graph
    recurrent = [place for place in nodes if is_recurrent_node(recording, place)]
    found = sum(_of_recurrent(recording, place) for place in recurrent)
    others = [place for place in nodes if place not in set(recurrent)]
    if not others:
        return found
    read = {r.number for p in others for r in _read(recording, p)}
    made = [r.number for p in others for r in refs(recording.nodes[p].answer)]
    given = sorted(
        number
        for number in read - set(made)
        if graph.values[number].origin in ("input", "answer", "constant")
    )
    given += [number for number in _sizes(recording) if number not in given]
    replay = HostModule(recording, recording.copy, given, list(dict.fromkeys(made)))
    counter = FlopCounterMode(display=False)
    with double_precision(), Widened(), counter:
        replay(*(graph.values[number].tensor for number in given))
    return found + counter.get_total_flops() // 2


def is_recurrent_node(recording: Recording, place: int) -> bool:
    """Whether a node is a recurrent part."""
    path = recording.nodes[place].path
    return path is not None and is_recurrent(recording.parts[path])


class TorchFunction:
    """A host part computed by PyTorch: a `lnn2loihi.converted.parts.HostFunction`.

    Args:
        module: what it computes.
        inputs: names of the values that it takes.
        outputs: names of the values that it answers with.
    """

    def __init__(self, module: HostModule, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.module = module
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)

    def __call__(self, arrays: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """The outputs for inputs, in evaluation: floating-point arrays in float32 (or whatever
        the module's parameters are).
        """
        with torch.no_grad(), _evaluating(self.module):
            answers = self.module(*(self.module.tensor(array) for array in arrays))
        return [_array(answer.detach().cpu()) for answer in answers]

    def onnx(self) -> bytes:
        """The same as an ONNX model, whose inputs and outputs have the names of the values.

        Raises:
            ImportNetworkError: PyTorch cannot export it, or only for the example's own sizes.
            BackendMissingError: a package that the export needs is not installed.
        """
        with _evaluating(self.module):
            return exported(self.module, self.inputs, self.outputs)


def _array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """As an array: NumPy has no bfloat16."""
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """All parts in evaluation, and as they were afterwards."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _read(recording: Recording, place: int) -> list[Any]:
    node = recording.nodes[place]
    return list(refs((node.arguments, node.keywords)))


def _sizes(recording: Recording) -> list[int]:
    """Inputs from which the batch and the time can be read."""
    return [
        number
        for number in range(len(recording.inputs))
        if any(size.tells for size in recording.shape_of(number))
    ]


def _of_recurrent(recording: Recording, place: int) -> int:
    """Weights times sequences times steps."""
    node = recording.nodes[place]
    part = recording.parts[node.path or ""]
    shape = recording.graph.values[_read(recording, place)[0].number].shape
    batch, time = sizes_of_call(calls_of(part), shape)
    weights = sum(p.numel() for p in part.parameters() if p.dim() > 1)
    unfolds: Any = next(filter(None, (getattr(m, _UNFOLDS, 0) for m in part.modules())), 1)
    return weights * batch * (time or 1) * int(unfolds)
