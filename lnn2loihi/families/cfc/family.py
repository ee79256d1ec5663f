"""The family of closed-form continuous-time units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lnn2loihi.families.cfc.layer import CfCLayer, CfCStage, PureStage
from lnn2loihi.families.cfc.lowering import CfCLowering, PureLowering
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.family import Family


def _equations() -> Mapping[type[Any], Callable[..., Any]]:
    from lnn2loihi.families.cfc.equations import cfc_equations

    return {CfCStage: cfc_equations}


def _onnx_nodes() -> Mapping[type[Any], Callable[..., Any]]:
    from lnn2loihi.families.cfc.onnx_nodes import cfc_nodes

    return {CfCStage: cfc_nodes}


def _torch_blocks(network: Any) -> Any:
    from lnn2loihi.families.cfc.ncps_modules import ncps_blocks

    return ncps_blocks(network)


FAMILY = Family(
    "cfc",
    (CfCLayer, WiredMemory),
    {CfCStage: CfCLowering(), PureStage: PureLowering()},
    equations=_equations,
    onnx_nodes=_onnx_nodes,
    torch_blocks=_torch_blocks,
)
