"""Random LoihiPrograms, made without a trained network, for property tests of executors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.families.cfc.neuron import GATES, cfc_program
from lnn2loihi.families.readout.lowering import linear_program
from lnn2loihi.formats import FixedPoint
from lnn2loihi.graph.schedule import derive_schedule
from lnn2loihi.layers.linear import SUM
from lnn2loihi.program import (
    Connection,
    InputPort,
    LoihiProgram,
    Population,
)


@dataclass(frozen=True)
class Sizes:
    """What a random program looks like."""

    inputs: int = 3
    layers: tuple[int, ...] = (5, 4)
    readout: int = 2
    weight_bits: int = 8
    message_bits: int = 12
    input_bits: int = 12
    density: float = 0.7
    activation: str = "ramp12"
    extreme: bool = False
    skip_delay: bool = False


def random_program(seed: int, sizes: Sizes = Sizes()) -> LoihiProgram:  # noqa: B008 (frozen)
    """A program with random weights, biases, multipliers and initial states.

    With `extreme`, mantissas and inputs take the ends of their ranges. With `skip_delay`, the
    readout also reads the input directly, delayed to match.
    """
    rng = np.random.default_rng(seed)
    message = FixedPoint(sizes.message_bits, sizes.message_bits - 1)
    port_format = FixedPoint(sizes.input_bits, sizes.input_bits - 3)
    port = InputPort(
        "input",
        port_format,
        np.full(sizes.inputs, port_format.low),
        np.full(sizes.inputs, port_format.high),
    )
    populations: list[Population] = []
    connections: list[Connection] = []
    before, columns = "input", sizes.inputs
    for place, size in enumerate(sizes.layers):
        name = f"layer_{place}"
        populations.append(_cfc_population(rng, name, size, message, sizes.activation))
        connections.append(_connection(rng, sizes, before, name, GATES, size, columns))
        connections.append(_connection(rng, sizes, name, name, GATES, size, size))
        before, columns = name, size
    if sizes.readout:
        populations.append(_readout_population(rng, sizes.readout))
        connections.append(
            _connection(rng, sizes, before, "readout", (SUM,), sizes.readout, columns)
        )
        if sizes.skip_delay:
            connections.append(
                _connection(
                    rng, sizes, "input", "readout", (SUM,), sizes.readout, sizes.inputs,
                    delay=len(sizes.layers),
                )
            )  # fmt: skip
    ordered = tuple(populations)
    schedule = derive_schedule("input", [p.name for p in ordered], connections)
    return LoihiProgram(
        f"random {seed}",
        f"w{sizes.weight_bits}a{sizes.message_bits}x{sizes.input_bits}",
        port,
        ordered,
        tuple(connections),
        ordered[-1].name,
        schedule,
    )


def random_inputs(seed: int, program: LoihiProgram, batch: int, time: int) -> np.ndarray:
    """Encoded inputs, a third of them at either end of the range."""
    rng = np.random.default_rng(seed)
    low, high = program.input.low, program.input.high
    shape = (batch, time, program.input.size)
    values = rng.integers(low, high, size=shape, endpoint=True)
    which = rng.integers(0, 6, size=shape)
    return np.where(which == 0, low, np.where(which == 1, high, values))


def _cfc_population(
    rng: np.random.Generator, name: str, size: int, message: FixedPoint, activation: str
) -> Population:
    program = cfc_program((9, 10, 11), message.bits, activation)
    parameters = {}
    for gate in GATES:
        parameters[f"{gate}.bias"] = rng.integers(-50_000, 50_000, size)
        parameters[f"{gate}.multiplier"] = rng.integers(1, 128, size)
    state = {"h": rng.integers(message.low, message.high, size, endpoint=True)}
    return Population(name, program, parameters, state, message, message.low, message.high, size)


def _readout_population(rng: np.random.Generator, size: int) -> Population:
    program = linear_program(6)
    parameters = {
        f"{SUM}.bias": rng.integers(-5_000, 5_000, size),
        f"{SUM}.multiplier": rng.integers(1, 128, size),
    }
    return Population(
        "readout", program, parameters, {}, FixedPoint(24, 12), -(1 << 23), (1 << 23) - 1, size
    )


def _connection(
    rng: np.random.Generator,
    sizes: Sizes,
    source: str,
    target: str,
    accumulators: tuple[str, ...],
    neurons: int,
    columns: int,
    delay: int = 0,
) -> Connection:
    """Random mantissas; at most as many per row as the accumulator's bound surely allows."""
    # A readout's multiplier takes five bits more than a CfC's.
    budget = 1 << (18 if accumulators == (SUM,) else 21)
    exponent = int(rng.integers(0, 3))
    scale = exponent + max(sizes.message_bits, sizes.input_bits) - 1
    high = min((1 << (sizes.weight_bits - 1)) - 1, max((budget >> scale) - 1, 0))
    shape = (len(accumulators) * neurons, columns)
    if sizes.extreme:
        mantissas = rng.choice([-high - 1, high], size=shape)
    else:
        mantissas = rng.integers(-high - 1, high, size=shape, endpoint=True)
    allowed = budget // ((high + 1) << scale)
    keep = rng.random(shape) < sizes.density
    keep &= np.cumsum(keep, axis=1) <= allowed
    return Connection.from_dense(
        source, target, accumulators, np.where(keep, mantissas, 0),
        exponent=exponent, delay=delay, mantissa_bits=sizes.weight_bits,
    )  # fmt: skip
