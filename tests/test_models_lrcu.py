"""The networks of models/lrcu: they load, and their programs are what their card says."""

from __future__ import annotations

import numpy as np
import pytest

import lnn2loihi as l2l
from lnn2loihi.errors import InputError
from lnn2loihi.models import lrcu

X = np.random.default_rng(0).normal(size=(2, 12, 17))


@pytest.mark.parametrize("kind", lrcu.SHIPPED)
def test_networks_and_programs(kind: str) -> None:
    network, program = lrcu.load(kind), lrcu.program(kind)
    assert (network.input_size, network.output_size, network.units) == (17, 17, 32)
    elastance = lrcu.KINDS[kind]
    assert (network.layers[0].elastance is None) == (elastance == "none")  # type: ignore[attr-defined]
    assert program.recipe == "w4a8x12-ramp12" and program.steps_per_sample == 2
    floats, integers = network.evaluate(X).outputs, l2l.simulate(program, X).outputs
    assert np.sqrt(np.mean((integers - floats) ** 2) / np.mean(floats**2)) < 0.5
    # No step of these overshoots, so nothing can saturate.
    bounds = next(s for s in network.stages if s.name == network.layers[0].name).bound
    assert np.isfinite(bounds)


def test_what_is_not_shipped() -> None:
    with pytest.raises(InputError, match="is 'liquid'; there are asymmetric"):
        lrcu.load("liquid")
