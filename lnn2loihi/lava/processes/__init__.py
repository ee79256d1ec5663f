"""All that imports Lava when it is imported: the processes, and the runtime that guards them.

Every process has a package of its own, because Lava executes each file that lies beside the file
of a process while it looks for process models.
"""

from lnn2loihi.lava.shim import import_lava

# Before any module in here imports Lava by itself, which fails on Python 3.11 and later.
import_lava()
