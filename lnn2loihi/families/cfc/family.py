"""The family of closed-form continuous-time units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lnn2loihi.families.cfc.layer import CfCLayer, CfCStage, PureStage
from lnn2loihi.families.cfc.lowering import CfCLowering, PureLowering
from lnn2loihi.families.cfc.neuron import GATES, cfc_program
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.family import Family
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.instructions import NeuronProgram

#: Message widths of the programs that wheels bring compiled.
SHIPPED_BITS = range(4, 17)


def _importer() -> Any:
    from lnn2loihi.families.cfc.importer import CfCImporter

    return CfCImporter()


def _equations() -> Mapping[type[Any], Callable[..., Any]]:
    from lnn2loihi.families.cfc.equations import cfc_equations

    return {CfCStage: cfc_equations}


def _onnx_nodes() -> Mapping[type[Any], Callable[..., Any]]:
    from lnn2loihi.families.cfc.onnx_nodes import cfc_nodes

    return {CfCStage: cfc_nodes}


def _onnx_reader() -> Any:
    from lnn2loihi.converters.onnx_read.recurrence import OnnxReader
    from lnn2loihi.families.cfc.onnx_layers import cfc_recurrence

    return OnnxReader(cfc_recurrence)


def _shipped() -> Iterator[NeuronProgram]:
    default = next(iter(ACTIVATIONS))
    return (cfc_program([1] * len(GATES), bits, default) for bits in SHIPPED_BITS)


def _torch_blocks(network: Any) -> Any:
    from lnn2loihi.families.cfc.ncps_modules import ncps_blocks

    return ncps_blocks(network)


FAMILY = Family(
    "cfc",
    (CfCLayer, WiredMemory),
    {CfCStage: CfCLowering(), PureStage: PureLowering()},
    _importer,
    equations=_equations,
    onnx_nodes=_onnx_nodes,
    onnx_reader=_onnx_reader,
    torch_blocks=_torch_blocks,
    shipped=_shipped,
)
