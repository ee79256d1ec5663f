"""When, where and with what something was profiled."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lnn2loihi.devices import with_prefix
from lnn2loihi.measure import Measurements
from lnn2loihi.sequences import Sequences
from lnn2loihi.tables import percent
from lnn2loihi.version import VERSION

#: How conditions that are no plain text are written.
_CONDITIONS: Mapping[str, Callable[[Any], str]] = {
    "pinned_to": lambda cpus: ", ".join(map(str, cpus)),
    "virtual": lambda yes: "yes" if yes else "no",
    "turbo": lambda yes: "yes" if yes else "no",
    "other_processes": lambda cpus: f"{cpus:.2f} CPUs busy",
    "stolen": percent,
    "clock_overhead": lambda seconds: with_prefix(seconds, "s"),
    "temperature_before": lambda degrees: f"{degrees:.3g} degrees Celsius",
    "temperature_after": lambda degrees: f"{degrees:.3g} degrees Celsius",
}


def circumstances(measured: Measurements, data: Sequences) -> dict[str, Any]:
    """The fields of a result that say so.

    Args:
        measured: what was measured.
        data: the samples.
    """
    return {
        "versions": _versions(measured),
        "conditions": _conditions(measured, data),
        "created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "absent": _absent(measured),
    }


def _versions(measured: Measurements) -> Mapping[str, str]:
    found = {"lnn2loihi": VERSION, "Python": platform.python_version(), "numpy": np.__version__}
    for row in measured:
        found |= row.versions
    return found


def _conditions(measured: Measurements, data: Sequences) -> Mapping[str, str]:
    """Of the machine, as one line each; what cannot be read is left out."""
    known = next((row.conditions for row in measured if row.conditions is not None), None)
    found = {"system": f"{platform.system()} {platform.machine()}"}
    if data.padded:
        steps = data.x.shape[0] * data.x.shape[1]
        found["sequences"] = (
            f"of unequal length; what is measured runs on {steps:,} sample-steps, of which "
            f"{steps - data.samples:,} are padding"
        )
    for name, value in vars(known).items() if known is not None else ():
        if value not in (None, ()):
            found[name.replace("_", " ")] = _CONDITIONS.get(name, str)(value)
    return found


def _absent(measured: Measurements) -> tuple[str, ...]:
    missing = (f"{row.name}: {row.reason}" for row in measured if row.status == "missing")
    return tuple(dict.fromkeys((*missing, *measured.unused)))
