"""What the tables and plots of families.py share."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

#: The families' names.
NAMES = {
    "cfc": "CfC",
    "ncp": "CfC, NCP wiring",
    "ltc": "LTC",
    "ltc2": "LTC, 2 unfolds",
    "gru": "GRU",
    "lstm": "LSTM",
    "mingru": "minGRU",
    "minlstm": "minLSTM",
    "mingru2": "minGRU, 2 layers",
    "minlstm2": "minLSTM, 2 layers",
}


def mean_and_range(values: Sequence[float], form: str) -> str:
    """The mean over seeds and, in brackets, smallest and largest."""
    mean = f"{statistics.mean(values):{form}}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):{form}} to {max(values):{form}})"
