"""Live modules of others that are state spaces: how they were built, and whether they answer so.

Their classes come from repositories that nobody installs, and are known by what they hold. So each
is called, in double precision, and compared with what was read of it. Needs PyTorch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lnn2loihi.converters.files.description import Description
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.network import LiquidNetwork

#: Sequences and samples that a module is called with.
BATCH, STEPS = 2, 40
#: Attributes of the kernels of github.com/raminmh/liquid-s4 beside its parameters.
_LIQUID = ("liquid_kernel", "liquid_degree", "allcombs", "allcombs_index")
#: The tensors that its liquid term is computed of, kept from the construction.
_KEPT = ("B", "C", "w", "log_dt")


def described(
    source: Any, kind: type[Description], named: str
) -> tuple[Description | None, list[str]]:
    """How a layer was built; and what in it cannot be imported.

    Args:
        source: the layer.
        kind: of its description.
        named: which of the modules it is.
    """
    from lnn2loihi.converters.modules.activations import activation_of

    problems: list[str] = []
    if getattr(source, "bidirectional", False):
        problems.append(
            "it is bidirectional: half of its answer to a sample depends on samples that are "
            "still to come; train with bidirectional = false"
        )
    activation = getattr(source, "activation", None)
    text = "gelu" if activation is None else activation_of(activation)
    if text is None:
        problems.append(f"its activation, a {type(activation).__name__}, has no integers here")
    inner = getattr(source.kernel, "kernel", source.kernel)
    said = {"activation": text or "gelu"}
    if isinstance(disc := getattr(inner, "disc", None), str):
        said["discretization"] = disc
    problems += [
        f"{name} is {value!r}; {' or '.join(wanted)} can be imported"
        for name, value, wanted in (
            ("real_type", getattr(inner, "real_type", "exp"), ("'exp'",)),
            ("disc", said.get("discretization", "zoh"), ("'bilinear'", "'zoh'")),
            ("bandlimit", getattr(inner, "bandlimit", None), ("None",)),
        )
        if repr(value) not in wanted
    ]
    if problems:
        return None, problems
    return replace(kind(origin="the module", module=named), **said), []  # type: ignore[arg-type]


def is_liquid(source: Any) -> bool:
    """Whether a live module has the liquid term of github.com/raminmh/liquid-s4."""
    return any(_is_liquid_kernel(part) for part in source.modules())


def _is_liquid_kernel(part: Any) -> bool:
    own = vars(part)
    if any(own.get(name) not in (None, False, 0) for name in _LIQUID if name in own):
        return True
    return hasattr(part, "kernel") and all(name in own for name in _KEPT)


def answered(source: Any, x: FloatArray) -> FloatArray:
    """What a live module answers in double precision, (batch, time, outputs), or (batch, outputs)
    where it pools.

    Args:
        source: a layer, called with channels before the time where it is transposed, or a network.
        x: float64 (batch, time, inputs).
    """
    import torch

    from lnn2loihi.converters.trace.held import double_copy

    module = double_copy(source)
    whole = hasattr(source, "encoder")  # its samples are (batch, time, inputs)
    turned = not whole and bool(getattr(source, "transposed", True))
    with torch.no_grad():
        given = torch.from_numpy(np.ascontiguousarray(x))
        answer = module(given.transpose(1, 2) if turned else given)
    answer = answer[0] if isinstance(answer, tuple) else answer
    found = answer.double().numpy()
    return found.swapaxes(1, 2) if turned else found


def outputs(network: LiquidNetwork, x: FloatArray) -> FloatArray:
    """What a network answers, pooled as its description says."""
    found = network.evaluate(x).outputs
    return found.mean(axis=1) if network.host else found


def disagreement(source: Any, parts: FamilyParts) -> list[str]:
    """Where a live module answers otherwise than what was read of it."""
    from lnn2loihi.converters.modules.check import TOLERANCE

    network = LiquidNetwork("read", parts.layers, parts.readout, host=parts.host, hears=parts.hears)
    x = np.random.default_rng(0).normal(size=(BATCH, STEPS, network.input_size))
    expected = outputs(network, x)
    name = type(source).__name__
    try:
        found = answered(source, x)
    except Exception as error:  # whatever somebody's forward raises
        return [
            f"{name} cannot be called with ({BATCH}, {STEPS}, {network.input_size}), so that "
            f"nobody knows whether it is what its parts say: {type(error).__name__}: {error!s:.200}"
        ]
    if found.shape != expected.shape:
        return [
            f"{name} answers {found.shape} to ({BATCH}, {STEPS}, {network.input_size}), and its "
            f"parts say {expected.shape}"
        ]
    difference = float(np.abs(found - expected).max())
    size = max(float(np.abs(expected).max()), 1.0)
    if difference <= TOLERANCE * size:
        return []
    return [
        f"{name} answers otherwise than its parts say, by {difference:.3g} of {size:.3g}: its "
        "class computes something else than that of github.com/state-spaces/s4; "
        "lnn2loihi.convert(module, x) follows what its forward does"
    ]
