"""Refits a profile from an owner's own measurements, and says what changed."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost.demand import Demand, demand_of
from lnn2loihi.cost.estimate import check_chip, parameters_of
from lnn2loihi.cost.fitting import Fit, fit
from lnn2loihi.cost.interval import Z95, FloatArray, deviations
from lnn2loihi.cost.logs import Logs, ProfilerLog, read_logs
from lnn2loihi.cost.model import IO_FIGURES, NO_IO, Operation, evaluate
from lnn2loihi.cost.workload import PIPELINED
from lnn2loihi.devices import Device, Figure, load_device, with_prefix
from lnn2loihi.errors import DeviceError, InputError, Problems
from lnn2loihi.showing import Brief, Said, Shown, Table

#: A figure moves where the logs leave less than this share of its uncertainty.
IDENTIFIED = 0.8
#: Standard deviations that a figure may move before it is remarked on.
FAR = 3.0
#: Standard errors that two records of the same workload may differ by.
REPEATABLE = 6.0
#: A residual that is remarked on after the fit.
LARGE_RESIDUAL = 0.30


@dataclass(frozen=True)
class ParameterChange(Brief):
    """A figure that the logs moved.

    Attributes:
        parameter: name of the figure.
        before, after: the figure.
        far: whether it lies far outside its former range, which questions the log or the model.
    """

    parameter: str
    before: Figure
    after: Figure
    far: bool


@dataclass(frozen=True)
class Residual(Brief):
    """One measured value, and the model's before and after.

    Attributes:
        record: name of the record.
        quantity: what was measured.
        unit: its SI unit.
        measured, before, after: the values.
    """

    record: str
    quantity: str
    unit: str
    measured: float
    before: float
    after: float


@dataclass(frozen=True)
class Calibration(Shown):
    """What `calibrate_profile` found.

    Attributes:
        device: the device with the refitted figures, graded `calibrated` or `measured`.
        changes: figures that moved.
        unchanged: cost figures that the logs say too little about.
        residuals: every measured value that was used.
        source: where the logs came from.
    """

    device: Device
    changes: tuple[ParameterChange, ...]
    unchanged: tuple[str, ...]
    residuals: tuple[Residual, ...]
    source: str

    def _headline(self) -> str:
        moved = f"{len(self.changes)} figures moved"
        return f"{self.device.name!r}, {moved}, {len(self.residuals)} residuals"

    def _shown(self) -> list[Said]:
        """What changed, as text."""
        rows = [
            (c.parameter, str(c.before), c.before.range_text, str(c.after), c.after.range_text,
             c.after.grade)
            for c in self.changes
        ]  # fmt: skip
        off = [
            (r.record, r.quantity, with_prefix(r.measured, r.unit), with_prefix(r.before, r.unit),
             with_prefix(r.after, r.unit), f"{r.after / r.measured - 1.0:+.0%}")
            for r in self.residuals
        ]  # fmt: skip
        headers = ("figure", "before", "range", "after", "range", "grade")
        lines: list[Said] = [
            f"{self.device.name}: {self.source}",
            Table(headers, rows) if rows else "no figure moved: the logs say too little",
            "",
            Table(("record", "quantity", "measured", "before", "after", "still off"), off),
            "",
            f"unchanged: {', '.join(self.unchanged) or 'none'}",
        ]
        return [*lines, *(f"- {remark}" for remark in self.remarks)]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What deserves a second look, a sentence each."""
        far = [
            f"{c.parameter} is far outside its former range ({c.before.range_text}): look at the "
            "log, and at what the model leaves out"
            for c in self.changes
            if c.far
        ]
        large = [
            f"{r.record}: {r.quantity} is still off by {r.after / r.measured - 1.0:+.0%}"
            for r in self.residuals
            if abs(r.after / r.measured - 1.0) > LARGE_RESIDUAL
        ]
        return (*far, *large)

    def to_dict(self) -> dict[str, Any]:
        """What changed, as plain data for JSON."""
        return {
            "device": self.device.to_dict(),
            "changes": [asdict(change) for change in self.changes],
            "unchanged": list(self.unchanged),
            "residuals": [asdict(residual) for residual in self.residuals],
            "remarks": list(self.remarks),
            "source": self.source,
        }


@dataclass(frozen=True)
class _Observation:
    """A measured value that is independent of the others, with its relative standard error."""

    quantity: str
    unit: str
    value: float
    error: float


@dataclass(frozen=True)
class _Run:
    """A record as the fit sees it; its measured step time, if any, goes into its energies."""

    log: ProfilerLog
    step_time: float | None
    observations: tuple[_Observation, ...]


#: The model's quantity of each observed one.
_MODELLED: Mapping[str, str] = {
    "time": "step_time",
    "static": "static_full_chip",
    "dynamic": "dynamic",
    "total": "total_full_chip",
}


@checks_kinds()
def calibrate_profile(device: str | os.PathLike[str] | Device, logs: Logs) -> Calibration:
    """Refits the costs of a device from measurements of one's own.

    Maximum a posteriori: least squares in the logarithms of step times and powers, each figure
    pulled towards its value by its own range. Only figures that the logs determine move: those of
    whose uncertainty less than 80 % is left; their new range is the 90 % interval of the fit.

    Args:
        device: name or file of a Loihi profile, or a Device.
        logs: records as `lnn2loihi.cost.logs.read_logs` takes them: a file or a list.

    Raises:
        DeviceError: the device is no Loihi, or lacks a figure that the workloads need.
        InputError: there is no record, or lists everything that is wrong with the records,
            contradictions within and between them included.
    """
    found = load_device(device)
    check_chip(found)
    subject = os.fspath(logs) if isinstance(logs, (str, os.PathLike)) else "calibration logs"
    records = read_logs(logs)
    _check_repeats(records, subject)
    runs = [_run(record) for record in records]
    observations = [o for run in runs for o in run.observations]
    figures = _needed_figures(found, records)
    names = list(figures)
    below, above = np.array([_prior(figure) for figure in figures.values()]).T
    nominal = np.array([figure.value for figure in figures.values()])
    cores = found.count("cores_per_chip")
    demands = [demand_of(w, PIPELINED, cores, w.chips) for w in (r.log.workload for r in runs)]
    measured = np.log([o.value for o in observations])
    errors = np.array([o.error for o in observations])

    def predict(shifts: FloatArray) -> FloatArray:
        sets = dict(zip(names, (nominal * np.exp(shifts)).T, strict=True))
        pairs = zip(runs, demands, strict=True)
        return np.stack([values for pair in pairs for values in _predict(*pair, sets)], axis=1)

    def residuals(shifts: FloatArray) -> FloatArray:
        return (np.log(predict(shifts)) - measured) / errors

    _check_modelled(runs, predict(np.zeros((1, nominal.size)))[0], subject)
    first = fit(residuals, below, above)
    scale = np.sqrt(below * above)
    identified = (scale > 0.0) & (first.deviations < IDENTIFIED * scale)
    result = fit(residuals, below, above, identified)
    before, after = predict(np.stack([np.zeros(nominal.size), result.shifts]))
    source = f"{len(records)} record{'s'[: len(records) > 1]} of {os.path.basename(subject)}"
    changes = _changes(figures, identified, result, source, {o.quantity for o in observations})
    names_of_runs = [run.log.name for run in runs for _ in run.observations]
    return Calibration(
        device=_calibrated(found, changes, source),
        changes=changes,
        unchanged=tuple(
            name
            for name, moved in zip(names, identified, strict=True)
            if not moved and name not in IO_FIGURES and found.get(name) is not None
        ),
        residuals=tuple(
            Residual(name, _label(o), o.unit, o.value, float(b), float(a))
            for name, o, b, a in zip(names_of_runs, observations, before, after, strict=True)
        ),
        source=source,
    )


def _prior(figure: Figure) -> tuple[float, float]:
    """Standard deviations of a figure's logarithm; a range with one side counts for both."""
    below, above = deviations(figure)
    return below or above, above or below


def _check_modelled(runs: Sequence[_Run], values: FloatArray, subject: str) -> None:
    """What the device has no figure for cannot be fitted."""
    problems = Problems(InputError, subject)
    labels = [(run.log.name, _label(o)) for run in runs for o in run.observations]
    for (name, label), value in zip(labels, values, strict=True):
        if not value > 0.0:
            problems.add(f"{name!r:.60}: the model has no term for its {label}; leave it out")
    problems.raise_if_any()


def _needed_figures(device: Device, records: Sequence[ProfilerLog]) -> dict[str, Figure]:
    """The figures that the records' workloads need, without input and output."""
    problems, figures = Problems(DeviceError, f"device {device.name!r}"), {}
    for record in records:
        try:
            figures |= parameters_of(device, record.workload, io=NO_IO)[0]
        except DeviceError as error:
            problems.extend(error.problems)
    problems.raise_if_any()
    return figures


def _run(log: ProfilerLog) -> _Run:
    """The independent values of a record: its step time, and of static, dynamic and total power (or
    energy of a step, where no time is known) two that determine the third.
    """
    m, error = dict(log.measured), log.relative_error
    kinds = (("total", "total_power", "total_energy"), ("static", "static_total_power",
             "static_energy"), ("dynamic", "dynamic_power", "dynamic_energy"))  # fmt: skip
    time = m.get("avg_time_per_step")
    for _, power, energy in kinds:
        if time is None and power in m and energy in m:
            time = m[energy] / m[power]
    values: dict[str, float] = {}
    unit = "W" if time is not None or any(power in m for _, power, _ in kinds) else "J"
    for kind, power, energy in kinds:
        if unit == "J" and energy in m:
            values[kind] = m[energy]
        elif power in m:
            values[kind] = m[power]
        elif energy in m and time is not None:
            values[kind] = m[energy] / time
    errors = dict.fromkeys(values, error)
    if {"total", "static"} <= values.keys():
        if "dynamic" not in values:
            values["dynamic"] = values["total"] - values["static"]
            spread = math.hypot(values["total"], values["static"]) / values["dynamic"]
            errors["dynamic"] = error * spread
        del values["total"]
    if {"total", "dynamic"} <= values.keys():
        del values["total"]
    found = [_Observation(kind, unit, value, errors[kind]) for kind, value in values.items()]
    if time is not None:
        left = time - log.unmodelled_time
        spread = math.hypot(error * time, log.unmodelled_error) / left
        found.append(_Observation("time", "s", left, spread))
    return _Run(log, time, tuple(found))


def _predict(run: _Run, demand: Demand, sets: Mapping[str, FloatArray]) -> Iterator[FloatArray]:
    """The model's values of a run's observations for each set of parameters, (sets,) each."""
    found = evaluate(demand, sets, Operation(step_time=run.step_time), bounds=False)
    # Energies are of one copy, measured is what all of them take.
    copies = demand.copies
    divisors = {"s": 1.0, "W": found["interval"] / copies, "J": demand.steps / copies}
    for observation in run.observations:
        yield found[_MODELLED[observation.quantity]] / divisors[observation.unit]


def _label(o: _Observation) -> str:
    return {"s": "step time", "W": f"{o.quantity} power", "J": f"{o.quantity} energy"}[o.unit]


def _changes(
    figures: Mapping[str, Figure],
    identified: np.ndarray,
    result: Fit,
    source: str,
    observed: set[str],
) -> tuple[ParameterChange, ...]:
    changes = []
    for i, (name, before) in enumerate(figures.items()):
        if not identified[i]:
            continue
        shift, spread = float(result.shifts[i]), float(result.deviations[i])
        value, margin = before.value * math.exp(shift), math.exp(Z95 * spread)
        direct = name == "static_power_per_chip" and "static" in observed
        after = Figure(
            value, value / margin, value * margin, before.unit,
            f"fitted to {source}; was {before} ({before.grade})",
            "measured" if direct else "calibrated",
        )  # fmt: skip
        far = abs(shift) > FAR * _prior(before)[shift > 0.0]
        changes.append(ParameterChange(name, before, after, far))
    return tuple(changes)


def _calibrated(device: Device, changes: Sequence[ParameterChange], source: str) -> Device:
    figures = {**device.figures, **{change.parameter: change.after for change in changes}}
    note = f"Calibrated on {source}; figures that the logs say too little about are unchanged."
    return replace(
        device,
        name=f"{device.name}-calibrated",
        title=f"{device.title}, calibrated",
        figures=figures,
        notes=(*(n for n in device.notes if not n.startswith("Calibrated on ")), note),
        source_file=f"{device.source_file}, calibrated",
    )


def _check_repeats(records: Sequence[ProfilerLog], subject: str) -> None:
    """Two records of the same workload must agree."""
    problems = Problems(InputError, subject)
    first: dict[object, ProfilerLog] = {}
    for record in records:
        earlier = first.setdefault(record.workload.counts_key, record)
        problems.extend(_disagreements(earlier, record))
    problems.raise_if_any()


def _disagreements(left: ProfilerLog, right: ProfilerLog) -> list[str]:
    margin = REPEATABLE * math.hypot(left.relative_error, right.relative_error)
    return [
        f"{left.name!r:.60} and {right.name!r:.60} have the same workload, but {name} is "
        f"{left.measured[name]:g} and {right.measured[name]:g}"
        for name in left.measured.keys() & right.measured.keys()
        if abs(math.log(left.measured[name] / right.measured[name])) > margin
    ]
