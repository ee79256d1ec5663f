"""What operations take at the nominal figures of a device: time, and energy.

Cuts are compared with them. Their ranges, and what the hops of a message cost, are left to the cost
model: a cut has no positions yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.devices import Device
from lnn2loihi.formats import IntegerArray
from lnn2loihi.placement.activity import Activity
from lnn2loihi.placement.line import FloatArray, Line
from lnn2loihi.placement.phases import busy, first_sent
from lnn2loihi.program import LoihiProgram


def _known(device: Device, name: str) -> float:
    """The nominal figure; 0 where the device has none of this name."""
    figure = device.get(name)
    return 0.0 if figure is None else figure.value


@dataclass(frozen=True)
class Times:
    """Nominal seconds of the shortest step, of each operation on a core, and of a message on a
    link; 0 where the device has no such figure.
    """

    step: float
    operation: float
    update: float
    instruction: float
    message: float
    spike: float
    outgoing: float
    link: float

    @classmethod
    def of(cls, device: Device) -> Times:
        """The times of a device."""
        return cls(
            device.value("time_per_step"),
            device.value("time_per_synaptic_operation"),
            device.value("time_per_neuron_update"),
            _known(device, "time_per_instruction"),
            device.value("time_per_message"),
            _known(device, "time_per_spike"),
            _known(device, "time_per_outgoing_message"),
            _known(device, "time_per_link_message"),
        )


@dataclass(frozen=True, eq=False)
class Sending:
    """Messages of neurons that are not zero.

    Attributes:
        rates: float64 (neurons,): of each neuron of a line, per update.
        phases: int64 (groups, period): updates that send in each phase, 0 or 1.
        owner: int64 (neurons,): group of each neuron.
    """

    rates: FloatArray
    phases: IntegerArray
    owner: IntegerArray

    @classmethod
    def of(cls, program: LoihiProgram, activity: Activity, line: Line) -> Sending:
        """Those of a program, or of the neurons that a line has of it."""
        rates, schedule = np.zeros(line.neurons), program.schedule
        for group in line.groups:
            rates[group.positions] = activity.messages[group.name][: group.size] / activity.updates
        phases = [busy(schedule, first_sent(schedule, group.name)) for group in line.groups]
        return cls(rates, np.array(phases), line.owner)

    @property
    def spikes(self) -> float:
        """Messages in a period, each once."""
        return float(self.rates @ self.phases.sum(axis=1)[self.owner])

    def on(self, stops: IntegerArray) -> FloatArray:
        """Messages of the neurons of each core and phase, each once, float64 (cores, period).

        Args:
            stops: int64 (cores,): where each core stops on the line.
        """
        core = np.searchsorted(stops, np.arange(self.owner.size), "right")
        groups = len(self.phases)
        sent = np.bincount(core * groups + self.owner, self.rates, stops.size * groups)
        return sent.reshape(-1, groups) @ self.phases.astype(np.float64)


@dataclass(frozen=True)
class Power:
    """What cores and chips take, and what a period costs beside it.

    Attributes:
        chip: static power of a chip in W.
        core: power of an allocated core while the mesh steps in W.
        cores_per_chip: cores that share the static power.
        step: J of a chip and chip step.
        operation: J of a synaptic operation.
        message: J of a message to one core.
        fixed: J of a period whatever the cut is: neuron updates, their instructions, and spikes.
    """

    chip: float
    core: float
    cores_per_chip: int
    step: float
    operation: float
    message: float
    fixed: float

    @classmethod
    def of(cls, device: Device, line: Line, sending: Sending) -> Power:
        """Those of a device and a program, 0 each where the device has no such figure."""
        neurons = sum(group.size for group in line.groups)
        executed = sum(group.size * int(group.instructions.sum()) for group in line.groups)
        return cls(
            device.value("static_power_per_chip"),
            _known(device, "active_core_power"),
            device.count("cores_per_chip"),
            _known(device, "energy_per_step"),
            _known(device, "energy_per_synaptic_operation"),
            _known(device, "energy_per_message"),
            _known(device, "energy_per_neuron_update") * neurons * line.period
            + _known(device, "energy_per_instruction") * executed
            + _known(device, "energy_per_spike") * sending.spikes,
        )

    def chips(self, cores: int) -> int:
        """Chips that so many cores take at least."""
        return -(-cores // self.cores_per_chip)

    def stepping(self, cores: int, step_time: float, chips: int | None = None) -> float:
        """Energy in J of a chip step, whatever cores do in it.

        Args:
            cores: allocated cores.
            step_time: seconds of the step.
            chips: chips that they take, by default as few as can be.
        """
        chips = self.chips(cores) if chips is None else chips
        return self.step * chips + self.core * cores * step_time
