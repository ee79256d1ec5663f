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

from lnn2loihi.artifact import load, save
from lnn2loihi.compare import ComparisonResult, compare
from lnn2loihi.doctor import DoctorReport, examine
from lnn2loihi.errors import (
    ArtifactError,
    BackendMissingError,
    ImportNetworkError,
    InputError,
    LavaRunError,
    Lnn2LoihiError,
    NetworkError,
    ProgramError,
    QuantizationError,
    RecipeError,
)
from lnn2loihi.lava import run_lava
from lnn2loihi.layers.memory import Memory
from lnn2loihi.layers.wired import WiredMemory
from lnn2loihi.network import CfCLayer, DenseLayer, FloatResult, Linear, LiquidNetwork
from lnn2loihi.plugins import export, import_network
from lnn2loihi.program import Connection, InputPort, LoihiProgram, Population, Schedule
from lnn2loihi.quantize import quantize
from lnn2loihi.quantize.recipe import Recipe
from lnn2loihi.quantize.sensitivity import Sensitivity, sensitivity
from lnn2loihi.simulate import simulate
from lnn2loihi.simulate.result import Counters, SimulationResult
from lnn2loihi.simulate.streams import Stream, open_stream, simulate_stream
from lnn2loihi.verify import Mismatch, VerificationResult, verify
from lnn2loihi.version import VERSION as __version__

__all__ = [
    "ArtifactError",
    "BackendMissingError",
    "CfCLayer",
    "ComparisonResult",
    "Connection",
    "Counters",
    "DenseLayer",
    "DoctorReport",
    "FloatResult",
    "ImportNetworkError",
    "InputError",
    "InputPort",
    "LavaRunError",
    "Linear",
    "LiquidNetwork",
    "Lnn2LoihiError",
    "LoihiProgram",
    "Memory",
    "Mismatch",
    "NetworkError",
    "Population",
    "ProgramError",
    "QuantizationError",
    "Recipe",
    "RecipeError",
    "Schedule",
    "Sensitivity",
    "SimulationResult",
    "Stream",
    "VerificationResult",
    "WiredMemory",
    "__version__",
    "compare",
    "examine",
    "export",
    "import_network",
    "load",
    "open_stream",
    "quantize",
    "run_lava",
    "save",
    "sensitivity",
    "simulate",
    "simulate_stream",
    "verify",
]
