"""Layers behind a mixed memory that feeds their input, as ncps.keras has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_ltc
from variants import Variant, ltc_behind_memory, network, samples

import lnn2loihi as l2l
from lnn2loihi.families.lstm.memory import MEMORY_GATES


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def remembered(
    memory: l2l.Memory, z: np.ndarray, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The answer and the cell state of an LSTM whose forget gate has one more."""
    given, let_in, kept, out = (z @ gate.weight.T + gate.bias for gate in memory.gates)
    cell = cell * sigmoid(kept + 1.0) + np.tanh(given) * sigmoid(let_in)
    return np.tanh(cell) * sigmoid(out), cell


def test_a_row_of_layers_hears_the_memory() -> None:
    variant = Variant(input_memory=True, layers=2, heads="linear", readout=False)
    made = network(variant)
    (layer,) = made.layers
    assert isinstance(layer, l2l.InputMemory) and made.timespan is not None
    x, _ = samples(variant, 3, 9)
    states = [np.zeros((3, one.units)) for one in layer.layers]
    cell, answers = np.zeros((3, layer.memory_units)), []
    for step in x.transpose(1, 0, 2):
        heard, cell = remembered(layer.memory, np.hstack([step, *states]), cell)
        for place, one in enumerate(layer.layers):
            assert isinstance(one, l2l.CfCLayer)
            z = np.hstack([heard, states[place]])
            f1, f2, rate, base = (z @ m.weight.T + m.bias for m in one.maps)
            heard = states[place] = f1 + sigmoid(rate * made.timespan + base) * (f2 - f1)
        answers.append(heard)
    assert np.abs(made.evaluate(x).outputs - np.stack(answers, 1)).max() < 1e-12


@pytest.mark.parametrize("timespan", [0.7, None])
def test_an_ltc_hears_the_memory_in_every_unfold(timespan: float | None, tmp_path: Path) -> None:
    layer = ltc_behind_memory(4, timespan)
    (ltc,) = layer.layers
    assert isinstance(ltc, l2l.LTCLayer)
    net = l2l.LiquidNetwork("net", (layer,), timespan=timespan)
    rng = np.random.default_rng(0)
    x, elapsed = rng.normal(size=(3, 8, 3)), rng.choice([0.0, 0.5, 2.0], (3, 8))
    given: dict[str, Any] = {} if timespan else {"timespans": elapsed}
    v, cell, answers = np.zeros((3, 5)), np.zeros((3, 5)), []
    kept = ltc.capacitance * ltc.unfolds
    for number, step in enumerate(x.transpose(1, 0, 2)):
        heard, cell = remembered(layer.memory, np.hstack([step, v]), cell)
        time = timespan or elapsed[:, number : number + 1]
        for _ in range(ltc.unfolds):
            z = np.hstack([heard, v])[:, None]
            opened = sigmoid(ltc.slope * z + ltc.offset) * ltc.wiring
            current = (opened * ltc.current.weight).sum(-1) + ltc.current.bias
            conductance = (opened * ltc.conductance.weight).sum(-1) + ltc.conductance.bias
            v = (kept * v + time * current) / (kept + time * conductance)
        answers.append(v)
    assert np.abs(net.evaluate(x, **given).outputs - np.stack(answers, 1)).max() < 1e-12
    calibrated = {f"calibrate_{key}": value for key, value in given.items()}
    program = l2l.quantize(net, x, **calibrated)  # pyright: ignore[reportArgumentType]
    assert l2l.verify(program, x, "reference,c,blas", **given).bit_exact
    path = l2l.save(net, tmp_path / "net.l2n")
    assert np.array_equal(l2l.load(path).evaluate(x, **given).outputs,
                          net.evaluate(x, **given).outputs)  # fmt: skip


def test_what_does_not_fit_is_said() -> None:
    layer = network(Variant(input_memory=True, layers=2)).layers[0]
    assert isinstance(layer, l2l.InputMemory)

    def problems(**changes: object) -> str:
        with pytest.raises(l2l.NetworkError) as caught:
            l2l.LiquidNetwork("net", (replace(layer, **changes),))  # type: ignore[arg-type]
        return str(caught.value)

    first, second = layer.layers
    assert "it has no layers" in problems(layers=())
    assert "memory has" in problems(layers=(second, first))
    dense = l2l.DenseLayer("dense", l2l.Linear("sum", np.eye(5), np.zeros(5)), "relu")
    assert "dense: has no state, which the memory memory rules out" in problems(layers=(dense,))
    gates = tuple(l2l.Linear(g, np.zeros((11, 11)), np.zeros(11)) for g in MEMORY_GATES)
    assert "columns cannot hold at least one input" in problems(memory=l2l.Memory(gates))
    two = (random_ltc(0, inputs=10, units=5).layers[0], random_ltc(1, inputs=5, units=5).layers[0])
    two = (two[0], two[1].renamed(lambda name: "ltc_1"))
    assert "2 layers that take 4 steps for each sample; one alone can" in problems(layers=two)
