"""What a network costs: one table of estimates and measurements.

    result = profile(program, x, against=("cpu",), rate=100.0, network=network)
    print(result.summary())
    ratio(result.rows[4], result.rows[0], "total_energy")
    result.save("net.profile.json")

What the columns mean: docs/profile.md.
"""

from lnn2loihi.profiling.curves import Crossover, Curve, crossovers, curves_of
from lnn2loihi.profiling.frontier import Frontier
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.ratios import difference, ratio
from lnn2loihi.profiling.result import ChipProfile, ProfileResult
from lnn2loihi.profiling.rows import Accuracy, ProfileRow
from lnn2loihi.profiling.run import profile
from lnn2loihi.profiling.storage import load_profile, save_profile
from lnn2loihi.tiers import TIERS

__all__ = [
    "TIERS",
    "Accuracy",
    "ChipProfile",
    "Crossover",
    "Curve",
    "Frontier",
    "ProfileResult",
    "ProfileRow",
    "Quantity",
    "crossovers",
    "curves_of",
    "difference",
    "load_profile",
    "profile",
    "ratio",
    "save_profile",
]
