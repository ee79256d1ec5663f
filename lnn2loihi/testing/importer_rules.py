"""Rules of the importer of a family: all ways in which its modules come in answer alike.

Needs PyTorch.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lnn2loihi import qat
from lnn2loihi.conversion import import_network
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.family import importer_of, lazily
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.simulation import simulate
from lnn2loihi.testing.case import NotHereError, Problems, apart

_PARTS = "see `parts` of the importer: which array is which, and in which order"
_DESCRIBED = (
    "what arrays do not hold has to stand in the description: without a default, so that it is "
    "asked for, or in `suggestion`; check_importer(description=...) adds lines"
)


class Whole(nn.Module):
    """A module of somebody's own around a cell: a normalisation, the cell, a map.

    Args:
        cell: what is tried.
        inputs: its inputs.
        units: its outputs.
    """

    def __init__(self, cell: nn.Module, inputs: int, units: int) -> None:
        super().__init__()
        # Powers of two, so that float32 and float64 mean the same numbers.
        signs = torch.arange(inputs) % 2
        normalise = lazily("lnn2loihi.converters.normalise:Normalise")
        self.normalise: nn.Module = normalise(0.25 - 0.5 * signs, 0.5 + 1.5 * signs)
        self.cell = cell
        self.out = nn.Linear(units, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Samples (batch, time, inputs)."""
        return self.out(first(self.cell(self.normalise(x))))


@dataclass(frozen=True)
class ImportCase:
    """A module, and how it is tried.

    Attributes:
        module: the module, in double precision.
        x: float64 (batch, time, inputs).
        timespans: float64 (batch, time), where it takes them; else None.
        description: further lines of the description of a checkpoint.
        recipe: of the training.
    """

    module: nn.Module
    x: FloatArray
    timespans: FloatArray | None
    description: str
    recipe: str

    @property
    def options(self) -> dict[str, Any]:
        """What imports are told."""
        return {} if self.timespans is None else {"timespan": "irregular"}

    @cached_property
    def said(self) -> FloatArray:
        """What the module answers, (batch, time, outputs)."""
        return answered(self.module, self.x, self.timespans)

    @property
    def whole(self) -> Whole:
        """The module inside another one."""
        if self.timespans is not None:
            raise NotHereError("elapsed times do not pass through other modules")
        torch.manual_seed(0)
        cell = copy.deepcopy(self.module)
        return Whole(cell, self.x.shape[-1], self.said.shape[-1]).double().eval()

    def differs(
        self, network: LiquidNetwork, expected: FloatArray, advice: str = _PARTS
    ) -> Problems:
        """Where a network answers otherwise than a module."""
        found = network.evaluate(self.x, timespans=self.timespans).outputs
        if found.shape != expected.shape:
            yield f"the network answers {found.shape}, the module {expected.shape}"
            return
        yield from apart(found, expected, "the network differs from the module's forward", advice)


def first(answer: Any) -> Tensor:
    """The outputs of what a module answers."""
    return answer[0] if isinstance(answer, tuple) else answer


@contextmanager
def in_double() -> Iterator[None]:
    """States that modules make have double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def answered(module: nn.Module, x: FloatArray, timespans: FloatArray | None) -> FloatArray:
    """What a module answers, float64."""
    spans = {} if timespans is None else {"timespans": torch.tensor(timespans)}
    with torch.no_grad(), in_double():
        return np.asarray(first(module(torch.tensor(x), **spans)), np.float64)


def alive(case: ImportCase) -> Problems:
    """A live module is imported as what it answers."""
    yield from case.differs(import_network(case.module, **case.options), case.said)


def checkpoint(case: ImportCase) -> Problems:
    """Its state_dict is imported with the description that is suggested for it."""
    importer = importer_of(case.module)
    if importer is None:
        yield "no importer knows the module; name its class in `classes`"
        return
    known = importer.class_of(case.module)
    named = importer.modules[0] if known is None else importer.classes[known]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checked.pt"
        torch.save(case.module.state_dict(), path)
        try:
            import_network(path)
            yield "a checkpoint without a description is imported; nothing says how it was built"
            return
        except ImportNetworkError as error:
            _, begin, lines = str(error).partition("[network]")
        if not begin or f'module = "{named}"' not in lines:
            yield (
                f'the description that is suggested for a checkpoint of it does not say module = "'
                f'{named}", but{lines or " nothing"}; see `is_checkpoint` and `suggestion` of '
                f"{type(importer).__name__}, and whether another family takes its keys"
            )
            return
        path.with_suffix(".toml").write_text(f"[network]{lines}\n{case.description}\n")
        yield from case.differs(import_network(path, **case.options), case.said, _DESCRIBED)


def inside(case: ImportCase) -> Problems:
    """Inside Sequential(Normalise, module, Linear) it is imported as what they answer together."""
    whole = case.whole
    parts = nn.Sequential(whole.normalise, whole.cell, whole.out)
    yield from case.differs(import_network(parts), answered(whole, case.x, None))


def trained_alone(case: ImportCase) -> Problems:
    """Alone it is trained for the chip, called as before."""
    yield from _trained(case, case.module)


def trained_whole(case: ImportCase) -> Problems:
    """Inside a module of somebody's own it is trained for the chip."""
    yield from _trained(case, case.whole)


def _trained(case: ImportCase, source: nn.Module) -> Problems:
    times, options = case.timespans, case.options
    module = qat.prepare(
        copy.deepcopy(source), case.recipe, calibrate=case.x, calibrate_timespans=times, **options
    ).double()
    x = torch.tensor(case.x)
    spans = {} if times is None else {"timespans": torch.tensor(times)}
    answer = module.train()(x, **spans)
    with torch.no_grad(), in_double():
        before = source(x, **spans)
    if isinstance(answer, tuple) != isinstance(before, tuple):
        yield (
            f"for training it answers {type(answer).__name__}, the module "
            f"{type(before).__name__}; say in `calls` how it is called"
        )
    if first(answer).shape != first(before).shape:
        yield f"for training it answers {first(answer).shape}, the module {first(before).shape}"
        return
    first(answer).square().sum().backward()
    lost = [
        name
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
        and (parameter.grad is None or not torch.isfinite(parameter.grad).all())
    ]
    if lost:
        yield f"parameters {', '.join(lost)} get no finite gradient"
    found = first(module.eval()(x, **spans)).numpy()
    if not np.array_equal(found, simulate(module.export(), case.x, timespans=times).outputs):
        yield "in evaluation it answers otherwise than the program that it exports"


#: Ways that are tried, by name; all but the first need it.
WAYS: Mapping[str, Callable[[ImportCase], Problems]] = {
    "alive": alive,
    "checkpoint": checkpoint,
    "inside a Sequential": inside,
    "trained alone": trained_alone,
    "trained inside a module": trained_whole,
}
