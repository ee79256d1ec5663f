"""An interval for the energy of a sample, where no counter can be read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lnn2loihi.devices import Device, device_names, load_device
from lnn2loihi.errors import DeviceError
from lnn2loihi.measure.meter import Kind
from lnn2loihi.measure.results import EstimatedEnergy
from lnn2loihi.measure.runner import Runner

#: Kinds of device profiles, by kinds of runners.
_PROFILE: Mapping[Kind, str] = {"cpu": "cpu", "cuda": "gpu"}
#: The profile of a CPU that no other profile is about.
GENERIC = "cpu-generic-thread"


def estimated_energy(
    device: Device, seconds_per_sample: float, threads: int | None
) -> EstimatedEnergy:
    """Between the share of the idle power and the share of the thermal design power.

    A CPU is charged with the share of its hardware threads that were used (of a profile with
    fewer, several times the profile), a GPU as a whole. The low end takes the lowest idle power of
    the profile, the high end the highest thermal design power; a profile without idle power gives
    the low end of its range of full power, or 0 W where that is one number. What memory, board and
    power supply draw is in neither.

    Args:
        device: profile of the CPU or GPU.
        seconds_per_sample: measured time of a sample.
        threads: threads that were used; None on a GPU.

    Raises:
        DeviceError: the profile is not that of a CPU or GPU, or lacks a figure.
    """
    if device.kind not in _PROFILE.values():
        raise DeviceError(
            f"device {device.name!r}",
            f"is a {device.kind} device; an energy bound needs the profile of a CPU or GPU",
        )
    most, idle = device.figure("thermal_design_power"), device.get("idle_power")
    share = 1.0
    if device.kind == "cpu":
        share = (threads or 1) / device.figure("threads").value
    # Without an idle power: the lowest full power that is believable, where the profile has one.
    low = idle.low if idle is not None else most.low if most.low < most.high else 0.0
    source = f"thermal design power {most.high:g} W ({most.source})"
    source += f"; low end {low:g} W" + ("" if idle is None else f", idle ({idle.source})")
    return EstimatedEnergy(
        low=low * share * seconds_per_sample,
        high=most.high * share * seconds_per_sample,
        share=share,
        device=device.name,
        source=source,
    )


def profile_for(runner: Runner, profiles: Sequence[Device] = ()) -> Device | None:
    """The profile that stands for a runner's processor.

    The first of its kind among those given; else the shipped one whose every word is in the
    processor's name; else, for a CPU, the one of any thread.

    Args:
        runner: who ran.
        profiles: the caller's.
    """
    kind = _PROFILE[runner.kind]
    given = next((device for device in profiles if device.kind == kind), None)
    if given is not None:
        return given
    words = set(re.findall(r"[a-z0-9]+", runner.device.lower()))
    shipped = [name for name in device_names() if name.startswith(f"{kind}-") and name != GENERIC]
    fitting = [name for name in shipped if {*name.split("-")[1:]} <= words]
    fitting += [GENERIC] if kind == "cpu" and GENERIC in device_names() else []
    return load_device(fitting[0]) if fitting else None
