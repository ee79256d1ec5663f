"""Programs whose messages are wider than 16 bits, with weights as large as their reach allows."""

from __future__ import annotations

import numpy as np
from stock_programs import stock_population, stock_program

from lnn2loihi.formats import FixedPoint
from lnn2loihi.neurons.stock import IN, StockNeuron
from lnn2loihi.program import Connection, InputPort, LoihiProgram

#: Powers of two that channels reach, from single bits to all of a word.
POWERS = tuple(range(24))


def reaching_program(powers: tuple[int, ...] = POWERS, input_bits: int = 24) -> LoihiProgram:
    """Relays of channels that reach -2**k to 2**k - 1, and what hears both with the largest weights
    of either sign with which a sum stays in 24 bits.

    Args:
        powers: k of each channel.
        input_bits: width of the inputs, which hold all of them.
    """
    ends = 1 << np.array(powers)
    port = InputPort("input", FixedPoint(input_bits, 0), -ends, ends - 1)
    size = len(powers)
    relay = StockNeuron("threshold")
    populations = [stock_population("relays", relay, size)]
    connections = [Connection.from_dense("input", "relays", (IN,), np.eye(size, dtype=int))]
    for source in ("input", "relays"):
        name = f"of_{source}"
        populations.append(stock_population(name, relay, 2 * size))
        most = (1 << 23) // ends
        weights = np.concatenate(
            [np.diag(_mantissas(most, 127)), -np.diag(_mantissas(most - 1, 128))]
        )
        for exponent in range(8):
            chosen = np.where(_exponents(weights) == exponent, weights >> exponent, 0)
            if chosen.any():
                connections.append(
                    Connection.from_dense(source, name, (IN,), chosen, exponent=exponent)
                )
    # Sums of many, with a last population that everybody is heard by.
    populations.append(stock_population("all", relay, 3))
    rng = np.random.default_rng(size)
    for source, columns in (("input", size), ("relays", size)):
        few = rng.integers(-1, 2, (3, columns)) * (np.resize(ends, columns) < 1 << 18)
        connections.append(Connection.from_dense(source, "all", (IN,), few))
    return stock_program(populations, connections, port)


def _mantissas(most: np.ndarray, mantissa: int) -> np.ndarray:
    """The largest weights up to `most` that a mantissa and a left shift of up to 7 make."""
    largest = np.minimum(most, mantissa << 7)
    shift = _exponents(largest)
    return largest >> shift << shift


def _exponents(weights: np.ndarray) -> np.ndarray:
    """The least left shifts with which mantissas have 7 bits."""
    limits = 128 << np.arange(7)
    return (np.abs(weights)[..., None] >= limits).sum(axis=-1)


def looping_program(bits: int) -> LoihiProgram:
    """What hears messages of so many bits of the sample before, with the largest weights."""
    end = 1 << (bits - 1)
    port = InputPort("input", FixedPoint(bits, 0), np.full(3, -end), np.full(3, end - 1))
    kept = StockNeuron("threshold", 0, 31, True, bits)
    populations = [
        stock_population("heard", StockNeuron("threshold"), 7),
        stock_population("kept", kept, 3, (-end, end - 1), None, [-end, end - 1, 0]),
    ]
    most = (1 << 23) // end
    # The last neuron hears the sample itself.
    weights = np.concatenate([most * np.eye(3), (1 - most) * np.eye(3), np.zeros((1, 3))])
    sample = np.eye(1, 7, 6).T @ np.eye(1, 3)
    connections = [
        Connection.from_dense("kept", "heard", (IN,), (weights / 2).astype(int), exponent=1),
        Connection.from_dense("kept", "heard", (IN,), np.fmod(weights, 2).astype(int)),
        Connection.from_dense("input", "heard", (IN,), sample.astype(int)),
        Connection.from_dense("input", "kept", (IN,), np.eye(3, dtype=int)),
    ]
    return stock_program(populations, connections, port, "heard")
