"""Modules as ONNX files, written by either exporter of PyTorch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")


def exported(
    path: Path,
    module: Any,
    *,
    inputs: int = 3,
    steps: int = 1,
    batch: int = 1,
    state: bool = True,
    timespans: bool = False,
    dynamo: bool = False,
) -> Path:
    """Writes a module of ncps as PyTorch does; its remarks are not ours."""
    if dynamo:
        pytest.importorskip(
            "onnxscript", reason="the new exporter needs it: pip install onnxscript"
        )
    module = module.float().eval()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, steps, inputs, generator=generator)
    hidden: Any = None
    if state:
        hidden = torch.randn(batch, module.state_size, generator=generator)
        hidden = (hidden, 0.5 * hidden) if module.use_mixed else hidden
    arguments: tuple[Any, ...] = (x, hidden) if state else (x,)
    if timespans:
        arguments = (x, hidden, torch.rand(batch, steps, generator=generator))
    return written(path, module, *arguments, dynamo=dynamo)


def written(path: Path, module: Any, *arguments: Any, dynamo: bool = False) -> Path:
    """Writes any module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), arguments, str(path), dynamo=dynamo,
            opset_version=18 if dynamo else 17, verbose=False,
        )  # fmt: skip
    return path
