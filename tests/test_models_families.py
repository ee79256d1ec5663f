"""The shipped networks of all families, and the modules that they are trained as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lnn2loihi as l2l
from lnn2loihi.models import families
from lnn2loihi.models.training import save_network
from lnn2loihi.recipe import Recipe

CASES = [(task, family) for task in families.TASKS for family in families.FAMILIES]
#: Inputs and outputs of the tasks.
SIZES = {"occupancy": (5, 1), "halfcheetah": (17, 17)}


@pytest.mark.parametrize(("task", "family"), CASES)
def test_every_network_is_there_and_runs_on_the_chip(task: str, family: str) -> None:
    network = families.load(task, family)
    assert (network.input_size, network.output_size) == SIZES[task]
    assert max(layer.units for layer in network.single_layers) <= 32
    x = np.random.default_rng(0).normal(size=(4, 12, network.input_size))
    program = l2l.quantize(network, x)
    assert l2l.verify(program, x[:2, :4], "reference,blas").bit_exact


@pytest.mark.parametrize(("task", "family"), CASES)
def test_every_program_was_trained_from_the_shipped_network(task: str, family: str) -> None:
    network, program = families.load(task, family), families.program(task, family)
    assert program.recipe == str(Recipe.parse(families.QAT_RECIPE))
    assert (program.channels, program.population(program.output).size) == SIZES[task]
    assert program.provenance["source.sha256"] == network.source["sha256"]
    x = np.random.default_rng(0).normal(size=(2, 4, network.input_size))
    assert l2l.verify(program, x, "reference,blas").bit_exact


def test_unknown_names_are_refused() -> None:
    with pytest.raises(l2l.InputError, match="tasks are occupancy, halfcheetah, families cfc, ncp"):
        families.load("occupancy", "rnn")
    with pytest.raises(l2l.InputError, match="network 'walker2d', 'gru'"):
        families.program("walker2d", "gru")


class TestModules:
    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")
        pytest.importorskip("ncps", reason="needs torch and ncps: pip install torch ncps")

    @pytest.mark.parametrize(
        "family", [*families.FAMILIES, "cfcb", "cfcm", "ltc2", "mingru2", "minlstm2"]
    )
    def test_what_is_saved_is_the_module(self, family: str, tmp_path: Path) -> None:
        import torch

        from lnn2loihi.models.families.modules import build

        module, said = build(family, 3, 9, 2, 5)
        network = l2l.import_network(save_network(module, tmp_path, "net", said))
        x = np.random.default_rng(0).normal(size=(3, 7, 3)).astype(np.float32)
        with torch.no_grad():
            expected = module(torch.from_numpy(x))[0].numpy()
        np.testing.assert_allclose(network.evaluate(x).outputs, expected, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("family", ["cfc", "gru", "mingru2"])
    def test_about_as_many_parameters(self, family: str) -> None:
        from lnn2loihi.models.families.modules import build, parameter_count, units_for

        units = units_for(family, 1200, 1, 1, 1)
        counts = [
            parameter_count(build(family, 1, u, 1, 1)[0]) for u in range(units - 1, units + 2)
        ]
        assert min(counts, key=lambda count: abs(count - 1200)) == counts[1]
