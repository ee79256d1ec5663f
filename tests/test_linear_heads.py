"""CfCs of Keras: heads without tanh, which nothing bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lnn2loihi as l2l
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.linear_heads import LinearHeadsStage


def linear_network(mode: str, irregular: bool, seed: int = 0) -> l2l.LiquidNetwork:
    random = np.random.default_rng(seed)
    maps = [
        l2l.Linear(gate, random.normal(size=(5, 8)) * 0.3, random.normal(size=5) * 0.2)
        for gate in CfCLayer.gates
    ]
    layer = CfCLayer("cfc", *maps, mode=mode, heads="linear")
    readout = l2l.Linear("out", random.normal(size=(2, 5)), random.normal(size=2))
    return l2l.LiquidNetwork("net", (layer,), readout, None if irregular else 0.7)


@pytest.mark.parametrize("irregular", [False, True])
@pytest.mark.parametrize("mode", ["default", "no_gate"])
@pytest.mark.parametrize("recipe", ["w8a12", "w4a8", "w8a16"])
def test_linear_heads_on_the_chip(mode: str, irregular: bool, recipe: str) -> None:
    network = linear_network(mode, irregular)
    assert isinstance(network.stages[0], LinearHeadsStage)
    random = np.random.default_rng(1)
    x = random.normal(size=(4, 20, 3))
    times: dict[str, Any] = (
        {"timespans": random.uniform(0.1, 2.0, size=(4, 20))} if irregular else {}
    )
    more: dict[str, Any] = {f"calibrate_{key}": value for key, value in times.items()}
    program = l2l.quantize(network, calibrate=x, recipe=recipe, **more)
    answers = [l2l.simulate(program, x, one, **times) for one in ("reference", "blas")]
    assert np.array_equal(answers[0].integers, answers[1].integers)
    right = network.evaluate(x, **times).outputs
    error = np.sqrt(np.mean((answers[0].outputs - right) ** 2)) / right.std()
    assert error < {"w8a12": 0.02, "w4a8": 0.3, "w8a16": 0.02}[recipe]


def test_linear_heads_that_run_away_are_counted() -> None:
    """A state that grows by a fifth with each step is clipped where calibration did not see it."""
    weight = np.hstack([np.ones((5, 3)), 1.2 * np.eye(5)])
    head = [l2l.Linear(gate, weight, np.zeros(5)) for gate in ("ff1", "ff2")]
    gate = [l2l.Linear(gate, 0.0 * weight, np.zeros(5)) for gate in ("time_a", "time_b")]
    layer = CfCLayer("cfc", *head, *gate, heads="linear")
    x = np.ones((1, 30, 3))
    program = l2l.quantize(l2l.LiquidNetwork("net", (layer,)), calibrate=x[:, :5])
    found = l2l.simulate(program, x).saturated_words
    assert found is not None
    counted = found["cfc"]
    assert sum(int(np.sum(count)) for count in counted.values()) > 0


def test_the_shipped_network() -> None:
    from lnn2loihi.models import linear_cfc

    network, program = linear_cfc.load(), linear_cfc.program()
    assert (network.input_size, network.output_size) == (17, 17)
    assert program.provenance["source.sha256"] == network.source["sha256"]
    x = np.random.default_rng(0).normal(size=(4, 20, 17))
    plain = l2l.quantize(network, x, "w8a12")
    assert [p.program.instruction_count for p in plain.populations] == [44, 6]
    assert plain.schedule.period == 1
    assert l2l.verify(program, x[:2, :4], "reference,blas").bit_exact


def test_unknown_heads_are_refused() -> None:
    layer = linear_network("default", False).layers[0]
    assert isinstance(layer, CfCLayer)
    with pytest.raises(l2l.NetworkError, match="unknown heads 'odd'; there are tanh, linear"):
        l2l.LiquidNetwork("net", (l2l.CfCLayer("cfc", *layer.maps, heads="odd"),))
