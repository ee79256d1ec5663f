"""One self-contained HTML page of a profile."""

from __future__ import annotations

import os
from pathlib import Path
from types import NoneType

import numpy.typing as npt

from lnn2loihi.artifact import fingerprint
from lnn2loihi.compare import check_pair
from lnn2loihi.errors import InputError
from lnn2loihi.files import write_atomically
from lnn2loihi.kinds import PATH, check_kinds
from lnn2loihi.network import LiquidNetwork, as_array
from lnn2loihi.profile.result import ProfileResult
from lnn2loihi.program import LoihiProgram
from lnn2loihi.report.page import page
from lnn2loihi.report.traces import SAMPLES, Traces
from lnn2loihi.simulate import simulate

__all__ = ["report"]


def report(
    result: ProfileResult,
    program: LoihiProgram,
    path: str | os.PathLike[str],
    *,
    network: LiquidNetwork | None = None,
    x: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
) -> Path:
    """Writes a page that opens from disk, without any connection.

    Args:
        result: the profile.
        program: the program that was profiled.
        path: the `.html` file; whole or not written at all.
        network: the float network; with `x`, its answers are drawn against the integers.
        x: (batch, time, inputs); the first sequence is drawn.
        timespans: elapsed times, (batch, time), where time is irregular.

    Returns:
        The file.

    Raises:
        InputError: the profile is of another program, the network does not fit, or the file
            cannot be written.
    """
    check_kinds(
        "report",
        result=(result, ProfileResult),
        program=(program, LoihiProgram),
        path=(path, PATH),
        network=(network, (LiquidNetwork, NoneType)),
    )
    file = Path(path)
    if file.suffix.lower() not in (".html", ".htm"):
        raise InputError(str(path), "reports are written as .html")
    if result.subject.sha256 != fingerprint(program):
        raise InputError(
            f"program {program.name!r}",
            f"the profile is of another program ({result.subject.program!r}, SHA-256 "
            f"{result.subject.sha256[:12]}...); profile this one, or give the other",
        )
    traces = None
    if network is not None and x is not None:
        traces = _traces(network, program, x, timespans)
    content = page(result, program, traces).encode()
    try:
        return write_atomically(file, content)
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror}") from error


def _traces(
    network: LiquidNetwork,
    program: LoihiProgram,
    x: npt.ArrayLike,
    timespans: npt.ArrayLike | None,
) -> Traces:
    """The answers to the first sequence, as far as it is drawn."""
    check_pair(network, program)
    first = as_array(x)[:1, :SAMPLES]
    elapsed = None if timespans is None else as_array(timespans)[:1, :SAMPLES]
    found = simulate(program, first, timespans=elapsed).outputs
    if first.dtype.kind in "iu":  # encoded messages
        first = program.input.decode(first)
    return Traces(network.evaluate(first, timespans=elapsed).outputs, found)
