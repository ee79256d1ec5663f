"""Weights in NumPy's archives (`.npz`), as `np.savez` and MLX write them; nothing is unpickled.

Names of variables of TensorFlow become keys as those of PyTorch: what stands between slashes is
divided by dots (`rnn/ltc/W` is `rnn.ltc.W`), and `:0` and `/.ATTRIBUTES/VARIABLE_VALUE` at their
ends are left out. States of optimizers and counters, which checkpoints of TensorFlow hold beside
the weights, are passed over.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.errors import ImportNetworkError, InputError
from lnn2loihi.samples import read_archive

#: All arrays together may have so many times the bytes of the file: weights hardly compress. Small
#: files may have so many bytes.
LARGEST_RATIO, SMALL = 16, 1 << 22


#: Ends of keys that only say where a variable of TensorFlow stands.
_ENDS = re.compile(r"(/\.ATTRIBUTES/VARIABLE_VALUE|:[0-9]+)$")
#: Keys of optimizers and counters.
_BESIDE = re.compile(
    r"(^|\.)_?optimizer(\.|$)|OPTIMIZER_SLOT|^(beta[12]_power|global_step|save_counter|iterations"
    r"|_CHECKPOINTABLE_OBJECT_GRAPH)(_[0-9]+)?$|\.(Adam|Momentum|RMSProp|Adagrad|Ftrl)(_[0-9]+)?$"
)


def read_npz(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The arrays of a file by key, in its order, and what was passed over.

    Texts and pickled objects in it are no numbers, and are not opened.

    Raises:
        ImportNetworkError: it is absent, damaged, hostile or too large, or two names are one key.
    """
    try:
        arrays, others = read_archive(path, max(LARGEST_RATIO * path.stat().st_size, SMALL))
    except InputError as error:
        raise ImportNetworkError(str(path), error.problems) from error
    found: dict[str, Tensor] = {}
    beside: list[str] = []
    for name in (*arrays, *others):
        key = _ENDS.sub("", name).replace("/", ".")
        if _BESIDE.search(key):
            beside.append(name)
        elif key in found:
            raise ImportNetworkError(
                str(path), f"two of its arrays have the name {key!r:.120}; save them under others"
            )
        else:
            found[key] = _tensor(arrays[name]) if name in arrays else _refusing(path, name)
    said = f"{len(beside)} of an optimizer or a counter, such as {beside[0]}" if beside else ""
    return found, {"passed over": said} if said else {}


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    def read() -> FloatArray:
        return array.astype(np.float64)

    kind: Literal["float", "integer"] = "float" if array.dtype.kind == "f" else "integer"
    return Tensor(array.dtype.name, array.shape, kind, read)


def _refusing(path: Path, key: str) -> Tensor:
    def refuse() -> FloatArray:
        raise ImportNetworkError(str(path), f"{key} holds no numbers")

    return Tensor("no array of numbers", (), "other", refuse)
