"""Makes lava-dl 0.6.0 importable on Python 3.10 and 3.11, without torchvision and OpenCV.

    pip install --no-deps --ignore-requires-python lava-nc==0.10.0 lava-dl==0.6.0
    pip install "numpy<2" scipy networkx asteval h5py matplotlib

and PyTorch. Only its object detection needs more, and that nobody asks for here.
"""

from __future__ import annotations

import sys
import types

from lnn2loihi.lava.shim import import_lava

_OBJECT_DETECTION = "lava.lib.dl.slayer.object_detection"


def import_lava_dl() -> None:
    """Imports lava-dl, so that `lava.lib.dl.slayer` and `lava.lib.dl.netx` are there.

    Raises:
        BackendMissingError: Lava is not installed.
        ImportError: lava-dl, or what it needs, is not installed.
    """
    import_lava()
    stand_in = types.ModuleType(_OBJECT_DETECTION)
    stand_in.__path__ = []
    sys.modules.setdefault(_OBJECT_DETECTION, stand_in)
    import lava.lib.dl.slayer  # noqa: F401
