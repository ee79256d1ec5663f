"""NeuroBench's metrics by their definitions, and the numbers that NeuroBench itself gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import random_network, random_samples

import lnn2loihi as l2l
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.lstm.memory import MEMORY_GATES, Memory
from lnn2loihi.metrics import NeuroBenchMetrics, network_metrics, program_metrics
from lnn2loihi.network import Linear, LiquidNetwork

#: What `neurobench` 2.3.0 printed for `ncps` 1.0.1 modules without a wiring, 4 inputs and 16
#: units, 4 sequences of 10 steps of normal noise (no value is zero but the first state).
NEUROBENCH = {
    "default": {
        "Footprint": 43776.0, "ConnectionSparsity": 0.0, "ParameterCount": 10944,
        "ActivationSparsity": 0.0,
        "SynapticOperations": {"Effective_MACs": 105472.0, "Effective_ACs": 0.0, "Dense": 107520.0},
    },
    "no_backbone": {
        "Footprint": 5376.0, "ConnectionSparsity": 0.0, "ParameterCount": 1344,
        "ActivationSparsity": 0.0,
        "SynapticOperations": {"Effective_MACs": 11776.0, "Effective_ACs": 0.0, "Dense": 12800.0},
    },
    "two_backbones": {
        "Footprint": 3264.0, "ConnectionSparsity": 0.0, "ParameterCount": 816,
        "ActivationSparsity": 0.0,
        "SynapticOperations": {"Effective_MACs": 7232.0, "Effective_ACs": 0.0, "Dense": 7360.0},
    },
    "pure_readout": {
        "Footprint": 19340.0, "ConnectionSparsity": 0.0, "ParameterCount": 4835,
        "ActivationSparsity": 0.0,
        "SynapticOperations": {"Effective_MACs": 44512.0, "Effective_ACs": 0.0, "Dense": 46560.0},
    },
    "mixed_memory": {
        "Footprint": 49152.0, "ConnectionSparsity": 0.0, "ParameterCount": 12288,
        "ActivationSparsity": 0.0,
        "SynapticOperations": {"Effective_MACs": 119296.0, "Effective_ACs": 0.0, "Dense": 120320.0},
    },
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "no_backbone": {"backbone_layers": 0},
    "two_backbones": {"mode": "no_gate", "backbone_layers": 2, "backbone_units": 8},
    "pure_readout": {"mode": "pure", "proj_size": 3},
    "mixed_memory": {"mixed_memory": True},
}


def _dense_cfc(
    backbone: tuple[int, ...] = (128,),
    mode: str = "default",
    readout: int = 0,
    memory: bool = False,
) -> LiquidNetwork:
    """The shape of ncps' CfC(4, 16), with weights none of which is zero."""
    rng = np.random.default_rng(5)

    def linear(name: str, outputs: int, inputs: int) -> Linear:
        weight = rng.uniform(0.1, 0.4, (outputs, inputs)) * rng.choice([-1, 1], (outputs, inputs))
        return Linear(name, weight, rng.normal(0.0, 0.1, outputs))

    sizes = (20, *backbone)
    maps = tuple(
        linear(f"backbone_{i}", after, before)
        for i, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False))
    )
    ff1 = linear("ff1", 16, sizes[-1])
    others = (
        (ff1, ff1, ff1)
        if mode == "pure"
        else tuple(linear(gate, 16, sizes[-1]) for gate in CfCLayer.gates[1:])
    )
    layer = CfCLayer(
        "layer_0", ff1, *others, mode=mode, backbone=maps,
        memory=Memory(tuple(linear(g, 16, 20) for g in MEMORY_GATES)) if memory else None,
        w_tau=rng.normal(size=16) if mode == "pure" else None,
        amplitude=np.ones(16) if mode == "pure" else None,
    )  # fmt: skip
    return LiquidNetwork("dense", (layer,), linear("readout", readout, 16) if readout else None)


SHAPES: dict[str, dict[str, Any]] = {
    "default": {},
    "no_backbone": {"backbone": ()},
    "two_backbones": {"backbone": (8, 8), "mode": "no_gate"},
    "pure_readout": {"mode": "pure", "readout": 3},
    "mixed_memory": {"memory": True},
}


@pytest.mark.parametrize("case", NEUROBENCH)
def test_a_dense_cfc_has_the_numbers_of_neurobench(case: str) -> None:
    found = network_metrics(_dense_cfc(**SHAPES[case]), random_samples(0, 4, 10, 4)).to_dict()
    assert {name: found[name] for name in NEUROBENCH[case]} == NEUROBENCH[case]


def test_the_default_cfc_has_10752_operations_per_step() -> None:
    found = network_metrics(_dense_cfc(), random_samples(0, 4, 10, 4))
    assert found.per_step["Dense"] == 10752


@pytest.mark.parametrize("case", OPTIONS)
def test_neurobench_itself_agrees_on_dense_modules(case: str) -> None:
    """The live comparison; zeros among the inputs make effective operations differ from dense."""
    reason = "agreement with NeuroBench is looked at where it is installed: pip install neurobench"
    pytest.importorskip("neurobench", reason=reason)
    torch = pytest.importorskip("torch", reason="NeuroBench takes PyTorch modules")
    cfc = pytest.importorskip("ncps.torch", reason="NeuroBench takes a live module").CfC
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import TorchModel

    module = cfc(4, 16, **OPTIONS[case])

    class Outputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: Any) -> Any:
            return self.inner(x)[0]

    x = random_samples(3, 4, 7, 4)
    x[1, 2:5] = 0.0
    x[:, :, 1] = np.maximum(x[:, :, 1], 0.0)
    data = torch.utils.data.TensorDataset(torch.tensor(x, dtype=torch.float32), torch.zeros(4, 1))
    expected = Benchmark(
        TorchModel(Outputs()), torch.utils.data.DataLoader(data, batch_size=4), [], [],
        [[Footprint, ConnectionSparsity, ParameterCount], [ActivationSparsity, SynapticOperations]],
    ).run(quiet=True)  # fmt: skip
    found = network_metrics(l2l.import_network(module), x).to_dict()
    assert {name: found[name] for name in expected} == expected


def test_a_wired_network_counts_its_mask_and_every_map() -> None:
    network = random_network(3, inputs=3, layers=(6, 4), outputs=2, density=0.5)
    x = random_samples(1, 2, 5, 3)
    found = network_metrics(network, x, rate=100.0)
    maps = [linear for layer in network.layers for linear in layer.maps]  # pyright: ignore
    maps.append(network.readout)
    total = sum(linear.weight.size for linear in maps)
    assert total == 4 * 6 * 9 + 4 * 4 * 10 + 2 * 4
    zeros = sum(int(np.count_nonzero(linear.weight == 0)) for linear in maps)
    assert found.connection_sparsity == zeros / total > 0.3
    assert found.parameter_count == total + 4 * 6 + 4 * 4 + 2
    assert found.synaptic_operations["Dense"] == 5 * total
    assert found.model_execution_rate == 100.0
    # No activation is zero here, so only weights and the first state make a difference.
    first = sum(
        int(np.count_nonzero(linear.weight[:, -linear.output_size :])) for linear in maps[:-1]
    )
    assert found.synaptic_operations["Effective_MACs"] == 5 * (total - zeros) - first
    assert found.membrane_updates is None and found.neuron_operations is None


def test_layers_that_share_a_memory_count_what_was_trained() -> None:
    pytest.importorskip("torch", reason="the module is made by PyTorch")
    cfc = pytest.importorskip("ncps.torch", reason="the module is made by ncps").CfC
    from ncps.wirings import AutoNCP

    network = l2l.import_network(cfc(4, AutoNCP(19, 2), mixed_memory=True))
    found = network_metrics(network, random_samples(1, 2, 3, 4))
    layers = sum(
        4 * layer.units * (layer.input_size + layer.units) for layer in network.single_layers
    )
    assert found.per_step["Dense"] == layers + 4 * 19 * (4 + 19)


def test_binary_inputs_are_additions() -> None:
    rng = np.random.default_rng(0)
    readout = Linear("readout", np.eye(2), np.zeros(2))
    dense = l2l.DenseLayer("first", Linear("first", rng.normal(size=(2, 3)), np.zeros(2)), "tanh")
    x = rng.integers(-1, 2, (2, 6, 3)).astype(float)
    found = network_metrics(LiquidNetwork("binary", (dense,), readout), x).synaptic_operations
    assert found["Effective_ACs"] == 2 * np.count_nonzero(x) / 2
    assert 0 < found["Effective_MACs"] <= 2 * 6  # of the readout, whose map is half zeros


@pytest.fixture(scope="module")
def program() -> l2l.LoihiProgram:
    network = random_network(7, inputs=3, layers=(6, 4), outputs=2, density=0.6)
    return l2l.quantize(network, calibrate=random_samples(2, 8, 20, 3), recipe="w8a12")


class TestPrograms:
    """What the chip executes, against a count that looks at every message of every step."""

    @given(seed=st.integers(0, 1000), batch=st.integers(1, 3), time=st.integers(1, 6))
    def test_effective_operations_are_exact(
        self, program: l2l.LoihiProgram, seed: int, batch: int, time: int
    ) -> None:
        x = random_samples(seed, batch, time, 3)
        x[np.random.default_rng(seed).random(x.shape) < 0.4] = 0.0
        run = l2l.simulate(program, x, return_states=True)
        assert run.states is not None
        found = program_metrics(program, run.counters, batch)
        sent = {p.name: run.states[p.name][p.program.message_state or "message"]
                for p in program.populations}  # fmt: skip
        sent[program.input.name] = program.input.encode(x)[0]
        expected = 0
        for c in program.connections:
            fan_out = np.count_nonzero(c.dense(), axis=0)
            expected += int(((sent[c.source] != 0) * fan_out).sum())
        assert found.synaptic_operations["Effective_MACs"] == expected / batch
        del sent[program.input.name]
        zeros = sum(int(np.count_nonzero(m == 0)) for m in sent.values())
        values = sum(m.size for m in sent.values())
        assert found.activation_sparsity == pytest.approx(zeros / values)

    def test_static_metrics(self, program: l2l.LoihiProgram) -> None:
        counters = l2l.simulate(program, random_samples(1, 2, 5, 3)).counters
        found = program_metrics(program, counters, 2, rate=50.0)
        blocks = [c.dense() for c in program.connections]
        weights = sum(block.size for block in blocks)
        assert found.connection_sparsity == pytest.approx(
            sum(int(np.count_nonzero(block == 0)) for block in blocks) / weights
        )
        assert found.synaptic_operations["Dense"] == weights * 5
        assert found.membrane_updates == 5 * (6 + 4)  # the readout keeps nothing
        assert found.neuron_operations is not None
        instructions = sum(p.size * p.program.instruction_count for p in program.populations)
        assert set(found.neuron_operations.values()) == {5.0 * instructions}
        bits = 8 * weights + sum(
            p.size * sum(b for _, b in (*p.program.parameters, *p.program.states))
            for p in program.populations
        )
        assert found.footprint == bits / 8
        assert isinstance(found, NeuroBenchMetrics) and found.to_dict()["ModelExecutionRate"] == 50

    def test_nothing_run(self, program: l2l.LoihiProgram) -> None:
        counters = l2l.simulate(program, random_samples(1, 2, 5, 3)).counters
        with pytest.raises(l2l.InputError, match="sequences is 0; give a whole number from 1"):
            program_metrics(program, counters, 0)
