"""The target `fused`: the program as it is, one population for each stage."""

from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.graph.precedent import ACCUMULATORS_UNKNOWN
from lnn2loihi.targets.target import Target

#: What is not proved whatever is done about accumulators.
UNPROVED = (
    "The widths of the operands of MUL_SHR, and the cost of one instruction.",
    "How much program memory a core has for its neuron programs.",
    "The range of the weight exponent, and how the silicon scales weights before they are "
    "accumulated.",
)
FUSED = Target(
    DEFAULT_TARGET,
    exporter="lava",
    unproved=(
        f"{ACCUMULATORS_UNKNOWN[0].upper()}{ACCUMULATORS_UNKNOWN[1:]}.",
        *UNPROVED,
    ),
)
