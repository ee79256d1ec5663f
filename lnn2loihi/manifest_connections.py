"""Connections in a program's manifest: lists of synapses, or kernels.

What is wrong is a ValueError, TypeError or KeyError, of which whoever reads the file makes its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lnn2loihi.graph.connection import Connection
from lnn2loihi.graph.convolution import AnyConnection, Convolution
from lnn2loihi.manifest_values import integer, listed, taken, text

#: Lengths of a convolution, beside those of its kernel.
_LENGTHS = ("source_shape", "stride", "padding", "dilation")
#: What both kinds have.
_SHARED = ("exponent", "delay", "mantissa_bits")


def connection_entry(
    connection: AnyConnection, place: str, keep: Callable[[str, np.ndarray], str]
) -> dict[str, Any]:
    """The entry of a connection.

    Args:
        connection: a connection.
        place: with which the names of its arrays begin.
        keep: puts an array under a name, which it gives back.
    """
    entry = {
        "source": connection.source,
        "target": connection.target,
        "accumulators": list(connection.accumulators),
        **{key: getattr(connection, key) for key in _SHARED},
    }
    if isinstance(connection, Convolution):
        return {
            **entry,
            "kernel": keep(f"{place}.kernel", connection.kernel.ravel()),
            "kernel_shape": list(connection.kernel.shape),
            **{key: list(getattr(connection, key)) for key in _LENGTHS},
            "groups": connection.groups,
        }
    return {
        **entry,
        **{
            key: keep(f"{place}.{key}", getattr(connection, key))
            for key in ("row_starts", "columns", "mantissas")
        },
        "source_size": connection.source_size,
    }


def connection_of(entry: Any, arrays: dict[str, np.ndarray]) -> AnyConnection:
    """The connection of an entry; takes its arrays out of those that are left."""
    ends = text(entry["source"]), text(entry["target"])
    accumulators = tuple(map(text, listed(entry["accumulators"])))
    shared: dict[str, Any] = {key: integer(entry[key]) for key in _SHARED}
    if "kernel" not in entry:
        return Connection(
            *ends,
            accumulators,
            row_starts=taken(arrays, entry["row_starts"], np.int32),
            columns=taken(arrays, entry["columns"], np.int32),
            mantissas=taken(arrays, entry["mantissas"], np.int8),
            source_size=integer(entry["source_size"]),
            **shared,
        )
    shape = tuple(map(integer, listed(entry["kernel_shape"])))
    if min(shape, default=0) < 1:
        raise ValueError(f"a kernel of shape {shape}")
    lengths: dict[str, Any] = {key: tuple(map(integer, listed(entry[key]))) for key in _LENGTHS}
    return Convolution(
        *ends,
        accumulators,
        kernel=taken(arrays, entry["kernel"], np.int8).reshape(shape),
        **lengths,
        groups=integer(entry["groups"]),
        **shared,
    )
