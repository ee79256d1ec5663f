"""The floating-point types that a module answers in, which a recording in float64 does not show."""

from __future__ import annotations

import torch
from torch import Tensor

from lnn2loihi.converters.trace.graph import Node, Ref, refs, replaced
from lnn2loihi.converters.trace.held import own_copy
from lnn2loihi.converters.trace.operators import CONVERSIONS
from lnn2loihi.converters.trace.recording import Recording

_PLAIN = "float32"


def answer_types(recording: Recording) -> dict[int, str]:
    """For each value of the answer that is of another floating-point type than float32 that type's
    name, by number.

    A copy of the module runs on the example in its own types. Where it cannot (few operators have
    16 bits on every machine), all answers have the type of the parameters.
    """
    held = (*recording.module.parameters(), *recording.module.buffers())
    kinds = [_name(tensor.dtype) for tensor in held if tensor.is_floating_point()]
    given = [one.dtype for one in recording.inputs if torch.is_floating_point(one.tensor)]
    if {*kinds, *given} <= {_PLAIN} and not any(map(_names_a_type, recording.graph.nodes)):
        return {}
    numbers = [ref.number for ref in refs(recording.graph.answer)]
    try:
        answers = _answers(recording)
    except Exception:  # whatever the module's code raises
        answers = []
    if len(answers) == len(numbers):
        found = {n: _name(a.dtype) for n, a in zip(numbers, answers, strict=True)
                 if a.is_floating_point()}  # fmt: skip
    else:
        kind = next(iter((*kinds, *given)), _PLAIN)
        values = recording.graph.values
        found = {number: kind for number in numbers if values[number].floating}
    return {number: kind for number, kind in found.items() if kind != _PLAIN}


def _names_a_type(node: Node) -> bool:
    """Whether an operator may answer in another type than it is given."""
    kinds: list[torch.dtype] = []
    replaced((node.arguments, dict(node.keywords)), torch.dtype, kinds.append)
    return node.operator in CONVERSIONS or any(kind.is_floating_point for kind in kinds)


def _answers(recording: Recording) -> list[Tensor]:
    module = own_copy(recording.module).cpu().eval()
    tensors = [
        one.tensor.to(getattr(torch, one.dtype)) if one.tensor.is_floating_point() else one.tensor
        for one in recording.inputs
    ]
    args, keywords = replaced(recording.arguments, Ref, lambda ref: tensors[ref.number])
    found: list[Tensor] = []
    with torch.no_grad():
        replaced(getattr(module, recording.method)(*args, **keywords), Tensor, found.append)
    return found


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")
