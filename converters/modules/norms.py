"""LayerNorm and RMSNorm over the features of a sample, as modules and as functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lnn2loihi.converters.modules.operators import constant, with_features
from lnn2loihi.converters.modules.streams import Step
from lnn2loihi.converters.trace.axes import FEATURES
from lnn2loihi.converters.trace.graph import Node, Ref
from lnn2loihi.families.layer_norm.layer import LayerNormLayer
from lnn2loihi.layers.linear import FloatArray, Linear

#: The reader that calls; its module imports this one.
Reader = Any

#: For each function that such a module is, its class.
NORMS = {"layer_norm": "LayerNorm", "rms_norm": "RMSNorm"}


@dataclass(frozen=True)
class _Options:
    """How a norm was called; `gain` and `shift` are what the reader has for them."""

    shape: Any
    gain: Any
    shift: Any
    epsilon: Any


def norm_of(part: Any) -> str | None:
    """Which of NORMS a module is; None for all others."""
    kind = type(part)
    if kind.__module__ != "torch.nn.modules.normalization":
        return None
    return next((name for name, own in NORMS.items() if own == kind.__name__), None)


def read_norm(reader: Reader, node: Node, stream: Any, ref: Ref) -> None:
    """The meaning of a node that normalises each sample."""
    part = None if node.path is None else reader.parts[node.path]
    name = node.operator if part is None else norm_of(part)
    assert name is not None
    options = _of_call(node) if part is None else _of_part(part)
    axes = with_features(stream)
    shape = options.shape if isinstance(options.shape, (tuple, list)) else (options.shape,)
    width = reader.width(stream, ref)
    if not axes or axes[-1] != FEATURES or list(shape) != [width] or width < 2:
        return reader.refuse(
            node, stream, ref, f"{node.where} normalises over {tuple(shape)}, which are not the "
            "features of one sample; a layer is normalised over these"
        )  # fmt: skip
    arrays = [_values(reader, given) for given in (options.gain, options.shift)]
    epsilon = options.epsilon
    if epsilon is None:
        return reader.refuse(
            node, stream, ref, f"{node.where} has no epsilon of its own, and what PyTorch adds "
            "then depends on the type of the numbers; give eps=1e-6, say"
        )  # fmt: skip
    if any(array is False for array in arrays) or not isinstance(epsilon, float) or epsilon <= 0:
        return reader.refuse(
            node, stream, ref, f"{node.where} has weights that depend on the samples, or an "
            "epsilon that is no number above 0"
        )  # fmt: skip
    ones, zeros = np.ones(width), np.zeros(width)
    gain, shift = (
        own if array is None else np.asarray(array, np.float64).ravel()
        for array, own in zip(arrays, (ones, zeros), strict=True)
    )
    step = Step(
        "norm", name, node.path or "", factor=tuple(gain.tolist()), offset=tuple(shift.tolist()),
        epsilon=epsilon, line=node.line,
    )  # fmt: skip
    return reader.set(node.answer, stream.after(step, axes))


def _of_part(part: Any) -> _Options:
    return _Options(
        tuple(part.normalized_shape), part.weight, getattr(part, "bias", None), part.eps
    )


def _of_call(node: Node) -> _Options:
    """The options of F.layer_norm(input, shape, weight, bias, eps) or F.rms_norm, which has no
    bias.
    """
    names = ["input", "normalized_shape", "weight", "bias", "eps"]
    if node.operator == "rms_norm":
        names.remove("bias")
    given: Mapping[str, Any] = {**dict(zip(names, node.arguments, strict=False)), **node.keywords}
    own = 1e-5 if node.operator == "layer_norm" else None
    return _Options(
        given.get("normalized_shape"),
        given.get("weight"),
        given.get("bias"),
        given.get("eps", own),
    )


def _values(reader: Reader, given: Any) -> FloatArray | bool | None:
    """An array of what depends on no sample; None for none, and False for what does."""
    if given is None:
        return None
    if not isinstance(given, Ref) and hasattr(given, "detach"):
        return given.detach().cpu().double().numpy()
    found = constant(reader, given)
    return False if found is None else found


def norm_layer(
    name: str, kind: str, linear: Linear, gain: FloatArray, shift: FloatArray, epsilon: float
) -> LayerNormLayer:
    """The layer of a norm.

    Args:
        name: of the layer.
        kind: key of NORMS.
        linear: the map before it.
        gain: float64 (units,).
        shift: float64 (units,).
        epsilon: what is added to the mean of the squares.
    """
    make = LayerNormLayer.of if kind == "layer_norm" else LayerNormLayer
    return make(name, linear, gain, shift, epsilon)
