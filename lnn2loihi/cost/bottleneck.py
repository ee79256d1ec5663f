"""What takes longest: the core, link or figure that holds a sample up, and what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lnn2loihi.cost.basis import Basis
from lnn2loihi.cost.demand import core_loads
from lnn2loihi.cost.model import HOST, NO_IO, RESOURCES, resource_seconds, step_times
from lnn2loihi.cost.workload import Workload
from lnn2loihi.devices import Device, with_prefix

#: Resources that are no core's: input and output, the shortest step, the heaviest link.
IO_RESOURCE, STEPS, LINK = "input and output", "steps", "link"
#: Kinds of advice: another placement, the other mode.
CORES, MODE = "cores", "mode"
#: The figure that speaks for each of them.
_FIGURES: Mapping[str, str] = {
    STEPS: "time_per_step",
    LINK: "time_per_link_message",
    "host": "host_io_time",
    "on-board": "time_per_board_message",
}


@dataclass(frozen=True)
class Bottleneck:
    """What a sample waits for longest, at the nominal figures.

    Attributes:
        phase: the slowest phase of the period.
        core: its slowest core.
        resource: what that core does longest; or `steps`, `link` or `input and output` where that
            takes longer.
        seconds: of a sample, what the resource takes.
        loads: for each core the seconds by resource in a step of that phase.
        figure: the figure that sets it, with its grade; empty where several do.
    """

    phase: int
    core: str
    resource: str
    seconds: float
    loads: Mapping[str, Mapping[str, float]]
    figure: str

    def text(self) -> str:
        """What limits the speed, and whose it is."""
        seconds = with_prefix(self.seconds, "s")
        if self.resource == IO_RESOURCE:
            return (
                f"input and output take longest, {seconds} a sample ({self.figure}): no placement "
                "makes it faster"
            )
        if self.resource == STEPS:
            return (
                f"the shortest chip step itself takes longest, {seconds} a sample ({self.figure})"
            )
        if self.resource == LINK:
            return (
                f"the heaviest link of the mesh takes longest, {seconds} a sample ({self.figure})"
            )
        return f"{self.core} takes longest, by its {self.resource}, {seconds} a sample"

    def advice(self, fewer_steps: bool) -> dict[str, str]:
        """What can be done about it, by kind: CORES or MODE.

        Args:
            fewer_steps: whether pipelined mode takes fewer steps a sample than this one.
        """
        found: dict[str, str] = {}
        if self.resource in RESOURCES:
            found[CORES] = "place on more cores (fast)"
        if fewer_steps and self.resource != IO_RESOURCE:
            found[MODE] = "pipelined mode takes fewer steps a sample"
        return found


def bottleneck_of(workload: Workload, basis: Basis, device: Device) -> Bottleneck:
    """The bottleneck of a workload.

    Args:
        workload: with the names of its cores, which a basis has not.
        basis: of the estimate.
        device: whose figures these are.
    """
    nominal = {name: values[:1] for name, values in basis.parameters.items()}
    additive, links = step_times(basis.demand, nominal)
    phase, steps = int(np.argmax(additive[0])), basis.demand.steps
    seconds = resource_seconds(core_loads(workload, phase), nominal)
    core = int(np.argmax(seconds.sum(axis=0)))
    terms = {
        IO_RESOURCE: float(basis.results["io_time"][0]),
        STEPS: steps * float(nominal["time_per_step"][0]),
        LINK: steps * float(links[0, phase]),
        **{name: steps * float(seconds[at, core]) for at, name in enumerate(RESOURCES)},
    }
    resource = max(terms, key=lambda name: terms[name])
    table = seconds.T.tolist()
    return Bottleneck(
        phase, workload.core_names[core], resource, terms[resource],
        {name: dict(zip(RESOURCES, row, strict=True))
         for name, row in zip(workload.core_names, table, strict=True)},
        _figure(resource, basis.io, device),
    )  # fmt: skip


def _figure(resource: str, io: str, device: Device) -> str:
    name = _FIGURES.get(io if resource == IO_RESOURCE and io != NO_IO else resource)
    figure = None if name is None else device.get(name)
    if figure is None:
        return ""
    whose = "host loop, " if name == _FIGURES[HOST] else ""
    return f"{whose}{name} of {device.name}, {figure}, {figure.grade}"
