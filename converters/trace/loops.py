"""Recordings of a loop over the steps: what stands before and behind it holds for any number of
steps, though the loop itself is recorded as often as the example has steps.

Recordings of examples of several lengths are laid beside each other from the first node on, and
from the last one back; what is left between is the loop. Values before it have the same number in
each; those behind it, and those that it leaves for what is behind it, have the same number counted
from the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lnn2loihi.converters.trace.general import Common, General, NotGeneralError, Sizes
from lnn2loihi.converters.trace.graph import Graph, Node, Ref, Value, refs, replaced
from lnn2loihi.converters.trace.sizes import Size


@dataclass(frozen=True, eq=False)
class Around:
    """What holds for every number of steps.

    Attributes:
        before: the first nodes, with a Size in place of each number that follows a size.
        behind: the last ones.
        shapes: sizes of the axes of values that they take and make, by number.
        length: how many values the first recording has.
        ended: of these the values that are the same counted from the end.
    """

    before: tuple[Node, ...]
    behind: tuple[Node, ...]
    shapes: Mapping[int, tuple[Size, ...]]
    ended: frozenset[int]
    length: int

    def value(self, number: int, graph: Graph) -> Value:
        """What stands in another recording for a value of the first one."""
        place = number - self.length if number in self.ended else number
        return graph.values[place]

    def within(self, found: General) -> General:
        """The same with these nodes in the places of those that hold for one length."""
        last = len(found.nodes) - len(self.behind)
        middle = found.nodes[len(self.before) : last]
        shapes = [self.shapes.get(number, shape) for number, shape in enumerate(found.shapes)]
        return General((*self.before, *middle, *self.behind), tuple(shapes))


def around(graphs: Sequence[Graph], points: Sequence[Sizes]) -> Around:
    """What recordings of several lengths have in common at both ends.

    Args:
        graphs: the recordings; what is said is of the first one's nodes and values.
        points: for each its batch and time.
    """
    common = Common(points)
    before: list[Node] = []
    for row in zip(*(graph.nodes for graph in graphs), strict=False):
        node = _common_node(row, common)
        if node is None:
            break
        before.append(node)
    left = min(len(graph.nodes) for graph in graphs) - len(before)
    lengths = [len(graph.values) for graph in graphs]
    behind: list[Node] = []
    ended: set[int] = set()
    for row in list(zip(*(graph.nodes[::-1] for graph in graphs), strict=False))[:left]:
        numbered = _renumbered(row, lengths, ended)
        node = None if numbered is None else _common_node(numbered, common)
        if node is None:
            break
        behind.insert(0, node)
    answers = list(zip(*(refs(graph.answer) for graph in graphs), strict=False))
    ended |= {group[0].number for group in answers if _from_end(group, lengths)}
    numbers = {r.number for n in before for r in refs((n.arguments, n.keywords, n.answer))}
    numbers |= set(range(sum(value.origin == "input" for value in graphs[0].values)))
    shapes: dict[int, tuple[Size, ...]] = {}
    for number in sorted(numbers | ended):
        place = number if number in numbers else number - lengths[0]
        try:
            shapes[number] = common.shape([graph.values[place] for graph in graphs])
        except NotGeneralError:
            continue
    return Around(tuple(before), tuple(behind), shapes, frozenset(ended - numbers), lengths[0])


def _common_node(row: Sequence[Node], common: Common) -> Node | None:
    """What nodes have in common; None where they do something else."""
    if len({(node.operator, node.path) for node in row}) > 1:
        return None
    try:
        return common.node(row)
    except NotGeneralError:
        return None


def _renumbered(
    row: Sequence[Node], lengths: Sequence[int], ended: set[int]
) -> Sequence[Node] | None:
    """The nodes with the numbers that the first recording has for the same values; None where they
    take others.

    Args:
        row: a node of each recording.
        lengths: how many values each has.
        ended: the first one's numbers of values that are the same counted from the end; more are
            added.
    """
    own = [list(refs((n.arguments, n.keywords, n.answer))) for n in row]
    if len({len(one) for one in own}) > 1:
        return None
    groups = list(zip(*own, strict=True))
    if not all(_from_start(group) or _from_end(group, lengths) for group in groups):
        return None
    ended |= {g[0].number for g in groups if not _from_start(g) or _from_end(g, lengths)}
    names = [{g[place].number: g[0] for g in groups} for place in range(len(row))]
    return [
        replace(
            node,
            arguments=_led(node.arguments, own_names),
            keywords=_led(dict(node.keywords), own_names),
            answer=_led(node.answer, own_names),
            changes=tuple(own_names[number].number for number in node.changes),
        )
        for node, own_names in zip(row, names, strict=True)
    ]


def _from_start(group: Sequence[Ref]) -> bool:
    return len({ref.number for ref in group}) == 1


def _from_end(group: Sequence[Ref], lengths: Sequence[int]) -> bool:
    return len({ref.number - length for ref, length in zip(group, lengths, strict=True)}) == 1


def _led(structure: Any, names: Mapping[int, Ref]) -> Any:
    return replaced(structure, Ref, lambda ref: names[ref.number])
