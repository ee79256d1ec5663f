"""Packages that the library works with, their versions, and how pip installs Lava: what `doctor`,
errors and `pyproject.toml` have to say alike.
"""

from __future__ import annotations

import shlex

#: Packages without which nothing works, and the versions that they need.
CORE = {"numpy": ">=1.24.4", "safetensors": ">=0.4.3", "typer": ">=0.16", "rich": ">=13"}
#: Core packages of Python 3.10 only (tomllib came with 3.11).
CORE_BEFORE_311 = {"tomli": ">=2"}
#: Packages for live PyTorch modules and .pt checkpoints.
TORCH = {"torch": ">=2.3", "ncps": ">=1.0.1"}
#: The last release of Lava, and what it needs where its own pins are overridden.
LAVA_VERSION = "0.10.0"
LAVA_NEEDS = {"asteval": ">=0.9.31", "networkx": ">=2.8.7", "scipy": ">=1.10.1"}

#: Packages for ONNX files, and for running them; what reads files of Keras.
ONNX, HDF5 = {"onnx": ">=1.22", "onnxruntime": ">=1.19"}, {"h5py": ">=3.11"}
#: What reads energy counters: Zeus, and directly NVIDIA's library.
ZEUS, NVML = {"zeus": ">=0.16"}, {"nvidia-ml-py": ">=12"}


def lava_numpy(python: tuple[int, ...]) -> str:
    """The numpy that Lava works with on a version of Python."""
    if python < (3, 11):
        return "numpy>=1.24.4,<2"
    return "numpy>=1.26,<2" if python < (3, 13) else "numpy>=1.26"


def lava_remedy(python: tuple[int, ...], executable: str) -> str:
    """The command that installs Lava for a version of Python.

    Args:
        python: version of Python.
        executable: path of the interpreter.
    """
    pip, lava = f"{shlex.quote(executable)} -m pip install", f"lava-nc=={LAVA_VERSION}"
    numpy = shlex.quote(lava_numpy(python))
    if python < (3, 11):
        return f"{pip} {lava} {numpy}"
    needs = " ".join(shlex.quote(name + bound) for name, bound in LAVA_NEEDS.items())
    return f"{pip} {numpy} {needs} && {pip} --no-deps --ignore-requires-python {lava}"
