"""Figures of families.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnn2loihi.files import write_atomically

if TYPE_CHECKING:
    from families_sine import SineRow

#: Names in legends, and colours that stay apart for most eyes (Okabe and Ito 2008).
STYLE = {
    "cfc": ("CfC", "#0072B2"),
    "ncp": ("CfC, NCP wiring", "#56B4E9"),
    "ltc": ("LTC", "#CC79A7"),
    "gru": ("GRU", "#D55E00"),
    "lstm": ("LSTM", "#E69F00"),
    "mingru": ("minGRU", "#009E73"),
    "minlstm": ("minLSTM", "#000000"),
    "mingru2": ("minGRU, 2 layers", "#009E73"),
    "minlstm2": ("minLSTM, 2 layers", "#000000"),
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
    """Error by noise, for networks trained without and with noise."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from families_sine import NOISES, TRAINED

    figure, axes = plt.subplots(1, len(TRAINED), figsize=(9, 3.6), sharey=True)
    for axis, noise in zip(axes, TRAINED, strict=True):
        for row in rows:
            if row.noise == noise:
                label, colour = STYLE[row.family]
                axis.semilogy(NOISES, row.float_mse, "o-", ms=3, lw=1.2, color=colour, label=label)
                axis.semilogy(NOISES, row.chip_mse, "x:", ms=4, lw=0.8, color=colour)
        axis.set_title("trained without noise" if noise == 0 else f"trained with noise {noise:g}")
        axis.set_xlabel("deviation of the noise in the test")
        axis.grid(alpha=0.3, which="both", lw=0.4)
    axes[0].set_ylabel("mean squared error")
    axes[-1].legend(
        fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False,
        title="line: float, dotted: w8a12", title_fontsize=7,
    )  # fmt: skip
    _saved(figure, folder / "families_sine.svg")


def plot_tasks(folder: Path, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Accuracy of the float network and of w8a12 against the estimated energy of a sample."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(4.6 * len(results), 3.6), squeeze=False)
    for axis, (task, rows) in zip(axes[0], results.items(), strict=True):
        key = next(iter(rows[0]["figures"]["float"]))
        for row in rows:
            label, colour = STYLE[row["family"]]
            nominal, low, high = row["energy_uj"]
            value = row["figures"]["w8a12"][key]
            axis.errorbar(nominal, value, xerr=[[nominal - low], [high - nominal]], fmt="o", ms=4,
                          lw=0.8, capsize=2, color=colour, label=label)  # fmt: skip
        axis.set_xscale("log")
        axis.set_title(task)
        axis.set_xlabel("energy a sample [uJ], estimated, 5 to 95 %")
        axis.set_ylabel(f"{key}, w8a12")
        axis.grid(alpha=0.3, which="both", lw=0.4)
    axes[0][-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    _saved(figure, folder / "families_tasks.svg")
