"""How wide the vectors of neuron updates are, measured on the machine that they run on.

With vectors of 512 bits some processors lower their frequency, or have fewer ports than with 256.
Which is faster for the straight-line code of neurons is not written in their flags, so both forms
are compiled and timed when the first neuron program is compiled, and the answer is kept beside the
libraries.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.files import write_atomically
from lnn2loihi.simulation.native.kernel_code import Level

#: Forms by their widths in bits, and the flags that each adds; the first is that of the level.
FORMS = {512: (), 256: ("-mprefer-vector-width=256",)}
#: The narrower form has to be faster by this factor: differences below are noise.
GAIN = 0.95
#: Lanes of an update that is timed (a call from Python takes as long as some hundred lanes),
#: updates of a round, and rounds, of which the fastest counts.
TIMED_LANES, UPDATES, ROUNDS = 4096, 20, 25


def has_forms(level: Level) -> bool:
    """Whether there is a choice: the level's vectors have 512 bits."""
    return level.lanes * 32 == max(FORMS)


def chosen_flags(level: Level, folder: Path, updates: Any) -> tuple[str, ...]:
    """Compiler flags of the faster form; those of the level where nothing can be measured.

    Args:
        level: an instruction-set level.
        folder: where libraries are kept, and the answer.
        updates: takes a neuron program and the flags of a form, and answers with the address of
            its `update_sequences`.
    """
    if not has_forms(level):
        return ()
    return FORMS[_chosen(level, folder, updates)]


@functools.lru_cache(maxsize=16)
def _chosen(level: Level, folder: Path, updates: Any) -> int:
    known = folder / f"vectors-{level.name}-{_processor()}.txt"
    try:
        with known.open("rb") as file:
            kept = file.read(8).decode("ascii", "replace").strip()
    except OSError:
        kept = ""
    for width in FORMS:
        if kept == str(width):
            return width
    from lnn2loihi.simulation.native.shipped import shipped_programs  # which knows this module

    program = max(shipped_programs(), key=lambda one: len(one.instructions))
    try:
        functions = [updates(program, flags) for flags in FORMS.values()]
    except BackendMissingError:  # what the wheel brings is what there is
        return next(iter(FORMS))
    wide, narrow = fastest_times(functions, len(program.accumulators), len(program.parameters))
    width = min(FORMS) if narrow < GAIN * wide else max(FORMS)
    try:
        write_atomically(known, f"{width}\n".encode())
    except OSError:
        pass  # it is measured again next time
    return width


def _processor() -> str:
    """A name for the kind of processor that this is."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    said = [line for line in lines if line.startswith(("vendor_id", "cpu family", "model"))]
    text = "\n".join(dict.fromkeys(said)) or os.uname().machine
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fastest_times(addresses: Sequence[int], accumulators: int, parameters: int) -> list[float]:
    """Processor time in seconds that updates of the same program take, measured in turns.

    The program has no words whose saturations are counted, so that it takes any number of lanes.

    Args:
        addresses: of `update_sequences`, one for each form.
        accumulators: of the program.
        parameters: of the program.
    """
    update = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 7, ctypes.c_int)
    rng = np.random.default_rng(0)
    sums = rng.integers(-(1 << 14), 1 << 14, (accumulators, TIMED_LANES), dtype=np.int32)
    values = np.full(max(parameters, 1), 64, np.int32)
    shifts = np.full(16, 6, np.int32)
    states = np.zeros((4, TIMED_LANES), np.int32)
    message = np.zeros(TIMED_LANES, np.int32)
    live, saturated = np.ones(TIMED_LANES, np.int32), np.zeros(16, np.int64)
    arguments = [a.ctypes.data for a in (sums, values, shifts, states, message, live, saturated)]
    times = [float("inf")] * len(addresses)
    functions = [update(address) for address in addresses]
    for _ in range(ROUNDS):
        for place, function in enumerate(functions):
            begin = time.process_time()
            for _ in range(UPDATES):
                function(*arguments, TIMED_LANES)
            times[place] = min(times[place], time.process_time() - begin)
    return times
