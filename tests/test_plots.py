"""Pictures of results, and progress where nobody and somebody looks."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from networks import random_network, random_samples

import lnn2loihi as l2l
from lnn2loihi.models import damped_sine
from lnn2loihi.showing import bars
from lnn2loihi.showing.bars import progress_or_bars

matplotlib = pytest.importorskip("matplotlib", reason="plots need matplotlib")


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """One of each class that draws itself, by its name."""
    network = damped_sine.load()
    x = random_samples(1, 2, 12, 1)
    program = l2l.quantize(network, x)
    costs = l2l.profile(program, x, against=(), rate=100.0)
    rows = l2l.profile(program, x, against=(), frontier=False)
    return {
        "network": network,
        "comparison": l2l.compare(network, program, x),
        "placement": l2l.place(program),
        "costs": costs,
        "rows": rows,
        "frontier": costs.frontier,
        "passes": l2l.monte_carlo(network, x, 4, dropout=0.2),
    }


NAMES = ("network", "comparison", "placement", "costs", "rows", "frontier", "passes")


@pytest.mark.parametrize("name", NAMES)
def test_each_draws_itself_with_units(results: dict[str, Any], name: str) -> None:
    axes = results[name].plot()
    axes.figure.canvas.draw()
    assert axes.get_title() and axes.get_xlabel()
    if name not in ("network", "rows"):
        assert "(" in axes.get_ylabel()
        assert axes.get_legend() is not None


@pytest.mark.parametrize("name", NAMES)
def test_it_draws_on_axes_that_are_given(results: dict[str, Any], name: str) -> None:
    from matplotlib import pyplot

    figure, given = pyplot.subplots()
    assert results[name].plot(ax=given) is given
    assert pyplot.get_fignums() == [figure.number]


def test_a_difference_stands_at_its_step(results: dict[str, Any]) -> None:
    found = results["comparison"]
    lines = {line.get_label(): line for line in found.plot().get_lines()}
    assert [*lines] == [stage.stage for stage in found.stages]
    for stage in found.stages:
        assert np.array_equal(lines[stage.stage].get_ydata(), stage.rms_by_step)


def test_what_a_core_takes_is_stacked(results: dict[str, Any]) -> None:
    placement = results["placement"]
    bars_of = placement.plot().patches
    tops = [patch.get_y() + patch.get_height() for patch in bars_of][-len(placement.cores) :]
    assert tops == pytest.approx([core.memory / 1024 for core in placement.cores])


@pytest.mark.parametrize("seed", range(4))
def test_pairs_of_a_network_are_those_that_synapses_join(seed: int) -> None:
    from matplotlib.collections import LineCollection

    network = random_network(seed)
    drawn = sum(
        len(lines.get_segments())
        for lines in network.plot().collections
        if isinstance(lines, LineCollection)
    )
    joined = 0
    for stage in network.stages:
        pairs = np.any([gate.weight != 0 for gate in stage.gates.values()], axis=0)
        joined += int(pairs.sum())
        place = 0
        for source in stage.sources:
            if source.name == stage.name:
                joined -= int(np.diagonal(pairs[:, place : place + source.columns]).sum())
            place += source.columns
    assert drawn == joined


def test_axes_of_another_kind_are_refused(results: dict[str, Any]) -> None:
    with pytest.raises(l2l.InputError, match="ax is of type str; give axes of matplotlib"):
        results["comparison"].plot(ax="axes")


@pytest.mark.parametrize("name", NAMES)
def test_without_matplotlib_the_extra_is_named(
    results: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def missing(module: str, *args: Any, **kwargs: Any) -> Any:
        if module.startswith("matplotlib"):
            raise ImportError("No module named 'matplotlib'")
        return imported(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(l2l.BackendMissingError, match=r"pip install 'lnn2loihi\[plot\]'") as caught:
        results[name].plot()
    assert caught.value.exit_code == 3


class TestProgress:
    def test_nothing_is_written_where_nobody_looks(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with progress_or_bars(None) as on_step:
            assert on_step is not None
            on_step("simulate", 1, 2)
        assert capsys.readouterr() == ("", "")

    def test_what_was_given_is_called_and_false_is_nothing(self) -> None:
        def given(name: str, done: int, total: int) -> None: ...

        with progress_or_bars(given) as on_step:
            assert on_step is given
        with progress_or_bars(False) as on_step:
            assert on_step is None

    def test_a_notebook_has_a_line_for_each_phase_that_changes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown: list[list[str]] = []

        class Handle:
            def __init__(self, place: int) -> None:
                self.place = place

            def update(self, what: object) -> None:
                shown[self.place].append(repr(what))

        def display(what: object, display_id: bool) -> Handle:
            assert display_id
            shown.append([repr(what)])
            return Handle(len(shown) - 1)

        monkeypatch.setattr(bars, "_notebook", lambda: display)
        with progress_or_bars(None) as on_step:
            assert on_step is not None
            on_step("place", 0, 2)
            on_step("measure", 1, 4)
            on_step("place", 2, 2)
        assert shown == [
            [f"place [{'.' * 30}] 0/2", f"place [{'#' * 30}] 2/2"],
            [f"measure [{'#' * 7}{'.' * 23}] 1/4"],
        ]


def test_a_comparison_of_clipped_samples_says_so() -> None:
    network = random_network(7)
    x = np.random.default_rng(1).normal(size=(2, 12, network.input_size))
    comparison = l2l.compare(network, l2l.quantize(network, calibrate=x), 9.0 * x)
    assert comparison.saturated
    expected = f"{comparison.saturated} input values were outside the calibrated range"
    assert expected in comparison.plot().get_xlabel()
