"""What stages can hear, in integers: the input port, messages, and the connections of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.family import lowering_of
from lnn2loihi.formats import FixedPoint
from lnn2loihi.layers.stage import FIRST, INPUT, RESTART, Stage
from lnn2loihi.network import FloatArray, LiquidNetwork
from lnn2loihi.neurons.operations import ELAPSED
from lnn2loihi.program import Connection, InputPort
from lnn2loihi.quantization.calibration import CalibrationRun
from lnn2loihi.quantization.rounding import Sender
from lnn2loihi.quantization.rows import QuantizedGate

#: Room beyond the calibrated range of an input channel, as a share of its span, and beyond that of
#: a bounded message: data of other days leave the range of those that were calibrated with.
HEADROOM = 0.25
#: Width of a mantissa of one: a single signed bit holds -1 and 0 only.
WIRE_BITS = 2
#: Widest elapsed time: the operand of a 16-bit product.
ELAPSED_BITS = 16


@dataclass(frozen=True)
class Senders:
    """What stages can hear: integers low..high, one unit worth `step`, for each source by name.

    Attributes:
        port: where samples enter.
        elapsed: format of the elapsed time, the port's last channel; None where it is constant.
        sources: by name of a stage, or INPUT, without the elapsed time.
    """

    port: InputPort
    elapsed: FixedPoint | None
    sources: dict[str, Sender]

    @property
    def longest(self) -> float:
        """The longest elapsed time; 0 where it is constant."""
        return 0.0 if self.elapsed is None else float(self.port.high[-1]) * self.elapsed.step

    @property
    def largest_input(self) -> float:
        """The largest magnitude of a sample that the port takes, without the elapsed time."""
        count = len(self.port.gain) - (self.elapsed is not None)
        ends = np.array([self.port.low, self.port.high]) / self.port.gain + self.port.offset
        return float(np.abs(ends[:, :count]).max(initial=0.0))


def input_port(
    network: LiquidNetwork, calibration: CalibrationRun, bits: int
) -> tuple[InputPort, FixedPoint | None, Sender]:
    """For each channel the finest format that holds what was calibrated; a channel saturates at
    the ends of its own calibrated range, with some room on both sides as far as its format has it.
    The elapsed time is the last channel.
    """
    formats = [
        FixedPoint.covering(
            bits, calibration.largest(calibration.live(calibration.inputs[..., c]), bits)
        )
        for c in range(network.input_size)
    ]
    room = HEADROOM * (calibration.input_high - calibration.input_low)
    smallest, largest = calibration.input_low - room, calibration.input_high + room
    low = [int(f.encode(v)) for f, v in zip(formats, smallest, strict=True)]
    high = [int(f.encode(v)) for f, v in zip(formats, largest, strict=True)]
    step = np.array([f.step for f in formats])
    source = Sender(step, np.array(low), np.array(high))
    gain, offset = 1.0 / (step * network.input_scale), network.input_offset
    elapsed = None
    if calibration.elapsed_range is not None:
        shortest, longest = calibration.elapsed_range
        elapsed = FixedPoint.covering(min(bits, ELAPSED_BITS), longest)
        low.append(int(elapsed.encode(shortest)))
        high.append(int(elapsed.encode(longest)))
        gain, offset = np.append(gain, 1.0 / elapsed.step), np.append(offset, 0.0)
    nominal = min(formats, key=lambda f: f.fraction_bits)
    return InputPort(INPUT, nominal, np.array(low), np.array(high), gain, offset), elapsed, source


def every_message(stage: Stage, message: FixedPoint, steps: FloatArray) -> Sender:
    """A source that may send every integer of its format that its stage can answer."""
    ends = lowering_of(stage).message_low(stage, message), message.high
    return Sender(steps, *(np.full(stage.units, end, np.int64) for end in ends))


def connections_of(
    stage: Stage,
    senders: Senders,
    rows: Sequence[QuantizedGate],
    exponents: Sequence[int],
    weight_bits: int,
) -> list[Connection]:
    """One connection from each source into a stage's population, and one for the elapsed time.

    Where a source is replaced in the first step of a sample, so are all others, each by itself:
    all feed an accumulator of their own for it.

    Args:
        stage: the stage.
        senders: what it can hear.
        rows: its integer rows, gate by gate.
        exponents: left shift of each source's connection.
        weight_bits: width of the mantissas.
    """
    fused = np.concatenate([row.mantissas for row in rows])
    made: list[Connection] = []
    begin = 0
    bits = WIRE_BITS if stage.selects else weight_bits
    replaced = any(source.first for source in stage.sources)
    for source, exponent in zip(stage.sources, exponents, strict=True):
        block = fused[:, begin : begin + source.columns]
        begin += source.columns
        if source.name == INPUT and senders.elapsed is not None:
            block = np.concatenate([block, np.zeros((len(block), 1), np.int8)], axis=1)
        feeds = [(source.name, tuple(stage.gates))]
        if replaced:
            feeds.append((source.first or source.name, (FIRST,)))
        made += [
            Connection.from_dense(
                name, stage.name, fed, block, exponent=exponent, mantissa_bits=bits
            )
            for name, fed in feeds
        ]
    if stage.starts_from:
        same = np.eye(stage.units, dtype=np.int8)
        made.append(
            Connection.from_dense(
                stage.starts_from, stage.name, (RESTART,), same, mantissa_bits=WIRE_BITS
            )
        )
    if stage.timed:
        only_time = np.zeros((stage.units, senders.port.size), np.int8)
        only_time[:, -1] = 1
        made.append(Connection.from_dense(INPUT, stage.name, (ELAPSED,), only_time))
    return made
