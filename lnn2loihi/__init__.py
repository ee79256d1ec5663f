"""Liquid neural networks (CfC, NCP) on Intel Loihi 2.

    import lnn2loihi as l2l

    network = l2l.import_network(module)              # or a checkpoint file
    program = l2l.quantize(network, calibrate=x)      # integers, proved free of overflow
    print(program)                                    # formats, ranges, signal to noise
    result = l2l.simulate(program, x)                 # what the chip would answer
    l2l.verify(program, x).bit_exact                  # Lava gives the same integers
    l2l.save(program, "net.l2l")

Importing this package imports neither PyTorch nor Lava. Of itself it imports a name when that is
first asked for.
"""

from __future__ import annotations

from lnn2loihi.startup import importing  # isort: skip  # takes Ctrl-C before anything else

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lnn2loihi.version import VERSION as __version__

if TYPE_CHECKING:
    from lnn2loihi.building.verb import BuildResult, BuiltStep, build
    from lnn2loihi.comparison import ComparisonResult, compare
    from lnn2loihi.conversion import (
        convert,
        import_network,
        import_program,
        propose_description,
    )
    from lnn2loihi.converted.comparing import ConvertedComparison
    from lnn2loihi.converted.parts import ConvertedModule
    from lnn2loihi.converted.running import ConvertedResult
    from lnn2loihi.converted.streaming import ConvertedStream
    from lnn2loihi.converted.tracing import ConvertedTrace
    from lnn2loihi.cost import (
        BoardLog,
        Calibration,
        CostEstimate,
        MicrocontrollerEstimate,
        Workload,
        calibrate_profile,
        estimate,
        estimate_microcontroller,
        read_board_log,
    )
    from lnn2loihi.cost.experiment import (
        ExperimentResult,
        analyse_experiment,
        write_experiment,
    )
    from lnn2loihi.devices import Device, Figure, device_names, load_device, save_device
    from lnn2loihi.doctor import DoctorReport, examine
    from lnn2loihi.errors import (
        ArtifactError,
        BackendMissingError,
        CompiledRunError,
        DeviceError,
        ImportNetworkError,
        InputError,
        LavaRunError,
        Lnn2LoihiError,
        NetworkError,
        OutOfMemoryError,
        PlacementError,
        ProgramError,
        QuantizationError,
        RateError,
        RecipeError,
        TargetError,
    )
    from lnn2loihi.exporting import export
    from lnn2loihi.families.cfc.layer import CfCLayer
    from lnn2loihi.families.cfc.wired import WiredMemory
    from lnn2loihi.families.dense.layer import DenseLayer
    from lnn2loihi.families.gru.layer import GRULayer
    from lnn2loihi.families.layer_norm.layer import LayerNormLayer
    from lnn2loihi.families.lrc.layer import LRCLayer
    from lnn2loihi.families.lrc_ssm.layer import LrcSSMLayer
    from lnn2loihi.families.lstm.input_memory import InputMemory
    from lnn2loihi.families.lstm.layer import LSTMLayer
    from lnn2loihi.families.lstm.memory import Memory
    from lnn2loihi.families.ltc.layer import LTCLayer
    from lnn2loihi.families.minimal.layer import MinGRULayer, MinLSTMLayer
    from lnn2loihi.families.product.layer import ProductLayer
    from lnn2loihi.families.s4d.glu import GLULayer
    from lnn2loihi.families.s4d.layer import LiquidS4DLayer, S4DLayer
    from lnn2loihi.joining.verb import join
    from lnn2loihi.lava import run_lava
    from lnn2loihi.metrics import NeuroBenchMetrics, network_metrics, program_metrics
    from lnn2loihi.micro.footprint import Footprint, footprint
    from lnn2loihi.network import FloatResult, Linear, LiquidNetwork
    from lnn2loihi.placement.copies import CopiesPlacement
    from lnn2loihi.placement.copying import place_copies
    from lnn2loihi.placement.placement import Placement
    from lnn2loihi.placement.rules import Violation
    from lnn2loihi.placement.verb import place
    from lnn2loihi.placement.workload import workload
    from lnn2loihi.profiling import (
        ProfileResult,
        ProfileRow,
        difference,
        load_profile,
        profile,
        ratio,
    )
    from lnn2loihi.program import (
        Connection,
        Convolution,
        InputPort,
        LoihiProgram,
        Population,
        Schedule,
    )
    from lnn2loihi.proposal import DescriptionCandidate, DescriptionProposal
    from lnn2loihi.quantization.sensitivity import Sensitivity, sensitivity
    from lnn2loihi.quantization.verb import quantize
    from lnn2loihi.recipe import Recipe
    from lnn2loihi.replacing import replacing_files
    from lnn2loihi.reporting import report
    from lnn2loihi.simulation import simulate
    from lnn2loihi.simulation.chunks import simulate_stream
    from lnn2loihi.simulation.result import Counters, SimulationResult
    from lnn2loihi.simulation.side_by_side import StreamBatch
    from lnn2loihi.simulation.streams import Stream, open_stream
    from lnn2loihi.storage import load, save
    from lnn2loihi.targets import Target, stock_target
    from lnn2loihi.uncertainty.fitting import fit_noise
    from lnn2loihi.uncertainty.noise import FittedNoise
    from lnn2loihi.uncertainty.result import Interval, MonteCarloResult
    from lnn2loihi.uncertainty.scores import ClassScores, NumberScores
    from lnn2loihi.uncertainty.verb import monte_carlo
    from lnn2loihi.verification.verb import Mismatch, VerificationResult, verify

#: Where public names come from: for each module those that are imported when they are asked for.
#: Type checkers read the same above.
_NAMES = {
    "building.verb": "BuildResult BuiltStep build",
    "comparison": "ComparisonResult compare",
    "cost": (
        "BoardLog Calibration CostEstimate MicrocontrollerEstimate Workload calibrate_profile "
        "estimate estimate_microcontroller read_board_log"
    ),
    "cost.experiment": "ExperimentResult analyse_experiment write_experiment",
    "devices": "Device Figure device_names load_device save_device",
    "doctor": "DoctorReport examine",
    "errors": (
        "ArtifactError BackendMissingError CompiledRunError DeviceError ImportNetworkError "
        "InputError LavaRunError Lnn2LoihiError NetworkError OutOfMemoryError PlacementError "
        "ProgramError QuantizationError RateError RecipeError TargetError"
    ),
    "joining.verb": "join",
    "lava": "run_lava",
    "families.cfc.layer": "CfCLayer",
    "families.cfc.wired": "WiredMemory",
    "families.dense.layer": "DenseLayer",
    "families.gru.layer": "GRULayer",
    "families.layer_norm.layer": "LayerNormLayer",
    "families.lstm.input_memory": "InputMemory",
    "families.lrc_ssm.layer": "LrcSSMLayer",
    "families.lstm.layer": "LSTMLayer",
    "families.lstm.memory": "Memory",
    "families.lrc.layer": "LRCLayer",
    "families.ltc.layer": "LTCLayer",
    "families.minimal.layer": "MinGRULayer MinLSTMLayer",
    "families.product.layer": "ProductLayer",
    "families.s4d.glu": "GLULayer",
    "families.s4d.layer": "LiquidS4DLayer S4DLayer",
    "metrics": "NeuroBenchMetrics network_metrics program_metrics",
    "micro.footprint": "Footprint footprint",
    "network": "FloatResult Linear LiquidNetwork",
    "placement.copies": "CopiesPlacement",
    "placement.copying": "place_copies",
    "placement.placement": "Placement",
    "placement.rules": "Violation",
    "placement.verb": "place",
    "placement.workload": "workload",
    "conversion": "convert import_network import_program propose_description",
    "exporting": "export",
    "converted.comparing": "ConvertedComparison",
    "converted.parts": "ConvertedModule",
    "converted.running": "ConvertedResult",
    "converted.streaming": "ConvertedStream",
    "converted.tracing": "ConvertedTrace",
    "profiling": "ProfileResult ProfileRow difference load_profile profile ratio",
    "proposal": "DescriptionCandidate DescriptionProposal",
    "program": "Connection Convolution InputPort LoihiProgram Population Schedule",
    "quantization.verb": "quantize",
    "recipe": "Recipe",
    "quantization.sensitivity": "Sensitivity sensitivity",
    "replacing": "replacing_files",
    "reporting": "report",
    "simulation": "simulate",
    "simulation.result": "Counters SimulationResult",
    "simulation.chunks": "simulate_stream",
    "simulation.side_by_side": "StreamBatch",
    "simulation.streams": "Stream open_stream",
    "storage": "load save",
    "targets": "Target stock_target",
    "uncertainty.fitting": "fit_noise",
    "uncertainty.noise": "FittedNoise",
    "uncertainty.result": "Interval MonteCarloResult",
    "uncertainty.scores": "ClassScores NumberScores",
    "uncertainty.verb": "monte_carlo",
    "verification.verb": "Mismatch VerificationResult verify",
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "ArtifactError",
    "BackendMissingError",
    "BoardLog",
    "BuildResult",
    "BuiltStep",
    "Calibration",
    "CfCLayer",
    "ClassScores",
    "ComparisonResult",
    "CompiledRunError",
    "Connection",
    "Convolution",
    "ConvertedComparison",
    "ConvertedModule",
    "ConvertedResult",
    "ConvertedStream",
    "ConvertedTrace",
    "CopiesPlacement",
    "CostEstimate",
    "Counters",
    "DenseLayer",
    "DescriptionCandidate",
    "DescriptionProposal",
    "Device",
    "DeviceError",
    "DoctorReport",
    "ExperimentResult",
    "Figure",
    "FittedNoise",
    "Footprint",
    "GLULayer",
    "GRULayer",
    "FloatResult",
    "ImportNetworkError",
    "InputError",
    "InputMemory",
    "InputPort",
    "Interval",
    "LavaRunError",
    "LayerNormLayer",
    "Linear",
    "LiquidNetwork",
    "LiquidS4DLayer",
    "LSTMLayer",
    "LRCLayer",
    "LTCLayer",
    "Lnn2LoihiError",
    "LoihiProgram",
    "LrcSSMLayer",
    "Memory",
    "MicrocontrollerEstimate",
    "MinGRULayer",
    "MinLSTMLayer",
    "Mismatch",
    "MonteCarloResult",
    "NetworkError",
    "NeuroBenchMetrics",
    "NumberScores",
    "OutOfMemoryError",
    "Placement",
    "PlacementError",
    "Population",
    "ProductLayer",
    "ProfileResult",
    "ProfileRow",
    "ProgramError",
    "QuantizationError",
    "RateError",
    "Recipe",
    "RecipeError",
    "S4DLayer",
    "Schedule",
    "Sensitivity",
    "SimulationResult",
    "Stream",
    "StreamBatch",
    "Target",
    "TargetError",
    "VerificationResult",
    "Violation",
    "WiredMemory",
    "Workload",
    "__version__",
    "analyse_experiment",
    "build",
    "calibrate_profile",
    "compare",
    "convert",
    "device_names",
    "difference",
    "estimate",
    "estimate_microcontroller",
    "examine",
    "export",
    "fit_noise",
    "footprint",
    "import_network",
    "import_program",
    "join",
    "load",
    "load_device",
    "load_profile",
    "monte_carlo",
    "network_metrics",
    "open_stream",
    "place",
    "place_copies",
    "profile",
    "program_metrics",
    "propose_description",
    "quantize",
    "read_board_log",
    "ratio",
    "replacing_files",
    "report",
    "run_lava",
    "save",
    "save_device",
    "sensitivity",
    "simulate",
    "simulate_stream",
    "stock_target",
    "verify",
    "write_experiment",
    "workload",
]


def __getattr__(name: str) -> Any:
    """A public name when it is first asked for, or a module of this package."""
    if name in _PLACES:
        with importing():
            found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
        globals()[name] = found
        return found
    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All public names, whether they were asked for or not."""
    return sorted({*globals(), *__all__})
