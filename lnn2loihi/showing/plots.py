"""Pictures of results, through matplotlib (the extra `plot`), which is imported when one is drawn.

Every plot takes `ax`, axes to draw on, and answers the axes that it drew on; without it makes a
figure of its own, which a notebook shows. Colours are those of Okabe and Ito
(https://jfly.uni-koeln.de/color/), which readers tell apart who do not see red or green; where
something is known by an interval, the interval is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.errors import BackendMissingError, InputError
from lnn2loihi.layers.stage import INPUT
from lnn2loihi.tiers import ESTIMATED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lnn2loihi.comparison import ComparisonResult
    from lnn2loihi.network import LiquidNetwork
    from lnn2loihi.placement.placement import Placement
    from lnn2loihi.profiling.frontier import Frontier
    from lnn2loihi.profiling.quantity import Quantity
    from lnn2loihi.profiling.result import ProfileResult
    from lnn2loihi.uncertainty.result import MonteCarloResult

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_GRID = 0.25
#: Most rows whose energies are drawn: below each other, with a line of text each.
_MOST_ROWS = 40
#: Most passes that are drawn beside their mean.
_MOST_PASSES = 20
#: How far beside a column of units what they send to one another ends.
_ASIDE = 0.18
#: Limits that are so many times what the fullest core takes are named in place of a line.
_FAR = 4
#: What memory of a core is for, in the order in which it is stacked.
_MEMORY = ("synaptic", "axon", "program", "state", "accumulator", "parameter")


def axes_for(ax: Axes | None, width: float = 8.0, height: float = 4.5) -> Axes:
    """The axes that were given, or those of a new figure.

    Args:
        ax: axes of matplotlib; None for a figure of its own.
        width: of a new figure, inches.
        height: of a new figure, inches.

    Raises:
        BackendMissingError: matplotlib is not installed.
        InputError: `ax` are no axes of matplotlib.
    """
    try:
        from matplotlib import pyplot
        from matplotlib.axes import Axes
    except ImportError as error:
        raise BackendMissingError(
            "plot", f"needs matplotlib ({error}); install it: pip install 'lnn2loihi[plot]'"
        ) from error
    if ax is None:
        return pyplot.subplots(figsize=(width, height), layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise InputError("plot", f"ax is of type {type(ax).__name__}; give axes of matplotlib")
    return ax


def plot_comparison(result: ComparisonResult, ax: Axes | None = None) -> Axes:
    """Difference of each stage over the steps of a sequence.

    Args:
        result: what was compared.
        ax: axes to draw on.

    Raises:
        BackendMissingError, InputError: as `axes_for`.
    """
    axes = axes_for(ax)
    for place, stage in enumerate(result.stages):
        steps = np.arange(stage.rms_by_step.size)
        last = place == len(result.stages) - 1
        axes.plot(
            steps, stage.rms_by_step, label=stage.stage, lw=2.5 if last else 1.2,
            color=COLOURS[place % len(COLOURS)], ls="-" if place < len(COLOURS) else "--",
            marker="o" if steps.size == 1 else None,
        )  # fmt: skip
    if any((stage.rms_by_step > 0).any() for stage in result.stages):
        axes.set_yscale("log")
    axes.set(xlabel="step of a sequence (samples)", ylabel="rms difference (units of each stage)")
    if result.saturated:
        clipped = f"{result.saturated:,} input values were outside the calibrated range"
        axes.set_xlabel(f"{axes.get_xlabel()}\n{clipped}")
    axes.set_title("Integers against the float network; the answer is the thick line")
    return _finished(axes)


def plot_profile(result: ProfileResult, ax: Axes | None = None) -> Axes:
    """Energy of a sample: over the rate where a profile has looked for who wins, else of each row.

    Args:
        result: what was profiled.
        ax: axes to draw on.

    Raises:
        BackendMissingError, InputError: as `axes_for`; or no row has an energy.
    """
    if result.frontier is not None:
        axes = plot_frontier(result.frontier, ax)
        if result.rate is not None:
            axes.axvline(result.rate, color="0.4", lw=1, ls=":", label="the rate of the task")
            axes.legend(fontsize=8)
        return axes
    rows = [row for row in result.rows if row.total_energy is not None][:_MOST_ROWS]
    if not rows:
        raise InputError("plot", "no row of this profile has an energy: nothing can be drawn")
    axes = axes_for(ax, height=1.5 + 0.35 * len(rows))
    for place, row in enumerate(rows):
        assert row.total_energy is not None
        colour = COLOURS[("loihi", "cpu", "gpu", "mcu").index(row.kind) % len(COLOURS)]
        _interval(axes, row.total_energy, place, colour)
    names = [
        f"{row.title}, {row.backend}, {row.mode}\n{row.energy_tier or row.tier}" for row in rows
    ]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="energy of a sample (J)")
    axes.set_title("Interval and nominal value")
    axes.grid(alpha=_GRID)
    return axes


def plot_frontier(frontier: Frontier, ax: Axes | None = None) -> Axes:
    """Energy of a sample over the rate, with intervals, for as many copies as were asked for.

    Args:
        frontier: of a profile.
        ax: axes to draw on.

    Raises:
        BackendMissingError, InputError: as `axes_for`.
    """
    axes = axes_for(ax, height=5.0)
    rates = np.array(frontier.rates)
    row = next((row for row in frontier.rows if row.copies == frontier.asked), frontier.rows[0])
    for place, curve in enumerate(row.curves):
        colour = COLOURS[place % len(COLOURS)]
        here = rates[: len(curve.energies)]
        low, high = ([getattr(e, end) for e in curve.energies] for end in ("low", "high"))
        bounds = curve.tier == ESTIMATED
        name = f"{curve.label.split(' (')[0]}, {'bounds' if bounds else curve.tier.lower()}"
        shade = axes.fill_between(here, low, high, color=colour, alpha=0.1 if bounds else 0.2, lw=0)
        nominal = [e.value for e in curve.energies if e.value is not None]
        if bounds or len(nominal) < len(curve.energies):
            shade.set_label(name)
        else:
            axes.plot(here, nominal, color=colour, lw=2, label=name)
    axes.set(xscale="log", yscale="log", xlabel="samples a second", ylabel="energy of a sample (J)")
    copies = "One network" if row.copies == 1 else f"{row.copies:,} copies, a sample of one"
    axes.set_title(f"{copies}: nominal values, with the 5 % to 95 % range shaded")
    return _finished(axes)


def plot_placement(placement: Placement, ax: Axes | None = None) -> Axes:
    """Memory of each core by what it is for, the limit, and which core sets the time of a step.

    Args:
        placement: where a program stands.
        ax: axes to draw on.

    Raises:
        BackendMissingError, InputError: as `axes_for`.
    """
    axes = axes_for(ax)
    places = np.arange(len(placement.cores))
    below = np.zeros(places.size)
    for kind, colour in zip(_MEMORY, COLOURS, strict=False):
        bytes_of = np.array([getattr(core, f"{kind}_memory") for core in placement.cores])
        axes.bar(places, bytes_of / 1024, bottom=below / 1024, color=colour, label=kind, width=0.85)
        below += bytes_of
    limit = placement.device.get("memory_per_core")
    if limit is not None and limit.value <= _FAR * below.max():
        axes.axhline(limit.value / 1024, color="0.3", ls="--", lw=1, label="limit of a core")
    elif limit is not None:
        axes.plot([], [], " ", label=f"limit of a core, beyond: {limit.value / 1024:,.0f} KiB")
    slowest = placement.bottleneck
    axes.annotate(
        "slowest core", (slowest, below[slowest] / 1024), xytext=(0, 6), textcoords="offset points",
        ha="center", fontsize=8,
    )  # fmt: skip
    shown = places[:: -(-places.size // 16)]  # names that are more would overlap
    axes.set_xticks(shown, [placement.cores[place].name.removeprefix("core ") for place in shown])
    axes.set(xlabel="core (chip.number)", ylabel="memory (KiB)")
    axes.set_title(f"{placement.program.name} on {placement.device.title}, {placement.objective}")
    axes.grid(alpha=_GRID, axis="y")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4)
    return axes


def plot_network(network: LiquidNetwork, ax: Axes | None = None) -> Axes:
    """Wiring of a network: a column for each stage, a line for each pair that a synapse joins.

    What several gates of a unit hear from one source is one line. Lines of what is heard from the
    sample before are dashed; of those within a stage, only the pairs of different units are drawn.

    Args:
        network: the network.
        ax: axes to draw on.

    Raises:
        BackendMissingError, InputError: as `axes_for`.
    """
    stages = network.stages
    sizes = {INPUT: network.input_size, **{stage.name: stage.units for stage in stages}}
    columns = {name: place for place, name in enumerate(sizes)}
    axes = axes_for(ax, width=2.0 + 2.0 * len(sizes), height=5.0)
    from matplotlib.collections import LineCollection  # axes_for says what is missing

    now: list[Any] = []
    before: list[Any] = []
    for stage in stages:
        joined = np.any([gate.weight != 0 for gate in stage.gates.values()], axis=0)
        first = 0
        for source in stage.sources:
            block = joined[:, first : first + source.columns]
            first += source.columns
            ends = np.argwhere(block)
            from_x, to_x = columns[source.name], columns[stage.name]
            for unit, heard in ends[ends[:, 0] != ends[:, 1]] if from_x == to_x else ends:
                (before if source.previous else now).append([
                    (from_x, _height(heard, sizes[source.name])),
                    (to_x + _ASIDE * (from_x == to_x), _height(unit, sizes[stage.name])),
                ])  # fmt: skip
    for lines, colour, style, name in (
        (now, COLOURS[1], "-", f"from this sample, {len(now):,} pairs"),
        (before, COLOURS[0], (0, (3, 2)), f"from the sample before, {len(before):,} pairs"),
    ):
        if lines:
            strength = float(np.clip(150 / len(lines), 0.06, 0.7))
            axes.add_collection(
                LineCollection(lines, colors=colour, alpha=strength, lw=0.8, linestyles=style)
            )
            axes.plot([], [], color=colour, ls=style, label=name)
    within = {stage.name for stage in stages if stage.hears_itself}
    for name, place in columns.items():
        heights = [_height(unit, sizes[name]) for unit in range(sizes[name])]
        axes.scatter([place] * len(heights), heights, s=18, color="0.25", zorder=3)
        if name in within:
            axes.scatter([place + _ASIDE] * len(heights), heights, s=6, color="0.6", zorder=3)
    axes.set_xticks(range(len(sizes)), [f"{name}\n{size}" for name, size in sizes.items()])
    axes.set_yticks([])
    axes.set(xlabel="stage, and how many channels or units it has", ylabel="units")
    axes.set_title(f"{network.name}: {network.synapses:,} synapses", pad=22)
    axes.margins(0.08)
    if now or before:
        axes.legend(
            fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False
        )
    return axes


def plot_monte_carlo(result: MonteCarloResult, ax: Axes | None = None) -> Axes:
    """The first output of the first sequence: its mean, what covers 50 and 95 %, and some passes.

    Args:
        result: the passes.
        ax: axes to draw on.

    Raises:
        BackendMissingError, InputError: as `axes_for`; or the first sequence has no sample.
    """
    axes = axes_for(ax)
    length = int(result.lengths[0])
    if not length:
        raise InputError("plot", "the first sequence has no sample")
    steps, first = np.arange(length), np.s_[0, :length, 0]
    for sample in result.samples[:_MOST_PASSES]:
        axes.plot(steps, sample[first], color="0.6", lw=0.5, alpha=0.6)
    for level, alpha in ((0.95, 0.2), (0.5, 0.35)):
        interval = result.interval(level)
        covered = "coverage unknown" if interval.coverage is None else (
            f"covered {interval.coverage:.0%} of {interval.values:,} validation values"
        )  # fmt: skip
        axes.fill_between(
            steps, interval.low[first], interval.high[first], color=COLOURS[1], alpha=alpha, lw=0,
            label=f"{level:.0%} interval, {covered}",
        )  # fmt: skip
    axes.plot(steps, result.mean[first], color=COLOURS[0], lw=1.5, label="mean of the passes")
    axes.set(xlabel="sample", ylabel="output 0 (in the unit of the targets)")
    axes.set_title(f"{len(result.samples)} passes of Monte-Carlo dropout")
    return _finished(axes)


def _height(place: int, count: int) -> float:
    """Where a unit stands in its column, from 1 at the top to -1."""
    return 0.0 if count == 1 else 1.0 - 2.0 * place / (count - 1)


def _interval(axes: Axes, energy: Quantity, place: int, colour: str) -> None:
    axes.plot([energy.low, energy.high], [place, place], color=colour, lw=3, alpha=0.5)
    points: Sequence[float] = [e for e in (energy.value,) if e is not None]
    axes.plot(points, [place] * len(points), "o", color=colour, ms=5)


def _finished(axes: Axes) -> Axes:
    axes.grid(alpha=_GRID)
    axes.legend(fontsize=8)
    return axes


#: What draws a result, by the name of its class.
PLOTS: Mapping[str, Callable[[Any, Axes | None], Axes]] = {
    "ComparisonResult": plot_comparison,
    "Frontier": plot_frontier,
    "LiquidNetwork": plot_network,
    "MonteCarloResult": plot_monte_carlo,
    "Placement": plot_placement,
    "ProfileResult": plot_profile,
}
