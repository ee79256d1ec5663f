"""A gate that is saturated in the calibration data is named, whatever the family; so is silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from networks import random_ltc, random_samples
from variants import Variant, network, samples

import lnn2loihi as l2l
from lnn2loihi.families.lstm.memory import Memory
from lnn2loihi.layers.gated import GatedLayer

PUSHED = 40.0
#: Family, gate that gets biases, what is named, and at which end for a positive bias.
GATED = [
    ("gru", "reset_gate", "reset_gate", "01"),
    ("gru", "update_gate", "update_gate", "01"),
    ("lstm", "input_gate", "input_gate", "01"),
    ("lstm", "forget_gate", "forget_gate", "01"),
    ("lstm", "output_gate", "output_gate", "01"),
    ("mingru", "update_gate", "update_gate", "01"),
    ("minlstm", "forget_gate", "input_share", "10"),
]


def pushed(gates: tuple[l2l.Linear, ...], name: str, biases: Mapping[int, float]) -> Any:
    """The gates, one of which has other biases in some units."""
    made = []
    for gate in gates:
        bias = np.array(gate.bias)
        for unit, value in biases.items() if gate.name == name else ():
            bias[unit] = value
        made.append(l2l.Linear(gate.name, gate.weight, bias))
    return tuple(made)


def with_layer(made: l2l.LiquidNetwork, layer: Any) -> l2l.LiquidNetwork:
    return dataclasses.replace(made, layers=(layer, *made.layers[1:]))


def saturated(made: l2l.LiquidNetwork, x: np.ndarray, **options: Any) -> list[str]:
    return [w for w in l2l.quantize(made, x, **options).warnings if "is saturated in" in w]


@pytest.mark.parametrize("family, gate, named, ends", GATED)
def test_saturated_gates_are_named_in_every_family(
    family: str, gate: str, named: str, ends: str
) -> None:
    variant = Variant(family=family, seed=3)
    made = network(variant)
    layer = made.layers[0]
    assert isinstance(layer, GatedLayer)
    x, _ = samples(variant, 4, 12)
    assert not saturated(made, x)
    changed = dataclasses.replace(
        layer, gates=pushed(layer.gates, gate, {1: -PUSHED, 2: PUSHED, 4: PUSHED})
    )
    low, high = ("at 0 in 1 of 5 units (1)", "at 1 in 2 of 5 units (2, 4)")
    if ends == "10":  # shut gates of the other kind open this one; open ones leave it as it was
        low, high = "", "at 1 in 1 of 5 units (1)"
    where = f"{low}, {high}" if low else high
    assert saturated(with_layer(made, changed), x) == [
        f"gated_0: {named} is saturated in at least 100 % of the samples, in the float network "
        f"too: {where}; there it is a constant or a switch. If that is not meant, standardise the "
        "inputs, or train on with weight decay"
    ]


def test_a_saturated_gate_of_a_mixed_memory_is_named() -> None:
    variant = Variant(memory=True, seed=3)
    made = network(variant)
    layer = made.layers[0]
    assert isinstance(layer, l2l.CfCLayer) and layer.memory is not None
    gates = pushed(layer.memory.gates, "forget_gate", {0: PUSHED})
    changed = with_layer(made, dataclasses.replace(layer, memory=Memory(gates)))
    (warning,) = saturated(changed, samples(variant, 4, 12)[0])
    assert warning.startswith("layer_0.memory: forget_gate is saturated in at least 100 %")
    assert "at 1 in 1 of 5 units (0)" in warning


def test_elapsed_times_take_part_in_a_time_gate() -> None:
    variant = Variant(irregular=True, seed=3)
    made = network(variant)
    x, _ = samples(variant, 4, 12)
    layer = made.layers[0]
    assert isinstance(layer, l2l.CfCLayer)
    (time_a,) = pushed((layer.time_a,), "time_a", {3: 9.0})
    changed = with_layer(made, dataclasses.replace(layer, time_a=time_a))
    short, long = np.full(x.shape[:2], 0.1), np.full(x.shape[:2], 2.0)
    assert not saturated(changed, x, calibrate_timespans=short)
    (warning,) = saturated(changed, x, calibrate_timespans=long)
    assert warning.startswith("layer_0: time is saturated") and "units (3)" in warning


def test_a_gate_that_only_switches_is_named_as_such() -> None:
    variant = Variant(family="mingru", inputs=1, seed=3)
    made = network(variant)
    layer = made.layers[0]
    assert isinstance(layer, GatedLayer)
    weight = np.array(layer.gates[1].weight)
    weight[2] = PUSHED
    gates = (layer.gates[0], l2l.Linear("update_gate", weight, np.zeros(5)))
    changed = with_layer(made, dataclasses.replace(layer, gates=gates))
    x = np.where(np.arange(24) % 2, 0.9, -0.9).reshape(2, 12, 1)
    (warning,) = saturated(changed, x)
    assert "too: at either end in 1 of 5 units (2); there it is a constant or a switch" in warning


def test_synapses_that_never_change_give_one_line() -> None:
    made = random_ltc(1, density=1.0)
    layer = made.layers[0]
    assert isinstance(layer, l2l.LTCLayer)
    x = random_samples(1, 4, 12, 3)
    assert not saturated(made, x)
    offset = np.array(layer.offset)
    offset[:3] = -200.0
    stuck = with_layer(made, dataclasses.replace(layer, offset=offset))
    (warning,) = saturated(stuck, x)
    assert warning.startswith("ltc.synapses: opening is saturated in at least 100 % of the samples")
    assert "at 0 in 24 of 40 units (0, 1, 2, 3, 4, 5, 6, 7 and 16 more);" in warning


def test_a_silent_layer_has_no_ratio_and_is_named() -> None:
    variant = Variant(family="gru", seed=3)
    made = network(variant)
    layer = made.layers[0]
    assert isinstance(layer, GatedLayer)
    held = pushed(layer.gates, "update_gate", dict.fromkeys(range(5), PUSHED))
    changed = with_layer(made, dataclasses.replace(layer, gates=held))
    program = l2l.quantize(changed, samples(variant, 4, 12)[0])
    row = next(row for row in program.table if row["stage"] == "gated_0")
    assert row["signal_to_noise_db"] is None
    assert not any(w.startswith("gated_0: the error is within") for w in program.warnings)
    (warning,) = [w for w in program.warnings if w.startswith("gated_0: the float units stay")]
    assert "less than half a step (0.00049) of their messages, and the integers within" in warning
    assert "there is no signal that an error could be compared with" in warning
