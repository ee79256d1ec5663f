"""What a value of a log can be at all: units that were mixed up are found before any fit.

Bounds are two orders of magnitude wide, so that no board is doubted for being slow, and a factor of
a thousand, which milliwatts or nanoseconds make, is outside of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lnn2loihi.cost.demand import demand_of
from lnn2loihi.cost.estimate import parameters_of
from lnn2loihi.cost.experiment.cases import Case
from lnn2loihi.cost.model import NO_IO, Operation, evaluate
from lnn2loihi.cost.workload import PIPELINED
from lnn2loihi.devices import COST_PARAMETERS, Device

#: Microseconds of a step: the shortest that was ever published takes 1.2, none of the cases takes
#: a thousandth of a second by any figure.
STEP = 0.05, 1e6
#: Watts of a chip, idle or not: published idle chips draw 0.1 to 0.28, whole ones below 2.
CHIP_POWER = 1e-3, 10.0
#: Factor by which the step of a case may be longer or shorter than the profile says.
FACTOR = 100.0
#: Lines with the same value that are no measurement, where their cases differ.
_SAME = 3

_UNITS = {"avg_time_per_step": "microseconds", "total_power": "watts",
          "static_total_power": "watts"}  # fmt: skip
_OTHERS = {"microseconds": "nanoseconds, milliseconds or seconds", "watts": "milliwatts"}


class Plausible:
    """Bounds for the logs of a device's board.

    Args:
        device: its Loihi profile.

    Raises:
        DeviceError: the profile lacks a figure.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._chips = device.count("chips")
        self._steps: dict[str, float] = {}

    def problems(self, line: Mapping[str, Any], case: Case, fields: Sequence[str]) -> Iterator[str]:
        """What is wrong with the values of a line, each with the unit that is expected."""
        for name in fields:
            value, (least, most), unit = line.get(name), self._bounds(name), _UNITS[name]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is None or not number or not least <= value <= most:
                chips = f", {self._chips} chips" if unit == "watts" and self._chips > 1 else ""
                text = f"{name} is {value!r:.40}, expected {least:g} to {most:g} {unit}{chips}"
                yield text + (f": is it in {_OTHERS[unit]}?" if number else "")
            elif name == "avg_time_per_step":
                known = self._step(case)
                if not known / FACTOR <= value <= known * FACTOR:
                    yield (
                        f"{name} is {value:g}, some {max(value / known, known / value):,.0f} times "
                        f"{'more' if value > known else 'less'} than the profile has for "
                        f"{case.name}, {known:.3g} {unit}: expected {unit}; is it in "
                        f"{_OTHERS[unit]}?"
                    )

    def _bounds(self, name: str) -> tuple[float, float]:
        if name == "avg_time_per_step":
            return STEP
        return CHIP_POWER[0] * self._chips, CHIP_POWER[1] * self._chips

    def _step(self, case: Case) -> float:
        """Microseconds of its step by the profile's figures."""
        if case.name not in self._steps:
            workload = case.workload(case.cores)
            figures = parameters_of(self._device, workload, io=NO_IO)[0]
            values = {name: np.zeros(1) for name in COST_PARAMETERS}
            values |= {name: np.array([figure.value]) for name, figure in figures.items()}
            cores = max(case.cores, self._device.count("cores_per_chip"))
            demand = demand_of(workload, PIPELINED, cores, 1)
            found = evaluate(demand, values, Operation())["step_time"][0]
            self._steps[case.name] = float(found) * 1e6
        return self._steps[case.name]


def constants(lines: Sequence[Mapping[str, Any]], fields: Mapping[str, Sequence[str]]) -> list[str]:
    """Values that are the same in all cases, to the last digit: no probe says that.

    Args:
        lines: one for each case and measure.
        fields: what lines of each measure hold.
    """
    found = []
    for measure, names in fields.items():
        name = names[0]
        values = [line[name] for line in lines if line["measure"] == measure]
        if len(values) >= _SAME and len(set(values)) == 1:
            found.append(
                f"{name} is {values[0]:g} in all {len(values)} cases, which do other work: it "
                "contradicts the model, and no probe repeats itself so; look at how it was read"
            )
    return found
