"""Makes the populations and connections of the layers of a `.net` file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from lnn2loihi.converters.lavadl.file import NetLayer
from lnn2loihi.converters.lavadl.neurons import (
    ARRIVING,
    CUBA_SHIFT,
    MESSAGE_EXPONENT,
    SIGMA_BITS,
    STATE_EXPONENT,
    WHOLE,
    arriving_at,
    cuba_program,
    delta_program,
    sigma_delta_program,
    sigma_program,
)
from lnn2loihi.converters.lavadl.weights import dense_weights
from lnn2loihi.formats import FixedPoint, IntegerArray, signed_range
from lnn2loihi.graph.connection import Connection
from lnn2loihi.graph.convolution import LARGEST_COUNT, AnyConnection, Convolution
from lnn2loihi.graph.population import Population
from lnn2loihi.graph.port import InputPort
from lnn2loihi.graph.windows import Windows
from lnn2loihi.neurons.instructions import NeuronProgram, apply

#: Largest sum of a word.
WORD = signed_range(24)[1]
#: Most neurons of an encoder whose synapses are listed: executors have matrices of those.
LARGEST_LISTED = 1 << 10
#: Largest weight of a convolution, which is an even one: of mixed signs, as Lava's are.
LARGEST_SHARED = 254
#: Channels of the encoder: whole 1/64, what 8.0 of its state holds.
_INPUT = FixedPoint(10, 6)
#: Widest message: 16 bits (netx, input_message_bits), 8.0; and what neurons get a further
#: accumulator for, so that their sources can send it: 4.0.
LARGEST_MESSAGE, ENOUGH = (1 << 15) - 1, 1 << 14
INPUT = "input"


class BuildError(ValueError):
    """A layer cannot be made; the message says which, and why."""


class Rows(Protocol):
    """What a layer multiplies by: a matrix, or a kernel that its neurons share."""

    def largest(self, parts: int = 1) -> int:
        """Largest sum of the magnitudes of a row, or of a part of one, at least 1."""
        ...

    def times(self, message: IntegerArray) -> IntegerArray:
        """The sums of all rows."""
        ...

    def connections(self, source: str, target: str, parts: int = 1) -> list[AnyConnection]:
        """As synapses of eight bits, divided over so many accumulators."""
        ...


class MatrixRows:
    """The weights of a dense layer."""

    def __init__(self, layer: NetLayer) -> None:
        assert layer.weight is not None
        try:
            self._weight = dense_weights(layer.weight)
        except ValueError as error:
            raise BuildError(f"{layer.name}: {error}") from error

    def _parts(self, count: int) -> list[IntegerArray]:
        """The weights of each part: every so many columns."""
        part = np.arange(self._weight.shape[1]) % count
        return [np.where(part == number, self._weight, 0) for number in range(count)]

    def largest(self, parts: int = 1) -> int:
        """See `Rows`."""
        return max(1, *(int(np.abs(w).sum(axis=1).max(initial=0)) for w in self._parts(parts)))

    def times(self, message: IntegerArray) -> IntegerArray:
        """See `Rows`."""
        return self._weight @ message

    def connections(self, source: str, target: str, parts: int = 1) -> list[AnyConnection]:
        """See `Rows`."""
        return [
            Connection.from_dense(source, target, (name,), values, exponent=exponent)
            for name, weight in zip(arriving_at(parts), self._parts(parts), strict=True)
            for values, exponent in _in_bytes(weight)
        ]


class SharedRows:
    """The kernel of a convolution."""

    def __init__(self, layer: NetLayer, source: tuple[int, ...]) -> None:
        assert layer.weight is not None
        self._weight = layer.weight
        if np.abs(layer.weight).max() > LARGEST_SHARED:
            raise BuildError(
                f"{layer.name}: weights beyond -{LARGEST_SHARED}..{LARGEST_SHARED} do not fit a "
                "synapse"
            )
        how: Any = (layer.stride, layer.padding, layer.dilation, layer.groups)
        shapes: Any = (source, layer.weight.shape)
        self._windows = Windows(*shapes, *how)
        if (count := self._windows.largest_count) > LARGEST_COUNT:
            raise BuildError(
                f"{layer.name}: the convolution has {count:,} synapses; the limit of lnn2loihi is "
                f"{LARGEST_COUNT:,}. Crop what it hears, or take larger strides"
            )

    def _parts(self, count: int) -> list[IntegerArray]:
        """The kernel of each part: every so many channels, or places where channels are few."""
        inner, tall, wide = self._weight.shape[1:]
        place = np.arange(inner * tall * wide).reshape(inner, tall, wide)
        part = (place if inner < 2 * count else place // (tall * wide)) % count
        return [np.where(part == number, self._weight, 0) for number in range(count)]

    def largest(self, parts: int = 1) -> int:
        """See `Rows`."""
        ones = np.ones((1, self._windows.source_size), np.int64)
        sums = [self._windows.sums(np.abs(w), ones) for w in self._parts(parts)]
        return max(1, *(int(one.max()) for one in sums))

    def times(self, message: IntegerArray) -> IntegerArray:
        """See `Rows`."""
        return self._windows.sums(self._weight, message[None])[0]

    def connections(self, source: str, target: str, parts: int = 1) -> list[AnyConnection]:
        """See `Rows`."""
        windows = self._windows
        return [
            Convolution(
                source, target, (name,), values, windows.source_shape, windows.stride,
                windows.padding, windows.dilation, windows.groups, exponent,
            )
            for name, weight in zip(arriving_at(parts), self._parts(parts), strict=True)
            for values, exponent in _in_bytes(weight)
        ]  # fmt: skip


def _in_bytes(weight: IntegerArray) -> list[tuple[IntegerArray, int]]:
    """Mantissas of eight bits, and their exponents: even weights, and what odd ones have beyond
    them.
    """
    if np.abs(weight).max(initial=0) <= 127 and np.any(weight & 1):
        return [(weight, 0)]
    parts = [(weight >> 1, 1), (weight & 1, 0)]
    return [part for part in parts if np.any(part[0])] or parts[:1]


def _rows(layer: NetLayer, source: tuple[int, ...]) -> Rows | None:
    """What a layer multiplies by; None where it is the encoder."""
    if layer.kind == "input":
        return None
    return MatrixRows(layer) if layer.kind == "dense" else SharedRows(layer, source)


def _each_its_own(source: str, target: str, shape: tuple[int, ...]) -> AnyConnection:
    """A synapse of weight 1 from each source to the neuron at its place."""
    size = math.prod(shape)
    if size > LARGEST_LISTED and len(shape) == 3:
        ones = np.ones((shape[0], 1, 1, 1))
        return Convolution(source, target, (ARRIVING,), ones, shape, groups=shape[0])
    each = np.arange(size + 1), np.arange(size), np.ones(size)
    return Connection(source, target, (ARRIVING,), *each, size)


class Builder:
    """What has been made of the layers so far.

    Args:
        accumulators: most accumulators of a sigma-delta neuron.
    """

    def __init__(self, accumulators: int) -> None:
        self._accumulators = accumulators
        self.populations: list[Population] = []
        self.connections: list[AnyConnection] = []
        self.warnings: list[str] = []
        #: What each neuron of the last layer has sent while the pipeline filled, step by step.
        self._filling: list[IntegerArray] = []

    def build(self, layers: Sequence[NetLayer], shape: tuple[int, ...]) -> InputPort:
        """Makes all of it.

        Args:
            layers: of the file.
            shape: of the input.

        Raises:
            BuildError: one cannot be made.
        """
        size = int(np.prod(shape))
        sigma_delta = layers[0].neuron == "SDNN"
        rows = [_rows(layer, layers[n - 1].shape if n else shape) for n, layer in enumerate(layers)]
        parts = [1 if not sigma_delta or r is None else self._parts_of(r) for r in rows]
        last = INPUT
        for number, layer in enumerate(layers):
            name = f"{'encoder' if layer.kind == 'input' else layer.kind}_{number}"
            own = rows[number]
            limit = LARGEST_MESSAGE
            if number + 1 < len(layers) and (following := rows[number + 1]):
                limit = min(limit, WORD // following.largest(parts[number + 1]))
            if own is None:
                self.connections.append(_each_its_own(last, name, shape))
            else:
                self.connections += own.connections(last, name, parts[number])
            if sigma_delta:
                population = _sigma_delta(name, layer, limit, parts[number])
                # Nothing has to be proved of what is over before the first sample.
                filling = _sigma_delta(name, layer, LARGEST_MESSAGE, 1).program
            else:
                population = _cuba(name, layer, own.largest() if own else 1)
                filling = population.program
            self.populations.append(self._filled(population, filling, own))
            last = name
        if not sigma_delta:
            return InputPort(INPUT, FixedPoint(2, 0), np.zeros(size), np.ones(size))
        top = np.full(size, _INPUT.high)
        return InputPort(INPUT, _INPUT, -top, top)

    def _parts_of(self, rows: Rows) -> int:
        """Accumulators over which the synapses of a layer are divided: as few as let its sources
        send what ENOUGH is, since all of them may send it at once.
        """
        for parts in range(1, self._accumulators):
            if WORD // rows.largest(parts) >= ENOUGH:
                return parts
        return self._accumulators

    def _filled(
        self, population: Population, filling: NeuronProgram, rows: Rows | None
    ) -> Population:
        """The population with the state that netx gives it: layers update on what they have while
        the first sample is still on its way to them, and their biases do not wait for it.
        """
        sums = [np.zeros(population.size, np.int64)]
        if rows is not None:
            sums += [rows.times(message) for message in self._filling]
        else:
            sums = []  # It hears the first sample at once.
        state = {name: word.astype(np.int64) for name, word in population.initial_state.items()}
        constant = (*population.parameters.values(), *state.values())
        quiet = not any(np.any(array) for array in (*constant, *sums))
        self._filling, lost = [], 0
        for arriving in sums:
            message = np.zeros(population.size, np.int64)
            if not quiet:
                message, words = update(filling, population.parameters, state, arriving)
                marks = filling.saturations or ()
                lost += sum(int((words[m.free] != words[m.held]).sum()) for m in marks)
            self._filling.append(message)
        if lost:
            self.warnings.append(
                f"{population.name}: {lost} words saturate while the pipeline fills, before the "
                "first sample: it begins otherwise than in netx"
            )
        return Population(
            population.name, population.program, population.parameters, state, population.message,
            population.message_low, population.message_high, population.size,
        )  # fmt: skip


def update(
    program: NeuronProgram,
    parameters: Mapping[str, IntegerArray],
    state: dict[str, IntegerArray],
    arriving: IntegerArray,
) -> tuple[IntegerArray, Mapping[str, IntegerArray]]:
    """One update of a neuron program: changes the state, and gives the message and all words."""
    words = {**parameters, **state, ARRIVING: arriving}
    message = arriving
    for one in program.instructions:
        operands = [words[o] if isinstance(o, str) else np.int64(o) for o in one.operands]
        if one.opcode == "SPIKE":
            message = words[str(one.operands[0])]
            continue
        made = apply(one.opcode, operands, one.shift)
        words[one.result] = np.broadcast_to(made, arriving.shape).astype(np.int64)
    state.update({name: words[name] for name in state})
    return message, words


def _cuba(name: str, layer: NetLayer, largest: int) -> Population:
    """A layer of CUBA neurons."""
    if (arriving := largest << CUBA_SHIFT) > WORD:
        raise BuildError(
            f"{layer.name}: sums of up to {arriving} have no room in words of 24 bits: "
            f"the magnitudes of a neuron's weights add up to {largest}, at most "
            f"{WORD >> CUBA_SHIFT} do"
        )
    kept = WHOLE - layer.decays[0], WHOLE - layer.decays[1]
    program = cuba_program(kept, layer.threshold << CUBA_SHIFT, layer.bias is not None)
    parameters = {} if layer.bias is None else {"bias": layer.bias << CUBA_SHIFT}
    state = {word: np.zeros(layer.size) for word in program.state_names}
    return Population(name, program, parameters, state, FixedPoint(2, 0), 0, 1, layer.size)


def _sigma_delta(name: str, layer: NetLayer, limit: int, accumulators: int) -> Population:
    """A layer of sigma-delta neurons, the encoder or the decoder."""
    scale = MESSAGE_EXPONENT + STATE_EXPONENT
    threshold = layer.threshold << scale
    if threshold > WORD or limit < 1:
        raise BuildError(
            f"{layer.name}: a threshold of {layer.threshold}, or the weights behind it, have no "
            "room in 24 bits"
        )
    message, low, high = FixedPoint(16, 12), -limit, limit
    if layer.kind == "input":
        program = delta_program(threshold, limit)
    elif layer.sigma:
        program = sigma_program(accumulators)
        message = FixedPoint(SIGMA_BITS, 18)
        low, high = signed_range(SIGMA_BITS)
    else:
        program = sigma_delta_program(threshold, limit, accumulators)
    state = {word: np.zeros(layer.size, np.int64) for word in program.state_names}
    if layer.bias is not None:
        state["sigma"] = layer.bias << scale
    return Population(name, program, {}, state, message, low, high, layer.size)
