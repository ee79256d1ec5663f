"""The cases of the experiment: graphs of Lava's own processes, with what they do in a chip step.

A *block* is a population that no other one shares a core with, because each fills more than half of
one: with silent synapses, or with neurons. So the number of blocks is that of the cores, unless
Intel's compiler does otherwise, which its owner reads off the compiler's log. What sends is on the
chip: one integrate-and-fire neuron with a bias, which fires in every step, keeps others sending.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from lnn2loihi.cost.totals import workload_of_totals
from lnn2loihi.cost.workload import Workload

#: Kinds of processes: `LIF` with a bias, `GradedVec`, `GradedReluVec`, `ProdNeuron`, and programs
#: that their owner writes in microcode.
SOURCE, THRESHOLD, RECTIFIER, PRODUCT, PADDED = (
    "source", "threshold", "rectifier", "product", "padded",
)  # fmt: skip
#: Instructions of an update as this project's listings of these neurons have them; those of Intel's
#: microcode are not public. The source is taken for one of the others: it is one neuron.
INSTRUCTIONS: Mapping[str, int] = {SOURCE: 4, THRESHOLD: 2, RECTIFIER: 4, PRODUCT: 4}
#: Neurons of a block, and those of them that keep sending where there is a source. The other 120
#: have synapses to all: 120 lists of ceil((16 * 220 + 32) / 64) words of 64 bits are 6,720 of the
#: 12,000 words that a core has (docs/placement.md), so that no two blocks share one.
BLOCK, ACTIVE = 220, 100
#: Neurons of a block that no other one shares a core with for their number: a core has 4,096.
LARGE, RECEIVER = 4000, 2100
#: Neurons of a block of medium size, and synapses of each: 6,656 words.
MEDIUM, FAN = 512, 48
#: Neurons that send in the cases about synapses: 32 lists of 1,000 synapses are 8,032 words, beside
#: the states of those that hear them.
SENDERS = 32
#: Mean way between two routers of a mesh of 8 by 4 that are drawn at random: (8 - 1 / 8) / 3 and
#: (4 - 1 / 4) / 3 steps. Where the compiler puts which block is not known.
MEAN_HOPS = (8.0 - 1.0 / 8.0) / 3.0 + (4.0 - 1.0 / 4.0) / 3.0
#: Chip steps of a run: a second or more with the shortest step that was ever published, 1.2 us.
STEPS, LONG_STEPS = 1_000_000, 200_000


@dataclass(frozen=True)
class Wire:
    """Synapses between two populations, by a rule.

    Neuron i of `count` from `first` on goes to the `fan` neurons of the target that begin with
    i * fan, counted round.

    Attributes:
        source, target: names of populations.
        first, count, fan: of the rule.
    """

    source: str
    target: str
    first: int
    count: int
    fan: int


@dataclass(frozen=True)
class Case:
    """A graph, and what its owner has to know of it.

    Attributes:
        name: its name in logs.
        question: what it is for.
        processes: name, kind and neurons of each.
        wires: synapses.
        steps: chip steps of a run.
        instructions: of an update of padded neurons; 0 for others.
        power: whether what it adds to an idle chip is far above what a probe resolves; its power
            above the static one is not looked at otherwise.
        alike: whether it has the same block on every core, so that its steps tell whether the
            shortest one grows with cores.
        active: by the names of populations how many neurons send in every step, the first ones.
    """

    name: str
    question: str
    processes: tuple[tuple[str, str, int], ...]
    wires: tuple[Wire, ...] = ()
    steps: int = STEPS
    instructions: int = 0
    power: bool = True
    alike: bool = False
    active: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_padded(self) -> bool:
        """Whether its owner has to write microcode for it."""
        return self.instructions > 0

    @property
    def cores(self) -> int:
        """Cores as planned: one a block."""
        return sum(kind != SOURCE for _, kind, _ in self.processes)

    @cached_property
    def counts(self) -> Mapping[str, float]:
        """Counts per chip step, by the names of `workload_of_totals`, once all that sends sends."""
        sent = dict.fromkeys((name for name, _, _ in self.processes), 0.0)
        heard, work = dict(sent), dict(sent)
        spikes: dict[str, float] = {}
        for wire in self.wires:
            last = min(wire.first + wire.count, self.active.get(wire.source, 0))
            messages = float(max(last - wire.first, 0))
            spikes[wire.source] = max(spikes.get(wire.source, 0.0), messages)
            sent[wire.source] += messages
            heard[wire.target] += messages
            work[wire.target] += messages * wire.fan
        neurons = [size for _, kind, size in self.processes if kind != SOURCE]
        total = sum(size for _, _, size in self.processes)
        known = {**INSTRUCTIONS, PADDED: self.instructions}
        executed = sum(known[kind] * size for _, kind, size in self.processes)
        messages = sum(sent.values())
        busiest = {name: max(of.values()) for name, of in
                   (("in", heard), ("out", sent), ("synapses", work))}  # fmt: skip
        return {
            "synaptic_operations": sum(work.values()),
            "busiest_synaptic_operations": busiest["synapses"],
            "neuron_updates": float(total),
            "busiest_neuron_updates": float(max(neurons)),
            "instructions_per_update": executed / total,
            "messages": messages,
            "busiest_messages_in": busiest["in"],
            "busiest_messages_out": busiest["out"],
            "spikes": sum(spikes.values()),
            "link_messages": max(busiest["in"], busiest["out"]),
            "hops": MEAN_HOPS * messages,
        }

    def workload(self, cores: int) -> Workload:
        """Counts of the cores that the compiler took.

        Args:
            cores: their number. Where it is another than planned, the busiest ones have what was
                planned, or the mean where that is more; or all, where there is but one.
        """
        counts = dict(self.counts)
        for total, busiest in (
            ("synaptic_operations", "busiest_synaptic_operations"),
            ("neuron_updates", "busiest_neuron_updates"),
            ("messages", "busiest_messages_in"), ("messages", "busiest_messages_out"),
        ):  # fmt: skip
            counts[busiest] = min(max(counts[busiest], counts[total] / cores), counts[total])
        return workload_of_totals(self.name, {"cores": cores, **counts}, "the experiment's plan")

    def to_dict(self) -> dict[str, Any]:
        """As plan.json holds it."""
        return {
            "name": self.name, "question": self.question, "cores": self.cores, "steps": self.steps,
            "processes": [list(one) for one in self.processes],
            "synapses": [[w.source, w.target, w.first, w.count, w.fan] for w in self.wires],
            "measures": ["time", *["energy"] * (self.power or self.cores == 1)],
            "sends": dict(self.active), "counts": dict(self.counts),
        }  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """How large cases are: those for a board, or small ones of the same form for the simulator."""

    small: bool = False

    def blocks(self, number: int) -> int:
        """Blocks, at most 3 in small."""
        return min(number, 3) if self.small else number

    def neurons(self, number: int) -> int:
        """Neurons, one for every 20 in small."""
        return -(-number // 20) if self.small else number


def cases(small: bool = False) -> tuple[Case, ...]:
    """All cases, in the order in which they are run."""
    scale = Scale(small)
    return (*_allocation(scale), *_updates(scale), *_messages(scale), *_synapses(scale),
            *([] if small else _padded()))  # fmt: skip


def case_named() -> dict[str, Case]:
    """The cases for a board, by their names."""
    return {case.name: case for case in cases()}


def _block(number: int) -> str:
    return f"block-{number:03}"


def _filled(
    scale: Scale, number: int, kind: str = THRESHOLD, size: int = BLOCK
) -> tuple[tuple[tuple[str, str, int], ...], tuple[Wire, ...]]:
    """Silent blocks, each of which fills more than half of a core; and a silent synapse from each
    to the next, because Lava runs what hangs together.
    """
    n = scale.neurons(size)
    names = [_block(i) for i in range(number)]
    wires: list[Wire] = []
    if size == BLOCK:
        first = scale.neurons(ACTIVE)
        wires += [Wire(name, name, first, n - first, n) for name in names]
    if size == MEDIUM:
        wires += [Wire(name, name, 0, n, min(scale.neurons(FAN), n)) for name in names]
    wires += [Wire(a, b, n - 1, 1, 1) for a, b in zip(names, names[1:], strict=False)]
    return tuple((name, kind, n) for name in names), tuple(wires)


def _allocation(scale: Scale) -> Iterator[Case]:
    yield Case(
        "floor", "8 neurons on a core: the shortest step, and what an idle chip draws",
        ((_block(0), THRESHOLD, 8),), (Wire(_block(0), _block(0), 0, 8, 1),), power=False,
    )  # fmt: skip
    for cores in (1, 10, 60, 120):
        processes, wires = _filled(scale, scale.blocks(cores))
        yield Case(
            f"cores-{cores:03}", f"{cores} cores of silent neurons: what does a core draw, and does"
            " the shortest step grow?", processes, wires, power=cores > 1, alike=True,
        )  # fmt: skip
    processes, wires = _filled(scale, scale.blocks(60))
    slow = ("slow", THRESHOLD, scale.neurons(LARGE))
    last = Wire(processes[-1][0], "slow", processes[-1][2] - 1, 1, 1)
    yield Case(
        "stretched-060", "60 cores that wait for a slow one: what do they draw for being there, "
        "what for their updates?", (*processes, slow), (*wires, last), LONG_STEPS,
    )  # fmt: skip


def _updates(scale: Scale) -> Iterator[Case]:
    for kind, size in ((THRESHOLD, MEDIUM), (THRESHOLD, LARGE), (RECTIFIER, LARGE),
                       (PRODUCT, LARGE)):  # fmt: skip
        processes, wires = _filled(scale, scale.blocks(60), kind, size)
        yield Case(
            f"updates-{kind}-{size:04}", f"60 cores of {size} silent neurons of one kind: time and "
            "energy of an update", processes, wires, LONG_STEPS if size == LARGE else STEPS,
        )  # fmt: skip


def _sending(
    scale: Scale, blocks: int, senders: int, active: int = ACTIVE, size: int = BLOCK
) -> tuple[tuple[tuple[str, str, int], ...], tuple[Wire, ...], dict[str, int]]:
    """Blocks, and a source that keeps the first neurons of some of them sending."""
    processes, wires = _filled(scale, blocks, size=size)
    n = scale.neurons(active)
    kept = [_block(i) for i in range(senders)]
    begin = tuple(Wire(SOURCE, name, 0, 1, n) for name in kept)
    sends = {SOURCE: 1, **dict.fromkeys(kept, n)}
    return ((SOURCE, SOURCE, 1), *processes), (*begin, *wires), sends


def _messages(scale: Scale) -> Iterator[Case]:
    n = scale.neurons(ACTIVE)
    for targets in (1, 4, 16, 64):
        count = scale.blocks(targets)
        processes, wires, sends = _sending(scale, 1 + count, 1)
        out = tuple(Wire(_block(0), _block(i), 0, n, 1) for i in range(1, 1 + count))
        yield Case(
            f"fan-out-{targets:03}", f"{ACTIVE} neurons that send to {targets} cores in every step:"
            " time of a message where it leaves", processes, (*wires, *out), power=False,
            active=sends,
        )  # fmt: skip
    # 32: 3,200 lists of one synapse, and as many entries in the table of what arrives, beside the
    # 6,720 words of the block that hears them, are less than the 15,000 words of a core.
    for sources in (16, 32):
        count = scale.blocks(sources)
        processes, wires, sends = _sending(scale, count + 1, count)
        into = tuple(Wire(_block(i), _block(count), 0, n, 1) for i in range(count))
        yield Case(
            f"fan-in-{sources:03}", f"{sources} cores of which each sends {ACTIVE} messages to one:"
            " time of a message where it arrives, energy of a spike", processes, (*wires, *into),
            active=sends,
        )  # fmt: skip
    for targets in (1, 4, 16):
        count = scale.blocks(32)
        processes, wires, sends = _sending(scale, count, count)
        ring = tuple(
            Wire(_block(i), _block((i + k) % count), 0, n, 1)
            for i in range(count)
            for k in range(1, 1 + min(targets, count - 1))
        )
        yield Case(
            f"ring-{targets:03}", f"32 cores of which each sends {ACTIVE} messages to {targets} "
            "others: energy of a message", processes, (*wires, *ring), active=sends,
        )  # fmt: skip


def _synapses(scale: Scale) -> Iterator[Case]:
    """Each sending block has a receiver of its own."""
    for fan in (10, 100, 1000):
        pairs, n = scale.blocks(32), scale.neurons(SENDERS)
        processes, wires, sends = _sending(scale, pairs, pairs, active=SENDERS)
        receivers = tuple(
            (f"heard-{i:03}", THRESHOLD, scale.neurons(RECEIVER)) for i in range(pairs)
        )
        to = tuple(Wire(_block(i), f"heard-{i:03}", 0, n, scale.neurons(fan)) for i in range(pairs))
        yield Case(
            f"synapses-{fan:04}", f"32 cores that get {SENDERS} messages with {fan} synapses each: "
            "time and energy of a synaptic operation", (*processes, *receivers), (*wires, *to),
            LONG_STEPS, active=sends,
        )  # fmt: skip


def _padded() -> Iterator[Case]:
    first = Case("", "", tuple((_block(i), PADDED, MEDIUM) for i in range(30)))
    for length in (10, 50, 100):
        yield replace(
            first, name=f"padded-{length:03}", instructions=length, question=f"30 cores of {MEDIUM}"
            f" neurons of {length} instructions: time and energy of an instruction",
        )  # fmt: skip
