"""The cell of a CfC whose heads have no tanh, as ncps.keras and ncps.tf have it: its stage and its
neuron program.

Source: ncps 1.0.1, keras/cfc_cell.py and tf/cfc_cell.py, where the activation of both heads is
commented out; `pure` is the same as in ncps.torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lnn2loihi.families.cfc.gate import TimeGatedStage
from lnn2loihi.families.cfc.neuron import GATES, Growth, time_gate
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import Rescaling, preactivation, rescaled, saturated
from lnn2loihi.neurons.tracer import Tracer

#: Width of a head, so that twice the new state is a factor of a product.
HEAD_BITS = 15


@dataclass(frozen=True, eq=False)
class LinearHeadsStage(TimeGatedStage):
    """The cell in its modes `default` and `no_gate`, whose heads are the sums themselves."""

    family: ClassVar[str] = "cfc linear"
    calibrated: ClassVar[tuple[str, ...]] = ("ff1", "ff2")

    def heads(self, sums: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """See `TimeGatedStage`."""
        return sums["ff1"], sums["ff2"]


@dataclass(frozen=True)
class HeadFormats:
    """Formats of a unit.

    Attributes:
        message_bits, message_fraction_bits: format of the message and state.
        head_fraction_bits: fraction bits of both heads, words of HEAD_BITS that saturate.
        activation: key of ACTIVATIONS, for the time gate.
        mode: "default" or "no_gate".
    """

    message_bits: int
    message_fraction_bits: int
    head_fraction_bits: int
    activation: str
    mode: str


def linear_heads_program(
    shifts: Sequence[Rescaling | int], formats: HeadFormats, growth: Growth | None = None
) -> NeuronProgram:
    """A unit: h' = f1 (1 - g) + g f2, or f1 + g f2 without gate, with g = sigma(time).

    With tau = tanh(time / 2) = 2 g - 1 twice the new state is f1 + f2 + tau (f2 - f1), or
    2 f1 + f2 + tau f2, in the format of the heads.

    Args:
        shifts: right shifts of the pre-activations, as of `cfc_program`.
        formats: see HeadFormats.
        growth: as of `cfc_program`.
    """
    t = Tracer(f"cfc linear {formats.mode}")
    state = t.state("h", formats.message_bits)
    heads = []
    for gate, shift in zip(GATES[:2], shifts, strict=False):
        with t.scope(gate):
            total = preactivation(t, gate, shift)
            heads.append(saturated(t, total, HEAD_BITS, f"{gate}.head", hint="head"))
    f1, f2 = heads
    with t.scope("time"):
        tau = ACTIVATIONS[formats.activation].tanh(t, time_gate(t, shifts[2:], growth))
    if formats.mode == "no_gate":
        gated = t.add(f2, t.multiply(tau, f2, FRACTION_BITS, "gated"), "doubled_gate")
        doubled = t.add(t.add(f1, f1), gated, "new_state")
    else:
        blend = t.multiply(tau, t.subtract(f2, f1, "difference"), FRACTION_BITS, "blend")
        doubled = t.add(t.add(f1, f2), blend, "new_state")
        # Plain intervals say twice this; the three factors are independent and enter linearly.
        t.convex(doubled, (f1, f2, tau), -(1 << HEAD_BITS) - 2, (1 << HEAD_BITS) + 2)
    spare_bits = formats.head_fraction_bits + 1 - formats.message_fraction_bits
    new = rescaled(t, doubled, spare_bits)
    t.spike(saturated(t, new, formats.message_bits, "message"), state)
    return t.program()
