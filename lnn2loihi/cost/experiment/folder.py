"""Writes the experiment as a folder that the owner of a board takes along."""

from __future__ import annotations

import hashlib
import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost.experiment.cases import MEDIUM, Case, cases
from lnn2loihi.errors import InputError
from lnn2loihi.files import why_no_folder, write_folder_atomically

#: What of the folder is the same for every plan.
SHIPPED = ("measure.py", "README.md")
PLAN = "plan.json"
#: Lines of a log for whoever writes microcode, to be filled in.
TEMPLATE = "padded.jsonl"


def plan() -> dict[str, Any]:
    """What plan.json holds: all cases, small ones for the simulator, those in microcode, and a
    fingerprint that every line of a log repeats.
    """
    found = {
        "cases": [case.to_dict() for case in cases() if not case.is_padded],
        "small": [case.to_dict() for case in cases(small=True)],
    }
    text = json.dumps([found["cases"], found["small"]], sort_keys=True, separators=(",", ":"))
    padded = [case.to_dict() for case in cases() if case.is_padded]
    return {**found, "padded": padded, "sha256": hashlib.sha256(text.encode()).hexdigest()}


@checks_kinds()
def write_experiment(folder: str | os.PathLike[str]) -> Path:
    """Writes a measuring plan of two hours for the owner of a Loihi 2 board (docs/experiment.md).

    The folder holds `measure.py` (a script that needs NumPy, SciPy, lava-nc and Intel's extension
    of it alone), `plan.json` (the cases, with what each does in a chip step), `README.md` (what to
    type, minute by minute), and for whoever writes microcode listings of padded neurons and lines
    to fill in. What the script has logged is read by `analyse_experiment`.

    Args:
        folder: a new one, or one that holds an experiment of before and no log.

    Returns:
        Its path.

    Raises:
        InputError: it is a file, holds something else, such as a log, or cannot be written.
    """
    path = Path(folder)
    made = plan()
    shipped = files("lnn2loihi.cost.experiment") / "script"
    content = {name: (shipped / name).read_bytes() for name in SHIPPED}
    content[PLAN] = f"{json.dumps(made)}\n".encode()
    padded = [case for case in cases() if case.is_padded]
    content |= {f"{case.name}.txt": padded_listing(case).encode() for case in padded}
    lines = [json.dumps(line) for case in padded for line in _lines(made["sha256"], case)]
    content[TEMPLATE] = "".join(f"{line}\n" for line in lines).encode()
    try:
        if path.exists() and not path.is_dir():
            raise InputError(str(path), f"{why_no_folder(path)}: give a new folder")
        return write_folder_atomically(path, content)
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror}") from error


def padded_listing(case: Case) -> str:
    """A neuron that sends nothing, of so many instructions, in the form of `listing`."""
    body = [
        "sum            = RDC     a_in",
        *["sum            = ADD     sum, 0"] * (case.instructions - 2),
        "                 SPIKE   sum",
    ]
    head = [
        f"; {case.name}: {case.instructions} instructions in every chip step, without a schedule",
        f"; {case.cores} populations of {MEDIUM} neurons, each on a core of its own, without input",
        "; what counts is that all of them are executed: whatever is dropped makes it another case",
        "; parameters: none",
        "; state: none",
    ]
    return "\n".join([*head, *body, ""])


def _lines(fingerprint: str, case: Case) -> list[dict[str, Any]]:
    """As measure.py writes them; null is to be filled in."""
    first = {"plan": fingerprint, "case": case.name, "steps": case.steps, "cores": case.cores,
             "on": "board", "host": None, "date": None, "board": None, "loihi_gen": None,
             "partition": None}  # fmt: skip
    return [
        {**first, "measure": "time", "avg_time_per_step": None},
        {**first, "measure": "energy", "total_power": None, "static_total_power": None},
    ]
