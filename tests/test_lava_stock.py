"""Programs of stock neurons on Lava's own process models: the integers of the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from patience import PATIENCE
from programs import Sizes, random_program
from stock_graphs import endless, looped, population, program

import lnn2loihi as l2l
from lnn2loihi.errors import BackendMissingError, ProgramError
from lnn2loihi.lava import lava_is_installed, plan
from lnn2loihi.lava.stock import LavaStock, execute_stock
from lnn2loihi.lava.stock_plan import stock_plan, why_not_stock
from lnn2loihi.neurons.stock import StockNeuron
from lnn2loihi.program import Connection, LoihiProgram
from lnn2loihi.simulation import full_initial_state
from lnn2loihi.simulation.reference import run_reference

needs_lava = pytest.mark.skipif(not lava_is_installed(), reason="lava-nc is not installed")
pytestmark = pytest.mark.slow
State = Mapping[str, Mapping[str, np.ndarray]]


def assert_lava_equals(
    made: LoihiProgram, batch: int, time: int, seed: int = 0, state: State | None = None
) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.integers(made.input.low, made.input.high + 1, (batch, time, made.input.size))
    start = full_initial_state(made, batch, state)
    expected = run_reference(made, inputs, start).states
    found = execute_stock(made, inputs, start, time_limit=PATIENCE).states
    assert found.keys() == expected.keys()
    for name, words in expected.items():
        assert found[name].keys() == words.keys()
        for word, values in words.items():
            assert np.array_equal(found[name][word], values), f"{name}.{word}"


@needs_lava
@pytest.mark.parametrize("interleave", [1, 2])
@pytest.mark.parametrize(
    ("kind", "threshold"), [("rectifier", 0), ("rectifier", 500), ("threshold", 0),
                            ("threshold", 700)],
)  # fmt: skip
def test_equals_the_reference(kind: str, threshold: int, interleave: int) -> None:
    for seed in range(2):
        made = looped(seed, kind=kind, threshold=threshold, interleave=interleave)
        assert_lava_equals(made, 3, 10, seed)


@needs_lava
def test_several_samples_of_one_update_each_and_loops_that_begin_somewhere() -> None:
    made = replace(looped(4, units=4), substeps=3)
    begun = {"product": {"sent": np.random.default_rng(2).integers(-16000, 16000, (3, 4))}}
    assert_lava_equals(made, 3, 6, state=begun)


@needs_lava
@pytest.mark.parametrize("interleave", [1, 2])
def test_sequences_that_follow_each_other_do_not_hear_each_other(
    monkeypatch: pytest.MonkeyPatch, interleave: int
) -> None:
    made = looped(1, interleave=interleave)
    monkeypatch.setattr(plan, "LARGEST_SIZE", plan.size_of_one(made) * 2 + 1)
    layout = stock_plan(made).layout(7, 5)
    assert (layout.width, layout.chunks, layout.silence > 0) == (2, 4 // interleave, True)
    begun = {"product": {"sent": np.random.default_rng(2).integers(-16000, 16000, (7, 3))}}
    assert_lava_equals(made, 7, 5, state=begun)


@needs_lava
def test_loops_that_never_end_run_side_by_side_only(monkeypatch: pytest.MonkeyPatch) -> None:
    made = endless()
    state = {"ring": {"sent": np.array([[1, 2, 3], [4, 5, -6]])}}
    assert_lava_equals(made, 2, 5, state=state)
    monkeypatch.setattr(plan, "LARGEST_SIZE", 1)
    with pytest.raises(ProgramError, match="may send for ever once its samples have ended"):
        assert_lava_equals(made, 2, 5, state=state)


def test_how_long_it_takes_until_all_is_silent() -> None:
    # A loop ends where it passes a product with what comes from outside of it, and only there.
    assert stock_plan(looped()).settling == 3
    assert stock_plan(endless()).settling is None


def test_the_host_sends_samples_constants_and_what_loops_begin_with() -> None:
    made = looped(units=3, channels=2)
    inputs = np.array([[[11, 12], [21, 22]]])
    start = full_initial_state(made, 1, {"product": {"sent": np.array([[7, 8, 9]])}})
    found = stock_plan(made, start)
    assert [(c.name, c.role, c.size) for c in found.channels] == [
        ("input", "samples", 2), ("constants", "constant", 2), ("product", "before", 3),
    ]  # fmt: skip
    assert {one.source for one in found.synapses} >= {found.host}
    assert found.stream(found.layout(1, 2), inputs, start).tolist() == [
        [11, 12, 90, 1, 7, 8, 9],
        [0] * 7,
        [21, 22, 90, 1, 0, 0, 0],
        *[[0] * 7] * 3,
    ]


def refusals(made: LoihiProgram) -> str:
    with pytest.raises(ProgramError) as caught:
        stock_plan(made)
    assert list(caught.value.problems) == why_not_stock(made)
    assert LavaStock().reason_against(made) == "; ".join(why_not_stock(made))
    return str(caught.value)


def test_other_neurons_are_refused_by_name() -> None:
    text = refusals(random_program(11, Sizes(layers=(4, 3), readout=1)))
    assert "none of Lava's own neurons" in text and "--target stock" in text
    assert all(p.name in text for p in random_program(11, Sizes(layers=(4, 3))).populations)


def test_delays_are_refused_by_name() -> None:
    constants = population("constants", StockNeuron("constant"), 1, 5, value=[5])
    relay = population("relay", StockNeuron("threshold"), 1, 100)
    sums = population("sums", StockNeuron("threshold"), 1, 300)
    one = [[1]]
    made = program(
        [constants, relay, sums],
        [
            Connection.from_dense("input", "relay", ("a_in",), one),
            Connection.from_dense("relay", "sums", ("a_in",), one),
            Connection.from_dense("constants", "sums", ("a_in",), one, delay=1),
        ],
        "sums", 1,
    )  # fmt: skip
    assert "synapses with delays: constants -> sums (1)" in refusals(made)


def test_executors_refuse_what_they_cannot_run_and_say_what_to_type() -> None:
    other = random_program(11, Sizes(layers=(4,), readout=0))
    x = np.zeros((1, 2, other.channels))
    with pytest.raises(BackendMissingError, match="none of Lava's own neurons.*--target stock"):
        l2l.simulate(other, x, engine="lava-stock")


@needs_lava
def test_verify_names_the_independent_oracle() -> None:
    made = looped(2)
    x = np.random.default_rng(0).integers(-100, 101, (2, 4, 2)).astype(float)
    found = l2l.verify(made, x, "reference,lava-stock")
    assert found.bit_exact
    assert list(found.independent) == ["lava-stock"]
    assert "independent oracle lava-stock: neurons and synapses are Lava's own" in found.summary()
    assert found.to_dict()["independent"] == dict(found.independent)
    assert found.executors[1].startswith("lava-nc") and "its own processes" in found.executors[1]
