"""The networks of ../shared/zoo, with an example of what each one's forward takes."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

ZOO = Path(__file__).resolve().parents[2] / "shared" / "zoo" / "zoo.py"
WHY_NOT = "the zoo is not beside this checkout (../shared/zoo)"
#: Those that raise an error before there is a module: they name classes that the zoo lacks.
INCOMPLETE = ("DinModTrained", "SteelPlatesTrained")
BATCH, TIME = 3, 6

#: What forward takes, where it is not samples (batch, time, `inputs`): shapes of its arguments.
_SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "ConvCfC": ((BATCH, TIME, 4, 20, 20),),
    "EffCfC": ((BATCH, 3, 16, 16),),
    "EegNet": ((BATCH, 8, 64),),
    "CnnNcp": ((BATCH, TIME, 1, 12, 12),),
    "DynHead": ((BATCH, 16), (BATCH, 5), (BATCH, 2)),
    "NeuralCfc": ((BATCH, TIME, 20), (BATCH, TIME, 20)),
    "GatedCfC": ((BATCH, TIME, 16), (BATCH, TIME, 4)),
    "bare_cfc_cell": ((BATCH, 6), (BATCH, 32)),
    "LiquidCell": ((BATCH, 6),),
    "CfCTanhDt": ((BATCH, TIME, 7), (BATCH, TIME)),
}


@cache
def zoo() -> ModuleType | None:
    """The module that the zoo is; None where it is not there."""
    if not ZOO.is_file():
        return None
    found = importlib.util.spec_from_file_location("zoo", ZOO)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def names() -> list[str]:
    """Networks of the zoo that can be made; none where it is not there."""
    found = zoo()
    return [] if found is None else [name for name in found.Z if name not in INCOMPLETE]


def trained(name: str, seed: int = 0) -> nn.Module:
    """A network with biases, and maps of inputs and outputs, as training would leave them."""
    found = zoo()
    assert found is not None, WHY_NOT
    torch.manual_seed(seed)
    module = found.Z[name]["make"]()
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            last = key.rpartition(".")[2]
            if "bias" in last or last in ("input_w", "input_b", "output_w", "output_b"):
                parameter += 0.2 * torch.randn_like(parameter)
    return module.eval()


def example(name: str, seed: int = 1) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional arguments and keywords for a network."""
    found = zoo()
    assert found is not None, WHY_NOT
    torch.manual_seed(seed)
    if name == "Tagger":
        return (torch.randint(0, 50, (TIME,)),), {}
    if name == "bare_cfc_cell":
        return (torch.randn(BATCH, 6), 0.3 * torch.randn(BATCH, 32), 1.0), {}
    width = found.Z[name]["inputs"]
    shapes = _SHAPES.get(name, ((BATCH, TIME, width),))
    return tuple(torch.randn(shape) for shape in shapes), {}


def call(name: str, module: nn.Module) -> Any:
    """What is called: the module, or the method that takes the place of its forward."""
    return module.forward_step if name == "StepOnly" else module
