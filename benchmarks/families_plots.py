"""Figures of families.py."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from families_tables import NAMES

from lnn2loihi.files import write_atomically

if TYPE_CHECKING:
    from families_sine import SineRow

#: Colours that stay apart for most eyes (Okabe and Ito 2008).
COLOURS = {
    "cfc": "#0072B2",
    "cfcb": "#003A66",
    "cfcm": "#7FB8DD",
    "ncp": "#56B4E9",
    "ltc": "#CC79A7",
    "ltc2": "#8A2BE2",
    "gru": "#D55E00",
    "lstm": "#E69F00",
    "mingru": "#009E73",
    "minlstm": "#000000",
    "mingru2": "#009E73",
    "minlstm2": "#000000",
}


def _saved(figure: Any, path: Path) -> None:
    import io

    import matplotlib.pyplot as plt

    text = io.StringIO()
    # Without dates and random names, the same figures give the same bytes.
    with plt.rc_context({"svg.hashsalt": "lnn2loihi", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue().encode())


def plot_sine(folder: Path, rows: Sequence[SineRow]) -> None:
    """Error by noise, for networks trained without and with noise: mean and range over seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from families_sine import NOISES, TRAINED

    figure, axes = plt.subplots(1, len(TRAINED), figsize=(9, 3.6), sharey=True)
    for axis, noise in zip(axes, TRAINED, strict=True):
        for family in dict.fromkeys(row.family for row in rows):
            own = [row for row in rows if (row.family, row.noise) == (family, noise)]
            floats = [row.float_mse for row in own]
            integers = [row.chip_mse for row in own if not row.refused]
            look = {"color": COLOURS[family], "lw": 1.2}
            axis.semilogy(NOISES, np.mean(floats, axis=0), "o-", ms=3, label=NAMES[family], **look)
            if integers:
                axis.semilogy(NOISES, np.mean(integers, axis=0), "x:", ms=4, **look)
            low, high = np.min(floats, axis=0), np.max(floats, axis=0)
            axis.fill_between(NOISES, low, high, color=COLOURS[family], alpha=0.15, lw=0)
        axis.set_title("trained without noise" if noise == 0 else f"trained with noise {noise:g}")
        axis.set_xlabel("deviation of the noise in the test")
        axis.grid(alpha=0.3, which="both", lw=0.4)
    axes[0].set_ylabel("mean squared error")
    axes[-1].legend(
        fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False,
        title="line: float, dotted: w8a12\nshade: range over seeds", title_fontsize=7,
    )  # fmt: skip
    _saved(figure, folder / "families_sine.svg")


def plot_tasks(folder: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Accuracy of w8a12, mean and range over seeds, against the estimated energy of a sample.

    Args:
        folder: where to.
        results: for each task the rows of `families.Accuracy` and `families.Chip`, as plain values.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(4.6 * len(results), 3.6), squeeze=False)
    for axis, (task, found) in zip(axes[0], results.items(), strict=True):
        key = next(iter(found["accuracy"][0]["figures"]["float"]))
        for row in found["chip"]:
            own = [r for r in found["accuracy"] if r["family"] == row["family"]]
            values = [r["figures"]["w8a12"][key] for r in own]
            mean = statistics.mean(values)
            nominal, low, high = row["energy_uj"]
            axis.errorbar(
                nominal, mean, xerr=[[nominal - low], [high - nominal]],
                yerr=[[mean - min(values)], [max(values) - mean]], fmt="o", ms=4, lw=0.8,
                capsize=2, color=COLOURS[row["family"]], label=NAMES[row["family"]],
            )  # fmt: skip
        axis.set_xscale("log")
        axis.set_title(task)
        axis.set_xlabel("energy a sample [uJ], estimated, 5 to 95 %\nplaced fast, pipelined")
        axis.set_ylabel(f"{key}, w8a12 (mean, range)")
        axis.grid(alpha=0.3, which="both", lw=0.4)
    axes[0][-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    _saved(figure, folder / "families_tasks.svg")
