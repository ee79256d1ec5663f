"""The family of closed-form continuous-time units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lnn2loihi.families.cfc.layer import CfCLayer, CfCStage, PureStage
from lnn2loihi.families.cfc.linear_heads import LinearHeadsStage
from lnn2loihi.families.cfc.lowering import CfCLowering, LinearHeadsLowering, PureLowering
from lnn2loihi.families.cfc.neuron import GATES, cfc_program
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.family import Family, lazily
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.instructions import NeuronProgram

#: Message widths of the programs that wheels bring compiled.
SHIPPED_BITS = range(4, 17)


def _equations() -> Mapping[type[Any], Callable[..., Any]]:
    from lnn2loihi.families.cfc.equations import cfc_equations

    return {CfCStage: cfc_equations}


def _onnx_nodes() -> Mapping[type[Any], Callable[..., Any]]:
    from lnn2loihi.families.cfc.onnx_nodes import cfc_nodes

    return {CfCStage: cfc_nodes}


def _shipped() -> Iterator[NeuronProgram]:
    default = next(iter(ACTIVATIONS))
    return (cfc_program([1] * len(GATES), bits, default) for bits in SHIPPED_BITS)


FAMILY = Family(
    "cfc",
    (CfCLayer, WiredMemory),
    {
        CfCStage: CfCLowering(),
        LinearHeadsStage: LinearHeadsLowering(),
        PureStage: PureLowering(),
    },
    lazily("lnn2loihi.families.cfc.importer:CfCImporter"),
    equations=_equations,
    onnx_nodes=_onnx_nodes,
    onnx_reader=lazily("lnn2loihi.families.cfc.onnx_layers:reader"),
    torch_blocks=lazily("lnn2loihi.families.cfc.ncps_modules:ncps_blocks"),
    shipped=_shipped,
    stock=lazily("lnn2loihi.families.cfc.stock:CfCWriter"),
)
