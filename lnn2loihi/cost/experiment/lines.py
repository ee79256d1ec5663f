"""Reads what `measure.py` has logged: lines of cases that ran on a board."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.cost.board_log import is_date, is_text
from lnn2loihi.cost.experiment.cases import Case, case_named
from lnn2loihi.cost.experiment.folder import plan
from lnn2loihi.cost.experiment.plausible import Plausible, constants
from lnn2loihi.devices import Device
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.files import read_text

#: What is wrong with a line of `--sim`, and what to do with such lines.
_SIMULATED = "was logged in the simulator, where nothing is measured"
_SIMULATED_ADVICE = (
    'delete the lines of the simulator, those with "on": "simulator", and keep the others; '
    "measure.py --sim has a log of its own, simulator.jsonl, which is not given here"
)
#: Largest file in bytes, and most lines of all files.
SIZE_LIMIT, MOST_LINES = 1 << 24, 10_000
#: What a line of each kind has measured.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "time": ("avg_time_per_step",),
    "energy": ("total_power", "static_total_power"),
}
#: Texts that are the same in all lines of one experiment, or absent in all.
_PLACE = ("board", "partition", "loihi_gen")
#: Static powers of one board that differ by more are not of one board, or not of one temperature.
_SAME = 0.25
#: Most cores of a chip that anybody has named.
_CORES = 152


@dataclass(frozen=True)
class Measured:
    """What was measured of one case.

    Attributes:
        case: the case.
        cores: that the compiler took.
        step_time: seconds; None where it was not measured.
        total_power, static_power: watts of the board; None where not measured.
    """

    case: Case
    cores: int
    step_time: float | None
    total_power: float | None
    static_power: float | None


@dataclass(frozen=True)
class ExperimentLog:
    """All lines of one experiment.

    Attributes:
        measured: cases in the order of the plan.
        failed: cases that raised and were not measured afterwards, with what was raised.
        board, generation, date: where and when.
    """

    measured: tuple[Measured, ...]
    failed: Mapping[str, str]
    board: str
    generation: str
    date: str


def read_experiment(
    paths: Sequence[str | os.PathLike[str]], cores: Mapping[str, int], device: Device
) -> ExperimentLog:
    """The lines of one or several files.

    Args:
        paths: files that measure.py has appended to, and lines that were filled in by hand.
        cores: cores that the compiler took, for cases whose lines do not say.
        device: profile of the board, for what its values can be at all.

    Raises:
        InputError: lists every line that is damaged, of the simulator, of another plan or board, in
            another unit, or there twice; and every case whose cores nobody has entered.
    """
    problems = Problems(InputError, "logs of the experiment")
    if not paths:
        problems.add("there is no file; give what measure.py has logged on a board")
    known, fingerprint, plausible = case_named(), plan()["sha256"], Plausible(device)
    _check_cores(cores, known, problems)
    lines: list[tuple[str, dict[str, Any]]] = []
    for path in paths:
        lines += _lines_of(Path(path), known, fingerprint, plausible, problems)
    good = [(where, line) for where, line in lines if "error" not in line]
    for name in _PLACE:
        found = {json.dumps(line[name]): where for where, line in good}
        if len(found) > 1:
            each = ", ".join(f"{value} ({where})" for value, where in found.items())
            problems.add(f"lines are of several boards: {name} is {each}; give those of one")
    table: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for where, line in good:
        key = line["case"], line["measure"]
        first = table.setdefault(key, (where, line))
        if first[0] != where:
            same = all(first[1][f] == line[f] for f in FIELDS[line["measure"]])
            problems.add(
                f"{where}: {key[1]} of {key[0]} is in {first[0]} too, with "
                f"{'the same' if same else 'other'} values: delete one of the lines"
            )
    if paths and not problems and not good:
        problems.add("no case was measured in them")
    problems.extend(constants([line for _, line in table.values()], FIELDS))
    _check_static([(where, line) for where, line in table.values()], problems)
    counted = _cores_of(table, cores, problems)
    problems.raise_if_any()
    return _log_of(table, counted, lines)


def _check_cores(cores: Mapping[str, int], known: Mapping[str, Case], problems: Problems) -> None:
    for name, number in cores.items():
        if name not in known:
            problems.add(f"cores: there is no case {name!r:.60}; there are {', '.join(known)}")
        elif isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _CORES:
            problems.add(f"cores of {name}: {number!r:.40}, expected a whole number, 1 to {_CORES}")


def _lines_of(
    path: Path,
    known: Mapping[str, Case],
    fingerprint: str,
    plausible: Plausible,
    problems: Problems,
) -> list[tuple[str, dict[str, Any]]]:
    """The lines of a file that are whole, each with where it stands."""
    try:
        texts = read_text(path, InputError, SIZE_LIMIT).splitlines()
    except InputError as error:
        problems.extend(f"{path}: {problem}" for problem in error.problems)
        return []
    if len(texts) > MOST_LINES:
        problems.add(f"{path}: has {len(texts):,} lines; the limit is {MOST_LINES:,}")
        return []
    if not any(text.strip() for text in texts):
        problems.add(f"{path}: is empty; give what measure.py has logged on a board")
    found, simulated = [], False
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        where = f"{path}, line {number}"
        line, wrong = _line(text, known, fingerprint, plausible)
        problems.extend(f"{where}: {problem}" for problem in wrong)
        simulated |= wrong == [_SIMULATED]
        if line is not None and not wrong:
            found.append((where, line))
    if simulated:
        problems.add(f"{path}: {_SIMULATED_ADVICE}")
    return found


def _line(
    text: str, known: Mapping[str, Case], fingerprint: str, plausible: Plausible
) -> tuple[dict[str, Any] | None, list[str]]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        return None, [f"is no JSON ({error}): an interrupted write? delete it, and run the case"]
    if not isinstance(line, dict):
        return None, ["is no line that measure.py has logged"]
    if line.get("on") == "simulator":
        return None, [_SIMULATED]
    wrong: list[str] = []
    if line.get("on") != "board":
        wrong.append(f"on is {line.get('on')!r:.40}, expected board")
    if line.get("plan") != fingerprint:
        wrong.append("is of another plan: read it with the lnn2loihi that wrote the folder")
    case, measure = line.get("case"), line.get("measure")
    if not isinstance(case, str) or case not in known:
        wrong.append(f"there is no case {case!r:.60}")
    if not isinstance(measure, str) or measure not in FIELDS:
        wrong.append(f"measure is {measure!r:.40}, expected time or energy")
    if "error" in line:
        return line, wrong
    if not is_text(line.get("date")) or not is_date(line["date"]):
        wrong.append(f"date is {line.get('date')!r:.40}, expected a day such as 2026-11-30")
    wrong += [
        f"{name} is {line.get(name)!r:.40}"
        for name in _PLACE
        if not (line.setdefault(name, None) is None or is_text(line[name]))
    ]
    if line.get("board") is None and line.get("partition") is None:
        wrong.append("names neither a board nor a partition")
    cores = line.setdefault("cores", None)
    if cores is not None and (type(cores) is not int or not 1 <= cores <= _CORES):
        wrong.append(f"cores is {cores!r:.40}, expected null or a whole number, 1 to {_CORES}")
    if isinstance(case, str) and case in known and measure in ("time", "energy"):
        wrong += plausible.problems(line, known[case], FIELDS[measure])
        if not wrong and measure == "energy":
            wrong += _below_static(line)
    return line, wrong


def _below_static(line: Mapping[str, Any]) -> list[str]:
    total, static = line["total_power"], line["static_total_power"]
    if total >= static * (1.0 - _SAME):
        return []
    return [f"total_power, {total:g} W, is below static_total_power, {static:g} W"]


def _check_static(lines: Sequence[tuple[str, Mapping[str, Any]]], problems: Problems) -> None:
    """A board draws the same whatever is loaded, so far as it idles."""
    found = {w: line["static_total_power"] for w, line in lines if line["measure"] == "energy"}
    if found:
        least, most = min(found, key=lambda w: found[w]), max(found, key=lambda w: found[w])
        if found[most] > found[least] * (1.0 + _SAME):
            problems.add(
                f"static_total_power is {found[least]:g} W in {least}, and {found[most]:g} W in "
                f"{most}: a board that idles draws the same; look at both"
            )


def _cores_of(
    table: Mapping[tuple[str, str], tuple[str, Mapping[str, Any]]],
    cores: Mapping[str, int],
    problems: Problems,
) -> dict[str, int]:
    """What the compiler took for each case."""
    counted: dict[str, int] = {}
    for (case, _), (where, line) in table.items():
        said = cores.get(case, line["cores"])
        if said is not None and counted.setdefault(case, said) != said:
            problems.add(
                f"{where}: cores of {case} is {said}, and {counted[case]} in its other line"
            )
    asked = [case for case in dict.fromkeys(case for case, _ in table) if case not in counted]
    if asked:
        problems.add(
            f"how many cores did the compiler take for {', '.join(asked)}? Its log says so: enter "
            f"them as cores of the lines, or give --cores {asked[0]}=N (cores= in Python)"
        )
    return counted


def _log_of(
    table: Mapping[tuple[str, str], tuple[str, Mapping[str, Any]]],
    counted: Mapping[str, int],
    lines: Sequence[tuple[str, Mapping[str, Any]]],
) -> ExperimentLog:
    measured = []
    for name, case in case_named().items():
        if name in counted:
            time = table[name, "time"][1] if (name, "time") in table else {}
            power = table[name, "energy"][1] if (name, "energy") in table else {}
            step = time.get("avg_time_per_step")
            measured.append(Measured(
                case, counted[name], None if step is None else step * 1e-6,
                power.get("total_power"), power.get("static_total_power"),
            ))  # fmt: skip
    failed = {
        line["case"]: str(line["error"]) for _, line in lines
        if "error" in line and (line["case"], line["measure"]) not in table
    }  # fmt: skip
    first = next(iter(table.values()))[1]
    return ExperimentLog(
        tuple(measured), failed, str(first["board"] or first["partition"]),
        str(first["loihi_gen"] or ""), max(line["date"] for _, line in table.values()),
    )  # fmt: skip
