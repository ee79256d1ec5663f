"""What samples and answers of a codec in fixed point reach, beside what the program stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lnn2loihi.program import LoihiProgram

#: Fraction bits that a codec takes at most, so that one has a range of 2 in 32 bits.
LARGEST_FRACTION = 30
#: Values that a channel has in fixed point at least, or nobody is warned (a limit of ours: 8 bits,
#: as the coarsest inputs that people quantize to). Fewer messages than that are enough if it has no
#: more of them.
_ENOUGH_VALUES = 256


@dataclass(frozen=True)
class FixedRange:
    """One channel in fixed point.

    Attributes:
        channel: "input 0" or "answer 0".
        low, high: real values between its lowest and its highest message.
        unit: real value of one message.
        step: real value of the last bit in fixed point.
    """

    channel: str
    low: float
    high: float
    unit: float
    step: float

    @property
    def fault(self) -> str:
        """What fixed point does not reach or not tell apart; "" where it serves."""
        least, most = -(2.0**31) * self.step, (2.0**31 - 1) * self.step
        if self.low < least or self.high > most:
            return f"what is beyond {least:.6g} to {most:.6g} saturates"
        width = self.high - self.low
        wanted = min(_ENOUGH_VALUES, round(width / self.unit) + 1)
        if width / self.step + 1 < wanted:
            left = math.floor(width / self.step) + 1
            return f"its step of {self.step:.3g} leaves {left:,} value{'s'[: left > 1]}"
        return ""

    @property
    def serving(self) -> tuple[int, int]:
        """Fewest and most fraction bits: as fine as a message, and with room for the range."""
        fine = math.ceil(-math.log2(self.unit))
        largest = max(abs(self.low), abs(self.high), self.unit)
        return fine, 31 - (math.floor(math.log2(largest)) + 1)

    def sentence(self) -> str:
        """The channel with its range, its fault and what would serve."""
        fine, room = self.serving
        if room < 0:
            serves = "no fraction bits have room for it: take a codec of floats, or other units"
        else:
            room = min(room, LARGEST_FRACTION)
            serves = (
                f"fraction_bits {max(fine, 0)} to {room} serve it"
                if max(fine, 0) < room
                else f"fraction_bits {room} serves it best"
            )
        fault = f"; {self.fault}" if self.fault else ""
        return f"{self.channel}: {self.low:.6g} to {self.high:.6g}{fault}; {serves}"


def fixed_ranges(program: LoihiProgram, fraction_bits: int) -> list[FixedRange]:
    """All channels of the input, then those of the answer, whose messages are proved."""
    step = 2.0**-fraction_bits
    port, out = program.input, program.output_population
    found = [
        FixedRange(f"input {i}", float(lo / g + o), float(hi / g + o), float(1 / g), step)
        for i, (o, g, lo, hi) in enumerate(
            zip(port.offset, port.gain, port.low, port.high, strict=True)
        )
    ]
    for i, (scale, offset) in enumerate(zip(out.scale, out.offset, strict=True)):
        low, high = sorted(float(m * scale + offset) for m in (out.message_low, out.message_high))
        found.append(FixedRange(f"answer {i}", low, high, float(abs(scale)) or 1.0, step))
    return found
