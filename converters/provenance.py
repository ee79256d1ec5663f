"""Where a network came from, as it is noted in it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.network import LiquidNetwork


def torch_version() -> dict[str, str]:
    """The version of torch, where it is imported."""
    torch = sys.modules.get("torch")
    return {} if torch is None else {"torch": str(torch.__version__)}


def with_source(network: LiquidNetwork, source: Mapping[str, str]) -> LiquidNetwork:
    """The network with where it came from, and the SHA-256 of its effective arrays."""
    return replace(network, source={**source, "sha256": arrays_digest(network)})


def arrays_digest(network: LiquidNetwork) -> str:
    """SHA-256 of the effective arrays: for each key in sorted order its dtype, shape and bytes; and
    of who hears whom, where that is not the layer before.
    """
    arrays: dict[str, FloatArray] = {}
    for layer in network.layers:
        arrays |= layer.arrays()
    if network.readout is not None:
        arrays |= network.readout.arrays(network.readout.name)
    for part, default in (("input_offset", 0.0), ("input_scale", 1.0)):
        if np.any(getattr(network, part) != default):
            arrays[part] = getattr(network, part)
    digest = hashlib.sha256()
    # In the order of the maps, and for each its bias before its weight.
    for key in sorted(arrays, key=lambda key: key.rsplit(".", 1)):
        array = np.ascontiguousarray(arrays[key], dtype="<f8")
        digest.update(f"{key}:{array.dtype.str}:{array.shape}\n".encode())
        digest.update(array.tobytes())
    for name, heard in sorted(network.hears.items()):  # none where each hears the one before
        digest.update(f"{name} hears {', '.join(heard)}\n".encode())
    return digest.hexdigest()
