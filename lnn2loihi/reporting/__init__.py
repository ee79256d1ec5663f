"""One self-contained HTML page of a profile."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.artifact import fingerprint
from lnn2loihi.comparison import check_pair
from lnn2loihi.errors import InputError
from lnn2loihi.files import write_atomically
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.program import LoihiProgram
from lnn2loihi.reporting.interactive.recording import recorded
from lnn2loihi.reporting.interactive.section import live_module, live_section
from lnn2loihi.reporting.page import page
from lnn2loihi.reporting.traces import SAMPLES, Traces
from lnn2loihi.sequences import Sequences
from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.inputs import decoded, given

__all__ = ["report"]


@checks_kinds()
def report(
    result: ProfileResult,
    program: LoihiProgram,
    path: str | os.PathLike[str],
    *,
    network: LiquidNetwork | None = None,
    x: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    encoded: bool = False,
    interactive: bool = False,
) -> Path:
    """Writes a page that opens from disk, without any connection.

    Args:
        result: the profile.
        program: the program that was profiled.
        path: the `.html` file; whole or not written at all.
        network: the float network; with `x`, its answers are drawn against the integers.
        x: (batch, time, inputs), or a list of sequences; the first that has a sample is drawn.
        lengths: samples of each sequence, (batch,); all of them by default.
        timespans: elapsed times, (batch, time), where time is irregular.
        encoded: whether x (and timespans) holds encoded messages, as for `simulate`.
        interactive: whether the page runs the program itself, as WebAssembly: it compares a
            recorded run (of x, or of inputs that are made) word by word when it is opened, and
            runs what the reader draws. Without it the page has no scripts.

    Returns:
        The file.

    Raises:
        InputError: the profile is of another program, the network does not fit, or the file
            cannot be written.
        BackendMissingError: it is to be interactive, and what compiles WebAssembly is not here;
            says what to install.
    """
    file = Path(path)
    if file.suffix.lower() not in (".html", ".htm"):
        raise InputError(str(path), "reports are written as .html")
    if result.subject.sha256 != fingerprint(program):
        raise InputError(
            f"program {program.name!r}",
            f"the profile is of another program ({result.subject.program!r}, SHA-256 "
            f"{result.subject.sha256[:12]}...); profile this one, or give the other",
        )
    traces = first = None
    if network is not None and x is not None:
        check_pair(network, program)
    if x is not None and (network is not None or interactive):
        first = _first(given(program, x, lengths, timespans, encoded))
    if network is not None and first is not None:
        traces = _traces(network, program, first)
    live = None
    if interactive:
        expected = None if traces is None else traces.expected[0]
        module = live_module(program)
        live = live_section(result, program, module, recorded(program, first, expected))
    content = page(result, program, traces, live).encode()
    try:
        return write_atomically(file, content)
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror}") from error


def _first(data: Sequences) -> Sequences:
    """The first sequence that has a sample, as far as it is drawn."""
    begun = np.flatnonzero(data.lengths)
    if not begun.size:
        raise InputError("lengths", "all sequences have length 0; give at least one sample")
    samples = min(SAMPLES, int(data.lengths[begun[0]]))
    chosen = np.s_[begun[0], None, :samples]
    spans = None if data.timespans is None else data.timespans[chosen]
    return Sequences(data.x[chosen], np.array([samples]), spans)


def _traces(network: LiquidNetwork, program: LoihiProgram, first: Sequences) -> Traces:
    """Both answers to one sequence."""
    kind = first.x.dtype.kind != "f"
    found = simulate(program, first.x, timespans=first.timespans, encoded=kind).outputs
    heard = decoded(program, first)
    return Traces(network.evaluate(heard.x, timespans=heard.timespans).outputs, found)
