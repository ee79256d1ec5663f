"""Cuts a line of neurons into cores.

Whatever asks for no more when a core has fewer neurons can be filled greedily: taking as many
neurons as fit, core by core, gives the fewest cores that any cut of this line can have. It holds
for the limits of `Limits`, neuron groups among them, since a part of a stretch has no population
that the stretch has not; and for a time that no core may exceed. So one procedure serves all cuts,
and none takes fewer cores than the packed one. It does not hold for what a core sends, which is
known only after the cut: it counts where cuts are compared, and more cores make more axons that
leave them. Where a device limits these, `lnn2loihi.placement.draft` lowers the limit of neurons
until they fit, so the cores are the fewest under that limit; and the rules look at them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lnn2loihi.devices import Device
from lnn2loihi.placement.line import INPUT, FloatArray, Line, Share
from lnn2loihi.placement.memory import SYNAPSE_BITS
from lnn2loihi.placement.nominal import Power, Sending, Times

#: How closely the longest time of a core is found, and the factor between times that are tried.
PRECISION, STRIDE = 0.01, 1.2
#: More cores are taken only if they lower the product of energy and time by more: the figures are
#: known to a factor of two at best.
MEANINGFUL = 0.05
#: Guesses at where a core ends, before halving what is left.
GUESSES = 4


@dataclass(frozen=True)
class Limits:
    """What a core has; infinite where nobody says.

    Attributes:
        neurons, axons_in, groups: numbers; a group is the neurons of one population.
        synaptic_memory, memory: bytes.
    """

    neurons: float
    axons_in: float
    groups: float
    synaptic_memory: float
    memory: float

    @classmethod
    def of(cls, device: Device) -> Limits:
        """The limits of a device."""
        figures = ("neurons_per_core", "axons_in_per_core", "neuron_groups_per_core",
                   "synaptic_memory_per_core", "memory_per_core")  # fmt: skip
        found = [device.get(name) for name in figures]
        return cls(*(math.inf if figure is None else figure.value for figure in found))

    def used(self, line: Line, share: Share) -> float:
        """The largest part of a limit that a share takes; above 1 it does not fit."""
        return max(
            int(share.neurons.sum()) / self.neurons,
            share.axons / self.axons_in,
            np.count_nonzero(share.neurons) / self.groups,
            share.synaptic_memory / self.synaptic_memory,
            line.memory(share) / self.memory,
        )


class Cutter:
    """Cuts one line for one device."""

    def __init__(self, line: Line, limits: Limits, times: Times, sending: Sending) -> None:
        self.line, self._limits, self.times, self.sending = line, limits, times, sending
        #: Seconds of a neuron, (groups, period), and updates that arrive, (links, period), and in
        #: a period, (links,).
        self._neuron = np.array(
            [times.update + times.instruction * group.instructions for group in line.groups]
        )
        self._arrivals = np.array([link.arrivals for link in line.links], np.float64)
        self.per_update = self._arrivals.sum(axis=1)
        # Messages only add to it.
        rates = np.zeros(sum(link.size for link in line.links))
        for link, updates in zip(line.links, self.per_update, strict=True):
            rates[link.axons] = link.rates * updates
        synapses = np.concatenate([[0.0], np.cumsum(rates[line.axon])])[line.starts]
        neurons = np.cumsum(self._neuron.sum(axis=1)[line.owner])
        self._least = times.operation * synapses + np.concatenate([[0.0], neurons])

    @cached_property
    def fewest(self) -> list[Share]:
        """The fewest cores within the limits, see `cut`."""
        return self.cut()

    def with_neurons(self, most: float) -> Cutter:
        """The same with at most so many neurons on a core."""
        limits = replace(self._limits, neurons=most)
        return Cutter(self.line, limits, self.times, self.sending)

    @property
    def least_seconds(self) -> float:
        """Seconds of all cores in a period, at least."""
        return float(self._least[-1])

    def seconds(self, shares: list[Share]) -> FloatArray:
        """Seconds that cores work in each phase, float64 (cores, period)."""
        messages = np.array([share.messages for share in shares])
        work = self.times.message * messages
        work += self.times.operation * np.array([share.operations for share in shares])
        neurons = np.array([share.neurons for share in shares])
        return work @ self._arrivals + neurons @ self._neuron

    def outgoing(self, shares: Sequence[Share]) -> FloatArray:
        """Messages that leave each core in each phase, once for each core that they go to, its own
        included, float64 (cores, period).
        """
        line, cores = self.line, len(shares)
        reached = [np.zeros(link.size) for link in line.links]
        for share in shares:
            for place, synapses in line.reached(share.first, share.stop, share.neurons):
                reached[place] += synapses > 0
        stops = np.array([share.stop for share in shares])
        found = np.zeros((cores, line.period))
        for link, spread in zip(line.links, reached, strict=True):
            if link.source != INPUT:
                core = np.searchsorted(stops, line.groups[link.source].positions, "right")
                sent = np.bincount(core, weights=link.rates * spread, minlength=cores)
                # They arrive in the step after the one in which they are sent.
                found += np.outer(sent, np.roll(link.arrivals, -1))
        return found

    def cut(self, longest: float = math.inf, most: float = math.inf) -> list[Share]:
        """The fewest cores within the limits, none of which works longer in a period.

        A neuron that asks for too much by itself gets a core of its own all the same; the rules
        say what is wrong with it.

        Args:
            longest: seconds.
            most: cores; it stops as soon as there are more.
        """
        shares: list[Share] = []
        first = 0
        while first < self.line.neurons and len(shares) <= most:
            alike = shares[-1].stop - shares[-1].first if shares else None
            shares.append(self._largest(first, longest, alike))
            first = shares[-1].stop
        return shares

    def _load(self, share: Share, longest: float) -> float:
        """Above 1 where a share does not fit."""
        used = self._limits.used(self.line, share)
        if longest == math.inf:
            return used
        work = self.times.operation * share.operations + self.times.message * share.messages
        seconds = work @ self.per_update + share.neurons @ self._neuron.sum(axis=1)
        return max(used, float(seconds) / longest)

    def _largest(self, first: int, longest: float, alike: int | None) -> Share:
        """The longest stretch from `first` on that fits: guessed by its load, then halved.

        Args:
            first: where it begins.
            longest: seconds that the core may work.
            alike: neurons of the core before, a first guess.
        """
        line = self.line
        low, high = first + 1, self._end(first, longest) + 1
        best, low_load, high_load = None, 0.0, math.inf
        stop, tries = min(max(first + (alike or high), low), high - 1), 0
        while high - low > 1:
            share = line.share(first, stop)
            load, tries = self._load(share, longest), tries + 1
            if load <= 1.0:
                best, low, low_load = share, stop, load
            else:
                high, high_load = stop, load
            stop = self._guess(first, low, high, low_load, high_load, tries)
        return best if best is not None and best.stop == low else line.share(first, low)

    def _end(self, first: int, longest: float) -> int:
        """Where a stretch from `first` on surely ends: by neurons, by the bits of its synapses, and
        by the time of what takes time for sure.
        """
        line = self.line
        synapses = line.starts[first] + 8 * self._limits.synaptic_memory / SYNAPSE_BITS
        seconds = self._least[first] + longest
        ends = (
            float(line.neurons),
            first + self._limits.neurons,
            float(np.searchsorted(line.starts, synapses, "right") - 1),
            float(np.searchsorted(self._least, seconds, "right") - 1),
        )
        return max(int(min(ends)), first + 1)

    def _guess(
        self, first: int, low: int, high: int, low_load: float, high_load: float, tries: int
    ) -> int:
        if tries > GUESSES:
            guess = (low + high) // 2
        elif math.isinf(high_load):
            guess = first + int((low - first) / max(low_load, 1e-9))
        else:
            if low_load == 0.0:
                low, low_load = first, 0.0
            guess = low + int((high - low) * (1.0 - low_load) / (high_load - low_load))
        return min(max(guess, low + 1), high - 1)


@dataclass(frozen=True)
class Cut:
    """A line that was cut.

    Attributes:
        cutter: what cut it.
        shares: one for each core.
    """

    cutter: Cutter
    shares: list[Share]

    @property
    def line(self) -> Line:
        """The line."""
        return self.cutter.line

    @cached_property
    def work(self) -> FloatArray:
        """Seconds that each core works in each phase on what it holds and what arrives, float64
        (cores, period).
        """
        return self.cutter.seconds(self.shares)

    @cached_property
    def seconds(self) -> FloatArray:
        """The same with what it sends."""
        times, found = self.cutter.times, self.work
        if times.spike:
            stops = np.array([share.stop for share in self.shares])
            found = found + times.spike * self.cutter.sending.on(stops)
        if times.outgoing:
            found = found + times.outgoing * self.cutter.outgoing(self.shares)
        return found

    @cached_property
    def longest(self) -> FloatArray:
        """Seconds of the core that works longest in each phase, float64 (period,)."""
        return self.seconds.max(axis=0)

    @property
    def step_time(self) -> float:
        """Seconds of a chip step, the mean over the phases; links are not known yet."""
        return self.cutter.times.step + float(self.longest.mean())

    def caused(self, power: Power) -> float:
        """Energy in J of what messages cause in a period, without their hops."""
        per_update = self.cutter.per_update
        operations = np.sum([share.operations for share in self.shares], axis=0) @ per_update
        messages = np.sum([share.messages for share in self.shares], axis=0) @ per_update
        return float(power.operation * operations + power.message * messages)

    def dynamic(self, power: Power) -> float:
        """Dynamic energy in J of a chip step, the mean over the phases, without hops."""
        counted = (power.fixed + self.caused(power)) / self.line.period
        return counted + power.stepping(len(self.shares), self.step_time)

    def energy_delay(self, power: Power) -> float:
        """Energy of a step, static and dynamic, times its duration, in J*s."""
        step_time, chips = self.step_time, power.chips(len(self.shares))
        return (power.chip * chips * step_time + self.dynamic(power)) * step_time


def packed(cutters: Sequence[Cutter]) -> Cut:
    """The fewest cores; of lines that take as many the faster one."""
    cuts = [Cut(cutter, cutter.fewest) for cutter in cutters]
    return min(cuts, key=lambda cut: (len(cut.shares), cut.step_time))


def spread(cutters: Sequence[Cutter], cores: int) -> list[Cut]:
    """Cuts from the fewest cores, which is the packed one, to the fastest: each takes more cores
    than the one before and has shorter steps.

    Args:
        cutters: lines to choose from.
        cores: cores that there are, at least as many as one of the packed lines takes.
    """
    starts = [Cut(cutter, cutter.cut(most=cores)) for cutter in cutters]
    starts = [cut for cut in starts if len(cut.shares) <= cores]
    tried = [cut for start in starts for cut in _tried(start, cores)]
    found: list[Cut] = []
    for cut in sorted(tried, key=lambda cut: (len(cut.shares), cut.step_time)):
        if not found or cut.step_time < found[-1].step_time:
            found.append(cut)
    return found


def fast(cuts: Sequence[Cut], power: Power) -> int:
    """Place of the fewest cores whose product of energy and time is nearly the least.

    More cores shorten a step; each takes power, and messages go to more of them. Time counts twice,
    so that speed comes first.

    Args:
        cuts: as `spread` gives them.
        power: what cores and chips take.
    """
    products = [cut.energy_delay(power) for cut in cuts]
    enough = (1.0 + MEANINGFUL) * min(products)
    return next(place for place, product in enumerate(products) if product <= enough)


def refined(cut: Cut, power: Power) -> Cut:
    """A better cut of the same line on as many cores, where there is one."""
    cores = len(cut.shares)
    other = _fewest_seconds(cut, cores)
    better = len(other.shares) == cores and other.step_time <= cut.step_time
    return other if better and other.energy_delay(power) <= cut.energy_delay(power) else cut


def _longest(cut: Cut) -> float:
    """Seconds that the core with most to do works in a period."""
    return float(cut.work.sum(axis=1).max())


def _tried(start: Cut, cores: int) -> list[Cut]:
    """Cuts from the fastest on so many cores to the one on the fewest, `start`."""
    cutter, cuts = start.cutter, [start]
    fastest = _fewest_seconds(start, cores)
    longest, low = _longest(start) / STRIDE, _longest(fastest)
    while longest > low * STRIDE:
        cuts.append(Cut(cutter, cutter.cut(longest)))
        longest /= STRIDE
    return [*cuts, fastest]


def _fewest_seconds(start: Cut, cores: int) -> Cut:
    """The cut with the shortest longest time of a core that takes no more cores; `start` does."""
    cutter, best = start.cutter, start
    low, high = cutter.least_seconds / cores, _longest(start)
    if low <= 0.0:  # a profile in which nothing takes time
        return start
    while high > low * (1.0 + PRECISION):
        middle = math.sqrt(low * high)
        cut = Cut(cutter, cutter.cut(middle, cores))
        if len(cut.shares) <= cores:
            best, high = cut, middle
        else:
            low = middle
    return best
