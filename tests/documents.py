"""What the documents show: blocks of code, commands, and what Python blocks are given.

A block runs unless an HTML comment before it says why not: `<!-- not run: it needs a board -->`.
All blocks of Python of a page run one after the other in one namespace. Names that a page uses
before it assigns them are given, if they stand in `GIVEN`: the network, program and samples that
every page means when it says `network`, `program` and `x`.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import lnn2loihi as l2l

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>.*?) -->\s*)?^```(?P<language>[\w{}-]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_INDENTED = re.compile(r"^    (?:\$ )?lnn2loihi (\S.*?)(?:\s+#.*)?$", re.MULTILINE)
_FENCED = re.compile(r"^(?:\$ )?lnn2loihi (\S.*?)(?:\s+#.*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        place: page and line.
        language: what stands behind the fence.
        text: what stands within.
        reason: why it is not run, or an empty text.
    """

    place: str
    language: str
    text: str
    reason: str


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("text")) + 1
        reason = " ".join((match["reason"] or "").split())
        found.append(Block(f"{page.name}:{line}", match["language"], match["text"], reason))
    return [block for block in found if language in (None, block.language)]


def commands(page: Path) -> list[str]:
    """What a page tells to type behind `lnn2loihi`, indented or in a fence of a shell."""
    text = page.read_text().replace("\\\n", "")
    fenced = [b.text for b in blocks(page) if b.language in ("console", "sh", "bash", "shell")]
    return _INDENTED.findall(text) + [
        found for block in fenced for found in _FENCED.findall(block.replace("\\\n", ""))
    ]


def wanted(codes: Sequence[str]) -> set[str]:
    """Names that blocks of a page use before one of them assigns, defines or imports them."""
    found: set[str] = set()
    known: set[str] = set()
    for code in codes:
        prompted = code.removeprefix(">>> ").partition("\n")[0]
        for statement in ast.parse(prompted if code.startswith(">>> ") else code).body:
            names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
            used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
            found |= used - known
            known |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
            known |= {
                (alias.asname or alias.name).partition(".")[0]
                for node in ast.walk(statement)
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
            }
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                known.add(statement.name)
    return found


@functools.cache
def samples() -> np.ndarray:
    """Typical samples, (batch, time, inputs)."""
    return np.random.default_rng(0).normal(size=(4, 20, 5))


@functools.cache
def cfc() -> Any:
    """A module of ncps."""
    import torch
    from ncps.torch import CfC
    from ncps.wirings import AutoNCP

    torch.manual_seed(0)
    return CfC(5, AutoNCP(12, 3), proj_size=2)


@functools.cache
def network() -> l2l.LiquidNetwork:
    """The same as a float network."""
    return l2l.import_network(cfc())


@functools.cache
def program() -> l2l.LoihiProgram:
    """The same in integers."""
    return l2l.quantize(network(), samples())


@functools.cache
def wide_cfc() -> Any:
    """A CfC without wiring, as large as the one that a page names."""
    import torch
    from ncps.torch import CfC

    torch.manual_seed(0)
    return CfC(17, 64, proj_size=17, backbone_units=256)


@functools.cache
def counts() -> Any:
    """What the program does on the chip in a sample."""
    return l2l.workload(l2l.place(program()), l2l.simulate(program(), samples()).counters)


def tensors() -> Any:
    """Longer ones as PyTorch has them."""
    import torch

    return torch.randn(2, 60, 5, generator=torch.Generator().manual_seed(0))


def wide_samples() -> np.ndarray:
    """Samples for it."""
    return np.random.default_rng(0).normal(size=(2, 10, 17))


#: What a name means on every page that does not say otherwise.
GIVEN: Mapping[str, Callable[[], Any]] = {
    "l2l": lambda: l2l,
    "lnn2loihi": lambda: l2l,
    "np": lambda: np,
    "torch": lambda: import_module("torch"),
    "x": samples,
    "y": lambda: np.zeros((4, 20, 2)),
    "module": cfc,
    "cfc": cfc,
    "model": cfc,
    "network": network,
    "program": program,
    "counts": counts,
    "device": lambda: "loihi2-oheo-gulch",
}
#: What it means on single pages.
GIVEN_TO: Mapping[str, Mapping[str, Callable[[], Any]]] = {
    "converted.md": dict.fromkeys(("x", "x1", "x2"), tensors),
    "modules.md": {"x": tensors},
    "quantization.md": {"cfc": wide_cfc, "x": wide_samples},
}
#: Names that need PyTorch and ncps.
OF_TORCH = {"torch", "module", "cfc", "model", "network", "program", "counts"}
