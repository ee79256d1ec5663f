"""Builds a LoihiProgram from a float network, calibration measurements and a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.errors import Problems, QuantizationError
from lnn2loihi.formats import MESSAGE_BITS, FixedPoint, bits_needed
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.network import CfCLayer, Linear, LiquidNetwork
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.cfc import GATES, cfc_program
from lnn2loihi.neurons.linear import SUM, linear_program
from lnn2loihi.program import (
    Connection,
    InputPort,
    LoihiProgram,
    Population,
    derive_schedule,
)
from lnn2loihi.quantize.calibration import Calibration
from lnn2loihi.quantize.recipe import Recipe
from lnn2loihi.quantize.rows import Gate, QuantizedGate, Source, quantize_rows

INPUT = "input"
#: Resolution that a readout aims at: its calibrated range takes about this many bits.
READOUT_BITS = 16


@dataclass(frozen=True)
class _Stage:
    """What a population or the input sends."""

    name: str
    format: FixedPoint
    low: np.ndarray
    high: np.ndarray

    @property
    def source(self) -> Source:
        return Source(self.format.step, self.low, self.high)


def input_port(calibration: Calibration, bits: int) -> InputPort:
    """The finest format in which nothing that was calibrated saturates; each channel saturates
    at the ends of its own calibrated range.
    """
    largest = max(np.abs(calibration.input_low).max(), np.abs(calibration.input_high).max())
    chosen = FixedPoint.covering(bits, float(largest))
    return InputPort(
        INPUT, chosen, chosen.encode(calibration.input_low), chosen.encode(calibration.input_high)
    )


def convert(
    network: LiquidNetwork,
    calibration: Calibration,
    recipe: Recipe,
    provenance: Mapping[str, str],
) -> LoihiProgram:
    """The integer program of a network.

    Raises:
        QuantizationError: lists, by population and neuron, every row that does not fit.
    """
    problems = Problems(QuantizationError, f"network {network.name!r} with recipe {recipe}")
    port = input_port(calibration, recipe.input_bits)
    before = _Stage(INPUT, port.format, port.low.astype(np.int64), port.high.astype(np.int64))
    populations: list[Population] = []
    connections: list[Connection] = []
    for layer in network.layers:
        population, fed = _cfc_stage(layer, network.timespan, before, calibration, recipe, problems)
        populations.append(population)
        connections += fed
        before = _sender(population)
    if network.readout is not None:
        stage = _readout_stage(network.readout, before, calibration, recipe, problems)
        populations.append(stage[0])
        connections.append(stage[1])
    problems.raise_if_any()
    chain, wiring = tuple(populations), tuple(connections)
    return LoihiProgram(
        name=network.name,
        recipe=str(recipe),
        input=port,
        populations=chain,
        connections=wiring,
        output=chain[-1].name,
        schedule=derive_schedule(INPUT, chain, wiring),
        provenance=read_only_mapping(provenance),
    )


def _sender(population: Population) -> _Stage:
    size = population.size
    return _Stage(
        population.name,
        population.message,
        np.full(size, population.message_low, np.int64),
        np.full(size, population.message_high, np.int64),
    )


def _cfc_stage(
    layer: CfCLayer,
    timespan: float,
    before: _Stage,
    calibration: Calibration,
    recipe: Recipe,
    problems: Problems,
) -> tuple[Population, list[Connection]]:
    unit = ACTIVATIONS[recipe.activation].unit
    message = FixedPoint(recipe.message_bits, recipe.message_bits - 1)
    # The time gate is computed as tanh of half its pre-activation (neurons/cfc.py).
    units = (unit, unit, unit / 2)
    maps = (layer.ff1, layer.ff2, layer.folded_gate(timespan))
    gates = [
        Gate(name, m.weight, m.bias, steps)
        for name, m, steps in zip(GATES, maps, units, strict=True)
    ]
    own = Source(
        message.step,
        np.full(layer.units, message.low, np.int64),
        np.full(layer.units, message.high, np.int64),
    )
    exponents, rows = quantize_rows(
        gates, (before.source, own), calibration.moments[layer.name], recipe.weight_bits
    )
    _collect(layer.name, rows, problems)
    population = Population(
        name=layer.name,
        program=cfc_program([row.shift for row in rows], message.bits, recipe.activation),
        parameters=_parameters(GATES, rows),
        initial_state={"h": np.zeros(layer.units, np.int32)},
        message=message,
        message_low=message.low,
        message_high=message.high,
        size=layer.units,
    )
    split = layer.input_size
    fused = np.concatenate([row.mantissas for row in rows])
    connections = [
        Connection.from_dense(
            source, layer.name, GATES, block, exponent=exponent, mantissa_bits=recipe.weight_bits
        )
        for source, block, exponent in (
            (before.name, fused[:, :split], exponents[0]),
            (layer.name, fused[:, split:], exponents[1]),
        )
    ]
    return population, connections


def _readout_stage(
    readout: Linear,
    before: _Stage,
    calibration: Calibration,
    recipe: Recipe,
    problems: Problems,
) -> tuple[Population, Connection]:
    fraction_bits = _readout_fraction_bits(readout, before, calibration)
    gate = Gate(SUM, readout.weight, readout.bias, 2.0**fraction_bits)
    exponents, rows = quantize_rows(
        [gate], (before.source,), calibration.moments[readout.name], recipe.weight_bits
    )
    _collect(readout.name, rows, problems)
    connection = Connection.from_dense(
        before.name, readout.name, (SUM,), rows[0].mantissas,
        exponent=exponents[0], mantissa_bits=recipe.weight_bits,
    )  # fmt: skip
    bound = _message_bound(connection, before, rows[0])
    population = Population(
        name=readout.name,
        program=linear_program(rows[0].shift),
        parameters=_parameters((SUM,), rows),
        initial_state={},
        message=FixedPoint(min(bits_needed(-bound, bound), MESSAGE_BITS), fraction_bits),
        message_low=-bound,
        message_high=bound,
        size=readout.output_size,
    )
    return population, connection


def _readout_fraction_bits(readout: Linear, before: _Stage, calibration: Calibration) -> int:
    """Fraction bits for READOUT_BITS over the calibrated range, fewer if the largest output that
    weights and messages allow would not fit 24 bits: readouts never saturate.
    """
    calibrated = float(np.abs(calibration.result.outputs).max())
    wanted = FixedPoint.covering(READOUT_BITS, calibrated).fraction_bits
    largest_message = np.maximum(np.abs(before.low), np.abs(before.high)) * before.format.step
    reach = float((np.abs(readout.weight) @ largest_message + np.abs(readout.bias)).max())
    # One bit is left for rounding weights and biases, one for the half unit of rounding.
    return min(wanted, FixedPoint.covering(MESSAGE_BITS - 2, reach).fraction_bits)


def _message_bound(connection: Connection, before: _Stage, rows: QuantizedGate) -> int:
    interval = connection.interval(before.low, before.high)
    worst = np.maximum(np.abs(interval.low + rows.bias), np.abs(interval.high + rows.bias))
    return int((worst * rows.multiplier).max() >> rows.shift) + 1


def _parameters(
    accumulators: Sequence[str], rows: Sequence[QuantizedGate]
) -> dict[str, np.ndarray]:
    parameters: dict[str, np.ndarray] = {}
    for name, row in zip(accumulators, rows, strict=True):
        parameters[f"{name}.bias"] = row.bias
        parameters[f"{name}.multiplier"] = row.multiplier
    return parameters


def _collect(stage: str, rows: Sequence[QuantizedGate], problems: Problems) -> None:
    found = [f"{stage}: {problem}" for row in rows for problem in row.problems]
    problems.extend(found[:10])
    if len(found) > 10:
        problems.add(f"{stage}: {len(found) - 10} more rows that do not fit")
