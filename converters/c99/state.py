"""The struct that holds what a network remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.c99.names import Names
from lnn2loihi.converters.c99.types import BYTES, type_of
from lnn2loihi.formats import IntegerArray, signed_range
from lnn2loihi.program import LoihiProgram, Population

#: The word of a message that no state word holds, as executors record it.
MESSAGE = "message"
#: The type of counts of saturations.
COUNT = "uint32_t"


@dataclass(frozen=True)
class Member:
    """A member of the state's struct: an array.

    Attributes:
        name: of the member.
        kind: its type of C, such as int16_t.
        size: its length.
        initial: what it is after a reset; one number where all are equal.
    """

    name: str
    kind: str
    size: int
    initial: tuple[int, ...] = (0,)

    @property
    def bytes(self) -> int:
        """Bytes that it takes."""
        return BYTES[self.kind] * self.size


class StateStruct:
    """The members of a program's state, the largest types first, so that nothing pads them.

    Args:
        program: whose state.
        counting: whether saturations are counted in it.

    Attributes:
        words: for each population and word its member: state words, and "message" where none holds
            the message, as executors record them.
        messages: for each source, the input port among them, the member of its messages.
        copies: for each population that hears itself and is large the member in which its new
            messages wait; see `LARGEST_COPY`.
        saturated_inputs: the member that counts inputs out of range, channel by channel; None
            where nothing is counted.
        saturations: for each population and word that can saturate its place in the member of that
            name; see `LoihiProgram.saturations`.
        saturated_words: that member, if there are any.
    """

    #: Most bytes of new messages that wait on the stack, while the old ones are still heard.
    LARGEST_COPY = 256

    def __init__(self, program: LoihiProgram, counting: bool = False) -> None:
        names = Names()
        port = program.input
        low, high = int(port.low.min()), int(port.high.max())
        self.words: dict[tuple[str, str], Member] = {}
        kind = type_of(min(low, 0), max(high, 0))
        self.messages = {port.name: Member(names.give(f"{port.name}_messages"), kind, port.size)}
        self.copies: dict[str, Member] = {}
        for p in program.populations:
            self._declare(p, names)
            message = self.messages[p.name]
            hears_itself = any(c.source == p.name for c in program.incoming(p.name))
            if hears_itself and message.bytes > self.LARGEST_COPY:
                name = names.give(f"{p.name}_next")
                self.copies[p.name] = Member(name, message.kind, p.size)
        self._count(program, names, counting)
        counts = [one for one in (self.saturated_inputs, self.saturated_words) if one is not None]
        every = [*counts, *self.messages.values(), *self.words.values(), *self.copies.values()]
        self.members: Sequence[Member] = sorted(
            dict.fromkeys(every), key=lambda member: -BYTES[member.kind]
        )

    def _count(self, program: LoihiProgram, names: Names, counting: bool) -> None:
        self.saturations: dict[tuple[str, str], int] = {}
        self.saturated_inputs: Member | None = None
        self.saturated_words: Member | None = None
        if not counting:
            return
        name = names.give("saturated_inputs")
        self.saturated_inputs = Member(name, COUNT, program.input.size)
        words = [(p.name, m.name) for p in program.populations for m in program.saturations[p.name]]
        self.saturations = {word: place for place, word in enumerate(words)}
        if words:
            self.saturated_words = Member(names.give("saturated_words"), COUNT, len(words))

    def _declare(self, p: Population, names: Names) -> None:
        sent = p.initial_message
        low, high = min(p.message_low, int(sent.min())), max(p.message_high, int(sent.max()))
        name = names.give(f"{p.name}_message")
        message = Member(name, type_of(low, high), p.size, _shortest(sent))
        self.messages[p.name] = message
        for word, bits in p.program.states:
            if word == p.program.message_state:
                self.words[p.name, word] = message
                continue
            kind = type_of(*signed_range(bits))
            initial = _shortest(p.initial_state[word].astype(np.int64))
            self.words[p.name, word] = Member(names.give(f"{p.name}_{word}"), kind, p.size, initial)
        if not p.program.message_state:
            self.words[p.name, MESSAGE] = message

    @property
    def bytes(self) -> int:
        """Bytes of the struct, on a part on which types stand at multiples of their own size."""
        total = sum(member.bytes for member in self.members)
        widest = max(BYTES[member.kind] for member in self.members)
        return -(-total // widest) * widest


def _shortest(values: IntegerArray) -> tuple[int, ...]:
    """The numbers, or one of them where all are equal."""
    numbers = values.tolist()
    return tuple(numbers[:1] if (values == values[0]).all() else numbers)
