"""Where everything runs: which parts there are on the chip, and what the host computes between.

A level is a stretch of the way from the inputs to the answer: the host computes what it can, then
the chip what hears that, and so on. What is on the chip in one level, hears the same samples,
passes the same time and unfolds as often is one part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lnn2loihi.converters.modules.affine import Affine, Picks
from lnn2loihi.converters.modules.atoms import (
    Activated,
    Atom,
    Base,
    Call,
    Given,
    Message,
    Normed,
    Product,
)
from lnn2loihi.converters.modules.flows import Flow, Kept
from lnn2loihi.converters.modules.reading import FlowReader
from lnn2loihi.converters.trace.graph import Node, refs
from lnn2loihi.converters.trace.replay import sizes_used

#: What is placed on a chip: a recurrent part, or an activation or a product.
Item: TypeAlias = "Call | Atom"

_ALONE = (
    "no recurrent layer of the chip is among what it hears and what hears it, without something "
    "of the host between; alone it is no network"
)
_SIGMOID = (
    "a sigmoid that nothing on the chip hears: the host computes it of the chip's outputs, which "
    "are finer than its messages"
)
_WITHOUT_WEIGHTS = (
    "an activation of what the host computes, without weights between: the host computes it along"
)
_OF_HOST = (
    "a product of what the host has, without weights between: the host computes it along, and one "
    "number crosses in place of two"
)
_LAST_NORM = (
    "a norm that nothing on the chip hears, and no map follows: the host computes it of the chip's "
    "outputs, which are finer than its messages"
)
_NORM_OF_HOST = (
    "a norm of what the host has, without weights between: the host computes it along, exactly"
)
_ERROR = (
    "an error between what the chip answers and what the host has, which nothing on the chip "
    "hears: the host computes it of the chip's outputs, which are finer than its messages"
)
#: Activations that make an error of a difference.
_ERRORS = ("square", "abs")
_WITHIN = "its state within a sequence is used, and the chip gives it after the last sample only"


@dataclass(eq=False)
class Group:
    """What runs together on the chip.

    Attributes:
        level: of the way from the inputs to the answer, from 1.
        base: the samples.
        elapsed: what its recurrent parts are given as elapsed time; None where they take none.
        unfolds: steps of its recurrent parts for each sample; 0 where there are none.
        items: what it consists of, each after what it hears.
        merged: the group that it went into.
    """

    level: int
    base: Base
    elapsed: Given | float | None = None
    unfolds: int = 0
    items: list[Item] = field(default_factory=list)
    merged: Group | None = None

    @property
    def calls(self) -> list[Call]:
        """Its recurrent parts."""
        return [item for item in self.items if isinstance(item, Call)]

    def fits(self, other: Group) -> bool:
        """Whether both can be one."""
        return (
            (self.level, self.base) == (other.level, other.base)
            and (self.elapsed is None or other.elapsed is None or self.elapsed == other.elapsed)
            and (not self.unfolds or not other.unfolds or self.unfolds == other.unfolds)
        )

    def take(self, other: Group) -> None:
        """Makes both one."""
        self.items += other.items
        self.elapsed = other.elapsed if self.elapsed is None else self.elapsed
        self.unfolds = self.unfolds or other.unfolds
        other.merged = self


class Cut:
    """Places on the chip all that the answer of a module needs and the chip can take.

    Args:
        reader: what the values of the recording mean.

    Attributes:
        wanted: the values that the host needs: for the answer, and for its own nodes.
    """

    def __init__(self, reader: FlowReader) -> None:
        self.reader, self.graph = reader, reader.graph
        self.producer: dict[int, Node] = {}
        for node in self.graph.nodes:
            # What does nothing answers with the tensor that it was given.
            given = {ref.number for ref in refs((node.arguments, node.keywords))}
            for ref in refs(node.answer):
                if ref.number not in given:
                    self.producer.setdefault(ref.number, node)
        self._groups: dict[bytes, Group] = {}
        self._levels: dict[int, int] = {}
        self._inside: dict[bytes, frozenset[bytes]] = {}
        self._shaped: set[int] = set()
        answers = [ref.number for ref in refs(self.graph.answer)]
        self._shaped |= self._follow_sizes() & set(answers)
        self.answers = [number for number in answers if self.is_computed(number)]
        self.wanted: dict[int, None] = {}
        self._needed: dict[bytes, Item] = {}
        self._demand()

    def groups(self) -> list[Group]:
        """The parts on the chip, in the order in which they run."""
        found = list(dict.fromkeys(self.group_of(item) for item in self._placed()))
        found.sort(key=lambda group: group.level)
        for group in found:
            group.items = [item for item in group.items if item.digest in self._needed]
        kept: list[Group] = []
        for group in found:
            fitting = next((one for one in kept if one.calls and one.fits(group)), None)
            if fitting is None:
                kept.append(group)
            else:
                fitting.take(group)
        return kept

    def group_of(self, item: Item) -> Group:
        """Where something of the chip runs."""
        item = item.call if isinstance(item, Message) else item
        group = self._groups[item.digest]
        while group.merged is not None:
            group = group.merged
        return group

    def level(self, number: int) -> int:
        """After which level a value is at hand for the host; 0 before the chip runs."""
        if number not in self._levels:
            self._levels[number] = self._level(number)
        return self._levels[number]

    def home(self, number: int) -> Group | None:
        """The part on the chip that answers with a value; None for the host's."""
        meaning = self.reader.meanings.get(number)
        if isinstance(meaning, Kept):
            self._place(meaning.call)
            return self.group_of(meaning.call)
        if not isinstance(meaning, Flow):
            return None
        return self.home_of(meaning.expression)

    def home_of(self, expression: Affine) -> Group | None:
        """The part on the chip that can answer with an expression."""
        items = [atom for atom in expression.atoms if not isinstance(atom, Given)]
        for item in items:
            self._place(item)
        found = list(dict.fromkeys(map(self.group_of, items)))
        if not found or not _fit(found):
            return None
        group = found[0]
        for other in found[1:]:
            group.take(other)
        given = [atom for atom in expression.atoms if isinstance(atom, Given)]
        return (
            group
            if all(
                self.level(number) < group.level
                for one in given
                for number in self.reader.numbers_of(one)
            )
            else None
        )

    def to_host(self) -> dict[bytes, str]:
        """What had better be the host's, by digest, with the reason; all is cut anew then."""
        found: dict[bytes, str] = {}
        groups = list(dict.fromkeys(self.group_of(item) for item in self._placed()))
        for group in groups:
            if not group.calls:
                found |= dict.fromkeys((item.digest for item in group.items), _ALONE)
        heard = {atom for item in self._placed() for own in _heard(item) for atom in own.atoms}
        mapped = self._mapped()
        for item in self._placed():
            if isinstance(item, Activated) and item.text == "sigmoid" and item not in heard:
                found.setdefault(item.digest, _SIGMOID)
            if isinstance(item, Activated) and _is_of_host(item.inside):
                found.setdefault(item.digest, _WITHOUT_WEIGHTS)
            if isinstance(item, Product) and all(map(_is_of_host, item.heard)):
                found.setdefault(item.digest, _OF_HOST)
            if isinstance(item, Normed) and item not in heard and item not in mapped:
                found.setdefault(item.digest, _LAST_NORM)
            if isinstance(item, Normed) and _is_of_host(item.inside):
                found.setdefault(item.digest, _NORM_OF_HOST)
            if isinstance(item, Activated) and item not in heard and _is_error(item):
                found.setdefault(item.digest, _ERROR)
        for number in self.wanted:
            meaning = self.reader.meanings.get(number)
            if isinstance(meaning, Kept) and meaning.at != meaning.call.base.time - 1:
                found[meaning.call.digest] = _WITHIN
        return found

    def _mapped(self) -> set[Atom]:
        """What parts answer with after a map, and not as it is."""
        flows = (self.reader.meanings.get(number) for number in self.wanted)
        return {
            atom
            for flow in flows
            if isinstance(flow, Flow)
            for atom, block in flow.expression.blocks.items()
            if not isinstance(block, Picks)
        }

    def given(self, item: Item) -> Iterator[int]:
        """Values of the host that something on the chip needs."""
        for own in _heard(item):
            for atom in own.atoms:
                yield from self.reader.numbers_of(atom) if isinstance(atom, Given) else ()
        if isinstance(item, Call):
            yield from (one.number for one in item.initial)
            if isinstance(item.elapsed, Given):
                yield item.elapsed.number

    def is_computed(self, number: int) -> bool:
        """Whether a value is another one with other examples: it depends on an input, or on the
        sizes of one and is answered, or heard by the chip with as many entries.
        """
        return self.graph.values[number].depends or number in self._shaped

    def _follow_sizes(self) -> set[int]:
        """Values that the sizes of an example say, or the shape of what depends on it."""
        found: set[int] = set()
        for node, general in zip(self.graph.nodes, self.reader.recording.nodes, strict=True):
            read = {ref.number for ref in refs((node.arguments, node.keywords))}
            if sizes_used((general,)) or any(n in found or self.is_computed(n) for n in read):
                found |= {ref.number for ref in refs(node.answer)}
        return found

    def _note_shaped(self, given: Given) -> None:
        """Samples that depend on nothing but sizes: zeros that a decoder hears."""
        for number in self.reader.numbers_of(given):
            sizes = self.reader.recording.shape_of(number)
            if number in self.producer and not all(size.fixed for size in sizes):
                self._shaped.add(number)

    def _placed(self) -> list[Item]:
        """Everything on the chip that the answer needs, each after what it hears."""
        return list(self._needed.values())

    def _demand(self) -> None:
        """Places what the answer needs, and finds the values that the host needs for it."""
        waiting = list(self.answers)
        while waiting:
            number = waiting.pop()
            if number in self.wanted or not self.is_computed(number):
                continue
            self.wanted[number] = None
            home, meaning = self.home(number), self.reader.meanings.get(number)
            if home is None:
                waiting += self.operands(number) if number in self.producer else []
            elif isinstance(meaning, Kept):
                waiting += self._need(meaning.call)
            elif isinstance(meaning, Flow):
                for atom in meaning.expression.atoms:
                    waiting += self._need(atom)

    def _need(self, item: Item) -> list[int]:
        """Notes that something runs on the chip; answers with values that it needs of the host."""
        item = item.call if isinstance(item, Message) else item
        if isinstance(item, Given):
            self._note_shaped(item)
            return list(self.reader.numbers_of(item))
        if item.digest in self._needed:
            return []
        self._place(item)
        if isinstance(item, Call) and isinstance(item.elapsed, Given):
            self._note_shaped(item.elapsed)
        found = list(self.given(item))
        for own in _heard(item):
            for atom in own.atoms:
                found += self._need(atom)
        self._needed[item.digest] = item
        return found

    def operands(self, number: int) -> list[int]:
        """Values that a value of the host is computed of."""
        node = self.producer[number]
        found = [ref.number for ref in refs((node.arguments, node.keywords))]
        return [one for one in dict.fromkeys(found) if self.is_computed(one)]

    def _level(self, number: int) -> int:
        if number not in self.producer:
            return 0
        # Nodes in order, so that no chain of values is followed in depth.
        waiting = [number]
        while waiting:
            one = waiting[-1]
            home = self.home(one)
            if home is not None:
                self._levels[one] = home.level
                waiting.pop()
                continue
            operands = self.operands(one) if one in self.producer else []
            missing = [other for other in operands if other not in self._levels]
            if missing:
                waiting += missing
                continue
            self._levels[one] = max((self._levels[other] for other in operands), default=0)
            waiting.pop()
        return self._levels[number]

    def _place(self, item: Item) -> None:
        """Finds the part of something on the chip."""
        item = item.call if isinstance(item, Message) else item
        if item.digest in self._groups:
            return
        heard = [atom for own in _heard(item) for atom in own.atoms if not isinstance(atom, Given)]
        for atom in heard:
            self._place(atom)
        level = 1 + max((self.level(number) for number in self.given(item)), default=0)
        level = max((level, *(self.group_of(atom).level for atom in heard)))
        own = Group(level, item.base)
        if isinstance(item, Call):
            own.elapsed, own.unfolds = item.elapsed, item.unfolds
        beside = [g for g in dict.fromkeys(map(self.group_of, heard)) if g.level == level]
        if not self._joins(own, beside, item, heard):
            own.level, beside = level + 1, []
        own.items.append(item)
        if beside:
            for other in beside[1:]:
                beside[0].take(other)
            beside[0].take(own)
        self._groups[item.digest] = own

    def _joins(
        self, own: Group, beside: Sequence[Group], item: Item, heard: Iterable[Atom]
    ) -> bool:
        """Whether something can run with all of the parts that it hears in its level."""
        if not _fit([own, *beside]):
            return False
        if not isinstance(item, Call) or item.unfolds == 1:
            return True
        unfolding = {call.digest for group in beside for call in group.calls if call.unfolds > 1}
        return not any(unfolding & self._through(atom) for atom in heard)

    def _through(self, item: Item) -> frozenset[bytes]:
        """The digests of all that something hears, directly or through others, and its own."""
        item = item.call if isinstance(item, Message) else item
        if item.digest not in self._inside:
            others = [self._through(atom) for own in _heard(item) for atom in own.atoms]
            self._inside[item.digest] = frozenset((item.digest,)).union(*others)
        return self._inside[item.digest]


def _fit(groups: Sequence[Group]) -> bool:
    """Whether all of them can be one."""
    return all(a.fits(b) for place, a in enumerate(groups) for b in groups[:place])


def _is_of_host(inside: Affine) -> bool:
    """Whether an expression is numbers of the host, at most scaled and shifted."""
    return bool(inside.blocks) and all(
        isinstance(atom, Given) and isinstance(block, Picks)
        for atom, block in inside.blocks.items()
    )


def _is_error(item: Activated) -> bool:
    """Whether it is the size of a difference between the chip's numbers and the host's."""
    blocks = item.inside.blocks
    plain = any(isinstance(a, Given) and isinstance(b, Picks) for a, b in blocks.items())
    return item.text in _ERRORS and plain and any(not isinstance(a, Given) for a in blocks)


def _heard(item: Item) -> tuple[Affine, ...]:
    return (item.inside,) if isinstance(item, Call) else item.heard
