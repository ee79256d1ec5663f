"""What streams have in common: samples that do not come, elapsed times beyond the range, and what
an output says before its first sample.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.sequences import FloatArray

#: What to do where no sample comes: the last one again, zeros, or nothing until one comes.
Missing = Literal["hold", "zero", "wait"]
_log = logging.getLogger("lnn2loihi")


def policy(program: LoihiProgram, missing: Missing | None) -> Missing:
    """What to do where no sample comes; where time is irregular, to wait unless told otherwise.

    Raises:
        InputError: nobody has said so, and time is constant.
    """
    if missing is None and not program.timed:
        raise InputError(
            "x", "is None: a sample has not come, and nobody has said what to do; open the stream "
            'with missing="hold" (the last sample again), "zero" (a sample of 0) or "wait" (the '
            "network stands still)"
        )  # fmt: skip
    return missing or "wait"


def nothing_to_hold() -> InputError:
    """There is no last sample."""
    return InputError("missing", '"hold" has nothing to hold before the first sample; give one')


def resting(
    program: LoihiProgram, state: Mapping[str, Mapping[str, Any]], batch: int
) -> IntegerArray:
    """Messages of the output population before its first sample, int64 (batch, outputs).

    Args:
        program: what runs.
        state: for each population and word (batch, neurons).
        batch: how many sequences.
    """
    output = program.output_population
    kept = output.program.message_state
    found = state[output.name][kept] if kept else np.zeros((batch, output.size))
    return np.array(found, np.int64)


def encoded_time(program: LoihiProgram, elapsed: FloatArray) -> FloatArray:
    """Elapsed times as the messages that stand for them, not saturated, float64."""
    port = program.input
    with np.errstate(over="ignore"):
        return np.floor((elapsed - port.offset[-1]) * port.gain[-1] + 0.5)


def decoded_time(program: LoihiProgram, messages: FloatArray) -> FloatArray:
    """Elapsed times that messages stand for."""
    return messages / program.input.gain[-1] + program.input.offset[-1]


def out_of_range(
    program: LoihiProgram, samples: npt.NDArray[Any], encoded: bool
) -> npt.NDArray[np.bool_]:
    """Which values (..., channels) saturate when they are sent."""
    port, messages = program.input, samples
    if not encoded:
        with np.errstate(over="ignore"):
            messages = np.floor((samples - port.offset) * port.gain + 0.5)
    return (messages < port.low) | (messages > port.high)


def report_elapsed(program: LoihiProgram, elapsed: float) -> None:
    """Says that an elapsed time is beyond what the network was calibrated with."""
    port = program.input
    ends = decoded_time(program, np.array([port.low[-1], port.high[-1]], np.float64))
    _log.warning(
        "program %r is told an elapsed time of %g in place of %g: its input takes %g to %g, what "
        "it was calibrated with. A stream says this once; stream.clipped_elapsed counts them",
        program.name, np.clip(elapsed, *ends), elapsed, *ends,
    )  # fmt: skip
