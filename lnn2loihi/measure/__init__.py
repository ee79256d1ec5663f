"""Measures backends on this machine: latency, throughput, and energy where it can be read.

    found = runners(program, network, against=("cpu", "cuda"))
    measured = measure(found, x)
    print(measured.summary())

What is measured how, and what is not: docs/measuring.md.
"""

from lnn2loihi.measure.clock import Clock
from lnn2loihi.measure.conditions import Conditions
from lnn2loihi.measure.intervals import Average
from lnn2loihi.measure.measuring import measure
from lnn2loihi.measure.meter import EnergyCounters, EnergyMeter, TimeOnly
from lnn2loihi.measure.meters import find_counters
from lnn2loihi.measure.results import (
    EnergyReading,
    EstimatedEnergy,
    Latency,
    Measurement,
    Measurements,
)
from lnn2loihi.measure.runner import Runner, Session
from lnn2loihi.measure.runners import AGAINST, against_names, runners
from lnn2loihi.measure.settings import FULL, QUICK, Settings

__all__ = [
    "AGAINST",
    "FULL",
    "QUICK",
    "Average",
    "Clock",
    "Conditions",
    "EnergyCounters",
    "EnergyMeter",
    "EnergyReading",
    "EstimatedEnergy",
    "Latency",
    "Measurement",
    "Measurements",
    "Runner",
    "Session",
    "Settings",
    "TimeOnly",
    "against_names",
    "find_counters",
    "measure",
    "runners",
]
