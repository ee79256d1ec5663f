"""Hand-made programs of Lava's own neurons without delays, for what runs them as graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from lnn2loihi.formats import FixedPoint
from lnn2loihi.graph.schedule import derive_schedule
from lnn2loihi.neurons.stock import SENT, StockNeuron
from lnn2loihi.program import Connection, InputPort, LoihiProgram, Population


def population(
    name: str,
    neuron: StockNeuron,
    size: int,
    most: int,
    least: int | None = None,
    **parameters: Any,
) -> Population:
    """A population whose messages are in [least, most]; [-most, most] by default."""
    low = -most if least is None else least
    return Population(
        name, neuron.program(), {n: np.array(v) for n, v in parameters.items()},
        {SENT: np.zeros(size, int)} if neuron.looped else {}, FixedPoint(neuron.message_bits, 0),
        low, most, size,
    )  # fmt: skip


def program(
    populations: list[Population], connections: list[Connection], output: str, channels: int,
    interleave: int = 1, reach: int = 100,
) -> LoihiProgram:  # fmt: skip
    port = InputPort(
        "input", FixedPoint(8, 0), np.full(channels, -reach), np.full(channels, reach),
        np.ones(channels), np.zeros(channels),
    )  # fmt: skip
    schedule = derive_schedule("input", [p.name for p in populations], connections, interleave)
    return LoihiProgram(
        "stock", "w8a12", port, tuple(populations), tuple(connections), output, schedule
    )


def looped(
    seed: int = 0, units: int = 3, channels: int = 2, kind: str = "rectifier", threshold: int = 0,
    exponent: int = 3, interleave: int = 1,
) -> LoihiProgram:  # fmt: skip
    """A loop of two steps: what hears samples, constants and the loop; and its product with a
    constant, which was relayed; and an answer that hears the products.
    """
    rng = np.random.default_rng(seed)

    def weights(rows: int, columns: int, most: int = 127) -> np.ndarray:
        found = rng.integers(-most - 1, most + 1, (rows, columns))
        return found * (rng.random((rows, columns)) < 0.7)

    heard = StockNeuron(kind, threshold)  # type: ignore[arg-type]
    sent = StockNeuron("product", shift=12, looped=True, message_bits=16)
    most = 1 << 19
    least = 0 if kind == "rectifier" and not threshold else None
    populations = [
        population("constants", StockNeuron("constant"), 2, 90, 0, value=[90, 1]),
        population("heard", heard, units, most, least),
        population("relayed", StockNeuron("threshold"), 2, 90),
        population("product", sent, units, 16000),
        population("answer", StockNeuron("threshold", threshold), 2, most),
    ]
    diagonal = np.eye(units, dtype=int)
    turns = np.eye(2, dtype=int)[np.arange(units) % 2]
    connections = [
        Connection.from_dense("input", "heard", ("a_in",), weights(units, channels)),
        Connection.from_dense(
            "constants", "heard", ("a_in",), weights(units, 2), exponent=exponent
        ),
        Connection.from_dense("product", "heard", ("a_in",), weights(units, units, 3)),
        Connection.from_dense("constants", "relayed", ("a_in",), np.eye(2, dtype=int)),
        Connection.from_dense("heard", "product", ("a_in1",), diagonal),
        Connection.from_dense("relayed", "product", ("a_in2",), turns),
        Connection.from_dense("product", "answer", ("a_in",), weights(2, units, 5)),
    ]
    return program(populations, connections, "answer", channels, interleave)


def endless() -> LoihiProgram:
    """Three neurons that hand what they hear round and round, and never forget it."""
    neuron = StockNeuron("threshold", looped=True, message_bits=16)
    connections = [
        Connection.from_dense("input", "ring", ("a_in",), np.zeros((3, 1), int)),
        Connection.from_dense("ring", "ring", ("a_in",), np.roll(np.eye(3, dtype=int), 1, 0)),
    ]
    return program([population("ring", neuron, 3, 100)], connections, "ring", 1)
