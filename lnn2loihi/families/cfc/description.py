"""What a description of a CfC may say; see `lnn2loihi.families.cfc.importer` for the grammar.

A state_dict does not hold everything: `default` and `no_gate` CfCs have the same keys, and neither
the activation of the backbone nor the elapsed time of training is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lnn2loihi.converters.files.description import (
    Description,
    Timespan,
    flag,
    text,
    times,
    whole,
)
from lnn2loihi.families.cfc.layer import MODES

#: The module classes that a description may name: of ncps, and of torch_cfc.py in raminmh/CfC.
NCPS, TORCH_CFC = "ncps.torch.CfC", "torch_cfc.Cfc"
#: Activations that a backbone may have; torch_cfc calls the first one "lecun", and lacks the last.
BACKBONE_ACTIVATIONS = ("lecun_tanh", "silu", "relu", "tanh", "gelu")
_ORIGINAL_ACTIVATIONS = ("lecun", *BACKBONE_ACTIVATIONS[:-1])


@dataclass(frozen=True, kw_only=True)
class CfCDescription(Description):
    """How a CfC was built.

    Attributes:
        input_size: number of input channels.
        units: number of units of all layers.
        output_size: units of the last layer, or None where it is not stated.
        proj_size: outputs of the linear map after the last layer, or None where not stated.
        mode: mode of the CfC, the same for all layers; None where not stated.
        activation: activation of the backbone, one of BACKBONE_ACTIVATIONS.
        backbone_units: units of each layer of the backbone, or None where not stated.
        backbone_layers: layers of the backbone, or None where not stated.
        mixed_memory: whether it has a mixed memory, or None where not stated.
        readout: what stands before the keys of a Linear after it, ending in a dot, or None.
        dropout: for layers of the backbone, by number, rates of the dropout behind them; of a live
            module alone.
    """

    input_size: int = whole(required=True)
    units: int = whole(required=True)
    output_size: int | None = whole()
    proj_size: int | None = whole()
    mode: str | None = text(MODES)
    activation: str = text(BACKBONE_ACTIVATIONS, default="lecun_tanh")
    backbone_units: int | None = whole()
    backbone_layers: int | None = whole(least=0)
    mixed_memory: bool | None = flag()
    timespan: Timespan | None = times()
    readout: str | None = text(dotted=True)
    dropout: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TorchCfCDescription(CfCDescription):
    """How a `Cfc` of torch_cfc.py was built, which has hyperparameters of its own.

    Attributes:
        minimal: whether its mode is pure.
        no_gate: whether its mode is no_gate, unless it is minimal.
        use_mixed: its word for mixed_memory.
    """

    default_timespan: ClassVar[float | None] = None

    activation: str = text(
        _ORIGINAL_ACTIVATIONS,
        required=True,
        missing="; torch_cfc has no default: write the backbone_activation of its hparams, one of "
        + ", ".join(_ORIGINAL_ACTIVATIONS),
    )
    minimal: bool | None = flag()
    no_gate: bool | None = flag()
    use_mixed: bool | None = flag()

    @classmethod
    def translated(cls, values: dict[str, Any]) -> list[str]:
        """Puts the flags of torch_cfc into the words of ncps."""
        found: list[str] = []
        flagged = [mode for flag, mode in (("minimal", "pure"), ("no_gate", "no_gate"))
                   if values.get(flag)]  # fmt: skip
        # With both, torch_cfc computes the minimal solution.
        both = {"minimal", "no_gate"} <= values.keys()
        mode = flagged[0] if flagged else "default" if both else None
        if mode is not None and values.setdefault("mode", mode) != mode:
            found.append(f"mode is {values['mode']!r}, but minimal and no_gate say {mode!r}")
        mixed = values.get("use_mixed")
        if mixed is not None and values.setdefault("mixed_memory", mixed) != mixed:
            found.append("mixed_memory and use_mixed contradict each other")
        if values.get("activation") == "lecun":
            values["activation"] = "lecun_tanh"
        return found
