"""LRC, LRCU and STC: equations, bounds, integers.

`lrc_answers.npz` holds random weights of the original (MoniFarsang/LRC, TensorFlow 2.15), samples
`x` with elapsed times `t`, and what it answered, for each of VARIANTS.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lrc_networks import KINDS, original, random_lrc

import lnn2loihi as l2l
from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.errors import NetworkError, QuantizationError
from lnn2loihi.families.lrc.description import LRC, LRCDescription
from lnn2loihi.families.lrc.layer import LRCLayer
from lnn2loihi.families.lrc.stage import LRCStage
from lnn2loihi.families.lrc.state import lrc_parts
from lnn2loihi.layers.linear import Linear
from lnn2loihi.network import LiquidNetwork

ANSWERS = dict(np.load(Path(__file__).parent / "lrc_answers.npz"))
#: For each variant in the file how it was built: elastance, unfolds, solver.
VARIANTS = {
    "symmetric": ("symmetric", 1, "explicit"), "asymmetric": ("asymmetric", 1, "explicit"),
    "interp": ("none", 1, "explicit"), "hybrid": ("symmetric", 1, "hybrid"),
    "unfold3": ("asymmetric", 3, "explicit"), "noforget": ("symmetric", 1, "explicit"),
}  # fmt: skip
CELL, DENSE = "rnn/lrc__cell/", "time_distributed/"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 14, 4))


def arrays_of(variant: str) -> dict[str, np.ndarray]:
    """The variables of the original by their names, without their numbers."""
    before = f"{variant}/w/"
    return {
        name[len(before) : -2]: array.astype(np.float64)
        for name, array in ANSWERS.items()
        if name.startswith(before)
    }


def tensors_of(variant: str) -> dict[str, Tensor]:
    return {
        name.replace("/", "."): Tensor("float64", array.shape, "float", lambda array=array: array)
        for name, array in arrays_of(variant).items()
    }


def network_of(variant: str) -> LiquidNetwork:
    """The network of the original's arrays, with the Dense after it."""
    elastance, unfolds, solver = VARIANTS[variant]
    description = LRCDescription(
        origin="net.toml", module=LRC, prefix="rnn.lrc__cell.", readout="time_distributed.",
        elastance_type=elastance, ode_unfolds=unfolds, ode_solver=solver,
    )  # fmt: skip
    parts, problems = lrc_parts(tensors_of(variant), description)
    assert parts is not None and not problems
    dense, mapped = arrays_of(variant), parts.readout
    assert mapped is not None
    kernel = dense[f"{DENSE}kernel"].T
    readout = Linear(
        "readout", kernel @ mapped.weight, kernel @ mapped.bias + dense[f"{DENSE}bias"]
    )
    return LiquidNetwork(variant, parts.layers, readout, None)


def samples() -> tuple[np.ndarray, np.ndarray]:
    return ANSWERS["x"].astype(np.float64), ANSWERS["t"].astype(np.float64)


def difference(program: Any, network: LiquidNetwork, x: np.ndarray, times: Any = None) -> float:
    """Root mean square difference of the outputs from floats, over that of these."""
    floats = network.evaluate(x, timespans=times).outputs
    integers = l2l.simulate(program, x, timespans=times).outputs
    return float(np.sqrt(np.mean((integers - floats) ** 2) / np.mean(floats**2)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_answers_as_the_original(variant: str) -> None:
    x, t = samples()
    network = network_of(variant)
    answers = network.evaluate(x, timespans=t[..., 0]).outputs
    np.testing.assert_allclose(answers, ANSWERS[f"{variant}/out"], rtol=0, atol=1e-6)
    cell = {k[len(CELL) :]: a for k, a in arrays_of(variant).items() if k.startswith(CELL)}
    elastance, unfolds, solver = VARIANTS[variant]
    outputs, states = original(cell, x, t, elastance=elastance, unfolds=unfolds, solver=solver)
    dense = arrays_of(variant)
    expected = outputs @ dense[f"{DENSE}kernel"] + dense[f"{DENSE}bias"]
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-12)
    found = network.evaluate(x, timespans=t[..., 0]).states["lrc"]
    last = found if unfolds == 1 else found[:, -states.shape[1] :]
    if unfolds == 1:
        np.testing.assert_allclose(last, states, rtol=0, atol=1e-12)


# ---------------------------------------------------------------- bounds


def arrays_at_random(seed: int, **kind: Any) -> LiquidNetwork:
    """Weights far from what training begins with: bounds hold for all."""
    network = random_lrc(seed, inputs=2, units=4, **kind)
    layer: Any = network.layers[0]
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-1.0, 1.5)
    maps = {
        name: Linear(name, scale * getattr(layer, name).weight, getattr(layer, name).bias)
        for name in ("update_gate", "forget_gate", "elastance")
        if getattr(layer, name) is not None
    }
    shift = None if layer.shift is None else scale * layer.shift
    return LiquidNetwork("far", (replace(layer, **maps, shift=shift),), None, network.timespan)


@given(
    kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 999), timespan=st.floats(0.05, 2.5),
    unfolds=st.integers(1, 3), negative=st.booleans(),
)  # fmt: skip
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_potential_leaves_its_bound(
    kind: str, seed: int, timespan: float, unfolds: int, negative: bool
) -> None:
    network = arrays_at_random(seed, **KINDS[kind], timespan=timespan, unfolds=unfolds)
    if negative:  # weights that nobody kept from falling below 0
        layer: Any = network.layers[0]
        if layer.forget_gate is not None:
            flipped = Linear("forget_gate", -layer.forget_gate.weight, layer.forget_gate.bias)
            network = LiquidNetwork("far", (replace(layer, forget_gate=flipped),), None, timespan)
    stage: Any = next(s for s in network.stages if isinstance(s, LRCStage))
    bounds = stage.bounds(timespan)
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.choice([-50.0, 0.0, 50.0], (6, 8, 2)), 3, axis=1)
    x[3:] += rng.normal(size=x[3:].shape)
    ends = np.where(np.isfinite(bounds), bounds, 0.0) * rng.choice([-1.0, 0.0, 1.0], (6, 4))
    states = network.evaluate(x, {"lrc": ends}).states["lrc"]
    known = np.isfinite(bounds)
    assert (np.abs(states[..., known]) <= bounds[known] * (1 + 1e-9) + 1e-12).all()
    if not negative and (kind in ("hybrid", "hybrid stc") or timespan / unfolds <= 1.0):
        assert known.all()
        np.testing.assert_allclose(bounds, stage.resting, rtol=1e-12)


def test_what_nothing_bounds_is_said() -> None:
    network = random_lrc(1, inputs=4, units=3, elastance="none", timespan=3.0)
    program = l2l.quantize(network, X, "w8a12")
    (said,) = [text for text in program.warnings if "overshoot" in text]
    assert "elapsed time is up to 3 (in 1 unfolds)" in said
    assert "what leaves them saturates, which is counted" in said
    assert "hybrid solver" in said
    sound = random_lrc(1, inputs=4, units=4, timespan=1.0)
    assert not [w for w in l2l.quantize(sound, X, "w8a12").warnings if "overshoot" in w]
    # What swings farther than it did in calibration leaves the format, and is counted.
    far = random_lrc(1, inputs=4, units=4, elastance="none", timespan=2.4)
    program = l2l.quantize(far, X[:, :2], "w8a12")
    counted = l2l.simulate(program, X).saturations
    assert counted is not None and counted["lrc.v"] > 0


# ---------------------------------------------------------------- integers

#: Instructions of a membrane at most, of the prototype, and steps of a sample.
COUNTS = {"asymmetric": 82, "symmetric": 103, "stc": 61}


@pytest.mark.parametrize("kind", COUNTS)
def test_instructions_and_steps(kind: str) -> None:
    network = random_lrc(1, inputs=17, units=32, **KINDS[kind])
    program = l2l.quantize(network, RNG.normal(size=(4, 8, 17)), "w8a12")
    synapses, membranes, _ = program.populations
    assert (synapses.size, membranes.size, program.steps_per_sample) == (1568, 32, 2)
    assert synapses.program.instruction_count <= 25
    assert membranes.program.instruction_count <= COUNTS[kind]


@pytest.mark.parametrize(("timespan", "unfolds"), [(1.0, 1), (0.3, 3), (2.0, 1), (None, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_integers_answer_as_floats(kind: str, timespan: float | None, unfolds: int) -> None:
    """With rates below and above 1, constant and irregular, unfolded and not."""
    network = random_lrc(
        2, inputs=4, units=6, **KINDS[kind], timespan=timespan, unfolds=unfolds,
        leak=0.9 if timespan == 2.0 else 1.4,
    )  # fmt: skip
    times = None if timespan else RNG.uniform(0.1, 1.0, X.shape[:2])
    program = l2l.quantize(network, X, "w8a12", calibrate_timespans=times)
    assert program.steps_per_sample == 2 * unfolds
    assert difference(program, network, X, times) < 0.015
    spans = None if times is None else times[:2, :6]
    assert l2l.verify(program, X[:2, :6], "reference,c", timespans=spans).bit_exact


def test_slow_units_do_not_stand_still() -> None:
    """A potential that moves by less than a unit of its message in a step arrives nevertheless."""
    network = random_lrc(3, inputs=4, units=6, timespan=0.002)
    x = np.repeat(np.random.default_rng(8).normal(size=(1, 1, 4)), 400, axis=1)
    floats = network.evaluate(x).states["lrc"]
    program = l2l.quantize(network, x, "w8a8x12")
    step = program.population("lrc").scale
    assert (np.abs(np.diff(floats, axis=1)) < 0.5 * step).all()
    assert (np.abs(floats[:, -1]) > 3.0 * step).any(axis=0).all()
    run = l2l.simulate(program, x, return_states=True)
    assert run.states is not None
    integers = run.states["lrc"]["h"]
    assert (np.abs(integers * step - floats) < 2.0 * step).all()


def test_long_times() -> None:
    """The first elapsed time of the original's person activity is 5."""
    for kind in ("hybrid", "asymmetric"):
        network = random_lrc(4, inputs=4, units=6, **KINDS[kind], timespan=None)
        times = RNG.uniform(0.05, 0.9, X.shape[:2])
        times[:, 0] = 5.0
        program = l2l.quantize(network, X, "w8a12", calibrate_timespans=times)
        assert difference(program, network, X, times) < 0.02


def test_small_and_large_units_share_a_layer() -> None:
    """Each unit has a range of its own."""
    layer: Any = random_lrc(5, inputs=4, units=6).layers[0]
    vleak = layer.vleak * np.array([1.0, 10.0, 0.1, 1e-3, 0.0, 3.0])
    network = LiquidNetwork("sizes", (replace(layer, vleak=vleak),), None)
    program = l2l.quantize(network, X, "w8a12")
    floats = network.evaluate(X).outputs
    found = l2l.simulate(program, X)
    error = np.abs(found.outputs - floats).max(axis=(0, 1))
    sizes = np.abs(floats).max(axis=(0, 1))
    assert (error[:3] < 0.02 * sizes[:3]).all()
    assert (error < 0.01 * sizes.max()).all()


def test_what_has_no_integer_form() -> None:
    layer: Any = random_lrc(6, elastance="symmetric", solver="hybrid").layers[0]

    def problems(timespan: float = 1.0, **changes: Any) -> str:
        with pytest.raises(QuantizationError) as caught:
            l2l.quantize(LiquidNetwork("odd", (replace(layer, **changes),), None, timespan),
                         X[..., :3], "w8a12")  # fmt: skip
        return str(caught.value)

    assert "5 neurons (0, 1, 2, 3, 4) have a distr_shift of up to" in problems(
        shift=np.full(5, 1e5)
    )
    assert "have a negative distr_shift" in problems(shift=-layer.shift)
    assert "its elapsed time, up to 5000 in an unfold" in problems(timespan=5000.0)


def test_what_a_layer_cannot_be() -> None:
    layer: Any = random_lrc(7, elastance="symmetric").layers[0]
    for changes, text in (
        ({"tau": np.ones(5)}, "lrc has both a forget gate and a tau"),
        ({"forget_gate": None}, "lrc has neither; a forget gate or a tau says how it leaks"),
        ({"elastance": None}, "lrc has a shift and no elastance"),
        ({"solver": "rk4"}, "the solver is 'rk4'; there are explicit, hybrid"),
        ({"forget_gate": None, "tau": np.ones(5), "solver": "hybrid"}, "needs a forget gate"),
        ({"unfolds": 0}, "0 unfolds; 1 to 1024 are possible"),
        ({"vleak": np.ones(3)}, r"lrc.vleak has shape \(3,\), expected \(5,\)"),
        ({"slope": np.full((5, 8), np.nan)}, "lrc.slope holds NaN"),
        ({"wiring": np.zeros((5, 8), bool)}, "lrc: it has no synapse"),
    ):
        with pytest.raises(NetworkError, match=text):
            LiquidNetwork("odd", (replace(layer, **changes),), None)


def test_pruned_synapses_take_no_units() -> None:
    state = arrays_of("asymmetric")
    for name in ("w", "h"):
        state[f"{CELL}{name}"][0, 1] = 0.0
    tensors = {
        key.replace("/", "."): Tensor("float64", array.shape, "float", lambda a=array: a)
        for key, array in state.items()
    }
    description = LRCDescription(
        origin="net.toml", module=LRC, prefix="rnn.lrc__cell.", readout="time_distributed."
    )
    parts, _ = lrc_parts(tensors, description)
    assert parts is not None
    layer: Any = parts.layers[0]
    assert isinstance(layer, LRCLayer) and layer.wiring.size - layer.wiring.sum() == 1
