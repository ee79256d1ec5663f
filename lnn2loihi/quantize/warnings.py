"""Names losses of precision that the user did not ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantize.calibration import Calibration
from lnn2loihi.quantize.measurements import weighted

#: An input channel that spans fewer steps of its own format than this is called coarse.
COARSE_STEPS = 32
#: A stage whose signal is not this much stronger than its error is named, in decibels.
POOR_DB = 15.0
#: Weight bits that the accumulator's bound may take before it is said.
TAKEN_BITS = 1.0
LISTED = 8


def precision_warnings(
    program: LoihiProgram, calibration: Calibration, rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """A sentence for each loss, with what to do.

    Args:
        program: the quantized program.
        calibration: what it was calibrated with.
        rows: its summary table.
    """
    found = _input_warnings(program, calibration)
    for row in rows[1:]:
        asked = max(c.mantissa_bits for c in weighted(program, row["stage"]))
        if asked - row["weight_bits_used"] > TAKEN_BITS:
            found.append(
                f"{row['stage']}: the 24-bit accumulator leaves {row['weight_bits_used']:.1f} of "
                f"{asked} weight bits; narrower messages or inputs leave more (w8a12, w8a10)"
            )
        quality = row["signal_to_noise_db"]
        if quality is not None and quality < POOR_DB:
            found.append(
                f"{row['stage']}: the error is within {quality:.1f} dB of the signal on the "
                "calibration data; use a wider recipe, or train with the chip's arithmetic"
            )
    return found


def _input_warnings(program: LoihiProgram, calibration: Calibration) -> list[str]:
    spans = calibration.input_high - calibration.input_low
    steps = (program.input.high - program.input.low)[: program.channels]
    constant = np.flatnonzero(spans == 0)
    coarse = np.flatnonzero((spans > 0) & (steps < COARSE_STEPS))
    found: list[str] = []
    if constant.size:
        found.append(
            f"input channels {_names(constant)} are constant in the calibration data: any other "
            "value will saturate; calibrate with data that vary"
        )
    if coarse.size:
        found.append(
            f"input channels {_names(coarse)} span fewer than {COARSE_STEPS} steps of their "
            "formats, since they vary little around a large value: subtract it (standardise the "
            "channels in front of the network) or give inputs more bits"
        )
    return found


def _names(channels: np.ndarray) -> str:
    listed = ", ".join(str(channel) for channel in channels[:LISTED])
    return listed if channels.size <= LISTED else f"{listed} and {channels.size - LISTED} more"
