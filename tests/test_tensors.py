"""The equations of stages on tensors: values and gradients of what `Stage.answer` says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import variants as v
from networks import random_ltc

from lnn2loihi.layers.stage import Stage
from lnn2loihi.network import LiquidNetwork

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from lnn2loihi import tensors  # noqa: E402  after the check for PyTorch

NETWORKS: dict[str, LiquidNetwork] = {
    **{name: v.network(v.Variant(family=name)) for name in v.GATED},
    **{
        f"cfc {mode}{' timed' * timed}": v.network(v.Variant(mode=mode, irregular=timed))
        for mode in ("default", "no_gate", "pure")
        for timed in (False, True)
    },
    **{
        name: v.network(v.Variant(backbone=(4,), activation=name, memory=True, after="identity"))
        for name in v.ACTIVATIONS
    },
    "sigmoid": v.network(v.Variant(after="sigmoid")),
    "ltc": random_ltc(0),
    "ltc timed": random_ltc(1, timespan=None),
}
STAGES = [
    pytest.param(stage, id=f"{name}: {stage.name}")
    for name, network in NETWORKS.items()
    for stage in network.stages
]


def arguments(stage: Stage) -> tuple[Any, Any, Any, Any]:
    """Random sums, vectors, memory and elapsed time of a stage, in double precision."""
    rng = np.random.default_rng(0)

    def tensor(*shape: int, low: float = -2.0) -> Any:
        return torch.tensor(rng.uniform(low, 2.0, shape), requires_grad=True)

    low = {name: 0.1 for name in stage.positive}
    return (
        {gate: tensor(3, stage.units, low=low.get(gate, -2.0)) for gate in stage.gates},
        {name: tensor(stage.units, low=low.get(name, -2.0)) for name in stage.vectors},
        {word: tensor(3, stage.units) for word in stage.memory},
        tensor(3, 1, low=0.1) if stage.timed else None,
    )


@pytest.mark.parametrize("stage", STAGES)
def test_values_are_those_of_numpy(stage: Stage) -> None:
    sums, vectors, memory, elapsed = arguments(stage)

    def arrays(values: Any) -> dict[str, Any]:
        return {name: value.detach().numpy() for name, value in values.items()}

    own = stage
    for name, value in arrays(vectors).items():
        own = replace(own, **{name: value})
    expected, kept = own.answer(
        arrays(sums), arrays(memory), None if elapsed is None else elapsed.detach().numpy()
    )
    message, new = tensors.equations(tensors.with_vectors(stage, vectors), sums, memory, elapsed)
    np.testing.assert_allclose(message.detach().numpy(), expected, rtol=1e-13, atol=1e-14)
    assert new.keys() == kept.keys()
    for word in kept:
        np.testing.assert_allclose(new[word].detach().numpy(), kept[word], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_written_for_speed_has_the_derived_gradients(stage: Stage) -> None:
    sums, vectors, memory, elapsed = arguments(stage)
    own = tensors.with_vectors(stage, vectors)
    leaves = [*sums.values(), *vectors.values(), *memory.values()]
    gradients = [
        torch.autograd.grad(written(own, sums, memory, elapsed)[0].sum(), leaves, allow_unused=True)
        for written in (tensors.equations, tensors.derived)
    ]
    for fast, slow in zip(*gradients, strict=True):
        assert (fast is None) == (slow is None)
        if fast is not None:
            np.testing.assert_allclose(fast.numpy(), slow.numpy(), rtol=1e-12, atol=1e-13)


def test_gradients_are_right() -> None:
    for name in ("gru", "minlstm", "cfc pure timed", "ltc timed"):
        for stage in NETWORKS[name].stages:
            sums, vectors, memory, elapsed = arguments(stage)
            own = tensors.with_vectors(stage, vectors)

            def message(*values: Any, own: Any = own, sums: Any = sums, rest: Any = None) -> Any:
                return tensors.equations(own, dict(zip(sums, values, strict=True)), *rest)[0]

            rest = (memory, elapsed)
            assert torch.autograd.gradcheck(
                lambda *values, rest=rest: message(*values, rest=rest), tuple(sums.values())
            )


def test_a_function_that_is_not_known_is_named() -> None:
    value = tensors.TensorValue(torch.ones(2))
    with pytest.raises(tensors.EquationError, match="NumPy's cbrt: is not known on tensors"):
        np.cbrt(value)  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(tensors.EquationError, match="NumPy's cumsum"):
        np.cumsum(value)  # pyright: ignore[reportCallIssue, reportArgumentType]


@pytest.mark.parametrize("function", sorted(tensors.FUNCTIONS, key=str), ids=lambda f: f.__name__)
def test_every_known_function_is_that_of_numpy(function: Any) -> None:
    a, b = np.array([[0.3, 0.7, 1.4], [0.2, 2.0, 1.0]]), np.array([[0.9, 0.7, 0.1]] * 2)
    more: dict[Any, tuple[Any, ...]] = {
        np.clip: (a, 0.5, 1.2),
        np.where: (a > b, a, b),
        np.concatenate: ((a, b), -1),
        np.sum: (a, -1),
        np.mean: (a, -1),
        np.bitwise_and: (a > b, a > 1.0),
        np.bitwise_or: (a > b, a > 1.0),
        np.invert: (a > b,),
    }
    given = more.get(function, (a, b)[: getattr(function, "nin", 1)])

    def wrapped(operand: Any) -> Any:
        if isinstance(operand, tuple):
            return tuple(map(wrapped, operand))
        if isinstance(operand, np.ndarray):
            return tensors.TensorValue(torch.tensor(operand))
        return operand

    found = function(*map(wrapped, given)).tensor.numpy()
    np.testing.assert_allclose(found, function(*given), rtol=1e-14)
    assert found.dtype == function(*given).dtype


OPERATORS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a < b, lambda a, b: a <= 0.7, lambda a, b: 0.7 > a, lambda a, b: a >= b,
    lambda a, b: a == b, lambda a, b: a != b, lambda a, b: -a + (+b), lambda a, b: abs(a - b),
    lambda a, b: 2.0**a, lambda a, b: a**2, lambda a, b: a.mean(), lambda a, b: a.sum(),
    lambda a, b: a.mean(-1), lambda a, b: a.sum(axis=-1, keepdims=True),
    lambda a, b: a.clip(0.5, 1.0),
    lambda a, b: np.sum(a), lambda a, b: np.mean(a, axis=-1, keepdims=True),
    lambda a, b: np.where((a > b) & ~(b > 0.5) | (a < 0.25), a, b), lambda a, b: (a > b) * b,
    lambda a, b: np.array([1.0, 2.0, 3.0]) * a, lambda a, b: a[..., 1:] / 2, lambda a, b: a.ndim,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(OPERATORS)))
def test_operators_are_those_of_numpy(number: int) -> None:
    a, b = np.array([[0.3, 0.7, 1.4], [0.2, 2.0, 1.0]]), np.array([[0.9, 0.7, 0.1]] * 2)
    found = OPERATORS[number](*(tensors.TensorValue(torch.tensor(v)) for v in (a, b)))
    expected = OPERATORS[number](a, b)
    found = found.tensor.numpy() if isinstance(found, tensors.TensorValue) else found
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert np.shape(found) == np.shape(expected)


def test_assigned_operators_leave_the_tensor() -> None:
    tensor = torch.ones(2)
    value = kept = tensors.TensorValue(tensor)
    value += 1.0
    value *= 3.0
    assert value.tensor.tolist() == [6.0, 6.0] and kept.tensor.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("use", "named"),
    [
        (lambda a: a // 2, "floor_divide"),
        (lambda a: a % 2, "remainder"),
        (lambda a: a.cumsum(), "array.cumsum"),
        (lambda a: a.T, "array.T"),
        (lambda a: a if a > 0 else -a, "truth of an array.*write np.where"),
    ],
)
def test_operators_that_are_not_known_are_named(use: Any, named: str) -> None:
    with pytest.raises(tensors.EquationError, match=named):
        use(tensors.TensorValue(torch.ones(2)))
