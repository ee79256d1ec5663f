"""Runs a LoihiProgram in Lava's process simulator, as a second executor of the same integers.

Importing this package does not import Lava. What does so when it is imported is kept in
`lnn2loihi.lava.processes`; the functions here get there when they are called.
"""

from lnn2loihi.lava.graph import LavaGraph, build_graph
from lnn2loihi.lava.plan import chip_steps
from lnn2loihi.lava.runner import execute, run_lava
from lnn2loihi.lava.shim import import_lava, lava_is_installed, require_lava

__all__ = [
    "LavaGraph",
    "build_graph",
    "chip_steps",
    "execute",
    "import_lava",
    "lava_is_installed",
    "require_lava",
    "run_lava",
]
