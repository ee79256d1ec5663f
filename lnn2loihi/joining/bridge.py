"""What lies between two programs: the answers of one, in the units of the other's input port.

On the host a message m becomes the number m scale + offset, and that the integer

    n = floor(((m scale + offset) - port.offset) port.gain + 0.5), held within port.low..port.high

The neurons that answer do the same, with r = scale gain and b = (offset - port.offset) gain:

    n = (((m held + C) M) >> (S - e) + B) >> e,   M / 2**S = r,   C r + B / 2**e = b + 0.5

Where r is a power of two nothing is rounded but n itself. Elsewhere M has 21 bits, and n may differ
by one. Whether it does is found by trying: both are staircases that only rise, so they differ most
where a step of the host's ends or begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import Problems, ProgramError
from lnn2loihi.formats import WORD_BITS, IntegerArray, bits_needed, signed_range
from lnn2loihi.graph.population import Population
from lnn2loihi.graph.port import InputPort
from lnn2loihi.neurons.bounds import IntegerInterval, prove
from lnn2loihi.neurons.instructions import LARGEST_SHIFT, NeuronProgram, apply
from lnn2loihi.neurons.operations import MULTIPLIER_BITS
from lnn2loihi.neurons.tracer import Tracer, Value, Word

#: The accumulator of a bridge of its own, and the count of answers that its port does not take.
ANSWER = "answer"
#: Bits of a digit of the factor, the operand of a product with a word of 24 bits; most digits.
DIGIT_BITS, DIGITS = MULTIPLIER_BITS - 1, 3
FACTOR_BITS = DIGIT_BITS * DIGITS
#: Bits behind the point until the last rounding, where factors are no powers of two.
SPARE_BITS = 6
#: Most messages that are tried at once.
TRIED_AT_ONCE = 1 << 20
#: Beyond all messages and all integers of ports.
_FAR = 1 << 50
_ALIKE = "let answers of the front and inputs of the core have like scales"


@dataclass(frozen=True)
class Bridge:
    """A neuron program that brings answers into the units of a port.

    Attributes:
        program: with one accumulator, ANSWER, that holds the answer.
        parameters: of each channel.
        low, high: what is sent at the least and at the most; 0 is among it.
        difference: steps of the port by which it differs from decoding and encoding at most, 0 or
            1.
        channel: where it does.
    """

    program: NeuronProgram
    parameters: Mapping[str, IntegerArray]
    low: int
    high: int
    difference: int
    channel: int


class _Host:
    """What decoding and encoding make of messages, without saturation."""

    def __init__(self, sender: Population, port: InputPort) -> None:
        self.sender, self.port = sender, port
        with np.errstate(over="ignore", under="ignore"):
            #: Steps of the port that a step of the answers is worth, and what 0 becomes.
            self.ratio = np.multiply(sender.scale, port.gain, dtype=np.float64)
            self.moved = np.multiply(sender.offset - port.offset, port.gain, dtype=np.float64)

    def __call__(self, messages: IntegerArray) -> npt.NDArray[np.float64]:
        """The integers (..., channels) of messages (..., channels), far ones held."""
        with np.errstate(over="ignore", invalid="ignore"):
            samples = self.sender.decode(messages)
            encoded = np.floor((samples - self.port.offset) * self.port.gain + 0.5)
        return np.clip(np.nan_to_num(encoded), -_FAR, _FAR)

    def first(self, reached: IntegerArray, low: IntegerArray, high: IntegerArray) -> IntegerArray:
        """The smallest messages low..high that become at least `reached` (..., channels); high + 1
        where none does.
        """
        below = np.broadcast_to(low - 1, reached.shape).astype(np.int64)
        found = np.broadcast_to(high + 1, reached.shape).astype(np.int64)
        with np.errstate(all="ignore"):
            near = np.nan_to_num((reached - 0.5 - self.moved) / self.ratio)
        near = np.clip(np.clip(near, -_FAR, _FAR).astype(np.int64), low, high)
        before, after = np.maximum(near - 2, below), np.minimum(near + 2, found)
        below = np.where((before > below) & (self(before) < reached), before, below)
        found = np.where((after < found) & (self(after) >= reached), after, found)
        while (open_ := found - below > 1).any():
            middle = (below + found) >> 1
            enough = self(middle) >= reached
            found = np.where(open_ & enough, middle, found)
            below = np.where(open_ & ~enough, middle, below)
        return found


@dataclass(frozen=True)
class _Numbers:
    """The numbers of the equation above, for each channel; shifts are one for all."""

    least: IntegerArray
    most: IntegerArray
    offset: IntegerArray
    factor: IntegerArray
    shift: int
    rounding: IntegerArray
    spare: int


def bridge(
    sender: Population, ends: tuple[IntegerArray, IntegerArray], port: InputPort, where: str
) -> Bridge:
    """The bridge from a population's answers to a port of as many channels.

    Args:
        sender: the population.
        ends: smallest and largest message of each of its neurons, (N,) each.
        port: without the elapsed time.
        where: what errors are about.

    Raises:
        ProgramError: answers lie wholly beyond what the port takes, or the units are so different
            that words of 24 bits do not hold both, or differ by more than a step; names the
            channels.
    """
    host = _Host(sender, port)
    low, high = port.low.astype(np.int64), port.high.astype(np.int64)
    reaching, beyond = host.first(low, *ends), host.first(high + 1, *ends)
    problems = Problems(ProgramError, where)
    for c in np.flatnonzero((reaching > ends[1]) | (beyond <= ends[0])):
        side = "below" if reaching[c] > ends[1][c] else "above"
        heard, taken = ([float(part[c]) for part in pair] for pair in (
            [sender.decode(end) for end in ends], [port.decode(end) for end in (low, high)],
        ))  # fmt: skip
        problems.add(
            f"channel {c}: the front answers {heard[0]:g} to {heard[1]:g}, which is wholly {side} "
            f"what the core takes, {taken[0]:g} to {taken[1]:g}: calibrate the core with answers "
            "of the front"
        )
    problems.raise_if_any()
    held = np.maximum(reaching - 1, ends[0]), np.minimum(beyond, ends[1])
    numbers = _numbers(host, held, where)
    program, parameters = _trace(numbers, ends, (low, high))
    _check_words(program, parameters, ends, where)
    # Before the first sample nothing is sent, which counts as a message of 0.
    made = Bridge(program, parameters, min(int(low.min()), 0), max(int(high.max()), 0), 0, 0)
    differences = np.zeros(port.size, np.int64)
    for messages in _tried(host, ends):
        sums = {ANSWER: messages}
        wanted = np.clip(host(messages), low - 1, high + 1).astype(np.int64)
        free = np.clip(_words(made, sums), low - 1, high + 1)
        differences = np.maximum(differences, np.abs(free - wanted).max(axis=0))
    for c in np.flatnonzero(differences > 1):
        problems.add(
            f"channel {c}: its units differ so much from those of the others that inputs of the "
            f"core would differ by {differences[c]} steps from what they are; {_ALIKE}"
        )
    problems.raise_if_any()
    channel = int(differences.argmax())
    return replace(made, difference=int(differences[channel]), channel=channel)


def _check_words(
    program: NeuronProgram,
    parameters: Mapping[str, IntegerArray],
    ends: tuple[IntegerArray, IntegerArray],
    where: str,
) -> None:
    """Refuses units of which the words of the bridge do not hold both."""
    proved = prove(program, {ANSWER: IntegerInterval(*ends)}, parameters)
    problems = Problems(ProgramError, where)
    for problem in proved.problems:
        problems.add(f"units of the channels: {problem}; {_ALIKE}")
    problems.raise_if_any()


def _tried(host: _Host, ends: tuple[IntegerArray, IntegerArray]) -> Iterator[IntegerArray]:
    """All messages (tried, channels) at which a step of the host's begins, and those before."""
    low, high = host.port.low.astype(np.int64), host.port.high.astype(np.int64)
    # No more of them than messages come near.
    low = np.maximum(low, host(ends[0]).astype(np.int64))
    high = np.minimum(high, host(ends[1]).astype(np.int64))
    steps = max(int((high - low).max()), 0) + 2
    size = max(TRIED_AT_ONCE // low.size, 1)
    yield np.stack(ends)
    for begin in range(0, steps, size):
        reached = np.minimum(low + np.arange(begin, min(begin + size, steps))[:, None], high + 1)
        found = host.first(reached, *ends)
        yield np.concatenate([np.clip(found, *ends), np.clip(found - 1, *ends)])


def _words(made: Bridge, sums: Mapping[str, IntegerArray]) -> IntegerArray:
    """What a bridge sends, before it is held within the port's ends."""
    words: dict[str, npt.ArrayLike] = {**sums, **made.parameters}
    for one in made.program.instructions:
        if one.opcode != "SPIKE":
            operands = [words[o] if isinstance(o, str) else np.int64(o) for o in one.operands]
            words[one.result] = apply(one.opcode, operands, one.shift)
    return np.asarray(words[next(mark.free for mark in made.program.saturations or ())])


def _numbers(host: _Host, held: tuple[IntegerArray, IntegerArray], where: str) -> _Numbers:
    """The numbers of channels whose messages are held between these."""
    port, ratio, moved = host.port, host.ratio, host.moved
    fraction, exponent = np.frexp(ratio)
    exact = fraction == 0.5
    # Of a power of two: by how many bits it shifts to the right.
    shifts = 1 - exponent.astype(np.int64)
    if exact.all():
        spare, shift = 0, max(int(shifts.max()), 0)
    else:
        spare = max(
            min(SPARE_BITS, WORD_BITS - 2 - bits_needed(int(port.low.min()), int(port.high.max()))),
            0,
        )
        shift = min(FACTOR_BITS - 1 - int(exponent.max()), LARGEST_SHIFT + spare)
    with np.errstate(over="ignore", invalid="ignore"):
        factor = np.nan_to_num(np.floor(np.ldexp(ratio, shift) + 0.5))
        unit = np.where(exact & (shifts >= 0), (moved + 0.5) / ratio, moved / ratio)
        offset = np.nan_to_num(np.floor(np.where(exact, unit, unit + 0.5)))
        rest = np.floor(np.ldexp((moved + 0.5) - offset * ratio, spare))
        # Each digit's product loses up to one, half of one as a rule.
        rounding = np.where(exact & (shifts >= 0), 0, np.where(exact, rest, rest + DIGITS // 2))
    low, high = signed_range(WORD_BITS)
    least, most = np.maximum(held[0], low - offset), np.minimum(held[1], high - offset)
    fits = (factor < 1 << FACTOR_BITS) & (np.abs(offset) <= high) & (np.abs(rounding) <= high)
    fits &= least <= most
    fits &= -LARGEST_SHIFT <= shift - spare - (DIGITS - 1) * DIGIT_BITS
    fits &= shift - spare <= LARGEST_SHIFT
    problems = Problems(ProgramError, where)
    for c in np.flatnonzero(~fits):
        problems.add(
            f"channel {c}: a step of the front's answer is worth {ratio[c]:g} steps of the core's "
            f"port, and 0 is sent as {moved[c]:g}, beside channels with other units: words of 24 "
            f"bits do not hold that; {_ALIKE}"
        )
    problems.raise_if_any()
    whole = [part.astype(np.int64) for part in (least, most, offset, factor, rounding)]
    return _Numbers(whole[0], whole[1], whole[2], whole[3], shift, whole[4], spare)


def _trace(
    numbers: _Numbers,
    ends: tuple[IntegerArray, IntegerArray],
    range_of_port: tuple[IntegerArray, IntegerArray],
) -> tuple[NeuronProgram, dict[str, IntegerArray]]:
    """The program, and the parameters of its channels."""
    t = Tracer("bridge")
    parameters: dict[str, IntegerArray] = {}

    def number(name: str, values: IntegerArray, bits: int = WORD_BITS) -> Value:
        """An immediate where all channels have one number."""
        if (values == values[0]).all():
            return int(values[0])
        parameters[name] = values
        return t.parameter(name, bits)

    word = t.accumulator(ANSWER)
    if (numbers.most < ends[1]).any() or (numbers.least > ends[0]).any():
        word = t.minimum(word, number("most", numbers.most), "capped")
        word = t.maximum(word, number("least", numbers.least), "near")
    if numbers.offset.any():
        word = t.add(word, number("offset", numbers.offset), "moved")
    total: Word | None = None
    for place in range(DIGITS):
        digit = (numbers.factor >> (place * DIGIT_BITS)) & ((1 << DIGIT_BITS) - 1)
        shift = numbers.shift - numbers.spare - place * DIGIT_BITS
        if digit.any():
            part = _product(t, word, number(f"factor{place}", digit, MULTIPLIER_BITS), shift)
            total = part if total is None else t.add(total, part, "total")
    free = word if total is None else total
    if numbers.rounding.any():
        free = t.add(free, number("rounding", numbers.rounding), "rounded")
    if numbers.spare:
        free = t.shift_right(free, numbers.spare, "steps")
    low, high = range_of_port
    held = t.maximum(free, number("lowest", low), "floored")
    held = t.minimum(held, number("highest", high), "sample")
    t.saturates(free, held, ANSWER)
    t.spike(held)
    return t.program(), parameters


def _product(t: Tracer, word: Word, digit: Value, shift: int) -> Word:
    """The word times a digit, shifted right, or left."""
    if digit == 1:
        return word if shift == 0 else (
            t.shift_right(word, shift, "part") if shift > 0 else t.shift_left(word, -shift, "part")
        )  # fmt: skip
    part = t.multiply(word, digit, max(shift, 0), "part")
    return t.shift_left(part, -shift, "part") if shift < 0 else part
