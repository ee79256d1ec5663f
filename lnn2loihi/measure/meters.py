"""The energy counters of this machine: for each kind the first source that has one.

Zeus where it is installed; then the kernel's power caps and NVIDIA's library directly; or none,
with the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lnn2loihi.measure.meter import EnergyCounters, EnergyMeter, Kind, Source, TimeOnly
from lnn2loihi.measure.nvml import nvml_meter
from lnn2loihi.measure.powercap import powercap_meter
from lnn2loihi.measure.zeus_meter import zeus_cpu_meter, zeus_gpu_meter

#: Sources of each kind, in the order of preference.
SOURCES: Mapping[Kind, tuple[Source, ...]] = {
    "cpu": (zeus_cpu_meter, powercap_meter),
    "cuda": (zeus_gpu_meter, nvml_meter),
}


def find_counters(sources: Mapping[Kind, Sequence[Source]] = SOURCES) -> EnergyCounters:
    """All counters that can be read here.

    Args:
        sources: for each kind the sources in order of preference.
    """
    meters: dict[Kind, EnergyMeter] = {}
    reasons: dict[Kind, str] = {}
    for kind, own in sources.items():
        why: list[str] = []
        for source in own:
            found = source()
            if not isinstance(found, TimeOnly):
                meters[kind] = found
                break
            why.append(found.reason)
        else:
            reasons[kind] = "; ".join(why)
    return EnergyCounters(meters, reasons)
