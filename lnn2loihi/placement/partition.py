"""Cuts a line of neurons into cores.

Whatever asks for no more when a core has fewer neurons can be filled greedily: taking as many
neurons as fit, core by core, gives the fewest cores that any cut of this line can have. It holds
for the limits of `Limits`, neuron groups among them, since a part of a stretch has no population
that the stretch has not; and for a time that no core may exceed. So one procedure serves both
objectives, and a packed placement never takes more cores than a balanced one. It does not hold for
axons that leave a core, which are known only after the cut: more cores make more of them. Where a
device limits them, `lnn2loihi.placement.draft` lowers the limit of neurons until they fit, so the
cores are the fewest under that limit; and the rules look at them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lnn2loihi.devices import Device
from lnn2loihi.placement.line import FloatArray, Line, Share
from lnn2loihi.placement.memory import SYNAPSE_BITS

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


@dataclass(frozen=True)
class Times:
    """Nominal seconds of each operation on a core, and the shortest step."""

    step: float
    operation: float
    update: float
    instruction: float
    message: float

    @classmethod
    def of(cls, device: Device) -> Times:
        """The times of a device; 0 for instructions where it has none."""
        instruction = device.get("time_per_instruction")
        return cls(
            device.value("time_per_step"),
            device.value("time_per_synaptic_operation"),
            device.value("time_per_neuron_update"),
            0.0 if instruction is None else instruction.value,
            device.value("time_per_message"),
        )


@dataclass(frozen=True)
class Power:
    """What a step costs beside its time.

    Attributes:
        chip: static power of a chip in W.
        core: power of an allocated core in W; 0 where nobody says.
        cores_per_chip: cores that share the static power.
    """

    chip: float
    core: float
    cores_per_chip: int

    @classmethod
    def of(cls, device: Device) -> Power:
        """The power of a device."""
        core = device.get("active_core_power")
        chip = device.value("static_power_per_chip")
        return cls(chip, 0.0 if core is None else core.value, device.count("cores_per_chip"))

    def energy_delay(self, cut: Cut) -> float:
        """Energy of a step, static and of allocated cores, times its duration, in J*s."""
        cores = len(cut.shares)
        power = self.chip * -(-cores // self.cores_per_chip) + self.core * cores
        return power * cut.step_time**2


class Cutter:
    """Cuts one line for one device."""

    def __init__(self, line: Line, limits: Limits, times: Times) -> None:
        self.line, self._limits, self.times = line, limits, times
        #: Seconds of a neuron, (groups, period), and updates that arrive, (links, period).
        self._neuron = np.array(
            [times.update + times.instruction * group.instructions for group in line.groups]
        )
        self._arrivals = np.array([link.arrivals for link in line.links], np.float64)
        self._per_update = self._arrivals.sum(axis=1)
        # Messages only add to it.
        rates = np.zeros(sum(link.size for link in line.links))
        for link, updates in zip(line.links, self._per_update, strict=True):
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
        return Cutter(self.line, replace(self._limits, neurons=most), self.times)

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
        seconds = work @ self._per_update + share.neurons @ self._neuron.sum(axis=1)
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
    def seconds(self) -> FloatArray:
        """Seconds that each core works in each phase, float64 (cores, period)."""
        return self.cutter.seconds(self.shares)

    @property
    def step_time(self) -> float:
        """Seconds of a chip step, the mean over the phases."""
        return self.cutter.times.step + float(self.seconds.max(axis=0).mean())


def packed(cutters: Sequence[Cutter]) -> Cut:
    """The fewest cores; of lines that take as many the faster one."""
    cuts = [Cut(cutter, cutter.fewest) for cutter in cutters]
    return min(cuts, key=lambda cut: (len(cut.shares), cut.step_time))


def balanced(cutters: Sequence[Cutter], cores: int, power: Power) -> Cut:
    """The fewest cores whose steps have nearly the least product of energy and time.

    More cores shorten a step, and each takes power; time counts twice, so that speed comes first.

    Args:
        cutters: lines to choose from.
        cores: cores that there are, at least as many as one of the packed lines takes.
        power: what cores and chips take.
    """
    starts = [Cut(cutter, cutter.cut(most=cores)) for cutter in cutters]
    starts = [cut for cut in starts if len(cut.shares) <= cores]
    tried = [(start, cut) for start in starts for cut in _tried(start, cores)]
    enough = (1.0 + MEANINGFUL) * min(power.energy_delay(cut) for _, cut in tried)
    start, few = min(
        (pair for pair in tried if power.energy_delay(pair[1]) <= enough),
        key=lambda pair: (len(pair[1].shares), power.energy_delay(pair[1])),
    )
    return _fewest_seconds(start, len(few.shares))


def _longest(cut: Cut) -> float:
    """Seconds that the core with most to do works in a period."""
    return float(cut.seconds.sum(axis=1).max())


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
