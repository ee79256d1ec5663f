"""Liquid neural networks (CfC, NCP) on Intel Loihi 2.

    import lnn2loihi as l2l

    network = l2l.import_network(module)              # or a checkpoint file
    program = l2l.quantize(network, calibrate=x)      # integers, proved free of overflow
    print(program)                                    # formats, ranges, signal to noise
    result = l2l.simulate(program, x)                 # what the chip would answer
    l2l.verify(program, x).bit_exact                  # Lava gives the same integers
    l2l.save(program, "net.l2l")

Importing this package imports neither PyTorch nor Lava.
"""

from lnn2loihi.startup import importing

with importing():
    from lnn2loihi.artifact import load, save
    from lnn2loihi.compare import ComparisonResult, compare
    from lnn2loihi.cost import Calibration, CostEstimate, Workload, calibrate_profile, estimate
    from lnn2loihi.devices import Device, Figure, device_names, load_device, save_device
    from lnn2loihi.doctor import DoctorReport, examine
    from lnn2loihi.errors import (
        ArtifactError,
        BackendMissingError,
        DeviceError,
        ImportNetworkError,
        InputError,
        LavaRunError,
        Lnn2LoihiError,
        NetworkError,
        PlacementError,
        ProgramError,
        QuantizationError,
        RateError,
        RecipeError,
    )
    from lnn2loihi.lava import run_lava
    from lnn2loihi.layers.gru import GRULayer
    from lnn2loihi.layers.lstm import LSTMLayer
    from lnn2loihi.layers.memory import Memory
    from lnn2loihi.layers.minimal import MinGRULayer, MinLSTMLayer
    from lnn2loihi.layers.wired import WiredMemory
    from lnn2loihi.metrics import NeuroBenchMetrics, network_metrics, program_metrics
    from lnn2loihi.network import CfCLayer, DenseLayer, FloatResult, Linear, LiquidNetwork, LTCLayer
    from lnn2loihi.place import Placement, Violation, place, workload
    from lnn2loihi.plugins import export, import_network
    from lnn2loihi.profile import ProfileResult, ProfileRow, load_profile, profile, ratio
    from lnn2loihi.program import Connection, InputPort, LoihiProgram, Population, Schedule
    from lnn2loihi.quantize import quantize
    from lnn2loihi.quantize.recipe import Recipe
    from lnn2loihi.quantize.sensitivity import Sensitivity, sensitivity
    from lnn2loihi.report import report
    from lnn2loihi.simulate import simulate
    from lnn2loihi.simulate.result import Counters, SimulationResult
    from lnn2loihi.simulate.streams import Stream, open_stream, simulate_stream
    from lnn2loihi.verify import Mismatch, VerificationResult, verify
    from lnn2loihi.version import VERSION as __version__

__all__ = [
    "ArtifactError",
    "BackendMissingError",
    "Calibration",
    "CfCLayer",
    "ComparisonResult",
    "Connection",
    "CostEstimate",
    "Counters",
    "DenseLayer",
    "Device",
    "DeviceError",
    "DoctorReport",
    "Figure",
    "GRULayer",
    "FloatResult",
    "ImportNetworkError",
    "InputError",
    "InputPort",
    "LavaRunError",
    "Linear",
    "LiquidNetwork",
    "LSTMLayer",
    "LTCLayer",
    "Lnn2LoihiError",
    "LoihiProgram",
    "Memory",
    "MinGRULayer",
    "MinLSTMLayer",
    "Mismatch",
    "NetworkError",
    "NeuroBenchMetrics",
    "Placement",
    "PlacementError",
    "Population",
    "ProfileResult",
    "ProfileRow",
    "ProgramError",
    "QuantizationError",
    "RateError",
    "Recipe",
    "RecipeError",
    "Schedule",
    "Sensitivity",
    "SimulationResult",
    "Stream",
    "VerificationResult",
    "Violation",
    "WiredMemory",
    "Workload",
    "__version__",
    "calibrate_profile",
    "compare",
    "device_names",
    "estimate",
    "examine",
    "export",
    "import_network",
    "load",
    "load_device",
    "load_profile",
    "network_metrics",
    "open_stream",
    "place",
    "profile",
    "program_metrics",
    "quantize",
    "ratio",
    "report",
    "run_lava",
    "save",
    "save_device",
    "sensitivity",
    "simulate",
    "simulate_stream",
    "verify",
    "workload",
]
