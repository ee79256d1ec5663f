"""What a live `ncps.torch.CfC` is made of, and what was changed in it.

Nothing is imported here but the library: modules of PyTorch are known by the names of their
classes.
"""

from __future__ import annotations

from typing import Any

from lnn2loihi.converters.modules.activations import activation_of
from lnn2loihi.converters.modules.classes import is_dropout, is_linear
from lnn2loihi.families.cfc.description import BACKBONE_ACTIVATIONS, NCPS, CfCDescription
from lnn2loihi.families.cfc.ncps import FUNCTIONS, MEMORY_PARTS, changed_parts, overridden
from lnn2loihi.printable import kind_of_value


def describe(source: Any) -> tuple[CfCDescription, list[str]]:
    """How a live CfC was built; and what in it is not as ncps builds it."""
    cells = _cells_of(source)
    modes = sorted({cell.mode for cell in cells})
    problems = _changed_parts(source, cells)
    if len(modes) > 1:
        problems.append(f"its layers have different modes: {', '.join(modes)}; train with one")
    backbone = getattr(source.rnn_cell, "backbone", None)
    activation = "lecun_tanh"
    if backbone is not None:
        activation, found = _backbone_activation(backbone)
        problems += found
    description = CfCDescription(
        origin="the module",
        module=NCPS,
        input_size=source.input_size,
        units=source.state_size,
        proj_size=source.proj_size,
        mode=modes[0],
        activation=activation,
        backbone_layers=getattr(source.rnn_cell, "backbone_layers", 0),
        mixed_memory=bool(source.use_mixed),
        dropout=_backbone_dropout(backbone),
    )
    return description, problems


def _cells_of(source: Any) -> list[Any]:
    """The cells that the module really runs, in order."""
    return list(getattr(source.rnn_cell, "_layers", [source.rnn_cell]))


def _backbone_activation(backbone: Any) -> tuple[str, list[str]]:
    """The activation after each linear map of a backbone, and what else is in it."""
    found: list[str] = []
    names: list[str] = []
    open_map = False
    for key, part in backbone.named_children():
        where = f"rnn_cell.backbone.{key}"
        if is_linear(part):
            if open_map:
                found.append(f"{where} follows a linear map without an activation between them")
            open_map = True
            continue
        name = activation_of(part)
        if name == "identity" or is_dropout(part):
            continue
        if name not in BACKBONE_ACTIVATIONS:
            found.append(
                f"{where} is {kind_of_value(part)}; a backbone consists of Linear, Dropout and "
                "the activations LeCun, SiLU, ReLU, Tanh or GELU(approximate='none')"
            )
        elif not open_map:
            found.append(f"{where} stands after no linear map")
        else:
            names.append(name)
        open_map = False
    if open_map:
        found.append("rnn_cell.backbone ends in a linear map without an activation")
    if len(set(names)) > 1:
        found.append(f"rnn_cell.backbone has different activations: {', '.join(names)}; train "
                     "with one")  # fmt: skip
    return (names[0] if names else "lecun_tanh"), found


def _backbone_dropout(backbone: Any) -> dict[int, float]:
    """Rates of the dropout behind each layer of a backbone, by number of the layer."""
    found: dict[int, float] = {}
    layers = 0
    for part in () if backbone is None else backbone.children():
        layers += is_linear(part)
        rate = float(part.p) if is_dropout(part) else 0.0
        if layers and 0.0 < rate < 1.0:
            found[layers - 1] = rate
    return found


def _changed_parts(source: Any, cells: list[Any]) -> list[str]:
    """What was changed in a module so that its arrays no longer tell what it computes."""
    found: list[str] = []
    found += overridden("it", source)
    found += overridden("rnn_cell", source.rnn_cell)
    parts = dict.fromkeys(("ff1", "ff2", "time_a", "time_b"), "Linear")
    for index, cell in enumerate(cells):
        where = "rnn_cell"
        if cell is not source.rnn_cell:
            where = f"rnn_cell.layer_{index}"
            if cell is not getattr(source.rnn_cell, f"layer_{index}", None):
                found.append(
                    f"{where} was replaced, but ncps still runs the cell it was built with; "
                    "copy the weights into a new ncps.torch.CfC"
                )
            found += overridden(where, cell)
        found += changed_parts(where, cell, parts | FUNCTIONS)
    if source.use_mixed:
        found += changed_parts("lstm", source.lstm, MEMORY_PARTS)
    readout = type(source.fc).__name__
    if readout not in ("Linear", "Identity", "ParametrizedLinear", "NoneType"):
        found.append(f"fc is a {readout}, expected torch.nn.Linear or torch.nn.Identity")
    return found
