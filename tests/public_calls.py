"""Everything public that can be called, and arguments with which each call works.

What `lnn2loihi.__all__` and `lnn2loihi.qat.__all__` name is found by itself; what is new and has no
arguments here fails the test that walks over it.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from converted_modules import encoder_decoder, sandwich
from lrc_networks import random_lrc
from networks import random_ltc, random_network, random_samples
from state_spaces import state_space
from variants import lrc_ssm

import lnn2loihi as l2l
from lnn2loihi import qat
from lnn2loihi.cost import workload_of_totals

#: Records of what functions found: the library makes them, and their fields are not looked at.
RESULTS = {
    "BoardLog", "BuildResult", "BuiltStep", "Calibration", "ClassScores", "ComparisonResult",
    "ConvertedComparison", "ConvertedModule", "ConvertedResult", "Footprint",
    "ConvertedStream", "ConvertedTrace", "CopiesPlacement", "CostEstimate", "DescriptionCandidate",
    "DescriptionProposal", "DoctorReport", "ExperimentResult", "FittedNoise", "FloatResult",
    "Interval", "Mismatch", "MicrocontrollerEstimate", "MonteCarloResult", "NeuroBenchMetrics",
    "NumberScores", "Placement", "ProfileResult", "ProfileRow",
    "Sensitivity", "SimulationResult", "TrainableModule", "TrainableNetwork", "VerificationResult",
    "Violation",
}  # fmt: skip
#: Methods through which the parts of the library speak to each other.
INTERNAL = {
    "add", "cell", "dense", "encode", "every", "folded_gate", "held", "interval", "narrowed",
    "problems", "saturate", "sequences", "size_problems", "stage", "stages", "turn",
    "with_columns", "with_gates", "arrays", "hears_inputs", "of_stage", "other_parameters",
    "renamed", "trained_maps", "with_inputs", "can_hear", "hearing", "checked_hearing",
    "with_input_maps", "summing",
    "initial", "state_words", "answered",
    "plot",  # takes axes of matplotlib, which test_plots looks at
    "profile", "report",  # of converted modules: seconds each, and the functions are looked at
}  # fmt: skip


class Public(NamedTuple):
    """A function, a constructor or a method.

    Attributes:
        name: `simulate`, `Linear`, `Linear.scaled`.
        call: what is called, of the object that it belongs to for a method.
        parameters: those that are looked at, by name.
    """

    name: str
    call: Callable[..., Any]
    parameters: Mapping[str, inspect.Parameter]

    @property
    def defaults(self) -> dict[str, Any]:
        """Of those that have one."""
        empty = inspect.Parameter.empty
        return {n: p.default for n, p in self.parameters.items() if p.default is not empty}


def public_calls(modules: tuple[ModuleType, ...] = (l2l, qat)) -> Iterator[Public]:
    """All of them."""
    for module in modules:
        for name in module.__all__:
            found = getattr(module, name)
            if not callable(found) or (isinstance(found, type) and issubclass(found, Exception)):
                continue
            if name not in RESULTS:
                yield _public(name, found)
            if isinstance(found, type):
                yield from _methods(found)


def _methods(owner: type) -> Iterator[Public]:
    for name, _ in inspect.getmembers(owner, inspect.isroutine):
        found = inspect.getattr_static(owner, name)
        function = getattr(found, "__func__", found)
        ours = str(getattr(function, "__module__", "")).startswith("lnn2loihi")
        if ours and not name.startswith("_") and name not in INTERNAL:
            yield _public(f"{owner.__name__}.{name}", getattr(owner, name))


def _public(name: str, call: Callable[..., Any]) -> Public:
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(call).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and key not in ("self", "cls")
    }
    return Public(name, call, parameters)


class Made:
    """Objects of every public class, as small as they can be."""

    def __init__(self) -> None:
        self.network = random_network(1, inputs=2, layers=(2,), outputs=1)
        self.x = random_samples(1, 2, 3, 2)
        self.program = l2l.quantize(self.network, self.x)
        self.result = l2l.simulate(self.program, self.x)
        self.masked = l2l.quantize(self.network, self.x, dropout=0.5)
        self.passes = l2l.monte_carlo(self.masked, self.x, 2)
        self.noise = l2l.fit_noise(self.passes, self.passes.mean + 0.1)
        follower = random_network(2, inputs=1, layers=(2,), outputs=1)
        self.follower = l2l.quantize(follower, self.result.outputs)
        self.counters = self.result.counters
        self.device = l2l.load_device("loihi2-oheo-gulch")
        self.placement = l2l.place(self.program, self.device)
        self.workload = l2l.workload(self.placement, self.counters)
        self.profile = l2l.profile(self.program, self.x, against=())
        self.linear = self.network.layers[0].ff1  # type: ignore[union-attr]
        self.ltc = random_ltc(1, inputs=2, units=2).layers[0]
        self.lrc = random_lrc(1, inputs=2, units=2, elastance="symmetric").layers[0]
        self.module = qat.prepare(self.network, calibrate=self.x)
        self.module.eval()
        one = l2l.DescriptionCandidate("GRU", "", "", "[network]\n")
        self.proposal = l2l.DescriptionProposal(Path("a.pt"), (one,), Path("b.toml"))
        self.converted = encoder_decoder().quantize()
        self.example = tuple(self.converted.example.values())
        self.streamed = sandwich().quantize()
        self.called = self.streamed.open_stream()
        self.called.predict(np.zeros((1, 2, 3), np.float32))
        self.whole = qat.prepare(self.converted, calibrate=None)
        counts = {"cores": 1, "neuron_updates": 2}
        totals = workload_of_totals("net", counts, "made up")
        time = l2l.estimate(totals, self.device, draws=100).step_time.value
        measured = {"avg_time_per_step": time}
        self.board_log = l2l.BoardLog(
            "net", "a" * 64, "b" * 64, "board", "N3B3", "2026-01-01", 10, 5, 0, 1e-5, None, None
        )
        self.logs = [{"name": "net", "counts": counts, "measured": measured}]

    def gates(self, layer: type[Any], units: int = 2) -> tuple[l2l.Linear, ...]:
        """Maps of a gated layer of two inputs."""
        columns = 2 + units * layer.hears_itself
        return tuple(
            l2l.Linear(name, np.zeros((units, columns)), np.zeros(units)) for name in layer.names
        )

    @property
    def convolution(self) -> l2l.Convolution:
        """In the place of the first connection: a window over all sources, a channel a neuron."""
        first = self.program.connections[0]
        kernel = np.ones((self.program.population(first.target).size, 1, 1, first.source_size))
        return l2l.Convolution(
            first.source, first.target, first.accumulators[:1], kernel, (1, 1, first.source_size)
        )

    def memory(self) -> l2l.Memory:
        """A memory of a layer of two inputs and two units."""
        return l2l.Memory(self.gates(l2l.LSTMLayer))


def _fields(made: Any) -> dict[str, Any]:
    """The arguments that a dataclass was made of."""
    return {f.name: getattr(made, f.name) for f in dataclasses.fields(made) if f.init}


#: Arguments with which each call works, by its name; "self" for methods, "*" for those that come by
#: position alone.
ARGUMENTS: dict[str, Callable[[Made], dict[str, Any]]] = {
    "CfCLayer": lambda m: _fields(m.network.layers[0]),
    "Connection": lambda m: _fields(m.program.connections[0]),
    "Connection.from_dense": lambda m: {
        "source": "a", "target": "b", "accumulators": ("c",), "mantissas": [[1, 2]],
    },
    "Convolution": lambda m: _fields(m.convolution),
    "ConvertedModule.compare": lambda m: {
        "self": m.converted, "*": m.example, "module": None, "executor": "auto",
    },
    "ConvertedModule.open_stream": lambda m: {"self": m.streamed, "executor": "auto"},
    "ConvertedModule.place": lambda m: {"self": m.converted, "device": m.device},
    "ConvertedModule.predict": lambda m: {
        "self": m.converted, "*": m.example, "executor": "auto",
    },
    "ConvertedModule.quantize": lambda m: {
        "self": m.converted, "recipe": "w8a12", "calibrate": m.example, "layers": None,
        "ranges": "range", "correction": "none",
    },
    "ConvertedModule.run": lambda m: {"self": m.converted, "*": m.example, "executor": "auto"},
    "ConvertedModule.save": lambda m: {"self": m.converted, "path": "c.l2m"},
    "ConvertedModule.trace": lambda m: {"self": m.converted, "*": m.example, "executor": "auto"},
    "ConvertedModule.verify": lambda m: {
        "self": m.converted, "*": m.example, "executors": ("reference", "c"), "target": "fused",
        "progress": None,
    },
    "Counters": lambda m: _fields(m.counters),
    "DenseLayer": lambda m: {"name": "dense", "linear": m.linear, "activation": "tanh"},
    "Device": lambda m: _fields(m.device),
    "Device.count": lambda m: {"self": m.device, "name": "chips"},
    "Device.figure": lambda m: {"self": m.device, "name": "chips"},
    "Device.get": lambda m: {"self": m.device, "name": "chips"},
    "Device.value": lambda m: {"self": m.device, "name": "chips"},
    "Figure": lambda m: _fields(m.device.figure("chips")),
    "GLULayer": lambda m: {
        "name": "glu", "value": m.linear, "gate": m.linear, "skip": m.linear,
    },
    "GRULayer": lambda m: {"name": "gru", "gates": m.gates(l2l.GRULayer)},
    "InputPort": lambda m: _fields(m.program.input),
    "InputPort.decode": lambda m: {"self": m.program.input, "integers": [[[1, 2]]]},
    "LSTMLayer": lambda m: {"name": "lstm", "gates": m.gates(l2l.LSTMLayer)},
    "LTCLayer": lambda m: _fields(m.ltc),
    "LRCLayer": lambda m: _fields(m.lrc),
    "Linear": lambda m: _fields(m.linear),
    "Linear.scaled": lambda m: {"self": m.linear, "name": "a", "inputs": 2.0, "outputs": 2.0},
    "LiquidNetwork": lambda m: _fields(m.network),
    "LiquidNetwork.evaluate": lambda m: {
        "self": m.network, "x": m.x, "initial_state": None, "timespans": None,
    },
    "LoihiProgram": lambda m: _fields(m.program),
    "LoihiProgram.accumulator_intervals": lambda m: {"self": m.program, "name": "layer_0"},
    "LoihiProgram.partial_sum_intervals": lambda m: {"self": m.program, "name": "layer_0"},
    "LoihiProgram.incoming": lambda m: {"self": m.program, "target": "layer_0"},
    "LoihiProgram.interleaved": lambda m: {"self": m.program, "sequences": 1},
    "LoihiProgram.population": lambda m: {"self": m.program, "name": "layer_0"},
    "Memory": lambda m: _fields(m.memory()),
    "MinGRULayer": lambda m: {
        "name": "min", "gates": m.gates(l2l.MinGRULayer), "form": "log",
    },
    "MinLSTMLayer": lambda m: {
        "name": "min", "gates": m.gates(l2l.MinLSTMLayer), "form": "log",
    },
    "Population": lambda m: _fields(m.program.populations[0]),
    "Population.decode": lambda m: {"self": m.program.populations[0], "integers": [[1, 2]]},
    "LayerNormLayer": lambda m: _fields(l2l.LayerNormLayer.of("norm", m.linear)),
    "LayerNormLayer.of": lambda m: {
        "name": "norm", "linear": m.linear, "gain": None, "shift": None, "epsilon": 1e-5,
    },
    "LrcSSMLayer": lambda m: _fields(lrc_ssm("lrc", 2, 3)),
    "ProductLayer": lambda m: {"name": "product", "left": m.linear, "right": m.linear},
    "ProfileResult.row": lambda m: {"self": m.profile, "device": "loihi2-oheo-gulch"},
    "ProfileResult.save": lambda m: {"self": m.profile, "path": "a.profile.json"},
    "Recipe": lambda m: _fields(l2l.Recipe()),
    "Recipe.parse": lambda m: {"text": "w8a12"},
    "S4DLayer": lambda m: _fields(state_space("space", 2, 2)),
    "LiquidS4DLayer": lambda m: _fields(state_space("space", 2, 2, liquid=True)),
    "Schedule": lambda m: _fields(m.program.schedule),
    "Schedule.steps": lambda m: {"self": m.program.schedule, "samples": 3},
    "ConvertedStream.load_states": lambda m: {"self": m.called, "states": m.called.states},
    "Stream": lambda m: {
        "program": m.program, "engine": "c", "initial_state": None, "missing": "hold",
    },
    "Stream.load_state": lambda m: {
        "self": l2l.open_stream(m.program), "state": l2l.open_stream(m.program).state,
    },
    "Stream.save": lambda m: {"self": l2l.open_stream(m.program), "path": "s.json"},
    "Stream.restore": lambda m: {
        "self": l2l.open_stream(m.program), "path": l2l.open_stream(m.program).save("r.json"),
    },
    "StreamBatch": lambda m: {"program": m.program, "batch": 2, "engine": "c"},
    "StreamBatch.step": lambda m: {
        "self": l2l.open_stream(m.program, batch=2), "x": m.x[:2, 0], "elapsed": None,
    },
    "StreamBatch.reset": lambda m: {
        "self": l2l.open_stream(m.program, batch=2), "where": [True, False],
    },
    "StreamBatch.load_state": lambda m: {
        "self": l2l.open_stream(m.program, batch=2), "state": l2l.open_stream(m.program).state,
    },
    "StreamBatch.save": lambda m: {"self": l2l.open_stream(m.program, batch=2), "path": "s.json"},
    "StreamBatch.restore": lambda m: {
        "self": l2l.open_stream(m.program, batch=2),
        "path": l2l.open_stream(m.program, batch=2).save("b.json"),
    },
    "Stream.step": lambda m: {
        "self": l2l.open_stream(m.program), "x": m.x[0, 0], "elapsed": None,
    },
    "Target": lambda m: {"name": "a", "passes": (lambda program: program,)},
    "stock_target": lambda m: {"rectifiers": 6},
    "Target.prepare": lambda m: {"self": l2l.Target("a"), "program": m.program},
    "TrainableModule.harden": lambda m: {"self": m.whole, "share": 0.0},
    "TrainableModule.prune": lambda m: {"self": m.whole, "share": 0.0},
    "TrainableNetwork.forward": lambda m: {
        "self": m.module, "input": torch.tensor(m.x), "hx": None, "timespans": None,
    },
    "TrainableNetwork.harden": lambda m: {"self": m.module, "share": 0.0},
    "TrainableNetwork.prune": lambda m: {"self": m.module, "share": 0.0},
    "InputMemory": lambda m: {
        "name": "memory", "layers": m.network.layers, "memory": m.memory(),
    },
    "WiredMemory": lambda m: {
        "name": "memory", "layers": m.network.layers, "memory": m.memory(),
    },
    "Workload": lambda m: _fields(m.workload),
    "Workload.from_dict": lambda m: {"content": m.workload.to_dict()},
    "Workload.steps_per_sample": lambda m: {"self": m.workload, "mode": "pipelined"},
    "BoardLog.record": lambda m: {"self": m.board_log, "workload": m.workload},
    "build": lambda m: {"path": "road.toml"},
    "read_board_log": lambda m: {"logs": "run.json"},
    "analyse_experiment": lambda m: {
        "device": m.device, "logs": "log.jsonl", "cores": {"floor": 1}, "relative_error": 0.02,
    },
    "write_experiment": lambda m: {"folder": "experiment"},
    "calibrate_profile": lambda m: {"device": m.device, "logs": m.logs},
    "compare": lambda m: {
        "network": m.network, "program": m.program, "x": m.x, "timespans": None,
        "progress": None,
    },
    "estimate": lambda m: {
        "workload": m.workload, "device": m.device, "rate": None, "mode": "pipelined",
        "io": "none", "step_time": None, "draws": 100, "seed": 0,
    },
    "estimate_microcontroller": lambda m: {
        "program": m.program, "device": "mcu-stm32u385", "rate": None, "copies": 1, "draws": 100,
        "seed": 0, "counted": None,
    },
    "examine": lambda m: {"environment": None},
    "fit_noise": lambda m: {"result": m.passes, "y": m.passes.mean},
    "footprint": lambda m: {
        "program": m.program, "part": "cortex-m4", "goal": "size", "device": "mcu-stm32u385",
        "flash": None, "ram": None, "samples": 1, "seed": 0,
    },
    "export": lambda m: {"source": m.program, "path": "a.onnx", "format": None},
    "convert": lambda m: {"module": torch.nn.GRU(2, 2), "*": (torch.zeros(3, 1, 2),)},
    "import_network": lambda m: {"source": "a.pt", "format": None},
    "import_program": lambda m: {"source": "a.net", "format": None},
    "join": lambda m: {"front": m.program, "core": m.follower, "name": None},
    "load": lambda m: {"path": "a.l2l"},
    "load_device": lambda m: {"device": m.device},
    "load_profile": lambda m: {"path": "b.profile.json"},
    "network_metrics": lambda m: {
        "network": m.network, "x": m.x, "timespans": None, "rate": None,
    },
    "open_stream": lambda m: {"program": m.program, "engine": "c", "initial_state": None},
    "place": lambda m: {
        "program": m.program, "device": m.device, "objective": "packed", "chips": None,
        "counters": None,
    },
    "place_copies": lambda m: {
        "program": m.program, "device": m.device, "copies": 3, "objective": "packed",
        "chips": None, "counters": None,
    },
    "prepare": lambda m: {
        "source": m.network, "recipe": "w8a12", "calibrate": m.x, "calibrate_timespans": None,
        "layers": None, "mask_time_gates": False, "example": None,
    },
    "propose_description": lambda m: {"source": "a.pt", "state": None},
    "DescriptionProposal.write": lambda m: {
        "self": m.proposal, "path": "c.toml", "replace": True,
    },
    "profile": lambda m: {
        "program": m.program, "x": m.x, "devices": m.device, "against": (), "rate": None,
        "network": None, "module": None, "timespans": None, "targets": None, "metric": None,
        "io": "none", "quick": True, "allow_estimated": False, "batches": None,
        "budget_seconds": None, "command": "", "progress": None, "count_instructions": False,
        "frontier": False,
    },
    "program_metrics": lambda m: {
        "program": m.program, "counters": m.counters, "sequences": 2, "rate": None,
    },
    "quantize": lambda m: {
        "network": m.network, "calibrate": m.x, "recipe": "w8a12", "calibrate_timespans": None,
        "layers": None, "ranges": "range", "correction": "none",
    },
    "difference": lambda m: {
        "first": m.profile.rows[0], "second": m.profile.rows[1],
        "quantity": "total_energy", "allow_estimated": False,
    },
    "ratio": lambda m: {
        "numerator": m.profile.rows[0], "denominator": m.profile.rows[1],
        "quantity": "total_energy", "allow_estimated": False,
    },
    "report": lambda m: {
        "result": m.profile, "program": m.program, "path": "a.html", "network": m.network,
        "x": m.x, "timespans": None,
    },
    "run_lava": lambda m: {
        "program": m.program, "x": m.x, "timespans": None, "initial_state": None,
        "return_states": False, "progress": None, "time_limit": None,
    },
    "monte_carlo": lambda m: {
        "source": m.masked, "x": m.x, "samples": 2, "seed": 1, "keep": 0.5, "noise": 0.1,
        "dropout": None, "per_step": False, "masks": None, "engine": "c", "lengths": None,
        "timespans": None, "threads": None, "progress": None,
    },
    "FittedNoise.coverage": lambda m: {"self": m.noise, "level": 0.5},
    "MonteCarloResult.initial_state": lambda m: {"self": m.passes, "number": 1},
    "MonteCarloResult.quantile": lambda m: {"self": m.passes, "p": 0.5},
    "MonteCarloResult.scores": lambda m: {"self": m.passes, "y": m.passes.mean},
    "MonteCarloResult.with_noise": lambda m: {"self": m.passes, "noise": m.noise},
    "save": lambda m: {"program": m.program, "path": "b.l2l"},
    "save_device": lambda m: {"device": m.device, "path": "a.toml"},
    "sensitivity": lambda m: {
        "network": m.network, "x": m.x, "recipe": "w8a12", "low": "w4a8", "timespans": None,
    },
    "simulate": lambda m: {
        "program": m.program, "x": m.x, "engine": "c", "lengths": None, "timespans": None,
        "initial_state": None, "return_states": False, "threads": None, "progress": None,
        "step_totals": False,
    },
    "simulate_stream": lambda m: {
        "program": m.program, "chunks": [m.x], "engine": "c", "timespans": None,
        "initial_state": None, "return_states": False, "threads": None,
    },
    "verify": lambda m: {
        "program": m.program, "x": m.x, "executors": ("reference", "c"), "timespans": None,
        "initial_state": None, "progress": None,
    },
    "workload": lambda m: {"placement": m.placement, "counters": m.counters},
}  # fmt: skip
