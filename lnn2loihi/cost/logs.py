"""Measurements of a chip's owner: records of a workload and what the profiler said of it."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.cost.totals import SHAPE, TOTALS, workload_of_totals
from lnn2loihi.cost.workload import Workload
from lnn2loihi.devices.units import UNITS, dimension_of, to_base
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.files import read_text
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.printable import is_line, kind_of_value

#: What a record may have measured, and in which SI unit, by the names of Lava's profiler where it
#: has one. Energies are of the whole run, `num_steps` chip steps; so is nothing else.
MEASURED: Mapping[str, str] = {
    "avg_time_per_step": "s",
    "total_power": "W",
    "static_total_power": "W",
    "dynamic_power": "W",
    "total_energy": "J",
    "static_energy": "J",
    "dynamic_energy": "J",
}
#: Further fields of Lava's profiler, which the model has no use for.
UNUSED = (
    "vdd_power", "vddm_power", "vddio_power", "static_vdd_power", "static_vddm_power",
    "static_vddio_power",
)  # fmt: skip
#: Relative standard error of a measured value where the record does not say.
RELATIVE_ERROR = 0.05
SUFFIXES = (".json", ".csv")
#: Largest file in bytes, and most records.
SIZE_LIMIT, MOST_RECORDS = 1 << 24, 1000
_KEYS = ("name", "counts", "workload", "measured", "num_steps", "relative_error")


@dataclass(frozen=True)
class ProfilerLog:
    """One run on a chip.

    Attributes:
        name: name in messages and tables.
        workload: its counts per chip step.
        measured: by the names of `MEASURED`, in SI units; energies of one chip step.
        relative_error: relative standard error of each measured value.
        unmodelled_time: seconds of the measured step that the model has no figure for, which are
            taken off before times are fitted; powers are of the step as it was measured.
        unmodelled_error: their standard error, seconds.
    """

    name: str
    workload: Workload
    measured: Mapping[str, float]
    relative_error: float = RELATIVE_ERROR
    unmodelled_time: float = 0.0
    unmodelled_error: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "measured", read_only_mapping(self.measured))


Logs = str | os.PathLike[str] | Iterable[ProfilerLog | Mapping[str, Any]]


def read_logs(logs: Logs) -> tuple[ProfilerLog, ...]:
    """Records of a file, or of a list.

    Args:
        logs: a `.json` file with a list of records, a `.csv` file with one record a row, or the
            records themselves. A record has a `name`; either `counts` (see
            `lnn2loihi.cost.totals`) or a `workload` (`Workload.to_dict()`); `measured` with the
            fields of `MEASURED`, as SI numbers or as text with a unit ("152.85 us"); `num_steps`,
            the chip steps that the energies are of (1); and perhaps `relative_error`. In a CSV file
            all of these fields but `workload` are columns.

    Raises:
        InputError: the file cannot be read, or lists everything that is wrong with its records.
    """
    subject = "calibration logs"
    if isinstance(logs, (str, os.PathLike)):
        subject, logs = os.fspath(logs), _read_file(Path(logs))
    records = list(logs)
    problems = Problems(InputError, subject)
    if not records:
        problems.add("there is no record in it")
    if len(records) > MOST_RECORDS:
        problems.add(f"there are {len(records):,} records; the limit is {MOST_RECORDS:,}")
        records = []
    found = [_read_record(number, record, problems) for number, record in enumerate(records)]
    problems.raise_if_any()
    return tuple(record for record in found if record is not None)


def _read_file(path: Path) -> list[Any]:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(str(path), f"calibration logs come as {', '.join(SUFFIXES)}")
    text = read_text(path, InputError, SIZE_LIMIT)
    if path.suffix.lower() == ".csv":
        return _read_csv(path, text)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), f"is not valid JSON ({error})") from error
    if not isinstance(content, list):
        raise InputError(str(path), f"holds {kind_of_value(content)}, expected a list of records")
    return content


def _read_csv(path: Path, text: str) -> list[Any]:
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError(str(path), f"is not valid CSV ({error})") from error
    records = []
    for row in rows:
        record: dict[str, Any] = {"counts": {}, "measured": {}}
        for key, cell in row.items():
            if cell is None or (isinstance(cell, str) and not cell.strip()):
                continue
            if key in MEASURED or key in UNUSED:
                record["measured"][key] = _number_or_text(cell)
            elif key in TOTALS or key in SHAPE:
                record["counts"][key] = _number_or_text(cell)
            else:
                record[key or "(cells beyond the header)"] = (
                    cell if key == "name" else _number_or_text(cell)
                )
        records.append(record)
    return records


def _number_or_text(cell: Any) -> Any:
    for kind in (int, float):
        try:
            return kind(cell)
        except (TypeError, ValueError):
            continue
    return cell


def _read_record(number: int, record: Any, problems: Problems) -> ProfilerLog | None:
    where = f"record {number}"
    if isinstance(record, ProfilerLog):
        problems.extend(f"{where} ({record.name!r:.60}): {p}" for p in _contradictions(record))
        return record
    if not isinstance(record, Mapping):
        problems.add(f"{where} is {kind_of_value(record)}, expected a table of fields")
        return None
    name = record.get("name", where)
    where = f"{where} ({name!r:.60})"
    found: list[str] = []
    if not is_line(name):
        found.append("its name is not one line of printable text")
    unknown = [key for key in record if key not in _KEYS]
    found += [f"{key!r:.60} is unknown; there are {', '.join(_KEYS)}" for key in unknown[:10]]
    steps, error = record.get("num_steps", 1), record.get("relative_error", RELATIVE_ERROR)
    if not _is_positive(steps):
        found.append(f"num_steps is {steps!r:.40}, expected 1 or more")
        steps = 1
    if not (_is_positive(error) and error < 1.0):
        found.append(f"relative_error is {error!r:.40}, expected a share between 0 and 1")
        error = RELATIVE_ERROR
    measured = _read_measured(record.get("measured"), steps, found)
    workload = _read_workload(str(name), record, found)
    log = None
    if workload is not None and not found:
        log = ProfilerLog(name, workload, measured, error)
        found += _contradictions(log)
    problems.extend(f"{where}: {problem}" for problem in found)
    return log


def _read_workload(name: str, record: Mapping[str, Any], found: list[str]) -> Workload | None:
    given = [key for key in ("counts", "workload") if record.get(key)]
    if len(given) != 1:
        found.append("give either counts or a workload")
        return None
    content = record[given[0]]
    if isinstance(content, Workload):
        return content
    if not isinstance(content, Mapping):
        found.append(f"{given[0]} is {kind_of_value(content)}, expected a table")
        return None
    try:
        if given[0] == "counts":
            return workload_of_totals(name, content, "counts of a calibration log")
        return Workload.from_dict(content)
    except InputError as error:
        found += error.problems
        return None


def _read_measured(given: Any, steps: float, found: list[str]) -> dict[str, float]:
    if not isinstance(given, Mapping) or not given:
        found.append(f"measured holds nothing; give some of {', '.join(MEASURED)}")
        return {}
    measured: dict[str, float] = {}
    for key, value in given.items():
        if key in UNUSED:
            continue
        if key not in MEASURED:
            found.append(f"measured has an unknown field {key!r:.60}; there are "
                         f"{', '.join(MEASURED)}")  # fmt: skip
            continue
        number = _quantity(value, MEASURED[key])
        if number is None:
            units = ", ".join(UNITS[MEASURED[key]])
            found.append(f"{key} is {value!r:.60}, expected a number, or text in one of {units}")
        elif not (math.isfinite(number) and number > 0.0):
            below = key.startswith("dynamic")
            why = "it is below the probe's resolution: leave it out" if below else "expected more"
            found.append(f"{key} is {value!r:.60}: {why}")
        else:
            measured[key] = number / steps if MEASURED[key] == "J" else number
    if not found and not measured:
        found.append(f"measured holds nothing of use; give some of {', '.join(MEASURED)}")
    return measured


def _quantity(value: Any, unit: str) -> float | None:
    """A number in SI units, of a number or of a text such as "152.85 us"."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else math.inf
    if not isinstance(value, str) or len(value) > 60:
        return None
    number, _, given = value.strip().partition(" ")
    try:
        return (
            to_base(float(number), given.strip()) if dimension_of(given.strip()) == unit else None
        )
    except ValueError:
        return None


def _is_positive(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0.0 < value < math.inf


def _contradictions(log: ProfilerLog) -> list[str]:
    """Values of one record that cannot all be true, beyond three standard errors."""
    found, m, margin = [], log.measured, 3.0 * log.relative_error
    for total, static, dynamic in (
        ("total_power", "static_total_power", "dynamic_power"),
        ("total_energy", "static_energy", "dynamic_energy"),
    ):
        if total in m and static in m and m[total] <= m[static]:
            found.append(
                f"{total} ({m[total]:g}) is not above {static} ({m[static]:g}): what the network "
                "adds is below the probe's resolution; leave the total out"
            )
        elif {total, static, dynamic} <= m.keys():
            parts = m[static] + m[dynamic]
            if abs(parts / m[total] - 1.0) > margin:
                found.append(f"{static} and {dynamic} add up to {parts:g}, {total} is {m[total]:g}")
    for power, energy in (
        ("total_power", "total_energy"),
        ("static_total_power", "static_energy"),
        ("dynamic_power", "dynamic_energy"),
    ):
        if {power, energy, "avg_time_per_step"} <= m.keys():
            product = m[power] * m["avg_time_per_step"]
            if abs(product / m[energy] - 1.0) > margin:
                found.append(
                    f"{power} times avg_time_per_step is {product:g} J, {energy} of a step is "
                    f"{m[energy]:g} J (energies are of num_steps steps)"
                )
    return found
