"""What the script of a board's folder has printed (`export(format="loihi2")`): runs on silicon."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost.logs import RELATIVE_ERROR, ProfilerLog
from lnn2loihi.cost.workload import Workload
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.files import read_text
from lnn2loihi.printable import is_line, kind_of_value
from lnn2loihi.showing import Shown

#: Largest file in bytes.
SIZE_LIMIT = 1 << 22
#: Texts that every line has, of which the first three may not differ between lines.
_TEXTS = ("program_sha256", "network_sha256", "program", "date")
#: What a board is called by, null where the environment did not say.
_PLACE = ("board", "partition", "loihi_gen")
_COUNTS = ("steps", "samples")
#: What may have been measured, and how many of its units are one of SI.
_MEASURED: Mapping[str, float] = {
    "avg_time_per_step": 1e6, "total_power": 1.0, "static_total_power": 1.0,
}  # fmt: skip
#: What a board can have measured at all, in the units of the line: a nanosecond to an hour (a step
#: takes hundreds of nanoseconds), a microwatt to a megawatt (the largest system takes kilowatts).
PLAUSIBLE: Mapping[str, tuple[float, float]] = {
    "avg_time_per_step": (1e-3, 3.6e9),
    "total_power": (1e-6, 1e6),
    "static_total_power": (1e-6, 1e6),
}


@dataclass(frozen=True)
class BoardLog(Shown):
    """Runs of one network on one board.

    Attributes:
        program: name of the program.
        program_sha256, network_sha256: fingerprints of the program, and of network.npz.
        board: the board or its partition.
        generation: of its chips; "" where nobody said.
        date: of the last run.
        steps, samples: chip steps of a run, and samples in it.
        mismatches: integers that differ from what is expected; None where no line compares.
        step_time: seconds of a chip step; None where it was not measured.
        total_power, static_power: watts of all chips of the board; None where not measured.
    """

    program: str
    program_sha256: str
    network_sha256: str
    board: str
    generation: str
    date: str
    steps: int
    samples: int
    mismatches: int | None
    step_time: float | None
    total_power: float | None
    static_power: float | None

    @checks_kinds()
    def record(self, workload: Workload) -> ProfilerLog:
        """The measurements as `calibrate_profile` takes them.

        Args:
            workload: counts of the program that ran, `lnn2loihi.workload`.

        Raises:
            InputError: nothing was measured.
        """
        measured = {
            "avg_time_per_step": self.step_time,
            "total_power": self.total_power,
            "static_total_power": self.static_power,
        }
        known = {name: value for name, value in measured.items() if value is not None}
        if not known:
            raise InputError(
                f"log of board {self.board}",
                "nothing was measured: run the script with --measure time, and --measure energy",
            )
        name = f"{self.program} on {self.board}, {self.date}"
        return ProfilerLog(name, workload, known, RELATIVE_ERROR)


@checks_kinds()
def read_board_log(
    logs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> BoardLog:
    """Reads what `run.py` of a board's folder has printed.

    Args:
        logs: a file, or several of the same network on the same board (`run.json`, `time.json`,
            `energy.json`); the last line of each is read.

    Raises:
        InputError: a file cannot be read, was not printed on a board, or they do not belong
            together; lists all that is wrong.
    """
    paths = [logs] if isinstance(logs, (str, os.PathLike)) else list(logs)
    problems = Problems(InputError, "logs")
    if not paths:
        problems.add("there is no file; give what run.py has printed on a board")
    problems.extend(
        f"{kind_of_value(path)} is no path of a file"
        for path in paths
        if not isinstance(path, (str, os.PathLike))
    )
    problems.raise_if_any()
    lines = [line for path in paths if (line := _line(Path(path), problems)) is not None]
    for name in (*_TEXTS[:3], *_PLACE, *_COUNTS):
        if len({json.dumps(line[name]) for line in lines}) > 1:
            found = ", ".join(str(line[name]) for line in lines)
            problems.add(f"the files do not belong together: {name} is {found}")
    for name in _MEASURED:
        if sum(name in line for line in lines) > 1:
            problems.add(f"{name} is measured in several files; give one of them")
    problems.raise_if_any()
    measured = {n: line[n] / unit for n, unit in _MEASURED.items() for line in lines if n in line}
    compared = [line["mismatches"] for line in lines if "mismatches" in line]
    first = lines[0]
    return BoardLog(
        program=first["program"],
        program_sha256=first["program_sha256"],
        network_sha256=first["network_sha256"],
        board=str(first["board"] or first["partition"]),
        generation=str(first["loihi_gen"] or ""),
        date=max(line["date"] for line in lines),
        steps=first["steps"],
        samples=first["samples"],
        mismatches=max(compared, default=None),
        step_time=measured.get("avg_time_per_step"),
        total_power=measured.get("total_power"),
        static_power=measured.get("static_total_power"),
    )


def _line(path: Path, problems: Problems) -> dict[str, Any] | None:
    """The last line of a file, checked; None where something is wrong with it."""
    try:
        text = read_text(path, InputError, SIZE_LIMIT).strip()
    except InputError as error:
        problems.extend(f"{path}: {problem}" for problem in error.problems)
        return None
    try:
        line = json.loads(text.splitlines()[-1]) if text else None
    except (ValueError, RecursionError) as error:
        problems.add(f"{path}: its last line is no JSON ({error})")
        return None
    if not isinstance(line, dict):
        problems.add(f"{path}: holds no line that run.py has printed")
        return None
    found: list[str] = []
    if line.get("on") != "board":
        found.append(
            f"was printed {'in the simulator' if line.get('on') == 'simulator' else 'elsewhere'}, "
            "where nothing is measured; give what run.py prints on a board"
        )
    if "error" in line:
        found.append(f"its run failed ({line['error']!r:.100}): run it again")
    found += [f"{n} is no line of text" for n in _TEXTS if not is_text(line.get(n))]
    if is_text(line.get("date")) and not is_date(line["date"]):
        found.append(f"date is {line['date']!r:.40}, expected a day such as 2026-11-30")
    found += [
        f"{n} is {line.get(n)!r:.40}" for n in _PLACE
        if not (line.setdefault(n, None) is None or is_text(line[n]))
    ]  # fmt: skip
    if line["board"] is None and line["partition"] is None:
        found.append("names neither a board nor a partition")
    for name in (*_COUNTS, *(n for n in ("mismatches",) if n in line)):
        value = line.get(name)
        least = 0 if name == "mismatches" else 1
        if type(value) is not int or not least <= value < 1 << 53:
            found.append(f"{name} is {value!r:.40}, expected a whole number")
    for name, (least, most) in PLAUSIBLE.items():
        value = line.get(name, 1.0)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            found.append(
                f"{name} is {value!r:.40}, expected a number from {least:g} to {most:g} "
                f"({'microseconds' if name == 'avg_time_per_step' else 'watts'})"
            )
    if {"total_power", "static_total_power"} <= line.keys() and not found:
        if line["total_power"] <= line["static_total_power"]:
            found.append(
                "total_power is not above static_total_power: what the network adds is below the "
                "resolution of the probe; let it run longer"
            )
    problems.extend(f"{path}: {problem}" for problem in found)
    return None if found else line


def is_date(text: str) -> bool:
    """Whether it is a day as ISO 8601 writes it, as run.py does: so that later days sort later."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def is_text(value: object) -> bool:
    """Whether it is a line of text, neither empty nor long."""
    return is_line(value) and 0 < len(str(value)) <= 200
