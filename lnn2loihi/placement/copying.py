"""Copies of a program on cores and chips: how many share a core, and how chips are filled."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.devices import Device, known_devices
from lnn2loihi.errors import PlacementError
from lnn2loihi.kinds import Count
from lnn2loihi.placement.arranged import arranged
from lnn2loihi.placement.blocks import Blocks, block_request
from lnn2loihi.placement.candidates import Candidate, candidates_of
from lnn2loihi.placement.copies import Block, CopiesPlacement, Filling
from lnn2loihi.placement.draft import Draft
from lnn2loihi.placement.line import FloatArray
from lnn2loihi.placement.links import beside, flows_of, mesh_counts
from lnn2loihi.placement.mesh import Flow, Mesh, axon_messages, settled
from lnn2loihi.placement.nominal import Power, Times
from lnn2loihi.placement.placement import Traffic
from lnn2loihi.placement.rules import Violation
from lnn2loihi.placement.search import (
    BETWEEN,
    FAST,
    PACKED,
    Request,
    Search,
    check_objective,
    request,
)
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import Counters
from lnn2loihi.targets import Target

#: Factor between the copies on a core that are tried.
STRIDE = 1.25


@dataclass(frozen=True, eq=False)
class Part:
    """A block that is not yet arranged.

    Attributes:
        copies: copies in it.
        draft: its cores.
        times: how often it is there.
    """

    copies: int
    draft: Draft
    times: int


@dataclass(frozen=True, eq=False)
class CopiesCandidate:
    """Copies on cores that the device has room for, not yet arranged.

    Attributes:
        objective: `packed` for the fewest cores, `fast` for copies that are each cut as `fast` cuts
            one, or as near to it as the device has room for; `between` for others.
        copies: how many there are.
        parts: copies that share cores; the last one may hold fewer.
        fillings: how often each part is on a chip, and how many chips are alike; empty where a copy
            takes several chips.
        asked: what was asked for, for one copy.
        power: what cores and chips take, and what a period of one copy costs beside it.
    """

    objective: str
    copies: int
    parts: tuple[Part, ...]
    fillings: tuple[tuple[tuple[int, ...], int], ...]
    asked: Request
    power: Power

    @property
    def cores(self) -> int:
        """Cores that all copies take."""
        return sum(part.times * part.draft.cores for part in self.parts)

    @property
    def chips(self) -> int:
        """Chips that all copies take."""
        if self.fillings:
            return sum(times for _, times in self.fillings)
        return self.copies * self.parts[0].draft.chips_needed

    @property
    def copies_per_core(self) -> float:
        """Copies for each core, below 1 where a copy takes several."""
        return self.copies / self.cores

    @cached_property
    def _longest(self) -> FloatArray:
        """Seconds of the core that works longest in each phase, float64 (period,)."""
        return np.max([part.draft.cut.longest for part in self.parts], axis=0)

    @property
    def step_seconds(self) -> float:
        """Duration of a chip step, the mean over the phases, nominal; without links, which are
        known when cores have positions.
        """
        return self._times.step + float(self._longest.mean())

    @property
    def _times(self) -> Times:
        return self.parts[0].draft.cut.cutter.times

    @cached_property
    def dynamic_energy(self) -> float:
        """J of a sample of one copy in pipelined operation, nominal and without hops."""
        program, power = self.asked.program, self.power
        caused = sum(part.times * part.draft.cut.caused(power) for part in self.parts)
        counted = (self.copies * power.fixed + caused) / program.schedule.period
        step = counted + power.stepping(self.cores, self.step_seconds, self.chips)
        steps = program.steps_per_sample / program.schedule.interleave
        return step * steps / self.copies

    def place(self) -> CopiesPlacement:
        """Its cores on the mesh; found once."""
        return self._placement

    @cached_property
    def _placement(self) -> CopiesPlacement:
        blocks = tuple(
            Block(
                part.copies,
                arranged(part.draft, block_request(self.asked, part.copies), self.objective),
                part.times,
            )
            for part in self.parts
        )
        first = blocks[0].placement
        if self.fillings:
            fillings, hops, step_seconds = self._filled()
        else:  # chips of a copy that takes several, as often as there are copies
            chip, slot = np.array([(core.chip, core.index) for core in first.cores]).T
            fillings = [Filling((1,), first.chips, self.copies, chip, slot)]
            hops, step_seconds = self.copies * first.traffic.hops, first.step_seconds
        return CopiesPlacement(
            self.asked.program,
            self.asked.device,
            self.copies,
            self.objective,
            blocks,
            tuple(fillings),
            Traffic(
                sum(block.times * block.placement.traffic.messages for block in blocks),
                hops,
                sum(block.times * block.placement.traffic.chip_crossings for block in blocks),
            ),
            self.asked.activity.text,
            step_seconds,
        )

    def _filled(self) -> tuple[list[Filling], float, float]:
        """Chips with their cores where messages take few hops; hops of a sample of every copy; and
        seconds of a step, links included.
        """
        device, period = self.asked.device, self.asked.program.schedule.period
        drafts = [part.draft for part in self.parts]
        flows = [Flow.of(d.axons, axon_messages(d), d.cores) for d in drafts]
        by_phase = [(flows_of(d.program, d.axons, d.activity, d.cores), d.cores) for d in drafts]
        mesh, fillings, hops, links = Mesh.of(device, 1), [], 0.0, np.zeros(period)
        for counts, times in self.fillings:
            cores = sum(d.cores * count for d, count in zip(drafts, counts, strict=True))
            sizes = [(f, d.cores, n) for f, d, n in zip(flows, drafts, counts, strict=True)]
            flow = Flow.beside(sizes)
            positions = settled(np.zeros(cores, np.int64), mesh, flow)
            fillings.append(Filling(counts, 1, times, positions.chip, positions.slot))
            hops += times * float(positions.hops(flow.origin, flow.target)[0] @ flow.messages)
            _, heaviest = mesh_counts(positions, beside(by_phase, counts), period)
            links = np.maximum(links, heaviest)
        longest = np.maximum(self._longest, self._times.link * links)
        hops *= self.asked.program.substeps / self.asked.activity.updates
        return fillings, hops, self._times.step + float(longest.mean())


@checks_kinds()
def place_copies(
    program: LoihiProgram,
    device: str | os.PathLike[str] | Device = "loihi2-oheo-gulch",
    copies: Count = 1,
    *,
    target: str | Target = DEFAULT_TARGET,
    objective: str = FAST,
    chips: int | None = None,
    counters: Counters | None = None,
) -> CopiesPlacement:
    """Puts independent copies of a program on cores and chips that they share.

    Copies of which several fit on a core share it, with one copy of the neuron programs. A copy
    that takes several cores has them for itself, and all on one chip unless one chip has no room
    for it. What a copy computes does not change.

    Args:
        program: what to place, one copy.
        device: name or file of a profile, or a Device, as for `place`.
        copies: number of copies.
        target: what to prepare the program for, as for `place`.
        objective: `fast`: each copy on as many cores as `place` takes for one, or as near to it as
            the device has room for; `packed`: the fewest cores, with as many copies on each.
        chips: chips that the copies may take; by default those of the device.
        counters: of one copy, as for `place`; all copies are taken to send as many messages.

    Raises:
        PlacementError: one copy does not fit, with all limits that are exceeded; or there is no
            room for so many, with the number for which there is.
        InputError, DeviceError, PluginError, TargetError: as for `place`.
    """
    check_objective(objective)
    found = copies_candidates(
        program, device, copies, target=target, chips=chips, counters=counters
    )
    if objective == PACKED:
        return found[0].place()
    # Where one candidate is both, it is called packed.
    chosen = next((one for one in found if one.objective == FAST), found[0])
    return replace(chosen, objective=FAST).place()


@checks_kinds()
def copies_candidates(
    program: LoihiProgram,
    device: str | os.PathLike[str] | Device = "loihi2-oheo-gulch",
    copies: Count = 1,
    *,
    target: str | Target = DEFAULT_TARGET,
    chips: int | None = None,
    counters: Counters | None = None,
) -> tuple[CopiesCandidate, ...]:
    """Ways to place copies, from the fewest cores to the fastest: each takes more cores than the
    one before, and has shorter steps. First fewer copies share a core, then each has several.

    Args:
        program: what to place, one copy.
        device: name or file of a profile, or a Device, as for `place`.
        copies: number of copies.
        target: what to prepare the program for, as for `place`.
        chips: chips that the copies may take, as for `place_copies`.
        counters: of one copy, as for `place`.

    Raises:
        PlacementError: not even the fewest cores fit; and whatever else `place_copies` raises.
    """
    asked = request(program, device, target, chips, counters)
    return CopiesSearch(Search.of(asked)).candidates(copies)


class CopiesSearch:
    """The search for places of any number of copies. What is found for one number is there for the
    next one: blocks that share a core, and how one copy is cut.

    Args:
        search: the one of a single copy.
    """

    def __init__(self, search: Search) -> None:
        self._asked, self._search, self._blocks = search.asked, search, Blocks(search.asked)

    def candidates(self, copies: int) -> tuple[CopiesCandidate, ...]:
        """The ways for which there are chips enough, as `copies_candidates` has them.

        Raises:
            PlacementError: not even the fewest cores fit.
        """
        ways = self.ways(copies)
        fitting = [one for one in ways if one.chips <= self._asked.available]
        if not fitting:
            raise PlacementError(self._asked.subject, [_too_many(self._asked, ways, copies)])
        found: list[CopiesCandidate] = []
        for one in sorted(fitting, key=lambda one: (one.cores, one.step_seconds)):
            if not found or one.step_seconds < found[-1].step_seconds:
                found.append(one)
        best = next((one for one in self._single if one.objective == FAST), self._single[0])
        # Cores that all copies take where each is cut as `fast` cuts one.
        most = copies * best.cores
        fast = max(n for n, one in enumerate(found) if n == 0 or one.cores <= most)
        names = {0: PACKED, **({fast: FAST} if fast else {})}
        return tuple(replace(one, objective=names.get(n, BETWEEN)) for n, one in enumerate(found))

    def ways(self, copies: int) -> list[CopiesCandidate]:
        """All ways, also those for which there are too few chips; most copies on a core first."""
        most = self._blocks.most_on_a_core(copies)
        found = [self._sharing(number, copies) for number in _numbers(copies, most)]
        return found + [self._way((Part(1, one.draft, copies),), copies) for one in self._single]

    @cached_property
    def _single(self) -> Sequence[Candidate]:
        """One copy: chips were asked for all of them, and none takes more than it needs."""
        search = self._search
        return candidates_of(
            Search(replace(search.asked, chips=None), search.cutters, search.packed)
        )

    def _sharing(self, number: int, copies: int) -> CopiesCandidate:
        """So many copies on each core, and what is left on one more."""
        times, rest = divmod(copies, number)
        parts = [Part(number, self._blocks.draft(number), times)]
        if rest:
            parts.append(Part(rest, self._blocks.draft(rest), 1))
        return self._way(tuple(parts), copies)

    def _way(self, parts: tuple[Part, ...], copies: int) -> CopiesCandidate:
        fillings = () if parts[0].draft.chips_needed > 1 else fill(parts, self._asked.device)
        return CopiesCandidate(BETWEEN, copies, parts, fillings, self._asked, self._search.power)


def _numbers(copies: int, most: int) -> list[int]:
    """Copies on a core that are tried, 2 to `most`, descending; each the fewest that take as many
    cores, so that none is nearly empty.
    """
    found: list[int] = []
    number = most
    while number > 1:
        even = -(-copies // -(-copies // number))
        if even > 1 and even not in found:
            found.append(even)
        number = min(number - 1, int(number / STRIDE))
    return found


def fill(parts: Sequence[Part], device: Device) -> tuple[tuple[tuple[int, ...], int], ...]:
    """How chips are filled with blocks, none of which is divided: how often each is on a chip, and
    how many chips that follow each other are alike.
    """
    found: list[tuple[tuple[int, ...], int]] = []
    counts = [0] * len(parts)

    def close(full: Sequence[int], times: int) -> None:
        if times and any(full):
            before = found.pop() if found and found[-1][0] == tuple(full) else (tuple(full), 0)
            found.append((before[0], before[1] + times))

    for place, part in enumerate(parts):
        here = min(_room(parts, counts, part, device), part.times)
        counts[place], left = here, part.times - here
        if left:
            close(counts, 1)
            alone = [0] * len(parts)
            most = _room(parts, alone, part, device)
            alone[place] = most
            close(alone, left // most)
            alone[place] = left % most
            counts = alone
    close(counts, 1)
    return tuple(found)


def _room(parts: Sequence[Part], counts: Sequence[int], part: Part, device: Device) -> int:
    """How many more blocks a chip has room for."""
    held = list(zip(parts, counts, strict=True))
    free = device.count("cores_per_chip") - sum(n * p.draft.cores for p, n in held)
    most = free // part.draft.cores
    limit = device.get("synapses_per_chip")
    if limit is not None and _synapses(part) > 0:
        free = int(min(limit.value, sys.maxsize)) - sum(n * _synapses(p) for p, n in held)
        most = min(most, free // _synapses(part))
    return most


def _synapses(part: Part) -> int:
    return sum(share.synapses for share in part.draft.cut.shares)


def _too_many(asked: Request, ways: Sequence[CopiesCandidate], copies: int) -> Violation:
    """There are too few chips for so many copies: which there are, and what fits."""
    figure, device = asked.device.figure("chips"), asked.device
    few = asked.available < figure.value
    whose = "the chips that were asked for" if few else figure.source
    fewest = min(ways, key=lambda one: (one.chips, one.cores))
    most = max(_capacity(one, asked) for one in ways)
    others = _larger(asked, copies)
    fits: dict[str, object] = {"copies": most, "chips": fewest.chips}
    text = f"{most:,} copies" if most > 1 else "1 copy"
    if fewest.chips <= figure.value:
        text += f"; or {fewest.chips:,} chips (give chips={fewest.chips})"
    if others:
        text += f"; or the device {' or '.join(others)}"
        fits["devices"] = others
    subject = (
        f"{copies:,} copies of {asked.program.name} ({fewest.cores:,} cores of "
        f"{device.count('cores_per_chip')} a chip)"
    )
    return Violation(
        "chips", subject, fewest.chips, asked.available, whose, f"What fits: {text}.", fits=fits,
        grade="" if few else figure.grade,
    )  # fmt: skip


def _capacity(way: CopiesCandidate, asked: Request) -> int:
    """Copies for which the device has chips, placed this way."""
    part = way.parts[0]
    if not way.fillings:
        return asked.available // part.draft.chips_needed
    return asked.available * part.copies * _room((), (), part, asked.device)


def _larger(asked: Request, copies: int) -> list[str]:
    """Other devices of the same kind that have room, the smallest first."""
    found = []
    for _, device in known_devices():
        if device.kind != asked.device.kind or device.name == asked.device.name:
            continue
        other = replace(asked, device=device, chips=None)
        try:
            ways = CopiesSearch(Search.of(other)).ways(copies)
        except PlacementError:
            continue
        if any(one.chips <= other.available for one in ways):
            found.append((other.available, device.name))
    return [name for _, name in sorted(found)]
